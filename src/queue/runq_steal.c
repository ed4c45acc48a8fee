/* Steals: how work gets from one word into another.
 *
 * No single swap can move a range between two words, and a thief may die halfway. So steals go one
 * at a time, under a lock whose holder is known, and a journal says what is being moved:
 *
 *        lock ── journal ── cut the victim's word ── own word ── journal off ── unlock
 *                         │ range: in the victim's  │ in no word │ in the thief's
 *
 * Only the controller breaks the lock, once it has reaped the thief (runq_bury.c). Owners claim
 * all the while and never look at the lock: a cut is a swap, which fails when the owner was
 * faster.
 *
 * From a worker's word the back is taken, by moving hi, which only the holder of the lock may do.
 * From the late word, which has no owner, the front is taken, by moving lo; its hi belongs to the
 * controller, which appends without the lock.
 *
 * Runs in workers. */
#include <errno.h>

#include "queue/runq_region.h"

/* First position of the unit of `pos`. A damaged entry makes a unit of its own. */
static uint32_t unit_start(const struct phx_runq *q, uint32_t pos)
{
    return q->unit[pos] <= pos ? q->unit[pos] : pos;
}

/* One past the last position of the unit of `pos`, at most `hi`. Units are intervals and their
 * numbers grow, so halving finds it: a unit can be ten thousand tests and the lock is held. */
static uint32_t unit_end(const struct phx_runq *q, uint32_t pos, uint32_t hi)
{
    uint32_t in = pos;
    while (hi - in > 1) {
        uint32_t mid = in + (hi - in) / 2;
        if (q->unit[mid] == q->unit[pos])
            in = mid;
        else
            hi = mid;
    }
    return hi;
}

