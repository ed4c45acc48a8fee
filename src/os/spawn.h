/* Starting a program. */
#ifndef PHX_OS_SPAWN_H
#define PHX_OS_SPAWN_H

#include <sys/types.h>

#include "base/err.h"

struct phx_spawn_fd {
    int from; /* descriptor here */
    int to;   /* number it gets in the program */
};

struct phx_spawn {
    const char *const *argv;        /* NULL-terminated; argv[0] is a path, not searched in PATH */
    const char *const *environment; /* NULL-terminated "NAME=value"; NULL: the caller's own */
    const char *directory;          /* working directory; NULL: the caller's own */
    const struct phx_spawn_fd *fds; /* all other descriptors above 2 are closed in the program */
    size_t nfds;
    int new_group;       /* becomes the leader of a process group of its own */
    int die_with_parent; /* SIGKILL when the calling *thread* ends (PR_SET_PDEATHSIG): a second line
                            only */
    int hold_interrupts; /* SIGINT is blocked there, until the program says that it can take one */
};

/* Starts a program with default signal handling and, but for what hold_interrupts says, an empty
 * signal mask. A failed exec, directory
 * or descriptor is reported here, by value, not as an exit status. out_pid, out_pidfd   set on
 * success only; the pidfd (CLOEXEC) and the duty to reap are the caller's Returns              0,
 * or a negative code with *err filled: which step, which path Safe in a process with threads and
 * much memory: no fork of its pages (vfork). Allocates nothing between vfork and exec. */
int phx_spawn(const struct phx_spawn *what, pid_t *out_pid, int *out_pidfd, struct phx_err *err);

#endif
