#include "os/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

/* A child that waits for a signal. */
static pid_t sleeper(int *out_pidfd)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    struct phx_err err = {0};
    *out_pidfd = phx_pidfd_open(pid, &err);
    ck_assert_msg(*out_pidfd >= 0, "%s", err.text);
    return pid;
}

START_TEST(an_end_is_seen_and_reaped)
{
    int pidfd, status = -1;
    pid_t pid = sleeper(&pidfd);
    ck_assert_int_eq(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
    phx_ns before = phx_clock_now();
    ck_assert_int_eq(phx_pidfd_wait(pidfd, 30 * PHX_MS), 0);
    ck_assert_int_ge(phx_clock_now() - before, 30 * PHX_MS);
    ck_assert_int_eq(phx_pidfd_wait(pidfd, 0), 0);
    ck_assert_int_eq(phx_pidfd_reap(pidfd, &status), -EAGAIN);
    ck_assert_int_eq(phx_pidfd_signal(pidfd, SIGKILL), 0);
    ck_assert_int_eq(phx_pidfd_wait(pidfd, -1), 1);
    ck_assert_int_eq(phx_pidfd_signal(pidfd, 0), 0); /* dead and not reaped: still there */
    ck_assert_int_eq(phx_pidfd_reap(pidfd, &status), 0);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ck_assert_int_eq(phx_pidfd_signal(pidfd, SIGKILL), -ESRCH);
    ck_assert_int_eq(phx_pidfd_reap(pidfd, &status), -ECHILD);
    ck_assert_int_eq(phx_pidfd_wait(pidfd, 0), 1);
    ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), -1);
    close(pidfd);
}
END_TEST

/* The status must be what waitpid gives for the same end. */
static void end_as(int which)
{
    struct rlimit core = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &core);
    if (chdir("/tmp") < 0)
        _exit(99);
    signal(SIGTERM, SIG_DFL); /* Check has a handler of its own */
    signal(SIGABRT, SIG_DFL);
    switch (which) {
    case 0:
        _exit(0);
    case 1:
        _exit(255);
    case 2:
        raise(SIGTERM);
        break;
    default:
        raise(SIGABRT);
    }
    _exit(98);
}

START_TEST(a_status_is_as_of_waitpid)
{
    pid_t twin = fork(), child;
    int expected, status = -1;
    if (twin == 0)
        end_as(_i);
    ck_assert_int_eq(waitpid(twin, &expected, 0), twin);
    if ((child = fork()) == 0)
        end_as(_i);
    int pidfd = phx_pidfd_open(child, NULL);
    ck_assert_int_eq(phx_pidfd_wait(pidfd, 60 * PHX_S), 1);
    ck_assert_int_eq(phx_pidfd_reap(pidfd, &status), 0);
    ck_assert_int_eq(status, expected);
    close(pidfd);
}
END_TEST

START_TEST(what_is_not_there_is_an_error)
{
    struct phx_err err = {0};
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert_int_eq(phx_pidfd_open(pid, &err), -ESRCH);
    ck_assert_ptr_nonnull(strstr(err.text, "pidfd"));
    ck_assert_int_eq(phx_pidfd_wait(999, 0), -EBADF);
    ck_assert_int_eq(phx_pidfd_signal(999, 0), -EBADF);
    int self = phx_pidfd_open(getpid(), &err), status = 7;
    ck_assert_int_ge(self, 0);
    ck_assert_int_eq(phx_pidfd_reap(self, &status), -ECHILD);
    ck_assert_int_eq(status, 7);
}
END_TEST

static void on_alarm(int number)
{
    (void)number;
}

START_TEST(a_signal_does_not_shorten_the_wait)
{
    int pidfd;
    pid_t pid = sleeper(&pidfd);
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    ualarm(10000, 10000);
    phx_ns before = phx_clock_now();
    ck_assert_int_eq(phx_pidfd_wait(pidfd, 100 * PHX_MS), 0);
    ck_assert_int_ge(phx_clock_now() - before, 100 * PHX_MS);
    ualarm(0, 0);
    kill(pid, SIGKILL);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, an_end_is_seen_and_reaped);
    tcase_add_loop_test(tests, a_status_is_as_of_waitpid, 0, 4);
    tcase_add_test(tests, what_is_not_there_is_an_error);
    tcase_add_test(tests, a_signal_does_not_shorten_the_wait);
}

int main(void)
{
    return harness_run("pidfd", 20, add);
}
