/* Stopping, ending and closing a run; waiting; and calls at moments when they are not possible. */
#include "role/controller.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "harness.h"
#include "os/procfs.h"
#include "run_fixture.h"

static void open_at_gate(struct run *run)
{
    run_open(run);
    run_shut_gate(run);
    run_until(run, run_all_up);
}

static int waits_at_test(struct run *run, uint32_t worker, int64_t position)
{
    struct phx_runq_view view;
    return phx_controller_look(run->c, worker, &view) == 0 && view.running == position &&
           view.phase == PHX_PHASE_CALL;
}

static void wait_at_test(struct run *run, uint32_t worker, int64_t position)
{
    for (int i = 0; i < 3000 && !waits_at_test(run, worker, position); i++)
        run_for(run, 20 * PHX_MS);
    ck_assert(waits_at_test(run, worker, position));
}

/* Until each of two workers is in the first test of its span, at the gate. */
static void open_two_at_gate(struct run *run)
{
    run->ntests = 40;
    run->nworkers = 2;
    run->script = "t=0:call:gate t=20:call:gate";
    open_at_gate(run);
    wait_at_test(run, 0, 0);
    wait_at_test(run, 1, 20);
}

/* ---- stopping ---- */

START_TEST(after_a_stop_what_runs_ends_and_nothing_starts)
{
    static struct run run;
    open_two_at_gate(&run);
    phx_controller_stop(run.c);
    run_open_gate(&run);
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.workers[0].finished + run.workers[1].finished, 2);
    run_check_account(&run, 2, 0, 38);
    run_close(&run);
}
END_TEST

START_TEST(after_a_stop_nobody_is_replaced)
{
    static struct run run = {.ntests = 40, .nworkers = 1, .max_restarts = -1};
    run.script = "t=0:call:gate t=0:call:sig9";
    open_at_gate(&run);
    wait_at_test(&run, 0, 0);
    phx_controller_stop(run.c);
    run_open_gate(&run);
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.workers[0].end.replacement, PHX_RUNQ_NONE);
    ck_assert_int_eq(run.workers[0].end.test, 0);
    run_check_account(&run, 0, 1, 39);
    run_close(&run);
}
END_TEST

/* As if it had been forked at the moment of a suspension, in the zygote's group, and moved to its
 * own before the run was continued. */
START_TEST(a_worker_that_was_stopped_while_it_was_forked_goes_on)
{
    static struct run run = {.ntests = 10, .nworkers = 2, .script = "w=0:born:stop"};
    run_open(&run);
    phx_controller_suspend(run.c);
    phx_controller_resume(run.c);
    run_until(&run, run_is_over);
    run_check_account(&run, 10, 0, 0);
    run_close(&run);
}
END_TEST

START_TEST(an_interrupt_reaches_every_worker)
{
    static struct run run;
    open_two_at_gate(&run);
    phx_controller_interrupt(run.c);
    run_until(&run, run_is_over);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(run.workers[i].end.status, SIGINT);
        ck_assert_int_eq(run.workers[i].end.test, i * 20);
        ck_assert_int_eq(run.workers[i].end.replacement, PHX_RUNQ_NONE);
    }
    ck_assert_int_ne(run_zygote_pid(&run), 0); /* it is no worker */
    run_check_account(&run, 0, 2, 38);
    run_close(&run);
}
END_TEST

START_TEST(an_interrupt_reaches_a_zygote_that_collects)
{
    static struct run run = {.ntests = 40, .nworkers = 2, .script = "z=1:start:pause"};
    run_open(&run);
    while (run_generations(&run) == 0)
        run_for(&run, 10 * PHX_MS);
    run_for(&run, 50 * PHX_MS);
    phx_controller_interrupt(run.c);
    run_until(&run, run_zygote_is_down);
    ck_assert_int_eq(run.zygote_end.status, SIGINT);
    run_close(&run);
}
END_TEST

