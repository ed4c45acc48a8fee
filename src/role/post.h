/* The controller's end of the mailboxes: a scheduler that is not ours says who runs which test.
 *
 * A test that is sent gets a position of the run queue: its own while that is free, another one
 * when it runs once more, or on several workers (--dist each). What a worker gave back or died
 * without running makes its position free again; whatever nobody runs in the end is "not run" in
 * the ledger, as in every run. A box has room for PHX_MAILBOX_ROOM letters: the rest waits here,
 * and follows as the worker reports what it has ended.
 *
 * Runs in the controller, in the loop's thread. */
#ifndef PHX_ROLE_POST_H
#define PHX_ROLE_POST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "queue/mailbox.h"
#include "queue/runq.h"

struct phx_post;

/* Positions beyond the plan's that `nparallel` workers may need. */
uint32_t phx_post_spare_positions(uint32_t ntests, uint32_t nparallel);

/* `queue` is borrowed and outlives the post; `boxes` lies behind it. out_post is set on success
 * only; ended by phx_post_free. Returns 0 or -ENOMEM. */
int phx_post_new(struct phx_post **out_post, struct phx_runq *queue, void *boxes);
void phx_post_free(struct phx_post *post); /* NULL is fine */

/* Sends tests to a worker, in this order; it need not have been forked yet. To one that is gone
 * nothing is sent: its death is on its way to the scheduler, who sends them to others then. Returns
 * 0, -ESRCH for a worker that was shut, -EINVAL for a test that does not exist, or -ENOSPC,
 * -ENOMEM. */
int phx_post_send(struct phx_post *post, uint32_t worker, const uint32_t *tests, size_t count,
                  struct phx_err *err);

/* Takes tests back that the worker has not begun to look at. out_tests has room for `count`;
 * returns how many of them are in it, in the order that was asked for. */
size_t phx_post_steal(struct phx_post *post, uint32_t worker, const uint32_t *tests, size_t count,
                      uint32_t *out_tests);

/* Nothing more will be sent to this worker: it runs what it has and ends. */
void phx_post_shut(struct phx_post *post, uint32_t worker);

/* The worker has ended a test: there is room in its box. */
void phx_post_refill(struct phx_post *post, uint32_t worker);

/* The worker is gone and buried: what it did not run may be sent to others. */
void phx_post_bury(struct phx_post *post, uint32_t worker);

/* The queue was closed: wakes everybody who waits for mail. */
void phx_post_wake_all(struct phx_post *post);

/* Whether this worker waits for mail and none is under way. */
int phx_post_waits(const struct phx_post *post, uint32_t worker);

#endif
