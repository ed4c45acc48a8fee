#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

/* What phx_log writes for `role` under PHX_LOG=`setting`, read back from a pipe in place of fd 2.
 */
static const char *logged(const char *setting, const char *role)
{
    static char line[256];
    int pipe_fds[2];
    ck_assert_int_eq(pipe(pipe_fds), 0);
    int saved = dup(STDERR_FILENO);
    dup2(pipe_fds[1], STDERR_FILENO);
    setenv("PHX_LOG", setting, 1);
    phx_log_role(role);
    phx_log(PHX_LOG_DEBUG, "event=claim test=%d", 7);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(pipe_fds[1]);
    ssize_t got = read(pipe_fds[0], line, sizeof line - 1);
    close(pipe_fds[0]);
    line[got > 0 ? got : 0] = '\0';
    return line;
}

START_TEST(a_line_is_logfmt_with_role_and_pid)
{
    char expected[64];
    snprintf(expected, sizeof expected, "role=gw3 pid=%d event=claim test=7\n", (int)getpid());
    ck_assert_str_eq(logged("worker:debug", "gw3"), expected);
    ck_assert_str_eq(logged("debug", "gw3"), expected);
    ck_assert_str_eq(logged("guard:info,worker:debug", "gw3"), expected);
}
END_TEST

START_TEST(nothing_is_written_unless_asked_for)
{
    ck_assert_str_eq(logged("", "guard"), "");
    ck_assert_str_eq(logged("guard:info", "guard"), "");
    ck_assert_str_eq(logged("zygote:debug", "guard"), "");
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_line_is_logfmt_with_role_and_pid);
    tcase_add_test(tests, nothing_is_written_unless_asked_for);
}

int main(void)
{
    return harness_run("log", 10, add);
}
