#include "sched/cut.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A test is long when it costs more than this part of a fair share, and more than so many tests do
 * on average: whatever is shorter may come last without being noticed. Chosen with the simulator
 * (docs/design/scheduling.md). */
enum { LONG_PART_OF_SHARE = 20, LONG_MEANS = 2 };

/* ---- the long ones ---- */

/* Puts the long tests in front of the sequence and all others, in collection order, behind them.
 * Returns how many are long. */
static uint32_t part(struct phx_deal *deal, const struct phx_units *units,
                     const struct phx_costs *costs, const struct phx_cut_options *options)
{
    uint64_t share = costs->total_us / options->nspans, nlong = 0;
    uint64_t limit = (uint64_t)LONG_MEANS * costs->mean_us;
    if (limit < share / LONG_PART_OF_SHARE)
        limit = share / LONG_PART_OF_SHARE;
    if (!costs->known || !options->long_first || options->nspans == 1)
        limit = UINT64_MAX;
    for (uint32_t unit = 0; unit < units->nunits; unit++)
        nlong += costs->cost_us[units->tests[unit]] > limit;
    uint32_t at_long = 0, at_rest = (uint32_t)nlong;
    for (uint32_t unit = 0; unit < units->nunits; unit++) {
        int is_long = costs->cost_us[units->tests[unit]] > limit;
        deal->sequence[is_long ? at_long++ : at_rest++] = unit;
    }
    return (uint32_t)nlong;
}

/* ---- the rest ---- */

static int compare_loads(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* The level to which spans are filled: where the room below it, above what each has, is `rest`. */
static uint64_t find_level(uint64_t *sorted, uint32_t nspans, uint64_t rest)
{
    qsort(sorted, nspans, sizeof *sorted, compare_loads);
    uint64_t below = 0, level = 0;
    for (uint32_t span = 0; span < nspans; span++) {
        below += sorted[span];
        level = (rest + below + span) / (span + 1);
        if (span + 1 == nspans || level <= sorted[span + 1])
            break;
    }
    return level;
}

struct rest {
    const uint32_t *units; /* [count], in collection order */
    const uint64_t *sum;   /* [count + 1]: cost of all earlier ones */
    const struct phx_seams *seams;
    const struct phx_units *all;
    uint32_t count;
};

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* First place in [lo, hi] before which lies at least `goal`. */
static uint32_t first_at_least(const struct rest *rest, uint32_t lo, uint32_t hi, uint64_t goal)
{
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (rest->sum[mid] < goal)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Where in [lo, hi] to cut so that about `goal` lies before: the place where imbalance and set-ups
 * made twice cost the least together. Looks no further than the best so far is away. */
static uint32_t best_cut(const struct rest *rest, uint32_t lo, uint32_t hi, uint64_t goal)
{
    uint32_t middle = first_at_least(rest, lo, hi, goal), best = middle;
    uint64_t least = UINT64_MAX;
    for (uint32_t at = middle; at <= hi; at++) {
        uint64_t off = distance(rest->sum[at], goal);
        if (off >= least)
            break;
        uint64_t cost = off;
        if (at < rest->count)
            cost += phx_seam(rest->seams, rest->all->tests[rest->units[at]]);
        if (cost < least) {
            least = cost;
            best = at;
        }
    }
    for (uint32_t at = middle; at-- > lo;) {
        uint64_t off = distance(rest->sum[at], goal);
        if (off >= least)
            break;
        uint64_t cost = off + phx_seam(rest->seams, rest->all->tests[rest->units[at]]);
        if (cost < least) {
            least = cost;
            best = at;
        }
    }
    return best;
}

/* Cuts the rest into one piece per span. A span without a long test gets one at least, and leaves
 * one for each such span behind it. */
static void cut(uint32_t *owner, const struct rest *rest, const uint64_t *load, uint64_t level,
                uint32_t nspans)
{
    uint32_t needy = 0, from = 0;
    double room = 0, passed = 0; /* below the level; together it is the rest, but for rounding */
    for (uint32_t span = 0; span < nspans; span++) {
        needy += load[span] == 0;
        room += level > load[span] ? (double)(level - load[span]) : 0;
    }
    for (uint32_t span = 0; span < nspans && from < rest->count; span++) {
        int needs = load[span] == 0;
        needy -= (uint32_t)needs;
        uint32_t lo = from + (uint32_t)needs;
        uint32_t hi = rest->count - from > needy ? rest->count - needy : from;
        if (hi < lo)
            hi = lo;
        passed += level > load[span] ? (double)(level - load[span]) : 0;
        uint64_t goal = (uint64_t)((double)rest->sum[rest->count] * passed / room + 0.5);
        uint32_t to = span + 1 == nspans ? rest->count : best_cut(rest, lo, hi, goal);
        while (from < to)
            owner[from++] = span;
    }
}

int phx_cut_deal(struct phx_deal *deal, const struct phx_units *units,
                 const struct phx_costs *costs, const struct phx_seams *seams,
                 const struct phx_cut_options *options, uint32_t *out_nlong)
{
    uint32_t nlong = part(deal, units, costs, options), nspans = options->nspans;
    struct rest rest = {.units = deal->sequence + nlong,
                        .seams = seams,
                        .all = units,
                        .count = units->nunits - nlong};
    uint64_t *load = calloc(nspans, sizeof *load), *sorted = malloc(nspans * sizeof *sorted);
    uint64_t *sum = malloc((rest.count + (size_t)1) * sizeof *sum);
    int status = load && sorted && sum ? 0 : -ENOMEM;
    if (status == 0)
        status = phx_deal_dearest_first(deal->sequence, nlong, units->cost);
    if (status == 0)
        status = phx_deal_to_least_loaded(deal, nlong, units->cost, load, nspans);
    if (status < 0)
        goto out;
    sum[0] = 0;
    for (uint32_t at = 0; at < rest.count; at++)
        sum[at + 1] = sum[at] + units->cost[rest.units[at]];
    rest.sum = sum;
    memcpy(sorted, load, nspans * sizeof *sorted);
    cut(deal->owner + nlong, &rest, load, find_level(sorted, nspans, sum[rest.count]), nspans);
    *out_nlong = nlong;
out:
    free(load);
    free(sorted);
    free(sum);
    return status;
}
