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
    if (status == 0 && options->guard_path) {
        status = phx_msg_put_spawn(&c->spawn, &spawn);
        if (status == 0)
            status = start_guard(c, options->guard_path, err);
        if (status == 0)
            status = phx_controller_spawn_zygote(c, err);
    } else if (status == 0) {
        c->guard_gone = c->guard_told = 1;
        c->zygote = phx_controller_peer_new(c); /* GONE */
        status = c->zygote ? 0 : -ENOMEM;
    }
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

/* Of a node: what was taken back may be dealt again. */
static uint32_t dealt_positions(uint32_t ntests)
{
    uint64_t positions = 2 * (uint64_t)ntests + LATE_TESTS_MAX;
    return positions < PHX_PLAN_TESTS_MAX ? (uint32_t)positions : PHX_PLAN_TESTS_MAX;
}

static int make_queue(struct phx_controller *c, const struct phx_plan *plan, struct phx_err *err)
{
    uint32_t nlate = LATE_TESTS_MAX;
    int has_boxes = plan->by_mail && c->nmachines == 0;
    if (has_boxes)
        nlate = phx_post_spare_positions(plan->ntests, plan->nspans);
    else if (plan->is_dealt)
        nlate = dealt_positions(plan->ntests);
    size_t size = phx_runq_size(plan, c->members_max, nlate);
    size_t boxes_at = size;
    if (has_boxes)
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
    if (status == 0 && has_boxes)
        status = phx_post_new(&c->post, &c->queue, (char *)mem + boxes_at);
    if (status < 0) {
        phx_heard_fini(&c->heard);
        phx_shm_unmap(mem, mem ? mapped : 0);
        phx_fd_close(&fd);
        return status;
    }
    c->planned_at = phx_clock_now();
    phx_runq_set_epoch(&c->queue, c->planned_at);
    c->queue_fd = fd;
    c->queue_mem = mem;
    c->queue_size = mapped;
    return 0;
}

/* On machines the run queue is a ledger: nobody claims from it, the plan is for the dealer. */
static int plan_fleet(struct phx_controller *c, struct phx_plan *plan, struct phx_reasons *reasons,
                      struct phx_err *err)
{
    struct phx_plan ledger = {0};
    if (plan->ngroups > 0)
        return phx_err_set(err, PHX_E_APART,
                           "tests are marked phalanx_exclusive or phalanx_limit: run these without "
                           "--tx, and the others with -m 'not phalanx_exclusive and not "
                           "phalanx_limit'");
    int status = reasons && reasons->of ? phx_reasons_by_test(reasons, plan) : 0;
    if (status == 0)
        status = phx_plan_by_mail(&ledger, plan->ntests, plan->nspans);
    if (status < 0)
        return status;
    status = make_queue(c, &ledger, err);
    phx_plan_fini(&ledger);
    return status < 0 ? status : phx_fleet_begin(c, plan);
}

static int plan_queue(struct phx_controller *c, const struct phx_planner_options *options,
                      struct phx_err *err)
{
    struct phx_plan plan = {0};
    int status = phx_planner_make(&plan, &c->collection, options);
    if (status < 0)
        return phx_err_set(err, status, "cannot plan the run");
    status = c->nmachines > 0 ? plan_fleet(c, &plan, options->out_reasons, err)
                              : make_queue(c, &plan, err);
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
    c->has_costs = options->cost_us != NULL;
    status = plan_queue(c, options, err);
    if (status < 0 && recruits) { /* it can be tried again */
        free(c->members);
        c->members = NULL;
        c->members_max = 0;
    }
    if (status < 0)
        return status;
    c->dist = options->dist;
    if (c->forked_at)
        c->forked_at = phx_clock_now(); /* they have only collected */
    for (uint32_t i = 0; i < c->members_max; i++)
        if (c->members[i] && c->members[i]->state == PHX_MEMBER_DOWN)
            phx_runq_bury(&c->queue, i, NULL); /* its span is anyone's */
    if (options->dist != PHX_DIST_DEALT)       /* there is nothing to claim yet */
        phx_controller_settle_all(c);
    return 0;
}

uint32_t phx_controller_active(const struct phx_controller *c)
{
    /* Of whom there may be more to tell; who will be asked for. */
    return c->nactive + (c->told != NULL) + (phx_fleet_is_busy(c) != 0);
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

/* ---- closing ---- */

static void close_list(struct phx_zygote_peer *peer)
{
    for (; peer; peer = peer->next) {
        if (peer->channel.fd >= 0) /* else it was closed before, or never opened */
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
    phx_fleet_free(c);
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
        if (c->members[i] && c->members[i]->state == PHX_MEMBER_UP && !c->members[i]->machine)
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
    phx_fleet_close(c);
    uv_close((uv_handle_t *)&c->timer, NULL);
    while (uv_run(&c->loop, UV_RUN_DEFAULT) != 0) {
    }
    uv_loop_close(&c->loop);
    free_everything(c);
}
