/* Where the history is that a command works on.
 *
 * --history=PATH, else the first .pytest_cache/d/phalanx/history.sqlite of the working directory
 * and the directories above it. */
#ifndef PHX_CLI_PLACE_H
#define PHX_CLI_PLACE_H

#include "store/history.h"

/* Opens it. `asked` is what --history named, or NULL. Complains where it cannot.
 * out_path  may be NULL; malloc'd, the caller's to free; set on success only
 * Returns   0, or an exit status. */
int phx_cli_open_history(struct phx_history *out, const char *program, const char *asked,
                         enum phx_db_mode mode, char **out_path);

/* The same, to write, and where there is none it makes one: at `asked`, or in .pytest_cache of the
 * working directory. Returns 0, or an exit status. */
int phx_cli_make_history(struct phx_history *out, const char *program, const char *asked);

#endif
