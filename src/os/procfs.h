/* Other processes, as /proc tells. Runs in the guard and the controller; may allocate. */
#ifndef PHX_OS_PROCFS_H
#define PHX_OS_PROCFS_H

#include <stddef.h>
#include <sys/types.h>

struct phx_process {
    pid_t pid, parent, group, session;
    char state;                    /* as in /proc/PID/stat: 'R', 'S', 'Z', 'T' … */
    unsigned long long start_time; /* clock ticks since boot: with pid, it identifies a process */
};

/* One process. Returns 0 or -errno (-ESRCH when it is gone). Allocates nothing. */
int phx_procfs_look(pid_t pid, struct phx_process *out);

/* Every process below `root` (its children, theirs, …; not `root` itself), parents before children.
 * out_list   taken: the caller frees it; NULL when there are none
 * Returns    their number or -errno. A process that ends meanwhile may be missing. */
int phx_procfs_descendants(pid_t root, struct phx_process **out_list);

/* The arguments of a process, joined by spaces, unprintable bytes as '?'; "[name]" for one without.
 * Returns 0 or -errno (-ESRCH when it is gone). */
int phx_procfs_command(pid_t pid, char *out, size_t size);

#endif
