#include "sched/collection.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "queue/plan.h"

enum {
    FIRST_TESTS = 256,
    CHUNK_BYTES = 256 * 1024, /* the tail of a chunk is lost: little against its size */
    FIRST_NEEDS = 256,
    NO_NEEDS = 0, /* where the list of length 0 lies */
};

#define NO_GROUP UINT32_MAX

struct phx_collection_test {
    const char *text;    /* node id, NUL, group, NUL; in a chunk */
    uint32_t size;       /* bytes of the node id */
    uint32_t group_size; /* bytes of the group, or NO_GROUP */
    uint32_t needs;      /* where in `needs` its list begins */
    uint32_t limit;      /* 0, or one more than the number of its limit */
};

struct phx_collection_chunk {
    struct phx_collection_chunk *next;
    size_t used, capacity; /* bytes of text */
    char text[];
};

void phx_collection_init(struct phx_collection *c)
{
    *c = (struct phx_collection){0};
}

void phx_collection_fini(struct phx_collection *c)
{
    while (c->chunks) {
        struct phx_collection_chunk *next = c->chunks->next;
        free(c->chunks);
        c->chunks = next;
    }
    free(c->tests);
    free(c->needs);
    free(c->limits);
    phx_collection_init(c);
}

static int reserve_test(struct phx_collection *c)
{
    if (c->count < c->capacity)
        return 0;
    if (c->count >= PHX_PLAN_TESTS_MAX)
        return PHX_E_TOOBIG;
    /* By half, not by doubling: the slack counts against the bytes per test. */
    uint32_t capacity = c->capacity ? c->capacity + c->capacity / 2 : FIRST_TESTS;
    struct phx_collection_test *tests = realloc(c->tests, capacity * sizeof *tests);
    if (!tests)
        return -ENOMEM;
    c->tests = tests;
    c->capacity = capacity;
    return 0;
}

/* Room for `size` bytes in the chunk at the head of the list, or NULL. */
static char *reserve_text(struct phx_collection *c, size_t size)
{
    if (!c->chunks || c->chunks->capacity - c->chunks->used < size) {
        size_t capacity = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        struct phx_collection_chunk *chunk = malloc(sizeof *chunk + capacity);
        if (!chunk)
            return NULL;
        *chunk = (struct phx_collection_chunk){.next = c->chunks, .capacity = capacity};
        c->chunks = chunk;
    }
    return c->chunks->text + c->chunks->used;
}

static char *append(char *at, const char *bytes, size_t size)
{
    if (size > 0)
        memcpy(at, bytes, size);
    at[size] = '\0';
    return at + size + 1;
}

int phx_collection_add(struct phx_collection *c, const char *node_id, size_t size,
                       const char *group, size_t group_size)
{
    if (size >= UINT32_MAX || (group && group_size >= NO_GROUP))
        return PHX_E_TOOBIG;
    int status = reserve_test(c);
    if (status < 0)
        return status;
    size_t needed = size + 1 + (group ? group_size + 1 : 0);
    char *text = reserve_text(c, needed);
    if (!text)
        return -ENOMEM;
    char *end = append(text, node_id, size);
    if (group)
        end = append(end, group, group_size);
    assert((size_t)(end - text) == needed);
    c->chunks->used += needed;
    c->tests[c->count++] =
        (struct phx_collection_test){.text = text,
                                     .size = (uint32_t)size,
                                     .group_size = group ? (uint32_t)group_size : NO_GROUP};
    return 0;
}

const char *phx_collection_node_id(const struct phx_collection *c, uint32_t test, size_t *out_size)
{
    assert(test < c->count);
    if (out_size)
        *out_size = c->tests[test].size;
    return c->tests[test].text;
}

const char *phx_collection_group(const struct phx_collection *c, uint32_t test, size_t *out_size)
{
    assert(test < c->count);
    const struct phx_collection_test *entry = &c->tests[test];
    if (entry->group_size == NO_GROUP)
        return NULL;
    if (out_size)
        *out_size = entry->group_size;
    return entry->text + entry->size + 1;
}

/* ---- what tests need ---- */

