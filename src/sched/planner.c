#include "sched/planner.h"

#include <errno.h>
#include <stdlib.h>

#include "sched/repeat.h"
#include "sched/units.h"

/* Who gets which unit, in which order. */
struct deal {
    uint32_t *sequence; /* owned, [nunits]: units in the order of dealing */
    uint32_t *owner;    /* owned, [nunits]: the span of the unit at that place in `sequence` */
};

/* ---- contiguous spans: load, worksteal ---- */

/* Each span takes units until it has a fair share of what is left among the spans that are left.
 * Shares never grow on the way, so no span costs more than total / nspans and its last unit. */
static void deal_contiguous(struct deal *deal, const struct phx_units *units, uint32_t nspans)
{
    uint64_t left = 0;
    for (uint32_t unit = 0; unit < units->nunits; unit++) {
        deal->sequence[unit] = unit;
        left += units->cost[unit];
    }
    uint32_t next = 0;
    for (uint32_t span = 0; span < nspans && next < units->nunits; span++) {
        uint32_t spans_left = nspans - span;
        uint64_t share = left / spans_left + (left % spans_left != 0);
        uint64_t load = 0;
        do {
            load += units->cost[next];
            deal->owner[next++] = span;
        } while (load < share && units->nunits - next >= spans_left);
        left -= load;
    }
}

/* ---- list scheduling: loadscope, loadfile, loadgroup ---- */

struct ranked {
    uint64_t cost;
    uint32_t unit;
};

static int compare_dearest_first(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    if (a->cost != b->cost)
        return a->cost > b->cost ? -1 : 1;
    return a->unit < b->unit ? -1 : a->unit > b->unit; /* qsort alone is not stable */
}

static int sort_dearest_first(uint32_t *sequence, const struct phx_units *units)
{
    if (units->nunits == 0)
        return 0;
    struct ranked *ranked = malloc(units->nunits * sizeof *ranked);
    if (!ranked)
        return -ENOMEM;
    for (uint32_t unit = 0; unit < units->nunits; unit++)
        ranked[unit] = (struct ranked){units->cost[unit], unit};
    qsort(ranked, units->nunits, sizeof *ranked, compare_dearest_first);
    for (uint32_t i = 0; i < units->nunits; i++)
        sequence[i] = ranked[i].unit;
    free(ranked);
    return 0;
}

/* A span in a binary heap whose top has the least load, the lower number among equals. */
struct loaded {
    uint64_t load;
    uint32_t span;
};

static int is_lighter(const struct loaded *a, const struct loaded *b)
{
    return a->load != b->load ? a->load < b->load : a->span < b->span;
}

/* Restores the heap after its top has become heavier. */
static void sift_down(struct loaded *heap, uint32_t count)
{
    struct loaded moving = heap[0];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && is_lighter(&heap[child + 1], &heap[child]))
            child++;
        if (!is_lighter(&heap[child], &moving))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

static int deal_to_least_loaded(struct deal *deal, const struct phx_units *units, uint32_t nspans)
{
    struct loaded *heap = malloc(nspans * sizeof *heap);
    if (!heap)
        return -ENOMEM;
    for (uint32_t span = 0; span < nspans; span++) /* no load, ascending numbers: a heap already */
        heap[span] = (struct loaded){0, span};
    for (uint32_t i = 0; i < units->nunits; i++) {
        deal->owner[i] = heap[0].span;
        heap[0].load += units->cost[deal->sequence[i]];
        sift_down(heap, nspans);
    }
    free(heap);
    return 0;
}

static int deal_scopes(struct deal *deal, const struct phx_units *units,
                       const struct phx_planner_options *options)
{
    for (uint32_t unit = 0; unit < units->nunits; unit++)
        deal->sequence[unit] = unit;
    int status = options->reorder ? sort_dearest_first(deal->sequence, units) : 0;
    return status < 0 ? status : deal_to_least_loaded(deal, units, options->nworkers);
}

/* ---- the plan ---- */

static int allocate(struct phx_plan *plan)
{
    size_t count = plan->ntests ? plan->ntests : 1;
    plan->order = malloc(count * sizeof *plan->order);
    plan->unit = malloc(count * sizeof *plan->unit);
    plan->cost_us = malloc(count * sizeof *plan->cost_us);
    plan->spans = calloc(plan->nspans, sizeof *plan->spans);
    return plan->order && plan->unit && plan->cost_us && plan->spans ? 0 : -ENOMEM;
}

/* Lays the spans one behind the other and writes every unit at the next free place of its span. */
static void lay_out(struct phx_plan *plan, const struct deal *deal, const struct phx_units *units,
                    const uint32_t *cost_us)
{
    for (uint32_t i = 0; i < units->nunits; i++) {
        uint32_t unit = deal->sequence[i];
        plan->spans[deal->owner[i]].hi += units->start[unit + 1] - units->start[unit];
    }
    uint32_t position = 0;
    for (uint32_t span = 0; span < plan->nspans; span++) {
        uint32_t size = plan->spans[span].hi;
        plan->spans[span] =
            (struct phx_plan_span){position, position}; /* hi: the next free place */
        position += size;
    }
    for (uint32_t i = 0; i < units->nunits; i++) {
        uint32_t unit = deal->sequence[i];
        struct phx_plan_span *span = &plan->spans[deal->owner[i]];
        for (uint32_t at = units->start[unit]; at < units->start[unit + 1]; at++) {
            uint32_t test = units->tests[at];
            plan->order[span->hi] = test;
            plan->unit[span->hi] = unit;
            plan->cost_us[span->hi++] = phx_units_test_cost(cost_us, test);
        }
    }
}

int phx_planner_make(struct phx_plan *out, const struct phx_collection *tests,
                     const struct phx_planner_options *options)
{
    if (options->nworkers == 0)
        return -EINVAL;
    int keeps_scopes = phx_dist_keeps_scopes(options->dist);
    struct phx_plan plan = {.ntests = phx_collection_count(tests),
                            .nspans = options->nworkers,
                            .keep_first_unit = keeps_scopes};
    struct phx_units units = {0};
    struct deal deal = {0};
    int status = phx_units_make(&units, tests, options->dist, options->cost_us);
    if (status < 0)
        goto out;
    deal.sequence = malloc((units.nunits + (size_t)1) * sizeof *deal.sequence);
    deal.owner = malloc((units.nunits + (size_t)1) * sizeof *deal.owner);
    status = deal.sequence && deal.owner ? allocate(&plan) : -ENOMEM;
    if (status < 0)
        goto out;
    if (keeps_scopes)
        status = deal_scopes(&deal, &units, options);
    else if (!options->interleave ||
             !phx_repeat_deal(deal.sequence, deal.owner, &units, tests, options->nworkers))
        deal_contiguous(&deal, &units, options->nworkers);
    if (status < 0)
        goto out;
    lay_out(&plan, &deal, &units, options->cost_us);
    *out = plan;
    plan = (struct phx_plan){0};
out:
    phx_plan_fini(&plan);
    phx_units_fini(&units);
    free(deal.sequence);
    free(deal.owner);
    return status;
}
