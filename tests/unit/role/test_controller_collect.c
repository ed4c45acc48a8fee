/* Runs whose workers collect for themselves: forked before the end of collection, or started from
 * scratch; and who dies, or tells of other tests, at every stage of that. */
#include "role/controller.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "run_fixture.h"
#include "wire/msg.h"

static const char *const ways[] = {"z=1:here:fork", "z=1:here:refuse"};

/* A run of three workers that come to be in way `way`, with more of a script. */
static void open_run(struct run *run, int way, const char *more)
{
    static char script[512];
    snprintf(script, sizeof script, "%s %s", ways[way], more);
    run->script = script;
    run_open(run);
}

START_TEST(each_test_runs_once)
{
    static struct run run = {.ntests = 2500, .nworkers = 3};
    open_run(&run, _i, "");
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.gathered, 1);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(run.workers[i].collected, 1);
        ck_assert_int_eq(run.workers[i].differs, 0);
        ck_assert_int_eq(run.workers[i].finished, 1);
        ck_assert_int_eq(run.workers[i].end.has_status, 1);
        ck_assert_int_eq(run.workers[i].end.status, 0);
    }
    run_check_account(&run, 2500, 0, 0);
    run_close(&run);
}
END_TEST

/* One list is in another order: whoever is first, each test is run once, by its name. */
START_TEST(lists_in_another_order_are_the_same)
{
    static struct run run = {.ntests = 300, .nworkers = 3};
    open_run(&run, _i / 2, _i % 2 ? "w=1:items:reversed" : "w=0:items:reversed w=2:items:reversed");
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.gathered, 1);
    run_check_account(&run, 300, 0, 0);
    run_close(&run);
}
END_TEST

/* The user ends the run: nobody gets a run queue, everybody leaves in good order. */
START_TEST(other_tests_are_told_and_nothing_runs)
{
    static struct run run = {.ntests = 20, .nworkers = 2, .no_plan = 1};
    open_run(&run, _i, "w=1:items:other");
    run_until(&run, run_is_gathered);
    ck_assert_int_eq(run.workers[0].differs + run.workers[1].differs, 1);
    phx_controller_stop(run.c);
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.workers[0].finished + run.workers[1].finished, 2);
    ck_assert_uint_eq(run.nreports, 0);
    run_close(&run);
}
END_TEST

START_TEST(a_worker_with_other_tests_runs_none)
{
    static struct run run = {.ntests = 40, .nworkers = 2};
    open_run(&run, _i, "w=1:items:gate w=1:items:fewer");
    run_shut_gate(&run);
    while (!run.workers[0].collected)
        run_for(&run, 10 * PHX_MS);
    run_open_gate(&run);
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.workers[1].differs, 1);
    ck_assert_int_eq(run.workers[1].finished, 1);
    ck_assert_ptr_nonnull(strstr(run.workers[1].text, "not those that this run began with"));
    run_check_account(&run, 40, 0, 0);
    run_close(&run);
}
END_TEST

static const char *const deaths[] = {
    "w=1:armed:sig9",      "w=1:armed:exit3",    "w=1:items:sig11",   "w=1:items:exit0",
    "w=1:collected:sig9",  "w=1:items:garbage",  "w=1:armed:garbage", "w=1:items:lie",
    "w=1:collected:twice", "w=1:collected:more",
};
enum { NDEATHS = sizeof deaths / sizeof *deaths };

/* The others go on, and there is no successor who would do the same. */
START_TEST(a_worker_dies_while_it_collects)
{
    static struct run run = {.ntests = 60, .nworkers = 3, .max_restarts = 5};
    int is_early = _i % NDEATHS < 4;
    open_run(&run, _i / NDEATHS, deaths[_i % NDEATHS]);
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.gathered, 1);
    ck_assert_int_eq(run.workers[1].down, 1);
    ck_assert_int_eq(run.workers[1].end.finished, 0);
    ck_assert_int_eq(run.workers[1].end.has_status, 1);
    if (is_early)
        ck_assert_int_eq((int)run.workers[1].end.replacement, PHX_RUNQ_NONE);
    struct phx_account account;
    phx_controller_account(run.c, &account);
    ck_assert_uint_eq(account.unaccounted + account.not_run, 0);
    if (_i % NDEATHS < 8) /* the others may have run tests before their nonsense was read */
        run_check_account(&run, 60, 0, 0);
    run_close(&run);
}
END_TEST

