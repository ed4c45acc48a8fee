/* Shared memory without a name: a memfd with its blocks allocated, so that a full machine is an
 * error here and not a SIGBUS later. Runs in any process. */
#ifndef PHX_OS_SHM_H
#define PHX_OS_SHM_H

#include <stddef.h>

#include "base/err.h"

/* A sealed-size, zeroed memfd (CLOEXEC) of `size` bytes. Returns the descriptor or a negative code.
 */
int phx_shm_create(const char *name, size_t size, struct phx_err *err);

/* An empty memfd (CLOEXEC) that grows by writing: captured output. Returns the descriptor or
 * -errno. */
int phx_shm_file(const char *name, struct phx_err *err);

/* Maps all of a memfd, shared, readable and writable. With `only_here` children of this process do
 * not get the mapping (MADV_DONTFORK). Returns 0 or a negative code; outputs set on success only.
 */
int phx_shm_map(int fd, int only_here, void **out_mem, size_t *out_size, struct phx_err *err);

void phx_shm_unmap(void *mem, size_t size); /* mem may be NULL */

#endif
