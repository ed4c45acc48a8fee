/* From what was collected to a plan: which units, in what order, dealt to whom.
 *
 * The plan is only the start: idle workers steal (src/queue). What it decides for good is which
 * tests stay together and in what order a worker meets them.
 *
 * Runs in the controller; pure functions. */
#ifndef PHX_SCHED_PLANNER_H
#define PHX_SCHED_PLANNER_H

#include <stdint.h>

#include "queue/plan.h"
#include "sched/collection.h"
#include "sched/reason.h"
#include "sched/scope.h"

struct phx_planner_options {
    enum phx_dist dist;
    uint32_t nworkers; /* one span each; >= 1 */
    int reorder;       /* --loadscope-reorder: dearest scopes first; load and worksteal ignore it */
    int keep_order; /* --order=collection: nothing is started ahead of what was collected first */
    int interleave; /* repetitions of a test go to different spans (sched/repeat.h); modes that keep
                       scopes together ignore it */
    uint32_t max_chunk; /* --maxschedchunk; 0: none; only load and worksteal know it */
    /* What the history says; borrowed; 0 for what it does not know, NULL when it knows nothing. */
    const uint32_t *cost_us;  /* [tests]: microseconds of a test, all phases together */
    const uint32_t *setup_us; /* [tests]: of these, its setup phase */
    /* Borrowed, or NULL: gets the reasons on success; the caller ends them. Empty for
     * PHX_DIST_MAIL.
     */
    struct phx_reasons *out_reasons;
};

/* Makes the plan of a run.
 *
 * load, worksteal: every test is a unit; long tests first, the rest in collection order, cut into
 * contiguous pieces (sched/cut.h). With `max_chunk` chunks of so many neighbours are dealt in
 * collection order instead, each to the span with the least work so far: they start about in the
 * order of collection, and no worker gets a long row of neighbours. So are two tests for each
 * worker or fewer, one by one, as long as nothing is known of them and no set-up is shared.
 *
 * loadscope, loadfile, loadgroup: units are dealt one by one, each to the span with the least work
 * so far: with `reorder` the dearest unit first (sched/deal.h), else in the order of their first
 * tests, so that they *start* in collection order as the workers take them. A span keeps the order
 * of dealing.
 *
 * Every span has a unit as long as there are enough; the spans of workers for whom there is none
 * are empty, and they are the last ones. (Not with `interleave`: two repetitions are two spans'.)
 *
 * out      set on success only; the caller ends it with phx_plan_fini
 * Returns  0, -ENOMEM, or -EINVAL without workers. */
int phx_planner_make(struct phx_plan *out, const struct phx_collection *tests,
                     const struct phx_planner_options *options);

#endif
