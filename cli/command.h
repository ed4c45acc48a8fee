/* The subcommands of `phalanx`, each a function in a file of its own. A new one goes into the table
 * of main.c; one of `phalanx history` into that of history.c.
 *
 * Exit status, the same for all: 0 it is done; 1 it could not be done, or the answer is no (one
 * line on standard error says why); 2 the command line is wrong.
 *
 * Runs as a program of its own, on its own. */
#ifndef PHX_CLI_COMMAND_H
#define PHX_CLI_COMMAND_H

enum { PHX_CLI_DONE = 0, PHX_CLI_FAILED = 1, PHX_CLI_USAGE = 2 };

struct phx_command {
    const char *name;
    const char *summary; /* one line */
    /* argv[0] is the command's name as it was typed, `phalanx history`; options follow. */
    int (*run)(int argc, char **argv);
};

/* Runs the command that argv[1] names, argv[0] being `program`; prints help or a complaint where
 * that names none. `head` and `tail` go around the table in the help.
 * commands  ends with a name of NULL */
int phx_cli_dispatch(const struct phx_command *commands, const char *program, const char *head,
                     const char *tail, int argc, char **argv);

/* One line on standard error, `program: text`. Returns `status`. */
int phx_cli_complain(int status, const char *program, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

int phx_cli_history(int argc, char **argv);
int phx_cli_verify(int argc, char **argv);

#endif
