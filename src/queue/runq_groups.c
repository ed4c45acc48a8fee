/* Groups: tests that may not run beside others.
 *
 * (By mail claims mean nothing; there a worker asks before each start: phx_runq_enter.) Tests of
 * groups lie in no word. Whose they are is told by the ledger alone: a claim is one swap of a
 * ledger entry from QUEUED to CLAIMED by this worker, so a death leaves no doubt and needs no lock.
 * (Late tests of a group pass through the late word, where claims step over them.)
 *
 *   - A *limited* group has permits, holders[k] = worker + 1. A worker takes one, by a swap, before
 *     it looks for a test of the group, and keeps it until it has ended one and claims none of the
 *     group next. The permit first, the test then: whoever sees all permits taken knows that their
 *     holders will look for the rest, each in its next claim. It tries the group it holds a permit
 *     of before all others, or that would not be true.
 *   - *Exclusive* tests are for the worker named in `alone`, while nobody else is WORKING. Workers
 *     that have not begun wait; others go by and end, and the last one finds itself alone.
 *
 * To become WORKING and to look at `alone`, to set `alone` and to look who is WORKING: each does
 * the one before the other, sequentially consistent, so of two workers at least one sees the other.
 *
 * Runs in workers; bury in the controller. */
#include "queue/runq_region.h"

static struct runq_group group_at(const struct phx_runq *q, uint32_t group)
{
    struct runq_group found = ((const struct runq_group *)q->groups)[group - 1];
    if (found.hi > q->ntests || found.lo > found.hi) /* overwritten */
        found.lo = found.hi = 0;
    if (found.holders > q->nholders || found.permits > q->nholders - found.holders)
        found.permits = 0;
    return found;
}

static _Atomic uint32_t *holder_at(const struct phx_runq *q, uint32_t index)
{
    return &((_Atomic uint32_t *)q->holders)[index];
}

/* ---- permits ---- */

/* Returns which permit of the group the worker holds, or the number of permits. */
static uint32_t find_permit(const struct phx_runq *q, uint32_t worker, struct runq_group group)
{
    uint32_t k = 0;
    /* Relaxed: only this worker writes its own number, and only the controller takes it away. */
    while (k < group.permits &&
           shared_load(holder_at(q, group.holders + k), memory_order_relaxed) != worker + 1)
        k++;
    return k;
}

static int take_permit(const struct phx_runq *q, uint32_t worker, struct runq_group group)
{
    for (uint32_t k = 0; k < group.permits; k++) {
        uint32_t nobody = 0;
        if (shared_swap(holder_at(q, group.holders + k), &nobody, worker + 1))
            return 1;
    }
    return 0;
}

static void free_permits(const struct phx_runq *q, uint32_t worker, struct runq_group group)
{
    for (uint32_t k = 0; k < group.permits; k++) {
        uint32_t mine = worker + 1;
        shared_swap(holder_at(q, group.holders + k), &mine, 0);
    }
}

/* ---- the tests of a group ---- */

/* Whether the unit of a queued position is this worker's to go on with, or nobody's. */
static int may_claim(const struct phx_runq *q, uint32_t worker, uint32_t pos)
{
    if (pos >= q->ntests || q->unit[pos] >= pos)
        return 1;
    uint32_t entry = shared_load(runq_ledger(q, pos - 1), memory_order_acquire);
    uint32_t owner = runq_entry_worker(entry);
    if (runq_entry_state(entry) == PHX_RUNQ_QUEUED)
        return 0; /* units are run from their beginning */
    if (owner == worker || owner >= q->nworkers)
        return 1;
    uint32_t state = shared_load(&runq_slot(q, owner)->state, memory_order_acquire);
    return state == RUNQ_GONE || state == RUNQ_LEAVING;
}

/* The next queued position of a group from *io_pos on, planned ones first, then late ones. */
static int next_queued(const struct phx_runq *q, uint32_t group, uint32_t *io_pos,
                       uint32_t *out_entry)
{
    struct runq_group at = group_at(q, group);
    uint32_t positions = phx_runq_positions(q), pos = *io_pos < at.lo ? at.lo : *io_pos;
    for (; pos < positions; pos++) {
        if (pos >= at.hi && pos < q->ntests)
            pos = q->ntests;
        if (pos >= positions)
            break;
        /* Acquire pairs with whoever gave it back; of late ones the plain memory was acquired with
         * `positions`. */
        uint32_t entry = shared_load(runq_ledger(q, pos), memory_order_acquire);
        if (runq_entry_state(entry) != PHX_RUNQ_QUEUED || runq_group_of(q, pos) != group)
            continue;
        *io_pos = pos;
        *out_entry = entry;
        return 1;
    }
    return 0;
}

