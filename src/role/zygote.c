#include "role/zygote.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "os/pidfd.h"
#include "os/shm.h"
#include "wire/msg.h"

static const struct phx_birth no_birth = {.channel = {-1, -1}, .out = -1, .err = -1, .faults = -1};

static void close_birth(struct phx_birth *birth)
{
    phx_fd_close(&birth->channel[0]);
    phx_fd_close(&birth->channel[1]);
    phx_fd_close(&birth->out);
    phx_fd_close(&birth->err);
    phx_fd_close(&birth->faults);
}

int phx_zygote_send(struct phx_zygote *zygote, uint16_t type, const void *body, size_t size)
{
    return phx_frame_write(zygote->channel, type, body, size, NULL, 0);
}

/* The guard starts it with SIGINT blocked. */
static void let_interrupts_through(void)
{
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &interrupt, NULL);
}

int phx_zygote_open(struct phx_zygote *zygote, int channel, struct phx_err *err)
{
    let_interrupts_through();
    phx_log_role("zygote");
    *zygote = (struct phx_zygote){.channel = channel, .birth = no_birth};
    phx_inbox_init(&zygote->in);
    struct phx_msg_hello hello = {
        .version = PHX_PROTOCOL_VERSION, .pid = (uint32_t)getpid(), .role = "zygote"};
    struct phx_buf body;
    phx_buf_init(&body);
    int status = phx_fd_set_cloexec(channel, 1);
    if (status == 0)
        status = phx_msg_put_hello(&body, &hello);
    if (status == 0)
        status = phx_zygote_send(zygote, PHX_MSG_HELLO, phx_buf_head(&body), phx_buf_size(&body));
    phx_buf_fini(&body);
    return status < 0 ? phx_err_set(err, status, "cannot say hello to the controller") : 0;
}

/* Reaps children that have ended and tells the controller how. */
static int reap_ended(struct phx_zygote *zygote)
{
    int result = 0;
    for (size_t i = 0; i < zygote->nchildren && result == 0;) {
        struct phx_zygote_child *child = &zygote->children[i];
        if (phx_pidfd_wait(child->pidfd, 0) != 1) {
            i++;
            continue;
        }
        struct phx_msg_exit msg = {.number = (int32_t)child->number, .pid = (uint32_t)child->pid};
        int reaped = phx_pidfd_reap(child->pidfd, &msg.status);
        if (reaped == -EAGAIN) { /* a tracer (strace -f) gets its status first */
            phx_clock_sleep(PHX_MS);
            i++;
            continue;
        }
        phx_fd_close(&child->pidfd);
        *child = zygote->children[--zygote->nchildren];
        if (reaped < 0)
            continue; /* somebody's waitpid(-1) was faster: the controller will say "unknown" */
        phx_log(PHX_LOG_INFO, "event=reaped worker=%d status=%d", msg.number, msg.status);
        struct phx_buf body;
        phx_buf_init(&body);
        result = phx_msg_put_exit(&body, &msg);
        if (result == 0)
            result =
                phx_zygote_send(zygote, PHX_MSG_EXITED, phx_buf_head(&body), phx_buf_size(&body));
        phx_buf_fini(&body);
    }
    return result;
}

/* Waits until the controller says something (1) or a child has ended (0). */
static int wait_for_news(struct phx_zygote *zygote)
{
    size_t count = zygote->nchildren + 1;
    struct pollfd *fds = calloc(count, sizeof *fds);
    if (!fds)
        return -ENOMEM;
    fds[0] = (struct pollfd){.fd = zygote->channel, .events = POLLIN};
    for (size_t i = 1; i < count; i++)
        fds[i] = (struct pollfd){.fd = zygote->children[i - 1].pidfd, .events = POLLIN};
    int ready = poll(fds, count, -1);
    int status = ready < 0 ? -errno : fds[0].revents != 0;
    free(fds);
    return status == -EINTR ? 0 : status;
}

