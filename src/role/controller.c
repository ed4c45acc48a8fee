#include "role/controller.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "os/oom.h"
#include "os/pidfd.h"
#include "os/shm.h"
#include "os/spawn.h"
#include "role/controller_impl.h"
#include "wire/msg.h"

enum {
    GUARD_CONTROL_FD = 3,
    GUARD_CONTROLLER_FD = 4,
    LATE_TESTS_MAX = 4096, /* tests that may be handed out a second time in one run */
};

#define ZYGOTE_PATIENCE (30 * PHX_S) /* for the exit handlers it inherited */
#define DEADLINE_TICK (50 * PHX_MS)
#define GATHERING (5 * PHX_MS)
#define INTERRUPT_AGAIN PHX_S
#define EXIT_PATIENCE (10 * PHX_S) /* pytest-xdist's limit too */

/* ---- starting ---- */

static int start_guard(struct phx_controller *c, const char *path, struct phx_err *err)
{
    int pair[2], self = -1, pidfd;
    pid_t pid;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return phx_err_set(err, -errno, "cannot make a channel to the guard");
    int status = self = phx_pidfd_open(getpid(), err);
    if (status >= 0) {
        const char *argv[] = {path, "3", "4", NULL};
        struct phx_spawn_fd fds[] = {{pair[1], GUARD_CONTROL_FD}, {self, GUARD_CONTROLLER_FD}};
        struct phx_spawn what = {.argv = argv, .fds = fds, .nfds = 2, .new_group = 1};
        status = phx_spawn(&what, &pid, &pidfd, err);
    }
    phx_fd_close(&self);
    phx_fd_close(&pair[1]);
    if (status < 0) {
        phx_fd_close(&pair[0]);
        return status;
    }
    status = phx_channel_open(&c->guard, &c->loop, pair[0], phx_controller_on_guard_bytes);
    if (status < 0) { /* the closed channel ends the guard */
        phx_fd_close(&pidfd);
        return phx_err_set(err, status, "cannot watch the guard");
    }
    status = phx_watch_open(&c->guard_watch, &c->loop, pid, pidfd, phx_controller_on_guard_gone);
    if (status < 0)
        return phx_err_set(err, status, "cannot watch the guard");
    return 0;
}

int phx_controller_open(struct phx_controller **out_controller,
                        const struct phx_controller_options *options, struct phx_err *err)
{
    struct phx_controller *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    phx_log_role("controller");
    c->exit_patience = options->exit_patience > 0 ? options->exit_patience : EXIT_PATIENCE;
    c->oom_kills = phx_oom_kills("");
    c->opened_at = phx_clock_now();
    c->queue_fd = -1;
    c->guard.fd = -1;
    c->guard_watch.pidfd = -1;
    phx_buf_init(&c->spawn);
    phx_buf_init(&c->setup);
    phx_collection_init(&c->collection);
    struct phx_msg_spawn spawn = {.argv = options->argv,
                                  .environment = options->environment,
                                  .directory = options->directory};
    int status = uv_loop_init(&c->loop);
    if (status < 0) {
        free(c);
        return phx_err_set(err, status, "cannot make an event loop");
    }
    status = uv_timer_init(&c->loop, &c->timer);
    if (status == 0)
        status = phx_msg_put_spawn(&c->spawn, &spawn);
    if (status == 0)
        status = start_guard(c, options->guard_path, err);
    if (status == 0)
        status = phx_controller_spawn_zygote(c, err);
    if (status < 0) {
        phx_controller_close(c);
        return status;
    }
    *out_controller = c;
    return 0;
}

int phx_controller_setup(struct phx_controller *c, const void *value, size_t size,
                         struct phx_err *err)
{
    if (c->has_setup)
        return phx_err_set(err, PHX_E_STATE, "the zygote was set up already");
    int status = phx_buf_append(&c->setup, value, size);
    if (status < 0)
        return status;
    c->has_setup = 1;
    if (c->zygote->state == PHX_ZYGOTE_STARTING)
        c->zygote->state = PHX_ZYGOTE_WORKING;
    status = phx_channel_send(&c->zygote->channel, PHX_MSG_SETUP, value, size, NULL, 0);
    /* A dead zygote is told by ZYGOTE_DOWN, with its status. */
    return status == -EPIPE ? 0 : status;
}

/* ---- the run ---- */

