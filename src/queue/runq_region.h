/* The layout of the run queue's region, and the only way to touch what its processes share.
 *
 * Private to src/queue and its tests. docs/design/run-queue.md explains the protocol.
 *
 *     0 ┌──────────────────────────────────────────────────────────────────────────────┐
 *       │ header: identity and counts │ closed │ positions │ lock, journal   4 lines   │
 *   256 ├──────────────────────────────────────────────────────────────────────────────┤
 *       │ words   [nworkers + 1]   one cache line each; the last is the late word      │
 *       ├──────────────────────────────────────────────────────────────────────────────┤
 *       │ slots   [nworkers]       two cache lines each: protocol, notes               │
 *       ├──────────────────────────────────────────────────────────────────────────────┤
 *       │ cost    [capacity + 1]   u64: estimated microseconds of all earlier positions │
 *       ├──────────────────────────────────────────────────────────────────────────────┤
 *       │ order   [capacity]       u32: position -> test                               │
 *       │ unit    [capacity]       u32: position -> first position of its unit         │
 *       │ group   [capacity]       u16: 0, or one more than the number of its group    │
 *       │ groups  [ngroups]        16 bytes: which positions, how many permits         │
 *       │ holders [nholders]       u32: 0, or the number + 1 of who has the permit     │
 *       │ seam    [capacity]       u32: microseconds that a cut before it costs        │
 *       │ ledger  [capacity]       u32: worker << 8 | state                            │
 *       ├──────────────────────────────────────────────────────────────────────────────┤
 *       │ times   [capacity]       24 bytes: when it began, how long each phase took   │
 *       └──────────────────────────────────────────────────────────────────────────────┘
 *       capacity = the plan's tests + room for late ones; every part starts on a cache line
 *
 *     word    63          32 31           0
 *            ┌──────────────┬──────────────┐
 *            │      hi      │      lo      │   positions [lo, hi) that nobody has claimed
 *            └──────────────┴──────────────┘
 *
 * Runs in controller and workers. A worker may die between any two accesses, so the order in which
 * the *compiler* emits them is part of the protocol: it is why stores whose order recovery relies
 * on are releases even where no living reader pairs with them. */
#ifndef PHX_QUEUE_RUNQ_REGION_H
#define PHX_QUEUE_RUNQ_REGION_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/runq.h"

/* Every access to what processes share goes through these, so that the model (test_runq_model.c)
 * can put itself in their place and stop, interleave or kill at each. Notes are fields that people
 * read and no decision depends on: the model leaves them out. */
#ifndef shared_load
#define shared_load(at, order) atomic_load_explicit((at), (order))
#define shared_store(at, value, order) atomic_store_explicit((at), (value), (order))
/* Compare and swap; on failure *expected is what is there. acq_rel: what was written before (an
 * intent, a journal) stays before it, what is written after (a claim, the thief's own word) after
 * it, and whoever reads the new value sees all that its writer had seen. */
#define shared_swap(at, expected, desired)                                                         \
    atomic_compare_exchange_strong_explicit((at), (expected), (desired), memory_order_acq_rel,     \
                                            memory_order_acquire)
#define note_load(at) atomic_load_explicit((at), memory_order_relaxed)
#define note_store(at, value) atomic_store_explicit((at), (value), memory_order_relaxed)
#endif

/* A lock inside an atomic would be private to each process. */
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "atomics need locks here");
_Static_assert(sizeof(_Atomic uint32_t) == 4 && sizeof(_Atomic uint64_t) == 8, "padded atomics");

enum {
    RUNQ_LINE = 64,
    RUNQ_VERSION = 3,
};

#define RUNQ_MAGIC UINT64_C(0x51525f584c4e4850) /* "PHNLX_RQ" in memory */
#define RUNQ_NO_POS UINT32_MAX                  /* "no position" in the region */
#define RUNQ_NOBODY UINT32_C(0xffffff)          /* "no worker" in the ledger */

enum runq_worker_state { /* of a slot; only GONE is set by somebody else than the worker */
                         RUNQ_ABSENT = 0, /* not joined yet */
                         RUNQ_JOINED,     /* has not made its first claim */
                         RUNQ_WORKING,
                         RUNQ_LEAVING, /* gave its claim back: its word is anyone's */
                         RUNQ_GONE,    /* buried: its word is anyone's */
};

/* The steal under way. Written by the holder of the lock, read by the controller once the holder is
 * dead. While `valid` is 0 the rest means nothing. */
struct runq_journal {
    _Atomic uint32_t valid;
    _Atomic uint32_t thief;  /* the same as the lock says, less one */
    _Atomic uint32_t victim; /* whose word is cut */
    _Atomic uint64_t taken;  /* the range that moves, as a word: one store, so never half new */
};