static int claim_in(struct phx_runq *q, uint32_t worker, uint32_t group, uint32_t *out_pos)
{
    uint32_t entry;
    for (uint32_t pos = 0; next_queued(q, group, &pos, &entry); pos++) {
        if (!may_claim(q, worker, pos) ||
            !shared_swap(runq_ledger(q, pos), &entry, runq_entry(worker, PHX_RUNQ_CLAIMED)))
            continue;
        shared_store(&runq_slot(q, worker)->claimed, pos, memory_order_release);
        *out_pos = pos;
        return 1;
    }
    return 0;
}

/* ---- exclusive tests ---- */

static int is_anyone_working(const struct phx_runq *q, uint32_t except)
{
    for (uint32_t i = 0; i < q->nworkers; i++) {
        uint32_t state = shared_load(&runq_slot(q, i)->state, memory_order_seq_cst);
        if (i != except && (state == RUNQ_WORKING || state == RUNQ_LEAVING))
            return 1;
    }
    return 0;
}

/* Makes a worker that has not begun WORKING, unless somebody runs exclusive tests. */
static int begin_beside(struct phx_runq *q, uint32_t worker)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    shared_store(&slot->state, RUNQ_WORKING, memory_order_seq_cst);
    uint32_t holder = shared_load(&q->header->alone, memory_order_seq_cst);
    if (holder == 0 || holder == worker + 1)
        return 0;
    shared_store(&slot->state, RUNQ_JOINED, memory_order_seq_cst);
    return PHX_RUNQ_WAIT;
}

/* Returns 1 with a position; 0: there is nothing exclusive for this worker, which has begun;
 * PHX_RUNQ_WAIT. */
static int claim_exclusive(struct phx_runq *q, uint32_t worker, uint32_t *out_pos)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    uint32_t state = shared_load(&slot->state, memory_order_relaxed); /* its own */
    int has_begun = state == RUNQ_WORKING;
    uint32_t holder = shared_load(&q->header->alone, memory_order_seq_cst), pos = 0, entry;
    if (holder != 0 && holder != worker + 1)
        return has_begun ? 0 : PHX_RUNQ_WAIT;
    if (!next_queued(q, RUNQ_EXCLUSIVE, &pos, &entry))
        return has_begun ? 0 : begin_beside(q, worker);
    if (holder == 0 && !shared_swap(&q->header->alone, &holder, worker + 1))
        return has_begun ? 0 : PHX_RUNQ_WAIT;
    /* Whoever is alone already may see another WORKING for a moment, which then steps back. */
    if (holder != worker + 1 && is_anyone_working(q, worker)) {
        uint32_t running = shared_load(&slot->running, memory_order_relaxed);
        if (runq_group_of(q, running) != RUNQ_EXCLUSIVE)
            shared_store(&q->header->alone, 0, memory_order_seq_cst);
        /* One that others have begun beside, as they came at the same moment, is for the end. */
        return has_begun ? 0 : pos < q->ntests ? PHX_RUNQ_WAIT : begin_beside(q, worker);
    }
    if (!has_begun)
        shared_store(&slot->state, RUNQ_WORKING, memory_order_seq_cst);
    int result = claim_in(q, worker, RUNQ_EXCLUSIVE, out_pos);
    if (result == 0 &&
        runq_group_of(q, shared_load(&slot->running, memory_order_relaxed)) != RUNQ_EXCLUSIVE)
        shared_store(&q->header->alone, 0, memory_order_seq_cst);
    return result;
}

/* ---- between the files ---- */

static int claim_limited(struct phx_runq *q, uint32_t worker, uint32_t group, uint32_t *out_pos)
{
    struct runq_group at = group_at(q, group);
    uint32_t pos = 0, entry;
    if (!next_queued(q, group, &pos, &entry))
        return 0;
    int had_one = find_permit(q, worker, at) < at.permits;
    if (!had_one && !take_permit(q, worker, at))
        return 0;
    int result = claim_in(q, worker, group, out_pos);
    if (result == 0 && !had_one)
        free_permits(q, worker, at);
    return result;
}

int phx_runq_claim_group(struct phx_runq *q, uint32_t worker, uint32_t *out_pos)
{
    int result = claim_exclusive(q, worker, out_pos);
    if (result != 0)
        return result;
    uint32_t running = shared_load(&runq_slot(q, worker)->running, memory_order_relaxed);
    uint32_t first = runq_group_of(q, running);
    if (first > RUNQ_EXCLUSIVE)
        result = claim_limited(q, worker, first, out_pos);
    for (uint32_t group = RUNQ_EXCLUSIVE + 1; result == 0 && group <= q->ngroups; group++)
        if (group != first)
            result = claim_limited(q, worker, group, out_pos);
    return result;
}

