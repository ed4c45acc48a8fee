/* The controller's half of a run on machines, against nodes that are slow here and there as the
 * dice will have it (fake_node.c). What is asked of every run: that it ends, that every test was
 * ended once, and that none was begun twice that nobody lost. */
#include "fleet_fixture.h"
#include "harness.h"

/* Every test ran once, and the ledger says so. */
static void check_all_ran(const struct fleet *fleet, uint64_t crashed)
{
    struct phx_account account;
    phx_controller_account(fleet->c, &account);
    ck_assert_uint_eq(account.ended, fleet->ntests - crashed);
    ck_assert_uint_eq(account.crashed, crashed);
    ck_assert_uint_eq(account.unaccounted + account.not_run, 0);
    for (uint32_t test = 0; test < fleet->ntests; test++)
        ck_assert_msg(fleet_starts_of(fleet, test) == 1, "test %u was begun %ld times", test,
                      fleet_starts_of(fleet, test));
}

static void run_rounds(struct fleet *fleet, uint32_t nwaiting, uint64_t crashed)
{
    for (uint64_t seed = 1; seed <= fleet_rounds(3); seed++) {
        fleet_open(fleet, seed);
        fleet_run(fleet, nwaiting);
        check_all_ran(fleet, crashed);
        ck_assert_uint_eq(fleet->nmachines_lost, 0);
        fleet_close(fleet);
    }
}

START_TEST(every_test_runs_once)
{
    struct fleet fleet = {
        .nmachines = 3, .workers = {2, 1, 4}, .ntests = 200, .unit = 1, .max_restarts = -1};
    run_rounds(&fleet, 0, 0);
}
END_TEST

START_TEST(units_stay_whole)
{
    struct fleet fleet = {.nmachines = 2,
                          .workers = {2, 2},
                          .ntests = 200,
                          .unit = 8,
                          .dist = PHX_DIST_LOADFILE,
                          .max_restarts = -1};
    run_rounds(&fleet, 0, 0);
}
END_TEST

/* What is behind a test that waits goes to others, on whichever machine that is: given back and
 * dealt to the same one again, it would go to and fro for ever. */
START_TEST(what_is_behind_a_test_that_waits_goes_to_others)
{
    struct fleet fleet = {.nmachines = 2,
                          .workers = {1, 1},
                          .ntests = 31,
                          .unit = 1,
                          .deeds = {{"wait=0"}, {"wait=0"}},
                          .max_restarts = -1};
    run_rounds(&fleet, 1, 0);
    for (uint32_t i = 0; i < fleet.nmachines; i++)
        fleet.deeds[i][0] = "wait=30"; /* in the span of the other one */
    run_rounds(&fleet, 1, 0);
}
END_TEST

START_TEST(machines_of_unequal_size_share)
{
    struct fleet fleet = {
        .nmachines = 3,
        .workers = {1, 6, 2},
        .ntests = 120,
        .unit = 1,
        .deeds = {{"wait=3", "wait=60"}, {"wait=3", "wait=60"}, {"wait=3", "wait=60"}},
        .max_restarts = -1};
    run_rounds(&fleet, 2, 0);
}
END_TEST

START_TEST(large_units_behind_tests_that_wait)
{
    struct fleet fleet = {.nmachines = 2,
                          .workers = {2, 1},
                          .ntests = 120,
                          .unit = 10,
                          .deeds = {{"wait=9", "wait=119"}, {"wait=9", "wait=119"}},
                          .dist = PHX_DIST_LOADFILE,
                          .max_restarts = -1};
    run_rounds(&fleet, 2, 0);
}
END_TEST

START_TEST(workers_that_die)
{
    struct fleet fleet = {
        .nmachines = 2,
        .workers = {2, 1},
        .ntests = 60,
        .unit = 3,
        .deeds = {{"kill=4", "kill=31", "kill=50"}, {"kill=4", "kill=31", "kill=50"}},
        .dist = PHX_DIST_LOADFILE,
        .max_restarts = -1};
    run_rounds(&fleet, 0, 3);
}
END_TEST

/* It had said that its test has ended, and was killed before it had noted that itself: its node
 * takes it for one that crashed in there, and its controller knows better. */
