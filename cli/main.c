/* `phalanx`: what is to be done with runs when no run is going on. Tests are run by `pytest -n`,
 * which `verify` calls. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

static const struct phx_command commands[] = {
    {"history", "what earlier runs tell of your tests: show, carry from job to job, import",
     phx_cli_history},
    {"verify", "whether a suite gives the same answer on workers, is faster, and reliable",
     phx_cli_verify},
    {0},
};

static const char head[] =
    "phalanx runs a pytest suite on every core. Tests are run by pytest:\n"
    "\n"
    "  pytest -n auto                  one worker for each core\n"
    "  pytest -n 4 --dist loadscope    the tests of a class or module stay together\n"
    "\n"
    "This command looks after what the runs leave behind.\n";

static const char tail[] =
    "\n"
    "  phalanx COMMAND --help          more about a command\n"
    "  phalanx --version               the version, and nothing else\n"
    "\n"
    "Exit status: 0 done; 1 it could not be done, or the answer is no; 2 wrong command line.\n";

static const struct phx_command *find(const struct phx_command *table, const char *name)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

static int is_help(const char *text)
{
    return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0 || strcmp(text, "help") == 0;
}

static void print_help(FILE *out, const struct phx_command *table, const char *program,
                       const char *before, const char *after)
{
    fprintf(out, "%s\n", before);
    for (; table->name; table++) {
        char call[64];
        snprintf(call, sizeof call, "%s %s", program, table->name);
        fprintf(out, "  %-30s  %s\n", call, table->summary);
    }
    fputs(after, out);
}

int phx_cli_complain(int status, const char *program, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout); /* in the order in which it was written, where both go to one place */
    fprintf(stderr, "%s: ", program);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return status;
}

int phx_cli_dispatch(const struct phx_command *table, const char *program, const char *before,
                     const char *after, int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr, table, program, before, after);
        return PHX_CLI_USAGE;
    }
    if (is_help(argv[1])) {
        print_help(stdout, table, program, before, after);
        return PHX_CLI_DONE;
    }
    const struct phx_command *command = find(table, argv[1]);
    if (!command)
        return phx_cli_complain(PHX_CLI_USAGE, program, "there is no '%s': see '%s --help'",
                                argv[1], program);
    char name[64];
    snprintf(name, sizeof name, "%s %s", program, command->name);
    argv[1] = name;
    return command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("phalanx " PHX_VERSION);
        return PHX_CLI_DONE;
    }
    int status = phx_cli_dispatch(commands, "phalanx", head, tail, argc, argv);
    /* What could not be written was not done. A reader that went away (`| head`) has seen enough.
     */
    if (fflush(stdout) != 0 || ferror(stdout))
        return phx_cli_complain(PHX_CLI_FAILED, "phalanx", "cannot write: %s", strerror(errno));
    return status;
}
