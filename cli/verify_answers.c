/* Whether the runs give the same answer: outcomes, exit code, JUnit file, warnings. */
#include <stdio.h>
#include <string.h>

#include "cli/verify.h"

/* What the sequential run is. */
static const char *baseline(const struct phx_verify *v)
{
    return v->has_one_worker ? "on one worker" : "without workers";
}

static void describe(char *out, size_t size, const json_t *outcomes)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(outcomes) && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "+" : "",
                                 json_string_value(json_array_get(outcomes, i)));
    if (json_array_size(outcomes) == 0)
        snprintf(out, size, "not run");
}

/* Runs a test alone. Returns 1 if it came out as `expected`, 0 if it did not, -1 if pytest could
 * not be started. */
static int is_alone(struct phx_verify *v, const char *node_id, const char *workers,
                    const json_t *expected)
{
    struct phx_verify_run alone;
    char *args[] = {(char *)node_id, NULL};
    const char *const extra[] = {workers, "--count=1", NULL};
    if (phx_verify_run(&alone, "alone", v->directory, v->python, args, extra) < 0)
        return -1;
    const json_t *outcomes = json_object_get(phx_verify_tests(&alone), node_id);
    int same = outcomes && json_equal(outcomes, expected);
    phx_verify_run_fini(&alone);
    return same;
}

/* Why a test came out differently: it is run alone, without others before it, twice, and if that
 * does not tell, in a worker. */
static const char *explain(struct phx_verify *v, const char *node_id, const json_t *one,
                           const json_t *many)
{
    const char *workers = v->has_one_worker ? "-n1" : "-n0";
    int first = is_alone(v, node_id, workers, one), second = is_alone(v, node_id, workers, one);
    if (first < 0 || second < 0)
        return "";
    if (first != second)
        return ": alone it changes from run to run: it depends on time or chance";
    if (!first)
        return ": alone it differs from the sequential run: it depends on tests before it";
    if (many && !v->has_one_worker && is_alone(v, node_id, "-n1", many) == 1)
        return ": alone it makes the same difference: it behaves otherwise in a worker";
    return ": alone it is as in the sequential run: it depends on what runs beside it, or on the "
           "order";
}

static void compare_test(struct phx_verify *v, json_t *names, const char *node_id,
                         const json_t *one, const json_t *many)
{
    char before[64], after[64], text[1200];
    describe(before, sizeof before, one);
    describe(after, sizeof after, many);
    const char *why =
        one && json_array_size(names) < PHX_VERIFY_NAMED_MAX ? explain(v, node_id, one, many) : "";
    snprintf(text, sizeof text, "%s: %s, in parallel %s%s", node_id, before, after, why);
    json_array_append_new(names, json_string(text));
}

static void check_outcomes(struct phx_verify *v)
{
    json_t *names = json_array(), *one = phx_verify_tests(&v->sequential),
           *many = phx_verify_tests(&v->parallel);
    const char *node_id;
    json_t *outcomes;
    json_object_foreach(one, node_id, outcomes)
    {
        const json_t *other = json_object_get(many, node_id);
        if (!other || !json_equal(outcomes, other))
            compare_test(v, names, node_id, outcomes, other);
    }
    json_object_foreach(many, node_id, outcomes) if (!json_object_get(one, node_id))
        compare_test(v, names, node_id, NULL, outcomes);
    size_t differ = json_array_size(names);
    phx_verify_add(v, "outcomes", differ == 0, names, "%zu of %zu tests have the same outcome",
                   json_object_size(one) > differ ? json_object_size(one) - differ : 0,
                   json_object_size(one));
}

static void check_exit_code(struct phx_verify *v)
{
    int one = v->sequential.exit_code, many = v->parallel.exit_code;
    phx_verify_add(v, "exit code", one == many, NULL, "%d %s, %d in parallel", one, baseline(v),
                   many);
}

/* What is in one sorted list of texts and not in the other. */
static json_t *difference(const struct phx_verify *v, const json_t *left, const json_t *right)
{
    json_t *out = json_array();
    size_t i = 0, j = 0;
    while (i < json_array_size(left) || j < json_array_size(right)) {
        const char *a = json_string_value(json_array_get(left, i));
        const char *b = json_string_value(json_array_get(right, j));
        int order = !a ? 1 : !b ? -1 : strcmp(a, b);
        if (order != 0) {
            char text[1200];
            snprintf(text, sizeof text, "%s: only %s", order < 0 ? a : b,
                     order < 0 ? baseline(v) : "in parallel");
            json_array_append_new(out, json_string(text));
        }
        i += order <= 0;
        j += order >= 0;
    }
    return out;
}

static void check_junit(struct phx_verify *v)
{
    json_t *names = difference(v, v->sequential.cases, v->parallel.cases);
    int good = v->sequential.cases && v->parallel.cases && json_array_size(names) == 0;
    phx_verify_add(v, "JUnit", good, names, "%zu cases %s, %zu in parallel",
                   json_array_size(v->sequential.cases), baseline(v),
                   json_array_size(v->parallel.cases));
}

/* The warnings as sorted texts (the plugin sorts them). */
static json_t *warning_texts(const struct phx_verify_run *run)
{
    json_t *texts = json_array();
    size_t i;
    json_t *warning;
    json_array_foreach(json_object_get(run->report, "warnings"), i, warning)
    {
        char text[1000];
        snprintf(text, sizeof text, "%s: %s (%s)", json_string_value(json_array_get(warning, 0)),
                 json_string_value(json_array_get(warning, 1)),
                 json_string_value(json_array_get(warning, 2)));
        json_array_append_new(texts, json_string(text));
    }
    return texts;
}

static void check_warnings(struct phx_verify *v)
{
    json_t *one = warning_texts(&v->sequential), *many = warning_texts(&v->parallel);
    json_t *names = difference(v, one, many);
    phx_verify_add(v, "warnings", json_array_size(names) == 0, names, "%zu %s, %zu in parallel",
                   json_array_size(one), baseline(v), json_array_size(many));
    json_decref(one);
    json_decref(many);
}

void phx_verify_answers(struct phx_verify *v)
{
    check_outcomes(v);
    check_exit_code(v);
    check_junit(v);
    check_warnings(v);
}
