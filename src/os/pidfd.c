#include "os/pidfd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The C libraries of the systems we run on are often older than the kernel: glibc wraps these from
 * 2.36 on, musl not at all. The numbers are the same on every architecture but alpha. */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
static const idtype_t WAIT_PIDFD = (idtype_t)3; /* P_PIDFD */

int phx_pidfd_open(pid_t pid, struct phx_err *err)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0); /* always CLOEXEC */
    if (fd >= 0)
        return fd;
    if (errno == ENOSYS || errno == EPERM)
        return phx_err_set(err, PHX_E_PLATFORM,
                           "pidfd_open is refused (it needs Linux 5.4 or later and a seccomp "
                           "filter that allows it): %s",
                           phx_err_text(-errno));
    return phx_err_set(err, -errno, "cannot open a pidfd on process %d", (int)pid);
}

int phx_pidfd_wait(int pidfd, phx_ns timeout)
{
    phx_ns deadline = timeout < 0 ? 0 : phx_clock_now() + timeout;
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    for (;;) {
        phx_ns left = timeout < 0 ? 0 : deadline - phx_clock_now();
        if (left < 0)
            left = 0;
        struct timespec pause = {.tv_sec = left / PHX_S, .tv_nsec = left % PHX_S};
        int ready = ppoll(&ended, 1, timeout < 0 ? NULL : &pause, NULL);
        if (ready > 0 && (ended.revents & POLLNVAL))
            return -EBADF;
        if (ready >= 0)
            return ready;
        if (errno != EINTR)
            return -errno;
    }
}

int phx_pidfd_signal(int pidfd, int signal_number)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0) == 0 ? 0 : -errno;
}

int phx_pidfd_reap(int pidfd, int *out_status)
{
    siginfo_t info = {0};
    /* WNOHANG: a caller that is wrong about the end gets an answer, not a hang. */
    while (waitid(WAIT_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0)
        if (errno != EINTR)
            return -errno;
    if (info.si_pid == 0)
        return -EAGAIN;
    /* waitid takes the status apart; put it back together as waitpid gives it. */
    if (info.si_code == CLD_EXITED)
        *out_status = (info.si_status & 0xff) << 8;
    else
        *out_status = (info.si_status & 0x7f) | (info.si_code == CLD_DUMPED ? 0x80 : 0);
    return 0;
}
