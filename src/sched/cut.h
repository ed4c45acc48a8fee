/* Cutting: the order and the spans of load and worksteal.
 *
 * Two goals pull against each other: nothing long may start late, and tests that share a fixture
 * should run on few workers, in the order in which they were collected. So the long tests, which
 * are few, come first and are dealt one by one; what remains is cut into one piece per worker, in
 * collection order, each as large as what its worker's long tests leave room for:
 *
 *     worker 0   │ long a ─────────────────────────── │
 *     worker 1   │ long b ──────────── │ t0 t1 t2 t3  │ t4 …
 *     worker 2   │ t4 t5 t6 ─ … ────────────────────  │
 *                                              level: all would end here
 *
 * A cut gives way to a lower seam nearby, for as much imbalance as the set-ups would cost that it
 * saves.
 *
 * Runs in the controller; plain memory. */
#ifndef PHX_SCHED_CUT_H
#define PHX_SCHED_CUT_H

#include <stdint.h>

#include "sched/deal.h"
#include "sched/costs.h"
#include "sched/seam.h"
#include "sched/units.h"

struct phx_cut_options {
    uint32_t nspans;
    int long_first; /* 0: collection order throughout */
};

/* Deals the units (one test each) to spans. Every span has a unit as long as there are enough.
 * out_nlong  set on success: how many of the sequence, from its beginning, are long
 * Returns    0 or -ENOMEM. */
int phx_cut_deal(struct phx_deal *deal, const struct phx_units *units,
                 const struct phx_costs *costs, const struct phx_seams *seams,
                 const struct phx_cut_options *options, uint32_t *out_nlong);

#endif
