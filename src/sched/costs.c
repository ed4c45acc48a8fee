#include "sched/costs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sched/units.h"

struct mean {
    uint64_t sum;
    uint32_t count;
};

static void add_known(struct mean *mean, uint32_t cost_us)
{
    mean->sum += cost_us;
    mean->count += cost_us > 0;
}

/* At least 1: a test without cost would be invisible to whoever deals. */
static uint32_t mean_of(const struct mean *mean)
{
    uint64_t value = mean->sum / mean->count;
    return value > 0 ? (uint32_t)value : 1;
}

/* Gives the tests that the history does not know the mean of their file, else of the suite. */
static int fill_unknown(struct phx_costs *e, const struct phx_collection *tests,
                        const uint32_t *cost_us, const struct mean *suite)
{
    struct phx_units files;
    int status = phx_units_make(&files, tests, PHX_DIST_LOADFILE, NULL);
    if (status < 0)
        return status;
    for (uint32_t file = 0; file < files.nunits; file++) {
        struct mean known = {0};
        for (uint32_t at = files.start[file]; at < files.start[file + 1]; at++)
            add_known(&known, cost_us[files.tests[at]]);
        uint32_t mean = mean_of(known.count > 0 ? &known : suite);
        for (uint32_t at = files.start[file]; at < files.start[file + 1]; at++) {
            uint32_t test = files.tests[at];
            if (cost_us[test] > 0)
                continue;
            e->cost_us[test] = mean;
            e->from[test] = known.count > 0 ? PHX_COST_FILE : PHX_COST_SUITE;
        }
    }
    phx_units_fini(&files);
    return 0;
}

int phx_costs_make(struct phx_costs *out, const struct phx_collection *tests,
                   const uint32_t *cost_us)
{
    uint32_t count = phx_collection_count(tests);
    struct phx_costs made = {0};
    struct mean suite = {0};
    made.cost_us = malloc((count + (size_t)1) * sizeof *made.cost_us);
    made.from = malloc(count + (size_t)1);
    int status = made.cost_us && made.from ? 0 : -ENOMEM;
    if (status < 0)
        goto out;
    for (uint32_t test = 0; test < count; test++) {
        uint32_t cost = cost_us ? cost_us[test] : 0;
        add_known(&suite, cost);
        made.cost_us[test] = cost > 0 ? cost : 1;
        made.from[test] = cost > 0 ? PHX_COST_HISTORY : PHX_COST_NONE;
    }
    made.known = suite.count > 0;
    if (made.known && suite.count < count)
        status = fill_unknown(&made, tests, cost_us, &suite);
    if (status < 0)
        goto out;
    for (uint32_t test = 0; test < count; test++)
        made.total_us += made.cost_us[test];
    made.mean_us = count > 0 && made.total_us > count ? (uint32_t)(made.total_us / count) : 1;
    *out = made;
    made = (struct phx_costs){0};
out:
    phx_costs_fini(&made);
    return status;
}

void phx_costs_fini(struct phx_costs *costs)
{
    free(costs->cost_us);
    free(costs->from);
    *costs = (struct phx_costs){0};
}
