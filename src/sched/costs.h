/* Estimates: what each test is expected to cost, and from where that is known.
 *
 * The history knows tests that ran before. A test it does not know (new, renamed) costs what the
 * tests of its file cost on average, else those of the suite; when nothing is known every test
 * costs the same.
 *
 * Runs in the controller; plain memory. */
#ifndef PHX_SCHED_COSTS_H
#define PHX_SCHED_COSTS_H

#include <stdint.h>

#include "sched/collection.h"

enum phx_cost_from {
    PHX_COST_NONE,    /* nothing is known of any test: 1 */
    PHX_COST_SUITE,   /* the mean of all tests that are known */
    PHX_COST_FILE,    /* the mean of those of its file */
    PHX_COST_HISTORY, /* its own */
};

struct phx_costs {
    uint32_t *cost_us; /* owned, [tests]: microseconds, at least 1 */
    uint8_t *from;     /* owned, [tests]: enum phx_cost_from */
    uint64_t total_us; /* of all tests */
    uint32_t mean_us;  /* of all tests, at least 1 */
    int known;         /* something is known of at least one test */
};

/* Makes the estimates of a collection.
 * cost_us  borrowed, [tests]: what the history says; 0: unknown. NULL: it knows none
 * out      set on success only; the caller ends it with phx_costs_fini
 * Returns  0 or -ENOMEM. */
int phx_costs_make(struct phx_costs *out, const struct phx_collection *tests,
                   const uint32_t *cost_us);

void phx_costs_fini(struct phx_costs *costs);

#endif
