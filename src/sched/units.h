/* Units: the smallest things that move between workers.
 *
 * A unit is one test, or all tests of one scope wherever they stand in the collection. Units are
 * numbered by their first test; within a unit tests keep collection order.
 *
 *     collection   a::t0  b::t0  a::t1  b::t1  b::t2
 *     tests        [ 0  2 | 1  3  4 ]        two units: a, b
 *     start        [ 0      2        5 ]
 *
 * Runs in the controller; plain memory. */
#ifndef PHX_SCHED_UNITS_H
#define PHX_SCHED_UNITS_H

#include <stdint.h>

#include "sched/collection.h"
#include "sched/scope.h"

struct phx_units {
    uint32_t ntests;
    uint32_t nunits;
    uint32_t *tests; /* owned, [ntests]: the tests, unit after unit */
    uint32_t *start; /* owned, [nunits + 1]: where in `tests` a unit begins */
    uint64_t *cost;  /* owned, [nunits]: estimated microseconds, the sum of its tests' */
};

/* Cuts a collection into the units of a mode.
 * cost_us  [count]: estimated microseconds of each test; NULL when nothing is known: 1 for each
 * out      set on success only; the caller ends it with phx_units_fini
 * Returns  0 or -ENOMEM. */
int phx_units_make(struct phx_units *out, const struct phx_collection *tests, enum phx_dist dist,
                   const uint32_t *cost_us);

void phx_units_fini(struct phx_units *units);

/* The estimate of one test, at least 1: a unit without cost would be invisible to whoever deals. */
static inline uint32_t phx_units_test_cost(const uint32_t *cost_us, uint32_t test)
{
    return cost_us && cost_us[test] > 0 ? cost_us[test] : 1;
}

#endif
