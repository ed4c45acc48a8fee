/* `phalanx history flaky`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/order.h"
#include "cli/command.h"
#include "cli/history_command.h"
#include "cli/options.h"
#include "cli/place.h"
#include "report/line.h"
#include "store/distinguish.h"
#include "store/history.h"

enum { NAME_MAX_BYTES = 200 };

static const char help[] =
    "phalanx history flaky [--runs=N]\n"
    "\n"
    "Lists the tests that were flaky in the last N runs, the worst first: they failed and passed "
    "in\n"
    "one run (--retries, --count), or changed between failing and passing more than once. Below "
    "each\n"
    "one stands what its failures have in common, as far as chance does not explain it: the "
    "worker,\n"
    "the test that this worker had run before, the repetition, or how long it took. That is "
    "looked\n"
    "for in its trials: each single time it ran, kept from its first failure on.\n"
    "\n"
    "      --runs=N        how many runs to look at (default: 20, which is what is kept)\n"
    "      --history=PATH  the history's file\n";

struct flaky {     /* one test */
    char *node_id; /* owned */
    size_t node_id_size;
    uint32_t nruns, nbad; /* runs that had it; in how many it failed, or failed and passed */
};

struct flaky_list {
    struct flaky *tests; /* owned */
    size_t count, room;
    int64_t since;
};

/* ---- gathering ---- */

static int gather(void *context, const struct phx_history_test *test, int64_t since)
{
    struct flaky_list *list = context;
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 64;
        struct flaky *tests = realloc(list->tests, room * sizeof *tests);
        if (!tests)
            return -1;
        list->tests = tests;
        list->room = room;
    }
    struct flaky flaky = {.node_id = malloc(test->node_id_size + 1),
                          .node_id_size = test->node_id_size};
    if (!flaky.node_id)
        return -1;
    memcpy(flaky.node_id, test->node_id, test->node_id_size);
    const struct phx_outcomes *outcomes = &test->outcomes;
    for (uint32_t i = 0; i < outcomes->count && outcomes->run[i] >= since; i++) {
        enum phx_outcome_kind kind = phx_outcome_kind(outcomes->letter[i]);
        flaky.nruns += kind != PHX_OUTCOME_NONE;
        flaky.nbad += kind == PHX_OUTCOME_BAD;
    }
    list->since = since;
    list->tests[list->count++] = flaky;
    return 0;
}

/* The worst first; else by name. */
static int worse(const void *left, const void *right)
{
    const struct flaky *a = left, *b = right;
    uint64_t x = (uint64_t)a->nbad * b->nruns, y = (uint64_t)b->nbad * a->nruns;
    if (x != y)
        return x > y ? -1 : 1;
    return phx_order_bytes(a->node_id, a->node_id_size, b->node_id, b->node_id_size);
}

/* ---- a test ---- */

static void put_name(const char *name, size_t size)
{
    char text[NAME_MAX_BYTES + 8];
    struct phx_line line = phx_line_in(text, sizeof text);
    phx_line_put_name(&line, name, size, NAME_MAX_BYTES);
    fputs(text, stdout);
}

static void put_duration(uint32_t us)
{
    char text[32];
    struct phx_line line = phx_line_in(text, sizeof text);
    phx_line_put_duration(&line, (phx_ns)us * 1000);
    fputs(text, stdout);
}

static void print_sign(const struct phx_sign *sign)
{
    fputs("    ", stdout);
    switch (sign->kind) {
    case PHX_SIGN_WORKER:
        printf("on worker gw%u", sign->example.worker);
        break;
    case PHX_SIGN_AFTER:
        if (sign->example.after) {
            fputs("after ", stdout);
            put_name(sign->example.after, sign->example.after_size);
        } else {
            fputs("as the first test of its worker", stdout);
        }
        break;
    case PHX_SIGN_SLOWER:
    case PHX_SIGN_FASTER:
        fputs("when it takes ", stdout);
        put_duration(sign->limit_us);
        fputs(sign->kind == PHX_SIGN_SLOWER ? " or longer" : " or less", stdout);
        break;
    case PHX_SIGN_REPETITION:
        printf("in repetition %u", sign->example.repetition);
        break;
    case PHX_SIGN_KINDS:
        break;
    }
    printf(": %zu of %zu failed; else %zu of %zu\n", sign->bad_with, sign->with, sign->bad_without,
           sign->without);
}

static int print_test(struct phx_history *history, const struct flaky *test, int64_t since,
                      struct phx_err *err)
{
    struct phx_trials trials;
    struct phx_sign signs[PHX_SIGN_KINDS];
    int status = phx_trials_load(&trials, history, test->node_id, test->node_id_size, since, err);
    if (status < 0)
        return status;
    putchar('\n');
    put_name(test->node_id, test->node_id_size);
    printf("\n  failed in %u of %u runs", test->nbad, test->nruns);
    if (trials.count > 0)
        printf(", %zu of %zu trials", phx_trials_bad(trials.list, trials.count), trials.count);
    putchar('\n');
    int count = phx_distinguish(signs, trials.list, trials.count);
    for (int i = 0; i < count; i++)
        print_sign(&signs[i]);
    if (count == 0)
        puts("    neither worker nor predecessor, duration or repetition tells its failures apart");
    phx_trials_fini(&trials);
    return 0;
}

/* ---- the command ---- */

static int print_all(struct phx_history *history, uint32_t nruns, struct phx_err *err)
{
    struct flaky_list list = {0};
    struct phx_flakiness found;
    int status = phx_history_flakiness(history, nruns, &found, gather, &list, err);
    if (status == 0) {
        double share = found.ntests ? 100.0 * (double)found.nflaky / (double)found.ntests : 0;
        printf("%llu of %llu tests were flaky in the last %u run%s (%.2g %%)\n",
               (unsigned long long)found.nflaky, (unsigned long long)found.ntests, found.nruns,
               found.nruns == 1 ? "" : "s", share);
        if (list.count > 0)
            qsort(list.tests, list.count, sizeof *list.tests, worse);
    }
    for (size_t i = 0; i < list.count; i++) {
        if (status == 0)
            status = print_test(history, &list.tests[i], list.since, err);
        free(list.tests[i].node_id);
    }
    free(list.tests);
    return status;
}

int phx_cli_history_flaky(int argc, char **argv)
{
    long long runs = PHX_OUTCOMES_MAX;
    const char *asked = NULL;
    int first, result;
    const struct phx_cli_option options[] = {
        {"runs", 0, PHX_CLI_NUMBER, &runs}, {"history", 0, PHX_CLI_TEXT, &asked}, {0}};
    if (!phx_cli_read_options(options, help, argc, argv, &first, &result))
        return result;
    if (first < argc)
        return phx_cli_complain(PHX_CLI_USAGE, argv[0], "what is '%s'? See --help", argv[first]);
    struct phx_history history;
    struct phx_err err = {.text = "out of memory"};
    int status = phx_cli_open_history(&history, argv[0], asked, PHX_DB_READ, NULL);
    if (status != 0)
        return status;
    status = print_all(&history, runs < UINT32_MAX ? (uint32_t)runs : UINT32_MAX, &err);
    phx_history_close(&history);
    return status < 0 ? phx_cli_complain(PHX_CLI_FAILED, argv[0], "%s", err.text) : PHX_CLI_DONE;
}
