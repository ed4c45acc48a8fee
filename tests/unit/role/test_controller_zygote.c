/* A zygote or a guard dies, or breaks the protocol, at every stage of a run. */
#include "role/controller.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "harness.h"
#include "os/pidfd.h"
#include "run_fixture.h"
#include "wire/frame.h"
#include "wire/msg.h"

static void kill_zygote(struct run *run)
{
    pid_t zygote = run_zygote_pid(run);
    ck_assert_int_gt(zygote, 1);
    ck_assert_int_eq(kill(zygote, SIGKILL), 0);
}

static const struct phx_event *end_of(const struct run *run, uint32_t worker)
{
    ck_assert_int_eq(run->workers[worker].down, 1);
    return &run->workers[worker].end;
}

/* ---- before it has collected ---- */

static const struct {
    const char *script;
    int status;
} early_ends[] = {
    {"z=1:start:exit5", 5 << 8}, {"z=1:start:sig9", SIGKILL},    {"z=1:items:sig6", SIGABRT},
    {"z=1:items:exit0", 0},      {"z=1:start:garbage", SIGKILL}, {"z=1:items:garbage", SIGKILL},
    {"z=1:items:lie", SIGKILL},
};

START_TEST(a_zygote_that_dies_early_is_told_with_its_status)
{
    static struct run run = {.ntests = 1500, .nworkers = 2};
    run.script = early_ends[_i].script;
    run_open(&run);
    run_until(&run, run_zygote_is_down);
    ck_assert_int_eq(run.collected, 0);
    ck_assert_int_eq(run.zygote_end.has_status, 1);
    ck_assert_int_eq(run.zygote_end.status & 0xff7f, early_ends[_i].status);
    run_for(&run, 100 * PHX_MS);
    ck_assert_uint_eq(run_generations(&run), 1);
    struct phx_planner_options options = {.nworkers = 1};
    ck_assert_int_eq(phx_controller_plan(run.c, &options, 0, NULL), PHX_E_STATE);
    run_close(&run);
}
END_TEST

START_TEST(a_program_that_cannot_be_started_is_told)
{
    static struct run run = {.ntests = 10, .nworkers = 2};
    setenv("PHX_TEST_ZYGOTE", "/no/such/zygote", 1);
    run_open(&run);
    run_until(&run, run_zygote_is_down);
    ck_assert_int_eq(run.zygote_end.has_status, 0);
    ck_assert_ptr_nonnull(strstr(run.zygote_text, "/no/such/zygote"));
    run_close(&run);
}
END_TEST

START_TEST(a_guard_that_cannot_be_started_is_an_error)
{
    static struct run run = {.guard = "/no/such/guard"};
    struct phx_err err = {0};
    ck_assert_int_lt(run_try_open(&run, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "/no/such/guard"));
    run_close(&run);
}
END_TEST

/* ---- while workers run ---- */

/* Runs until the first workers are up and wait at the gate in test 3. */
static void open_at_gate(struct run *run)
{
    run_open(run);
    run_shut_gate(run);
    run_until(run, run_all_up);
}

START_TEST(workers_go_on_without_their_zygote)
{
    static struct run run = {.ntests = 100, .nworkers = 4, .script = "t=3:call:gate"};
    open_at_gate(&run);
    kill_zygote(&run);
    run_for(&run, 300 * PHX_MS);
    run_open_gate(&run);
    run_until(&run, run_is_over);
    ck_assert_uint_eq(run_generations(&run), 1);
    for (uint32_t i = 0; i < 4; i++) { /* by the guard, which inherits them */
        ck_assert_int_eq(end_of(&run, i)->finished, 1);
        if (end_of(&run, i)->has_status)
            ck_assert_int_eq(end_of(&run, i)->status, 0);
    }
    uint32_t gated = 0;
    ck_assert_int_eq(end_of(&run, gated)->has_status, 1);
    run_check_account(&run, 100, 0, 0);
    run_close(&run);
}
END_TEST

