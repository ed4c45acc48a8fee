#include "sched/deal.h"

#include <errno.h>
#include <stdlib.h>

int phx_deal_init(struct phx_deal *deal, uint32_t nunits)
{
    deal->sequence = malloc((nunits + (size_t)1) * sizeof *deal->sequence);
    deal->owner = malloc((nunits + (size_t)1) * sizeof *deal->owner);
    if (deal->sequence && deal->owner)
        return 0;
    phx_deal_fini(deal);
    return -ENOMEM;
}

void phx_deal_fini(struct phx_deal *deal)
{
    free(deal->sequence);
    free(deal->owner);
    *deal = (struct phx_deal){0};
}

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

int phx_deal_dearest_first(uint32_t *units, uint32_t count, const uint64_t *cost)
{
    if (count == 0)
        return 0;
    struct ranked *ranked = malloc(count * sizeof *ranked);
    if (!ranked)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        ranked[i] = (struct ranked){cost[units[i]], units[i]};
    qsort(ranked, count, sizeof *ranked, compare_dearest_first);
    for (uint32_t i = 0; i < count; i++)
        units[i] = ranked[i].unit;
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

/* Restores the heap below `at` after what is there has become heavier. */
static void sift_down(struct loaded *heap, uint32_t count, size_t at)
{
    struct loaded moving = heap[at];
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

int phx_deal_to_least_loaded(struct phx_deal *deal, uint32_t count, const uint64_t *cost,
                             uint64_t *load, uint32_t nspans)
{
    struct loaded *heap = calloc(nspans, sizeof *heap);
    if (!heap)
        return -ENOMEM;
    for (uint32_t span = 0; span < nspans; span++)
        heap[span] = (struct loaded){load[span], span};
    for (size_t at = nspans / 2; at-- > 0;)
        sift_down(heap, nspans, at);
    for (uint32_t i = 0; i < count; i++) {
        deal->owner[i] = heap[0].span;
        heap[0].load += cost[deal->sequence[i]];
        sift_down(heap, nspans, 0);
    }
    for (uint32_t i = 0; i < nspans; i++)
        load[heap[i].span] = heap[i].load;
    free(heap);
    return 0;
}
