/* How many workers this machine can feed. */
#ifndef PHX_OS_CPU_H
#define PHX_OS_CPU_H

/* Logical (hardware threads) or physical (cores) processors that this process may use: within its
 * CPU affinity and the CPU quota of its control group and all that contain it (v1 and v2), rounded
 * up. `root` is "" for this machine, or a directory that stands for / in tests. Returns >= 1. */
int phx_cpu_logical(const char *root);
int phx_cpu_physical(const char *root);

#endif