struct phx_runq_header {
    _Alignas(RUNQ_LINE) uint64_t magic; /* this line is written before any worker maps the region */
    uint64_t size;
    uint32_t version;
    uint32_t nworkers;
    uint32_t ntests;
    uint32_t capacity;
    uint32_t keep_first_unit;
    uint32_t by_mail;
    int64_t epoch; /* phx_ns that `started` of the times counts from */
    uint32_t ngroups;
    uint32_t nholders; /* permits of all groups */
    uint32_t tells_starts;
    /* 0 or 1. Written once by anyone, read by every claim: hence a line that nobody else writes. */
    _Alignas(RUNQ_LINE) _Atomic uint32_t closed;
    /* Positions in use. Written by the controller (late tests), read by anyone. */
    _Alignas(RUNQ_LINE) _Atomic uint32_t positions;
    /* 0, or the number + 1 of the worker that runs the exclusive tests. Taken by a swap, given back
     * by its holder, or by the controller once that is dead. */
    _Atomic uint32_t alone;
    /* 0, or the thief's number + 1. Taken by a swap, given back by the thief, or by the controller
     * once the thief is dead. */
    _Alignas(RUNQ_LINE) _Atomic uint32_t lock;
    struct runq_journal journal;
};

_Static_assert(sizeof(struct phx_runq_header) == 4UL * RUNQ_LINE, "header");
_Static_assert(offsetof(struct phx_runq_header, epoch) == 40, "epoch");
_Static_assert(offsetof(struct phx_runq_header, tells_starts) == 56, "tells_starts");
_Static_assert(offsetof(struct phx_runq_header, closed) == 1UL * RUNQ_LINE, "closed");
_Static_assert(offsetof(struct phx_runq_header, positions) == 2UL * RUNQ_LINE, "positions");
_Static_assert(offsetof(struct phx_runq_header, lock) == 3UL * RUNQ_LINE, "lock");
_Static_assert(offsetof(struct phx_runq_header, journal.taken) == 3UL * RUNQ_LINE + 24, "journal");

struct runq_word {
    /* lo: moved by the owner, and by the controller once the owner is dead; of the late word by
     *     thieves.
     * hi: moved by thieves; of the late word by the controller.
     * Both by swaps only, except that a thief stores its own, empty word: nobody else changes an
     * empty word. Read by the owner and by thieves. */
    _Alignas(RUNQ_LINE) _Atomic uint64_t range;
};

_Static_assert(sizeof(struct runq_word) == RUNQ_LINE, "word");

/* Written by its worker while that lives, then by the controller. */
struct phx_runq_slot {
    _Alignas(RUNQ_LINE) _Atomic uint32_t state; /* also read by thieves */
    _Atomic uint32_t intent;  /* the position the last claim reached for; with lo it tells, after
                                 a death, whether the claim happened: lo == intent + 1 */
    _Atomic uint32_t claimed; /* claimed and not started */
    _Atomic uint32_t running; /* started and not ended */
    _Atomic uint32_t crashed; /* set by bury: what it was running */
    _Atomic uint32_t damaged; /* set by bury: what it left behind made no sense */
    /* Of the running test, 0: none; by swaps of its worker and of the controller, which may come
     * first: see runq_deadline.c. */
    _Atomic uint64_t deadline;
    _Atomic uint32_t stack_signal; /* a note that goes with it */
    /* Notes: read by the controller, which may see them a moment old. */
    _Alignas(RUNQ_LINE) _Atomic uint64_t since;
    _Atomic uint64_t started;
    _Atomic uint64_t busy;
    _Atomic uint64_t longest;
    _Atomic uint32_t phase;
    _Atomic uint32_t nended;
    _Atomic uint32_t nsteals;
    _Atomic uint32_t longest_position;
    _Atomic uint64_t cpu;
    _Atomic uint64_t timeout; /* what the deadline was made of */
};

_Static_assert(sizeof(struct phx_runq_slot) == 2UL * RUNQ_LINE, "slot");
_Static_assert(offsetof(struct phx_runq_slot, since) == RUNQ_LINE, "notes on a line of their own");

/* Written before any worker maps the region. */
struct runq_group {
    uint32_t lo, hi, permits;
    uint32_t holders; /* where its permits are among the holders */
};

_Static_assert(sizeof(struct runq_group) == 16, "group");

/* The times of a position: notes, written by the worker that runs it and by nobody else, read by
 * the controller also after that worker's death.
 *
 *      0 ┌─────────────────────────┐
 *        │ started                 │  ns since the epoch
 *      8 ├────────────┬────────────┤
 *        │ setup      │ call       │  microseconds, as far as the phase has ended
 *     16 ├────────────┼────────────┤
 *        │ teardown   │ total      │  total: from start to end; 0 until it has ended
 *     24 └────────────┴────────────┘
 */
