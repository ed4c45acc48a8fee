/* Dealing: who gets which unit, in which order.
 *
 * Runs in the controller; plain memory. */
#ifndef PHX_SCHED_DEAL_H
#define PHX_SCHED_DEAL_H

#include <stdint.h>

struct phx_deal {
    uint32_t *sequence; /* owned, [nunits]: units in the order of dealing; a span keeps it */
    uint32_t *owner;    /* owned, [nunits]: the span of the unit at that place in `sequence` */
};

/* Returns 0 or -ENOMEM; the caller ends it with phx_deal_fini. */
int phx_deal_init(struct phx_deal *deal, uint32_t nunits);
void phx_deal_fini(struct phx_deal *deal);

/* Puts the dearest unit first; among equals, the one that comes first now.
 * units  [count]: numbers of units, ascending
 * cost   of a unit, by its number
 * Returns 0 or -ENOMEM. */
int phx_deal_dearest_first(uint32_t *units, uint32_t count, const uint64_t *cost);

/* Deals the first `count` units of the sequence, each to the span with the least work so far (the
 * lower number among equals). With the dearest first this is "longest processing time": at most
 * 4/3 - 1/(3 * nspans) of the best makespan (Graham 1969).
 * load     [nspans]: work of each span before; brought up to date
 * Returns  0 or -ENOMEM. */
int phx_deal_to_least_loaded(struct phx_deal *deal, uint32_t count, const uint64_t *cost,
                             uint64_t *load, uint32_t nspans);

#endif