static int make_queue(struct phx_controller *c, const struct phx_plan *plan, struct phx_err *err)
{
    uint32_t nlate = LATE_TESTS_MAX;
    if (plan->by_mail)
        nlate = phx_post_spare_positions(plan->ntests, plan->nspans);
    size_t size = phx_runq_size(plan, c->members_max, nlate);
    size_t boxes_at = size;
    if (plan->by_mail)
        size += phx_mailbox_size(c->members_max);
    int fd = phx_shm_create("phalanx-run-queue", size, err);
    if (fd < 0)
        return fd;
    void *mem = NULL;
    size_t mapped;
    int status = phx_shm_map(fd, 1, &mem, &mapped, err);
    if (status == 0)
        status = phx_heard_init(&c->heard, plan->ntests + nlate);
    if (status == 0)
        status = phx_runq_init(&c->queue, mem, mapped, plan, c->members_max, nlate);
    if (status == 0 && plan->by_mail)
        status = phx_post_new(&c->post, &c->queue, (char *)mem + boxes_at);
    if (status < 0) {
        phx_heard_fini(&c->heard);
        phx_shm_unmap(mem, mem ? mapped : 0);
        phx_fd_close(&fd);
        return status;
    }
    phx_runq_set_epoch(&c->queue, phx_clock_now());
    c->queue_fd = fd;
    c->queue_mem = mem;
    c->queue_size = mapped;
    return 0;
}

static int plan_queue(struct phx_controller *c, const struct phx_planner_options *options,
                      struct phx_err *err)
{
    struct phx_plan plan;
    int status = phx_planner_make(&plan, &c->collection, options);
    if (status < 0)
        return phx_err_set(err, status, "cannot plan the run");
    status = make_queue(c, &plan, err);
    phx_plan_fini(&plan);
    return status;
}

int phx_controller_plan(struct phx_controller *c, const struct phx_planner_options *options,
                        int64_t max_restarts, struct phx_err *err)
{
    int status = 0, recruits = !c->members;
    if (c->queue_mem || !c->has_collection)
        return phx_err_set(err, PHX_E_STATE, "there is nothing to plan");
    if (recruits)
        status = phx_controller_recruit(c, options->nworkers, max_restarts, err);
    if (status < 0)
        return status;
    status = plan_queue(c, options, err);
    if (status < 0 && recruits) { /* it can be tried again */
        free(c->members);
        c->members = NULL;
        c->members_max = 0;
    }
    if (status < 0)
        return status;
    c->dist = options->dist;
    c->has_costs = options->cost_us != NULL;
    if (c->forked_at)
        c->forked_at = phx_clock_now(); /* they have only collected */
    for (uint32_t i = 0; i < c->members_max; i++) {
        if (c->members[i] && c->members[i]->state == PHX_MEMBER_DOWN)
            phx_runq_bury(&c->queue, i, NULL); /* its span is anyone's */
        else if (c->members[i])
            phx_controller_settle(c, c->members[i]);
    }
    return 0;
}

/* ---- waiting ---- */

