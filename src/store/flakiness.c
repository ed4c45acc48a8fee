/* How flaky the suite was in its last runs: see phx_history_flakiness in store/history.h. */
#include "store/history.h"

struct look {
    struct phx_flakiness *out;
    int64_t since; /* the oldest run looked at */
    int (*each)(void *context, const struct phx_history_test *test, int64_t since);
    void *context;
};

static int look_at_run(void *context, const struct phx_history_run *run)
{
    struct look *look = context;
    look->out->nruns++;
    if (look->since == 0 || run->id < look->since)
        look->since = run->id;
    return 0;
}

static int look_at_test(void *context, const struct phx_history_test *test)
{
    struct look *look = context;
    const struct phx_outcomes *outcomes = &test->outcomes;
    uint64_t ran = 0;
    for (uint32_t i = 0; i < outcomes->count && outcomes->run[i] >= look->since; i++) {
        enum phx_outcome_kind kind = phx_outcome_kind(outcomes->letter[i]);
        ran += kind != PHX_OUTCOME_NONE;
        look->out->nbad += kind == PHX_OUTCOME_BAD;
    }
    look->out->nruns_of_tests += ran;
    look->out->ntests += ran > 0;
    if (!phx_outcomes_flaky(outcomes, look->since))
        return 0;
    look->out->nflaky++;
    return look->each ? look->each(look->context, test, look->since) : 0;
}

int phx_history_flakiness(struct phx_history *history, uint32_t nruns, struct phx_flakiness *out,
                          int (*each)(void *context, const struct phx_history_test *test,
                                      int64_t since),
                          void *context, struct phx_err *err)
{
    struct phx_flakiness found = {0};
    struct look look = {.out = &found, .each = each, .context = context};
    int status = phx_history_each_run(history, nruns, look_at_run, &look, err);
    if (status == 0 && found.nruns > 0)
        status = phx_history_each_test(history, PHX_HISTORY_BY_ID, NULL, look_at_test, &look, err);
    if (status == 0)
        *out = found;
    return status;
}
