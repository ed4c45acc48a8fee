/* `phalanx history prune`. */
#include <stdio.h>
#include <time.h>

#include "cli/command.h"
#include "cli/history_command.h"
#include "cli/options.h"
#include "cli/place.h"

static const char help[] =
    "phalanx history prune [--days=N] [--runs=N]\n"
    "\n"
    "Forgets tests that no run has had for so long, and all but the last runs. Every 20th run "
    "does\n"
    "the same by itself.\n"
    "\n"
    "      --days=N        tests that no run has had for N days (default: 90)\n"
    "      --runs=N        how many runs to keep (default: 1000)\n"
    "      --history=PATH  the history's file\n";

static int prune(const char *program, const char *asked, long long days, long long runs)
{
    struct phx_history history;
    struct phx_err err = {0};
    int status = phx_cli_open_history(&history, program, asked, PHX_DB_WRITE, NULL);
    if (status != 0)
        return status;
    uint64_t tests_gone = 0, runs_gone = 0;
    int64_t since = (int64_t)time(NULL) - days * 24 * 3600;
    status = phx_history_begin(&history, &err);
    if (status == 0)
        status = phx_history_prune(&history, since, (uint32_t)runs, &tests_gone, &runs_gone, &err);
    if (status == 0)
        status = phx_history_commit(&history, &err);
    phx_history_rollback(&history);
    phx_history_close(&history);
    if (status < 0)
        return phx_cli_complain(PHX_CLI_FAILED, program, "%s", err.text);
    printf("forgot %llu tests and %llu runs\n", (unsigned long long)tests_gone,
           (unsigned long long)runs_gone);
    return PHX_CLI_DONE;
}

int phx_cli_history_prune(int argc, char **argv)
{
    long long days = 90, runs = 1000;
    const char *asked = NULL;
    int first, result;
    const struct phx_cli_option options[] = {{"days", 0, PHX_CLI_NUMBER, &days},
                                             {"runs", 0, PHX_CLI_NUMBER, &runs},
                                             {"history", 0, PHX_CLI_TEXT, &asked},
                                             {0}};
    if (!phx_cli_read_options(options, help, argc, argv, &first, &result))
        return result;
    if (first < argc)
        return phx_cli_complain(PHX_CLI_USAGE, argv[0], "what is '%s'? See --help", argv[first]);
    if (days > 100000 || runs > UINT32_MAX)
        return phx_cli_complain(PHX_CLI_USAGE, argv[0], "so many days or runs are for ever");
    return prune(argv[0], asked, days, runs);
}