static int take_request(const struct phx_message *msg, struct phx_zygote_request *out)
{
    *out = (struct phx_zygote_request){.type = msg->type, .value = msg->body, .size = msg->size};
    switch (msg->type) {
    case PHX_MSG_SETUP:
    case PHX_MSG_END:
        return 0;
    case PHX_MSG_FORK:
    case PHX_MSG_BECOME:
        return phx_msg_get_fork(msg->body, msg->size, &out->number, &out->value, &out->size);
    default:
        return PHX_E_PROTO;
    }
}

int phx_zygote_serve(struct phx_zygote *zygote, struct phx_zygote_request *out)
{
    for (;;) {
        struct phx_message msg;
        int status = phx_inbox_next(&zygote->in, &msg);
        if (status < 0)
            return status;
        if (status == 1)
            return take_request(&msg, out);
        status = wait_for_news(zygote);
        if (status == 1) {
            int got = phx_inbox_read(&zygote->in, zygote->channel);
            if (got == 0) { /* the controller is gone; the guard will see to the rest */
                *out = (struct phx_zygote_request){.type = PHX_MSG_END};
                return 0;
            }
            status = got == -EAGAIN || got == -EINTR || got > 0 ? 0 : got;
        }
        if (status == 0)
            status = reap_ended(zygote);
        if (status < 0)
            return status;
    }
}

int phx_zygote_prepare(struct phx_zygote *zygote, uint32_t number, struct phx_err *err)
{
    struct phx_birth birth = no_birth;
    birth.number = number;
    int status = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, birth.channel) < 0)
        status = phx_err_set(err, -errno, "cannot make a channel for worker gw%u", number);
    if (status >= 0)
        status = birth.out = phx_shm_file("phalanx-stdout", err);
    if (status >= 0)
        status = birth.err = phx_shm_file("phalanx-stderr", err);
    if (status >= 0)
        status = birth.faults = phx_shm_file("phalanx-faults", err);
    struct phx_zygote_child *children = NULL;
    if (status >= 0) {
        children = realloc(zygote->children, (zygote->nchildren + 1) * sizeof *children);
        if (!children)
            status = -ENOMEM;
    }
    if (status < 0) {
        close_birth(&birth);
        return status;
    }
    zygote->children = children; /* room for one more: nothing can fail between fork and settle */
    zygote->birth = birth;
    return 0;
}

int phx_zygote_report_failure(struct phx_zygote *zygote, uint32_t number, const char *why)
{
    struct phx_msg_text msg = {.number = (int32_t)number};
    snprintf(msg.text, sizeof msg.text, "%s", why);
    struct phx_buf body;
    phx_buf_init(&body);
    int status = phx_msg_put_text(&body, &msg);
    if (status == 0)
        status =
            phx_zygote_send(zygote, PHX_MSG_FORK_FAILED, phx_buf_head(&body), phx_buf_size(&body));
    phx_buf_fini(&body);
    return status;
}

static int announce(struct phx_zygote *zygote, const struct phx_zygote_child *child)
{
    struct phx_birth *birth = &zygote->birth;
    struct phx_msg_forked msg = {.number = child->number, .pid = (uint32_t)child->pid};
    int fds[] = {child->pidfd, birth->channel[0], birth->out, birth->err, birth->faults};
    struct phx_buf body;
    phx_buf_init(&body);
    int status = phx_msg_put_forked(&body, &msg);
    if (status == 0)
        status = phx_frame_write(zygote->channel, PHX_MSG_FORKED, phx_buf_head(&body),
                                 phx_buf_size(&body), fds, sizeof fds / sizeof *fds);
    phx_buf_fini(&body);
    return status;
}

