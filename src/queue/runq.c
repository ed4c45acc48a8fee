/* The run queue from a worker's side: claiming, and saying what became of the claim.
 *
 * Invariants, at every moment, whoever has died so far:
 *   - a position is in exactly one word, or held by one worker (its slot's intent and the ledger
 *     say so), or in the range of a valid journal whose cut has happened, or settled (ENDED,
 *     CRASHED);
 *   - the ledger says QUEUED for every position in a word;
 *   - a worker holds at most one claim it has not started, and runs at most one test beside it.
 *
 * Runs in workers; the functions at the end also in the controller. */
#include "queue/runq.h"

#include <errno.h>

#include "queue/runq_region.h"

void phx_runq_join(struct phx_runq *q, uint32_t worker)
{
    /* Release for symmetry only: the state guides thieves, no data hangs on it. */
    shared_store(&runq_slot(q, worker)->state, RUNQ_JOINED, memory_order_release);
}

/* Swaps lo + 1 into the worker's own word. Returns 1 with *out_pos, 0 when the word is empty. */
static int claim_own(struct phx_runq *q, uint32_t worker, uint32_t *out_pos)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    _Atomic uint64_t *own = runq_word(q, worker);
    /* Relaxed is enough: all that a range leads to was written before the region was shared, or
     * acquired by this worker when it stole the range. */
    uint64_t word = shared_load(own, memory_order_relaxed);
    for (;;) {
        struct runq_range range = runq_range_of(word);
        if (!runq_range_valid(q, range))
            return PHX_E_CORRUPT;
        if (range.lo == range.hi)
            return 0;
        /* Relaxed: the swap's release keeps it ahead of the swap, which is all that bury needs. */
        shared_store(&slot->intent, range.lo, memory_order_relaxed);
        /* Fails only when a thief cut hi meanwhile. */
        if (shared_swap(own, &word, runq_word_of(range.lo + 1, range.hi))) {
            *out_pos = range.lo;
            return 1;
        }
    }
}

/* A claim that the words say is ours goes into slot and ledger. Whether it happened hangs on intent
 * and word alone, so a death in here loses nothing. */
static int record_claim(struct phx_runq *q, uint32_t worker, uint32_t pos)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    _Atomic uint32_t *ledger = runq_ledger(q, pos);
    /* Relaxed: whoever wrote QUEUED did so before the position entered the word it came from. Any
     * other state means that damaged words hand a position out twice: not by us. */
    if (runq_entry_state(shared_load(ledger, memory_order_relaxed)) != PHX_RUNQ_QUEUED)
        return PHX_E_CORRUPT;
    shared_store(&slot->claimed, pos, memory_order_release);
    shared_store(ledger, runq_entry(worker, PHX_RUNQ_CLAIMED), memory_order_release);
    return 1;
}

int phx_runq_claim(struct phx_runq *q, uint32_t worker, uint32_t *out_pos)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    if (phx_runq_closed(q))
        return 0;
    /* Relaxed loads: this worker wrote both fields itself. */
    uint32_t pos = shared_load(&slot->claimed, memory_order_relaxed);
    if (pos != RUNQ_NO_POS) {
        if (pos >= q->capacity)
            return PHX_E_CORRUPT;
        *out_pos = pos;
        return 1;
    }
    uint32_t state = shared_load(&slot->state, memory_order_relaxed);
    /* Before the claim, so that no thief takes the rest of the unit it begins. */
    if (state == RUNQ_LEAVING)
        shared_store(&slot->state, RUNQ_WORKING, memory_order_release);

    int result = q->ngroups > 0 ? phx_runq_claim_group(q, worker, &pos) : 0;
    if (result == 0) {
        do { /* late tests of groups are in a word too, but not claimed by it */
            result = claim_own(q, worker, &pos);
            if (result == 0)
                result = phx_runq_steal(q, worker, &pos);
        } while (result == 1 && runq_group_of(q, pos) > 0);
        if (result == 1)
            result = record_claim(q, worker, pos);
    }
    if (result != 1)
        return result;
    /* After the claim, so that no thief takes a first unit that is to be kept. */
    if (state != RUNQ_WORKING && state != RUNQ_LEAVING)
        shared_store(&slot->state, RUNQ_WORKING, memory_order_release);
    *out_pos = pos;
    return 1;
}

