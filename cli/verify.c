/* `phalanx verify`: does a suite give the same answer on several workers as on none, is it faster
 * by what it should be, is the load equal, are its tests reliable? Every figure comes from runs of
 * pytest made here and now; docs/metrics.md defines them. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/verify_run.h"
#include "os/cpu.h"

#define SPEEDUP_TARGET 0.75    /* of the workers that have a core */
#define BALANCE_TARGET 0.75    /* the least busy worker, of the busiest one */
#define FLAKINESS_TARGET 0.001 /* tests whose repetitions disagree */

enum {
    COUNT_DEFAULT = 5,
    NAMED_MAX = 10, /* tests that are named, and looked at alone, for each check */
};

struct options {
    long workers, count;
    const char *json;
    char *const *args; /* for pytest */
};

struct verify {
    struct options options;
    char directory[256], python[512];
    struct phx_verify_run sequential, parallel, repeated;
    FILE *table;    /* stdout; stderr when that is the JSON's */
    json_t *checks; /* owned: what --json gives, and the table is printed from */
    int failed;
};

/* ---- the table ---- */

/* Adds a line. `names`, taken, may be NULL: the tests it is about. */
static void add_check(struct verify *v, const char *name, int good, json_t *names,
                      const char *format, ...) __attribute__((format(printf, 5, 6)));

static void add_check(struct verify *v, const char *name, int good, json_t *names,
                      const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    v->failed |= !good;
    fprintf(v->table, "%s %-11s %s\n", good ? "✓" : "✗", name, text);
    for (size_t i = 0; i < json_array_size(names); i++) {
        if (i == NAMED_MAX) {
            fprintf(v->table, "                … and %zu more\n", json_array_size(names) - i);
            break;
        }
        fprintf(v->table, "                %s\n", json_string_value(json_array_get(names, i)));
    }
    fflush(v->table);
    json_array_append_new(v->checks,
                          json_pack("{s:s, s:b, s:s, s:o}", "check", name, "good", good, "text",
                                    text, "tests", names ? names : json_array()));
}

/* ---- reading reports ---- */

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static json_t *tests_of(const struct phx_verify_run *run)
{
    return json_object_get(run->report, "tests");
}

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

/* ---- checks ---- */

/* Why a test came out differently: it is run alone, without others before it, twice. */
static const char *explain(struct verify *v, const char *node_id, const json_t *expected)
{
    struct phx_verify_run alone[2];
    int same[2] = {0};
    for (int i = 0; i < 2; i++) {
        char *args[] = {(char *)node_id, NULL};
        static const char *const extra[] = {"-n0", "--count=1", NULL};
        if (phx_verify_run(&alone[i], "alone", v->directory, v->python, args, extra) < 0)
            return "";
        const json_t *outcomes = json_object_get(tests_of(&alone[i]), node_id);
        same[i] = outcomes && json_equal(outcomes, expected);
        phx_verify_run_fini(&alone[i]);
    }
    if (same[0] != same[1])
        return ": alone it changes from run to run: it depends on time or chance";
    return same[0] ? ": alone it is as in the sequential run: it depends on what runs beside it, "
                     "or on the order"
                   : ": alone it differs from the sequential run: it depends on tests before it";
}

static void compare_test(struct verify *v, json_t *names, const char *node_id, const json_t *one,
                         const json_t *many)
{
    char before[64], after[64], text[1200];
    describe(before, sizeof before, one);
    describe(after, sizeof after, many);
    const char *why = one && json_array_size(names) < NAMED_MAX ? explain(v, node_id, one) : "";
    snprintf(text, sizeof text, "%s: %s, in parallel %s%s", node_id, before, after, why);
    json_array_append_new(names, json_string(text));
}

static void check_outcomes(struct verify *v)
{
    json_t *names = json_array(), *one = tests_of(&v->sequential), *many = tests_of(&v->parallel);
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
    add_check(v, "outcomes", differ == 0, names, "%zu of %zu tests have the same outcome",
              json_object_size(one) > differ ? json_object_size(one) - differ : 0,
              json_object_size(one));
}

static void check_exit_code(struct verify *v)
{
    int one = v->sequential.exit_code, many = v->parallel.exit_code;
    add_check(v, "exit code", one == many, NULL, "%d without workers, %d with %ld", one, many,
              v->options.workers);
}

/* What is in one sorted list of texts and not in the other. */
static json_t *difference(const json_t *left, const json_t *right)
{
    json_t *out = json_array();
    size_t i = 0, j = 0;
    while (i < json_array_size(left) || j < json_array_size(right)) {
        const char *a = json_string_value(json_array_get(left, i));
        const char *b = json_string_value(json_array_get(right, j));
        int order = !a ? 1 : !b ? -1 : strcmp(a, b);
        if (order != 0) {
            char text[1200];
            snprintf(text, sizeof text, "%s: only %s workers", order < 0 ? a : b,
                     order < 0 ? "without" : "with");
            json_array_append_new(out, json_string(text));
        }
        i += order <= 0;
        j += order >= 0;
    }
    return out;
}

