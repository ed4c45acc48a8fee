/* What the file system and other processes may do to a history: another writer, no permission, no
 * space, kill -9, bytes that somebody else wrote. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "harness.h"
#include "scratch.h"
#include "store/history.h"

enum { MANY = 2000 };

static struct phx_err err;
static struct phx_history history;

/* Adds a run of `count` tests. */
static int record(const char *uid, uint32_t count, char outcome)
{
    static char ids[MANY][64];
    static struct phx_history_result results[MANY];
    for (uint32_t i = 0; i < count; i++) {
        int size = snprintf(ids[i], sizeof ids[i], "tests/test_file_%u.py::test_%u", i / 20, i);
        results[i] = (struct phx_history_result){.node_id = ids[i],
                                                 .node_id_size = (size_t)size,
                                                 .outcome = outcome,
                                                 .measured = 1,
                                                 .us = {1, i + 1, 1}};
    }
    struct phx_history_run run = {.uid = uid, .ended_at = 1000, .ntests = count, .complete = 1};
    int status = phx_history_open(&history, history_path, PHX_DB_WRITE, &err);
    if (status == 0) {
        status = phx_history_record(&history, &run, results, count, &err);
        phx_history_close(&history);
    }
    return status;
}

static int count_test(void *context, const struct phx_history_test *test)
{
    *(uint32_t *)context += test->outcomes.count;
    return 0;
}

/* Outcomes of all tests, after a look at every row; or a negative code. */
static int64_t count_outcomes(void)
{
    uint32_t count = 0;
    int status = phx_history_open(&history, history_path, PHX_DB_READ, &err);
    if (status < 0)
        return status;
    status = phx_history_each_test(&history, PHX_HISTORY_BY_ID, NULL, count_test, &count, &err);
    phx_history_close(&history);
    return status < 0 ? status : (int64_t)count;
}

