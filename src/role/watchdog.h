/* A watchdog for the process that reports: says where it is when it does not get on with one event.
 *
 * A plugin's hook that waits for a lock or a network keeps all results back, and the run looks as
 * if a test hung. A thread looks on, which needs neither the interpreter nor its lock: a hook that
 * holds the lock in C is seen as well. It only tells: one line, and a signal to the thread that is
 * watched, whose handler (Python's faulthandler) writes the stacks.
 *
 * Time in which the whole process is stopped does not count.
 *
 * Runs in the controller, in the thread that called phx_watchdog_start, but for the thread itself.
 */
#ifndef PHX_ROLE_WATCHDOG_H
#define PHX_ROLE_WATCHDOG_H

#include <stdint.h>

#include "base/clock.h"

struct phx_watchdog;

/* Watches the calling thread. `stack_signal` is sent to it after the line was written to `fd`
 * (borrowed); 0: no signal. Returns 0 with *out_dog set, ended by phx_watchdog_stop, or -errno. */
int phx_watchdog_start(struct phx_watchdog **out_dog, phx_ns patience, int stack_signal, int fd);

/* The thread is busy with `event` (copied) of worker `number` (-1: of the zygote) from now on. */
void phx_watchdog_busy(struct phx_watchdog *dog, const char *event, int32_t number);

/* It waits for the next one: for as long as it likes. */
void phx_watchdog_idle(struct phx_watchdog *dog);

/* Ends and joins the thread. NULL is fine. Does not wait for longer than a write takes. */
void phx_watchdog_stop(struct phx_watchdog *dog);

#endif
