/* `phalanx history`: the table of its commands, and those that only look. */
#include "store/history.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "cli/history_command.h"
#include "cli/options.h"
#include "cli/place.h"

static const struct phx_command commands[] = {
    {"list", "the slowest tests, or the runs", phx_cli_history_list},
    {"show", "all that is known of some tests", phx_cli_history_show},
    {"flaky", "tests that fail now and then, and what their failures have in common",
     phx_cli_history_flaky},
    {"export", "write it as JSON, for another job", phx_cli_history_export},
    {"import", "take over: a history, durations of pytest-split, JUnit XML",
     phx_cli_history_import},
    {"prune", "forget tests and runs of long ago", phx_cli_history_prune},
    {0},
};

static const char head[] =
    "What earlier runs tell of your tests: how long each one takes, and how it ended in the last\n"
    "20 runs that had it. 'pytest -n' keeps it in pytest's cache and plans the next run with it.\n";

static const char tail[] =
    "\n"
    "Each takes --history=PATH; without it, the nearest .pytest_cache of this directory and those\n"
    "above it is used. PATTERN is part of a node id, or matches all of it with * and ?.\n";

int phx_cli_history(int argc, char **argv)
{
    return phx_cli_dispatch(commands, argv[0], head, tail, argc, argv);
}

/* ---- what these have in common ---- */

/* A pattern for SQL's GLOB; malloc'd. A text without * and ? is to be anywhere in the node id, and
 * brackets are what parameters are in, not what GLOB takes them for. */
static char *glob_of(const char *text)
{
    int anywhere = strpbrk(text, "*?") == NULL;
    char *glob = malloc(strlen(text) * 3 + 3), *at = glob;
    if (!glob)
        return NULL;
    if (anywhere)
        *at++ = '*';
    for (; *text; text++) {
        if (*text == '[')
            at = stpcpy(at, "[[]");
        else
            *at++ = *text;
    }
    if (anywhere)
        *at++ = '*';
    *at = '\0';
    return glob;
}

/* Nothing of a node id may move the cursor. */
static void print_id(const struct phx_history_test *test)
{
    for (size_t i = 0; i < test->node_id_size; i++) {
        unsigned char byte = (unsigned char)test->node_id[i];
        putchar(byte < ' ' || byte == 0x7f ? '?' : byte);
    }
}

static void format_us(char *out, size_t size, double us)
{
    if (us < 1e5)
        snprintf(out, size, "%.2f ms", us / 1e3);
    else
        snprintf(out, size, "%.2f s", us / 1e6);
}

static void print_time(int64_t at)
{
    char text[32] = "?";
    time_t moment = (time_t)at;
    struct tm local;
    if (localtime_r(&moment, &local))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M", &local);
    fputs(text, stdout);
}

static double total_us(const struct phx_estimate *estimate, double *out_deviation)
{
    double total = 0, variance = 0;
    for (int i = 0; i < PHX_ESTIMATE_PHASES; i++) {
        total += estimate->mean_us[i];
        variance += estimate->variance_us2[i];
    }
    *out_deviation = variance > 0 ? sqrt(variance) : 0;
    return total;
}

/* ---- list ---- */

struct list {
    long long limit; /* 0: all */
    long long shown;
};

static int list_test(void *context, const struct phx_history_test *test)
{
    struct list *list = context;
    char total[32] = "?", spread[32] = "", letters[PHX_OUTCOMES_MAX + 1];
    double deviation;
    if (test->estimate.nmeasured > 0) {
        format_us(total, sizeof total, total_us(&test->estimate, &deviation));
        format_us(spread, sizeof spread, deviation);
    }
    memcpy(letters, test->outcomes.letter, test->outcomes.count);
    letters[test->outcomes.count] = '\0';
    if (list->shown == 0)
        printf("%10s  %10s  %-20s  %s\n", "takes", "give/take", "ended, last first", "test");
    printf("%10s  %10s  %-20s  ", total, spread, letters);
    print_id(test);
    putchar('\n');
    return ++list->shown == list->limit;
}

static int list_run(void *context, const struct phx_history_run *run)
{
    struct list *list = context;
    if (list->shown == 0)
        printf("%6s  %-16s  %8s  %8s  %10s\n", "run", "ended", "tests", "workers", "took");
    printf("%6lld  ", (long long)run->id);
    print_time(run->ended_at);
    printf("  %8u  %8u  %8.1f s%s\n", run->ntests, run->nworkers, (double)run->wall_ms / 1e3,
           run->complete ? "" : "  stopped early");
    return ++list->shown == list->limit;
}

