/* Trials: each single time a test was run, of tests that have failed of late. What tells the
 * failures of a flaky test apart from its passes is looked for in them (store/distinguish.h).
 *
 * A test leaves trials as long as one of its last outcomes (store/outcomes.h) is a bad one, so they
 * are few: a suite whose tests pass has none. Skips leave none.
 *
 * Runs in the controller and in the command. */
#ifndef PHX_STORE_TRIALS_H
#define PHX_STORE_TRIALS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct phx_history;

struct phx_trial {
    int64_t run;         /* its number; when written: that of the run that is being added */
    char outcome;        /* enum phx_outcome */
    uint32_t repetition; /* of --count, from 1 on; 0: it was none */
    uint32_t worker;     /* who ran it */
    uint32_t took_us;    /* all phases */
    const char *after;   /* the test that this worker had run before, [after_size]; NULL: none */
    size_t after_size;
};

struct phx_trials { /* of one test, the last run first, and in each run in the order of their starts
                     */
    struct phx_trial *list; /* owned, [count] */
    size_t count;
    char *texts; /* owned: what `after` points into */
};

/* Reads the trials of a test in the runs >= `since`. A history of an older phalanx has none.
 * out      set on success only; the caller ends it with phx_trials_fini
 * Returns  0 or a negative code. */
int phx_trials_load(struct phx_trials *out, struct phx_history *history, const char *node_id,
                    size_t size, int64_t since, struct phx_err *err);

void phx_trials_fini(struct phx_trials *trials);

/* How many of these came out badly. */
size_t phx_trials_bad(const struct phx_trial *list, size_t count);

/* Writes the trials of a test in run `run`, within a transaction. Returns 0 or a negative code. */
int phx_trials_put(struct phx_history *history, const char *node_id, size_t size, int64_t run,
                   const struct phx_trial *list, size_t count, struct phx_err *err);

/* Forgets the trials of a test in all runs < `before`. Returns 0 or a negative code. */
int phx_trials_forget(struct phx_history *history, const char *node_id, size_t size, int64_t before,
                      struct phx_err *err);

#endif
