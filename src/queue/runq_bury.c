/* Settling what a worker left behind, wherever it stopped.
 *
 * The worker is reaped, so nothing of its own changes any more; the others go on claiming and, as
 * soon as the lock is free, stealing. Its memory is not trusted: whatever does not fit is reported,
 * and the rest is settled all the same, so that nobody waits for a dead worker's lock.
 *
 * docs/design/run-queue.md has the table: death at each step, what is found, what is done.
 *
 * Runs in the controller. */
#include "queue/runq_region.h"

/* Finishes or forgets the steal a valid journal tells of. Returns 0 or PHX_E_CORRUPT. */
static int settle_journal(struct phx_runq *q, uint32_t thief)
{
    struct runq_journal *journal = &q->header->journal;
    /* Relaxed: the writer is dead and reaped; the kernel has ordered its stores before this. */
    uint32_t victim = shared_load(&journal->victim, memory_order_relaxed);
    uint64_t word = shared_load(&journal->taken, memory_order_relaxed);
    struct runq_range taken = runq_range_of(word);
    if (shared_load(&journal->thief, memory_order_relaxed) != thief || victim > q->nworkers ||
        victim == thief || !runq_range_valid(q, taken) || taken.lo == taken.hi)
        return PHX_E_CORRUPT;

    /* Acquire: the range may lead to late tests, and is published again below. The victim may be
     * claiming right now, but the end that the thief moved is still as it left it: nobody else
     * moves that end without the lock. */
    struct runq_range left = runq_range_of(shared_load(runq_word(q, victim), memory_order_acquire));
    uint32_t moved = victim == q->nworkers ? left.lo : left.hi;
    uint32_t before = victim == q->nworkers ? taken.lo : taken.hi;
    uint32_t after = victim == q->nworkers ? taken.hi : taken.lo;
    if (moved == before)
        return 0; /* the cut did not happen: nothing to undo */
    if (moved != after)
        return PHX_E_CORRUPT;

    /* The cut happened. The thief's word is still empty, or set to the range less the position it
     * was claiming. Both end the same: the whole range, unclaimed. (To tell the two apart would
     * not do: an empty word can look like a range of one that has been claimed.) */
    _Atomic uint64_t *own = runq_word(q, thief);
    uint64_t had = shared_load(own, memory_order_relaxed);
    struct runq_range empty = runq_range_of(had);
    if (empty.lo != empty.hi && had != runq_word_of(taken.lo + 1, taken.hi))
        return PHX_E_CORRUPT;
    shared_store(&runq_slot(q, thief)->intent, RUNQ_NO_POS, memory_order_relaxed);
    shared_store(own, word, memory_order_release); /* no thief looks: the lock is still held */
    return 0;
}

static int settle_steal(struct phx_runq *q, uint32_t worker)
{
    struct phx_runq_header *header = q->header;
    if (shared_load(&header->lock, memory_order_relaxed) != worker + 1)
        return 0;
    int result = 0;
    if (shared_load(&header->journal.valid, memory_order_relaxed) != 0)
        result = settle_journal(q, worker);
    shared_store(&header->journal.valid, 0, memory_order_release);
    shared_store(&header->lock, 0, memory_order_release);
    return result;
}

/* The ledger says that `worker` started `pos` and has not ended it: it crashed there. */
static void mark_crashed(struct phx_runq *q, uint32_t worker, uint32_t pos)
{
    shared_store(runq_ledger(q, pos), runq_entry(worker, PHX_RUNQ_CRASHED), memory_order_release);
    shared_store(&runq_slot(q, worker)->crashed, pos, memory_order_relaxed);
}

/* Puts a claimed position back in front of the worker's word. Thieves may cut hi meanwhile. */
static void give_back(struct phx_runq *q, uint32_t worker, uint32_t pos, uint64_t word)
{
    _Atomic uint64_t *own = runq_word(q, worker);
    /* QUEUED before it is in the word, from where anybody may take it. */
    shared_store(runq_ledger(q, pos), runq_entry(worker, PHX_RUNQ_QUEUED), memory_order_release);
    while (runq_range_of(word).lo == pos + 1 &&
           !shared_swap(own, &word, runq_word_of(pos, runq_range_of(word).hi)))
        ;
}

/* By mail a claim is in the slot alone. One that was taken from the box and not yet recorded is
 * known to whoever posted it. */
static int settle_letter(struct phx_runq *q, uint32_t worker)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    uint32_t pos = shared_load(&slot->claimed, memory_order_relaxed);
    shared_store(&slot->claimed, RUNQ_NO_POS, memory_order_relaxed);
    if (pos == RUNQ_NO_POS)
        return 0;
    if (pos >= q->capacity)
        return PHX_E_CORRUPT;
    uint32_t entry = shared_load(runq_ledger(q, pos), memory_order_relaxed);
    if (entry == runq_entry(worker, PHX_RUNQ_CLAIMED))
        shared_store(runq_ledger(q, pos), runq_entry(worker, PHX_RUNQ_QUEUED),
                     memory_order_release);
    else if (entry == runq_entry(worker, PHX_RUNQ_STARTED))
        mark_crashed(q, worker, pos);
    else if (runq_entry_state(entry) != PHX_RUNQ_QUEUED) /* it died before the ledger knew */
        return PHX_E_CORRUPT;
    return 0;
}