/* Eight processes make the file and write to it, all at once. */
START_TEST(many_runs_at_once)
{
    enum { WRITERS = 8, RUNS = 4 };
    scratch_make();
    for (int writer = 0; writer < WRITERS; writer++) {
        if (fork() != 0)
            continue;
        for (int i = 0; i < RUNS; i++) {
            char uid[32];
            snprintf(uid, sizeof uid, "%d-%d", writer, i);
            if (record(uid, 50, '.') < 0)
                _exit(1);
        }
        _exit(0);
    }
    for (int writer = 0, status; writer < WRITERS; writer++) {
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_int_eq(count_outcomes(), 50 * 20); /* the last 20 of 32 runs */
    ck_assert_int_eq(phx_history_open(&history, history_path, PHX_DB_READ, &err), 0);
    for (int writer = 0; writer < WRITERS; writer++) {
        char uid[32];
        snprintf(uid, sizeof uid, "%d-%d", writer, RUNS - 1);
        ck_assert_int_gt(phx_history_find_run(&history, uid, &err), 0);
    }
    phx_history_close(&history);
    scratch_remove();
}
END_TEST

START_TEST(a_reader_is_not_kept_by_a_writer)
{
    struct phx_history writer;
    scratch_make();
    ck_assert_int_eq(record("first", 10, '.'), 0);
    ck_assert_int_eq(phx_history_open(&writer, history_path, PHX_DB_WRITE, &err), 0);
    ck_assert_int_eq(phx_history_begin(&writer, &err), 0);
    struct phx_history_run run = {.uid = "second"};
    ck_assert_int_gt(phx_history_add_run(&writer, &run, &err), 0);
    ck_assert_int_eq(count_outcomes(), 10);
    phx_history_rollback(&writer);
    phx_history_close(&writer);
    scratch_remove();
}
END_TEST

START_TEST(kill_9_leaves_a_whole_history)
{
    uint32_t killed = 0;
    uint64_t last = 0;
    scratch_make();
    ck_assert_int_eq(record("first", MANY, '.'), 0);
    for (int round = 0; round < 20; round++) {
        char uid[32];
        snprintf(uid, sizeof uid, "round-%d", round);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
            _exit(record(uid, MANY, '.') < 0);
        phx_clock_sleep((phx_ns)(1 + round) * PHX_MS);
        kill(pid, SIGKILL);
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        killed += WIFSIGNALED(status);
        int64_t count = count_outcomes();
        ck_assert_msg(count >= 0, "round %d: %s", round, err.text);
        ck_assert_int_eq(count % MANY, 0); /* all of a run, or nothing of it */
        ck_assert_uint_ge((uint64_t)count, last);
        last = (uint64_t)count;
    }
    ck_assert_uint_gt(killed, 0);
    ck_assert_int_eq(record("last", MANY, '.'), 0);
    scratch_remove();
}
END_TEST

/* Root may write everywhere: not here any more. */
static void become_nobody(void)
{
    if (geteuid() == 0)
        ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
}

START_TEST(where_nothing_may_be_written_it_can_be_read)
{
    scratch_make();
    ck_assert_int_eq(record("first", 10, '.'), 0);
    ck_assert_int_eq(chmod(history_path, 0444), 0);
    ck_assert_int_eq(chmod(scratch, 0555), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        become_nobody();
        int status = record("second", 10, '.');
        _exit(count_outcomes() == 10 && (status == -EROFS || status == -EACCES) ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    scratch_remove();
}
END_TEST

START_TEST(no_directory_no_history)
{
    scratch_make();
    ck_assert_int_eq(rmdir(scratch), 0);
    ck_assert_int_eq(record("first", 10, '.'), -ENOENT);
    ck_assert_int_eq(count_outcomes(), -ENOENT);
}
END_TEST

/* A file system of 160 KiB over the scratch directory, where this process may make one. */
static int small_file_system(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return -1;
    return mount("tmpfs", scratch, "tmpfs", 0, "size=160k");
}

START_TEST(a_full_disk_changes_nothing)
{
    scratch_make();
    int mounted = small_file_system() == 0;
    if (!mounted) {
        /* No file of this process may grow beyond this: to SQLite much the same. */
        struct rlimit limit = {96 * 1024, 96 * 1024};
        signal(SIGXFSZ, SIG_IGN);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    }
    ck_assert_int_eq(record("first", 10, '.'), 0);
    int status = record("second", MANY, '.');
    ck_assert_msg(status == -ENOSPC || status == -EIO, "%d", status);
    ck_assert_ptr_nonnull(strstr(err.text, history_path));
    ck_assert_int_eq(count_outcomes(), 10);
    ck_assert_int_eq(record("third", 10, '.'), 0);
    if (mounted)
        ck_assert_int_eq(umount(scratch), 0);
    scratch_remove();
}
END_TEST

/* Whatever bytes are in the file: an error or an answer, and a new history after it. */
START_TEST(damaged_bytes_are_told_or_harmless)
{
    uint64_t seed = 20261124;
    uint32_t damaged = 0;
    static unsigned char whole[1 << 20], bytes[sizeof whole];
    scratch_make();
    ck_assert_int_eq(record("first", 400, '.'), 0);
    int fd = open(history_path, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, whole, sizeof whole);
    close(fd);
    ck_assert_int_gt(size, 0);
    for (int round = 0; round < 150; round++) {
        memcpy(bytes, whole, (size_t)size);
        ssize_t length = size;
        for (int n = 0; n < 40; n++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            bytes[(size_t)(seed >> 33) % (n < 2 ? 100 : (size_t)size)] =
                (unsigned char)(seed >> 25);
        }
        if (round % 5 == 0)
            length = (ssize_t)(seed >> 40) % size;
        unlink(beside("-wal"));
        unlink(beside("-shm"));
        scratch_write(history_path, bytes, (size_t)length);
        int64_t read_status = count_outcomes();
        int status = record("again", 400, 'F');
        damaged += status == PHX_E_DAMAGED;
        ck_assert_msg(status == 0 || status == PHX_E_DAMAGED || status == PHX_E_FOREIGN ||
                          status == PHX_E_NEWER || status == -EIO || status == -EROFS ||
                          status == -EACCES,
                      "round %d: %d %s", round, status, err.text);
        (void)read_status;
        if (status == PHX_E_DAMAGED) {
            ck_assert_int_eq(phx_db_set_aside(history_path, &err), 0);
            ck_assert_msg(record("anew", 10, '.') == 0, "round %d: %s", round, err.text);
            ck_assert_int_eq(count_outcomes(), 10);
        }
    }
    ck_assert_uint_gt(damaged, 20);
    scratch_remove();
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, many_runs_at_once);
    tcase_add_test(tests, a_reader_is_not_kept_by_a_writer);
    tcase_add_test(tests, kill_9_leaves_a_whole_history);
    tcase_add_test(tests, where_nothing_may_be_written_it_can_be_read);
    tcase_add_test(tests, no_directory_no_history);
    tcase_add_test(tests, a_full_disk_changes_nothing);
    tcase_add_test(tests, damaged_bytes_are_told_or_harmless);
}

int main(void)
{
    return harness_run("history_faults", 120, add);
}
