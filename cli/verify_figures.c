/* The figures of the runs against their targets: speedup, balance, flakiness. */
#include <stdio.h>
#include <string.h>

#include "cli/verify.h"
#include "os/cpu.h"
#include "sched/repeat.h"

#define SPEEDUP_TARGET 0.75    /* of the workers that have a core */
#define BALANCE_TARGET 0.75    /* the least busy worker, of the busiest one */
#define FLAKINESS_TARGET 0.001 /* tests whose repetitions disagree */

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void check_speedup(struct phx_verify *v)
{
    const json_t *workers = json_object_get(v->parallel.report, "workers");
    double wall = number(workers, "wall_s"), test_s = number(v->sequential.report, "test_s");
    long with_core =
        phx_cpu_logical("") < v->options.workers ? phx_cpu_logical("") : v->options.workers;
    double speedup = wall > 0 ? test_s / wall : 0, target = SPEEDUP_TARGET * (double)with_core;
    phx_verify_add(
        v, "speedup", speedup >= target, NULL,
        "%.2fx, target %.2fx (%ld of %ld workers have a core): %.2f s of tests in %.2f s; with "
        "start-up %.2f s, was %.2f s",
        speedup, target, with_core, v->options.workers, test_s, wall,
        (double)v->parallel.wall / 1e9, (double)v->sequential.wall / 1e9);
    const char *advice = json_string_value(json_object_get(workers, "advice"));
    if (speedup < target && advice && *advice)
        fprintf(v->table, "                %s\n", advice);
}

static double longest_test(const struct phx_verify *v)
{
    double longest = 0;
    const char *node_id;
    json_t *duration;
    json_object_foreach(json_object_get(v->parallel.report, "durations_s"), node_id,
                        duration) if (json_number_value(duration) > longest) longest =
        json_number_value(duration);
    return longest;
}

static void check_balance(struct phx_verify *v)
{
    json_t *list = json_object_get(json_object_get(v->parallel.report, "workers"), "workers");
    double least = 0, most = 0,
           wall = number(json_object_get(v->parallel.report, "workers"), "wall_s");
    char tests[256] = "";
    size_t i, used = 0;
    json_t *worker;
    json_array_foreach(list, i, worker)
    {
        double busy = number(worker, "busy_s");
        least = i == 0 || busy < least ? busy : least;
        most = busy > most ? busy : most;
        if (used < sizeof tests)
            used += (size_t)snprintf(tests + used, sizeof tests - used, "%s%.0f", i ? "/" : "",
                                     number(worker, "tests"));
    }
    /* No plan is better than the longest test allows. */
    int good = least >= BALANCE_TARGET * most || most - least <= longest_test(v);
    phx_verify_add(v, "balance", good, NULL,
                   "workers were busy for %.0f to %.0f %% of the time, tests %s",
                   wall > 0 ? 100 * least / wall : 0, wall > 0 ? 100 * most / wall : 0, tests);
    if (!good)
        fprintf(v->table,
                "                pytest -n %ld --schedule-report=- says who ran what, and why\n",
                v->options.workers);
}

void phx_verify_speed(struct phx_verify *v)
{
    check_speedup(v);
    check_balance(v);
}

/* ---- flakiness ---- */

static int passes(const json_t *outcomes)
{
    size_t count = json_array_size(outcomes);
    for (size_t i = 0; i < count; i++) {
        const char *outcome = json_string_value(json_array_get(outcomes, i));
        if (outcome && (strcmp(outcome, "failed") == 0 || strcmp(outcome, "error") == 0))
            return 0;
    }
    return count > 0;
}

/* The node id of a repetition without its number. Returns 0 when it is none. */
static int base_of(char *out, size_t size, const char *node_id)
{
    struct phx_repeat repeat;
    if (!phx_repeat_of(node_id, strlen(node_id), &repeat))
        return 0;
    out[phx_repeat_base(out, size - 1, node_id, &repeat)] = '\0';
    return 1;
}

/* Counts per test: {base: [repetitions, failures]}. */
static json_t *count_repetitions(const struct phx_verify *v)
{
    json_t *counts = json_object();
    const char *node_id;
    json_t *outcomes;
    json_object_foreach(phx_verify_tests(&v->repeated), node_id, outcomes)
    {
        char base[1024];
        if (!base_of(base, sizeof base, node_id))
            continue;
        const json_t *had = json_object_get(counts, base);
        json_int_t ran = json_integer_value(json_array_get(had, 0));
        json_int_t failed = json_integer_value(json_array_get(had, 1));
        json_object_set_new(counts, base, json_pack("[I, I]", ran + 1, failed + !passes(outcomes)));
    }
    return counts;
}

void phx_verify_flakiness(struct phx_verify *v)
{
    json_t *counts = count_repetitions(v), *names = json_array();
    const char *base;
    json_t *count;
    json_object_foreach(counts, base, count)
    {
        json_int_t ran = json_integer_value(json_array_get(count, 0));
        json_int_t failed = json_integer_value(json_array_get(count, 1));
        if (failed == 0 || failed == ran)
            continue;
        char text[1200];
        snprintf(text, sizeof text, "%s: %lld of %lld repetitions failed", base, (long long)failed,
                 (long long)ran);
        json_array_append_new(names, json_string(text));
    }
    size_t flaky = json_array_size(names), total = json_object_size(counts);
    double rate = total ? (double)flaky / (double)total : 0;
    phx_verify_add(v, "flakiness", total > 0 && rate < FLAKINESS_TARGET, names,
                   "%.2f %%, target below %.1f %%: %zu of %zu tests disagreed in %ld repetitions",
                   100 * rate, 100 * FLAKINESS_TARGET, flaky, total, v->options.count);
    json_decref(counts);
}
