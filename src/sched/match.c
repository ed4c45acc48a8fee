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
    struct named *sorted = malloc((count + 1) * sizeof *sorted);
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

/* For each test of `all` its place in the other list or NOWHERE; there is room for all of both.
 * NULL when out of memory. `out_missing` is [tests of the other list]: whether `all` lacks it. */
static uint32_t *pair(const struct phx_collection *all, const struct phx_collection *other,
                      unsigned char *out_missing)
{
    uint32_t count = phx_collection_count(all), others = phx_collection_count(other);
    struct named *ours = sort(all), *theirs = sort(other);
    uint32_t *places = malloc(((size_t)count + others + 1) * sizeof *places);
    uint32_t i = 0, j = 0;
    while (ours && theirs && places && (i < count || j < others)) {
        int order = i == count ? 1 : j == others ? -1 : compare_ids(&ours[i], &theirs[j]);
        if (order <= 0)
            places[ours[i].test] = order == 0 ? theirs[j].test : PHX_MATCH_NOWHERE;
        if (order >= 0)
            out_missing[theirs[j].test] = order != 0;
        i += order <= 0;
        j += order >= 0;
    }
    if (!ours || !theirs) {
        free(places);
        places = NULL;
    }
    free(ours);
    free(theirs);
    return places;
}

int phx_match_part(const struct phx_collection *all, const struct phx_collection *other,
                   uint32_t **out_places)
{
    uint32_t others = phx_collection_count(other);
    unsigned char *missing = calloc((size_t)others + 1, 1);
    uint32_t *places = missing ? pair(all, other, missing) : NULL;
    int status = places ? !memchr(missing, 1, others) : -ENOMEM;
    free(missing);
    if (status == 1)
        *out_places = places;
    else
        free(places);
    return status;
}

static int copy(struct phx_collection *to, const struct phx_collection *from, uint32_t test)
{
    size_t size, group_size;
    const char *id = phx_collection_node_id(from, test, &size);
    const char *group = phx_collection_group(from, test, &group_size);
    int status = phx_collection_add(to, id, size, group, group ? group_size : 0);
    uint32_t limit = phx_collection_limit_of(from, test);
    if (status == 0 && limit > 0) {
        const struct phx_collection_limit *it = &from->limits[limit - 1];
        status = phx_collection_limit(to, it->name, it->size, it->permits);
    }
    return status;
}

int phx_match_join(struct phx_collection *all, const struct phx_collection *other,
                   uint32_t **out_places)
{
    uint32_t others = phx_collection_count(other);
    unsigned char *missing = calloc((size_t)others + 1, 1);
    uint32_t *places = missing ? pair(all, other, missing) : NULL;
    int status = places ? 0 : -ENOMEM;
    for (uint32_t test = 0; test < others && status == 0; test++)
        if (missing[test]) {
            places[phx_collection_count(all)] = test;
            status = copy(all, other, test);
        }
    free(missing);
    if (status == 0)
        *out_places = places;
    else
        free(places);
    return status;
}
