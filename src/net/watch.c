#include "net/watch.h"

#include <errno.h>
#include <signal.h>

#include "base/fd.h"
#include "os/pidfd.h"

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct phx_watch *watch = (struct phx_watch *)poll;
    (void)status;
    (void)events;
    uv_poll_stop(poll);
    watch->gone = 1;
    watch->on_gone(watch);
}

int phx_watch_open(struct phx_watch *watch, uv_loop_t *loop, pid_t pid, int pidfd,
                   void (*on_gone)(struct phx_watch *))
{
    watch->pid = pid;
    watch->pidfd = pidfd;
    watch->gone = 0;
    watch->on_gone = on_gone;
    int status = uv_poll_init(loop, &watch->poll, pidfd);
    if (status < 0) {
        phx_fd_close(&watch->pidfd);
        return status;
    }
    return uv_poll_start(&watch->poll, UV_READABLE, on_poll);
}

int phx_watch_signal(struct phx_watch *watch, int signal_number, int group)
{
    if (watch->pidfd < 0 || watch->gone)
        return -ESRCH;
    if (!group)
        return phx_pidfd_signal(watch->pidfd, signal_number);
    /* A group has no descriptor. While its leader is not reaped the number cannot be reused, and
     * the pidfd tells whether it is: a worker that has ended is asked nothing. */
    if (phx_pidfd_wait(watch->pidfd, 0) != 0)
        return -ESRCH;
    int status = kill(-watch->pid, signal_number) == 0 ? 0 : -errno;
    /* It may have moved to another group, and with SIGKILL nothing is told twice. */
    if (status == -ESRCH || signal_number == SIGKILL)
        status = phx_pidfd_signal(watch->pidfd, signal_number);
    return status;
}

void phx_watch_close(struct phx_watch *watch, uv_close_cb on_closed)
{
    if (!uv_is_closing((uv_handle_t *)&watch->poll))
        uv_close((uv_handle_t *)&watch->poll, on_closed);
    phx_fd_close(&watch->pidfd);
}
