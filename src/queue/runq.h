/* The run queue and ledger: who runs which test next, and what became of every test.
 *
 * One shared-memory region, made by the controller, mapped by every worker. Handing out a test
 * takes no message and no lock: see docs/design/run-queue.md for the layout, the protocol and its
 * proof.
 *
 * Pure memory: no system calls, no allocation. Every function works on a `struct phx_runq` in the
 * caller's memory, whose pointers lead into the region. */
#ifndef PHX_QUEUE_RUNQ_H
#define PHX_QUEUE_RUNQ_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "queue/plan.h"

enum {
    PHX_RUNQ_WORKERS_MAX = 32768,
    PHX_RUNQ_WAIT = 2,  /* of a claim */
    PHX_RUNQ_NONE = -1, /* "no position", "no test" in the int64 fields below */
};

enum phx_runq_state { /* of a position, in the ledger; only ever moves down this list */
                      PHX_RUNQ_QUEUED = 0,
                      PHX_RUNQ_CLAIMED, /* a worker has it and has not started it; a dead worker's
                                           goes back to QUEUED */
                      PHX_RUNQ_STARTED,
                      PHX_RUNQ_ENDED,   /* its protocol ended */
                      PHX_RUNQ_CRASHED, /* its worker died while running it */
};

enum phx_runq_phase { /* of a running test, for reports on slow, hung and dead workers */
                      PHX_PHASE_NONE = 0,
                      PHX_PHASE_SETUP,
                      PHX_PHASE_CALL,
                      PHX_PHASE_TEARDOWN,
};

struct phx_runq { /* opaque: a handle of pointers into the region; copying it is fine */
    struct phx_runq_header *header;
    struct phx_runq_slot *slots;
    void *words;
    void *ledger;
    void *times;
    uint16_t *group;
    void *groups, *holders;
    uint32_t *order;
    uint32_t *unit;
    uint32_t *seam;
    uint64_t *cost;
    /* Copied when the handle was made, so that a worker which overwrites the region's header leads
     * nobody out of bounds. */
    uint32_t nworkers, ntests, capacity, keep_first_unit, by_mail, tells_starts, ngroups, nholders;
    phx_ns epoch;
};

/* Bytes that a region needs for `plan`, up to `nworkers` workers over the whole run (replacements
 * included), and `nlate` tests handed out again later. */
size_t phx_runq_size(const struct phx_plan *plan, uint32_t nworkers, uint32_t nlate);

/* Fills a zeroed region of phx_runq_size bytes, aligned to 64 (a mapping is). Worker i <
 * plan->nspans owns span i once it joins. Returns 0, or -EINVAL when the plan breaks its own rules
 * or `size` is too small. Runs in the controller, before any worker maps the region. */
int phx_runq_init(struct phx_runq *q, void *mem, size_t size, const struct phx_plan *plan,
                  uint32_t nworkers, uint32_t nlate);

/* The moment that `started` of a timing counts from; 0 unless it is set. Runs in the controller,
 * before any worker maps the region. */
void phx_runq_set_epoch(struct phx_runq *q, phx_ns epoch);

/* Makes a handle on a region that somebody else filled. Returns 0 or PHX_E_CORRUPT. */
int phx_runq_attach(struct phx_runq *q, void *mem, size_t size, struct phx_err *err);

/* Bytes that the region takes; what lies behind it in the same memory is somebody else's. */
size_t phx_runq_bytes(const struct phx_runq *q);

/* ---- what a worker calls; `worker` is its own number ---- */

/* Marks the worker alive: from now on it owns its span. */
void phx_runq_join(struct phx_runq *q, uint32_t worker);

/* Claims the next test: from the worker's own span, else by a steal.
 * out_pos   set on success only: the position claimed
 * Returns   1 claimed; 0 nothing is left for this worker, which should end (also when closed);
 *           -EAGAIN somebody else's steal is under way: call again after a moment (never held for
 *           long by a living thief; a dead one's lock is broken by the controller);
 *           PHX_RUNQ_WAIT exclusive tests run, and this worker has not begun: call again later;
 *           PHX_E_CORRUPT the region is damaged: this worker should end as if it had crashed.
 * A worker that already holds a claim and has not started it gets the same position again. */