START_TEST(a_second_zygote_makes_the_replacement)
{
    static struct run run = {.ntests = 2500, .nworkers = 2, .max_restarts = -1};
    run.script = "t=3:call:gate t=3:call:sig11 t=2000:call:exit7";
    open_at_gate(&run);
    kill_zygote(&run);
    run_for(&run, 100 * PHX_MS);
    run_open_gate(&run);
    run_until(&run, run_is_over);
    ck_assert_uint_eq(run_generations(&run), 2);
    run_check_account(&run, 2498, 2, 0);
    const struct phx_event *end = end_of(&run, 0);
    ck_assert_int_eq(end->has_status, 1);
    ck_assert_int_eq(end->status & 0x7f, SIGSEGV);
    ck_assert_int_eq(end->test, 3);
    ck_assert_int_ge(end->replacement, 2);
    ck_assert_int_eq(run.workers[end->replacement].down, 1);
    run_close(&run);
}
END_TEST

static const struct {
    const char *script, *text;
} useless[] = {
    {"z=2:items:other", "collected anew"},
    {"z=2:items:fewer", "collected anew"},
    {"z=2:start:exit3", ""},
    {"z=2:items:sig9", ""},
    {"z=2:items:garbage", ""},
};

START_TEST(a_second_zygote_that_is_no_help_fails_the_fork)
{
    static struct run run = {.ntests = 50, .nworkers = 1, .max_restarts = -1};
    char script[128];
    snprintf(script, sizeof script, "t=3:call:gate t=3:call:sig9 %s", useless[_i].script);
    run.script = script;
    open_at_gate(&run);
    kill_zygote(&run);
    run_open_gate(&run);
    run_until(&run, run_is_over);
    ck_assert_int_eq(end_of(&run, 0)->replacement, 1);
    ck_assert_int_eq(run.workers[1].up, 0);
    ck_assert_int_eq(run.workers[1].failed, 1);
    ck_assert_ptr_nonnull(strstr(run.workers[1].text, useless[_i].text));
    ck_assert_str_ne(run.workers[1].text, "");
    ck_assert_uint_eq(run_generations(&run), 2);
    run_check_account(&run, 3, 1, 46);
    run_close(&run);
}
END_TEST

/* What it did before its death is known though nobody had listened yet: 32 workers with 160
 * descriptors, and requests that it has not read, which turn its end into a reset. */
START_TEST(a_dead_zygotes_last_messages_are_read)
{
    static struct run run = {.ntests = 5000, .nworkers = 100, .max_restarts = 0};
    run_open(&run);
    run_until(&run, run_is_collected); /* 32 requests are under way */
    pid_t zygote = run_zygote_pid(&run);
    phx_clock_sleep(_i < 8 ? _i * 5 * PHX_MS : 500 * PHX_MS);
    ck_assert_int_eq(kill(zygote, SIGKILL), 0);
    run_until(&run, run_is_over);
    ck_assert_uint_eq(run.nup, 100);
    ck_assert_uint_eq(run.ndown, 100);
    ck_assert_uint_eq(run_generations(&run), 2);
    run_check_account(&run, 5000, 0, 0);
    run_close(&run);
}
END_TEST

START_TEST(a_zygote_that_dies_at_every_fork_is_given_up)
{
    static struct run run = {.ntests = 50, .nworkers = 3, .max_restarts = -1};
    char script[512] = "";
    for (int i = 1; i < 20; i++)
        snprintf(script + strlen(script), sizeof script - strlen(script), "z=%d:fork:exit1 ", i);
    run.script = script;
    run_open(&run);
    run_until(&run, run_is_over);
    ck_assert_uint_eq(run.nfailed, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_str_ne(run.workers[i].text, "");
    run_check_account(&run, 0, 0, 50);
    run_close(&run);
}
END_TEST

/* After COLLECTED nothing else is collected; a worker comes with a pidfd and a channel. Either ends
 * the zygote, and the next one does better. */
static const char *const late_nonsense[] = {"z=1:collected:twice", "z=1:collected:more",
                                            "z=1:collected:garbage"};

START_TEST(a_zygote_that_breaks_the_protocol_late_is_replaced)
{
    static struct run run = {.ntests = 50, .nworkers = 3, .script = NULL};
    run.script = late_nonsense[_i];
    run_open(&run);
    run_until(&run, run_is_over);
    ck_assert_uint_eq(run_generations(&run), 2);
    ck_assert_uint_eq(run.nup, 3);
    run_check_account(&run, 50, 0, 0);
    run_close(&run);
}
END_TEST

START_TEST(a_worker_that_cannot_be_watched_is_a_failed_fork)
{
    static struct run run = {.ntests = 50, .nworkers = 3, .script = "z=1:fork:wrongfds"};
    run_open(&run);
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.workers[0].failed, 1);
    ck_assert_str_ne(run.workers[0].text, "");
    ck_assert_uint_eq(run.nup, 2);
    run_check_account(&run, 50, 0, 0);
    run_close(&run);
}
END_TEST

