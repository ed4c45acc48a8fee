/* Making a region out of a plan, and a handle out of a region.
 *
 * Runs in the controller (init) and in every process that maps the region (attach). */
#include "queue/runq_region.h"

#include <errno.h>
#include <string.h>

struct layout { /* offsets in bytes */
    size_t words, slots, cost, order, unit, seam, group, groups, holders, ledger, times, size;
};

static size_t part(size_t *end, size_t bytes)
{
    size_t at = *end;
    *end = (at + bytes + RUNQ_LINE - 1) / RUNQ_LINE * RUNQ_LINE;
    return at;
}

static struct layout lay_out(uint32_t nworkers, uint32_t capacity, uint32_t ngroups,
                             uint32_t nholders)
{
    struct layout at;
    size_t end = sizeof(struct phx_runq_header);
    at.words = part(&end, ((size_t)nworkers + 1) * sizeof(struct runq_word));
    at.slots = part(&end, nworkers * sizeof(struct phx_runq_slot));
    at.cost = part(&end, ((size_t)capacity + 1) * sizeof(uint64_t));
    at.order = part(&end, capacity * sizeof(uint32_t));
    at.unit = part(&end, capacity * sizeof(uint32_t));
    at.seam = part(&end, capacity * sizeof(uint32_t));
    at.group = part(&end, ngroups > 0 ? capacity * sizeof(uint16_t) : 0);
    at.groups = part(&end, ngroups * sizeof(struct runq_group));
    at.holders = part(&end, nholders * sizeof(uint32_t));
    at.ledger = part(&end, capacity * sizeof(uint32_t));
    at.times = part(&end, capacity * sizeof(struct runq_times));
    at.size = end;
    return at;
}

static int counts_valid(uint32_t nworkers, uint32_t ntests, uint32_t nlate)
{
    return nworkers >= 1 && nworkers <= PHX_RUNQ_WORKERS_MAX && ntests <= PHX_PLAN_TESTS_MAX &&
           nlate <= PHX_PLAN_TESTS_MAX;
}

static void point(struct phx_runq *q, void *mem, const struct phx_runq_header *header)
{
    char *base = mem;
    struct layout at =
        lay_out(header->nworkers, header->capacity, header->ngroups, header->nholders);
    q->header = mem;
    q->slots = (void *)(base + at.slots);
    q->words = base + at.words;
    q->ledger = base + at.ledger;
    q->times = base + at.times;
    q->order = (void *)(base + at.order);
    q->unit = (void *)(base + at.unit);
    q->seam = (void *)(base + at.seam);
    q->group = (void *)(base + at.group);
    q->groups = base + at.groups;
    q->holders = base + at.holders;
    q->ngroups = header->ngroups;
    q->nholders = header->nholders;
    q->cost = (void *)(base + at.cost);
    q->nworkers = header->nworkers;
    q->ntests = header->ntests;
    q->capacity = header->capacity;
    q->by_mail = header->by_mail;
    q->tells_starts = header->tells_starts;
    q->keep_first_unit = header->keep_first_unit;
    q->epoch = header->epoch;
}

size_t phx_runq_bytes(const struct phx_runq *q)
{
    return lay_out(q->nworkers, q->capacity, q->ngroups, q->nholders).size;
}

/* A permit more than there are workers is never taken. */
static uint32_t permits_of(const struct phx_plan_group *group, uint32_t nworkers)
{
    return group->permits < nworkers ? group->permits : nworkers;
}

static uint32_t count_holders(const struct phx_plan *plan, uint32_t nworkers)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->ngroups; i++)
        count += permits_of(&plan->groups[i], nworkers);
    return count;
}

size_t phx_runq_size(const struct phx_plan *plan, uint32_t nworkers, uint32_t nlate)
{
    return lay_out(nworkers, plan->ntests + nlate, plan->ngroups, count_holders(plan, nworkers))
        .size;
}

