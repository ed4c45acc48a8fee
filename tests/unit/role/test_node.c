/* Whole runs on machines without Python: the controller, real nodes with their guards, and the fake
 * zygote's workers. Every test is asked for all its messages. */
#include "fleet_fixture.h"
#include "harness.h"

enum { REPORTS = 3 };

/* Every test ran once and said all that it has to say. */
static void check_all_ran(const struct fleet *fleet)
{
    struct phx_account account;
    phx_controller_account(fleet->c, &account);
    ck_assert_msg(account.ended == fleet->ntests, "%u tests ended; %s", (unsigned)account.ended,
                  fleet->why);
    ck_assert_uint_eq(account.crashed + account.unaccounted + account.not_run, 0);
    for (uint32_t test = 0; test < fleet->ntests; test++)
        ck_assert_msg(fleet->started[test] == 1 && fleet->reports[test] == REPORTS &&
                          fleet->ended[test] == 1,
                      "test %u: begun %d times, %d reports, ended %d times", test,
                      fleet->started[test], fleet->reports[test], fleet->ended[test]);
    ck_assert_uint_eq(fleet->nmachines_lost + fleet->nfailed + fleet->nlost, 0);
}

static void run_rounds(struct fleet *fleet, uint32_t nwaiting)
{
    fleet->is_real = 1;
    fleet->max_restarts = -1;
    for (uint64_t round = 0; round < fleet_rounds(3); round++) {
        fleet_open(fleet, round);
        fleet_run(fleet, nwaiting);
        check_all_ran(fleet);
        fleet_close(fleet);
    }
}

START_TEST(workers_are_forked_when_all_is_collected)
{
    struct fleet fleet = {.nmachines = 2, .workers = {2, 1}, .ntests = 60};
    run_rounds(&fleet, 0);
}
END_TEST

/* They are there before any test is dealt: who asked too early would find nothing, and leave. */
START_TEST(workers_are_forked_before_and_collect)
{
    struct fleet fleet = {.nmachines = 2,
                          .workers = {2, 1},
                          .ntests = 30,
                          .deeds = {{"z=1:here:fork"}, {"z=1:here:fork"}}};
    run_rounds(&fleet, 0);
}
END_TEST

START_TEST(workers_of_one_machine_may_collect_in_another_order)
{
    struct fleet fleet = {.nmachines = 1,
                          .workers = {3},
                          .ntests = 30,
                          .deeds = {{"z=1:here:fork w=1:items:reversed"}}};
    run_rounds(&fleet, 0);
}
END_TEST

START_TEST(the_zygote_cannot_be_forked)
{
    struct fleet fleet = {.nmachines = 2,
                          .workers = {2, 1},
                          .ntests = 30,
                          .deeds = {{"z=1:here:refuse"}, {"z=1:here:refuse"}}};
    run_rounds(&fleet, 0);
}
END_TEST

START_TEST(every_worker_starts_afresh)
{
    struct fleet fleet = {.nmachines = 2, .workers = {2, 2}, .ntests = 30, .spawns = 1};
    run_rounds(&fleet, 0);
}
END_TEST

START_TEST(what_is_behind_a_test_that_waits_goes_to_others)
{
    struct fleet fleet = {.nmachines = 2,
                          .workers = {1, 1},
                          .ntests = 31,
                          .deeds = {{"t=0:call:gate"}, {"t=0:call:gate"}}};
    run_rounds(&fleet, 1);
    for (uint32_t i = 0; i < fleet.nmachines; i++)
        fleet.deeds[i][0] = "t=30:call:gate z=1:here:fork";
    run_rounds(&fleet, 1);
}
END_TEST

START_TEST(workers_that_die)
{
    static const char script[] = "t=3:call:sig9 t=17:teardown:exit3 t=28:setup:sig11";
    struct fleet fleet = {.nmachines = 2,
                          .workers = {2, 1},
                          .ntests = 30,
                          .deeds = {{script}, {script}},
                          .is_real = 1,
                          .max_restarts = -1};
    for (uint64_t round = 0; round < fleet_rounds(3); round++) {
        struct phx_account account;
        fleet_open(&fleet, round);
        fleet_run(&fleet, 0);
        phx_controller_account(fleet.c, &account);
        ck_assert_uint_eq(account.ended, 27);
        ck_assert_uint_eq(account.crashed, 3);
        ck_assert_uint_eq(account.unaccounted + account.not_run, 0);
        ck_assert_int_eq(fleet.crashed[3] + fleet.crashed[17] + fleet.crashed[28], 3);
        ck_assert_uint_eq(fleet.nmachines_lost + fleet.nfailed, 0);
        fleet_close(&fleet);
    }
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, workers_are_forked_when_all_is_collected);
    tcase_add_test(tests, workers_are_forked_before_and_collect);
    tcase_add_test(tests, workers_of_one_machine_may_collect_in_another_order);
    tcase_add_test(tests, the_zygote_cannot_be_forked);
    tcase_add_test(tests, every_worker_starts_afresh);
    tcase_add_test(tests, what_is_behind_a_test_that_waits_goes_to_others);
    tcase_add_test(tests, workers_that_die);
}

int main(void)
{
    return harness_run("node", 240, add_tests);
}
