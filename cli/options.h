/* The options of a command: a table in place of a loop in each of them. Long options, `--help` and
 * `-h`; getopt_long(3) reads them, so they may be shortened, and stand behind arguments. */
#ifndef PHX_CLI_OPTIONS_H
#define PHX_CLI_OPTIONS_H

enum phx_cli_option_kind { PHX_CLI_FLAG, PHX_CLI_NUMBER, PHX_CLI_TEXT };

enum { PHX_CLI_OPTIONS_MAX = 8 };

struct phx_cli_option {
    const char *name; /* without dashes; NULL ends the table */
    char letter;      /* the short one, or 0 */
    enum phx_cli_option_kind kind;
    void *out; /* int (set to 1), long long (0 or more), or const char * (points into argv) */
};

/* Reads them; what is no option stands in argv[*out_first, argc) afterwards. Prints `help` when it
 * is asked for, and complains of what it cannot read.
 * Returns 1 to go on, or 0: the command is over, with *out_status. */
int phx_cli_read_options(const struct phx_cli_option *options, const char *help, int argc,
                         char **argv, int *out_first, int *out_status);

#endif
