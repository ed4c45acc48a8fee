#include "sched/planner.h"

#include <errno.h>
#include <stdlib.h>

#include "sched/cut.h"
#include "sched/deal.h"
#include "sched/costs.h"
#include "sched/repeat.h"
#include "sched/seam.h"
#include "sched/units.h"

/* ---- loadscope, loadfile, loadgroup; and chunks of --maxschedchunk ---- */

static int deal_units(struct phx_deal *deal, const struct phx_units *units, uint32_t nspans,
                      int dearest_first)
{
    for (uint32_t unit = 0; unit < units->nunits; unit++)
        deal->sequence[unit] = unit;
    uint64_t *load = calloc(nspans, sizeof *load);
    int status = load ? 0 : -ENOMEM;
    if (status == 0 && dearest_first)
        status = phx_deal_dearest_first(deal->sequence, units->nunits, units->cost);
    if (status == 0)
        status = phx_deal_to_least_loaded(deal, units->nunits, units->cost, load, nspans);
    free(load);
    return status;
}

/* Chunks of at most `chunk` neighbours, dealt as they come: unit i goes where its chunk goes. */
static int deal_chunks(struct phx_deal *deal, const struct phx_units *units, uint32_t nspans,
                       uint32_t chunk)
{
    uint32_t nchunks = units->nunits / chunk + (units->nunits % chunk != 0);
    struct phx_deal chunks = {0};
    uint64_t *cost = calloc(nchunks + (size_t)1, sizeof *cost);
    uint64_t *load = calloc(nspans, sizeof *load);
    int status = cost && load ? phx_deal_init(&chunks, nchunks) : -ENOMEM;
    if (status < 0)
        goto out;
    for (uint32_t unit = 0; unit < units->nunits; unit++)
        cost[unit / chunk] += units->cost[unit];
    for (uint32_t i = 0; i < nchunks; i++)
        chunks.sequence[i] = i;
    status = phx_deal_to_least_loaded(&chunks, nchunks, cost, load, nspans);
    if (status < 0)
        goto out;
    for (uint32_t unit = 0; unit < units->nunits; unit++) {
        deal->sequence[unit] = unit;
        deal->owner[unit] = chunks.owner[unit / chunk];
    }
out:
    phx_deal_fini(&chunks);
    free(cost);
    free(load);
    return status;
}

/* With this many tests for each worker or fewer, of which nothing is known, a long one may well
 * have its neighbour wait behind it; and pieces of one or two keep hardly any neighbours together.
 */
enum { FEW_FOR_EACH = 2 };

/* ---- the plan ---- */

struct draft {       /* all that a plan is made from */
    uint32_t *limit; /* owned, [units] or NULL: 0, or one more than the number of its group */
    struct phx_costs costs;
    struct phx_seams seams;
    struct phx_units units;
    struct phx_deal deal;
    uint32_t nlong;  /* of the deal's sequence, from its beginning */
    int in_turn;     /* there are few, and they were dealt in turn */
    int is_repeated; /* repetitions were dealt, and all others behind them */
};

static void draft_fini(struct draft *draft)
{
    phx_costs_fini(&draft->costs);
    phx_seams_fini(&draft->seams);
    phx_units_fini(&draft->units);
    phx_deal_fini(&draft->deal);
    free(draft->limit);
}

/* A unit belongs to the group of its tests. One whose tests belong to two groups keeps both limits
 * if it runs alone. */
static int find_limits(struct draft *draft, const struct phx_collection *tests)
{
    if (tests->nlimits == 0)
        return 0;
    draft->limit = calloc(draft->units.nunits + (size_t)1, sizeof *draft->limit);
    if (!draft->limit)
        return -ENOMEM;
    for (uint32_t unit = 0; unit < draft->units.nunits; unit++) {
        uint32_t *limit = &draft->limit[unit];
        for (uint32_t at = draft->units.start[unit]; at < draft->units.start[unit + 1]; at++) {
            uint32_t its = phx_collection_limit_of(tests, draft->units.tests[at]);
            if (its > 0)
                *limit = *limit == 0 || *limit == its ? its : 1;
        }
    }
    return 0;
}

static int allocate(struct phx_plan *plan, int has_seams)
{
    size_t count = plan->ntests ? plan->ntests : 1;
    plan->order = malloc(count * sizeof *plan->order);
    plan->unit = malloc(count * sizeof *plan->unit);
    plan->cost_us = malloc(count * sizeof *plan->cost_us);
    plan->spans = calloc(plan->nspans, sizeof *plan->spans);
    if (plan->ngroups > 0)
        plan->groups = calloc(plan->ngroups, sizeof *plan->groups);
    if (has_seams)
        plan->seam_us = malloc(count * sizeof *plan->seam_us);
    return plan->order && plan->unit && plan->cost_us && plan->spans &&
                   (plan->seam_us || !has_seams) && (plan->groups || plan->ngroups == 0)
               ? 0
               : -ENOMEM;
}