int phx_runq_claim(struct phx_runq *q, uint32_t worker, uint32_t *out_pos);

/* By mail: claims a position that its mailbox has handed out. Returns 0, or PHX_E_CORRUPT when it
 * cannot be: out of range, claimed, or run before. */
int phx_runq_take(struct phx_runq *q, uint32_t worker, uint32_t pos);

/* By mail: before it starts the test at `pos`, which it has not taken yet, a worker asks whether it
 * may run beside what runs now, and holds its permit from then on until phx_runq_end. Between two
 * tests it holds none, so nobody waits for somebody who waits.
 * Returns  1, or PHX_RUNQ_WAIT: call again after a moment, unless the queue is closed. */
int phx_runq_enter(struct phx_runq *q, uint32_t worker, uint32_t pos);

/* The claimed test starts, enters a phase, has ended (call after its reports were written). Each
 * also closes the phase before it in the position's timing; a phase that is entered again (a test
 * that a plugin reruns) adds up. `took` is how long the test itself says that phase took, which
 * leaves out the making of its report (of a failure: long); no more than the time that has passed
 * is believed. < 0: that time. */
void phx_runq_start(struct phx_runq *q, uint32_t worker, uint32_t pos, phx_ns now);
void phx_runq_phase(struct phx_runq *q, uint32_t worker, enum phx_runq_phase phase, phx_ns took,
                    phx_ns now);
void phx_runq_end(struct phx_runq *q, uint32_t worker, uint32_t pos, phx_ns now);

struct phx_runq_deadline {
    phx_ns at;        /* by phx_clock_now; 0: the test may run for as long as it likes */
    phx_ns timeout;   /* how long it was to run, as whoever set the deadline would say it */
    int stack_signal; /* has its process write its stacks, and end; 0: there is none */
};

/* The running test may go on until then. Returns 1; 0 when the controller has condemned it
 * meanwhile: the worker is about to be ended, and must not say that the test has ended. */
int phx_runq_set_deadline(struct phx_runq *q, uint32_t worker,
                          const struct phx_runq_deadline *deadline);

/* Notes the CPU time that the worker has used. */
void phx_runq_note_cpu(struct phx_runq *q, uint32_t worker, phx_ns cpu);

/* Gives a claimed, not started position back (a worker that stops early), so that others may take
 * it, and with it whatever else the worker's span holds. */
void phx_runq_unclaim(struct phx_runq *q, uint32_t worker, uint32_t pos);

/* Which of its group's permits the worker holds for a position it has claimed, from 0: no other
 * worker has the same one meanwhile. 0 for an exclusive test; PHX_RUNQ_NONE without a group. */
int64_t phx_runq_permit(const struct phx_runq *q, uint32_t worker, uint32_t pos);

/* ---- what anyone may call ---- */

/* No claim succeeds any more. Tests that run go on. */
void phx_runq_close(struct phx_runq *q);
int phx_runq_closed(const struct phx_runq *q);

/* The test at a position; as read from the region: compare with the length of the list before
 * using it as an index. UINT32_MAX for a position that cannot be. */
uint32_t phx_runq_test(const struct phx_runq *q, uint32_t pos);
enum phx_runq_state phx_runq_state(const struct phx_runq *q, uint32_t pos);

struct phx_runq_timing {  /* of one position; a duration longer than 71 minutes is UINT32_MAX */
    uint32_t worker;      /* who ran it */
    phx_ns started;       /* since the epoch of the run */
    uint32_t phase_us[4]; /* by enum phx_runq_phase ([0] is 0): microseconds in each phase that has
                             ended */
    uint32_t total_us;    /* from start to end; 0 when it has not ended (it runs, or crashed) */
};

/* How long a position took, and with whom. Of a crashed one: the phases before the one it died in.
 * Returns 1; 0 (nothing set) when it was not started; PHX_E_CORRUPT when what is there cannot be
 * true. */
int phx_runq_timing(const struct phx_runq *q, uint32_t pos, struct phx_runq_timing *out);

/* ---- what the controller calls ---- */

