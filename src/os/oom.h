/* Deaths by the kernel's OOM killer. */
#ifndef PHX_OS_OOM_H
#define PHX_OS_OOM_H

#include <stdint.h>

/* How many processes of this process's memory control group the kernel's OOM killer has ended since
 * the group was made: the most that any mount of it says; 0 if none tells. `root` as in
 * os/sysfile.h. Source: "oom_kill" in memory.events (Documentation/admin-guide/cgroup-v2.rst) and
 * in memory.oom_control (v1, Linux 4.13). */
uint64_t phx_oom_kills(const char *root);

#endif
