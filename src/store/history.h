/* The history: what earlier runs tell of every test.
 *
 * One object is one open database (store/db.h); the schema is in store/schema.h. Rows are read and
 * written as plain structs. Whoever changes something does it between begin and commit.
 *
 * Runs in the controller and in the command; may block on the file system, and while another run
 * writes. */
#ifndef PHX_STORE_HISTORY_H
#define PHX_STORE_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/db.h"
#include "store/estimate.h"
#include "store/outcomes.h"
#include "store/trials.h"

struct phx_collection;

struct phx_history { /* opaque, but for store/ */
    sqlite3 *db;
    sqlite3_stmt *find, *put, *put_trial, *forget_trials; /* owned; made when first used */
};

struct phx_history_run {
    int64_t id;        /* 0 before it is added */
    const char *uid;   /* borrowed: the run's testrunuid, NUL-terminated */
    int64_t ended_at;  /* seconds since 1970, UTC */
    int64_t wall_ms;   /* from the first worker's start to the last one's end */
    uint32_t nworkers; /* at one time */
    uint32_t ntests;   /* with an outcome */
    int complete;      /* 0: it was stopped before every test had run */
};

struct phx_history_test {
    const char *node_id; /* borrowed; any bytes; not NUL-terminated */
    size_t node_id_size;
    struct phx_estimate estimate;
    int64_t measured_at; /* seconds since 1970, UTC; 0: never */
    int64_t seen_at;     /* when a run had it last */
    struct phx_outcomes outcomes;
};

/* As phx_db_open. *history is the caller's memory, ended with phx_history_close. */
int phx_history_open(struct phx_history *history, const char *path, enum phx_db_mode mode,
                     struct phx_err *err);
void phx_history_close(struct phx_history *history);

/* ---- reading ---- */

/* Looks one test up. out->node_id is the caller's own pointer. Returns 1, 0 when it is unknown, or
 * a negative code. */
int phx_history_find(struct phx_history *history, const char *node_id, size_t size,
                     struct phx_history_test *out, struct phx_err *err);

/* Looks one run up by its uid. Returns its id, 0 when it is unknown, or a negative code. */
int64_t phx_history_find_run(struct phx_history *history, const char *uid, struct phx_err *err);

enum phx_history_order {
    PHX_HISTORY_BY_ID,
    PHX_HISTORY_SLOWEST, /* first: by the sum of the phases */
};

/* Calls `each` for every test whose node id matches `pattern` (SQL's GLOB; NULL: all). The struct
 * is borrowed for the call. `each` returns 0 to go on; anything else ends the walk and is returned.
 * Returns 0 or a negative code. */
int phx_history_each_test(struct phx_history *history, enum phx_history_order order,
                          const char *pattern,
                          int (*each)(void *context, const struct phx_history_test *test),
                          void *context, struct phx_err *err);

/* The same for the `most` newest runs (< 0: all), newest first. */
int phx_history_each_run(struct phx_history *history, int64_t most,
                         int (*each)(void *context, const struct phx_history_run *run),
                         void *context, struct phx_err *err);

/* What is known of every collected test, in microseconds; 0: unknown.
 * cost_us   [tests of the collection], filled with all phases together; undefined on failure
 * setup_us  the same, with the set-up
 * Returns   the number of tests that are known, or a negative code. */
int64_t phx_history_costs(struct phx_history *history, const struct phx_collection *tests,
                          uint32_t *cost_us, uint32_t *setup_us, struct phx_err *err);

struct phx_flakiness {
    uint32_t nruns;          /* runs looked at */
    uint64_t ntests;         /* tests with an outcome other than skipped in them */
    uint64_t nflaky;         /* of these; see phx_outcomes_flaky */
    uint64_t nruns_of_tests; /* outcomes other than skipped */
    uint64_t nbad;           /* of these: failed, errors, crashed, failed and passed */
};

/* Looks at the last `nruns` runs. `each` (may be NULL) is called for every flaky test.
 * Returns 0 or a negative code; what `each` returned when that was not 0. */
int phx_history_flakiness(struct phx_history *history, uint32_t nruns, struct phx_flakiness *out,
                          int (*each)(void *context, const struct phx_history_test *test,
                                      int64_t since),
                          void *context, struct phx_err *err);

/* ---- writing ---- */

int phx_history_begin(struct phx_history *history, struct phx_err *err);
int phx_history_commit(struct phx_history *history, struct phx_err *err);
void phx_history_rollback(struct phx_history *history); /* fine when nothing was begun */

/* Adds a run. Returns its id (that of the one with the same uid, if there is one), or a negative
 * code. */
int64_t phx_history_add_run(struct phx_history *history, const struct phx_history_run *run,
                            struct phx_err *err);

/* Adds a test, or replaces what is known of it. */
int phx_history_put(struct phx_history *history, const struct phx_history_test *test,
                    struct phx_err *err);

/* Forgets tests that no run has had since `seen_at`, and all but the `keep_runs` newest runs.
 * out_tests, out_runs  how many went; may be NULL */
int phx_history_prune(struct phx_history *history, int64_t seen_at, uint32_t keep_runs,
                      uint64_t *out_tests, uint64_t *out_runs, struct phx_err *err);

/* ---- a run ---- */

struct phx_history_result { /* of one test in one run */
    const char *node_id;    /* borrowed; any bytes */
    size_t node_id_size;
    char outcome; /* enum phx_outcome; 0: none (it was cut short) */
    int measured; /* `us` tells how long it took */
    uint32_t us[PHX_ESTIMATE_PHASES];
    const struct phx_trial *trials; /* borrowed, [ntrials]: each time it was run, by their starts */
    size_t ntrials;
};

/* Writes a run and what became of its tests, all or nothing, and prunes.
 *
 * What a test took is learned when it went well. When it failed, was skipped, or passed only when
 * it was run again, it often takes another time: that is learned from the second such outcome in a
 * row on, or where nothing better is known. The time of a crash is never learned.
 *
 * Of a test that has failed of late its trials are kept: store/trials.h. */
int phx_history_record(struct phx_history *history, const struct phx_history_run *run,
                       const struct phx_history_result *results, size_t count, struct phx_err *err);

#endif