static int settle_claim(struct phx_runq *q, uint32_t worker)
{
    if (q->by_mail)
        return settle_letter(q, worker);
    struct phx_runq_slot *slot = runq_slot(q, worker);
    uint32_t pos = shared_load(&slot->intent, memory_order_relaxed);
    uint32_t claimed = shared_load(&slot->claimed, memory_order_relaxed);
    shared_store(&slot->claimed, RUNQ_NO_POS, memory_order_relaxed);
    if (claimed != RUNQ_NO_POS && claimed != pos && runq_group_of(q, claimed) == 0)
        return PHX_E_CORRUPT;
    uint64_t word = shared_load(runq_word(q, worker), memory_order_acquire);
    struct runq_range range = runq_range_of(word);
    if (!runq_range_valid(q, range))
        return PHX_E_CORRUPT;
    if (pos == RUNQ_NO_POS)
        return 0; /* no claim yet, or its last one was undone with its steal */
    if (pos >= q->capacity)
        return PHX_E_CORRUPT;
    if (runq_group_of(q, pos) > 0)
        return 0; /* it was about to step over it: the ledger alone tells */
    if (range.lo == pos)
        return 0; /* it died before the swap, or had given the position back */
    if (range.lo != pos + 1)
        return PHX_E_CORRUPT;

    uint32_t entry = shared_load(runq_ledger(q, pos), memory_order_relaxed);
    switch (runq_entry_state(entry)) {
    case PHX_RUNQ_QUEUED: /* between the swap and the ledger, or inside unclaim */
        give_back(q, worker, pos, word);
        return 0;
    case PHX_RUNQ_CLAIMED:
        if (entry != runq_entry(worker, PHX_RUNQ_CLAIMED))
            return PHX_E_CORRUPT;
        give_back(q, worker, pos, word);
        return 0;
    case PHX_RUNQ_STARTED: /* here too if it died inside start, before `running` was set */
        if (entry != runq_entry(worker, PHX_RUNQ_STARTED))
            return PHX_E_CORRUPT;
        mark_crashed(q, worker, pos);
        return 0;
    case PHX_RUNQ_ENDED:
        return entry == runq_entry(worker, PHX_RUNQ_ENDED) ? 0 : PHX_E_CORRUPT;
    default:
        return PHX_E_CORRUPT;
    }
}

/* A worker in teardown runs one test and has claimed the next: this is about the first. */
static int settle_running(struct phx_runq *q, uint32_t worker)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    uint32_t pos = shared_load(&slot->running, memory_order_relaxed);
    shared_store(&slot->running, RUNQ_NO_POS, memory_order_relaxed);
    if (pos == RUNQ_NO_POS)
        return 0;
    if (pos >= q->capacity)
        return PHX_E_CORRUPT;
    uint32_t entry = shared_load(runq_ledger(q, pos), memory_order_relaxed);
    if (entry == runq_entry(worker, PHX_RUNQ_STARTED)) {
        mark_crashed(q, worker, pos);
        return 0;
    }
    /* Ended: it died inside end. Crashed: its claim was this one, and has just been settled. */
    return entry == runq_entry(worker, PHX_RUNQ_ENDED) ||
                   entry == runq_entry(worker, PHX_RUNQ_CRASHED)
               ? 0
               : PHX_E_CORRUPT;
}

int phx_runq_bury(struct phx_runq *q, uint32_t worker, struct phx_runq_view *out)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    int steal = settle_steal(q, worker); /* whatever its slot says: others wait for this lock */
    if (steal != 0)
        shared_store(&slot->damaged, 1, memory_order_relaxed);
    if (shared_load(&slot->state, memory_order_relaxed) != RUNQ_GONE) {
        int claim = settle_claim(q, worker);
        int running = settle_running(q, worker);
        if (claim != 0 || running != 0)
            shared_store(&slot->damaged, 1, memory_order_relaxed);
        uint32_t started = phx_runq_bury_groups(q, worker);
        if (started != RUNQ_NO_POS) /* it died inside start, before `running` was set */
            mark_crashed(q, worker, started);
        /* Behind the ledger: who finds itself alone finds every test that may be its own. */
        uint32_t mine = worker + 1;
        shared_swap(&q->header->alone, &mine, 0);
        /* Last, and a release: who sees it gone sees the word settled. Until then thieves treat
         * the word as a living worker's, which is only more careful. */
        shared_store(&slot->state, RUNQ_GONE, memory_order_release);
    }
    if (out) {
        phx_runq_look(q, worker, out);
        uint32_t crashed = shared_load(&slot->crashed, memory_order_relaxed);
        out->running = crashed < q->capacity ? (int64_t)crashed : PHX_RUNQ_NONE;
    }
    return shared_load(&slot->damaged, memory_order_relaxed) ? PHX_E_CORRUPT : 0;
}

int phx_runq_disown(struct phx_runq *q, uint32_t worker, uint32_t pos)
{
    /* Relaxed: the worker is reaped, and a position that has ended is touched by nobody else. */
    if (pos >= q->capacity || shared_load(runq_ledger(q, pos), memory_order_relaxed) !=
                                  runq_entry(worker, PHX_RUNQ_ENDED))
        return 0;
    shared_store(runq_ledger(q, pos), runq_entry(worker, PHX_RUNQ_CRASHED), memory_order_release);
    return 1;
}
