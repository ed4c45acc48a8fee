#include "role/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "os/spawn.h"
#include "os/sweep.h"
#include "role/guard_impl.h"
#include "wire/msg.h"

enum {
    CHANNEL_FD = 3,         /* the number under which a zygote finds its channel */
    OUTBOX_BYTES = 1 << 20, /* with more unread the guard neither reads nor reaps */
    GRACE_MS_MAX = 3600000,
};

static const phx_ns LOOK_AGAIN = 10 * PHX_MS; /* how often, while something is to end */

/* ---- what guard_end.c uses too ---- */

int phx_pids_hold(const struct phx_pids *pids, pid_t pid)
{
    for (size_t i = 0; i < pids->count; i++)
        if (pids->at[i] == pid)
            return 1;
    return 0;
}

int phx_pids_add(struct phx_pids *pids, pid_t pid)
{
    if (phx_pids_hold(pids, pid))
        return 0;
    if (pids->count == pids->capacity) {
        size_t capacity = pids->capacity ? 2 * pids->capacity : 64;
        pid_t *at = realloc(pids->at, capacity * sizeof *at);
        if (!at)
            return -ENOMEM;
        pids->at = at;
        pids->capacity = capacity;
    }
    pids->at[pids->count++] = pid;
    return 0;
}

void phx_guard_doom(struct phx_guard *g, const char *why)
{
    if (!g->doom)
        g->doom = why;
}

void phx_guard_post(struct phx_guard *g, uint16_t type, int encoded, int fd)
{
    if (encoded < 0)
        phx_fd_close(&fd);
    else
        encoded = phx_outbox_put(&g->out, type, phx_buf_head(&g->body), phx_buf_size(&g->body), fd);
    phx_buf_consume(&g->body, phx_buf_size(&g->body));
    if (encoded < 0)
        phx_guard_doom(g, "no memory for a message");
}

/* ---- messages from the controller ---- */

static void refuse(struct phx_guard *g, const struct phx_err *err)
{
    struct phx_msg_text text = {.number = -1};
    snprintf(text.text, sizeof text.text, "%s", err->text);
    phx_log(PHX_LOG_INFO, "event=spawn-failed text=\"%s\"", text.text);
    phx_guard_post(g, PHX_MSG_SPAWN_FAILED, phx_msg_put_text(&g->body, &text), -1);
}

static void start_program(struct phx_guard *g, const struct phx_msg_spawn *msg, int channel)
{
    const struct phx_spawn_fd fds[] = {
        {g->null, STDIN_FILENO}, {g->null, STDOUT_FILENO}, {channel, CHANNEL_FD}};
    struct phx_spawn what = {.argv = msg->argv,
                             .environment = msg->environment,
                             .directory = msg->directory,
                             .fds = fds,
                             .nfds = sizeof fds / sizeof *fds,
                             .new_group = 1,
                             .die_with_parent = 1,
                             .hold_interrupts = 1};
    struct phx_err err;
    pid_t pid = 0;
    int pidfd = -1;
    int status = g->phase == PHX_GUARD_PHASE_SERVING
                     ? phx_spawn(&what, &pid, &pidfd, &err)
                     : phx_err_set(&err, PHX_E_STATE, "the run is ending");
    if (status < 0) {
        refuse(g, &err);
        return;
    }
    phx_log(PHX_LOG_INFO, "event=spawned child=%d program=%s", (int)pid, msg->argv[0]);
    if (phx_pids_add(&g->groups, pid) < 0)
        phx_guard_doom(g, "no memory for a group");
    phx_guard_post(g, PHX_MSG_SPAWNED, phx_msg_put_number(&g->body, (uint64_t)pid), pidfd);
}

static int take_spawn(struct phx_guard *g, const struct phx_message *message)
{
    struct phx_msg_spawn spawn;
    void *memory = NULL;
    int channel = -1;
    int status = phx_msg_get_spawn(message->body, message->size, &spawn, &memory);
    if (status == 0)
        status = phx_inbox_take_fds(&g->in, &channel, 1);
    if (status == 0)
        start_program(g, &spawn, channel);
    phx_fd_close(&channel);
    free(memory);
    return status;
}

