#include "os/procfs.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

/* Forks a chain of `depth` processes below the caller; each writes its pid and waits. The last one
 * makes a session of its own. */
static pid_t chain(int depth, int told)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (depth > 1)
        chain(depth - 1, told);
    else
        setsid();
    pid_t self = getpid();
    if (write(told, &self, sizeof self) != sizeof self)
        _exit(1);
    for (;;)
        pause();
}

static int find(const struct phx_process *list, int count, pid_t pid)
{
    for (int i = 0; i < count; i++)
        if (list[i].pid == pid)
            return i;
    return -1;
}

START_TEST(descendants_come_parents_first)
{
    enum { DEPTH = 4 };
    int told[2];
    pid_t pids[2 * DEPTH];
    ck_assert_int_eq(pipe(told), 0);
    pid_t one = chain(DEPTH, told[1]), two = chain(DEPTH, told[1]);
    for (int i = 0; i < 2 * DEPTH; i++)
        ck_assert_int_eq(read(told[0], &pids[i], sizeof *pids), sizeof *pids);

    struct phx_process *list = NULL;
    ck_assert_int_eq(phx_procfs_descendants(getpid(), &list), 2 * DEPTH);
    int sessions = 0;
    for (int i = 0; i < 2 * DEPTH; i++) {
        int at = find(list, 2 * DEPTH, pids[i]);
        ck_assert_int_ge(at, 0);
        int parent = find(list, 2 * DEPTH, list[at].parent);
        ck_assert(list[at].parent == getpid() || (parent >= 0 && parent < at));
        ck_assert_int_eq(list[at].group, getpgid(pids[i]));
        ck_assert_int_eq(list[at].session, getsid(pids[i]));
        sessions += list[at].session == pids[i];
        ck_assert_uint_gt(list[at].start_time, 0);
    }
    ck_assert_int_eq(sessions, 2);
    ck_assert_int_eq(find(list, 2 * DEPTH, getpid()), -1);
    free(list);
    ck_assert_int_eq(phx_procfs_descendants(two, &list), DEPTH - 1);
    free(list);
    kill(one, SIGKILL);
    kill(two, SIGKILL);
}
END_TEST

START_TEST(a_name_may_be_anything)
{
    int told[2];
    pid_t self;
    ck_assert_int_eq(pipe(told), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, "a) Z 1 (\n) b");
        self = getpid();
        if (write(told[1], &self, sizeof self) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(told[0], &self, sizeof self), sizeof self);
    struct phx_process process;
    ck_assert_int_eq(phx_procfs_look(pid, &process), 0);
    ck_assert_int_eq(process.parent, getpid());
    ck_assert_int_eq(process.group, getpgrp());
    ck_assert_int_ne(process.state, 'Z');

    kill(pid, SIGKILL);
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    ck_assert_int_eq(phx_procfs_look(pid, &process), 0);
    ck_assert_int_eq(process.state, 'Z');
    char command[64];
    ck_assert_int_eq(phx_procfs_command(pid, command, sizeof command), 0);
    ck_assert_str_eq(command, "[a) Z 1 (]"); /* its name up to the end of the line */
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert_int_eq(phx_procfs_look(pid, &process), -ESRCH);
    ck_assert_int_eq(phx_procfs_command(pid, command, sizeof command), -ESRCH);
}
END_TEST

START_TEST(nothing_below_is_an_empty_list)
{
    struct phx_process *list = (void *)8;
    ck_assert_int_eq(phx_procfs_descendants(getpid(), &list), 0);
    ck_assert_ptr_null(list);
}
END_TEST

START_TEST(a_command_is_readable)
{
    int pipe_fds[2];
    ck_assert_int_eq(pipe(pipe_fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipe_fds[0], 0);
        close(pipe_fds[1]);
        execl("/bin/sh", "sh", "-c", "read _; :", "tab\there", "\xc3\xa9", "last", (char *)NULL);
        _exit(1);
    }
    char command[64], cut[8], one[1];
    for (int i = 0; i < 6000; i++) { /* until it has become the shell */
        ck_assert_int_eq(phx_procfs_command(pid, command, sizeof command), 0);
        if (strncmp(command, "sh -c", 5) == 0)
            break;
        usleep(10000);
    }
    ck_assert_str_eq(command, "sh -c read _; : tab?here ?? last");
    ck_assert_int_eq(phx_procfs_command(pid, cut, sizeof cut), 0);
    ck_assert_str_eq(cut, "sh -c r");
    ck_assert_int_eq(phx_procfs_command(pid, one, 1), 0);
    ck_assert_str_eq(one, "");
    ck_assert_int_eq(phx_procfs_command(pid, one, 0), -EINVAL);
    close(pipe_fds[1]);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, descendants_come_parents_first);
    tcase_add_test(tests, a_name_may_be_anything);
    tcase_add_test(tests, nothing_below_is_an_empty_list);
    tcase_add_test(tests, a_command_is_readable);
}

int main(void)
{
    return harness_run("procfs", 20, add);
}
