/* The trials of a test in what `phalanx history export` writes, and `import` reads. */
#include "store/transfer_trials.h"

#include <errno.h>
#include <stdlib.h>

#include "store/json_text.h"

/* ---- out ---- */

static json_t *pack(const struct phx_trial *trial)
{
    char letter[] = {trial->outcome, '\0'};
    json_t *object =
        json_pack("{s:I, s:s, s:I, s:I, s:I}", "run", (json_int_t)trial->run, "outcome", letter,
                  "repetition", (json_int_t)trial->repetition, "worker", (json_int_t)trial->worker,
                  "us", (json_int_t)trial->took_us);
    if (object && trial->after &&
        phx_json_put_text(object, "after", trial->after, trial->after_size) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

int phx_transfer_put_trials(json_t *test, const struct phx_trials *trials)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < trials->count; i++) {
        if (json_array_append_new(list, pack(&trials->list[i])) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return json_object_set_new(test, "trials", list) == 0 ? 0 : -ENOMEM;
}

/* ---- in ---- */

static uint32_t u32(json_int_t value)
{
    return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

/* `owned`: gets what `after` may own. Returns 0, -EINVAL or -ENOMEM. */
static int unpack(struct phx_trial *out, char **owned, json_t *object)
{
    json_int_t run, repetition, worker, us;
    const char *outcome;
    struct phx_json_text after = {0};
    if (json_unpack(object, "{s:I, s:s, s:I, s:I, s:I}", "run", &run, "outcome", &outcome,
                    "repetition", &repetition, "worker", &worker, "us", &us) < 0 ||
        !phx_outcome_valid(outcome[0]) || outcome[1] != '\0')
        return -EINVAL;
    int found = phx_json_get_text(&after, object, "after");
    if (found < 0)
        return found;
    *owned = after.owned;
    *out = (struct phx_trial){.run = run,
                              .outcome = outcome[0],
                              .repetition = u32(repetition),
                              .worker = u32(worker),
                              .took_us = u32(us),
                              .after = found ? after.bytes : NULL,
                              .after_size = after.size};
    return 0;
}

/* Writes those of one run, if this history keeps that run's outcome of the test. */
static int put_run(struct phx_history *history, const struct phx_history_test *test, int64_t run,
                   const struct phx_trial *list, size_t count, struct phx_err *err)
{
    for (uint32_t i = 0; i < test->outcomes.count; i++)
        if (test->outcomes.run[i] == run)
            return phx_trials_put(history, test->node_id, test->node_id_size, run, list, count,
                                  err);
    return 0;
}

static int put_all(struct phx_history *history, const struct phx_history_test *test,
                   const struct phx_trial *list, size_t count,
                   int64_t (*translate)(const void *, int64_t), const void *context,
                   struct phx_err *err)
{
    int status = 0;
    size_t end;
    for (size_t from = 0; status == 0 && from < count; from = end) {
        for (end = from + 1; end < count && list[end].run == list[from].run; end++) {
        }
        int64_t run = translate(context, list[from].run);
        status = put_run(history, test, run, list + from, end - from, err);
    }
    return status;
}

int phx_transfer_take_trials(struct phx_history *history, const struct phx_history_test *test,
                             json_t *object, int64_t (*translate)(const void *, int64_t),
                             const void *context, struct phx_err *err)
{
    json_t *array = json_object_get(object, "trials");
    size_t count = json_array_size(array);
    if (array && !json_is_array(array))
        return -EINVAL;
    if (!phx_outcomes_any_bad(&test->outcomes))
        return phx_trials_forget(history, test->node_id, test->node_id_size, INT64_MAX, err);
    struct phx_trial *list = calloc(count + 1, sizeof *list);
    char **owned = calloc(count + 1, sizeof *owned);
    int status = list && owned ? 0 : -ENOMEM;
    for (size_t i = 0; status == 0 && i < count; i++)
        status = unpack(&list[i], &owned[i], json_array_get(array, i));
    if (status == 0)
        status = put_all(history, test, list, count, translate, context, err);
    if (status == 0)
        status = phx_trials_forget(history, test->node_id, test->node_id_size,
                                   test->outcomes.run[test->outcomes.count - 1], err);
    for (size_t i = 0; owned && i < count; i++)
        free(owned[i]);
    free(owned);
    free(list);
    return status;
}
