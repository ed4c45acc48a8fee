/* What was collected: the node id, the group and the needs of every test, in collection order.
 *
 * Built test by test while the items arrive. Texts lie in chunks that never move, so a million
 * tests cost their text and some 30 bytes each, and pointers into it stay valid.
 *
 * Runs in the controller; plain memory. */
#ifndef PHX_SCHED_COLLECTION_H
#define PHX_SCHED_COLLECTION_H

#include <stddef.h>
#include <stdint.h>

enum { PHX_COLLECTION_SETUPS_MAX = 16 * 1024 * 1024 };

struct phx_collection {
    struct phx_collection_test *tests; /* owned, [count] */
    uint32_t count;
    uint32_t capacity;                   /* tests allocated */
    struct phx_collection_chunk *chunks; /* owned list; the head is the one being filled */
    uint32_t *needs;                     /* owned: lists of set-ups, each behind its length */
    uint32_t nneeds, needs_capacity;     /* entries of `needs` in use, allocated */
    struct phx_collection_limit *limits; /* owned, [nlimits]; the first is of exclusive tests */
    uint32_t nlimits;                    /* 0 when no test has a limit */
    uint32_t nsetups;                    /* one more than the highest number of a set-up */
};

void phx_collection_init(struct phx_collection *c);
void phx_collection_fini(struct phx_collection *c);

/* Appends one test.
 * node_id  copied; any bytes
 * group    copied; its xdist_group, or NULL if it has none ("" is a group)
 * Returns  0, -ENOMEM, or PHX_E_TOOBIG for more than PHX_PLAN_TESTS_MAX tests or 4 GiB of text for
 *          one of them. On failure the collection is as before. */
int phx_collection_add(struct phx_collection *c, const char *node_id, size_t size,
                       const char *group, size_t group_size);

/* Says which set-ups the test that was added last needs: fixtures above function scope, each as
 * the number of one set-up of it (its scope, its place there, its parameter). Numbers are small and
 * dense: arrays are made of them. Twice for one test, the later call counts.
 * setups   copied
 * Returns  0, -ENOMEM, or PHX_E_TOOBIG. On failure the test needs what it needed before. */
int phx_collection_needs(struct phx_collection *c, const uint32_t *setups, uint32_t nsetups);

/* The set-ups a test needs; borrowed until the next call of add or needs. */
const uint32_t *phx_collection_setups(const struct phx_collection *c, uint32_t test,
                                      uint32_t *out_nsetups);

struct phx_collection_limit {
    const char *name; /* NULL: exclusive */
    size_t size;
    uint32_t permits; /* tests that may run at one time; exclusive: 0, it runs alone */
};

/* Says that the test added last is exclusive (name NULL, permits 0), or one of a group of which no
 * more than `permits` may run at a time. The first who names a group says how many.
 * name     copied; any bytes
 * Returns  0, -ENOMEM, or PHX_E_TOOBIG for more groups than a plan can have. */
int phx_collection_limit(struct phx_collection *c, const char *name, size_t size, uint32_t permits);

/* 0, or one more than the number of the test's limit. */
uint32_t phx_collection_limit_of(const struct phx_collection *c, uint32_t test);

static inline uint32_t phx_collection_count(const struct phx_collection *c)
{
    return c->count;
}

/* The node id of a test (`test` < count). Borrowed until fini; a NUL follows the last byte.
 * out_size  may be NULL */
const char *phx_collection_node_id(const struct phx_collection *c, uint32_t test, size_t *out_size);

/* The group of a test, or NULL if it has none. Borrowed until fini; a NUL follows the last byte.
 * out_size  may be NULL */
const char *phx_collection_group(const struct phx_collection *c, uint32_t test, size_t *out_size);

#endif
