/* Killing everything that a run started, whatever it did to its process group or session. */
#ifndef PHX_OS_SWEEP_H
#define PHX_OS_SWEEP_H

/* Kills (SIGKILL) every process below the caller and reaps the caller's children, again and again
 * until nothing is left. The caller must be a child subreaper with one thread: then "it has no
 * child" means that nothing is left, for whatever loses its parent becomes its child.
 * Returns 0, -EPERM when all that is left may not be signalled (another user's), or -errno when
 * /proc cannot be read. Waits for as long as a process takes to die.
 * Runs in the guard. */
int phx_sweep(void);

#endif
