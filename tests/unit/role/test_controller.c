/* Whole runs, and every way in which a worker can end. */
#include "role/controller.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "run_fixture.h"

static void open_and_finish(struct run *run)
{
    run_open(run);
    run_until(run, run_is_over);
}

static struct phx_event *end_of(struct run *run, uint32_t worker)
{
    ck_assert_int_eq(run->workers[worker].down, 1);
    return &run->workers[worker].end;
}

static void check_good_end(struct run *run, uint32_t worker)
{
    const struct phx_event *end = end_of(run, worker);
    ck_assert_int_eq(end->finished, 1);
    ck_assert_int_eq(end->has_status, 1);
    ck_assert_int_eq(end->status, 0);
    ck_assert_int_eq(end->test, PHX_RUNQ_NONE);
    ck_assert_int_eq(end->replacement, PHX_RUNQ_NONE);
    ck_assert_str_eq(end->text, "");
}

static void check_crash(struct run *run, uint32_t worker, int64_t test, enum phx_runq_phase phase,
                        int status)
{
    const struct phx_event *end = end_of(run, worker);
    ck_assert_int_eq(end->finished, 0);
    ck_assert_int_eq(end->has_status, 1);
    ck_assert_int_eq(end->status, status);
    ck_assert_int_eq(end->test, test);
    ck_assert_int_eq(end->phase, phase);
}

/* The worker that crashed, where there is one only. */
static uint32_t crashed_worker(const struct run *run)
{
    for (uint32_t i = 0; i < RUN_WORKERS_MAX; i++)
        if (run->workers[i].down && !run->workers[i].finished)
            return i;
    ck_abort_msg("nobody crashed");
    return 0;
}

/* ---- whole runs ---- */

static void check_figures(struct run *run)
{
    struct phx_controller_figures figures;
    uint64_t nended = 0;
    phx_controller_figures(run->c, &figures);
    ck_assert_uint_eq(figures.nparallel, run->nworkers);
    ck_assert_uint_eq(figures.nworkers, run->nworkers);
    ck_assert_int_gt(figures.wall, 0);
    for (uint32_t i = 0; i < figures.nworkers; i++) {
        struct phx_runq_view view;
        ck_assert_int_eq(phx_controller_look(run->c, i, &view), 0);
        nended += view.nended;
    }
    ck_assert_uint_eq(nended, run->ntests);
    struct phx_runq_view view;
    ck_assert_int_eq(phx_controller_look(run->c, figures.nworkers, &view), -ENOENT);
    ck_assert_ptr_null(phx_controller_node_id(run->c, run->ntests, NULL));
}

/* For load the others find nothing left when it is over; before that none of them begins. */
START_TEST(a_ramp_lets_workers_begin_in_their_turn)
{
    static struct run run = {.ntests = 20, .nworkers = 4, .max_restarts = -1};
    struct phx_runq_timing timing;
    run.script = "t=1:call:sig11"; /* whoever replaces it does not wait */
    run_open(&run);
    phx_controller_ramp(run.c, 3600 * PHX_S);
    run_until(&run, run_is_over);
    run_check_account(&run, 19, 1, 0);
    for (uint32_t position = 0; position < 20; position++)
        if (phx_controller_timing(run.c, position, &timing) == 1)
            ck_assert(timing.worker == 0 || timing.worker == 4);
    for (uint32_t i = 1; i < 4; i++)
        check_good_end(&run, i);
    run_close(&run);
}
END_TEST

/* With 300 workers requests and answers fill the sockets in both directions: were the requests
 * under way not bounded, each end would wait for the other to read. */
static const uint32_t sizes[] = {1, 4, 64, 300};

START_TEST(every_test_ends_exactly_once)
{
    static struct run run;
    run.ntests = 10000;
    run.nworkers = sizes[_i];
    open_and_finish(&run);
    ck_assert_uint_eq(run.nup, run.nworkers);
    ck_assert_uint_eq(run.ndown, run.nworkers);
    for (uint32_t i = 0; i < run.nworkers; i++)
        check_good_end(&run, i);
    ck_assert_uint_eq(run.nreports, 3 * run.ntests);
    run_check_account(&run, run.ntests, 0, 0);
    check_figures(&run);
    ck_assert_int_eq(phx_controller_end(run.c, 100 * PHX_MS), 0);
    run_take_all(&run);
    ck_assert_int_eq(run.nleftovers, 0);
    ck_assert_int_eq(run.guard_down, 0);
    run_close(&run);
}
END_TEST

