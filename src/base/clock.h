/* Time: monotonic nanoseconds, one type for the whole engine. Runs in any process;
 * async-signal-safe. */
#ifndef PHX_BASE_CLOCK_H
#define PHX_BASE_CLOCK_H

#include <stdint.h>

typedef int64_t
    phx_ns; /* nanoseconds of CLOCK_MONOTONIC; the same for every process of a machine */

#define PHX_MS ((phx_ns)1000000)
#define PHX_S ((phx_ns)1000000000)

phx_ns phx_clock_now(void);

/* Suspends the calling thread for `duration` (interrupted early by a signal). */
void phx_clock_sleep(phx_ns duration);

#endif
