/* The commands of `phalanx history`; see command.h. */
#ifndef PHX_CLI_HISTORY_COMMAND_H
#define PHX_CLI_HISTORY_COMMAND_H

int phx_cli_history_list(int argc, char **argv);
int phx_cli_history_show(int argc, char **argv);
int phx_cli_history_flaky(int argc, char **argv);
int phx_cli_history_prune(int argc, char **argv);
int phx_cli_history_export(int argc, char **argv);
int phx_cli_history_import(int argc, char **argv);

#endif
