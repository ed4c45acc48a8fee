/* Which tests the controller has heard out, and which it never will.
 *
 * The last word of a test in its worker's channel is ENDED with its position; then the ledger says
 * so too. The two part where a channel cannot be trusted any more: a test of the suite wrote into
 * it, or closed it and opened something else. What such a worker went on to end has a place in the
 * ledger and no reports: it is lost, and counts as crashed.
 *
 * One bit for each position. Runs in the controller. */
#ifndef PHX_ROLE_HEARD_H
#define PHX_ROLE_HEARD_H

#include <stddef.h>
#include <stdint.h>

#include "queue/runq.h"

struct phx_heard {
    uint8_t *bits; /* owned; NULL before init */
    uint32_t npositions;
};

/* Returns 0 or -ENOMEM. */
int phx_heard_init(struct phx_heard *heard, uint32_t npositions);
void phx_heard_fini(struct phx_heard *heard);

/* Notes the body of an ENDED. Returns 0, or PHX_E_PROTO for one that names no position. */
int phx_heard_note(struct phx_heard *heard, const char *body, size_t size);

/* The same for a position that is known to be one. */
void phx_heard_set(struct phx_heard *heard, uint32_t position);

int phx_heard_has(const struct phx_heard *heard, uint32_t position);

/* Finds the first position at or after *io_position that `worker`, who is buried, has ended
 * unheard, marks it as crashed in the ledger, and moves *io_position behind it. Returns 1, or 0
 * when there is none. */
int phx_heard_next_lost(const struct phx_heard *heard, struct phx_runq *queue, uint32_t worker,
                        uint32_t *io_position);

#endif
