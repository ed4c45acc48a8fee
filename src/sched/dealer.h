/* Dealing a plan's tests to machines, a portion at a time.
 *
 * On one machine workers help themselves from the run queue. Between machines every portion is a
 * message and an answer takes a round trip, so the controller deals: each machine has the spans
 * that were planned for its workers, and gets half of what is left of them with every portion, so
 * that portions are few at first and small at the end. A machine that is through with its own gets
 * from the back of whatever span has most left. What a machine gives back, or leaves behind when it
 * is lost, is dealt before everything else. A unit is never torn.
 *
 * Runs in the controller; pure functions. */
#ifndef PHX_SCHED_DEALER_H
#define PHX_SCHED_DEALER_H

#include <stdint.h>

#include "base/buf.h"
#include "queue/plan.h"

struct phx_dealer {
    struct phx_plan plan;    /* owned; the spans shrink as they are dealt */
    uint32_t *owner;         /* owned, [nspans]: the machine that a span was planned for */
    uint32_t *place;         /* owned, [ntests]: test -> position in plan.order */
    struct phx_buf returned; /* tests (u32) to deal again, in order */
    uint32_t left;           /* tests that nobody has been dealt */
};

/* Takes over *plan (emptied on success); `owner` is borrowed, one machine for each span.
 * Returns 0 or -ENOMEM. */
int phx_dealer_init(struct phx_dealer *dealer, struct phx_plan *plan, const uint32_t *owner);
void phx_dealer_fini(struct phx_dealer *dealer);

/* Appends a portion for `machine` to `out`: for each unit its size, then test and cost of each of
 * its tests, all u32. Of what is its own, or was returned, at least `least` tests if there are so
 * many.
 * Returns how many tests that is, 0 when there are none, or -ENOMEM: then some are lost to the
 * dealer, and the machine that was to have them is of no more use. */
int64_t phx_dealer_deal(struct phx_dealer *dealer, uint32_t machine, uint32_t least,
                        struct phx_buf *out);

/* Takes back a test that was dealt and not begun, or puts one in that is to run once more: tests of
 * one unit in their order, one after the other. Returns 0 or -ENOMEM. */
int phx_dealer_return(struct phx_dealer *dealer, uint32_t test);

#endif
