/* The trials of a test (store/trials.h) in the text that carries a history: see store/transfer.h.
 *
 * Runs in the command. What is read may come from anywhere. */
#ifndef PHX_STORE_TRANSFER_TRIALS_H
#define PHX_STORE_TRANSFER_TRIALS_H

#include <jansson.h>

#include "store/history.h"

/* Puts them into a test's object. Returns 0 or -ENOMEM. */
int phx_transfer_put_trials(json_t *test, const struct phx_trials *trials);

/* Takes over what a test's object has of them, within a transaction: those of runs whose outcome
 * this history keeps. Forgets what it keeps no longer.
 * test       as it is in this history after its outcomes were taken over
 * translate  the number here of one of their runs, or 0
 * Returns    0, -EINVAL for what are no trials, or another negative code */
int phx_transfer_take_trials(struct phx_history *history, const struct phx_history_test *test,
                             json_t *object, int64_t (*translate)(const void *, int64_t),
                             const void *context, struct phx_err *err);

#endif
