#include "os/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "fake_root.h"
#include "harness.h"

static void put_affinity(const char *list)
{
    char text[256];
    snprintf(text, sizeof text, "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t%s\n", list);
    put("/proc/self/status", text);
}

static void put_siblings(int cpu, const char *file, const char *list)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, file);
    put(path, list);
}

/* Eight hardware threads on four cores, thread n beside thread n + 4. */
static void put_machine(void)
{
    put_affinity("0-7");
    for (int cpu = 0; cpu < 8; cpu++) {
        char list[16];
        snprintf(list, sizeof list, "%d,%d\n", cpu % 4, cpu % 4 + 4);
        put_siblings(cpu, cpu % 2 ? "core_cpus_list" : "thread_siblings_list", list);
    }
}

START_TEST(hardware_threads_of_a_core_count_once)
{
    put_machine();
    ck_assert_int_eq(phx_cpu_logical(root), 8);
    ck_assert_int_eq(phx_cpu_physical(root), 4);
    put_affinity("0-2,5");
    ck_assert_int_eq(phx_cpu_logical(root), 4);
    ck_assert_int_eq(phx_cpu_physical(root), 3); /* 1 and 5 share a core */
    put_affinity("4-7");
    ck_assert_int_eq(phx_cpu_physical(root), 4);
    put_affinity("6");
    ck_assert_int_eq(phx_cpu_logical(root), 1);
    ck_assert_int_eq(phx_cpu_physical(root), 1);
}
END_TEST

START_TEST(without_a_topology_every_processor_is_a_core)
{
    put_affinity("0-3,4094-4095,60000");
    ck_assert_int_eq(phx_cpu_logical(root), 7);
    ck_assert_int_eq(phx_cpu_physical(root), 7);
    put_affinity("nonsense");
    ck_assert_int_eq(phx_cpu_logical(root), 1);
    put_affinity("0-,3-1,99999999999-99999999999999");
    ck_assert_int_ge(phx_cpu_physical(root), 1);
}
END_TEST

START_TEST(the_quota_of_v2_is_rounded_up)
{
    put_machine();
    put_v2("/", "0::/job\n");
    ck_assert_int_eq(phx_cpu_logical(root), 8); /* no cpu.max: no limit */
    put("/sys/fs/cgroup/job/cpu.max", "max 100000\n");
    ck_assert_int_eq(phx_cpu_logical(root), 8);
    put("/sys/fs/cgroup/job/cpu.max", "250000 100000\n");
    ck_assert_int_eq(phx_cpu_logical(root), 3);
    ck_assert_int_eq(phx_cpu_physical(root), 3);
    put("/sys/fs/cgroup/job/cpu.max", "500000 100000\n");
    ck_assert_int_eq(phx_cpu_logical(root), 5);
    ck_assert_int_eq(phx_cpu_physical(root), 4);
    put("/sys/fs/cgroup/job/cpu.max", "1000 100000\n");
    ck_assert_int_eq(phx_cpu_logical(root), 1);
    put("/sys/fs/cgroup/job/cpu.max", "garbage\n");
    ck_assert_int_eq(phx_cpu_logical(root), 8);
    put("/sys/fs/cgroup/job/cpu.max", "9223372036854775807 1\n");
    ck_assert_int_eq(phx_cpu_logical(root), 8);
    put("/sys/fs/cgroup/job/cpu.max", "100000 0\n");
    ck_assert_int_eq(phx_cpu_logical(root), 8);
}
END_TEST

START_TEST(every_group_around_ours_limits_it)
{
    put_machine();
    put_v2("/", "0::/a/b/c\n");
    put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/b/c/cpu.max", "600000 100000\n");
    ck_assert_int_eq(phx_cpu_logical(root), 2);
    put("/sys/fs/cgroup/cpu.max", "100000 100000\n"); /* a container's root */
    ck_assert_int_eq(phx_cpu_logical(root), 1);
    put("/sys/fs/cpu.max", "1 100000\n"); /* outside the mount: nobody's */
    put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    ck_assert_int_eq(phx_cpu_logical(root), 3);
    put("/sys/fs/cgroup/a/bb/cpu.max", "100000 100000\n"); /* a sibling */
    ck_assert_int_eq(phx_cpu_logical(root), 3);
}
END_TEST

