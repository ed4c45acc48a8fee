#include "store/estimate.h"

#include <math.h>
#include <string.h>

#include "harness.h"
#include "sched/collection.h"

static struct phx_estimate estimate;

static void learn(uint32_t setup, uint32_t call, uint32_t teardown)
{
    phx_estimate_learn(&estimate, (uint32_t[]){setup, call, teardown});
}

START_TEST(the_first_measurements_count_alike)
{
    memset(&estimate, 0, sizeof estimate);
    ck_assert_uint_eq(phx_estimate_cost_us(&estimate), 0);
    learn(10, 100, 1);
    ck_assert_double_eq(estimate.mean_us[1], 100);
    ck_assert_double_eq(estimate.variance_us2[1], 0);
    ck_assert_uint_eq(phx_estimate_cost_us(&estimate), 111);
    learn(10, 200, 1);
    ck_assert_double_eq_tol(estimate.mean_us[1], 150, 1e-9);
    ck_assert_double_eq_tol(estimate.variance_us2[1], 2500, 1e-9); /* as of two values */
    learn(10, 300, 1);
    ck_assert_double_eq_tol(estimate.mean_us[1], 200, 1e-9);
    ck_assert_double_eq_tol(estimate.variance_us2[1], 20000.0 / 3, 1e-6);
    ck_assert_double_eq_tol(estimate.variance_us2[0], 0, 1e-9);
    ck_assert_uint_eq(estimate.nmeasured, 3);
}
END_TEST

START_TEST(what_became_slow_is_known_to_be_slow_soon)
{
    memset(&estimate, 0, sizeof estimate);
    for (int i = 0; i < 100; i++)
        learn(0, 1000, 0);
    for (int i = 0; i < 3; i++)
        learn(0, 101000, 0);
    ck_assert_uint_gt(phx_estimate_cost_us(&estimate), 60000);
    learn(0, 1000, 0); /* one run on a busy machine is no new truth */
    ck_assert_uint_lt(phx_estimate_cost_us(&estimate), 60000);
}
END_TEST

START_TEST(a_cost_is_a_number_whatever_the_database_holds)
{
    estimate = (struct phx_estimate){.nmeasured = 1, .mean_us = {NAN, INFINITY, -5}};
    ck_assert_uint_eq(phx_estimate_cost_us(&estimate), 1);
    estimate = (struct phx_estimate){.nmeasured = 1, .mean_us = {1e300, 1, 1}};
    ck_assert_uint_eq(phx_estimate_cost_us(&estimate), UINT32_MAX);
    estimate = (struct phx_estimate){.nmeasured = 1, .mean_us = {0.2, 0.2, 0.2}};
    ck_assert_uint_eq(phx_estimate_cost_us(&estimate), 1);
}
END_TEST

static const char *const ids[] = {
    "a.py::test_known[1]", "a.py::test_known[2]",        "a.py::test_known[x::y]",
    "a.py::test_other",    "a.py::TestA::test_known[1]", "b.py::test_x",
    "b.py::test_y",        "c[1]/d.py::test_z",          "bare"};

enum { NIDS = sizeof ids / sizeof *ids };

static struct phx_collection tests;

static void collect(void)
{
    phx_collection_init(&tests);
    for (int i = 0; i < NIDS; i++)
        ck_assert_int_eq(phx_collection_add(&tests, ids[i], strlen(ids[i]), NULL, 0), 0);
}

START_TEST(unknown_tests_take_after_their_relatives)
{
    uint32_t cost[NIDS] = {100, 200, 0, 0, 0, 900, 0, 0, 0};
    collect();
    ck_assert_int_eq(phx_estimate_fill(cost, &tests), 3);
    ck_assert_uint_eq(cost[0], 100);
    ck_assert_uint_eq(cost[2], 150); /* other parameters */
    ck_assert_uint_eq(cost[3], 150); /* the file, of what was measured only */
    ck_assert_uint_eq(cost[4], 150); /* not the function of the same name */
    ck_assert_uint_eq(cost[6], 900);
    ck_assert_uint_eq(cost[7], 400); /* all */
    ck_assert_uint_eq(cost[8], 400);
    phx_collection_fini(&tests);
}
END_TEST

START_TEST(where_nothing_is_known_nothing_is_made_up)
{
    uint32_t cost[NIDS] = {0};
    collect();
    ck_assert_int_eq(phx_estimate_fill(cost, &tests), 0);
    for (int i = 0; i < NIDS; i++)
        ck_assert_uint_eq(cost[i], 0);
    phx_collection_fini(&tests);
}
END_TEST

START_TEST(means_do_not_overflow)
{
    uint32_t cost[NIDS] = {UINT32_MAX, UINT32_MAX, 0, UINT32_MAX, UINT32_MAX, 1, 0, 0, 0};
    collect();
    ck_assert_int_eq(phx_estimate_fill(cost, &tests), 5);
    ck_assert_uint_eq(cost[2], UINT32_MAX);
    ck_assert_uint_eq(cost[6], 1);
    phx_collection_fini(&tests);
}
END_TEST

static void add(TCase *cases)
{
    tcase_add_test(cases, the_first_measurements_count_alike);
    tcase_add_test(cases, what_became_slow_is_known_to_be_slow_soon);
    tcase_add_test(cases, a_cost_is_a_number_whatever_the_database_holds);
    tcase_add_test(cases, unknown_tests_take_after_their_relatives);
    tcase_add_test(cases, where_nothing_is_known_nothing_is_made_up);
    tcase_add_test(cases, means_do_not_overflow);
}

int main(void)
{
    return harness_run("estimate", 10, add);
}