int phx_zygote_settle(struct phx_zygote *zygote, pid_t pid)
{
    struct phx_zygote_child child = {.number = zygote->birth.number, .pid = pid, .pidfd = -1};
    struct phx_err err = {.code = pid};
    if (pid < 0)
        phx_err_set(&err, pid, "fork failed");
    else
        child.pidfd = phx_pidfd_open(pid, &err);
    int status;
    if (child.pidfd < 0) {
        /* A child that nobody can watch must not claim tests. */
        if (pid > 0 && kill(pid, SIGKILL) == 0)
            while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                continue;
        status = phx_zygote_report_failure(zygote, child.number, err.text);
    } else {
        setpgid(pid, pid); /* as in the child: whoever comes first */
        status = announce(zygote, &child);
        zygote->children[zygote->nchildren++] = child;
    }
    close_birth(&zygote->birth);
    return status;
}

/* In the worker: had the zygote died between the fork and FORKED, the controller would have another
 * one make a worker of this number, and two would use one slot of the run queue. Until the
 * controller has its end of the channel, only the zygote and FORKED hold it: if both are gone, the
 * channel ends. What came after GO stays in `in`. */
static int wait_for_go(const struct phx_birth *birth, struct phx_inbox *in, struct phx_err *err)
{
    struct phx_message msg;
    uint64_t number = 0;
    int status, got = 1;
    while ((status = phx_inbox_next(in, &msg)) == 0 && (got > 0 || got == -EINTR))
        got = phx_inbox_read(in, birth->channel[1]);
    if (status == 0)
        status = got == 0 ? PHX_E_CLOSED : got;
    else if (status == 1)
        status =
            msg.type == PHX_MSG_GO ? phx_msg_get_number(msg.body, msg.size, &number) : PHX_E_PROTO;
    if (status == 0 && number != birth->number)
        status = PHX_E_PROTO;
    return status < 0 ? phx_err_set(err, status, "worker gw%u was not let go", birth->number) : 0;
}

static void leave_zygote(struct phx_zygote *zygote)
{
    phx_fd_close(&zygote->channel);
    phx_inbox_fini(&zygote->in);
    for (size_t i = 0; i < zygote->nchildren; i++)
        phx_fd_close(&zygote->children[i].pidfd);
    free(zygote->children);
    zygote->children = NULL;
    zygote->nchildren = 0;
    zygote->birth = no_birth;
}

/* From the zygote's channel to the worker's own. */
static int begin_worker(struct phx_zygote *zygote, struct phx_worker *worker,
                        struct phx_birth *out_birth, struct phx_err *err)
{
    struct phx_birth birth = zygote->birth;
    struct phx_inbox in;
    leave_zygote(zygote);
    phx_fd_close(&birth.channel[0]);
    phx_inbox_init(&in);
    int status = wait_for_go(&birth, &in, err);
    if (status == 0)
        status = phx_worker_arm(worker, birth.number, birth.channel[1], &in, err);
    if (status < 0) {
        phx_inbox_fini(&in);
        close_birth(&birth);
        return status;
    }
    birth.channel[1] = -1;
    *out_birth = birth;
    return 0;
}

int phx_zygote_become_worker(struct phx_zygote *zygote, struct phx_worker *worker,
                             struct phx_birth *out_birth, struct phx_err *err)
{
    setpgid(0, 0);
    return begin_worker(zygote, worker, out_birth, err);
}

int phx_zygote_turn_worker(struct phx_zygote *zygote, struct phx_worker *worker,
                           struct phx_birth *out_birth, struct phx_err *err)
{
    struct phx_zygote_child self = {.number = zygote->birth.number, .pid = getpid()};
    /* Running workers outlive a guard that is killed. */
    prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
    int status = self.pidfd = phx_pidfd_open(self.pid, err);
    if (status >= 0)
        status = announce(zygote, &self);
    phx_fd_close(&self.pidfd);
    if (status < 0) {
        close_birth(&zygote->birth);
        return status;
    }
    return begin_worker(zygote, worker, out_birth, err);
}