/* The zygote's loop must sleep, and so must ours, whatever became of an earlier zygote. */
START_TEST(a_dead_zygote_costs_no_time)
{
    static struct run run = {.ntests = 50, .nworkers = 1, .max_restarts = -1};
    run.script = "z=1:collected:garbage t=3:call:gate";
    open_at_gate(&run);
    struct rusage before, after;
    run_for(&run, 100 * PHX_MS);
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 5; i++) {
        run_take_all(&run);
        phx_controller_step(run.c, 200 * PHX_MS, -1);
    }
    getrusage(RUSAGE_SELF, &after);
    long spent_us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 +
                    after.ru_utime.tv_usec - before.ru_utime.tv_usec;
    ck_assert_int_lt(after.ru_nvcsw - before.ru_nvcsw, 50);
    ck_assert_int_lt(spent_us, 50000);
    run_open_gate(&run);
    run_until(&run, run_is_over);
    run_close(&run);
}
END_TEST

/* ---- descriptors ---- */

START_TEST(too_few_descriptors_are_a_clear_error)
{
    static struct run run = {.ntests = 50, .nworkers = 64, .no_plan = 1};
    struct rlimit limit = {.rlim_cur = 400, .rlim_max = 400};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    run_open(&run);
    run_until(&run, run_is_collected);
    struct phx_planner_options options = {.dist = PHX_DIST_LOAD, .nworkers = 64};
    struct phx_err err = {0};
    ck_assert_int_eq(phx_controller_plan(run.c, &options, 0, &err), -EMFILE);
    ck_assert_ptr_nonnull(strstr(err.text, "64 workers need"));
    ck_assert_ptr_nonnull(strstr(err.text, "the limit is 400"));
    options.nworkers = 4; /* fewer fit */
    ck_assert_int_eq(phx_controller_plan(run.c, &options, 0, &err), 0);
    ck_assert_int_eq(phx_controller_plan(run.c, &options, 0, &err), PHX_E_STATE);
    for (uint32_t i = 0; i < 4; i++)
        run_fork(&run, i);
    run_until(&run, run_is_over);
    run_check_account(&run, 50, 0, 0);
    run_close(&run);
}
END_TEST

START_TEST(the_soft_limit_is_raised)
{
    static struct run run = {.ntests = 500, .nworkers = 64};
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 200;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    run_open(&run);
    run_until(&run, run_is_over);
    run_check_account(&run, 500, 0, 0);
    run_close(&run);
}
END_TEST

/* The zygote runs out of them: before the fork, and between the fork and its telling, when there is
 * a child already: it must not claim tests that nobody would hear of. */
START_TEST(a_zygote_without_descriptors_fails_the_fork)
{
    static struct run run = {.ntests = 50, .nworkers = 1, .max_restarts = 0};
    run.script = _i ? "z=1:fork:limit5" : "z=1:fork:limit0";
    run_open(&run);
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.workers[0].failed, 1);
    ck_assert_ptr_nonnull(strstr(run.workers[0].text, "Too many open files"));
    ck_assert_int_eq(run_count_marked(&run), 1); /* the zygote */
    run_check_account(&run, 0, 0, 50);
    run_close(&run);
}
END_TEST

/* ---- the guard ---- */

static void kill_guard(struct run *run)
{
    run->guard_killed = 1;
    pid_t guard = run_guard_pid();
    ck_assert_int_gt(guard, 1);
    ck_assert_int_eq(kill(guard, SIGKILL), 0);
}

START_TEST(a_guard_that_died_unseen_does_not_spoil_the_end)
{
    static struct run run = {.ntests = 10, .nworkers = 2};
    run_open(&run);
    run_until(&run, run_is_over);
    pid_t guard = run_guard_pid();
    kill_guard(&run);
    run_wait_for_state(guard, 'Z');
    ck_assert_int_eq(phx_controller_end(run.c, 100 * PHX_MS), 0);
    run_until(&run, run_guard_is_down);
    run_close(&run);
}
END_TEST

