/* Processes by descriptor: a pidfd names one process for as long as it is held, dead or alive, so a
 * recycled pid can never be hit. Linux 5.4. Runs in any process. */
#ifndef PHX_OS_PIDFD_H
#define PHX_OS_PIDFD_H

#include <sys/types.h>

#include "base/clock.h"
#include "base/err.h"

/* Opens a pidfd (CLOEXEC) on a process that the caller knows not to be reaped yet: its child, or
 * itself. Returns the descriptor, or -errno; for -ENOSYS and -EPERM (an old kernel, a seccomp
 * filter) *err says so and PHX_E_PLATFORM is returned. */
int phx_pidfd_open(pid_t pid, struct phx_err *err);

/* Waits until the process has ended, at most `timeout` (< 0: for ever). Returns 1 ended, 0 not,
 * -errno. */
int phx_pidfd_wait(int pidfd, phx_ns timeout);

/* Sends a signal. Returns 0, -ESRCH when it has been reaped, or -errno. */
int phx_pidfd_signal(int pidfd, int signal_number);

/* Reaps the caller's own child, which must have ended. out_status as of waitpid.
 * Returns 0, -ECHILD when it is not ours (any more), or -errno. */
int phx_pidfd_reap(int pidfd, int *out_status);

#endif
