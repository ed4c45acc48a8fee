#include "sched/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A test with the key of its scope, for sorting equal keys together.
 *
 * Sorted by hash first, so that a comparison seldom reads the text, and by the text last: ids
 * chosen to collide cost comparisons, never more than n log n of them. A hash table would need a
 * secret seed for the same promise. */
struct keyed {
    uint64_t hash;
    const char *key;
    uint32_t size;
    uint32_t test;
};

static uint64_t fnv1a(const char *bytes, size_t size)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
    return hash;
}

static int compare_keys(const struct keyed *a, const struct keyed *b)
{
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    return a->key == b->key || a->size == 0 ? 0 : memcmp(a->key, b->key, a->size);
}

static int compare_keyed(const void *left, const void *right)
{
    const struct keyed *a = left, *b = right;
    int order = compare_keys(a, b);
    if (order != 0)
        return order;
    return a->test < b->test ? -1 : a->test > b->test;
}

/* Sets first[test] to the first test of the same scope (itself if it comes first or is a unit of
 * its own). Returns 0 or -ENOMEM. */
static int find_first(uint32_t *first, const struct phx_collection *tests, enum phx_dist dist)
{
    uint32_t count = phx_collection_count(tests), nkeyed = 0;
    for (uint32_t test = 0; test < count; test++)
        first[test] = test;
    if (count == 0 || !phx_dist_keeps_scopes(dist))
        return 0;
    struct keyed *keyed = malloc(count * sizeof *keyed);
    if (!keyed)
        return -ENOMEM;
    for (uint32_t test = 0; test < count; test++) {
        size_t id_size, group_size = 0;
        const char *id = phx_collection_node_id(tests, test, &id_size);
        const char *group = phx_collection_group(tests, test, &group_size);
        struct phx_scope scope;
        if (phx_scope_of(dist, id, id_size, group, group_size, &scope))
            keyed[nkeyed++] = (struct keyed){.hash = fnv1a(scope.key, scope.size),
                                             .key = scope.key,
                                             .size = (uint32_t)scope.size,
                                             .test = test};
    }
    qsort(keyed, nkeyed, sizeof *keyed, compare_keyed);
    for (uint32_t i = 1; i < nkeyed; i++)
        if (compare_keys(&keyed[i - 1], &keyed[i]) == 0)
            first[keyed[i].test] = first[keyed[i - 1].test];
    free(keyed);
    return 0;
}

/* Turns first[test] into the number of the test's unit. Returns the number of units. */
static uint32_t number_units(uint32_t *first, uint32_t count)
{
    uint32_t nunits = 0;
    for (uint32_t test = 0; test < count;
         test++) /* a first test is numbered before it is looked at */
        first[test] = first[test] == test ? nunits++ : first[first[test]];
    return nunits;
}

/* Fills tests, start and cost from each test's unit number: a counting sort. */
static void fill(struct phx_units *units, const uint32_t *unit_of, const uint32_t *cost_us)
{
    for (uint32_t test = 0; test < units->ntests; test++) {
        units->start[unit_of[test] + 1]++;
        units->cost[unit_of[test]] += phx_units_test_cost(cost_us, test);
    }
    for (uint32_t unit = 0; unit < units->nunits; unit++)
        units->start[unit + 1] += units->start[unit];
    /* start[unit] serves as the place of its next test, and is put back by one shift. */
    for (uint32_t test = 0; test < units->ntests; test++)
        units->tests[units->start[unit_of[test]]++] = test;
    memmove(units->start + 1, units->start, units->nunits * sizeof *units->start);
    units->start[0] = 0;
}

int phx_units_make(struct phx_units *out, const struct phx_collection *tests, enum phx_dist dist,
                   const uint32_t *cost_us)
{
    uint32_t count = phx_collection_count(tests);
    struct phx_units units = {.ntests = count};
    uint32_t *unit_of = malloc((count + (size_t)1) * sizeof *unit_of);
    int status = unit_of ? find_first(unit_of, tests, dist) : -ENOMEM;
    if (status < 0)
        goto out;
    units.nunits = number_units(unit_of, count);
    status = -ENOMEM;
    units.tests = malloc((count + (size_t)1) * sizeof *units.tests);
    units.start = calloc(units.nunits + (size_t)1, sizeof *units.start);
    units.cost = calloc(units.nunits + (size_t)1, sizeof *units.cost);
    if (!units.tests || !units.start || !units.cost)
        goto out;
    fill(&units, unit_of, cost_us);
    *out = units;
    units = (struct phx_units){0};
    status = 0;
out:
    phx_units_fini(&units);
    free(unit_of);
    return status;
}

void phx_units_fini(struct phx_units *units)
{
    free(units->tests);
    free(units->start);
    free(units->cost);
    *units = (struct phx_units){0};
}
