/* A plan and a region to test the run queue with. */
#ifndef PHX_TEST_RUNQ_FIXTURE_H
#define PHX_TEST_RUNQ_FIXTURE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "queue/runq.h"

struct fixture {
    struct phx_plan plan;
    struct phx_runq q;
    void *mem; /* owned when made by fixture_new */
    size_t size;
};

/* `ntests` tests of cost 100 in units of `unit_size`, in `nspans` spans of whole units and about
 * equal length; order is the identity backwards, so that position and test are never confused. */
static inline void fixture_plan(struct phx_plan *plan, uint32_t ntests, uint32_t nspans,
                                uint32_t unit_size)
{
    size_t room = ntests ? ntests : 1;
    memset(plan, 0, sizeof *plan);
    plan->ntests = ntests;
    plan->nspans = nspans;
    plan->order = calloc(room, sizeof *plan->order);
    plan->unit = calloc(room, sizeof *plan->unit);
    plan->cost_us = calloc(room, sizeof *plan->cost_us);
    plan->spans = calloc(nspans ? nspans : 1, sizeof *plan->spans);
    if (!plan->order || !plan->unit || !plan->cost_us || !plan->spans)
        abort();
    for (uint32_t pos = 0; pos < ntests; pos++) {
        plan->order[pos] = ntests - 1 - pos;
        plan->unit[pos] = 7 + pos / unit_size;
        plan->cost_us[pos] = 100;
    }
    uint32_t nunits = (ntests + unit_size - 1) / unit_size, lo = 0;
    for (uint32_t i = 0; i < nspans; i++) {
        uint64_t hi = (uint64_t)nunits * (i + 1) / nspans * unit_size;
        plan->spans[i].lo = lo;
        plan->spans[i].hi = lo = hi < ntests ? (uint32_t)hi : ntests;
    }
}

/* Makes the first `nalone` positions exclusive, those up to `end` a group of one at a time, and
 * takes both from the spans. */
static inline void fixture_limit(struct phx_plan *plan, uint32_t nalone, uint32_t end)
{
    plan->groups = calloc(2, sizeof *plan->groups);
    if (!plan->groups)
        abort();
    plan->ngroups = 2;
    plan->groups[0] = (struct phx_plan_group){0, nalone, 0};
    plan->groups[1] = (struct phx_plan_group){nalone, end, 1};
    for (uint32_t i = 0; i < plan->nspans; i++) {
        struct phx_plan_span *span = &plan->spans[i];
        span->lo = span->lo < end ? end : span->lo;
        span->hi = span->hi < end ? end : span->hi;
    }
}

/* A zeroed, aligned block of exactly `size` bytes, so that ASan sees one byte too far. */
static inline void *fixture_region(size_t size)
{
    void *mem = aligned_alloc(64, size); /* sizes of regions are multiples of 64 */
    if (!mem)
        abort();
    return memset(mem, 0, size);
}

static inline int fixture_init(struct fixture *f, uint32_t nworkers, uint32_t nlate)
{
    f->size = phx_runq_size(&f->plan, nworkers, nlate);
    f->mem = fixture_region(f->size);
    return phx_runq_init(&f->q, f->mem, f->size, &f->plan, nworkers, nlate);
}

static inline void fixture_fini(struct fixture *f)
{
    phx_plan_fini(&f->plan);
    free(f->mem);
    f->mem = NULL;
}

/* xorshift: the same numbers everywhere for one seed. */
static inline uint32_t fixture_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 32);
}

#endif