int phx_runq_take(struct phx_runq *q, uint32_t worker, uint32_t pos)
{
    if (!q->by_mail || pos >= q->capacity)
        return PHX_E_CORRUPT;
    return record_claim(q, worker, pos) < 0 ? PHX_E_CORRUPT : 0;
}

void phx_runq_start(struct phx_runq *q, uint32_t worker, uint32_t pos, phx_ns now)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    phx_runq_time_start(q, pos, now);
    note_store(&slot->started, (uint64_t)now);
    note_store(&slot->since, (uint64_t)now);
    note_store(&slot->phase, PHX_PHASE_SETUP);
    /* Releases, to be emitted in this order: bury finds the test by `running`, and before that is
     * set by `intent` and the ledger. */
    shared_store(runq_ledger(q, pos), runq_entry(worker, PHX_RUNQ_STARTED), memory_order_release);
    shared_store(&slot->running, pos, memory_order_release);
    shared_store(&slot->claimed, RUNQ_NO_POS, memory_order_release);
}

void phx_runq_phase(struct phx_runq *q, uint32_t worker, enum phx_runq_phase phase, phx_ns took,
                    phx_ns now)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    phx_runq_time_phase(q, worker, shared_load(&slot->running, memory_order_relaxed), took, now);
    note_store(&slot->since, (uint64_t)now);
    note_store(&slot->phase, (uint32_t)phase);
}

void phx_runq_end(struct phx_runq *q, uint32_t worker, uint32_t pos, phx_ns now)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    phx_runq_time_end(q, worker, pos, now);
    /* Release pairs with phx_runq_state's acquire: who sees it ended sees its times. The ledger
     * before `running`: a test that has ended is never taken for one that crashed. */
    shared_store(runq_ledger(q, pos), runq_entry(worker, PHX_RUNQ_ENDED), memory_order_release);
    shared_store(&slot->running, RUNQ_NO_POS, memory_order_release);
    if (q->ngroups > 0)
        phx_runq_leave_group(q, worker, pos);
    uint64_t took = (uint64_t)now - note_load(&slot->started);
    note_store(&slot->busy, note_load(&slot->busy) + took);
    if (took > note_load(&slot->longest)) {
        note_store(&slot->longest, took);
        note_store(&slot->longest_position, pos);
    }
    note_store(&slot->nended, note_load(&slot->nended) + 1);
    note_store(&slot->phase, PHX_PHASE_NONE);
    note_store(&slot->since, (uint64_t)now);
}

void phx_runq_note_cpu(struct phx_runq *q, uint32_t worker, phx_ns cpu)
{
    note_store(&runq_slot(q, worker)->cpu, (uint64_t)cpu);
}

void phx_runq_unclaim(struct phx_runq *q, uint32_t worker, uint32_t pos)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    _Atomic uint64_t *own = runq_word(q, worker);
    if (shared_load(&slot->claimed, memory_order_relaxed) != pos)
        return; /* not held, or started: nothing to give */
    if (q->by_mail) {
        /* In no word; who posted it looks at the ledger. */
        shared_store(runq_ledger(q, pos), runq_entry(worker, PHX_RUNQ_QUEUED),
                     memory_order_release);
        shared_store(&slot->claimed, RUNQ_NO_POS, memory_order_release);
        return;
    }
    if (runq_group_of(q, pos) > 0) {
        shared_store(&slot->claimed, RUNQ_NO_POS, memory_order_release);
        shared_store(runq_ledger(q, pos), runq_entry(worker, PHX_RUNQ_QUEUED),
                     memory_order_release);
        phx_runq_leave_group(q, worker, pos);
        shared_store(&slot->state, RUNQ_LEAVING, memory_order_release);
        return;
    }
    /* QUEUED before the position is back in a word, where anybody may take it. */
    shared_store(runq_ledger(q, pos), runq_entry(worker, PHX_RUNQ_QUEUED), memory_order_release);
    uint64_t word = shared_load(own, memory_order_relaxed);
    struct runq_range range;
    do
        range = runq_range_of(word);
    while (range.lo == pos + 1 && !shared_swap(own, &word, runq_word_of(pos, range.hi)));
    shared_store(&slot->claimed, RUNQ_NO_POS, memory_order_release);
    shared_store(&slot->state, RUNQ_LEAVING, memory_order_release);
}

/* ---- what anyone may call ---- */

void phx_runq_close(struct phx_runq *q)
{
    shared_store(&q->header->closed, 1, memory_order_release);
}