struct phx_runq_view { /* one worker, read without stopping it: may be a moment old */
    int64_t running;   /* position started and not ended, or PHX_RUNQ_NONE */
    int64_t claimed;   /* position claimed and not started, or PHX_RUNQ_NONE */
    enum phx_runq_phase phase;
    phx_ns since;              /* when the phase began */
    phx_ns started;            /* when the test it runs, or ran last, began */
    phx_ns busy;               /* summed time from start to end of its tests */
    uint32_t nended;           /* tests it ended */
    phx_ns longest;            /* the time its longest test took; 0 before it has ended one */
    uint32_t longest_position; /* of that test */
    uint32_t nsteals;          /* steals it made */
    phx_ns cpu;                /* its CPU time, as it noted when it found nothing more; else 0 */
};

void phx_runq_look(const struct phx_runq *q, uint32_t worker, struct phx_runq_view *out);

/* Condemns the worker if its test has run past its deadline: it will not end that test, nor begin
 * another. Returns 1 if so, now or before, with `timeout` and `stack_signal` (of shared memory: to
 * be checked); 0. Runs in the controller. */
int phx_runq_condemn(struct phx_runq *q, uint32_t worker, phx_ns now,
                     struct phx_runq_deadline *out);

/* Its test, if it has a deadline, gets `duration` more. Runs in the controller. */
void phx_runq_extend(struct phx_runq *q, uint32_t worker, phx_ns duration);

/* Settles the estate of a worker that is gone (reaped: it touches the region no more), whether it
 * died or ended in good order: breaks its lock, completes or undoes its steal, gives back what it
 * had claimed and not started, marks what it was running CRASHED, and leaves its span to anyone.
 * Also for a worker that never joined and never will (its fork failed). Idempotent.
 * out       may be NULL; `running` is the position it was running when it died, with its phase
 * Returns   0, or PHX_E_CORRUPT when what it left behind makes no sense (torn or overwritten
 *           memory); even then its lock is broken and its span is anyone's. */
int phx_runq_bury(struct phx_runq *q, uint32_t worker, struct phx_runq_view *out);

/* Nobody will hear how the test at `pos` went: if `worker`, who is buried, has ENDED it, it counts
 * as CRASHED instead. Returns 1 if so, else 0. */
int phx_runq_disown(struct phx_runq *q, uint32_t worker, uint32_t pos);

/* Hands out `test` once more, to whoever asks next. Returns the new position, -ENOSPC, -EINVAL for
 * a test that the plan does not have, or PHX_E_CORRUPT. */
int64_t phx_runq_add_late(struct phx_runq *q, uint32_t test, uint32_t cost_us);

/* The same for `count` tests that stay together, in this order: they are claimed by one worker. All
 * or none of them. Returns the position of the first, and otherwise as phx_runq_add_late. */
int64_t phx_runq_add_unit(struct phx_runq *q, const uint32_t *tests, const uint32_t *costs_us,
                          uint32_t count);

/* Takes a whole unit out that nobody has begun, for good: its positions count as ended. `worker` is
 * a number of the caller's own, joined and no worker's; it steals like one.
 * Returns 1 with positions [*out_first, *out_first + *out_count); 0 when there is none; -EAGAIN and
 * PHX_E_CORRUPT as phx_runq_claim. Runs in the controller. */
int phx_runq_withdraw(struct phx_runq *q, uint32_t worker, uint32_t *out_first,
                      uint32_t *out_count);

/* The same, to somebody else than `worker`, which has just failed it: that one gets it only when no
 * other worker is alive at the moment it asks. (All late tests taken: it may end before them.) */
int64_t phx_runq_add_late_elsewhere(struct phx_runq *q, uint32_t test, uint32_t cost_us,
                                    uint32_t worker);

/* By mail: one more position for `test`, in no word. Returns as phx_runq_add_late. */
int64_t phx_runq_add_position(struct phx_runq *q, uint32_t test);

/* Positions that a claim could still return to somebody (exact when no worker is running and the
 * dead are buried); so 0 once the queue is closed. */
uint32_t phx_runq_left(const struct phx_runq *q);

/* Estimated microseconds of the positions that phx_runq_left counts. */
uint64_t phx_runq_left_us(const struct phx_runq *q);

/* Positions in use: the plan's tests and the late ones. */
uint32_t phx_runq_positions(const struct phx_runq *q);

#endif