enum { SEEN_TEST = 1, SEEN_POSITION = 2 };

/* Every test once, each with a cost. */
static int order_valid(const struct phx_plan *plan, uint32_t *seen)
{
    for (uint32_t pos = 0; pos < plan->ntests; pos++) {
        uint32_t test = plan->order[pos];
        if (test >= plan->ntests || (seen[test] & SEEN_TEST) || plan->cost_us[pos] == 0)
            return 0;
        seen[test] |= SEEN_TEST;
    }
    return 1;
}

/* Groups one behind the other from the first position on; *out_held is where they end. */
static int groups_valid(const struct phx_plan *plan, uint32_t *out_held)
{
    uint32_t held = 0;
    if (plan->ngroups > PHX_PLAN_GROUPS_MAX)
        return 0;
    for (uint32_t i = 0; i < plan->ngroups; i++) {
        const struct phx_plan_group *group = &plan->groups[i];
        if (group->lo != held || group->hi < group->lo || group->hi > plan->ntests ||
            (group->permits == 0) != (i == 0))
            return 0;
        held = group->hi;
    }
    *out_held = held;
    return 1;
}

/* Within the plan, and between units. */
static int span_valid(const struct phx_plan *plan, struct phx_plan_span span)
{
    if (span.lo > span.hi || span.hi > plan->ntests)
        return 0;
    if (span.lo == span.hi)
        return 1;
    return (span.lo == 0 || plan->unit[span.lo - 1] != plan->unit[span.lo]) &&
           (span.hi == plan->ntests || plan->unit[span.hi - 1] != plan->unit[span.hi]);
}

/* Every test once in `order`, every position once in groups or spans. `seen` is zeroed memory of
 * ntests entries and left dirty. A unit number that comes back after another one is not looked for:
 * it would only be a second unit. */
static int plan_valid(const struct phx_plan *plan, uint32_t nworkers, uint32_t *seen)
{
    uint32_t held;
    if (plan->nspans > nworkers || !order_valid(plan, seen) || !groups_valid(plan, &held))
        return 0;
    for (uint32_t pos = 0; pos < held; pos++)
        seen[pos] |= SEEN_POSITION;
    for (uint32_t i = 0; i < plan->nspans; i++) {
        struct phx_plan_span span = plan->spans[i];
        if (!span_valid(plan, span))
            return 0;
        for (uint32_t pos = span.lo; pos < span.hi; pos++, held++) {
            if (seen[pos] & SEEN_POSITION)
                return 0;
            seen[pos] |= SEEN_POSITION;
        }
    }
    return held == (plan->by_mail || plan->is_dealt ? 0 : plan->ntests);
}

static void fill(struct phx_runq *q, const struct phx_plan *plan)
{
    for (uint32_t pos = 0; pos < plan->ntests; pos++) {
        q->order[pos] = plan->order[pos];
        int begins = pos == 0 || plan->unit[pos - 1] != plan->unit[pos];
        q->unit[pos] = begins ? pos : q->unit[pos - 1];
        q->seam[pos] = plan->seam_us ? plan->seam_us[pos] : 0;
        q->cost[pos + 1] = q->cost[pos] + plan->cost_us[pos];
    }
    uint32_t nholders = 0;
    for (uint32_t i = 0; i < plan->ngroups; i++) {
        uint32_t permits = permits_of(&plan->groups[i], q->nworkers);
        ((struct runq_group *)q->groups)[i] =
            (struct runq_group){plan->groups[i].lo, plan->groups[i].hi, permits, nholders};
        nholders += permits;
        for (uint32_t pos = plan->groups[i].lo; pos < plan->groups[i].hi; pos++)
            q->group[pos] = (uint16_t)(i + 1);
    }
    for (uint32_t pos = 0; plan->mail_group && plan->ngroups > 0 && pos < plan->ntests; pos++)
        q->group[pos] = plan->mail_group[pos];
    /* Relaxed throughout: no other process has the region yet. */
    for (uint32_t i = 0; i < plan->nspans; i++)
        shared_store(runq_word(q, i), runq_word_of(plan->spans[i].lo, plan->spans[i].hi),
                     memory_order_relaxed);
    shared_store(runq_word(q, q->nworkers), runq_word_of(plan->ntests, plan->ntests),
                 memory_order_relaxed);
    shared_store(&q->header->positions, plan->ntests, memory_order_relaxed);
    for (uint32_t worker = 0; worker < q->nworkers; worker++) {
        struct phx_runq_slot *slot = runq_slot(q, worker);
        shared_store(&slot->intent, RUNQ_NO_POS, memory_order_relaxed);
        shared_store(&slot->claimed, RUNQ_NO_POS, memory_order_relaxed);
        shared_store(&slot->running, RUNQ_NO_POS, memory_order_relaxed);
        shared_store(&slot->crashed, RUNQ_NO_POS, memory_order_relaxed);
    }
}

