/* Tests that run past their deadlines, in whole runs of workers without Python. */
#include "role/controller.h"

#include <signal.h>

#include "harness.h"
#include "run_fixture.h"

static void open_at_gate(struct run *run)
{
    run_open(run);
    run_shut_gate(run);
    run_until(run, run_all_up);
}

START_TEST(a_test_past_its_deadline_is_named_and_the_rest_goes_on)
{
    static struct run run = {.ntests = 20, .nworkers = 2, .max_restarts = -1};
    run.script = "t=3:call:due20 t=3:call:pause t=12:teardown:due20 t=12:teardown:pause";
    run_open(&run);
    phx_controller_heed_timeouts(run.c);
    run_until(&run, run_is_over);
    int found = 0;
    for (uint32_t i = 0; i < run.nup; i++) {
        const struct run_worker *worker = &run.workers[i];
        if (worker->finished)
            continue;
        found++;
        ck_assert_str_eq(worker->text, "timed out after 0.02 s");
        ck_assert_str_eq(worker->faults, "stacks\n");
        ck_assert_int_eq(worker->end.status, SIGKILL);
        ck_assert(worker->end.test == 3 || worker->end.test == 12);
        ck_assert_int_eq(worker->end.phase,
                         worker->end.test == 3 ? PHX_PHASE_CALL : PHX_PHASE_TEARDOWN);
        ck_assert_int_ge(worker->end.replacement, 2);
    }
    ck_assert_int_eq(found, 2);
    run_check_account(&run, 18, 2, 0);
    run_close(&run);
}
END_TEST

/* A worker that wants to end its test the moment it is condemned does not: nobody else is blamed.
 */
START_TEST(a_condemned_test_does_not_end)
{
    static struct run run = {.ntests = 5, .nworkers = 1, .max_restarts = -1};
    run.script = "t=2:call:due20 t=2:call:gate t=2:call:lift";
    open_at_gate(&run);
    phx_controller_heed_timeouts(run.c);
    char stacks[16];
    while (!run.workers[0].down &&
           phx_controller_last_words(run.c, 0, PHX_TEXT_FAULTS, stacks, sizeof stacks) == 0)
        run_for(&run, 20 * PHX_MS);
    run_open_gate(&run); /* it is condemned, and has two seconds before SIGKILL */
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.workers[0].finished, 0);
    ck_assert_int_eq(run.workers[0].end.test, 2);
    run_check_account(&run, 4, 1, 0);
    run_close(&run);
}
END_TEST

START_TEST(a_deadline_that_was_lifted_ends_nobody)
{
    static struct run run = {.ntests = 20, .nworkers = 1};
    run.script = "t=3:call:due60000 t=3:call:lift t=3:call:gate";
    open_at_gate(&run);
    phx_controller_heed_timeouts(run.c);
    run_for(&run, 200 * PHX_MS);
    run_open_gate(&run);
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.workers[0].finished, 1);
    run_check_account(&run, 20, 0, 0);
    run_close(&run);
}
END_TEST

START_TEST(nobody_is_ended_unless_timeouts_are_heeded)
{
    static struct run run = {.ntests = 20, .nworkers = 1};
    run.script = "t=3:call:due10 t=3:call:gate t=3:call:lift";
    open_at_gate(&run);
    run_for(&run, 300 * PHX_MS);
    run_open_gate(&run);
    run_until(&run, run_is_over);
    run_check_account(&run, 20, 0, 0);
    run_close(&run);
}
END_TEST

/* The worker may have waited for the controller. */
START_TEST(time_in_which_the_controller_was_away_does_not_count)
{
    static struct run run = {.ntests = 20, .nworkers = 1};
    run.script = "t=0:call:due4000 t=0:call:gate t=0:call:lift";
    open_at_gate(&run);
    phx_controller_heed_timeouts(run.c);
    run_for(&run, 200 * PHX_MS);
    phx_clock_sleep(4500 * PHX_MS);
    run_take_all(&run);
    ck_assert_int_eq(phx_controller_step(run.c, 0, -1), 0);
    run_open_gate(&run);
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.workers[0].finished, 1);
    run_check_account(&run, 20, 0, 0);
    run_close(&run);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_test_past_its_deadline_is_named_and_the_rest_goes_on);
    tcase_add_test(tests, a_condemned_test_does_not_end);
    tcase_add_test(tests, a_deadline_that_was_lifted_ends_nobody);
    tcase_add_test(tests, nobody_is_ended_unless_timeouts_are_heeded);
    tcase_add_test(tests, time_in_which_the_controller_was_away_does_not_count);
}

int main(void)
{
    return harness_run("timeouts", 60, add);
}
