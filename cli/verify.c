/* `phalanx verify`, see verify.h: its command line, and the runs it makes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/verify.h"
#include "os/cpu.h"

enum { COUNT_DEFAULT = 5, PYTEST_USAGE_ERROR = 4 };

static const char help[] =
    "usage: phalanx verify [-n NUM] [--count N] [--json FILE] [pytest arguments]\n"
    "\n"
    "Runs the tests without workers, with NUM workers (default: one for each core), and N times "
    "each\n"
    "(default: 5; 0: not), and compares: outcomes, exit code, JUnit file, warnings; speedup and\n"
    "balance against their targets; how many tests are flaky. Tests that come out differently are\n"
    "named, and run alone to see what they depend on. It takes as long as these runs do.\n"
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
static int parse(struct phx_verify_options *options, char **args, int argc, char **argv)
{
    size_t count = 0;
    *options = (struct phx_verify_options){
        .workers = phx_cpu_logical(""), .count = COUNT_DEFAULT, .args = args};
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

/* Makes a run, and says so. Returns 0, or a negative code when pytest could not be started. */
static int make_run(struct phx_verify *v, struct phx_verify_run *out, const char *name,
                    const char *what, const char *const *extra)
{
    fprintf(stderr, "%s … ", what);
    int status = phx_verify_run(out, name, v->directory, v->python, v->options.args, extra);
    if (status == 0)
        fprintf(stderr, "%.1f s\n", (double)out->wall / 1e9);
    return status;
}

/* A run whose report is missing ends all: pytest says why in its log. */
static int is_complete(const struct phx_verify_run *run)
{
    if (run->report && (run->exit_code <= 1 || json_object_size(phx_verify_tests(run)) > 0))
        return 1;
    phx_cli_complain(0, "phalanx verify",
                     "the %s run ended with exit code %d and ran no tests; its output is in %s",
                     run->name, run->exit_code, run->log);
    return 0;
}

/* A crash ends sequential pytest as a whole, and leaves nothing to compare with. One worker runs
 * one test after the other, too, and outlives it. */
static int run_sequential(struct phx_verify *v)
{
    static const char *const alone[] = {"-n0", NULL}, *const one[] = {"-n1", NULL};
    if (make_run(v, &v->sequential, "sequential", "without workers", alone) < 0)
        return 0;
    int code = v->sequential.exit_code;
    if (!v->sequential.report && code != PYTEST_USAGE_ERROR) {
        fprintf(stderr,
                "pytest itself was ended in the middle (exit code %d), by a test that crashes, "
                "say: %s\n",
                code, v->sequential.log);
        phx_verify_run_fini(&v->sequential);
        if (make_run(v, &v->sequential, "one-worker", "on one worker instead", one) < 0)
            return 0;
        v->has_one_worker = 1;
    }
    return is_complete(&v->sequential);
}

static int run_all(struct phx_verify *v)
{
    char workers[32], count[32], what[64];
    snprintf(workers, sizeof workers, "-n%ld", v->options.workers);
    snprintf(count, sizeof count, "--count=%ld", v->options.count);
    const char *const together[] = {workers, NULL}, *const often[] = {workers, count, NULL};
    if (!run_sequential(v))
        return 0;
    snprintf(what, sizeof what, "on %ld workers", v->options.workers);
    if (make_run(v, &v->parallel, "parallel", what, together) < 0 || !is_complete(&v->parallel))
        return 0;
    snprintf(what, sizeof what, "each test %ld times", v->options.count);
    if (v->options.count > 1 &&
        (make_run(v, &v->repeated, "repeated", what, often) < 0 || !is_complete(&v->repeated)))
        return 0;
    fputc('\n', v->table);
    phx_verify_answers(v);
    phx_verify_speed(v);
    if (v->options.count > 1)
        phx_verify_flakiness(v);
    return 1;
}

int phx_cli_verify(int argc, char **argv)
{
    char **args = calloc((size_t)argc + 1, sizeof *args);
    struct phx_verify v = {0};
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
        status = run_all(&v) && v.nfailed == 0 ? PHX_CLI_DONE : PHX_CLI_FAILED;
        if (json_array_size(v.checks) > 0) {
            phx_verify_conclude(&v);
            if (v.options.json && phx_verify_write_json(&v) != 0)
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