void phx_runq_leave_group(struct phx_runq *q, uint32_t worker, uint32_t pos)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    uint32_t group = runq_group_of(q, pos), mine = worker + 1;
    uint32_t claimed = shared_load(&slot->claimed, memory_order_relaxed);
    int goes_on = !q->by_mail && runq_group_of(q, claimed) == group;
    if (group == RUNQ_EXCLUSIVE && !goes_on)
        shared_swap(&q->header->alone, &mine, 0);
    else if (group > RUNQ_EXCLUSIVE && !goes_on)
        free_permits(q, worker, group_at(q, group));
    if (q->by_mail) /* after the permits: whoever is alone then finds them free */
        shared_store(&slot->state, RUNQ_JOINED, memory_order_seq_cst);
}

/* ---- by mail: permits are taken between two tests ---- */

/* Keeps `alone` while it waits for the others to end theirs: none of them begins another test. */
static int enter_alone(struct phx_runq *q, uint32_t worker)
{
    uint32_t holder = shared_load(&q->header->alone, memory_order_seq_cst);
    if (holder != worker + 1 &&
        (holder != 0 || !shared_swap(&q->header->alone, &holder, worker + 1)))
        return PHX_RUNQ_WAIT;
    if (is_anyone_working(q, worker))
        return PHX_RUNQ_WAIT;
    shared_store(&runq_slot(q, worker)->state, RUNQ_WORKING, memory_order_seq_cst);
    return 1;
}

int phx_runq_enter(struct phx_runq *q, uint32_t worker, uint32_t pos)
{
    if (q->ngroups == 0)
        return 1;
    uint32_t group = runq_group_of(q, pos);
    if (group == RUNQ_EXCLUSIVE)
        return enter_alone(q, worker);
    if (begin_beside(q, worker) != 0)
        return PHX_RUNQ_WAIT;
    if (group == 0 || take_permit(q, worker, group_at(q, group)))
        return 1;
    shared_store(&runq_slot(q, worker)->state, RUNQ_JOINED, memory_order_seq_cst);
    return PHX_RUNQ_WAIT;
}

int64_t phx_runq_permit(const struct phx_runq *q, uint32_t worker, uint32_t pos)
{
    uint32_t group = runq_group_of(q, pos);
    if (group <= RUNQ_EXCLUSIVE)
        return group == RUNQ_EXCLUSIVE ? 0 : PHX_RUNQ_NONE;
    struct runq_group at = group_at(q, group);
    uint32_t k = find_permit(q, worker, at);
    return k < at.permits ? (int64_t)k : PHX_RUNQ_NONE;
}

/* ---- the controller ---- */

/* The first position, or the next one, that may be of a group: planned ones lie at the front, late
 * ones at the end. */
static uint32_t skip_spans(const struct phx_runq *q, uint32_t pos)
{
    return pos < q->ntests && pos >= group_at(q, q->ngroups).hi ? q->ntests : pos;
}

uint32_t phx_runq_bury_groups(struct phx_runq *q, uint32_t worker)
{
    uint32_t started = RUNQ_NO_POS, positions = phx_runq_positions(q);
    if (q->ngroups == 0)
        return started;
    /* By mail the slot tells it all. */
    for (uint32_t pos = skip_spans(q, 0); !q->by_mail && pos < positions;
         pos = skip_spans(q, pos + 1)) {
        if (runq_group_of(q, pos) == 0)
            continue;
        /* Relaxed: the worker is reaped; an entry with its number is changed by nobody else. */
        uint32_t entry = shared_load(runq_ledger(q, pos), memory_order_relaxed);
        if (entry == runq_entry(worker, PHX_RUNQ_CLAIMED))
            shared_store(runq_ledger(q, pos), runq_entry(worker, PHX_RUNQ_QUEUED),
                         memory_order_release);
        else if (entry == runq_entry(worker, PHX_RUNQ_STARTED))
            started = pos;
    }
    for (uint32_t group = RUNQ_EXCLUSIVE + 1; group <= q->ngroups; group++)
        free_permits(q, worker, group_at(q, group));
    return started;
}

uint32_t phx_runq_groups_left(const struct phx_runq *q, uint64_t *io_us)
{
    uint32_t left = 0;
    if (q->ngroups == 0 || q->by_mail)
        return 0;
    uint32_t positions = phx_runq_positions(q);
    for (uint32_t pos = skip_spans(q, 0); pos < positions; pos = skip_spans(q, pos + 1)) {
        uint32_t entry = shared_load(runq_ledger(q, pos), memory_order_relaxed);
        if (runq_group_of(q, pos) == 0 || runq_entry_state(entry) != PHX_RUNQ_QUEUED)
            continue;
        left++;
        *io_us += q->cost[pos + 1] - q->cost[pos];
    }
    return left;
}