/* A worker that moved to another process group included. */
START_TEST(a_kill_ends_everybody)
{
    static struct run run;
    open_two_at_gate(&run);
    phx_controller_kill(run.c);
    run_until(&run, run_is_over);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(run.workers[i].end.has_status, 1); /* by the guard: the zygote is dead */
        ck_assert_int_eq(run.workers[i].end.status, SIGKILL);
    }
    ck_assert_uint_eq(run_generations(&run), 1);
    run_check_account(&run, 0, 2, 38);
    run_close(&run);
}
END_TEST

START_TEST(a_worker_in_another_group_is_signalled_too)
{
    static struct run run = {.ntests = 10, .nworkers = 1};
    run.script = "w=0:armed:regroup t=0:call:gate";
    open_at_gate(&run);
    wait_at_test(&run, 0, 0);
    if (_i)
        phx_controller_kill(run.c);
    else
        phx_controller_interrupt(run.c);
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.workers[0].end.status, _i ? SIGKILL : SIGINT);
    run_close(&run);
}
END_TEST

/* Requests that nobody has answered are failed forks, and the run is over. */
START_TEST(a_stopped_run_does_not_wait_for_forks)
{
    static struct run run = {.ntests = 40, .nworkers = 5, .script = "z=1:fork:pause"};
    run_open(&run);
    run_until(&run, run_is_collected);
    phx_controller_kill(run.c);
    run_until(&run, run_is_over);
    ck_assert_uint_eq(run.nfailed, 5);
    ck_assert_uint_eq(run_generations(&run), 1);
    run_check_account(&run, 0, 0, 40);
    run_close(&run);
}
END_TEST

/* ---- the orderly end ---- */

START_TEST(leftovers_are_told_and_ended_or_left_alone)
{
    static struct run run = {.ntests = 10, .nworkers = 1};
    run.script = "t=1:call:child t=2:call:daemon";
    run_open(&run);
    run_until(&run, run_is_over);
    ck_assert_int_eq(phx_controller_end(run.c, 200 * PHX_MS), 0);
    ck_assert_int_eq(run.guard_down, 0);
    run_take_all(&run);
    ck_assert_int_eq(run.nleftovers, 2);
    ck_assert_int_eq(run.guard_down, 0);
    int stays = run.leftovers[0].status == 0 ? 0 : 1;
    const struct phx_event *left = &run.leftovers[stays], *ended = &run.leftovers[1 - stays];
    ck_assert_int_eq(left->status, 0);
    ck_assert_int_eq(ended->status, 1);
    ck_assert_int_eq(kill(left->pid, 0), 0);
    ck_assert_int_ne(left->pid, ended->pid);
    struct phx_process process;
    ck_assert(phx_procfs_look(ended->pid, &process) < 0 || process.state == 'Z');
    ck_assert_int_eq(kill(left->pid, SIGKILL), 0);
    run_wait_for_state(left->pid, 0);
    run_close(&run);
}
END_TEST

START_TEST(an_end_before_anything_was_collected)
{
    static struct run run = {.ntests = 10, .nworkers = 1};
    run.script = _i ? "z=1:start:exit0" : NULL;
    run.no_plan = 1;
    run_open(&run);
    run_until(&run, _i ? run_zygote_is_down : run_is_collected);
    phx_ns start = phx_clock_now();
    ck_assert_int_eq(phx_controller_end(run.c, 200 * PHX_MS), 0);
    ck_assert_int_lt(phx_clock_now() - start, 25 * PHX_S); /* the zygote would have 30 */
    run_take_all(&run);
    ck_assert_int_eq(run.guard_down, 0);
    run_close(&run);
}
END_TEST

/* ---- closing at any moment ---- */

START_TEST(closing_leaves_nothing)
{
    static struct run run;
    static const char *const scripts[] = {
        NULL, "z=1:start:pause", "z=1:fork:pause", "z=1:forked:stop",
        "t=1:call:pause t=2:call:child t=30:call:stop t=50:call:daemon t=51:call:regroup"};
    run.script = scripts[_i];
    run.ntests = 100;
    run.nworkers = 4;
    run_open(&run);
    if (_i >= 1)
        run_for(&run, 300 * PHX_MS);
    run_close(&run);
}
END_TEST