static void on_timer(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

/* Ends the coming wait of the loop. Its clock stands still between its runs: a timer that is set by
 * it may be due at once, and then it fires before the wait. Hence the stop above: without it the
 * loop would go on to wait with no timer left, for ever. */
static void limit_wait(struct phx_controller *c, phx_ns timeout)
{
    uv_update_time(&c->loop);
    uv_timer_start(&c->timer, on_timer, (uint64_t)((timeout + PHX_MS - 1) / PHX_MS), 0);
}

static void on_wake(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    uv_poll_stop(poll);
}

static void on_wake_closed(uv_handle_t *handle)
{
    *(int *)handle->data = 1;
}

/* While tests run and nobody waits for an answer, reports may gather for a moment: to look at each
 * by itself costs more, in switches between processes, than to read it. */
static void let_gather(const struct phx_controller *c)
{
    phx_ns rest = c->looked_at + GATHERING - phx_clock_now();
    if (rest > 0 && !c->flooded && !c->requests && !c->stopping && c->queue_mem &&
        phx_runq_left(&c->queue) > 0)
        phx_clock_sleep(rest);
}

int phx_controller_step(struct phx_controller *c, phx_ns timeout, int wake_fd)
{
    if (timeout != 0 && !c->ready_head && !c->eventful)
        let_gather(c);
    c->flooded = 0;
    if (c->ready_head || c->eventful)
        timeout = 0;
    else if (phx_controller_has_deadlines(c) && (timeout < 0 || timeout > DEADLINE_TICK))
        timeout = DEADLINE_TICK;
    if (timeout >= 0)
        limit_wait(c, timeout);
    int closed = 1;
    if (wake_fd >= 0) {
        int status = uv_poll_init(&c->loop, &c->wake, wake_fd);
        if (status < 0)
            return status;
        closed = 0;
        c->wake.data = &closed;
        uv_poll_start(&c->wake, UV_READABLE, on_wake);
    }
    uv_run(&c->loop, timeout == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    uv_timer_stop(&c->timer);
    if (wake_fd >= 0)
        uv_close((uv_handle_t *)&c->wake, on_wake_closed);
    while (!closed)
        uv_run(&c->loop, UV_RUN_NOWAIT);
    c->looked_at = phx_clock_now();
    return 0;
}

uint32_t phx_controller_active(const struct phx_controller *c)
{
    return c->nactive + (c->told != NULL); /* of whom there may be more to tell */
}

/* ---- stopping ---- */

static void signal_workers(struct phx_controller *c, int signal_number)
{
    for (uint32_t i = 0; i < c->members_max; i++) {
        struct phx_member *member = c->members[i];
        if (member && member->state == PHX_MEMBER_UP)
            phx_watch_signal(&member->watch, signal_number, 1);
    }
}

static void signal_peer(struct phx_zygote_peer *peer, int signal_number)
{
    if (peer->has_watch)
        phx_watch_signal(&peer->watch, signal_number, 1);
    else /* it may have said something already, and yet the guard's word be under way */
        peer->signal_due = signal_number;
}

static void signal_starters(struct phx_controller *c, int signal_number)
{
    for (struct phx_zygote_peer *peer = c->starters; peer; peer = peer->next)
        if (peer->state != PHX_ZYGOTE_GONE)
            signal_peer(peer, signal_number);
}

static void signal_all(struct phx_controller *c, int signal_number)
{
    signal_peer(c->zygote, signal_number);
    signal_starters(c, signal_number);
    signal_workers(c, signal_number);
}

void phx_controller_stop(struct phx_controller *c)
{
    c->stopping = 1;
    if (c->queue_mem)
        phx_runq_close(&c->queue);
    if (c->post)
        phx_post_wake_all(c->post);
    for (uint32_t i = 0; i < c->members_max; i++)
        if (c->members[i])
            phx_controller_settle(c, c->members[i]);
}

/* A signal that comes between an interpreter's last look at its flags and a system call waits until
 * that call returns (a test's sleep(60)): so it is sent again until it has been heard. */
void phx_controller_send_interrupts(struct phx_controller *c)
{
    c->interrupt_at = phx_clock_now() + INTERRUPT_AGAIN;
    if (c->zygote->state <= PHX_ZYGOTE_WORKING && !c->zygote->stopped)
        signal_peer(c->zygote, SIGINT);
    signal_starters(c, SIGINT);
    for (uint32_t i = 0; i < c->members_max; i++) {
        struct phx_member *member = c->members[i];
        if (member && member->state == PHX_MEMBER_UP && !member->stopped && !member->finished)
            phx_watch_signal(&member->watch, SIGINT, 1);
    }
}

void phx_controller_interrupt(struct phx_controller *c)
{
    phx_controller_stop(c);
    phx_controller_send_interrupts(c);
}

void phx_controller_kill(struct phx_controller *c)
{
    phx_controller_stop(c);
    c->interrupt_at = 0;
    signal_all(c, SIGKILL);
}

void phx_controller_suspend(struct phx_controller *c)
{
    c->suspended_at = phx_clock_now();
    signal_all(c, SIGSTOP);
}

static void move_on(phx_ns *time, phx_ns by)
{
    if (*time)
        *time += by;
}

/* Nobody could do anything while the run was stopped: what is waited for gets as much time as it
 * had. */
void phx_controller_resume(struct phx_controller *c)
{
    phx_ns stopped = phx_clock_now() - c->suspended_at;
    move_on(&c->zygote->status_deadline, stopped);
    move_on(&c->zygote->quiet_at, stopped);
    for (uint32_t i = 0; i < c->members_max; i++)
        if (c->members[i]) {
            move_on(&c->members[i]->quiet_at, stopped);
            move_on(&c->members[i]->gone_at, stopped);
        }
    signal_all(c, SIGCONT);
}

/* Runs the loop until *flag is set or `patience` is over; events stay for phx_controller_next. */
static void run_until(struct phx_controller *c, const int *flag, phx_ns patience)
{
    phx_ns end = phx_clock_now() + patience;
    while (!*flag && phx_clock_now() < end) {
        limit_wait(c, DEADLINE_TICK);
        uv_run(&c->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&c->timer);
}

static int send_end(struct phx_channel *channel, phx_ns grace)
{
    struct phx_buf body;
    phx_buf_init(&body);
    int status = phx_msg_put_number(&body, (uint64_t)(grace / PHX_MS));
    if (status == 0)
        status = phx_channel_send(channel, PHX_MSG_END, phx_buf_head(&body), phx_buf_size(&body),
                                  NULL, 0);
    phx_buf_fini(&body);
    return status;
}

int phx_controller_end_zygote(struct phx_controller *c, phx_ns patience)
{
    phx_controller_stop(c);
    struct phx_zygote_peer *zygote = c->zygote;
    if (!zygote->has_watch || zygote->watch.gone)
        return 1;
    if (!zygote->told_to_end && send_end(&zygote->channel, 0) < 0)
        return 1;
    zygote->told_to_end = 1;
    run_until(c, &zygote->watch.gone, patience);
    return zygote->watch.gone;
}

int phx_controller_end(struct phx_controller *c, phx_ns grace)
{
    phx_controller_end_zygote(c, ZYGOTE_PATIENCE);
    if (c->guard_gone)
        return 0;
    int status = send_end(&c->guard, grace);
    run_until(c, &c->guard_gone, grace + 2 * PHX_S);
    c->guard_told = c->guard_gone && status == 0; /* it left because it was told to */
    return status == -EPIPE ? 0 : status;         /* it died before: GUARD_DOWN tells */
}

/* ---- closing ---- */

static void close_list(struct phx_zygote_peer *peer)
{
    for (; peer; peer = peer->next) {
        phx_channel_close(&peer->channel, NULL);
        if (peer->has_watch)
            phx_watch_close(&peer->watch, NULL);
    }
}

static void free_list(struct phx_zygote_peer *peer)
{
    while (peer) {
        struct phx_zygote_peer *next = peer->next;
        phx_collection_fini(&peer->collected);
        free(peer);
        peer = next;
    }
}

static void close_peers(struct phx_controller *c)
{
    close_list(c->zygote);
    close_list(c->starters);
    for (uint32_t i = 0; i < c->members_max; i++)
        if (c->members[i])
            phx_member_down(c->members[i]);
}

static void free_everything(struct phx_controller *c)
{
    free_list(c->zygote);
    free_list(c->starters);
    for (uint32_t i = 0; i < c->members_max; i++)
        phx_member_free(c->members[i]);
    free(c->members);
    while (c->requests)
        phx_controller_drop_request(c, c->requests->number);
    phx_collection_fini(&c->collection);
    phx_heard_fini(&c->heard);
    phx_post_free(c->post);
    phx_shm_unmap(c->queue_mem, c->queue_size);
    phx_fd_close(&c->queue_fd);
    phx_buf_fini(&c->spawn);
    phx_buf_fini(&c->setup);
    free(c);
}

/* Ends the processes that we know of; what they have started is out of reach. */
static void kill_and_wait(struct phx_controller *c)
{
    phx_controller_kill(c);
    if (c->zygote->has_watch)
        phx_pidfd_wait(c->zygote->watch.pidfd, PHX_S);
    for (uint32_t i = 0; i < c->members_max; i++)
        if (c->members[i] && c->members[i]->state == PHX_MEMBER_UP)
            phx_pidfd_wait(c->members[i]->watch.pidfd, PHX_S);
}

void phx_controller_close(struct phx_controller *c)
{
    if (!c)
        return;
    /* The guard takes the end of its channel for the controller's death: it kills what is left, and
     * leaves; waiting for it is what makes "nothing of the run is left" true when we return. */
    if (c->guard_watch.pidfd >= 0) {
        int pidfd = c->guard_watch.pidfd, status;
        phx_channel_close(&c->guard, NULL);
        phx_pidfd_wait(pidfd, 10 * PHX_S);
        int reaped = phx_pidfd_reap(pidfd, &status);
        if (c->zygote && (reaped < 0 || !WIFEXITED(status)))
            kill_and_wait(c); /* a dead guard's work is ours */
        phx_watch_close(&c->guard_watch, NULL);
    } else if (c->guard.fd >= 0) {
        phx_channel_close(&c->guard, NULL);
    }
    close_peers(c);
    uv_close((uv_handle_t *)&c->timer, NULL);
    while (uv_run(&c->loop, UV_RUN_DEFAULT) != 0) {
    }
    uv_loop_close(&c->loop);
    free_everything(c);
}

struct phx_post *phx_controller_post(struct phx_controller *c)
{
    return c->post;
}

int phx_controller_stalled(const struct phx_controller *c)
{
    int waiting = 0;
    for (uint32_t i = 0; c->post && i < c->members_max; i++) {
        const struct phx_member *member = c->members[i];
        if (!member || member->state == PHX_MEMBER_DOWN)
            continue;
        if (member->state != PHX_MEMBER_UP || !phx_post_waits(c->post, i))
            return 0;
        waiting = 1;
    }
    return waiting;
}

/* ---- figures ---- */

size_t phx_controller_last_words(const struct phx_controller *c, uint32_t number,
                                 enum phx_member_text which, char *out, size_t max)
{
    if (number >= c->members_max || !c->members[number])
        return 0;
    return phx_member_last_words(c->members[number], which, out, max);
}

/* What the controller knows of a position: one that ended unheard was started, and no more is known
 * of it. */
static enum phx_runq_state known_state(const struct phx_controller *c, uint32_t pos)
{
    enum phx_runq_state state = phx_runq_state(&c->queue, pos);
    return state == PHX_RUNQ_ENDED && !phx_heard_has(&c->heard, pos) ? PHX_RUNQ_STARTED : state;
}

void phx_controller_account(const struct phx_controller *c, struct phx_account *out)
{
    struct phx_account account = {0};
    uint32_t positions = c->queue_mem ? phx_runq_positions(&c->queue) : 0;
    for (uint32_t pos = 0; pos < positions; pos++) {
        switch (known_state(c, pos)) {
        case PHX_RUNQ_ENDED:
            account.ended++;
            break;
        case PHX_RUNQ_CRASHED:
            account.crashed++;
            break;
        case PHX_RUNQ_STARTED:
            account.unaccounted++;
            break;
        case PHX_RUNQ_QUEUED:
        case PHX_RUNQ_CLAIMED:
            account.not_run++;
            break;
        }
    }
    *out = account;
}

int64_t phx_controller_find(const struct phx_controller *c, enum phx_runq_state state,
                            uint32_t *io_position)
{
    uint32_t positions = c->queue_mem ? phx_runq_positions(&c->queue) : 0;
    for (uint32_t pos = *io_position; pos < positions; pos++) {
        if (known_state(c, pos) != state)
            continue;
        *io_position = pos + 1;
        return phx_runq_test(&c->queue, pos);
    }
    *io_position = positions;
    return PHX_RUNQ_NONE;
}

int phx_controller_look(const struct phx_controller *c, uint32_t number, struct phx_runq_view *out)
{
    if (!c->queue_mem || number >= c->members_max || !c->members[number])
        return -ENOENT;
    phx_runq_look(&c->queue, number, out);
    return 0;
}

int phx_controller_timing(const struct phx_controller *c, uint32_t position,
                          struct phx_runq_timing *out)
{
    return c->queue_mem ? phx_runq_timing(&c->queue, position, out) : 0;
}

void phx_controller_figures(const struct phx_controller *c, struct phx_controller_figures *out)
{
    *out = (struct phx_controller_figures){
        .nparallel = c->nparallel,
        .nworkers = c->next_number,
        .ntests = phx_collection_count(&c->collection),
        .startup = c->forked_at ? c->forked_at - c->opened_at : 0,
        .forked = c->queue_mem && c->forked_at ? c->forked_at - c->queue.epoch : 0,
        .wall = c->ended_at - c->forked_at};
}

const struct phx_collection *phx_controller_collection(const struct phx_controller *c)
{
    return &c->collection;
}

uint32_t phx_controller_positions(const struct phx_controller *c)
{
    return c->queue_mem ? phx_runq_positions(&c->queue) : 0;
}

enum phx_runq_state phx_controller_state(const struct phx_controller *c, uint32_t position)
{
    return c->queue_mem ? phx_runq_state(&c->queue, position) : PHX_RUNQ_QUEUED;
}

int64_t phx_controller_test(const struct phx_controller *c, uint32_t position)
{
    if (position >= phx_controller_positions(c))
        return PHX_RUNQ_NONE;
    uint32_t test = phx_runq_test(&c->queue, position);
    return test < phx_collection_count(&c->collection) ? (int64_t)test : PHX_RUNQ_NONE;
}

const char *phx_controller_node_id(const struct phx_controller *c, uint32_t position,
                                   size_t *out_size)
{
    int64_t test = phx_controller_test(c, position);
    if (test == PHX_RUNQ_NONE)
        return NULL;
    return phx_collection_node_id(&c->collection, (uint32_t)test, out_size);
}
