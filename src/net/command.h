/* A connection that a program makes: its standard input and output are the channel. `ssh host …`,
 * `docker exec -i …`, anything that carries bytes there and back.
 *
 * The program leads a process group of its own and is no child that anybody else would wait for. It
 * is started with the caller's environment, so keys, agents and configuration are the user's. What
 * it writes to standard error is kept, line by line, for whoever explains why it failed.
 *
 * Runs in the controller, in the loop's thread. Memory as for net/channel.h. */
#ifndef PHX_NET_COMMAND_H
#define PHX_NET_COMMAND_H

#include "base/err.h"
#include "net/channel.h"
#include "net/watch.h"

enum { PHX_COMMAND_LINE_MAX = 512 };

struct phx_command {
    struct phx_channel channel; /* first: its on_bytes gets it */
    struct phx_watch watch;     /* on the program */
    uv_poll_t errors_poll;
    int errors;          /* its standard error, owned; -1 once it is closed */
    struct phx_buf said; /* what came from there and was not taken */
    int is_open;
    void (*on_change)(struct phx_command *command); /* bytes, an end, a line, a death */
};

/* Starts `argv` (NULL-terminated; argv[0] is a path). Returns 0 or a negative code with *err
 * filled; then the struct may be forgotten. */
int phx_command_open(struct phx_command *command, uv_loop_t *loop, const char *const *argv,
                     void (*on_change)(struct phx_command *), struct phx_err *err);

/* Takes the next line of its standard error, cut, without its end; the last one needs none once the
 * program has closed it. Returns 1 or 0. */
int phx_command_take_line(struct phx_command *command, char out[PHX_COMMAND_LINE_MAX]);

/* Reads what is left of its standard error: after its death, for the reason. */
void phx_command_drain_lines(struct phx_command *command);

/* Ends the program's group, reaps it if it is dead, closes everything. It may be called twice. */
void phx_command_close(struct phx_command *command);

/* Frees what was kept, after the loop has let go of it. */
void phx_command_fini(struct phx_command *command);

#endif
