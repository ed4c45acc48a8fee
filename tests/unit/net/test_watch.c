#include "net/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "harness.h"
#include "os/pidfd.h"

static uv_loop_t loop;
static struct phx_watch watch;
static int told;

static void on_gone(struct phx_watch *from)
{
    ck_assert_ptr_eq(from, &watch);
    ck_assert_int_eq(from->gone, 1);
    told++;
}

/* Check's own, which a child inherits, would end the test's whole group. */
static void forget_handlers(void)
{
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
}

/* A child in a group of its own, with a child of its own that writes one byte when SIGTERM ends it.
 * Returns a descriptor to read that byte from. */
static int start_family(pid_t *out_pid)
{
    int up[2];
    char byte;
    ck_assert_int_eq(pipe(up), 0);
    pid_t pid = fork();
    if (pid == 0) {
        forget_handlers();
        setpgid(0, 0);
        if (fork() == 0)
            (void)!write(up[1], "u", 1);
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(up[0], &byte, 1), 1);
    phx_fd_close(&up[1]);
    *out_pid = pid;
    return up[0]; /* at its end when both are gone */
}

static void start(pid_t pid)
{
    int pidfd = phx_pidfd_open(pid, NULL);
    ck_assert_int_ge(pidfd, 0);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(phx_watch_open(&watch, &loop, pid, pidfd, on_gone), 0);
}

static void finish(void)
{
    int pidfd = watch.pidfd;
    phx_watch_close(&watch, NULL);
    ck_assert_int_eq(watch.pidfd, -1);
    ck_assert_int_lt(fcntl(pidfd, F_GETFD), 0);
    ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    ck_assert_int_eq(phx_watch_signal(&watch, SIGKILL, 0), -ESRCH);
    ck_assert_int_eq(phx_watch_signal(&watch, SIGKILL, 1), -ESRCH);
}

static void wait_until_told(void)
{
    for (int i = 0; i < 100 && !told; i++)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_int_eq(told, 1);
}

static int status_of(pid_t pid)
{
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

START_TEST(a_death_wakes_the_loop_once)
{
    int go[2];
    ck_assert_int_eq(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        _exit(read(go[0], &byte, 1) == 1 ? 7 : 8);
    }
    start(pid);
    uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert_int_eq(told, 0);
    ck_assert_int_eq(watch.gone, 0);
    ck_assert_int_eq(write(go[1], "g", 1), 1);
    wait_until_told();
    uv_run(&loop, UV_RUN_NOWAIT);
    uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert_int_eq(told, 1);
    ck_assert_int_eq(phx_watch_signal(&watch, SIGKILL, 1), -ESRCH);
    ck_assert_int_eq(status_of(pid), 7 << 8); /* left for its parent to reap */
    finish();
}
END_TEST

START_TEST(one_who_was_dead_before_is_told_too)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    int pidfd = phx_pidfd_open(pid, NULL);
    ck_assert_int_eq(phx_pidfd_wait(pidfd, -1), 1);
    phx_fd_close(&pidfd);
    start(pid);
    /* The loop has not said so: the group must not be signalled all the same. */
    ck_assert_int_eq(phx_watch_signal(&watch, SIGTERM, 1), -ESRCH);
    wait_until_told();
    ck_assert_int_eq(status_of(pid), 0);
    finish();
}
END_TEST

START_TEST(a_signal_goes_to_the_process_or_to_its_group)
{
    pid_t pid;
    char byte;
    int up = start_family(&pid);
    start(pid);
    ck_assert_int_eq(phx_watch_signal(&watch, 0, 0), 0);
    ck_assert_int_eq(phx_watch_signal(&watch, SIGTERM, _i), 0);
    wait_until_told();
    ck_assert_int_eq(status_of(pid), SIGTERM);
    fcntl(up, F_SETFL, O_NONBLOCK);
    if (_i) {
        fcntl(up, F_SETFL, 0);
        ck_assert_int_eq(read(up, &byte, 1), 0);
    } else {
        ck_assert_int_eq(read(up, &byte, 1), -1); /* its child lives */
        ck_assert_int_eq(kill(-pid, SIGKILL), 0);
    }
    finish();
}
END_TEST

/* A process that has left the group it led cannot hide there. */
START_TEST(one_who_left_its_group_is_signalled_itself)
{
    int up[2];
    char byte;
    ck_assert_int_eq(pipe(up), 0);
    pid_t group = getpgrp(), pid = fork();
    if (pid == 0) {
        forget_handlers();
        setpgid(0, 0);
        if (_i == 2 && fork() == 0) /* somebody stays in it */
            for (;;)
                pause();
        setpgid(0, group);
        (void)!write(up[1], "u", 1);
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(up[0], &byte, 1), 1);
    start(pid);
    int number = _i == 0 ? SIGINT : SIGKILL;
    ck_assert_int_eq(phx_watch_signal(&watch, number, 1), 0);
    wait_until_told();
    ck_assert_int_eq(status_of(pid), number);
    finish();
}
END_TEST

START_TEST(closing_before_the_end_tells_nobody)
{
    pid_t pid;
    phx_fd_close(&(int){start_family(&pid)});
    start(pid);
    finish();
    ck_assert_int_eq(told, 0);
    ck_assert_int_eq(kill(-pid, SIGKILL), 0);
    ck_assert_int_eq(status_of(pid), SIGKILL);
}
END_TEST

START_TEST(what_is_no_pidfd_is_refused_and_closed)
{
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(phx_watch_open(&watch, &loop, getpid(), file, on_gone), -EPERM);
    ck_assert_int_lt(fcntl(file, F_GETFD), 0);
    ck_assert_int_eq(watch.pidfd, -1);
    ck_assert_int_eq(phx_watch_signal(&watch, SIGKILL, 1), -ESRCH);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_death_wakes_the_loop_once);
    tcase_add_test(tests, one_who_was_dead_before_is_told_too);
    tcase_add_loop_test(tests, a_signal_goes_to_the_process_or_to_its_group, 0, 2);
    tcase_add_loop_test(tests, one_who_left_its_group_is_signalled_itself, 0, 3);
    tcase_add_test(tests, closing_before_the_end_tells_nobody);
    tcase_add_test(tests, what_is_no_pidfd_is_refused_and_closed);
}

int main(void)
{
    return harness_run("watch", 20, add);
}
