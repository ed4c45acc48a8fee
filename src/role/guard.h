/* The guard: the process between controller and zygote that lets nothing of a run outlive it.
 *
 * A child subreaper without Python, asleep on three descriptors: the controller's pidfd, a socket
 * to the controller, its signals. Everything a run starts is started by it (the zygote) or descends
 * from what it started, and whatever loses its parent becomes its child. It alone may waitpid(-1).
 *
 *     controller ends, or its socket, or speaks nonsense; SIGTERM   kill all that is below, end
 *     SPAWN    start a program (a zygote) in a group of its own     SPAWNED or SPAWN_FAILED
 *     a child ended                                                 REAPED
 *     GROUP    this process group is a worker's
 *     END      end what is left in the groups of zygotes and workers, name the rest, end
 *
 * A group that is not named by GROUP, and did not come with a SPAWN, is one that a test made for
 * itself: at END its processes are named and left alone. */
#ifndef PHX_ROLE_GUARD_H
#define PHX_ROLE_GUARD_H

enum phx_guard_exit {
    PHX_GUARD_ENDED = 0,  /* after END */
    PHX_GUARD_KILLED = 1, /* killed what there was */
    PHX_GUARD_REFUSED = 2 /* could not start; said why on standard error */
};

/* Runs a guard in this process, which must have one thread and no children, until the run is over.
 * control      taken: a Unix stream socket to the controller
 * controller   taken: a pidfd on the controller
 * Returns      an exit status of enum phx_guard_exit.
 * Changes the process for good: it ignores the terminal's signals, blocks SIGTERM and SIGCHLD. */
int phx_guard_run(int control, int controller);

#endif