int phx_runq_closed(const struct phx_runq *q)
{
    /* Acquire pairs with close: who sees it closed sees why (a failure's ledger entry). */
    return shared_load(&q->header->closed, memory_order_acquire) != 0;
}

uint32_t phx_runq_test(const struct phx_runq *q, uint32_t pos)
{
    return pos < q->capacity ? q->order[pos] : UINT32_MAX;
}

enum phx_runq_state phx_runq_state(const struct phx_runq *q, uint32_t pos)
{
    if (pos >= q->capacity)
        return PHX_RUNQ_QUEUED;
    uint32_t state = runq_entry_state(shared_load(runq_ledger(q, pos), memory_order_acquire));
    /* A damaged entry counts as not run, never as a test that ended. */
    return state <= PHX_RUNQ_CRASHED ? (enum phx_runq_state)state : PHX_RUNQ_QUEUED;
}

uint32_t phx_runq_positions(const struct phx_runq *q)
{
    /* Acquire pairs with phx_runq_add_late: what a position leads to is written before it counts.
     */
    uint32_t positions = shared_load(&q->header->positions, memory_order_acquire);
    return positions < q->ntests || positions > q->capacity ? q->ntests : positions;
}

/* What is in words, and queued in groups. Late tests of groups pass through a word: counted once.
 */
static uint32_t sum_left(const struct phx_runq *q, uint64_t *out_us)
{
    uint64_t left = 0;
    *out_us = 0;
    if (phx_runq_closed(q))
        return 0;
    for (uint32_t i = 0; i <= q->nworkers; i++) {
        /* Relaxed: a figure, nothing is reached through it. */
        struct runq_range range = runq_range_of(shared_load(runq_word(q, i), memory_order_relaxed));
        if (!runq_range_valid(q, range))
            continue;
        left += range.hi - range.lo;
        *out_us += q->cost[range.hi] - q->cost[range.lo];
        uint32_t late = range.lo < q->ntests ? q->ntests : range.lo;
        for (uint32_t pos = late; q->ngroups > 0 && pos < range.hi; pos++)
            if (runq_group_of(q, pos) > 0) {
                left--;
                *out_us -= q->cost[pos + 1] - q->cost[pos];
            }
    }
    left += phx_runq_groups_left(q, out_us);
    return left > q->capacity ? q->capacity : (uint32_t)left;
}

uint32_t phx_runq_left(const struct phx_runq *q)
{
    uint64_t us;
    return sum_left(q, &us);
}

uint64_t phx_runq_left_us(const struct phx_runq *q)
{
    uint64_t us;
    sum_left(q, &us);
    return us;
}

/* ---- the controller ---- */

static int64_t shown(const struct phx_runq *q, uint32_t pos)
{
    return pos < q->capacity ? (int64_t)pos : PHX_RUNQ_NONE;
}

void phx_runq_look(const struct phx_runq *q, uint32_t worker, struct phx_runq_view *out)
{
    const struct phx_runq_slot *slot = runq_slot(q, worker);
    uint32_t phase = note_load(&slot->phase);
    out->running = shown(q, shared_load(&slot->running, memory_order_relaxed));
    out->claimed = shown(q, shared_load(&slot->claimed, memory_order_relaxed));
    out->phase = phase <= PHX_PHASE_TEARDOWN ? (enum phx_runq_phase)phase : PHX_PHASE_NONE;
    out->since = (phx_ns)note_load(&slot->since);
    out->started = (phx_ns)note_load(&slot->started);
    out->busy = (phx_ns)note_load(&slot->busy);
    out->nended = note_load(&slot->nended);
    out->longest = (phx_ns)note_load(&slot->longest);
    out->longest_position = note_load(&slot->longest_position);
    out->nsteals = note_load(&slot->nsteals);
    out->cpu = (phx_ns)note_load(&slot->cpu);
}