START_TEST(a_worker_that_dies_between_two_tests)
{
    struct fleet fleet = {.nmachines = 2,
                          .workers = {1, 1},
                          .ntests = 40,
                          .unit = 1,
                          .deeds = {{"late=5", "late=35"}, {"late=5", "late=35"}},
                          .max_restarts = -1};
    run_rounds(&fleet, 0, 0);
    ck_assert_int_eq(fleet.crashed[5] + fleet.crashed[35], 0);
}
END_TEST

/* That comes behind its worker's end, when nobody is active any more. */
START_TEST(a_lost_test_is_waited_for)
{
    struct fleet fleet = {.nmachines = 1,
                          .workers = {1},
                          .ntests = 3,
                          .unit = 1,
                          .deeds = {{"unheard=0", "unheard=1", "unheard=2"}},
                          .max_restarts = -1};
    for (uint64_t seed = 1; seed <= fleet_rounds(3); seed++) {
        fleet_open(&fleet, seed);
        fleet_run(&fleet, 0);
        check_all_ran(&fleet, 3);
        ck_assert_uint_eq(fleet.nlost, 3);
        fleet_close(&fleet);
    }
}
END_TEST

/* Nobody replaces them; the other machine does the rest, also what was dealt to this one. */
START_TEST(a_machine_without_workers_gives_everything_back)
{
    struct fleet fleet = {.nmachines = 2,
                          .workers = {1, 1},
                          .ntests = 60,
                          .unit = 1,
                          .deeds = {{"kill=2", "barren"}, {"kill=2"}},
                          .max_restarts = -1};
    run_rounds(&fleet, 0, 1);
}
END_TEST

START_TEST(no_worker_is_left_anywhere)
{
    struct fleet fleet = {.nmachines = 2,
                          .workers = {1, 1},
                          .ntests = 60,
                          .unit = 1,
                          .deeds = {{"kill=2", "kill=50"}, {"kill=2", "kill=50"}},
                          .max_restarts = 0};
    for (uint64_t seed = 1; seed <= fleet_rounds(3); seed++) {
        struct phx_account account;
        fleet_open(&fleet, seed);
        fleet_run(&fleet, 0);
        phx_controller_account(fleet.c, &account);
        ck_assert_uint_eq(account.crashed, 2);
        ck_assert_uint_eq(account.ended + account.not_run, 58);
        ck_assert_uint_eq(account.unaccounted, 0);
        fleet_close(&fleet);
    }
}
END_TEST

START_TEST(a_machine_that_is_lost)
{
    struct fleet fleet = {.nmachines = 3,
                          .workers = {2, 2, 2},
                          .ntests = 90,
                          .unit = 1,
                          .deeds = {{"vanish=10"}},
                          .max_restarts = -1};
    for (uint64_t seed = 1; seed <= fleet_rounds(3); seed++) {
        struct phx_account account;
        fleet.reruns = seed % 2 == 0;
        fleet.deeds[0][0] = seed % 4 < 2 ? "vanish=10" : "vanish=0";
        fleet_open(&fleet, seed);
        fleet_run(&fleet, 0);
        phx_controller_account(fleet.c, &account);
        ck_assert_uint_le(fleet.nmachines_lost, 1); /* another one may have begun that test */
        ck_assert_uint_eq(account.ended, fleet.ntests - (fleet.reruns ? 0 : account.crashed));
        ck_assert_uint_eq(account.unaccounted + account.not_run, 0);
        ck_assert(fleet.nmachines_lost == 1 || account.crashed == 0);
        fleet_close(&fleet);
    }
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, every_test_runs_once);
    tcase_add_test(tests, units_stay_whole);
    tcase_add_test(tests, what_is_behind_a_test_that_waits_goes_to_others);
    tcase_add_test(tests, machines_of_unequal_size_share);
    tcase_add_test(tests, large_units_behind_tests_that_wait);
    tcase_add_test(tests, workers_that_die);
    tcase_add_test(tests, a_worker_that_dies_between_two_tests);
    tcase_add_test(tests, a_lost_test_is_waited_for);
    tcase_add_test(tests, a_machine_without_workers_gives_everything_back);
    tcase_add_test(tests, no_worker_is_left_anywhere);
    tcase_add_test(tests, a_machine_that_is_lost);
}

int main(void)
{
    return harness_run("fleet", 240, add_tests);
}