START_TEST(more_workers_than_tests)
{
    static struct run run = {.ntests = 3, .nworkers = 20};
    run.ntests = _i ? 0 : 3;
    open_and_finish(&run);
    ck_assert_uint_eq(run.ndown, 20);
    run_check_account(&run, run.ntests, 0, 0);
    run_close(&run);
}
END_TEST

/* ---- a worker crashes ---- */

static const struct {
    const char *when, *deed;
    enum phx_runq_phase phase;
    int status;
} crashes[] = {
    {"setup", "sig9", PHX_PHASE_SETUP, SIGKILL},
    {"call", "sig11", PHX_PHASE_CALL, SIGSEGV},
    {"call", "sig6", PHX_PHASE_CALL, SIGABRT},
    {"call", "exit3", PHX_PHASE_CALL, 3 << 8},
    {"call", "exit0", PHX_PHASE_CALL, 0},
    {"teardown", "sig15", PHX_PHASE_TEARDOWN, SIGTERM},
    {"teardown", "exit255", PHX_PHASE_TEARDOWN, 255 << 8},
};

/* In teardown the worker holds a claim on its next test: that one must not be lost. */
START_TEST(a_crash_is_told_and_the_rest_goes_on)
{
    for (uint32_t nworkers = 1; nworkers <= 3; nworkers += 2) {
        static struct run runs[4];
        struct run *run = &runs[nworkers];
        char script[64];
        snprintf(script, sizeof script, "t=7:%s:%s", crashes[_i].when, crashes[_i].deed);
        run->ntests = 60;
        run->nworkers = nworkers;
        run->max_restarts = -1;
        run->script = script;
        open_and_finish(run);
        uint32_t dead = crashed_worker(run);
        check_crash(run, dead, 7, crashes[_i].phase,
                    crashes[_i].status | (end_of(run, dead)->status & 0x80));
        ck_assert_int_eq(end_of(run, dead)->replacement, nworkers);
        ck_assert_str_eq(end_of(run, dead)->text, "");
        check_good_end(run, nworkers);
        ck_assert_uint_eq(run->ndown, nworkers + 1);
        run_check_account(run, 59, 1, 0);
        ck_assert_int_eq(run->started[7], 1);
        ck_assert_int_eq(run->ended[7], 0);
        run_close(run);
    }
}
END_TEST

START_TEST(a_crash_outside_a_test_names_none)
{
    static struct run run = {
        .ntests = 50, .nworkers = 2, .max_restarts = -1, .script = "w=1:armed:exit5"};
    open_and_finish(&run);
    check_crash(&run, 1, PHX_RUNQ_NONE, PHX_PHASE_NONE, 5 << 8);
    ck_assert_int_eq(end_of(&run, 1)->replacement, 2);
    run_check_account(&run, 50, 0, 0);
    run_close(&run);
}
END_TEST

START_TEST(every_test_crashes)
{
    static struct run run = {.ntests = 30, .nworkers = 4, .max_restarts = -1};
    char script[1024] = "";
    for (int i = 0; i < 30; i++)
        snprintf(script + strlen(script), sizeof script - strlen(script), "t=%d:call:sig9 ", i);
    run.script = script;
    open_and_finish(&run);
    run_check_account(&run, 0, 30, 0);
    ck_assert_uint_ge(run.ndown, 30);
    for (uint32_t i = 0; i < run.ndown; i++)
        if (!run.workers[i].finished)
            check_crash(&run, i, end_of(&run, i)->test, PHX_PHASE_CALL, SIGKILL);
    run_close(&run);
}
END_TEST

