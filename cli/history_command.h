/* The commands of `phalanx history`; see command.h. */
#ifndef PHX_CLI_HISTORY_COMMAND_H
#define PHX_CLI_HISTORY_COMMAND_H

int phx_cli_history_list(int argc, char **argv);
int phx_cli_history_show(int argc, char **argv);
int phx_cli_history_flaky(int argc, char **argv);
int phx_cli_history_prune(int argc, char **argv);
int phx_cli_history_export(int argc, char **argv);
int phx_cli_history_import(int argc, char **argv);

/* Reads the number that an option takes, 0 or more. Returns 0, or PHX_CLI_USAGE with a complaint.
 */
int phx_cli_number(const char *program, const char *option, const char *text, long long *out);

#endif