static void check_junit(struct verify *v)
{
    json_t *names = difference(v->sequential.cases, v->parallel.cases);
    int good = v->sequential.cases && v->parallel.cases && json_array_size(names) == 0;
    add_check(v, "JUnit", good, names, "%zu cases without workers, %zu with them",
              json_array_size(v->sequential.cases), json_array_size(v->parallel.cases));
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

static void check_warnings(struct verify *v)
{
    json_t *one = warning_texts(&v->sequential), *many = warning_texts(&v->parallel);
    json_t *names = difference(one, many);
    add_check(v, "warnings", json_array_size(names) == 0, names, "%zu without workers, %zu with",
              json_array_size(one), json_array_size(many));
    json_decref(one);
    json_decref(many);
}

static void check_speedup(struct verify *v)
{
    const json_t *workers = json_object_get(v->parallel.report, "workers");
    double wall = number(workers, "wall_s"), test_s = number(v->sequential.report, "test_s");
    long with_core =
        phx_cpu_logical("") < v->options.workers ? phx_cpu_logical("") : v->options.workers;
    double speedup = wall > 0 ? test_s / wall : 0, target = SPEEDUP_TARGET * (double)with_core;
    add_check(
        v, "speedup", speedup >= target, NULL,
        "%.2fx, target %.2fx (%ld of %ld workers have a core): %.2f s of tests in %.2f s; with "
        "start-up %.2f s, was %.2f s",
        speedup, target, with_core, v->options.workers, test_s, wall,
        (double)v->parallel.wall / 1e9, (double)v->sequential.wall / 1e9);
    const char *advice = json_string_value(json_object_get(workers, "advice"));
    if (speedup < target && advice && *advice)
        fprintf(v->table, "                %s\n", advice);
}

static double longest_test(const struct verify *v)
{
    double longest = 0;
    const char *node_id;
    json_t *duration;
    json_object_foreach(json_object_get(v->parallel.report, "durations_s"), node_id,
                        duration) if (json_number_value(duration) > longest) longest =
        json_number_value(duration);
    return longest;
}

static void check_balance(struct verify *v)
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
    add_check(v, "balance", good, NULL,
              "workers were busy for %.0f to %.0f %% of the time, tests %s",
              wall > 0 ? 100 * least / wall : 0, wall > 0 ? 100 * most / wall : 0, tests);
}

/* `t.py::test_x[3-10]` without the repetition's part. Returns 0 when it names none. */
static int base_of(char *out, size_t size, const char *node_id)
{
    size_t length = strlen(node_id), at = length;
    if (length < 5 || node_id[length - 1] != ']')
        return 0;
    for (int dashes = 0; at > 0; at--) {
        char c = node_id[at - 1];
        if (c == '-' && dashes++ == 1)
            break;
        if (c == '[')
            break;
    }
    if (at == 0)
        return 0;
    snprintf(out, size, "%.*s%s", (int)(at - 1), node_id, node_id[at - 1] == '-' ? "]" : "");
    return 1;
}

/* Counts per test: {base: [repetitions, failures]}. */
static json_t *count_repetitions(const struct verify *v)
{
    json_t *counts = json_object();
    const char *node_id;
    json_t *outcomes;
    json_object_foreach(tests_of(&v->repeated), node_id, outcomes)
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

static void check_flakiness(struct verify *v)
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
    add_check(v, "flakiness", total > 0 && rate < FLAKINESS_TARGET, names,
              "%.2f %%, target below %.1f %%: %zu of %zu tests disagreed in %ld repetitions",
              100 * rate, 100 * FLAKINESS_TARGET, flaky, total, v->options.count);
    json_decref(counts);
}

/* ---- the command ---- */

static const char help[] =
    "usage: phalanx verify [-n NUM] [--count N] [--json FILE] [pytest arguments]\n"
    "\n"
    "Runs the tests without workers, with NUM workers (default: one for each core), and N times "
    "each\n"
    "(default: 5; 0: not), and compares: outcomes, exit code, JUnit file, warnings; speedup and\n"
    "balance against their targets; how many tests are flaky. Tests that come out differently are\n"
    "named, and run alone to see what they depend on.\n"
    "\n"
    "  phalanx verify -n 4 tests/           all else goes to pytest as it is\n"
    "  phalanx verify --json result.json    the same for a program; - is standard output\n"
    "\n"
    "Exit status: 0 all is well; 1 something is not; 2 wrong command line.\n";

/* Whether argv[i] is the option `name`, as `name VALUE` or `name=VALUE`; sets *value. */
static int takes(const char *name, int argc, char **argv, int *i, const char **value)
{
    size_t size = strlen(name);
    if (strncmp(argv[*i], name, size) != 0)
        return 0;
    if (argv[*i][size] == '=' || (size == 2 && argv[*i][2] != '\0')) {
        *value = argv[*i] + size + (argv[*i][size] == '=');
        return 1;
    }
    if (argv[*i][size] != '\0' || *i + 1 >= argc)
        return 0;
    *value = argv[++*i];
    return 1;
}

