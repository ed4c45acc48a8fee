/* Why a plan puts each test where it does: what --schedule-report tells. Made only when somebody
 * asks.
 *
 * Runs in the controller; plain memory. */
#ifndef PHX_SCHED_REASON_H
#define PHX_SCHED_REASON_H

#include <stdint.h>

#include "queue/plan.h"
#include "sched/costs.h"

enum phx_reason_why {
    PHX_REASON_PIECE,     /* its worker's piece of the collection begins before it and ends after */
    PHX_REASON_LONG,      /* it is long: dealt before all others, the dearest first */
    PHX_REASON_DEAREST,   /* its unit was dealt, the dearest first */
    PHX_REASON_COLLECTED, /* its unit was dealt, in the order of collection */
    PHX_REASON_TURN,      /* few tests, and nothing is known of any: dealt in turn */
    PHX_REASON_ROW,       /* its row of neighbours was (--maxschedchunk) */
    PHX_REASON_REPEATED,  /* a repetition: dealt away from the other ones */
    PHX_REASON_EXCLUSIVE, /* exclusive: before all others, for one worker */
    PHX_REASON_LIMITED,   /* of a limited group: tried before all others, for any worker */
};

#define PHX_REASON_NO_SPAN UINT32_MAX

struct phx_reason {    /* of a position */
    uint32_t cost_us;  /* what its test is taken to cost by itself */
    uint32_t setup_us; /* and the set-ups that it is the first to need */
    uint32_t span;     /* whose it is in the plan; PHX_REASON_NO_SPAN: anyone's */
    uint32_t unit;     /* equal numbers stay together; less than the number of tests */
    uint8_t from;      /* enum phx_cost_from: where cost_us is from */
    uint8_t why;       /* enum phx_reason_why */
};

struct phx_reasons {
    struct phx_reason *of; /* owned, [count]: by position; NULL: a scheduler decides */
    uint32_t count;
};

/* Makes room for the reasons of a plan, with the span and the unit of each position filled in.
 * Returns 0 or -ENOMEM. The caller ends it with phx_reasons_fini. */
int phx_reasons_init(struct phx_reasons *out, const struct phx_plan *plan);

/* Puts them in the order of tests, for a run whose ledger has each test at its own number: one on
 * machines. Returns 0 or -ENOMEM. */
int phx_reasons_by_test(struct phx_reasons *reasons, const struct phx_plan *plan);

void phx_reasons_fini(struct phx_reasons *reasons);

#endif