START_TEST(workers_go_on_without_guard)
{
    static struct run run = {.ntests = 100, .nworkers = 4, .script = "t=3:call:gate"};
    open_at_gate(&run);
    kill_guard(&run);
    run_until(&run, run_guard_is_down);
    run_open_gate(&run);
    run_until(&run, run_is_over);
    run_check_account(&run, 100, 0, 0);
    ck_assert_int_eq(phx_controller_end(run.c, 100 * PHX_MS), 0);
    run_close(&run);
}
END_TEST

START_TEST(without_guard_there_is_no_replacement)
{
    static struct run run = {.ntests = 100, .nworkers = 2, .max_restarts = -1};
    run.script = "t=3:call:gate t=3:call:sig9";
    open_at_gate(&run);
    kill_guard(&run);
    run_until(&run, run_guard_is_down);
    run_open_gate(&run);
    run_until(&run, run_is_over);
    ck_assert_int_eq(end_of(&run, 0)->replacement, PHX_RUNQ_NONE);
    run_check_account(&run, 99, 1, 0);
    run_close(&run);
}
END_TEST

START_TEST(nothing_is_left_of_a_run_whose_guard_is_dead)
{
    static struct run run = {
        .ntests = 100, .nworkers = 4, .script = "t=3:call:gate t=60:call:gate"};
    open_at_gate(&run);
    kill_guard(&run);
    if (_i)
        run_until(&run, run_guard_is_down);
    run_close(&run);
}
END_TEST

START_TEST(a_run_whose_guard_dies_before_it_is_collected_is_over)
{
    static struct run run = {.ntests = 100, .nworkers = 4, .script = "z=1:start:pause"};
    run_open(&run);
    while (run_generations(&run) == 0)
        run_for(&run, 10 * PHX_MS);
    kill_guard(&run);
    run_until(&run, run_zygote_is_down);
    run_close(&run);
}
END_TEST

/* ---- guards that are none: this program, started again ---- */

static char self[256];

/* Tells of a zygote late, and then of its end. */
static void start_late(int control)
{
    struct phx_msg_exit ended = {.number = -1};
    struct phx_buf body;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGINT, SIG_DFL); /* Check has a handler */
        setpgid(0, 0);
        alarm(20);
        for (;;)
            pause();
    }
    setpgid(pid, pid);
    phx_clock_sleep(200 * PHX_MS);
    int pidfd = phx_pidfd_open(pid, NULL);
    phx_buf_init(&body);
    phx_msg_put_number(&body, (uint64_t)pid);
    phx_frame_write(control, PHX_MSG_SPAWNED, phx_buf_head(&body), phx_buf_size(&body), &pidfd, 1);
    phx_buf_consume(&body, phx_buf_size(&body));
    waitpid(pid, &ended.status, 0);
    ended.pid = (uint32_t)pid;
    phx_msg_put_exit(&body, &ended);
    phx_frame_write(control, PHX_MSG_REAPED, phx_buf_head(&body), phx_buf_size(&body), NULL, 0);
    phx_buf_fini(&body);
}

/* Takes a SPAWN and plays the guard as `how` says. */
_Noreturn static void play_guard(const char *how)
{
    enum { CONTROL = 3 };
    struct phx_inbox in;
    struct phx_message msg;
    int channel = -1;
    phx_inbox_init(&in);
    while (phx_inbox_next(&in, &msg) == 0)
        if (phx_inbox_read(&in, CONTROL) <= 0)
            _exit(1);
    if (phx_inbox_take_fds(&in, &channel, 1) < 0)
        _exit(1);
    if (strcmp(how, "die") == 0)
        _exit(0);
    if (strcmp(how, "late") == 0) {
        start_late(CONTROL);
        phx_inbox_read(&in, CONTROL);
        _exit(0);
    }
    /* As a zygote whose bytes come before the guard's word that there is one. */
    phx_fd_write_all(channel, FAKE_GARBAGE, sizeof FAKE_GARBAGE - 1, NULL, 0);
    if (strcmp(how, "garbage") == 0)
        phx_fd_write_all(CONTROL, FAKE_GARBAGE, sizeof FAKE_GARBAGE - 1, NULL, 0);
    struct pollfd end = {.fd = CONTROL, .events = POLLIN};
    poll(&end, 1, 500);
    _exit(0);
}