static uint32_t sum_us(uint32_t a, uint32_t b)
{
    return a < UINT32_MAX - b ? a + b : UINT32_MAX;
}

static void put_unit(struct phx_plan *plan, const struct draft *draft, uint32_t unit,
                     uint32_t *io_position)
{
    const struct phx_units *units = &draft->units;
    for (uint32_t at = units->start[unit]; at < units->start[unit + 1]; at++) {
        uint32_t test = units->tests[at], position = (*io_position)++;
        plan->order[position] = test;
        plan->unit[position] = unit;
        if (plan->seam_us)
            plan->seam_us[position] = phx_seam(&draft->seams, test);
        plan->cost_us[position] =
            sum_us(draft->costs.cost_us[test], phx_seam_opening(&draft->seams, test));
    }
}

static int is_limited(const struct draft *draft, uint32_t unit)
{
    return draft->limit && draft->limit[unit] > 0;
}

/* The groups come first, each in the order of dealing. */
static uint32_t lay_out_groups(struct phx_plan *plan, const struct draft *draft,
                               const struct phx_collection *tests)
{
    uint32_t position = 0;
    for (uint32_t group = 0; group < plan->ngroups; group++) {
        plan->groups[group].lo = position;
        for (uint32_t i = 0; i < draft->units.nunits; i++)
            if (draft->limit[draft->deal.sequence[i]] == group + 1)
                put_unit(plan, draft, draft->deal.sequence[i], &position);
        plan->groups[group].hi = position;
        plan->groups[group].permits = tests->limits[group].permits;
    }
    return position;
}

/* Lays the spans one behind the other and writes every unit at the next free place of its span. A
 * position costs what its test costs, and the set-ups that it is the first to need. */
static void lay_out(struct phx_plan *plan, const struct draft *draft,
                    const struct phx_collection *tests)
{
    const struct phx_units *units = &draft->units;
    for (uint32_t i = 0; i < units->nunits; i++) {
        uint32_t unit = draft->deal.sequence[i];
        if (!is_limited(draft, unit))
            plan->spans[draft->deal.owner[i]].hi += units->start[unit + 1] - units->start[unit];
    }
    uint32_t position = lay_out_groups(plan, draft, tests);
    for (uint32_t span = 0; span < plan->nspans; span++) {
        uint32_t size = plan->spans[span].hi;
        plan->spans[span] =
            (struct phx_plan_span){position, position}; /* hi: the next free place */
        position += size;
    }
    for (uint32_t i = 0; i < units->nunits; i++) {
        uint32_t unit = draft->deal.sequence[i];
        if (!is_limited(draft, unit))
            put_unit(plan, draft, unit, &plan->spans[draft->deal.owner[i]].hi);
    }
}

/* ---- why ---- */

static enum phx_reason_why why_of(const struct draft *draft,
                                  const struct phx_planner_options *options,
                                  const struct phx_collection *tests, uint32_t unit)
{
    if (is_limited(draft, unit))
        return draft->limit[unit] == 1 ? PHX_REASON_EXCLUSIVE : PHX_REASON_LIMITED;
    if (phx_dist_keeps_scopes(options->dist))
        return options->reorder && !options->keep_order ? PHX_REASON_DEAREST : PHX_REASON_COLLECTED;
    if (draft->is_repeated) {
        struct phx_repeat repeat;
        size_t size;
        const char *id =
            phx_collection_node_id(tests, draft->units.tests[draft->units.start[unit]], &size);
        return phx_repeat_of(id, size, &repeat) ? PHX_REASON_REPEATED : PHX_REASON_PIECE;
    }
    if (options->max_chunk > 0)
        return PHX_REASON_ROW;
    return draft->in_turn ? PHX_REASON_TURN : PHX_REASON_PIECE;
}

static int explain(struct phx_reasons *out, const struct phx_plan *plan, const struct draft *draft,
                   const struct phx_collection *tests, const struct phx_planner_options *options)
{
    struct phx_reasons reasons;
    int status = phx_reasons_init(&reasons, plan);
    uint8_t *is_long = calloc(draft->units.nunits + (size_t)1, 1);
    if (status < 0 || !is_long) {
        if (status == 0)
            phx_reasons_fini(&reasons);
        free(is_long);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < draft->nlong; i++)
        is_long[draft->deal.sequence[i]] = 1;
    for (uint32_t position = 0; position < plan->ntests; position++) {
        struct phx_reason *reason = &reasons.of[position];
        uint32_t test = plan->order[position];
        reason->cost_us = draft->costs.cost_us[test];
        reason->setup_us = phx_seam_opening(&draft->seams, test);
        reason->from = draft->costs.from[test];
        reason->why = why_of(draft, options, tests, reason->unit);
        if (reason->why == PHX_REASON_PIECE && is_long[reason->unit])
            reason->why = PHX_REASON_LONG;
    }
    free(is_long);
    *out = reasons;
    return 0;
}