static int parse_number(const char *text, long least, long *out)
{
    char *end;
    errno = 0;
    *out = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *out >= least && *out <= 4096;
}

/* Fills options; `args` has room for argc + 1. Returns an exit status, or -1 to go on. */
static int parse(struct options *options, char **args, int argc, char **argv)
{
    size_t count = 0;
    *options =
        (struct options){.workers = phx_cpu_logical(""), .count = COUNT_DEFAULT, .args = args};
    for (int i = 1; i < argc; i++) {
        const char *value;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return PHX_CLI_DONE;
        }
        if (takes("--json", argc, argv, &i, &value)) {
            options->json = value;
        } else if (takes("--count", argc, argv, &i, &value)) {
            if (!parse_number(value, 0, &options->count))
                return phx_cli_complain(PHX_CLI_USAGE, argv[0], "--count takes a number, not '%s'",
                                        value);
        } else if (takes("-n", argc, argv, &i, &value)) {
            if (strcmp(value, "auto") != 0 && !parse_number(value, 1, &options->workers))
                return phx_cli_complain(PHX_CLI_USAGE, argv[0],
                                        "-n takes a number of workers or 'auto', not '%s'", value);
        } else {
            args[count++] = argv[i];
        }
    }
    args[count] = NULL;
    return -1;
}

/* A run whose report is missing ends all: pytest says why in its log. */
static int run(struct verify *v, struct phx_verify_run *out, const char *name,
               const char *const *extra)
{
    fprintf(stderr, "%s run …\n", name);
    if (phx_verify_run(out, name, v->directory, v->python, v->options.args, extra) < 0)
        return 0;
    if (out->report && (out->exit_code <= 1 || json_object_size(tests_of(out)) > 0))
        return 1;
    phx_cli_complain(0, "phalanx verify",
                     "the %s run ended with exit code %d and ran no tests; its output is in %s",
                     name, out->exit_code, out->log);
    return 0;
}

static int run_all(struct verify *v)
{
    char workers[32], count[32];
    snprintf(workers, sizeof workers, "-n%ld", v->options.workers);
    snprintf(count, sizeof count, "--count=%ld", v->options.count);
    const char *const alone[] = {"-n0", NULL}, *const together[] = {workers, NULL},
                      *const often[] = {workers, count, NULL};
    if (!run(v, &v->sequential, "sequential", alone) || !run(v, &v->parallel, "parallel", together))
        return 0;
    check_outcomes(v);
    check_exit_code(v);
    check_junit(v);
    check_warnings(v);
    check_speedup(v);
    check_balance(v);
    if (v->options.count > 1) {
        if (!run(v, &v->repeated, "repeated", often))
            return 0;
        check_flakiness(v);
    }
    return 1;
}

static int write_json(const struct verify *v)
{
    json_t *all = json_pack("{s:i, s:b, s:i, s:O}", "schema", 1, "good", !v->failed, "workers",
                            (int)v->options.workers, "checks", v->checks);
    int status = strcmp(v->options.json, "-") == 0
                     ? json_dumpf(all, stdout, JSON_INDENT(2)) || putchar('\n') == EOF
                     : json_dump_file(all, v->options.json, JSON_INDENT(2));
    json_decref(all);
    if (status == 0)
        return 0;
    return phx_cli_complain(1, "phalanx verify", "cannot write %s: %s", v->options.json,
                            strerror(errno));
}

int phx_cli_verify(int argc, char **argv)
{
    char **args = calloc((size_t)argc + 1, sizeof *args);
    struct verify v = {0};
    if (!args)
        return phx_cli_complain(PHX_CLI_FAILED, argv[0], "out of memory");
    const char *home = getenv("TMPDIR");
    snprintf(v.directory, sizeof v.directory, "%s/phalanx-verify-XXXXXX",
             home && *home ? home : "/tmp");
    int status = parse(&v.options, args, argc, argv);
    if (status < 0 && !mkdtemp(v.directory))
        status = phx_cli_complain(PHX_CLI_FAILED, argv[0], "cannot make %s: %s", v.directory,
                                  strerror(errno));
    if (status < 0) {
        phx_verify_python(v.python, sizeof v.python);
        v.checks = json_array();
        v.table = v.options.json && strcmp(v.options.json, "-") == 0 ? stderr : stdout;
        status = run_all(&v) && !v.failed ? PHX_CLI_DONE : PHX_CLI_FAILED;
        if (json_array_size(v.checks) > 0) {
            fprintf(v.table, "Output and reports of the runs: %s\n", v.directory);
            if (v.options.json && write_json(&v) != 0)
                status = PHX_CLI_FAILED;
        }
        json_decref(v.checks);
    }
    phx_verify_run_fini(&v.sequential);
    phx_verify_run_fini(&v.parallel);
    phx_verify_run_fini(&v.repeated);
    free(args);
    return status;
}
