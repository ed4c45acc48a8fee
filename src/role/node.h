/* The node: the engine on another machine, for a controller at the other end of a connection.
 *
 * It drives the same engine as a controller does (role/controller.h), with a guard, a zygote, a run
 * queue and workers of its own, and has no say in the run: what happens goes to its controller as
 * NODE_EVENTs, and what it does the controller has told it. Tests come in portions and go into the
 * run queue here, from where the workers claim them without a message; those that nobody has begun
 * can be taken back.
 *
 *     controller                      node                         its guard, zygote, workers
 *        ◄── HELLO, NODE_INFO ──────────│
 *        ── NODE_SETUP ────────────────►│ ── SETUP ────────────────►  configures and collects
 *        ◄── NODE_EVENT … COLLECTED ────│ ◄─────────────────────────
 *        ── NODE_SPAWN, NODE_WORKER ───►│
 *        ── NODE_DEAL ─────────────────►│ ── run queue, forks ─────►  run tests
 *        ◄── NODE_EVENT: STARTED, … ────│ ◄─────────────────────────
 *        ── NODE_RETURN ───────────────►│
 *        ◄── NODE_RETURNED ─────────────│
 *        ── NODE_DO: END ──────────────►│ ── END ──────────────────►
 *        ◄── NODE_DONE ─────────────────│
 *
 * The connection's end is the end of everything here: the guard sees to that. */
#ifndef PHX_ROLE_NODE_H
#define PHX_ROLE_NODE_H

struct phx_node_options {
    int in, out;             /* the connection; borrowed */
    const char *info;        /* what this machine tells of itself, for people and for Python */
    const char *guard_path;  /* the next three as in struct phx_controller_options */
    const char *const *argv; /* the zygote's program */
    const char *const *environment;
};

enum { PHX_NODE_LOST = 3 }; /* exit status when the connection ended before the run did */

/* Serves until the controller has ended the run or the connection ends. Returns the exit status of
 * the process: 0, PHX_NODE_LOST, or 1 for what it could not do (a line on standard error says it).
 * Runs in the node, for as long as that lives. */
int phx_node_run(const struct phx_node_options *options);

#endif
