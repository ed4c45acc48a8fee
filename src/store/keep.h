/* What a run asks of the history before its plan, and tells it at its end.
 *
 * A failure here never changes a result: there is then no estimate, or nothing is kept, and at most
 * one sentence for the terminal. Two runs may be here at once.
 *
 * Runs in the controller. May block: on the file system, and 10 s at most on another run's write.
 */
#ifndef PHX_STORE_KEEP_H
#define PHX_STORE_KEEP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct phx_controller;
struct phx_collection;
struct phx_flakiness;

struct phx_keep_costs { /* by test, in collection order; 0: unknown; NULL: nothing is known */
    uint32_t *cost_us;  /* owned: all phases together */
    uint32_t *setup_us; /* of these the set-up; in the same memory */
    uint32_t nknown;    /* tests that are known */
};

/* Reads what is known of every collected test. A damaged history is set aside.
 * out      filled in any case; the caller ends it with phx_keep_costs_fini
 * warning  code 0 when there is nothing to say */
void phx_keep_read(const char *path, const struct phx_collection *tests, struct phx_keep_costs *out,
                   struct phx_err *warning);

void phx_keep_costs_fini(struct phx_keep_costs *costs);

struct phx_keep_run {
    const char *uid;      /* borrowed: testrunuid */
    const char *outcomes; /* borrowed, [noutcomes]: by test in collection order, enum phx_outcome;
                             anything else: none */
    size_t noutcomes;
    int complete;            /* it was not stopped before its end */
    const char *repetitions; /* borrowed, [noutcomes], or NULL: not 0 for a repetition (--count) */
    int optional;            /* nobody asked for it: where nothing may be written nothing is said */
};

/* Adds a run to the history: of tests whose protocol ended what they took, by the ledger, and how
 * they went; of tests that crashed that they did. Tests that were cut short or never ran leave no
 * trace. The directory of `path` must be there. A damaged history is set aside, and a new one
 * begun. No worker is active any more.
 * out_flakiness  of the last runs, this one included (store/history.h); 0 when it is unknown
 * warning  as above
 * Returns  0, or the negative code that kept it from being written. */
int phx_keep_run(const char *path, const struct phx_controller *controller,
                 const struct phx_keep_run *run, struct phx_flakiness *out_flakiness,
                 struct phx_err *warning);

#endif
