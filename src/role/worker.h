/* The worker's side of the engine: one channel to the controller and the run queue.
 *
 * Runs in a worker only, after the fork, in its main thread. A worker's own children are not
 * workers: the run queue is not mapped in them (MADV_DONTFORK), and a pthread_atfork handler closes
 * the channel and disarms the struct, so every call here returns PHX_E_STRAY in such a child. */
#ifndef PHX_ROLE_WORKER_H
#define PHX_ROLE_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "queue/mailbox.h"
#include "queue/runq.h"
#include "wire/frame.h"

struct phx_worker {
    uint32_t number;
    int armed;           /* 0 before phx_worker_arm, and in the children of a worker */
    int channel;         /* owned */
    struct phx_inbox in; /* what the controller sent and nobody took yet */
    struct phx_runq queue;
    void *mem; /* the mapped region, owned; NULL before phx_worker_join */
    size_t mem_size;
    int64_t claimed; /* position claimed and not started, or PHX_RUNQ_NONE */
    int64_t running; /* position started and not ended, or PHX_RUNQ_NONE */
    /* By mail: positions taken from the box, the next to start first. */
    struct phx_mailboxes boxes;
    uint32_t taken[2], ntaken;
};

/* Makes this process worker `number`: says hello on `channel`. There is one worker per process;
 * `worker` must stay where it is until the process ends.
 * channel, in  taken on success; `in` holds what was read of the channel already, or is NULL
 * Returns      0 or a negative code. */
int phx_worker_arm(struct phx_worker *worker, uint32_t number, int channel, struct phx_inbox *in,
                   struct phx_err *err);

/* Maps the run queue (`queue_fd` stays the caller's) and joins: from now on it claims. Returns 0 or
 * a negative code. */
int phx_worker_join(struct phx_worker *worker, int queue_fd, struct phx_err *err);

/* Waits until the controller sends the run queue, and joins. What this worker collected was told
 * before. May block; goes on waiting only when called again after -EINTR.
 * out_tests  set with result 1: for each test of the run its place in this worker's own list, to be
 *            freed by the caller; NULL when the lists are the same
 * Returns    1; 0 when there is nothing to run (END, or the controller is gone); -EINTR; a negative
 *            code */
int phx_worker_await_queue(struct phx_worker *worker, uint32_t **out_tests, size_t *out_count,
                           struct phx_err *err);

/* Claims the next test. Never waits for work; while another worker's steal is under way it pauses
 * for microseconds, in all at most CLAIM_PATIENCE, then gives up as if nothing were left: whoever
 * holds the rest will claim it. Returns 1 and the test's index in the collected list, 0 nothing
 * left, PHX_RUNQ_WAIT (exclusive tests run: call again after some milliseconds), PHX_E_STRAY,
 * PHX_E_STATE (also before it has joined). */
int phx_worker_claim(struct phx_worker *worker, uint32_t *out_test);

/* Whether tests come by mail in the run whose queue this worker has. Returns 1, 0 or PHX_E_STATE
 * before it has joined. */
int phx_worker_by_mail(const struct phx_worker *worker);

/* Which of its group's permits the running test has (see phx_runq_permit); PHX_E_STATE when none
 * runs. */
int64_t phx_worker_permit(const struct phx_worker *worker);

/* By mail: takes the next test that a scheduler has sent, waiting for it up to `timeout`. A worker
 * holds two at most: the one that it starts next, and the one after, which it must know before.
 * Returns 1 and the test's index, 0 when no more will come or the queue is closed, -EAGAIN when
 * none has come yet, -EINTR when a signal came, PHX_E_STRAY, PHX_E_STATE, PHX_E_CORRUPT. May block.
 */
int phx_worker_take(struct phx_worker *worker, phx_ns timeout, uint32_t *out_test);

/* By mail: whether the test that was taken first may start beside what runs now (exclusive tests,
 * limited groups). Returns 1; 0 when the queue is closed; PHX_RUNQ_WAIT: call again after some
 * milliseconds; PHX_E_STRAY, PHX_E_STATE. */
int phx_worker_enter(struct phx_worker *worker);

/* The claimed test (by mail: the one taken first) starts. / enters a phase, after one that took so
 * long (< 0: unknown; see phx_runq_phase). / has ended, its reports being written: the controller
 * is told, then the ledger. phx_worker_end also returns what phx_worker_send does. */
int phx_worker_start(struct phx_worker *worker);
int phx_worker_phase(struct phx_worker *worker, enum phx_runq_phase phase, phx_ns took);
int phx_worker_end(struct phx_worker *worker);

/* The running test may go on until then. When its time is over already, and the controller ends
 * this worker, this does not return: there is nothing left to do. Returns 0, PHX_E_STRAY or
 * PHX_E_STATE.
 */
int phx_worker_set_deadline(struct phx_worker *worker, const struct phx_runq_deadline *deadline);

/* Gives a claimed test back that will not be started. Fine when none is claimed. */
int phx_worker_unclaim(struct phx_worker *worker);

/* Writes a message to the controller, waiting for it. Returns 0, PHX_E_STRAY, -EPIPE or another
 * code. */
int phx_worker_send(struct phx_worker *worker, uint16_t type, const void *body, size_t size);

/* Nobody claims a test any more (-x). Nothing happens before it has joined. */
int phx_worker_close_queue(struct phx_worker *worker);

#endif
