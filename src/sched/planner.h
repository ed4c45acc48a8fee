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
#include "sched/scope.h"

struct phx_planner_options {
    enum phx_dist dist;
    uint32_t nworkers; /* one span each; >= 1 */
    int reorder;       /* --loadscope-reorder: largest scopes first; load and worksteal ignore it */
    const uint32_t
        *cost_us;   /* borrowed, [tests]: estimated microseconds; NULL: unknown, all equal */
    int interleave; /* repetitions of a test go to different spans (sched/repeat.h); modes that keep
                       scopes together ignore it */
};

/* Makes the plan of a run.
 *
 * load, worksteal: every test is a unit; collection order, cut into contiguous spans of about equal
 * cost: none costs more than a fair share and its dearest test.
 *
 * loadscope, loadfile, loadgroup: units are dealt one by one, each to the span with the least work
 * so far (the lower number first): with `reorder` the dearest unit first (longest processing time:
 * at most 4/3 of the best makespan), else in the order of their first tests, so that they *start*
 * in collection order as the workers take them. A span keeps the order of dealing.
 *
 * Every span has a unit as long as there are enough; the spans of workers for whom there is none
 * are empty, and they are the last ones. (Not with `interleave`: two repetitions are two spans'.)
 *
 * out      set on success only; the caller ends it with phx_plan_fini
 * Returns  0, -ENOMEM, or -EINVAL without workers. */
int phx_planner_make(struct phx_plan *out, const struct phx_collection *tests,
                     const struct phx_planner_options *options);

#endif