START_TEST(restarts_are_used_up)
{
    static struct run run = {.ntests = 30, .nworkers = 1};
    run.script = "t=5:call:sig9 t=10:call:exit1 t=15:call:sig9";
    run.max_restarts = _i;
    open_and_finish(&run);
    for (uint32_t i = 0; i < (uint32_t)_i; i++)
        ck_assert_int_eq(end_of(&run, i)->replacement, i + 1);
    ck_assert_int_eq(end_of(&run, (uint32_t)_i)->replacement, PHX_RUNQ_NONE);
    ck_assert_uint_eq(run.ndown, (uint32_t)_i + 1);
    struct phx_account account;
    phx_controller_account(run.c, &account);
    ck_assert_uint_gt(account.not_run, 0);
    run_check_account(&run, 30 - (uint64_t)_i - 1 - account.not_run, (uint64_t)_i + 1,
                      account.not_run);
    uint32_t position = 0;
    for (uint64_t i = 0; i < account.not_run; i++) {
        int64_t test = phx_controller_find(run.c, PHX_RUNQ_QUEUED, &position);
        ck_assert_int_ge(test, 0);
        ck_assert_int_eq(run.started[test], 0);
        char expected[64];
        size_t size;
        snprintf(expected, sizeof expected, "test_a.py::test_%d", (int)test);
        ck_assert_str_eq(phx_controller_node_id(run.c, position - 1, &size), expected);
        ck_assert_uint_eq(size, strlen(expected));
    }
    ck_assert_int_eq(phx_controller_find(run.c, PHX_RUNQ_QUEUED, &position), PHX_RUNQ_NONE);
    run_close(&run);
}
END_TEST

/* ---- a worker breaks the protocol, or does not leave ---- */

START_TEST(a_worker_that_does_not_speak_the_protocol_is_killed)
{
    static struct run run = {.ntests = 40, .nworkers = 2, .max_restarts = -1};
    run.script = _i ? "t=3:call:badtype t=3:call:pause" : "t=3:call:garbage";
    open_and_finish(&run);
    uint32_t dead = crashed_worker(&run);
    check_crash(&run, dead, 3, PHX_PHASE_CALL, SIGKILL);
    ck_assert_str_eq(end_of(&run, dead)->text, phx_err_text(PHX_E_PROTO));
    ck_assert_int_eq(end_of(&run, dead)->replacement, 2);
    run_check_account(&run, 39, 1, 0);
    run_close(&run);
}
END_TEST

/* What follows a message that cannot be understood is not listened to, not even FINISHED: a report
 * was lost, and such a session must not pass for one that ended in good order. */
START_TEST(nothing_is_heard_after_a_rejected_message)
{
    static struct run run = {.ntests = 40, .nworkers = 1};
    run.script = "t=3:call:bad";
    run_open(&run);
    run_until(&run, run_all_up);
    run_wait_for_state(run.workers[0].pid, 0); /* it has written all of it, and is gone */
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.workers[0].finished, 0);
    ck_assert_int_eq(end_of(&run, 0)->finished, 0);
    ck_assert_str_eq(end_of(&run, 0)->text, phx_err_text(PHX_E_PROTO));
    ck_assert_uint_eq(run.nreports, 3 * 3 + 1);
    for (uint32_t i = 0; i < run.ntests; i++)
        ck_assert_int_eq(run.lost[i], i >= 3);
    run_check_account(&run, 3, 37, 0);
    run_close(&run);
}
END_TEST

START_TEST(each_of_several_rejected_workers_loses_its_own_tests)
{
    static struct run run = {.ntests = 40, .nworkers = 2, .max_restarts = -1};
    run.script = "t=3:call:bad t=25:call:bad t=27:call:bad";
    open_and_finish(&run);
    struct phx_account account;
    phx_controller_account(run.c, &account);
    ck_assert_uint_eq(account.ended + account.crashed, 40);
    for (uint32_t i = 0; i < run.ntests; i++)
        ck_assert_int_eq(run.ended[i] + run.lost[i] <= 1, 1);
    ck_assert_int_eq(run.ended[3] + run.ended[25], 0);
    run_check_account(&run, account.ended, account.crashed, 0);
    run_close(&run);
}
END_TEST