static int reserve_needs(struct phx_collection *c, uint32_t more)
{
    if (c->needs_capacity - c->nneeds >= more)
        return 0;
    uint64_t capacity = (uint64_t)c->needs_capacity + c->needs_capacity / 2 + more + FIRST_NEEDS;
    if (capacity > UINT32_MAX)
        return PHX_E_TOOBIG;
    uint32_t *needs = realloc(c->needs, capacity * sizeof *needs);
    if (!needs)
        return -ENOMEM;
    if (!c->needs)
        needs[c->nneeds++] = 0; /* the list at NO_NEEDS */
    c->needs = needs;
    c->needs_capacity = (uint32_t)capacity;
    return 0;
}

int phx_collection_needs(struct phx_collection *c, const uint32_t *setups, uint32_t nsetups)
{
    assert(c->count > 0);
    struct phx_collection_test *test = &c->tests[c->count - 1];
    if (nsetups == 0) {
        test->needs = NO_NEEDS;
        return 0;
    }
    for (uint32_t i = 0; i < nsetups; i++)
        if (setups[i] >= PHX_COLLECTION_SETUPS_MAX)
            return PHX_E_TOOBIG;
    /* Neighbours mostly need the same: one list for all of them. */
    if (c->count > 1) {
        uint32_t before = c->tests[c->count - 2].needs, n;
        const uint32_t *had = phx_collection_setups(c, c->count - 2, &n);
        if (n == nsetups && memcmp(had, setups, n * sizeof *had) == 0) {
            test->needs = before;
            return 0;
        }
    }
    int status = reserve_needs(c, nsetups + 1);
    if (status < 0)
        return status;
    test->needs = c->nneeds;
    c->needs[c->nneeds++] = nsetups;
    memcpy(c->needs + c->nneeds, setups, nsetups * sizeof *setups);
    c->nneeds += nsetups;
    for (uint32_t i = 0; i < nsetups; i++)
        if (setups[i] >= c->nsetups)
            c->nsetups = setups[i] + 1;
    return 0;
}

const uint32_t *phx_collection_setups(const struct phx_collection *c, uint32_t test,
                                      uint32_t *out_nsetups)
{
    static const uint32_t nothing[1];
    assert(test < c->count);
    const uint32_t *list = c->needs ? c->needs + c->tests[test].needs : nothing;
    *out_nsetups = list[0];
    return list + 1 - (list == nothing);
}

/* ---- which may not run beside others ---- */

/* Appends a limit whose name is kept with the node ids. */
static int add_limit(struct phx_collection *c, const char *name, size_t size, uint32_t permits)
{
    if (c->nlimits == PHX_PLAN_GROUPS_MAX)
        return PHX_E_TOOBIG;
    struct phx_collection_limit *limits =
        realloc(c->limits, (c->nlimits + (size_t)1) * sizeof *limits);
    if (!limits)
        return -ENOMEM;
    c->limits = limits;
    struct phx_collection_limit *limit = &limits[c->nlimits];
    *limit = (struct phx_collection_limit){.size = size, .permits = permits};
    if (name) {
        char *text = reserve_text(c, size + 1);
        if (!text)
            return -ENOMEM;
        append(text, name, size);
        c->chunks->used += size + 1;
        limit->name = text;
    }
    c->nlimits++;
    return 0;
}

int phx_collection_limit(struct phx_collection *c, const char *name, size_t size, uint32_t permits)
{
    assert(c->count > 0);
    int status = c->nlimits == 0 ? add_limit(c, NULL, 0, 0) : 0;
    uint32_t found = name ? 1 : 0;
    while (status == 0 && found > 0 && found < c->nlimits &&
           (c->limits[found].size != size || memcmp(c->limits[found].name, name, size) != 0))
        found++;
    if (status == 0 && found == c->nlimits)
        status = add_limit(c, name, size, permits);
    if (status == 0)
        c->tests[c->count - 1].limit = found + 1;
    return status;
}

uint32_t phx_collection_limit_of(const struct phx_collection *c, uint32_t test)
{
    assert(test < c->count);
    return c->tests[test].limit;
}
