#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdint.h>

#include "store/json_text.h"
#include "store/transfer.h"
#include "store/transfer_trials.h"

struct export
{
    struct phx_history *history;
    struct phx_err *err;
    FILE *out;
    int nlines;
};

/* Writes one object as a line of its array, and lets go of it. */
static int write_line(struct export *export, json_t *object)
{
    int status = -ENOMEM;
    if (object) {
        fputs(export->nlines++ ? ",\n" : "\n", export->out);
        status = json_dumpf(object, export->out, JSON_COMPACT) == 0 ? 0 : -EIO;
        json_decref(object);
    }
    return status;
}

static int export_run(void *context, const struct phx_history_run *run)
{
    return write_line(context,
                      json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:b}", "run", (json_int_t)run->id,
                                "uid", run->uid, "ended_at", (json_int_t)run->ended_at, "wall_ms",
                                (json_int_t)run->wall_ms, "workers", (json_int_t)run->nworkers,
                                "tests", (json_int_t)run->ntests, "complete", run->complete));
}

/* JSON has no infinities, and a database may hold anything. */
static double finite_or_0(double value)
{
    return isfinite(value) ? value : 0;
}

static json_t *pair(const struct phx_estimate *estimate, int phase)
{
    return json_pack("[f, f]", finite_or_0(estimate->mean_us[phase]),
                     finite_or_0(estimate->variance_us2[phase]));
}

/* Only a test with a bad outcome has any. */
static int put_trials(const struct export *export, json_t *object,
                      const struct phx_history_test *test)
{
    struct phx_trials trials;
    if (!phx_outcomes_any_bad(&test->outcomes))
        return 0;
    int status = phx_trials_load(&trials, export->history, test->node_id, test->node_id_size,
                                 INT64_MIN, export->err);
    if (status < 0)
        return status;
    if (trials.count > 0)
        status = phx_transfer_put_trials(object, &trials);
    phx_trials_fini(&trials);
    return status;
}

static int export_test(void *context, const struct phx_history_test *test)
{
    struct export *export = context;
    char outcomes[PHX_OUTCOMES_TEXT_MAX];
    phx_outcomes_format(&test->outcomes, outcomes);
    const struct phx_estimate *estimate = &test->estimate;
    json_t *object =
        json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:s}", "measured",
                  (json_int_t)estimate->nmeasured, "measured_at", (json_int_t)test->measured_at,
                  "seen_at", (json_int_t)test->seen_at, "setup", pair(estimate, 0), "call",
                  pair(estimate, 1), "teardown", pair(estimate, 2), "outcomes", outcomes);
    int status =
        object ? phx_json_put_text(object, "id", test->node_id, test->node_id_size) : -ENOMEM;
    if (status == 0)
        status = put_trials(export, object, test);
    if (status == 0)
        return write_line(export, object);
    json_decref(object);
    return status;
}

int phx_transfer_export(struct phx_history *history, FILE *out, struct phx_err *err)
{
    struct export export = {.history = history, .err = err, .out = out};
    /* One snapshot: a run that ends meanwhile is in neither part. */
    int status = phx_db_run(history->db, "BEGIN", "read", err);
    if (status < 0)
        return status;
    fputs("{\"format\": \"phalanx-history\", \"version\": 1,\n\"runs\": [", out);
    status = phx_history_each_run(history, -1, export_run, &export, err);
    fputs("\n],\n\"tests\": [", out);
    export.nlines = 0;
    if (status == 0)
        status = phx_history_each_test(history, PHX_HISTORY_BY_ID, NULL, export_test, &export, err);
    fputs("\n]}\n", out);
    phx_history_rollback(history);
    if (status == 0 && (fflush(out) != 0 || ferror(out)))
        status = phx_err_set(err, -EIO, "cannot write the history out");
    return status;
}