START_TEST(a_worker_without_a_channel_is_ended)
{
    static struct run run = {.ntests = 40, .nworkers = 2, .max_restarts = -1};
    run.exit_patience = 300 * PHX_MS;
    run.script = _i ? "t=3:call:close t=3:call:exit4" : "t=3:call:close";
    open_and_finish(&run);
    uint32_t dead = crashed_worker(&run);
    check_crash(&run, dead, 3, PHX_PHASE_CALL, _i ? 4 << 8 : SIGKILL);
    ck_assert_ptr_nonnull(strstr(end_of(&run, dead)->text, _i ? "" : "closed its channel"));
    ck_assert_int_eq(end_of(&run, dead)->replacement, 2);
    run_check_account(&run, 39, 1, 0);
    run_close(&run);
}
END_TEST

START_TEST(a_worker_that_does_not_leave_is_ended)
{
    static struct run run = {.ntests = 40, .nworkers = 2, .max_restarts = -1};
    run.exit_patience = 300 * PHX_MS;
    run.script = "w=1:finished:pause";
    open_and_finish(&run);
    const struct phx_event *end = end_of(&run, 1);
    ck_assert_int_eq(end->finished, 1);
    ck_assert_int_eq(end->status, SIGKILL);
    ck_assert_ptr_nonnull(strstr(end->text, "did not leave"));
    ck_assert_int_eq(end->replacement, PHX_RUNQ_NONE);
    run_check_account(&run, 40, 0, 0);
    run_close(&run);
}
END_TEST

/* End of file comes when the last holder of the channel is gone: nobody waits for that. Nor is what
 * it writes after the worker's death waited for, though it writes faster than anybody reads. */
START_TEST(a_child_that_keeps_the_channel_delays_nothing)
{
    static struct run run = {.ntests = 40, .nworkers = 1, .max_restarts = 0};
    run.script = _i ? "t=3:call:talk t=3:call:sig9" : "t=3:call:keep t=3:call:sig9";
    open_and_finish(&run); /* or "it hangs": the child stays for ever */
    check_crash(&run, 0, 3, PHX_PHASE_CALL, SIGKILL);
    run_close(&run);
}
END_TEST

START_TEST(last_words_can_be_read_until_the_next_call)
{
    static struct run run = {.ntests = 10, .nworkers = 1};
    run.script = "t=3:call:words t=3:call:sig9";
    open_and_finish(&run);
    ck_assert_str_eq(run.workers[0].out, "last out\n");
    ck_assert_str_eq(run.workers[0].faults, "last fault\n");
    char bytes[16];
    run_take_all(&run);
    ck_assert_uint_eq(phx_controller_last_words(run.c, 0, PHX_TEXT_OUT, bytes, sizeof bytes), 0);
    run_close(&run);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, every_test_ends_exactly_once, 0, sizeof sizes / sizeof *sizes);
    tcase_add_loop_test(tests, more_workers_than_tests, 0, 2);
    tcase_add_test(tests, a_ramp_lets_workers_begin_in_their_turn);
    tcase_add_loop_test(tests, a_crash_is_told_and_the_rest_goes_on, 0,
                        sizeof crashes / sizeof *crashes);
    tcase_add_test(tests, a_crash_outside_a_test_names_none);
    tcase_add_test(tests, every_test_crashes);
    tcase_add_loop_test(tests, restarts_are_used_up, 0, 2);
    tcase_add_loop_test(tests, a_worker_that_does_not_speak_the_protocol_is_killed, 0, 2);
    tcase_add_test(tests, nothing_is_heard_after_a_rejected_message);
    tcase_add_test(tests, each_of_several_rejected_workers_loses_its_own_tests);
    tcase_add_loop_test(tests, a_worker_without_a_channel_is_ended, 0, 2);
    tcase_add_test(tests, a_worker_that_does_not_leave_is_ended);
    tcase_add_loop_test(tests, a_child_that_keeps_the_channel_delays_nothing, 0, 2);
    tcase_add_test(tests, last_words_can_be_read_until_the_next_call);
}

int main(void)
{
    return harness_run("controller", 60, add);
}