/* One more position for `test`, in no word yet. */
static int64_t add_position(struct phx_runq *q, uint32_t test, uint32_t cost_us, uint32_t worker)
{
    if (test >= q->ntests)
        return -EINVAL;
    uint32_t pos = shared_load(&q->header->positions, memory_order_relaxed); /* our own */
    if (pos < q->ntests || pos > q->capacity)
        return PHX_E_CORRUPT;
    if (pos == q->capacity)
        return -ENOSPC;
    q->order[pos] = test;
    q->unit[pos] = pos;
    if (q->ngroups > 0) {
        /* Where the plan has the test: by mail at its index; late ones are few. */
        uint32_t planned = q->by_mail ? test : 0;
        while (planned < q->ntests && q->order[planned] != test)
            planned++;
        q->group[pos] = (uint16_t)runq_group_of(q, planned);
    }
    q->cost[pos + 1] = q->cost[pos] + (cost_us > 0 ? cost_us : 1);
    /* Whom to pass by stands where the ledger names the owner of what is claimed. Relaxed:
     * published like the plain stores. */
    shared_store(runq_ledger(q, pos), runq_entry(worker, PHX_RUNQ_QUEUED), memory_order_relaxed);
    shared_store(&q->header->positions, pos + 1, memory_order_release);
    return pos;
}

int64_t phx_runq_add_position(struct phx_runq *q, uint32_t test)
{
    return q->by_mail ? add_position(q, test, 1, RUNQ_NOBODY) : -EINVAL;
}

int64_t phx_runq_add_late(struct phx_runq *q, uint32_t test, uint32_t cost_us)
{
    return phx_runq_add_late_elsewhere(q, test, cost_us, RUNQ_NOBODY);
}

/* Puts the positions [first, end), the newest ones, into the late word. The swap publishes the
 * plain stores of add_position to the thief that loads the word. lo may move meanwhile: thieves
 * take from the front of the late word, so its two ends never meet in a swap that succeeds by
 * accident: both only grow. */
static int64_t publish_late(struct phx_runq *q, uint32_t first, uint32_t end)
{
    _Atomic uint64_t *late = runq_word(q, q->nworkers);
    uint64_t word = shared_load(late, memory_order_relaxed);
    struct runq_range range;
    do {
        range = runq_range_of(word);
        if (!runq_range_valid(q, range) || range.hi != first)
            return PHX_E_CORRUPT;
    } while (!shared_swap(late, &word, runq_word_of(range.lo, end)));
    return first;
}

int64_t phx_runq_add_late_elsewhere(struct phx_runq *q, uint32_t test, uint32_t cost_us,
                                    uint32_t worker)
{
    if (q->by_mail)
        return -EINVAL; /* nobody would ever take it from the late word */
    int64_t added = add_position(q, test, cost_us, worker);
    return added < 0 ? added : publish_late(q, (uint32_t)added, (uint32_t)added + 1);
}

int64_t phx_runq_add_unit(struct phx_runq *q, const uint32_t *tests, const uint32_t *costs_us,
                          uint32_t count)
{
    if (q->by_mail || count == 0)
        return -EINVAL;
    uint32_t positions = shared_load(&q->header->positions, memory_order_relaxed); /* our own */
    if (positions > q->capacity || count > q->capacity - positions)
        return positions > q->capacity ? PHX_E_CORRUPT : -ENOSPC;
    for (uint32_t i = 0; i < count; i++)
        if (tests[i] >= q->ntests)
            return -EINVAL;
    int64_t first = -EINVAL;
    for (uint32_t i = 0; i < count; i++) {
        int64_t added = add_position(q, tests[i], costs_us[i], RUNQ_NOBODY);
        if (added < 0)
            return added; /* only of a damaged region */
        first = i == 0 ? added : first;
        q->unit[added] = (uint32_t)first;
    }
    return publish_late(q, (uint32_t)first, (uint32_t)first + count);
}

/* A claim of the unit's front is followed by claims of what the word holds of the rest: it is in
 * our own word, begun, so that nobody else may take it. */
int phx_runq_withdraw(struct phx_runq *q, uint32_t worker, uint32_t *out_first, uint32_t *out_count)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    uint32_t pos, first = RUNQ_NO_POS, count = 0;
    int status;
    do {
        status = phx_runq_claim(q, worker, &pos);
        if (status != 1)
            break;
        if (count++ == 0)
            first = pos;
        shared_store(runq_ledger(q, pos), runq_entry(worker, PHX_RUNQ_ENDED), memory_order_release);
        shared_store(&slot->claimed, RUNQ_NO_POS, memory_order_release);
        struct runq_range left =
            runq_range_of(shared_load(runq_word(q, worker), memory_order_relaxed));
        if (left.lo != pos + 1 || left.lo >= left.hi || q->unit[left.lo] != q->unit[pos])
            break;
    } while (1);
    if (count == 0)
        return status;
    *out_first = first;
    *out_count = count;
    return 1;
}
