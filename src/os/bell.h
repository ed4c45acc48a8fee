/* Sleeping until a word in shared memory changes (futex).
 *
 * Runs in any process; the word may be mapped by several. */
#ifndef PHX_OS_BELL_H
#define PHX_OS_BELL_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/clock.h"

/* Sleeps while *bell is `seen`, for `timeout` at most. Returns 0 when it may have changed, also
 * without need, -ETIMEDOUT, or -EINTR when a signal came. Blocks. */
int phx_bell_wait(_Atomic uint32_t *bell, uint32_t seen, phx_ns timeout);

/* Wakes everybody who sleeps on it; the caller has changed it. */
void phx_bell_wake(_Atomic uint32_t *bell);

#endif