static int take_group(struct phx_guard *g, const struct phx_message *message)
{
    uint64_t group;
    int status = phx_msg_get_number(message->body, message->size, &group);
    if (status < 0)
        return status;
    if (group <= 1 || group > INT_MAX || (pid_t)group == getpgrp())
        return PHX_E_PROTO;
    return phx_pids_add(&g->groups, (pid_t)group);
}

static int take_end(struct phx_guard *g, const struct phx_message *message)
{
    uint64_t grace_ms;
    int status = phx_msg_get_number(message->body, message->size, &grace_ms);
    if (status == 0)
        phx_guard_begin_end(g,
                            (phx_ns)(grace_ms < GRACE_MS_MAX ? grace_ms : GRACE_MS_MAX) * PHX_MS);
    return status;
}

static int take_message(struct phx_guard *g, const struct phx_message *message)
{
    switch (message->type) {
    case PHX_MSG_SPAWN:
        return take_spawn(g, message);
    case PHX_MSG_GROUP:
        return take_group(g, message);
    case PHX_MSG_END:
        return take_end(g, message);
    default:
        return PHX_E_PROTO;
    }
}

static void read_control(struct phx_guard *g)
{
    struct phx_message message;
    int got = phx_inbox_read(&g->in, g->control);
    if (got == -EAGAIN || got == -EINTR)
        return;
    int status = got;
    while (status > 0 && (status = phx_inbox_next(&g->in, &message)) > 0) {
        status = take_message(g, &message);
        if (status == 0)
            status = 1;
    }
    if (got == 0)
        phx_guard_doom(g, "the controller closed its socket");
    else if (status < 0)
        phx_guard_doom(g, phx_err_text(status));
}

/* ---- children and signals ---- */

static void reap(struct phx_guard *g)
{
    while (g->out.bytes < OUTBOX_BYTES) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);
        if (pid == 0 || (pid < 0 && errno != EINTR))
            return;
        if (pid < 0)
            continue;
        phx_log(PHX_LOG_DEBUG, "event=reaped child=%d status=%d", (int)pid, status);
        struct phx_msg_exit msg = {.number = -1, .pid = (uint32_t)pid, .status = status};
        phx_guard_post(g, PHX_MSG_REAPED, phx_msg_put_exit(&g->body, &msg), -1);
    }
}

static void read_signals(struct phx_guard *g)
{
    struct signalfd_siginfo info;
    while (read(g->signals, &info, sizeof info) == sizeof info)
        if (info.ssi_signo == SIGTERM)
            phx_guard_doom(g, "SIGTERM");
}

/* ---- the loop ---- */

/* Milliseconds to sleep in poll; -1: until something happens. */
static int poll_timeout(const struct phx_guard *g)
{
    if (g->phase == PHX_GUARD_PHASE_SERVING)
        return -1;
    phx_ns left = g->deadline - phx_clock_now();
    if (g->phase != PHX_GUARD_PHASE_LEAVING && left > LOOK_AGAIN)
        left = LOOK_AGAIN;
    return left <= 0 ? 0 : (int)((left + PHX_MS - 1) / PHX_MS);
}

static void wait_and_read(struct phx_guard *g)
{
    int full = g->out.bytes >= OUTBOX_BYTES;
    struct pollfd polled[] = {
        {.fd = g->controller, .events = POLLIN},
        {.fd = g->signals, .events = POLLIN},
        {.fd = g->control, .events = (short)((full ? 0 : POLLIN) | (g->out.first ? POLLOUT : 0))},
    };
    if (poll(polled, 3, poll_timeout(g)) < 0) {
        if (errno != EINTR)
            phx_guard_doom(g, "poll failed");
        return;
    }
    if (polled[0].revents)
        phx_guard_doom(g, "the controller ended");
    if (polled[1].revents)
        read_signals(g);
    if (polled[2].revents & POLLIN)
        read_control(g);
    else if (polled[2].revents & (POLLHUP | POLLERR | POLLNVAL))
        phx_guard_doom(g, "the controller closed its socket");
}