START_TEST(closing_at_random_moments_leaves_nothing)
{
    srand((unsigned)getpid());
    for (int round = 0; round < 15; round++) {
        static struct run runs[15];
        struct run *run = &runs[round];
        run->ntests = 500;
        run->nworkers = 8;
        run->max_restarts = -1;
        run->script = "t=5:call:sig9 t=100:call:exit1 t=200:call:child";
        run_open(run);
        run_for(run, rand() % 150 * PHX_MS);
        if (rand() % 2)
            phx_controller_interrupt(run->c);
        run_close(run);
    }
}
END_TEST

START_TEST(nothing_to_close_is_fine)
{
    phx_controller_close(NULL);
}
END_TEST

/* ---- waiting ---- */

START_TEST(a_step_ends_when_its_time_is_over)
{
    static struct run run;
    open_two_at_gate(&run);
    run_for(&run, 100 * PHX_MS);
    alarm(120);
    ck_assert_int_eq(phx_controller_step(run.c, 0, -1), 0);
    alarm(0);
    phx_ns start = phx_clock_now();
    ck_assert_int_eq(phx_controller_step(run.c, 200 * PHX_MS, -1), 0);
    ck_assert_int_ge(phx_clock_now() - start, 190 * PHX_MS);
    run_close(&run);
}
END_TEST

/* The loop's clock stands still while the host is busy with something else. */
START_TEST(a_step_ends_though_the_host_was_busy)
{
    static struct run run;
    open_two_at_gate(&run);
    run_for(&run, 100 * PHX_MS);
    for (int i = 0; i < 3; i++) {
        phx_clock_sleep(100 * PHX_MS);
        alarm(120);
        phx_ns start = phx_clock_now();
        ck_assert_int_eq(phx_controller_step(run.c, 50 * PHX_MS, -1), 0);
        ck_assert_int_ge(phx_clock_now() - start, 40 * PHX_MS);
        alarm(0);
    }
    run_close(&run);
}
END_TEST

START_TEST(a_step_ends_when_the_host_is_woken)
{
    static struct run run;
    int wake[2];
    open_two_at_gate(&run);
    run_for(&run, 100 * PHX_MS);
    ck_assert_int_eq(pipe(wake), 0);
    for (int i = 0; i < 3; i++) { /* again and again with the same descriptor */
        ck_assert_int_eq(write(wake[1], "w", 1), 1);
        ck_assert_int_eq(phx_controller_step(run.c, -1, wake[0]), 0);
        char byte;
        ck_assert_int_eq(read(wake[0], &byte, 1), 1); /* left for its owner to read */
        phx_ns start = phx_clock_now();
        ck_assert_int_eq(phx_controller_step(run.c, 50 * PHX_MS, wake[0]), 0);
        ck_assert_int_ge(phx_clock_now() - start, 40 * PHX_MS);
    }
    phx_fd_close(&wake[0]);
    phx_fd_close(&wake[1]);
    run_close(&run);
}
END_TEST

/* Events that were not taken are no reason to wait for more. */
START_TEST(a_step_does_not_wait_while_there_are_events)
{
    static struct run run = {.ntests = 5000, .nworkers = 1, .no_plan = 1};
    run_open(&run);
    int collected = 0;
    alarm(20);
    while (!collected) {
        struct phx_event event;
        phx_controller_step(run.c, -1, -1);
        phx_clock_sleep(50 * PHX_MS); /* more than one message has come */
        if (phx_controller_next(run.c, &event))
            collected = event.kind == PHX_EVENT_COLLECTED;
    }
    alarm(0);
    run_close(&run);
}
END_TEST

/* ---- wrong moments ---- */