/* ---- all of it ---- */

/* Whether the tests are few, nothing is known of them, and no cut costs anything. */
static int are_few(const struct draft *draft, uint32_t nspans)
{
    uint32_t count = draft->units.nunits;
    if (draft->costs.known || count <= nspans || (uint64_t)count > (uint64_t)FEW_FOR_EACH * nspans)
        return 0;
    for (uint32_t test = 0; draft->seams.seam_us && test < count; test++)
        if (draft->seams.seam_us[test] > 0)
            return 0;
    return 1;
}

static int make_draft(struct draft *draft, const struct phx_collection *tests,
                      const struct phx_planner_options *options)
{
    int status = phx_costs_make(&draft->costs, tests, options->cost_us);
    /* Where scopes stay together nothing is cut, and without history units count by their tests,
     * as in pytest-xdist. */
    int keeps_scopes = phx_dist_keeps_scopes(options->dist);
    if (status == 0 && !keeps_scopes)
        status = phx_seams_make(&draft->seams, tests, &draft->costs, options->setup_us,
                                options->nworkers);
    if (status == 0)
        status = phx_units_make(&draft->units, tests, options->dist, draft->costs.cost_us);
    if (status < 0)
        return status;
    for (uint32_t unit = 0; draft->seams.opening_us && unit < draft->units.nunits; unit++)
        for (uint32_t at = draft->units.start[unit]; at < draft->units.start[unit + 1]; at++)
            draft->units.cost[unit] += draft->seams.opening_us[draft->units.tests[at]];
    status = find_limits(draft, tests);
    if (status == 0)
        status = phx_deal_init(&draft->deal, draft->units.nunits);
    if (status < 0)
        return status;
    if (keeps_scopes)
        return deal_units(&draft->deal, &draft->units, options->nworkers,
                          options->reorder && !options->keep_order);
    if (options->interleave && phx_repeat_deal(draft->deal.sequence, draft->deal.owner,
                                               &draft->units, tests, options->nworkers)) {
        draft->is_repeated = 1;
        return 0;
    }
    if (options->max_chunk > 0)
        return deal_chunks(&draft->deal, &draft->units, options->nworkers, options->max_chunk);
    draft->in_turn = are_few(draft, options->nworkers);
    if (draft->in_turn)
        return deal_chunks(&draft->deal, &draft->units, options->nworkers, 1);
    struct phx_cut_options cut = {.nspans = options->nworkers, .long_first = !options->keep_order};
    return phx_cut_deal(&draft->deal, &draft->units, &draft->costs, &draft->seams, &cut,
                        &draft->nlong);
}

/* Who runs what is a scheduler's; of the plan only the limits are left. */
static int plan_by_mail(struct phx_plan *out, const struct phx_collection *tests, uint32_t nworkers)
{
    struct phx_plan plan;
    int status = phx_plan_by_mail(&plan, phx_collection_count(tests), nworkers);
    if (status < 0)
        return status;
    if (tests->nlimits > 0) {
        plan.groups = calloc(tests->nlimits, sizeof *plan.groups);
        plan.mail_group = calloc(plan.ntests, sizeof *plan.mail_group);
        if (!plan.groups || !plan.mail_group) {
            phx_plan_fini(&plan);
            return -ENOMEM;
        }
        plan.ngroups = tests->nlimits;
    }
    for (uint32_t i = 0; i < tests->nlimits; i++)
        plan.groups[i].permits = tests->limits[i].permits;
    for (uint32_t test = 0; tests->nlimits > 0 && test < plan.ntests; test++)
        plan.mail_group[test] = (uint16_t)phx_collection_limit_of(tests, test);
    *out = plan;
    return 0;
}

int phx_planner_make(struct phx_plan *out, const struct phx_collection *tests,
                     const struct phx_planner_options *options)
{
    if (options->nworkers == 0)
        return -EINVAL;
    if (options->out_reasons)
        *options->out_reasons = (struct phx_reasons){0};
    if (options->dist == PHX_DIST_MAIL)
        return plan_by_mail(out, tests, options->nworkers);
    if (options->dist == PHX_DIST_DEALT)
        return phx_plan_dealt(out, phx_collection_count(tests), options->nworkers);
    struct phx_plan plan = {.ntests = phx_collection_count(tests),
                            .nspans = options->nworkers,
                            .ngroups = tests->nlimits,
                            .keep_first_unit = phx_dist_keeps_scopes(options->dist)};
    struct draft draft = {0};
    int status = make_draft(&draft, tests, options);
    if (status == 0)
        status = allocate(&plan, draft.seams.seam_us != NULL);
    if (status == 0)
        lay_out(&plan, &draft, tests);
    if (status == 0 && options->out_reasons)
        status = explain(options->out_reasons, &plan, &draft, tests, options);
    if (status == 0) {
        *out = plan;
        plan = (struct phx_plan){0};
    }
    phx_plan_fini(&plan);
    draft_fini(&draft);
    return status;
}
