#include "sched/match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct named {
    const char *id;
    size_t size;
    uint32_t test;
};

static int compare_ids(const struct named *a, const struct named *b)
{
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    return a->size == 0 ? 0 : memcmp(a->id, b->id, a->size);
}

static int compare_named(const void *left, const void *right)
{
    const struct named *a = left, *b = right;
    int order = compare_ids(a, b);
    return order != 0 ? order : a->test < b->test ? -1 : a->test > b->test;
}

static struct named named_at(const struct phx_collection *tests, uint32_t test)
{
    struct named named = {.test = test};
    named.id = phx_collection_node_id(tests, test, &named.size);
    return named;
}

/* The list sorted by id, equal ids in their own order; NULL when out of memory. */
static struct named *sort(const struct phx_collection *tests)
{
    uint32_t count = phx_collection_count(tests);
    struct named *sorted = malloc(count * sizeof *sorted);
    if (!sorted)
        return NULL;
    for (uint32_t test = 0; test < count; test++)
        sorted[test] = named_at(tests, test);
    qsort(sorted, count, sizeof *sorted, compare_named);
    return sorted;
}

int phx_match_in_order(const struct phx_collection *a, const struct phx_collection *b)
{
    if (phx_collection_count(a) != phx_collection_count(b))
        return 0;
    for (uint32_t test = 0; test < phx_collection_count(a); test++) {
        struct named left = named_at(a, test), right = named_at(b, test);
        if (compare_ids(&left, &right) != 0)
            return 0;
    }
    return 1;
}

int phx_match(const struct phx_collection *reference, const struct phx_collection *other,
              uint32_t **out_places)
{
    uint32_t count = phx_collection_count(reference);
    if (count != phx_collection_count(other))
        return 0;
    if (phx_match_in_order(reference, other)) {
        *out_places = NULL;
        return 1;
    }
    struct named *ours = sort(reference), *theirs = sort(other);
    uint32_t *places = malloc(count * sizeof *places);
    int status = ours && theirs && places ? 1 : -ENOMEM;
    for (uint32_t i = 0; i < count && status == 1; i++) {
        status = compare_ids(&ours[i], &theirs[i]) == 0;
        places[ours[i].test] = theirs[i].test;
    }
    free(ours);
    free(theirs);
    if (status == 1)
        *out_places = places;
    else
        free(places);
    return status;
}