/* First position in [lo, hi] before which lies at least half the cost of [lo, hi). */
static uint32_t half_way(const struct phx_runq *q, struct runq_range range)
{
    uint64_t half = q->cost[range.lo] + (q->cost[range.hi] - q->cost[range.lo]) / 2;
    uint32_t lo = range.lo, hi = range.hi;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (q->cost[mid] < half)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Whether somebody will claim what is in the word, if nobody else does. */
static int is_owned(const struct phx_runq *q, uint32_t victim)
{
    /* Acquire: as in first_takeable. */
    uint32_t state = shared_load(&runq_slot(q, victim)->state, memory_order_acquire);
    return state == RUNQ_JOINED || state == RUNQ_WORKING;
}

/* First position of a worker's word that somebody else may take. */
static uint32_t first_takeable(const struct phx_runq *q, uint32_t victim, struct runq_range range)
{
    int begun = unit_start(q, range.lo) < range.lo;
    if (!begun && !q->keep_first_unit)
        return range.lo; /* whoever its owner is: spare the slot's cache line */
    /* Acquire pairs with bury: whoever sees a worker gone sees its word as bury left it. A state
     * that changes after this load makes the decision old, never wrong: the owner's next claim
     * moves lo, and the cut fails. */
    uint32_t state = shared_load(&runq_slot(q, victim)->state, memory_order_acquire);
    if (state == RUNQ_GONE || state == RUNQ_LEAVING)
        return range.lo;
    int kept = q->keep_first_unit && (state == RUNQ_ABSENT || state == RUNQ_JOINED);
    return begun || kept ? unit_end(q, range.lo, range.hi) : range.lo;
}

/* Where to cut a worker's word so that about half the cost lies behind: at the boundary of a unit
 * nearest to the middle, and not before `first`. */
static uint32_t choose_cut(const struct phx_runq *q, struct runq_range range, uint32_t first)
{
    uint32_t mid = half_way(q, range);
    if (mid <= first)
        return first;
    /* The unit that straddles the middle begins at `down` and ends at `up`. */
    uint32_t down = unit_start(q, mid - 1), up = unit_end(q, mid - 1, range.hi);
    if (down < first)
        down = first;
    if (up == range.hi)
        return down;
    uint64_t twice = q->cost[range.lo] + q->cost[range.hi];
    uint64_t before = twice - 2 * q->cost[down], behind = 2 * q->cost[up] - twice;
    return before < behind ? down : up;
}

/* Whether anybody else is alive, who could run what `thief` has just failed. */
static int has_company(const struct phx_runq *q, uint32_t thief)
{
    for (uint32_t i = 0; i < q->nworkers; i++) {
        /* Relaxed: whoever leaves the moment after leaves it to the controller to find somebody. */
        uint32_t state = shared_load(&runq_slot(q, i)->state, memory_order_relaxed);
        if (i != thief && (state == RUNQ_JOINED || state == RUNQ_WORKING))
            return 1;
    }
    return 0;
}

/* What of the late word a thief may take. The front is taken, in whole units, up to the first test
 * that is to be run by somebody else (which is a unit of its own); 0 when that is the first. */
static int choose_late(const struct phx_runq *q, uint32_t thief, struct runq_range range,
                       struct runq_range *out_taken)
{
    uint32_t mid = half_way(q, range), end = mid > range.lo ? mid : range.lo + 1, pos = range.lo;
    end = unit_end(q, end - 1, range.hi);
    /* Relaxed: it was written before the position entered the word. */
    while (pos < end &&
           runq_entry_worker(shared_load(runq_ledger(q, pos), memory_order_relaxed)) != thief)
        pos++;
    if (pos == range.lo && !has_company(q, thief))
        pos = end;
    *out_taken = (struct runq_range){range.lo, pos};
    return pos > range.lo;
}

/* Positions on either side of the middle that a thief looks at for a lower seam. */
enum { SEAM_REACH = 2048 };

/* When the two halves would have ended, if the owner did all before `cut` and the thief, who makes
 * the set-ups anew that the cut tears apart, all behind it. */
static uint64_t ends_at(const struct phx_runq *q, struct runq_range range, uint32_t cut)
{
    uint64_t left = q->cost[cut] - q->cost[range.lo];
    uint64_t right = q->cost[range.hi] - q->cost[cut] + q->seam[cut];
    return left > right ? left : right;
}

/* Moves a cut in the middle of a worker's word to where both are done soonest, set-ups made twice
 * included. Returns range.hi when the owner alone is done sooner, and is there to do it. */
static uint32_t choose_seam(const struct phx_runq *q, uint32_t victim, struct runq_range range,
                            uint32_t first, uint32_t cut)
{
    uint64_t alone = q->cost[range.hi] - q->cost[range.lo], least = ends_at(q, range, cut);
    uint32_t best = cut;
    for (uint32_t at = cut + 1; at < range.hi && at - cut < SEAM_REACH; at++) {
        if (q->cost[at] - q->cost[range.lo] >= least)
            break; /* the owner's part only grows from here */
        if (unit_start(q, at) == at && ends_at(q, range, at) < least) {
            least = ends_at(q, range, at);
            best = at;
        }
    }
    for (uint32_t at = cut; at-- > first && cut - at < SEAM_REACH;) {
        if (q->cost[range.hi] - q->cost[at] >= least)
            break; /* as does the thief's */
        if (unit_start(q, at) == at && ends_at(q, range, at) < least) {
            least = ends_at(q, range, at);
            best = at;
        }
    }
    return least <= alone || !is_owned(q, victim) ? best : range.hi;
}

/* What of `range`, which is what the victim's word holds, a thief may take now. Returns 0 when that
 * is nothing. */
static int choose(const struct phx_runq *q, uint32_t thief, uint32_t victim,
                  struct runq_range range, struct runq_range *out_taken)
{
    if (range.lo == range.hi)
        return 0;
    if (victim == q->nworkers)
        return choose_late(q, thief, range, out_taken);
    uint32_t first = first_takeable(q, victim, range);
    if (first >= range.hi)
        return 0;
    uint32_t cut = choose_cut(q, range, first);
    if (q->seam[cut] > 0)
        cut = choose_seam(q, victim, range, first, cut);
    *out_taken = (struct runq_range){cut, range.hi};
    return cut < range.hi;
}

/* The word with the most estimated cost left, of those that may be taken from. Returns 1 with the
 * victim, 0 when there is none, PHX_E_CORRUPT. */
static int find_victim(const struct phx_runq *q, uint32_t thief, uint32_t *out_victim,
                       uint64_t *out_word)
{
    uint64_t most = 0;
    int found = 0;
    for (uint32_t i = 0; i <= q->nworkers; i++) {
        if (i == thief)
            continue;
        /* Acquire pairs with the swap in add_late and with bury: a range leads to plain memory. */
        uint64_t word = shared_load(runq_word(q, i), memory_order_acquire);
        struct runq_range range = runq_range_of(word), taken;
        if (!runq_range_valid(q, range))
            return PHX_E_CORRUPT;
        uint64_t cost = q->cost[range.hi] - q->cost[range.lo];
        if (range.lo == range.hi || (found && cost <= most) || !choose(q, thief, i, range, &taken))
            continue;
        most = cost;
        found = 1;
        *out_victim = i;
        *out_word = word;
    }
    return found;
}

/* Takes from one victim. Returns 1 with the first position taken, which is thereby claimed; 0 when
 * the victim was faster and nothing of its word may be taken any more; PHX_E_CORRUPT. */
static int take(struct phx_runq *q, uint32_t thief, uint32_t victim, uint64_t word,
                uint32_t *out_pos)
{
    struct runq_journal *journal = &q->header->journal;
    _Atomic uint64_t *from = runq_word(q, victim);
    struct runq_range range, taken;
    uint64_t left;
    /* Relaxed: `valid` is stored after them, and only read after this process is dead. */
    shared_store(&journal->thief, thief, memory_order_relaxed);
    shared_store(&journal->victim, victim, memory_order_relaxed);
    int open = 0;
    do {
        range = runq_range_of(word);
        if (!runq_range_valid(q, range) || !choose(q, thief, victim, range, &taken)) {
            shared_store(&journal->valid, 0, memory_order_release);
            return runq_range_valid(q, range) ? 0 : PHX_E_CORRUPT;
        }
        left = victim == q->nworkers ? runq_word_of(taken.hi, range.hi)
                                     : runq_word_of(range.lo, taken.lo);
        /* A changed plan is one store, so the journal always tells one plan or the other, and
         * neither has happened yet. */
        shared_store(&journal->taken, runq_word_of(taken.lo, taken.hi), memory_order_release);
        if (!open)
            shared_store(&journal->valid, 1, memory_order_release);
        open = 1;
        /* On success the swap's acq_rel holds the journal before the cut and our word behind it. */
    } while (!shared_swap(from, &word, left));

    /* The range is in no word now. Intent before the word, as in every claim. Ours is empty, and
     * nobody else writes an empty word: a store will do; its release publishes the range's plain
     * memory, acquired above, to the next thief. */
    shared_store(&runq_slot(q, thief)->intent, taken.lo, memory_order_relaxed);
    shared_store(runq_word(q, thief), runq_word_of(taken.lo + 1, taken.hi), memory_order_release);
    shared_store(&journal->valid, 0, memory_order_release); /* only now: behind our word */
    *out_pos = taken.lo;
    return 1;
}

/* A lock word that was overwritten would be held for ever, and everybody would come again for ever.
 */
static int can_hold_lock(const struct phx_runq *q, uint32_t worker, uint32_t holder)
{
    if (holder > q->nworkers || holder == worker + 1) /* nobody; or we, who are not stealing */
        return 0;
    /* The controller breaks a dead worker's lock before it calls it gone, and the acquire keeps the
     * second look at the lock behind the look at the state. */
    return shared_load(&runq_slot(q, holder - 1)->state, memory_order_acquire) != RUNQ_GONE ||
           shared_load(&q->header->lock, memory_order_relaxed) != holder;
}

int phx_runq_steal(struct phx_runq *q, uint32_t worker, uint32_t *out_pos)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    uint32_t holder = 0;
    /* The swap's acquire pairs with the unlock: we see the words as the last thief left them. */
    if (!shared_swap(&q->header->lock, &holder, worker + 1))
        return can_hold_lock(q, worker, holder) ? -EAGAIN : PHX_E_CORRUPT;
    int result;
    do {
        uint32_t victim;
        uint64_t word;
        /* "Nothing left" is concluded in here only: outside the lock, a range that another thief
         * has cut and not yet put in its word would look like nothing. */
        result = find_victim(q, worker, &victim, &word);
        if (result != 1)
            break;
        result = take(q, worker, victim, word, out_pos);
    } while (result == 0);
    shared_store(&q->header->lock, 0, memory_order_release);
    if (result == 1)
        note_store(&slot->nsteals, note_load(&slot->nsteals) + 1);
    return result;
}