static void serve(struct phx_guard *g)
{
    while (!g->doom && g->phase != PHX_GUARD_PHASE_OVER) {
        wait_and_read(g);
        if (g->doom)
            return;
        if (g->phase > PHX_GUARD_PHASE_SERVING && g->phase < PHX_GUARD_PHASE_LEAVING)
            phx_guard_step_end(g);
        reap(g); /* after the step: what it saw dead is told before the farewell */
        int unsent = phx_outbox_flush(&g->out, g->control);
        if (unsent < 0 && unsent != -EAGAIN)
            phx_guard_doom(g, "the controller cannot be written to");
        if (g->phase == PHX_GUARD_PHASE_LEAVING && (unsent == 0 || phx_clock_now() >= g->deadline))
            g->phase = PHX_GUARD_PHASE_OVER;
    }
}

/* SIGTERM and SIGCHLD are read from a descriptor. What a terminal or a broken pipe sends must not
 * end or stop the guard: it is gone last. (phx_spawn gives programs the defaults back.) */
static int take_signals(void)
{
    static const int ignored[] = {SIGINT,  SIGQUIT, SIGHUP,  SIGPIPE, SIGTSTP,
                                  SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGALRM};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* ignored, it would take the statuses from waitpid */
    sigset_t read_here;
    sigemptyset(&read_here);
    sigaddset(&read_here, SIGTERM);
    sigaddset(&read_here, SIGCHLD);
    if (sigprocmask(SIG_SETMASK, &read_here, NULL) < 0) // NOLINT(concurrency-mt-unsafe): one thread
        return -errno;
    int fd = signalfd(-1, &read_here, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

/* /proc must be there and show this process under the number that it has for itself. */
static int check_proc(void)
{
    char self[32];
    ssize_t size = readlink("/proc/self", self, sizeof self - 1);
    if (size < 0)
        return -errno;
    self[size] = '\0';
    return strtol(self, NULL, 10) == getpid() ? 0 : PHX_E_PLATFORM;
}

static int prepare(struct phx_guard *g, struct phx_err *err)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return phx_err_set(err, -errno, "cannot become a child subreaper");
    int status = check_proc();
    if (status < 0)
        return phx_err_set(err, status, "/proc does not show this process");
    g->signals = take_signals();
    if (g->signals < 0)
        return phx_err_set(err, g->signals, "cannot read signals from a descriptor");
    g->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (g->null < 0)
        return phx_err_set(err, -errno, "cannot open /dev/null");
    status = phx_fd_set_nonblocking(g->control, 1);
    if (status == 0)
        status = phx_fd_set_cloexec(g->control, 1);
    if (status == 0)
        status = phx_fd_set_cloexec(g->controller, 1);
    if (status < 0)
        return phx_err_set(err, status, "cannot use the descriptors given");
    struct phx_msg_hello hello = {
        .version = PHX_PROTOCOL_VERSION, .pid = (uint32_t)getpid(), .role = "guard"};
    phx_guard_post(g, PHX_MSG_HELLO, phx_msg_put_hello(&g->body, &hello), -1);
    return 0;
}

static void fini(struct phx_guard *g)
{
    phx_inbox_fini(&g->in);
    phx_outbox_fini(&g->out);
    phx_buf_fini(&g->body);
    free(g->groups.at);
    free(g->named.at);
    phx_fd_close(&g->control);
    phx_fd_close(&g->controller);
    phx_fd_close(&g->signals);
    phx_fd_close(&g->null);
}

int phx_guard_run(int control, int controller)
{
    struct phx_guard g = {.control = control, .controller = controller, .signals = -1, .null = -1};
    phx_inbox_init(&g.in);
    phx_outbox_init(&g.out);
    phx_buf_init(&g.body);
    struct phx_err err;
    int status = PHX_GUARD_ENDED;
    if (prepare(&g, &err) < 0) {
        fprintf(stderr, "phalanx-guard: %s\n", err.text);
        status = PHX_GUARD_REFUSED;
        goto out;
    }
    serve(&g);
    if (g.doom) {
        phx_log(PHX_LOG_INFO, "event=kill why=\"%s\"", g.doom);
        status = PHX_GUARD_KILLED;
        int left = phx_sweep();
        if (left < 0)
            fprintf(stderr, "phalanx-guard: processes of the run are left: %s\n",
                    phx_err_text(left));
    }
out:
    fini(&g);
    return status;
}