static void open_with_guard(struct run *run, const char *how)
{
    setenv("PHX_TEST_PLAY_GUARD", how, 1);
    run->guard = self;
    run_open(run);
}

START_TEST(a_guard_that_dies_before_it_starts_anything)
{
    static struct run run = {.ntests = 10, .nworkers = 2};
    open_with_guard(&run, "die");
    run_until(&run, run_zygote_is_down);
    ck_assert_int_eq(run.guard_down, 1);
    run_close(&run);
}
END_TEST

/* Nobody has told the zygote's pid yet: there is nobody to kill, least of all ourselves. */
START_TEST(nonsense_before_there_is_a_zygote)
{
    static struct run run = {.ntests = 10, .nworkers = 2};
    setpgid(0, 0);
    open_with_guard(&run, _i ? "garbage" : "early");
    run_for(&run, 200 * PHX_MS);
    phx_controller_reject(run.c, -1);
    phx_controller_interrupt(run.c);
    phx_controller_kill(run.c);
    run_until(&run, run_zygote_is_down);
    run_close(&run);
}
END_TEST

/* A signal for a zygote that nobody has told of yet is sent when there is one. */
START_TEST(a_signal_before_there_is_a_zygote_is_not_lost)
{
    static struct run run = {.ntests = 10, .nworkers = 2};
    open_with_guard(&run, "late");
    run_for(&run, 50 * PHX_MS);
    phx_controller_interrupt(run.c);
    if (_i)
        phx_controller_kill(run.c);
    run_until(&run, run_zygote_is_down);
    ck_assert_int_eq(run.zygote_end.has_status, 1);
    ck_assert_int_eq(run.zygote_end.status, _i ? SIGKILL : SIGINT);
    run_close(&run);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, a_zygote_that_dies_early_is_told_with_its_status, 0,
                        sizeof early_ends / sizeof *early_ends);
    tcase_add_test(tests, a_program_that_cannot_be_started_is_told);
    tcase_add_test(tests, a_guard_that_cannot_be_started_is_an_error);
    tcase_add_test(tests, workers_go_on_without_their_zygote);
    tcase_add_test(tests, a_second_zygote_makes_the_replacement);
    tcase_add_loop_test(tests, a_second_zygote_that_is_no_help_fails_the_fork, 0,
                        sizeof useless / sizeof *useless);
    tcase_add_loop_test(tests, a_dead_zygotes_last_messages_are_read, 0, 9);
    tcase_add_test(tests, a_zygote_that_dies_at_every_fork_is_given_up);
    tcase_add_loop_test(tests, a_zygote_that_breaks_the_protocol_late_is_replaced, 0,
                        sizeof late_nonsense / sizeof *late_nonsense);
    tcase_add_test(tests, a_worker_that_cannot_be_watched_is_a_failed_fork);
    tcase_add_test(tests, a_dead_zygote_costs_no_time);
    tcase_add_test(tests, too_few_descriptors_are_a_clear_error);
    tcase_add_test(tests, the_soft_limit_is_raised);
    tcase_add_loop_test(tests, a_zygote_without_descriptors_fails_the_fork, 0, 2);
    tcase_add_test(tests, a_guard_that_died_unseen_does_not_spoil_the_end);
    tcase_add_test(tests, workers_go_on_without_guard);
    tcase_add_test(tests, without_guard_there_is_no_replacement);
    tcase_add_loop_test(tests, nothing_is_left_of_a_run_whose_guard_is_dead, 0, 2);
    tcase_add_test(tests, a_run_whose_guard_dies_before_it_is_collected_is_over);
    tcase_add_test(tests, a_guard_that_dies_before_it_starts_anything);
    tcase_add_loop_test(tests, nonsense_before_there_is_a_zygote, 0, 2);
    tcase_add_loop_test(tests, a_signal_before_there_is_a_zygote_is_not_lost, 0, 2);
}

int main(void)
{
    const char *how = getenv("PHX_TEST_PLAY_GUARD");
    if (how)
        play_guard(how);
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (size < 0)
        return 1;
    return harness_run("controller_zygote", 60, add);
}
