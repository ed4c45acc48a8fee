/* Who has too much to do, and who too little: what one machine should give another.
 *
 * Compared is the work in hand for each worker that a machine may have. The two answers fit each
 * other: what `share` has one machine give leaves it with at least as much as the other has then,
 * so the one that is to be served next, the poorest, is never the one that has just given. Were it
 * otherwise, a unit could go to and fro for ever, faster than anybody can begin it.
 *
 * Runs in the controller; pure functions. */
#ifndef PHX_SCHED_BALANCE_H
#define PHX_SCHED_BALANCE_H

#include <stdint.h>

struct phx_load {
    uint32_t room;      /* workers that the machine may have at a time; > 0 */
    uint32_t running;   /* tests that run */
    uint32_t unstarted; /* tests that it has, and nobody has begun */
};

/* Whether `a` has less in hand for each worker than `b`. */
int phx_load_is_less(const struct phx_load *a, const struct phx_load *b);

/* Whether it has fewer tests in hand than workers: somebody there waits, or will not even start. */
int phx_load_is_idle(const struct phx_load *load);

/* How many of the tests that `rich` has not begun it should give to `poor`, so that none of the two
 * has more for each worker than the other, to a test. At least one if `poor` is idle and `rich`,
 * all of whose workers are busy, has one. */
uint32_t phx_load_share(const struct phx_load *rich, const struct phx_load *poor);

#endif