int phx_runq_init(struct phx_runq *q, void *mem, size_t size, const struct phx_plan *plan,
                  uint32_t nworkers, uint32_t nlate)
{
    if (!counts_valid(nworkers, plan->ntests, nlate) || (uintptr_t)mem % RUNQ_LINE != 0 ||
        size < phx_runq_size(plan, nworkers, nlate))
        return -EINVAL;
    struct phx_runq_header *header = mem;
    struct phx_runq made;
    header->nworkers = nworkers;
    header->ntests = plan->ntests;
    header->capacity = plan->ntests + nlate;
    header->by_mail = plan->by_mail != 0;
    header->tells_starts = plan->is_dealt != 0;
    header->keep_first_unit = plan->keep_first_unit != 0;
    header->ngroups = plan->ngroups;
    header->nholders = count_holders(plan, nworkers);
    header->size = phx_runq_size(plan, nworkers, nlate);
    point(&made, mem, header);
    /* The ledger lends its zeroes as scratch memory: nothing here allocates. */
    int valid = plan_valid(plan, nworkers, made.ledger);
    if (plan->ntests > 0)
        memset(made.ledger, 0, plan->ntests * sizeof(uint32_t));
    if (!valid)
        return -EINVAL;
    fill(&made, plan);
    header->version = RUNQ_VERSION;
    header->magic = RUNQ_MAGIC;
    *q = made;
    return 0;
}

void phx_runq_set_epoch(struct phx_runq *q, phx_ns epoch)
{
    q->epoch = q->header->epoch = epoch;
}

int phx_runq_attach(struct phx_runq *q, void *mem, size_t size, struct phx_err *err)
{
    if ((uintptr_t)mem % RUNQ_LINE != 0 || size < sizeof(struct phx_runq_header))
        return phx_err_set(err, PHX_E_CORRUPT, "%zu bytes are no run queue", size);
    struct phx_runq_header header; /* a copy: what was checked is what is used */
    memcpy(&header, mem, offsetof(struct phx_runq_header, closed));
    if (header.magic != RUNQ_MAGIC || header.version != RUNQ_VERSION)
        return phx_err_set(err, PHX_E_CORRUPT, "the run queue's header is not ours");
    if (header.capacity < header.ntests || header.ngroups > PHX_PLAN_GROUPS_MAX ||
        header.nholders > header.ngroups * PHX_RUNQ_WORKERS_MAX ||
        !counts_valid(header.nworkers, header.ntests, header.capacity - header.ntests) ||
        header.size !=
            lay_out(header.nworkers, header.capacity, header.ngroups, header.nholders).size ||
        header.size > size)
        return phx_err_set(err, PHX_E_CORRUPT,
                           "a run queue of %u workers and %u positions does not fit in %zu bytes",
                           header.nworkers, header.capacity, size);
    point(q, mem, &header);
    return 0;
}
