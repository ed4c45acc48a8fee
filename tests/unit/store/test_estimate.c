#include "store/estimate.h"

#include <math.h>
#include <string.h>

#include "harness.h"

static struct phx_estimate estimate;

static void learn(uint32_t setup, uint32_t call, uint32_t teardown)
{
    phx_estimate_learn(&estimate, (uint32_t[]){setup, call, teardown});
}

START_TEST(the_first_measurements_count_alike)
{
    memset(&estimate, 0, sizeof estimate);
    ck_assert_uint_eq(phx_estimate_cost_us(&estimate), 0);
    ck_assert_uint_eq(phx_estimate_setup_us(&estimate), 0);
    learn(10, 100, 1);
    ck_assert_double_eq(estimate.mean_us[1], 100);
    ck_assert_double_eq(estimate.variance_us2[1], 0);
    ck_assert_uint_eq(phx_estimate_cost_us(&estimate), 111);
    ck_assert_uint_eq(phx_estimate_setup_us(&estimate), 10);
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

static void add(TCase *cases)
{
    tcase_add_test(cases, the_first_measurements_count_alike);
    tcase_add_test(cases, what_became_slow_is_known_to_be_slow_soon);
    tcase_add_test(cases, a_cost_is_a_number_whatever_the_database_holds);
}

int main(void)
{
    return harness_run("estimate", 10, add);
}
