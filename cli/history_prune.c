/* `phalanx history prune`. */
#include <getopt.h>
#include <stdio.h>
#include <time.h>

#include "cli/command.h"
#include "cli/history_command.h"
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
    static const struct option options[] = {{"days", required_argument, NULL, 'd'},
                                            {"runs", required_argument, NULL, 'r'},
                                            {"history", required_argument, NULL, 'H'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    long long days = 90, runs = 1000;
    const char *asked = NULL;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (option) {
        case 'd':
            if (phx_cli_number(argv[0], "--days", optarg, &days) != 0)
                return PHX_CLI_USAGE;
            break;
        case 'r':
            if (phx_cli_number(argv[0], "--runs", optarg, &runs) != 0)
                return PHX_CLI_USAGE;
            break;
        case 'H':
            asked = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            return PHX_CLI_DONE;
        default:
            return PHX_CLI_USAGE;
        }
    }
    if (optind < argc)
        return phx_cli_complain(PHX_CLI_USAGE, argv[0], "what is '%s'? See --help", argv[optind]);
    if (days > 100000 || runs > UINT32_MAX)
        return phx_cli_complain(PHX_CLI_USAGE, argv[0], "so many days or runs are for ever");
    return prune(argv[0], asked, days, runs);
}