START_TEST(calls_at_the_wrong_moment_are_refused)
{
    static struct run run = {.ntests = 10, .nworkers = 1, .no_forks = 1};
    struct phx_planner_options options = {.nworkers = 1};
    struct phx_err err;
    struct phx_runq_view view;
    struct phx_account account;
    run_open(&run);
    ck_assert_int_eq(phx_controller_setup(run.c, "x", 1, &err), PHX_E_STATE);
    ck_assert_int_eq(phx_controller_fork(run.c, 0, "\xc0", 1, &err), PHX_E_STATE);
    ck_assert_int_eq(phx_controller_plan(run.c, &options, 0, &err), PHX_E_STATE);
    ck_assert_int_eq(phx_controller_look(run.c, 0, &view), -ENOENT);
    ck_assert_ptr_null(phx_controller_node_id(run.c, 0, NULL));
    phx_controller_account(run.c, &account);
    ck_assert_uint_eq(account.ended + account.crashed + account.unaccounted + account.not_run, 0);
    run_until(&run, run_is_collected);
    ck_assert_int_eq(phx_controller_plan(run.c, &options, 0, &err), PHX_E_STATE); /* again */
    ck_assert_int_eq(phx_controller_fork(run.c, 1, "\xc0", 1, &err), PHX_E_STATE);
    ck_assert_int_eq(phx_controller_look(run.c, 0, &view), -ENOENT);
    run_fork(&run, 0);
    ck_assert_int_eq(phx_controller_fork(run.c, 0, "\xc0", 1, &err), PHX_E_STATE);
    ck_assert_uint_eq(phx_controller_active(run.c), 1);
    run_until(&run, run_is_over);
    run_check_account(&run, 10, 0, 0);
    run_close(&run);
}
END_TEST

START_TEST(a_plan_that_is_refused_can_be_made_again)
{
    static struct run run = {.ntests = 10, .nworkers = 2, .no_plan = 1};
    struct phx_planner_options options = {.dist = PHX_DIST_LOAD};
    struct phx_err err = {0};
    run_open(&run);
    run_until(&run, run_is_collected);
    ck_assert_int_eq(phx_controller_plan(run.c, &options, 3, &err), -EINVAL); /* no worker */
    options.nworkers = PHX_RUNQ_WORKERS_MAX + 1;
    ck_assert_int_eq(phx_controller_plan(run.c, &options, 3, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "32769 workers were asked for"));
    options.nworkers = 2;
    ck_assert_int_eq(phx_controller_plan(run.c, &options, 3, &err), 0);
    run_fork(&run, 0);
    run_fork(&run, 1);
    run_until(&run, run_is_over);
    run_check_account(&run, 10, 0, 0);
    run_close(&run);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, after_a_stop_what_runs_ends_and_nothing_starts);
    tcase_add_test(tests, after_a_stop_nobody_is_replaced);
    tcase_add_test(tests, a_worker_that_was_stopped_while_it_was_forked_goes_on);
    tcase_add_test(tests, an_interrupt_reaches_every_worker);
    tcase_add_test(tests, an_interrupt_reaches_a_zygote_that_collects);
    tcase_add_test(tests, a_kill_ends_everybody);
    tcase_add_loop_test(tests, a_worker_in_another_group_is_signalled_too, 0, 2);
    tcase_add_test(tests, a_stopped_run_does_not_wait_for_forks);
    tcase_add_test(tests, leftovers_are_told_and_ended_or_left_alone);
    tcase_add_loop_test(tests, an_end_before_anything_was_collected, 0, 2);
    tcase_add_loop_test(tests, closing_leaves_nothing, 0, 5);
    tcase_add_test(tests, closing_at_random_moments_leaves_nothing);
    tcase_add_test(tests, nothing_to_close_is_fine);
    tcase_add_test(tests, a_step_ends_when_its_time_is_over);
    tcase_add_test(tests, a_step_ends_though_the_host_was_busy);
    tcase_add_test(tests, a_step_ends_when_the_host_is_woken);
    tcase_add_test(tests, a_step_does_not_wait_while_there_are_events);
    tcase_add_test(tests, calls_at_the_wrong_moment_are_refused);
    tcase_add_test(tests, a_plan_that_is_refused_can_be_made_again);
}

int main(void)
{
    return harness_run("controller_end", 60, add);
}
