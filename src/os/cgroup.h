/* The control groups that hold this process (v1 and v2), as far as they can be seen.
 *
 * Formats: cgroups(7), proc(5) for /proc/self/cgroup and /proc/self/mountinfo. */
#ifndef PHX_OS_CGROUP_H
#define PHX_OS_CGROUP_H

/* `directory` is the group's below the root that was asked for. Not 0: go no further up from here.
 */
typedef int phx_cgroup_each_fn(void *context, const char *directory, int v2);

/* Calls `each` for this process's group and then for those that contain it: in the v1 hierarchy of
 * `controller` ("cpu", "memory") and in the unified one (v2), where each mount of them begins anew.
 * `root` as in os/sysfile.h. */
void phx_cgroup_each(const char *root, const char *controller, phx_cgroup_each_fn *each,
                     void *context);

#endif
