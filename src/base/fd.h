/* File descriptors: closing, whole reads and writes, and handing descriptors to another process.
 * Runs in any process; every function here is async-signal-safe. */
#ifndef PHX_BASE_FD_H
#define PHX_BASE_FD_H

#include <stddef.h>
#include <sys/types.h>

enum { PHX_FDS_MAX = 8 }; /* most descriptors that travel with one message */

/* Closes *fd if it is open and sets it to -1. errno is kept. */
void phx_fd_close(int *fd);

/* Writes all of `bytes` to a blocking descriptor, going on after EINTR; on a non-blocking one it
 * waits with poll. `fds` (may be NULL when nfds is 0) travel with the first byte of a Unix socket;
 * they stay open here. Never raises SIGPIPE on a socket. Returns 0, -EPIPE when the peer is gone,
 * or -errno. */
int phx_fd_write_all(int fd, const void *bytes, size_t size, const int *fds, size_t nfds);

/* Reads up to `size` bytes, and the descriptors that came with them, from a Unix socket. fds must
 * hold PHX_FDS_MAX; they arrive CLOEXEC and belong to the caller. Does not go on after EINTR.
 * Returns the bytes read, 0 at end of file, or -errno (-EAGAIN when a non-blocking socket is
 * empty). */
ssize_t phx_fd_read_fds(int fd, void *bytes, size_t size, int *fds, size_t *out_nfds);

/* Opens /dev/null on those of the descriptors 0 to 2 that are closed, so that nothing opened next
 * gets one of these numbers, which others overwrite. `out` holds what was opened (-1 for the rest),
 * for phx_fd_close later. */
void phx_fd_fill_standard(int out[3]);

/* Sets or clears O_NONBLOCK. Returns 0 or -errno. */
int phx_fd_set_nonblocking(int fd, int on);

/* Sets or clears FD_CLOEXEC. Returns 0 or -errno. */
int phx_fd_set_cloexec(int fd, int on);

#endif
