/* What a run adds to the history: see phx_history_record in store/history.h. */
#include <errno.h>
#include <string.h>

#include "store/history.h"

enum {
    KEEP_RUNS = 1000,
    KEEP_DAYS = 90,   /* of a test that no run has had: it was renamed or deleted */
    PRUNE_EVERY = 20, /* runs: it looks at every test */
    TRIALS_MAX =
        50000, /* of one run: enough for every flaky test, not for a suite that is broken */
};

/* Outcomes after which a test usually takes about as long: a change of kind is learned slowly. */
static int same_kind(char a, char b)
{
    if (a == PHX_OUTCOME_FAILED || a == PHX_OUTCOME_ERROR)
        return b == PHX_OUTCOME_FAILED || b == PHX_OUTCOME_ERROR;
    return a == b;
}

static int ever_good(const struct phx_outcomes *outcomes)
{
    for (uint32_t i = 0; i < outcomes->count; i++)
        if (phx_outcome_kind(outcomes->letter[i]) == PHX_OUTCOME_GOOD)
            return 1;
    return 0;
}

static void learn(struct phx_history_test *test, const struct phx_history_result *result,
                  int64_t now)
{
    const struct phx_outcomes *earlier = &test->outcomes;
    if (phx_outcome_kind(result->outcome) == PHX_OUTCOME_GOOD) {
        if (earlier->count > 0 && !ever_good(earlier))
            test->estimate =
                (struct phx_estimate){0}; /* all it knows is how long a failure takes */
    } else if (test->estimate.nmeasured > 0 &&
               (earlier->count == 0 || !same_kind(result->outcome, earlier->letter[0]))) {
        return;
    }
    phx_estimate_learn(&test->estimate, result->us);
    test->measured_at = now;
}

/* Keeps the trials of a test while one of its outcomes is bad. */
static int record_trials(struct phx_history *history, const struct phx_history_result *result,
                         const struct phx_outcomes *outcomes, size_t *io_room, struct phx_err *err)
{
    int64_t run = outcomes->run[0], oldest = outcomes->run[outcomes->count - 1];
    int status = phx_trials_forget(history, result->node_id, result->node_id_size, oldest, err);
    if (status < 0 || result->ntrials > *io_room)
        return status;
    *io_room -= result->ntrials;
    return phx_trials_put(history, result->node_id, result->node_id_size, run, result->trials,
                          result->ntrials, err);
}

static int record_test(struct phx_history *history, const struct phx_history_result *result,
                       int64_t run, int64_t now, size_t *io_room, struct phx_err *err)
{
    struct phx_history_test test = {0};
    int status = phx_history_find(history, result->node_id, result->node_id_size, &test, err);
    if (status < 0)
        return status;
    test.node_id = result->node_id;
    test.node_id_size = result->node_id_size;
    test.seen_at = now;
    if (result->measured && result->outcome != PHX_OUTCOME_CRASHED)
        learn(&test, result, now);
    int was_bad = phx_outcomes_any_bad(&test.outcomes);
    phx_outcomes_push(&test.outcomes, result->outcome, run);
    if (phx_outcomes_any_bad(&test.outcomes))
        status = record_trials(history, result, &test.outcomes, io_room, err);
    else if (was_bad)
        status = phx_trials_forget(history, result->node_id, result->node_id_size, INT64_MAX, err);
    return status < 0 ? status : phx_history_put(history, &test, err);
}

int phx_history_record(struct phx_history *history, const struct phx_history_run *run,
                       const struct phx_history_result *results, size_t count, struct phx_err *err)
{
    int status = phx_history_begin(history, err);
    if (status < 0)
        return status;
    size_t room = TRIALS_MAX;
    int64_t id = phx_history_add_run(history, run, err);
    status = id < 0 ? (int)id : 0;
    for (size_t i = 0; status == 0 && i < count; i++)
        if (phx_outcome_valid(results[i].outcome))
            status = record_test(history, &results[i], id, run->ended_at, &room, err);
    if (status == 0 && id % PRUNE_EVERY == 0)
        status = phx_history_prune(history, run->ended_at - (int64_t)KEEP_DAYS * 24 * 3600,
                                   KEEP_RUNS, NULL, NULL, err);
    if (status == 0)
        status = phx_history_commit(history, err);
    phx_history_rollback(history);
    return status;
}