START_TEST(a_container_sees_a_part_of_the_tree)
{
    put_machine();
    put_v2("/docker/abc", "0::/docker/abc/job\n");
    put("/sys/fs/cgroup/job/cpu.max", "400000 100000\n");
    ck_assert_int_eq(phx_cpu_logical(root), 4);
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    ck_assert_int_eq(phx_cpu_logical(root), 2);
    put("/proc/self/cgroup", "0::/docker/abc\n");
    ck_assert_int_eq(phx_cpu_logical(root), 2);
    put("/proc/self/cgroup", "0::/docker/abcd/job\n"); /* not below: the mount point counts */
    ck_assert_int_eq(phx_cpu_logical(root), 2);
    put("/proc/self/cgroup", "0::/../other\n"); /* outside our namespace */
    ck_assert_int_eq(phx_cpu_logical(root), 2);
}
END_TEST

START_TEST(v1_has_a_quota_too)
{
    put_machine();
    put("/proc/self/cgroup", "9:name=cpu:/x\n3:cpuset:/other\n"
                             "4:cpuacct,cpu:/a/b\n0::/unified\n");
    put("/proc/self/mountinfo",
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
        "32 31 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
        "33 31 0:30 / /sys/fs/cgroup/the\\040cpu rw - cgroup cgroup rw,cpuacct,cpu\n"
        "34 31 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/cpuset/a/b/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/cpuset/a/b/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/the cpu/a/b/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/the cpu/a/b/cpu.cfs_period_us", "100000\n");
    ck_assert_int_eq(phx_cpu_logical(root), 8);
    put("/sys/fs/cgroup/the cpu/a/b/cpu.cfs_quota_us", "150000\n");
    put("/sys/fs/cgroup/the cpu/a/b/cpu.cfs_period_us", "50000\n");
    ck_assert_int_eq(phx_cpu_logical(root), 3);
    put("/sys/fs/cgroup/the cpu/a/cpu.cfs_quota_us", "110000\n");
    put("/sys/fs/cgroup/the cpu/a/cpu.cfs_period_us", "100000\n");
    ck_assert_int_eq(phx_cpu_logical(root), 2);
    put("/sys/fs/cgroup/unified/unified/cpu.max", "10000 100000\n"); /* both kinds at once */
    ck_assert_int_eq(phx_cpu_logical(root), 1);
}
END_TEST

START_TEST(this_machine_has_what_its_affinity_says)
{
    cpu_set_t before, one;
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    ck_assert_int_ge(phx_cpu_logical(""), 1);
    ck_assert_int_le(phx_cpu_logical(""), CPU_COUNT(&before));
    ck_assert_int_le(phx_cpu_physical(""), phx_cpu_logical(""));
    ck_assert_int_eq(phx_cpu_logical(root), CPU_COUNT(&before)); /* an empty tree: no limits */
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &before))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
        ck_assert_int_eq(phx_cpu_logical(""), 1);
        ck_assert_int_eq(phx_cpu_physical(""), 1);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, make_fake_root, remove_fake_root);
    tcase_add_test(tests, hardware_threads_of_a_core_count_once);
    tcase_add_test(tests, without_a_topology_every_processor_is_a_core);
    tcase_add_test(tests, the_quota_of_v2_is_rounded_up);
    tcase_add_test(tests, every_group_around_ours_limits_it);
    tcase_add_test(tests, a_container_sees_a_part_of_the_tree);
    tcase_add_test(tests, v1_has_a_quota_too);
    tcase_add_test(tests, this_machine_has_what_its_affinity_says);
}

int main(void)
{
    return harness_run("cpu", 20, add);
}
