/* The program started is mostly this one again, with the argument "report": it says on its standard
 * output how it came to life. */
#include "os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "harness.h"
#include "os/pidfd.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* ---- the program ---- */

static int report(void)
{
    char directory[4096];
    int dies = -1;
    printf("fds:");
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf(" %d", fd);
    printf("\nignored:");
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    for (int number = 1; number < 32; number++) {
        struct sigaction action;
        sigaction(number, NULL, &action);
        if (action.sa_handler == SIG_IGN)
            printf(" %d", number);
    }
    printf("\nblocked:");
    for (int number = 1; number <= 64; number++)
        if (sigismember(&blocked, number) == 1)
            printf(" %d", number);
    prctl(PR_GET_PDEATHSIG, &dies);
    printf("\nleads: %d\ndies: %d\ndirectory: %s\nmark: %s\n", getpgrp() == getpid(), dies,
           getcwd(directory, sizeof directory), getenv("MARK") ? getenv("MARK") : "none");
    return 0;
}

/* ---- helpers ---- */

static const char *const report_argv[] = {"/proc/self/exe", "report", NULL};

/* Starts `what` with its standard output in a pipe; the text it writes until it ends with 0. */
static const char *output_of(struct phx_spawn what, const struct phx_spawn_fd *more, size_t nmore)
{
    static char text[8192];
    int out[2];
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    struct phx_spawn_fd fds[8] = {{out[1], STDOUT_FILENO}};
    for (size_t i = 0; i < nmore; i++)
        fds[i + 1] = more[i];
    what.fds = fds;
    what.nfds = nmore + 1;
    pid_t pid = -1;
    int pidfd = -1, status = -1;
    struct phx_err err = {0};
    ck_assert_msg(phx_spawn(&what, &pid, &pidfd, &err) == 0, "%s", err.text);
    ck_assert_int_gt(pid, 0);
    ck_assert_int_eq(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
    close(out[1]);
    size_t used = 0;
    ssize_t got;
    while ((got = read(out[0], text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    close(out[0]);
    ck_assert_int_eq(phx_pidfd_wait(pidfd, 60 * PHX_S), 1);
    ck_assert_int_eq(phx_pidfd_reap(pidfd, &status), 0);
    ck_assert_int_eq(status, 0);
    close(pidfd);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in:\n%s", part, text);
}

/* Asserts that `what` fails with `code` and a text that names `part`, and leaves nothing behind. */
static void assert_fails(const struct phx_spawn *what, int code, const char *part)
{
    pid_t pid = -7;
    int pidfd = -7;
    struct phx_err err = {0};
    int spare = dup(0);
    close(spare);
    ck_assert_int_eq(phx_spawn(what, &pid, &pidfd, &err), code);
    ck_assert_int_eq(err.code, code);
    assert_has(err.text, part);
    ck_assert_int_eq(pid, -7);
    ck_assert_int_eq(pidfd, -7);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
    int again = dup(0);
    ck_assert_int_eq(again, spare); /* no descriptor was leaked */
    close(again);
    ck_assert_int_eq(phx_spawn(what, &pid, &pidfd, NULL), code);
}

/* ---- tests ---- */

START_TEST(a_program_starts_with_defaults)
{
    sigset_t usr1, before, after;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    sigprocmask(SIG_SETMASK, NULL, &before);
    signal(SIGINT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    const char *text = output_of((struct phx_spawn){.argv = report_argv}, NULL, 0);
    assert_has(text, "fds: 0 1 2\n");
    assert_has(text, "ignored:\n");
    assert_has(text, "blocked:\n");
    assert_has(text, "leads: 0\n");
    assert_has(text, "dies: 0\n");
    sigprocmask(SIG_SETMASK, NULL, &after);
    for (int number = 1; number <= 64; number++)
        ck_assert_int_eq(sigismember(&before, number), sigismember(&after, number));
    struct sigaction action;
    sigaction(SIGINT, NULL, &action);
    ck_assert(action.sa_handler == SIG_IGN);
}
END_TEST

START_TEST(a_program_gets_what_was_asked_for)
{
    const char *environment[] = {"MARK=here", NULL};
    const char *text = output_of((struct phx_spawn){.argv = report_argv,
                                                    .environment = environment,
                                                    .hold_interrupts = 1,
                                                    .directory = "/usr",
                                                    .new_group = 1,
                                                    .die_with_parent = 1},
                                 NULL, 0);
    assert_has(text, "blocked: 2\n");
    assert_has(text, "leads: 1\n");
    assert_has(text, "dies: 9\n");
    assert_has(text, "directory: /usr\n");
    assert_has(text, "mark: here\n");
    setenv("MARK", "own", 1);
    assert_has(output_of((struct phx_spawn){.argv = report_argv}, NULL, 0), "mark: own\n");
}
END_TEST

START_TEST(a_failure_is_a_value)
{
    const char *missing[] = {"/nowhere/to/be/found", NULL};
    assert_fails(&(struct phx_spawn){.argv = missing}, -ENOENT, "/nowhere/to/be/found");
    const char *directory[] = {"/usr", NULL};
    assert_fails(&(struct phx_spawn){.argv = directory}, -EACCES, "cannot run /usr");
    char path[] = "/tmp/phx-test-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    const char *not_executable[] = {path, NULL};
    assert_fails(&(struct phx_spawn){.argv = not_executable}, -EACCES, path);
    chmod(path, 0700);
    assert_fails(&(struct phx_spawn){.argv = not_executable}, -ENOEXEC, path);
    unlink(path);
    assert_fails(&(struct phx_spawn){.argv = report_argv, .directory = "/not/there"}, -ENOENT,
                 "directory /not/there");
    const char *nothing[] = {NULL};
    assert_fails(&(struct phx_spawn){.argv = nothing}, -EINVAL, "no program");
    struct phx_spawn_fd closed = {999, 3}, negative = {0, -1};
    assert_fails(&(struct phx_spawn){.argv = report_argv, .fds = &closed, .nfds = 1}, -EBADF,
                 "descriptor 999");
    assert_fails(&(struct phx_spawn){.argv = report_argv, .fds = &negative, .nfds = 1}, -EBADF,
                 "-1");
}
END_TEST

/* Descriptor `fd` becomes the writing end of a pipe; returns the reading one. */
static int pipe_at(int fd)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    int high = fcntl(ends[0], F_DUPFD_CLOEXEC, 500);
    ck_assert_int_eq(dup2(ends[1], fd), fd);
    close(ends[0]);
    if (ends[1] != fd)
        close(ends[1]);
    return high;
}

static void assert_reads(int fd, const char *expected)
{
    char text[16] = "";
    ssize_t got = read(fd, text, sizeof text - 1);
    ck_assert_int_gt(got, 0);
    ck_assert_str_eq(text, expected);
    close(fd);
}

START_TEST(descriptors_may_trade_places)
{
    const char *argv[] = {"/bin/sh", "-c", "echo a >&7; echo b >&8; echo c >&9", NULL};
    int a = pipe_at(8), b = pipe_at(9), c = pipe_at(7);
    const struct phx_spawn_fd cycle[] = {{8, 7}, {9, 8}, {7, 9}};
    output_of((struct phx_spawn){.argv = argv}, cycle, 3);
    assert_reads(a, "a\n");
    assert_reads(b, "b\n");
    assert_reads(c, "c\n");
    ck_assert_int_ge(fcntl(8, F_GETFD), 0); /* ours stay as they were */

    const char *same_argv[] = {"/bin/sh", "-c", "echo d >&7; echo e >&8", NULL};
    int d = pipe_at(7);
    const struct phx_spawn_fd same[] = {{7, 7}, {7, 8}}; /* in place, and one twice */
    output_of((struct phx_spawn){.argv = same_argv}, same, 2);
    assert_reads(d, "d\ne\n");
}
END_TEST

static void open_many(void)
{
    for (int i = 0; i < 200; i++)
        ck_assert_int_ge(open("/dev/null", O_RDONLY), 0); /* not CLOEXEC, as in other programs */
    ck_assert_int_eq(dup2(0, 1000), 1000);
}

START_TEST(all_other_descriptors_are_closed)
{
    open_many();
    const struct phx_spawn_fd fds[] = {{0, 3}, {0, 40}, {1, 1001}};
    assert_has(output_of((struct phx_spawn){.argv = report_argv}, fds, 3),
               "fds: 0 1 2 3 40 1001\n");
}
END_TEST

/* From now on close_range fails as on Linux 5.4. */
static void lose_close_range(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    ck_assert_int_eq(syscall(SYS_close_range, 5000U, 5001U, 0), -1);
    ck_assert_int_eq(errno, ENOSYS);
}

START_TEST(they_are_closed_on_an_old_kernel_too)
{
    open_many();
    lose_close_range();
    const struct phx_spawn_fd fds[] = {{0, 3}, {0, 40}, {1, 1001}};
    assert_has(output_of((struct phx_spawn){.argv = report_argv}, fds, 3),
               "fds: 0 1 2 3 40 1001\n");
}
END_TEST

START_TEST(a_program_dies_with_its_parent)
{
    int told[2];
    ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
    pid_t parent = fork();
    if (parent == 0) {
        const char *argv[] = {"/bin/sleep", "1000", NULL};
        pid_t pid;
        int pidfd;
        if (phx_spawn(&(struct phx_spawn){.argv = argv, .new_group = 1, .die_with_parent = 1}, &pid,
                      &pidfd, NULL) < 0 ||
            write(told[1], &pid, sizeof pid) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    pid_t grandchild;
    ck_assert_int_eq(read(told[0], &grandchild, sizeof grandchild), sizeof grandchild);
    int pidfd = phx_pidfd_open(grandchild, NULL);
    ck_assert_int_ge(pidfd, 0);
    ck_assert_int_eq(phx_pidfd_wait(pidfd, 50 * PHX_MS), 0);
    kill(parent, SIGKILL);
    ck_assert_int_eq(waitpid(parent, NULL, 0), parent);
    ck_assert_int_eq(phx_pidfd_wait(pidfd, 60 * PHX_S), 1);
}
END_TEST

static volatile sig_atomic_t alarms, strange;
static pid_t handler_owner;

static void on_alarm(int number)
{
    (void)number;
    alarms++;
    strange += getpid() != handler_owner;
}

/* The child shares our memory for a moment: a handler that ran there would run on our data. The
 * signals go to the whole group, so they meet the child at every step. */
START_TEST(a_storm_of_signals_does_no_harm)
{
    handler_owner = getpid();
    ck_assert_int_eq(setpgid(0, 0), 0);
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    pid_t storm = fork();
    if (storm == 0) {
        signal(SIGALRM, SIG_IGN);
        while (getppid() == handler_owner) {
            kill(0, SIGALRM);
            usleep(50);
        }
        _exit(0);
    }
    const char *argv[] = {"/bin/true", NULL};
    int reached = 0;
    for (int i = 0; i < 300; i++) {
        pid_t pid;
        int pidfd, status = -1;
        ck_assert_int_eq(
            phx_spawn(&(struct phx_spawn){.argv = argv, .new_group = i % 2}, &pid, &pidfd, NULL),
            0);
        ck_assert_int_eq(phx_pidfd_wait(pidfd, -1), 1);
        ck_assert_int_eq(phx_pidfd_reap(pidfd, &status), 0);
        ck_assert(status == 0 || status == SIGALRM); /* by default it kills */
        reached += status == 0;
        close(pidfd);
    }
    kill(storm, SIGKILL);
    ck_assert_int_gt(reached, 0);
    ck_assert_int_gt(alarms, 100);
    ck_assert_int_eq(strange, 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_program_starts_with_defaults);
    tcase_add_test(tests, a_program_gets_what_was_asked_for);
    tcase_add_test(tests, a_failure_is_a_value);
    tcase_add_test(tests, descriptors_may_trade_places);
    tcase_add_test(tests, all_other_descriptors_are_closed);
    tcase_add_test(tests, they_are_closed_on_an_old_kernel_too);
    tcase_add_test(tests, a_program_dies_with_its_parent);
    tcase_add_test(tests, a_storm_of_signals_does_no_harm);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "report") == 0)
        return report();
    return harness_run("spawn", 30, add);
}