struct runq_times {
    _Atomic uint64_t started;
    _Atomic uint32_t phase_us[3]; /* of PHX_PHASE_SETUP and so on, less one */
    _Atomic uint32_t total_us;
};

_Static_assert(sizeof(struct runq_times) == 24, "times");
_Static_assert(offsetof(struct runq_times, phase_us) == 8, "phases");
_Static_assert(offsetof(struct runq_times, total_us) == 20, "total");
_Static_assert(PHX_PHASE_SETUP == 1 && PHX_PHASE_TEARDOWN == 3, "phases are indices, less one");

/* ---- words ---- */

struct runq_range {
    uint32_t lo, hi;
};

static inline struct runq_range runq_range_of(uint64_t word)
{
    return (struct runq_range){.lo = (uint32_t)word, .hi = (uint32_t)(word >> 32)};
}

static inline uint64_t runq_word_of(uint32_t lo, uint32_t hi)
{
    return (uint64_t)hi << 32 | lo;
}

/* Words may have been overwritten by a worker gone wild: nothing is indexed by one unchecked. */
static inline int runq_range_valid(const struct phx_runq *q, struct runq_range range)
{
    return range.lo <= range.hi && range.hi <= q->capacity;
}

/* `index` is a worker's number, or q->nworkers for the late word. */
static inline _Atomic uint64_t *runq_word(const struct phx_runq *q, uint32_t index)
{
    assert(index <= q->nworkers);
    return &((struct runq_word *)q->words)[index].range;
}

static inline struct phx_runq_slot *runq_slot(const struct phx_runq *q, uint32_t worker)
{
    assert(worker < q->nworkers);
    return &q->slots[worker];
}

/* ---- the ledger ---- */

static inline _Atomic uint32_t *runq_ledger(const struct phx_runq *q, uint32_t pos)
{
    assert(pos < q->capacity);
    return &((_Atomic uint32_t *)q->ledger)[pos];
}

static inline uint32_t runq_entry(uint32_t worker, enum phx_runq_state state)
{
    return worker << 8 | (uint32_t)state;
}

static inline uint32_t runq_entry_state(uint32_t entry)
{
    return entry & 0xff;
}

/* Who claimed it; of a late position that is queued, the worker that is to be passed by. */
static inline uint32_t runq_entry_worker(uint32_t entry)
{
    return entry >> 8;
}

static inline struct runq_times *runq_times(const struct phx_runq *q, uint32_t pos)
{
    assert(pos < q->capacity);
    return &((struct runq_times *)q->times)[pos];
}

/* ---- groups: tests that may not run beside others (runq_groups.c) ---- */

enum { RUNQ_EXCLUSIVE = 1 }; /* in `group` */

/* 0 for a test of no group. Never more than ngroups, whatever is there. */
static inline uint32_t runq_group_of(const struct phx_runq *q, uint32_t pos)
{
    if (q->ngroups == 0 || pos >= q->capacity)
        return 0;
    uint32_t group = q->group[pos];
    return group <= q->ngroups ? group : 0;
}

/* Claims a test of a group. Returns 1 with *out_pos; 0 when there is none for this worker now;
 * PHX_RUNQ_WAIT. */
int phx_runq_claim_group(struct phx_runq *q, uint32_t worker, uint32_t *out_pos);

/* The worker's test at `pos` has ended, or was given back: permits that it needs no more are free.
 */
void phx_runq_leave_group(struct phx_runq *q, uint32_t worker, uint32_t pos);

/* The worker is dead: what it had claimed is queued again, its permits are free. Returns a position
 * that it had started beside the one its slot names, or RUNQ_NO_POS. Runs in the controller. */
uint32_t phx_runq_bury_groups(struct phx_runq *q, uint32_t worker);

/* Tests of groups that nobody has claimed; by mail 0. Their cost is added to *io_us. */
uint32_t phx_runq_groups_left(const struct phx_runq *q, uint64_t *io_us);

/* ---- between the files of the run queue ---- */

/* The position starts at `now`; its worker's phase ends; it has ended. Run by that worker, which
 * calls the second before it notes the next phase. */
void phx_runq_time_start(const struct phx_runq *q, uint32_t pos, phx_ns now);
void phx_runq_time_phase(const struct phx_runq *q, uint32_t worker, uint32_t pos, phx_ns took,
                         phx_ns now);
void phx_runq_time_end(const struct phx_runq *q, uint32_t worker, uint32_t pos, phx_ns now);

/* Moves work from another word into the worker's own, which is empty, and claims the first position
 * of it. Returns 1 with *out_pos, 0 nothing to take, -EAGAIN the lock is held, PHX_E_CORRUPT. */
int phx_runq_steal(struct phx_runq *q, uint32_t worker, uint32_t *out_pos);

#endif
