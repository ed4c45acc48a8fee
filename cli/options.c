#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"

enum { HELP = 1000 };

static int read_number(const char *program, const char *name, const char *text, long long *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0)
        return phx_cli_complain(PHX_CLI_USAGE, program, "--%s takes a number, not '%s'", name,
                                text);
    *out = value;
    return 0;
}

static int take(const struct phx_cli_option *option, const char *program, const char *value)
{
    switch (option->kind) {
    case PHX_CLI_FLAG:
        *(int *)option->out = 1;
        return 0;
    case PHX_CLI_NUMBER:
        return read_number(program, option->name, value, option->out);
    case PHX_CLI_TEXT:
        *(const char **)option->out = value;
        return 0;
    }
    return PHX_CLI_USAGE;
}

/* A long option is told by its place in the table, a short one by its letter. */
static const struct phx_cli_option *find(const struct phx_cli_option *options, int found)
{
    for (int i = 0; options[i].name; i++)
        if (found == HELP + 1 + i || (options[i].letter && found == options[i].letter))
            return &options[i];
    return NULL;
}

int phx_cli_read_options(const struct phx_cli_option *options, const char *help, int argc,
                         char **argv, int *out_first, int *out_status)
{
    struct option longs[PHX_CLI_OPTIONS_MAX + 2] = {{"help", no_argument, NULL, HELP}};
    char shorts[2 * PHX_CLI_OPTIONS_MAX + 2] = "h", *at = shorts + 1;
    for (int i = 0; i < PHX_CLI_OPTIONS_MAX && options[i].name; i++) {
        int argument = options[i].kind == PHX_CLI_FLAG ? no_argument : required_argument;
        longs[1 + i] = (struct option){options[i].name, argument, NULL, HELP + 1 + i};
        if (options[i].letter) {
            *at++ = options[i].letter;
            if (argument == required_argument)
                *at++ = ':';
        }
    }
    *at = '\0';
    for (int found; (found = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        if (found == HELP || found == 'h') {
            fputs(help, stdout);
            *out_status = PHX_CLI_DONE;
            return 0;
        }
        const struct phx_cli_option *option = find(options, found);
        *out_status =
            option ? take(option, argv[0], optarg) : PHX_CLI_USAGE; /* getopt complained */
        if (*out_status != 0)
            return 0;
    }
    *out_first = optind;
    return 1;
}