START_TEST(all_workers_die_while_they_collect)
{
    static struct run run = {.ntests = 60, .nworkers = 2, .max_restarts = 5};
    open_run(&run, _i, "w=0:items:sig11 w=1:items:sig11");
    run_until(&run, run_has_nobody);
    ck_assert_int_eq(run.gathered, 0);
    ck_assert_int_eq(run.workers[0].end.status & 0x7f, SIGSEGV);
    ck_assert_int_eq(run.workers[1].end.status & 0x7f, SIGSEGV);
    run_close(&run);
}
END_TEST

/* A crash in a test: the successor collects, and is used if it finds the same. */
START_TEST(a_replacement_collects_for_itself)
{
    static struct run run = {.ntests = 40, .nworkers = 2, .max_restarts = 1};
    int is_same = _i < 2;
    open_run(&run, _i % 2, is_same ? "t=5:call:sig9" : "t=5:call:sig9 w=2:items:other");
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.workers[2].up, 1);
    ck_assert_int_eq(run.workers[2].collected, 1);
    ck_assert_int_eq(run.workers[2].finished, 1);
    ck_assert_int_eq(run.workers[2].differs, !is_same);
    run_check_account(&run, 39, 1, 0);
    run_close(&run);
}
END_TEST

START_TEST(a_replacement_that_dies_while_it_collects_is_the_last)
{
    static struct run run = {.ntests = 40, .nworkers = 1, .max_restarts = 5};
    open_run(&run, _i, "t=5:call:sig9 w=1:items:sig9");
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.workers[1].down, 1);
    ck_assert_int_eq((int)run.workers[1].end.replacement, PHX_RUNQ_NONE);
    struct phx_account account;
    phx_controller_account(run.c, &account);
    ck_assert_uint_eq(account.ended, 5);
    ck_assert_uint_eq(account.crashed, 1);
    ck_assert_uint_eq(account.not_run, 34);
    run_close(&run);
}
END_TEST

/* Between "fork here" and the last fork. */
START_TEST(the_zygote_dies_in_the_frame_where_it_forks)
{
    static const char *const when[] = {"z=1:fork:sig9", "z=1:forked:sig9", "z=1:fork:garbage"};
    static struct run run = {.ntests = 60, .nworkers = 3};
    char more[64];
    snprintf(more, sizeof more, "%s z=2:here:fork", when[_i]);
    open_run(&run, 0, more);
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.zygote_down, 0);
    ck_assert_uint_eq(run_generations(&run), 2);
    run_check_account(&run, 60, 0, 0);
    run_close(&run);
}
END_TEST

/* Its successor does not stop where it did: it is of no use, and whoever is there does the work. */
START_TEST(a_second_zygote_that_goes_on_fails_the_forks)
{
    static struct run run = {.ntests = 60, .nworkers = 3};
    open_run(&run, 0, "z=1:forked:sig9");
    run_until(&run, run_is_over);
    ck_assert_uint_eq(run.nup + run.nfailed, 3);
    ck_assert_uint_ge(run.nup, 1);
    run_check_account(&run, 60, 0, 0);
    run_close(&run);
}
END_TEST

static int has_failed(const struct run *run)
{
    return run->nfailed > 0;
}

/* An interpreter that was to become a worker never does. */
START_TEST(an_interpreter_dies_before_it_is_a_worker)
{
    static const char *const how[] = {"w=1:turn:sig9", "w=1:turn:exit0", "w=1:turn:garbage",
                                      "w=0:turn:sig9", "w=0:turn:exit0", "w=0:turn:garbage"};
    static struct run run = {.ntests = 60, .nworkers = 3};
    open_run(&run, 1, how[_i]);
    run_until(&run, has_failed);
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.workers[_i < 3].failed, 1);
    ck_assert_str_ne(run.workers[_i < 3].text, "");
    run_check_account(&run, 60, 0, 0);
    run_close(&run);
}
END_TEST

