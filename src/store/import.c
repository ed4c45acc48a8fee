/* Reading what store/export.c writes, and pytest-split's durations. JUnit XML: store/junit.c. */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/json_text.h"
#include "store/transfer.h"
#include "store/transfer_trials.h"

enum { VERSION = 1 };

struct run_number { /* of a run: there, and here */
    int64_t theirs, ours;
};

struct import {
    struct phx_history *history;
    const struct phx_transfer_source *source;
    struct phx_merge_counts *counts;
    struct phx_err *err;
    struct run_number *runs; /* owned, sorted by `theirs` */
    size_t nruns;
};

static int wrong(const struct import *in, const char *what, size_t index, const char *how)
{
    return phx_err_set(in->err, PHX_E_FORMAT, "%s: %s %zu: %s", in->source->name, what, index + 1,
                       how);
}

/* ---- runs ---- */

static int by_their_number(const void *a, const void *b)
{
    int64_t x = ((const struct run_number *)a)->theirs, y = ((const struct run_number *)b)->theirs;
    return (x > y) - (x < y);
}

static uint32_t u32(json_int_t value)
{
    return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static int import_run(struct import *in, size_t index, json_t *object)
{
    json_int_t number, ended_at, wall_ms, workers, tests;
    struct phx_history_run run = {0};
    if (json_unpack(object, "{s:I, s:s, s:I, s:I, s:I, s:I, s:b}", "run", &number, "uid", &run.uid,
                    "ended_at", &ended_at, "wall_ms", &wall_ms, "workers", &workers, "tests",
                    &tests, "complete", &run.complete) < 0)
        return wrong(in, "run", index, "a field is missing or of another type");
    if (number < 1)
        return wrong(in, "run", index, "its number is not 1 or more");
    run.ended_at = ended_at;
    run.wall_ms = wall_ms;
    run.nworkers = u32(workers);
    run.ntests = u32(tests);
    int64_t known = phx_history_find_run(in->history, run.uid, in->err);
    int64_t ours = known ? known : phx_history_add_run(in->history, &run, in->err);
    if (ours < 0)
        return (int)ours;
    in->counts->runs += known == 0;
    in->runs[in->nruns++] = (struct run_number){.theirs = number, .ours = ours};
    return 0;
}

/* From the last to the first, as they are listed: so the order of runs that are new here stays. */
static int import_runs(struct import *in, json_t *runs)
{
    size_t count = json_array_size(runs);
    in->runs = calloc(count + 1, sizeof *in->runs);
    if (!in->runs)
        return -ENOMEM;
    int status = 0;
    for (size_t i = count; i > 0 && status == 0; i--)
        status = import_run(in, i - 1, json_array_get(runs, i - 1));
    qsort(in->runs, in->nruns, sizeof *in->runs, by_their_number);
    return status;
}

/* The number here of one of their runs, or 0. */
static int64_t number_here(const void *context, int64_t theirs)
{
    const struct import *in = context;
    struct run_number key = {.theirs = theirs};
    const struct run_number *run =
        bsearch(&key, in->runs, in->nruns, sizeof *in->runs, by_their_number);
    return run ? run->ours : 0;
}

/* Their outcomes with our numbers, newest first; those of runs that are not listed are left out. */
static struct phx_outcomes translated(const struct import *in, const struct phx_outcomes *theirs)
{
    struct phx_outcomes ours = {0};
    for (uint32_t i = theirs->count; i > 0; i--) {
        int64_t run = number_here(in, theirs->run[i - 1]);
        if (run == 0)
            continue;
        phx_outcomes_push(&ours, theirs->letter[i - 1], run);
        for (uint32_t k = 0; k + 1 < ours.count && ours.run[k] < ours.run[k + 1]; k++) {
            char letter = ours.letter[k];
            int64_t number = ours.run[k];
            ours.letter[k] = ours.letter[k + 1];
            ours.run[k] = ours.run[k + 1];
            ours.letter[k + 1] = letter;
            ours.run[k + 1] = number;
        }
    }
    return ours;
}

/* ---- tests ---- */

static int read_estimate(json_t *object, struct phx_history_test *out)
{
    json_int_t measured, measured_at, seen_at;
    struct phx_estimate *e = &out->estimate;
    if (json_unpack(object, "{s:I, s:I, s:I, s:[F,F], s:[F,F], s:[F,F]}", "measured", &measured,
                    "measured_at", &measured_at, "seen_at", &seen_at, "setup", &e->mean_us[0],
                    &e->variance_us2[0], "call", &e->mean_us[1], &e->variance_us2[1], "teardown",
                    &e->mean_us[2], &e->variance_us2[2]) < 0)
        return -EINVAL;
    for (int i = 0; i < PHX_ESTIMATE_PHASES; i++)
        if (e->mean_us[i] < 0 || e->variance_us2[i] < 0)
            return -EINVAL;
    e->nmeasured = u32(measured);
    out->measured_at = measured_at;
    out->seen_at = seen_at;
    return 0;
}

/* What it came to here, with what was here before, and its trials with it. */
static int merge(struct import *in, const struct phx_history_test *test, json_t *object)
{
    struct phx_history_test merged = {0};
    int status = phx_merge_test(in->history, test, in->counts, in->err);
    if (status == 0)
        status = phx_history_find(in->history, test->node_id, test->node_id_size, &merged, in->err);
    if (status <= 0)
        return status;
    merged.node_id = test->node_id;
    merged.node_id_size = test->node_id_size;
    return phx_transfer_take_trials(in->history, &merged, object, number_here, in, in->err);
}

static int import_test(struct import *in, size_t index, json_t *object)
{
    struct phx_history_test test = {0};
    struct phx_outcomes outcomes;
    struct phx_json_text id = {0};
    json_t *text = json_object_get(object, "outcomes");
    int status = phx_json_get_text(&id, object, "id");
    status = status == 0 ? -EINVAL : status < 0 ? status : 0;
    test.node_id = id.bytes;
    test.node_id_size = id.size;
    if (status == 0)
        status = read_estimate(object, &test);
    if (status == 0 &&
        (!json_is_string(text) ||
         phx_outcomes_parse(&outcomes, json_string_value(text), json_string_length(text)) < 0))
        status = -EINVAL;
    if (status == 0) {
        test.outcomes = translated(in, &outcomes);
        status = merge(in, &test, object);
    }
    if (status == -EINVAL)
        status = wrong(in, "test", index, "a field is missing, or not what it should be");
    free(id.owned);
    return status;
}

static int import_history(struct import *in, json_t *root)
{
    json_t *version = json_object_get(root, "version"), *runs = json_object_get(root, "runs");
    json_t *tests = json_object_get(root, "tests");
    if (!json_is_integer(version) || !json_is_array(runs) || !json_is_array(tests))
        return phx_err_set(in->err, PHX_E_FORMAT, "%s: no version, runs or tests",
                           in->source->name);
    if (json_integer_value(version) > VERSION)
        return phx_err_set(in->err, PHX_E_NEWER, "cannot read %s", in->source->name);
    int status = import_runs(in, runs);
    for (size_t i = 0; status == 0 && i < json_array_size(tests); i++)
        status = import_test(in, i, json_array_get(tests, i));
    return status;
}

/* ---- pytest-split's durations ---- */

static int import_duration(struct import *in, size_t index, const char *id, size_t size,
                           json_t *seconds)
{
    if (!json_is_number(seconds) || json_number_value(seconds) < 0)
        return wrong(in, "test", index, "its duration is no number of seconds");
    return phx_merge_duration(in->history, id, size, json_number_value(seconds),
                              in->source->measured_at, in->source->now, in->source->overwrite,
                              in->counts, in->err);
}

/* {"id": seconds, ...} */
static int import_durations(struct import *in, json_t *root)
{
    size_t index = 0;
    int status = 0;
    for (void *at = json_object_iter(root); at && status == 0;
         at = json_object_iter_next(root, at)) {
        const char *id = json_object_iter_key(at);
        status = import_duration(in, index++, id, strlen(id), json_object_iter_value(at));
    }
    return status;
}

/* [["id", seconds], ...]: as early versions of pytest-split wrote it */
static int import_pairs(struct import *in, json_t *root)
{
    int status = 0;
    for (size_t i = 0; i < json_array_size(root) && status == 0; i++) {
        json_t *entry = json_array_get(root, i), *id = json_array_get(entry, 0);
        if (json_array_size(entry) != 2 || !json_is_string(id))
            return wrong(in, "entry", i, "is no pair of a node id and seconds");
        status = import_duration(in, i, json_string_value(id), json_string_length(id),
                                 json_array_get(entry, 1));
    }
    return status;
}

static int import_json(struct import *in)
{
    json_error_t error;
    json_t *root = json_loadb(in->source->bytes, in->source->size, JSON_ALLOW_NUL, &error);
    if (!root)
        return phx_err_set(in->err, PHX_E_FORMAT, "%s: line %d, column %d: %s", in->source->name,
                           error.line, error.column, error.text);
    int status;
    const char *format = json_string_value(json_object_get(root, "format"));
    if (json_is_array(root))
        status = import_pairs(in, root);
    else if (format && strcmp(format, "phalanx-history") == 0)
        status = import_history(in, root);
    else
        status = import_durations(in, root);
    json_decref(root);
    free(in->runs);
    return status;
}

int phx_transfer_import(struct phx_history *history, const struct phx_transfer_source *source,
                        struct phx_merge_counts *counts, struct phx_err *err)
{
    struct phx_merge_counts taken = *counts;
    struct import in = {.history = history, .source = source, .counts = &taken, .err = err};
    size_t first = 0;
    if (source->size >= 3 && memcmp(source->bytes, "\xef\xbb\xbf", 3) == 0)
        first = 3; /* a byte order mark: XML may have one */
    while (first < source->size && isspace((unsigned char)source->bytes[first]))
        first++;
    if (first == source->size)
        return phx_err_set(err, PHX_E_FORMAT, "%s is empty", source->name);
    int status = phx_history_begin(history, err);
    if (status < 0)
        return status;
    if (source->bytes[first] == '<')
        status = phx_junit_import(history, source, &taken, err);
    else
        status = import_json(&in);
    if (status == 0)
        status = phx_history_commit(history, err);
    phx_history_rollback(history);
    if (status == 0)
        *counts = taken;
    return status;
}
