#include "os/oom.h"

#include "fake_root.h"
#include "harness.h"

START_TEST(nothing_is_counted_where_no_group_tells)
{
    ck_assert_uint_eq(phx_oom_kills(root), 0);
    put_v2("/", "0::/job\n");
    ck_assert_uint_eq(phx_oom_kills(root), 0);
    put("/sys/fs/cgroup/job/memory.events", "low 1\nhigh 2\nmax 3\noom 4\n");
    ck_assert_uint_eq(phx_oom_kills(root), 0);
}
END_TEST

START_TEST(v2_tells_of_our_group_alone)
{
    put_v2("/", "0::/job/run\n");
    put("/sys/fs/cgroup/job/run/memory.events", "low 0\noom 7\noom_kill 2\noom_group_kill 9\n");
    put("/sys/fs/cgroup/job/memory.events", "low 0\noom 7\noom_kill 100\n");
    ck_assert_uint_eq(phx_oom_kills(root), 2);
}
END_TEST

START_TEST(v1_tells_too)
{
    put("/proc/self/cgroup", "4:memory:/a\n1:cpu:/b\n0::/\n");
    put("/proc/self/mountinfo",
        "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    put("/sys/fs/cgroup/memory/a/memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
    put("/sys/fs/cgroup/cpu/b/memory.oom_control", "oom_kill 50\n");
    ck_assert_uint_eq(phx_oom_kills(root), 3);
}
END_TEST

START_TEST(a_group_that_is_mounted_twice_counts_once)
{
    put("/proc/self/cgroup", "0::/a\n");
    put("/proc/self/mountinfo", "32 31 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
                                "33 31 0:29 / /host/cgroup rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/a/memory.events", "oom_kill 3\n");
    put("/host/cgroup/a/memory.events", "oom_kill 3\n");
    ck_assert_uint_eq(phx_oom_kills(root), 3);
}
END_TEST

START_TEST(garbage_counts_as_nothing)
{
    put_v2("/", "0::/job\n");
    put("/sys/fs/cgroup/job/memory.events", "oom_kill\noom_kill x\noom_kills 3\n");
    ck_assert_uint_eq(phx_oom_kills(root), 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, make_fake_root, remove_fake_root);
    tcase_add_test(tests, nothing_is_counted_where_no_group_tells);
    tcase_add_test(tests, v2_tells_of_our_group_alone);
    tcase_add_test(tests, v1_tells_too);
    tcase_add_test(tests, a_group_that_is_mounted_twice_counts_once);
    tcase_add_test(tests, garbage_counts_as_nothing);
}

int main(void)
{
    return harness_run("oom", 20, add);
}
