#include "store/estimate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sched/collection.h"
#include "sched/scope.h"

#define WEIGHT 0.3 /* of a new measurement, once there are a few */

void phx_estimate_learn(struct phx_estimate *e, const uint32_t us[PHX_ESTIMATE_PHASES])
{
    double equal = 1.0 / ((double)e->nmeasured + 1);
    double weight = equal > WEIGHT ? equal : WEIGHT;
    for (int i = 0; i < PHX_ESTIMATE_PHASES; i++) {
        double difference = us[i] - e->mean_us[i];
        double step = weight * difference;
        e->mean_us[i] += step;
        e->variance_us2[i] = (1 - weight) * (e->variance_us2[i] + difference * step);
    }
    if (e->nmeasured < UINT32_MAX)
        e->nmeasured++;
}

uint32_t phx_estimate_cost_us(const struct phx_estimate *e)
{
    if (e->nmeasured == 0)
        return 0;
    double sum = 0;
    for (int i = 0; i < PHX_ESTIMATE_PHASES; i++)
        if (isfinite(e->mean_us[i]) && e->mean_us[i] > 0)
            sum += e->mean_us[i];
    if (sum >= (double)UINT32_MAX)
        return UINT32_MAX;
    return sum < 1 ? 1 : (uint32_t)(sum + 0.5);
}

/* ---- tests that were never measured ---- */

/* Sums for each distinct prefix of the node ids (a file; a function without its parameters), found
 * by a hash table with open addressing. Keys are borrowed from the collection. */
struct sums {
    struct sum {
        const char *key; /* NULL: free */
        size_t size;
        uint64_t total_us;
        uint32_t count;
    } * slots;
    size_t mask; /* slots, a power of two, less one */
};

static uint64_t hash_of(const char *bytes, size_t size) /* FNV-1a */
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static struct sum *sum_of(const struct sums *sums, const char *key, size_t size)
{
    size_t at = (size_t)hash_of(key, size) & sums->mask;
    for (;; at = (at + 1) & sums->mask) {
        struct sum *sum = &sums->slots[at];
        if (!sum->key) {
            sum->key = key;
            sum->size = size;
            return sum;
        }
        if (sum->size == size && memcmp(sum->key, key, size) == 0)
            return sum;
    }
}

/* What a node id has in common with its nearest relatives: level 0 its function, 1 its file. */
static size_t prefix_of(int level, const char *node_id, size_t size)
{
    struct phx_scope file;
    phx_scope_of(PHX_DIST_LOADFILE, node_id, size, NULL, 0, &file);
    if (level == 1)
        return file.size;
    const char *bracket = memchr(node_id + file.size, '[', size - file.size);
    return bracket ? (size_t)(bracket - node_id) : size;
}

static uint32_t mean_of(uint64_t total_us, uint32_t count)
{
    uint64_t mean = (total_us + count / 2) / count;
    return mean > 0 ? (uint32_t)mean : 1;
}

/* Fills what one level of relatives can tell. Only costs of `known` tests are summed. */
static void fill_level(struct sums *sums, int level, uint32_t *cost_us, const char *known,
                       const struct phx_collection *tests)
{
    uint32_t count = phx_collection_count(tests);
    memset(sums->slots, 0, (sums->mask + 1) * sizeof *sums->slots);
    for (uint32_t test = 0; test < count; test++) {
        if (!known[test])
            continue;
        size_t size;
        const char *node_id = phx_collection_node_id(tests, test, &size);
        struct sum *sum = sum_of(sums, node_id, prefix_of(level, node_id, size));
        sum->total_us += cost_us[test];
        sum->count++;
    }
    for (uint32_t test = 0; test < count; test++) {
        if (cost_us[test] != 0)
            continue;
        size_t size;
        const char *node_id = phx_collection_node_id(tests, test, &size);
        const struct sum *sum = sum_of(sums, node_id, prefix_of(level, node_id, size));
        if (sum->count > 0)
            cost_us[test] = mean_of(sum->total_us, sum->count);
    }
}

int64_t phx_estimate_fill(uint32_t *cost_us, const struct phx_collection *tests)
{
    uint32_t count = phx_collection_count(tests), nknown = 0;
    uint64_t total_us = 0;
    for (uint32_t test = 0; test < count; test++) {
        nknown += cost_us[test] != 0;
        total_us += cost_us[test];
    }
    if (nknown == 0 || nknown == count)
        return nknown;
    struct sums sums = {.mask = 63};
    while (sums.mask / 2 < count)
        sums.mask = sums.mask * 2 + 1;
    sums.slots = malloc((sums.mask + 1) * sizeof *sums.slots);
    char *known = malloc(count);
    int64_t result = -ENOMEM;
    if (sums.slots && known) {
        for (uint32_t test = 0; test < count; test++)
            known[test] = cost_us[test] != 0;
        fill_level(&sums, 0, cost_us, known, tests);
        fill_level(&sums, 1, cost_us, known, tests);
        for (uint32_t test = 0; test < count; test++)
            if (cost_us[test] == 0)
                cost_us[test] = mean_of(total_us, nknown);
        result = nknown;
    }
    free(sums.slots);
    free(known);
    return result;
}