/* No zygote at all: the first interpreter gets its set-up as a worker. */
START_TEST(all_workers_start_from_scratch)
{
    static struct run run = {.ntests = 100, .nworkers = 3, .spawns = 1};
    struct phx_err err = {0};
    ck_assert_int_eq(run_try_open(&run, &err), 0);
    ck_assert_int_eq(phx_controller_recruit(run.c, 3, 0, &err), 0);
    ck_assert_int_eq(phx_controller_recruit(run.c, 3, 0, &err), PHX_E_STATE);
    ck_assert_int_eq(phx_controller_become(run.c, 0, "items=100 start=0", 17, &err), 0);
    ck_assert_int_eq(phx_controller_become(run.c, 1, "items=100 start=1", 17, &err), PHX_E_STATE);
    run.workers[0].asked++;
    run_fork(&run, 1);
    run_fork(&run, 2);
    run_until(&run, run_is_over);
    ck_assert_uint_eq(run_generations(&run), 0);
    run_check_account(&run, 100, 0, 0);
    run_close(&run);
}
END_TEST

START_TEST(a_program_of_its_own_can_be_missing)
{
    static struct run run = {.ntests = 30, .nworkers = 2, .spawns = 1};
    const char *argv[] = {"/no/such/python", NULL};
    struct phx_controller_program program = {.argv = argv};
    struct phx_err err = {0};
    ck_assert_int_eq(run_try_open(&run, &err), 0);
    ck_assert_int_eq(phx_controller_recruit(run.c, 2, 0, &err), 0);
    ck_assert_int_eq(phx_controller_start(run.c, 1, &program, "x", 1, &err), 0);
    run.workers[1].asked++;
    ck_assert_int_eq(phx_controller_become(run.c, 0, "items=30 start=0", 16, &err), 0);
    run.workers[0].asked++;
    run_until(&run, run_is_over);
    ck_assert_int_eq(run.workers[1].failed, 1);
    ck_assert_ptr_nonnull(strstr(run.workers[1].text, "/no/such/python"));
    run_check_account(&run, 30, 0, 0);
    run_close(&run);
}
END_TEST

/* Ctrl-C while they collect. */
START_TEST(an_interrupt_ends_those_who_collect)
{
    static struct run run = {.ntests = 60, .nworkers = 2, .max_restarts = 5};
    open_run(&run, _i, "w=0:items:pause w=1:items:pause");
    run_until(&run, run_all_up);
    run_for(&run, 50 * PHX_MS);
    phx_controller_interrupt(run.c);
    run_until(&run, run_has_nobody);
    ck_assert_int_eq(run.gathered, 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(run.workers[i].end.status & 0x7f, SIGINT);
        ck_assert_int_eq((int)run.workers[i].end.replacement, PHX_RUNQ_NONE);
    }
    run_close(&run);
}
END_TEST

/* Nothing is left when the controller goes in the middle of it. */
START_TEST(a_closed_controller_leaves_nobody)
{
    static const char *const where[] = {"w=0:armed:pause", "w=1:items:pause", "w=1:turn:pause"};
    static struct run run = {.ntests = 60, .nworkers = 2};
    open_run(&run, _i % 2, where[_i / 2]);
    run_for(&run, 100 * PHX_MS);
    run_close(&run);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, each_test_runs_once, 0, 2);
    tcase_add_loop_test(tests, lists_in_another_order_are_the_same, 0, 4);
    tcase_add_loop_test(tests, other_tests_are_told_and_nothing_runs, 0, 2);
    tcase_add_loop_test(tests, a_worker_with_other_tests_runs_none, 0, 2);
    tcase_add_loop_test(tests, a_worker_dies_while_it_collects, 0, 2 * NDEATHS);
    tcase_add_loop_test(tests, all_workers_die_while_they_collect, 0, 2);
    tcase_add_loop_test(tests, a_replacement_collects_for_itself, 0, 4);
    tcase_add_loop_test(tests, a_replacement_that_dies_while_it_collects_is_the_last, 0, 2);
    tcase_add_loop_test(tests, the_zygote_dies_in_the_frame_where_it_forks, 0, 3);
    tcase_add_test(tests, a_second_zygote_that_goes_on_fails_the_forks);
    tcase_add_loop_test(tests, an_interpreter_dies_before_it_is_a_worker, 0, 6);
    tcase_add_test(tests, all_workers_start_from_scratch);
    tcase_add_test(tests, a_program_of_its_own_can_be_missing);
    tcase_add_loop_test(tests, an_interrupt_ends_those_who_collect, 0, 2);
    tcase_add_loop_test(tests, a_closed_controller_leaves_nobody, 0, 6);
}

int main(void)
{
    return harness_run("controller_collect", 60, add);
}
