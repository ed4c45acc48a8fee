/* Tests that are handed out again after all workers have ended. */
#include "role/controller.h"

#include <errno.h>

#include "harness.h"
#include "run_fixture.h"

static void open_and_finish(struct run *run)
{
    run_open(run);
    run_until(run, run_is_over);
}

static uint64_t nended(struct run *run)
{
    struct phx_account account;
    phx_controller_account(run->c, &account);
    ck_assert_uint_eq(account.unaccounted, 0);
    return account.ended;
}

START_TEST(late_tests_get_workers_of_their_own)
{
    static struct run run = {.ntests = 4, .nworkers = 2};
    open_and_finish(&run);
    uint32_t first = 77;
    ck_assert_uint_eq(phx_controller_relieve(run.c, &first), 0);
    for (uint32_t test = 0; test < 3; test++)
        ck_assert_int_eq(phx_controller_add_late(run.c, test, test ? PHX_RUNQ_NONE : 0), 0);
    ck_assert_uint_eq(phx_controller_relieve(run.c, &first), 2); /* never more than at first */
    ck_assert_uint_eq(first, 2);
    run_fork(&run, 2);
    ck_assert_uint_eq(phx_controller_relieve(run.c, &first), 0); /* somebody is there */
    run_fork(&run, 3);
    run_until(&run, run_is_over);
    ck_assert_uint_eq(nended(&run), 7);
    ck_assert_uint_eq(phx_controller_relieve(run.c, &first), 0);
    run_close(&run);
}
END_TEST

START_TEST(one_test_needs_one_worker)
{
    static struct run run = {.ntests = 4, .nworkers = 2};
    open_and_finish(&run);
    uint32_t first;
    ck_assert_int_eq(phx_controller_add_late(run.c, 3, 1), 0);
    ck_assert_uint_eq(phx_controller_relieve(run.c, &first), 1);
    run_fork(&run, first);
    run_until(&run, run_is_over);
    ck_assert_uint_eq(nended(&run), 5);
    run_close(&run);
}
END_TEST

START_TEST(a_run_that_stops_needs_nobody)
{
    static struct run run = {.ntests = 4, .nworkers = 2};
    open_and_finish(&run);
    uint32_t first;
    ck_assert_int_eq(phx_controller_add_late(run.c, 3, PHX_RUNQ_NONE), 0);
    phx_controller_stop(run.c);
    ck_assert_uint_eq(phx_controller_relieve(run.c, &first), 0);
    run_close(&run);
}
END_TEST

/* A worker that may not be replaced is not, in this way neither. */
START_TEST(a_death_without_replacement_leaves_late_tests_alone)
{
    static struct run run = {.ntests = 4, .nworkers = 1, .script = "t=1:call:sig9"};
    open_and_finish(&run);
    uint32_t first;
    ck_assert_int_eq(phx_controller_add_late(run.c, 1, PHX_RUNQ_NONE), 0);
    ck_assert_uint_eq(phx_controller_relieve(run.c, &first), 0);
    run_close(&run);
}
END_TEST

START_TEST(there_is_room_for_some_thousands)
{
    static struct run run = {.ntests = 4, .nworkers = 1};
    open_and_finish(&run);
    int status = 0;
    uint32_t count = 0;
    while ((status = phx_controller_add_late(run.c, count % 4, 0)) == 0)
        count++;
    ck_assert_int_eq(status, -ENOSPC);
    ck_assert_uint_eq(count, 4096);
    run_close(&run);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, late_tests_get_workers_of_their_own);
    tcase_add_test(tests, one_test_needs_one_worker);
    tcase_add_test(tests, a_run_that_stops_needs_nobody);
    tcase_add_test(tests, a_death_without_replacement_leaves_late_tests_alone);
    tcase_add_test(tests, there_is_room_for_some_thousands);
}

int main(void)
{
    return harness_run("late", 60, add);
}
