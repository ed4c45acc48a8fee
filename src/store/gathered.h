/* What a run tells the history of each test: read from the ledger when no worker is active any
 * more, and from the letters that the plugin keeps.
 *
 *   retries      (--retries) a test has several positions: its last one is its result, each is a
 *                trial
 *   repetitions  (--count) are several tests for pytest and one for the history: what they came to
 *                together is its outcome, how long they took is not learned, as they ran beside
 *                each other
 *
 * Runs in the controller. */
#ifndef PHX_STORE_GATHERED_H
#define PHX_STORE_GATHERED_H

#include "store/history.h"

struct phx_controller;

struct phx_gathered {
    struct phx_history_result *results; /* owned, [count]; by node id, or in collection order:
                                           neighbours in the list are neighbours in the database */
    size_t count;
    struct phx_trial *trials; /* owned: what the results point into */
    char *ids;                /* owned: node ids that are not the controller's */
};

/* Gathers it.
 * outcomes     borrowed, [ntests]: by test in collection order, enum phx_outcome; else: none
 * repetitions  borrowed, [ntests], or NULL: not 0 for a test that is a repetition
 * out          set on success only; borrows from the controller; ended with phx_gathered_fini
 * Returns      0 or -ENOMEM. */
int phx_gathered_make(struct phx_gathered *out, const struct phx_controller *controller,
                      const char *outcomes, const char *repetitions, size_t ntests);

void phx_gathered_fini(struct phx_gathered *gathered);

#endif