static const char list_help[] =
    "phalanx history list [--limit=N] [PATTERN]     the slowest tests first\n"
    "phalanx history list --runs [--limit=N]        the runs, the last one first\n"
    "\n"
    "  -l, --limit=N       how many (default: 20; 0: all)\n"
    "  -r, --runs          runs instead of tests\n"
    "      --history=PATH  the history's file\n"
    "\n"
    "How tests ended: . passed, F failed, E error, s skipped, x xfailed, X xpassed, C crashed,\n"
    "R failed and passed in one run.\n";

int phx_cli_history_list(int argc, char **argv)
{
    struct list list = {.limit = 20};
    const char *asked = NULL;
    int runs = 0, first, result;
    const struct phx_cli_option options[] = {{"limit", 'l', PHX_CLI_NUMBER, &list.limit},
                                             {"runs", 'r', PHX_CLI_FLAG, &runs},
                                             {"history", 0, PHX_CLI_TEXT, &asked},
                                             {0}};
    if (!phx_cli_read_options(options, list_help, argc, argv, &first, &result))
        return result;
    if (argc - first > 1 || (runs && first < argc))
        return phx_cli_complain(PHX_CLI_USAGE, argv[0], "what is '%s'? See --help", argv[argc - 1]);
    struct phx_history history;
    int status = phx_cli_open_history(&history, argv[0], asked, PHX_DB_READ, NULL);
    if (status != 0)
        return status;
    struct phx_err err = {0};
    char *glob = first < argc ? glob_of(argv[first]) : NULL;
    status =
        runs ? phx_history_each_run(&history, -1, list_run, &list, &err)
             : phx_history_each_test(&history, PHX_HISTORY_SLOWEST, glob, list_test, &list, &err);
    free(glob);
    phx_history_close(&history);
    if (status < 0)
        return phx_cli_complain(PHX_CLI_FAILED, argv[0], "%s", err.text);
    if (list.shown == 0)
        puts(runs ? "no runs" : "no tests");
    return PHX_CLI_DONE;
}

/* ---- show ---- */

static int show_test(void *context, const struct phx_history_test *test)
{
    static const char *const names[] = {"setup", "call", "teardown"};
    long long *shown = context;
    char mean[32], deviation[32];
    print_id(test);
    putchar('\n');
    if (test->estimate.nmeasured == 0)
        puts("  never measured");
    for (int i = 0; i < PHX_ESTIMATE_PHASES && test->estimate.nmeasured > 0; i++) {
        double variance = test->estimate.variance_us2[i];
        format_us(mean, sizeof mean, test->estimate.mean_us[i]);
        format_us(deviation, sizeof deviation, variance > 0 ? sqrt(variance) : 0);
        printf("  %-9s %10s  give or take %s\n", names[i], mean, deviation);
    }
    if (test->estimate.nmeasured > 0) {
        printf("  %u measurement%s, the last one ", test->estimate.nmeasured,
               test->estimate.nmeasured == 1 ? "" : "s");
        print_time(test->measured_at);
        putchar('\n');
    }
    for (uint32_t i = 0; i < test->outcomes.count; i++)
        printf("  run %-5lld %s\n", (long long)test->outcomes.run[i],
               phx_outcome_text(test->outcomes.letter[i]));
    if (phx_outcomes_flaky(&test->outcomes, 0))
        puts("  flaky: it failed and passed in one run, or changed more than once");
    ++*shown;
    return 0;
}

static const char show_help[] =
    "phalanx history show PATTERN\n"
    "\n"
    "Shows all that is known of the tests with PATTERN in their node id, or whose whole node id\n"
    "matches it, if it has * or ?.\n"
    "\n"
    "      --history=PATH  the history's file\n";

int phx_cli_history_show(int argc, char **argv)
{
    const char *asked = NULL;
    int first, result;
    const struct phx_cli_option options[] = {{"history", 0, PHX_CLI_TEXT, &asked}, {0}};
    if (!phx_cli_read_options(options, show_help, argc, argv, &first, &result))
        return result;
    if (argc - first != 1)
        return phx_cli_complain(PHX_CLI_USAGE, argv[0], "takes one PATTERN: see --help");
    struct phx_history history;
    int status = phx_cli_open_history(&history, argv[0], asked, PHX_DB_READ, NULL);
    if (status != 0)
        return status;
    struct phx_err err = {0};
    long long shown = 0;
    char *glob = glob_of(argv[first]);
    status = phx_history_each_test(&history, PHX_HISTORY_BY_ID, glob, show_test, &shown, &err);
    free(glob);
    phx_history_close(&history);
    if (status < 0)
        return phx_cli_complain(PHX_CLI_FAILED, argv[0], "%s", err.text);
    if (shown == 0)
        return phx_cli_complain(PHX_CLI_FAILED, argv[0], "no test in the history matches '%s'",
                                argv[first]);
    return PHX_CLI_DONE;
}
