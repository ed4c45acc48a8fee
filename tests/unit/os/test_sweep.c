#include "os/sweep.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "harness.h"
#include "os/procfs.h"

enum { FOR_EVER_S = 100 }; /* what a broken sweep would leave behind ends by itself */

static void become_reaper(void)
{
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
}

static void wait_for_descendants(int count)
{
    struct phx_process *list = NULL;
    for (int i = 0; i < 6000; i++) {
        int found = phx_procfs_descendants(getpid(), &list);
        free(list);
        list = NULL;
        if (found >= count)
            return;
        phx_clock_sleep(5 * PHX_MS);
    }
    ck_abort_msg("they did not come up");
}

static void assert_swept(void)
{
    ck_assert_int_eq(phx_sweep(), 0);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
}

START_TEST(nothing_to_kill_is_done_at_once)
{
    become_reaper();
    assert_swept();
}
END_TEST

START_TEST(whatever_they_did_they_are_killed)
{
    become_reaper();
    for (int kind = 0; kind < 6; kind++) {
        if (fork() != 0)
            continue;
        alarm(FOR_EVER_S);
        if (kind == 1)
            setsid();
        if (kind == 2)
            setpgid(0, 0);
        if (kind == 3 && fork() != 0) /* a daemon: its parent is gone */
            _exit(0);
        if (kind == 4)
            for (int number = 1; number < 32; number++)
                signal(number, SIG_IGN);
        if (kind == 5)
            raise(SIGSTOP);
        if (kind == 3)
            setsid();
        if (fork() == 0)
            alarm(FOR_EVER_S);
        for (;;)
            pause();
    }
    wait_for_descendants(11);
    assert_swept();
}
END_TEST

/* Processes that each fork one and end: never the same pid twice. */
static void comet(int new_session)
{
    phx_ns until = phx_clock_now() + FOR_EVER_S * PHX_S;
    while (phx_clock_now() < until) {
        pid_t pid = fork();
        if (pid > 0)
            _exit(0);
        if (new_session)
            setsid();
    }
    _exit(0);
}

START_TEST(a_comet_is_caught)
{
    become_reaper();
    pid_t pid = fork();
    if (pid == 0) {
        if (_i)
            setpgid(0, 0);
        comet(_i == 2);
    }
    phx_clock_sleep(50 * PHX_MS);
    assert_swept();
}
END_TEST

START_TEST(a_fork_bomb_is_caught)
{
    become_reaper();
    pid_t pid = fork();
    if (pid == 0) {
        phx_ns until = phx_clock_now() + FOR_EVER_S * PHX_S;
        setsid();
        for (int i = 0; i < 7; i++) /* 128 processes that replace whom they lose */
            fork();
        while (phx_clock_now() < until) {
            pid_t child = fork();
            if (child > 0)
                waitpid(child, NULL, 0);
        }
        _exit(0);
    }
    wait_for_descendants(100);
    assert_swept();
}
END_TEST

START_TEST(what_is_not_below_is_not_touched)
{
    pid_t bystander = fork(); /* in our own group, which the sweeper's children share */
    if (bystander == 0) {
        alarm(FOR_EVER_S);
        for (;;)
            pause();
    }
    pid_t sweeper = fork();
    if (sweeper == 0) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        pid_t child = fork();
        if (child == 0)
            for (;;)
                pause();
        pid_t joined = fork(); /* its group is the bystander's: it must die alone */
        if (joined == 0)
            for (;;)
                pause();
        setpgid(0, 0); /* so that the group is not the sweeper's own */
        _exit(phx_sweep() == 0 ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(sweeper, &status, 0), sweeper);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(waitpid(bystander, NULL, WNOHANG), 0);
    kill(bystander, SIGKILL);
}
END_TEST

START_TEST(another_users_process_is_given_up)
{
    if (geteuid() != 0)
        return; /* only root can make the case */
    int status = -1;
    pid_t child = 0, sweeper = fork();
    if (sweeper == 0) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        if ((child = fork()) == 0) {
            alarm(FOR_EVER_S);
            for (;;)
                pause();
        }
        if (setuid(65534) < 0)
            _exit(3);
        _exit(phx_sweep() == -EPERM ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(sweeper, &status, 0), sweeper);
    ck_assert_int_eq(status, 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, nothing_to_kill_is_done_at_once);
    tcase_add_test(tests, whatever_they_did_they_are_killed);
    tcase_add_loop_test(tests, a_comet_is_caught, 0, 3);
    tcase_add_test(tests, a_fork_bomb_is_caught);
    tcase_add_test(tests, what_is_not_below_is_not_touched);
    tcase_add_test(tests, another_users_process_is_given_up);
}

int main(void)
{
    return harness_run("sweep", 30, add);
}
