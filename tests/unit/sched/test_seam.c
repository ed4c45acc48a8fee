#include "sched/seam.h"

#include <string.h>

#include "harness.h"

enum { NO = 99 };

/* Tests that each need up to two set-ups. */
static void make(struct phx_seams *seams, struct phx_costs *costs, const uint32_t (*needs)[2],
                 uint32_t count, const uint32_t *cost_us, const uint32_t *setup_us,
                 uint32_t nworkers)
{
    struct phx_collection tests;
    phx_collection_init(&tests);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t n = needs[i][0] == NO ? 0 : needs[i][1] == NO ? 1 : 2;
        ck_assert_int_eq(phx_collection_add(&tests, "a.py::t", 7, NULL, 0), 0);
        ck_assert_int_eq(phx_collection_needs(&tests, needs[i], n), 0);
    }
    ck_assert_int_eq(phx_costs_make(costs, &tests, cost_us), 0);
    ck_assert_int_eq(phx_seams_make(seams, &tests, costs, setup_us, nworkers), 0);
    phx_collection_fini(&tests);
}

/* The drawing in seam.h. */
START_TEST(a_set_up_belongs_to_its_scope_and_not_to_the_first_test)
{
    static const uint32_t needs[][2] = {{0, NO}, {0, NO}, {0, 1}, {1, NO}, {1, NO}, {NO, NO}};
    static const uint32_t setup[] = {51, 1, 21, 1, 1, 0};
    static const uint32_t cost[] = {60, 10, 30, 10, 10, 10};
    static const uint32_t seam[] = {0, 50, 50, 20, 20, 0}, opening[] = {50, 0, 20, 0, 0, 0};
    static const uint32_t left[] = {10, 10, 10, 10, 10, 10};
    struct phx_seams seams;
    struct phx_costs costs;
    make(&seams, &costs, needs, 6, cost, setup, 1);
    ck_assert_mem_eq(seams.seam_us, seam, sizeof seam);
    ck_assert_mem_eq(seams.opening_us, opening, sizeof opening);
    ck_assert_mem_eq(costs.cost_us, left, sizeof left);
    ck_assert_uint_eq(costs.total_us, 60);
    phx_seams_fini(&seams);
    phx_costs_fini(&costs);
}
END_TEST

START_TEST(a_set_up_that_was_never_measured_counts_as_two_tests)
{
    static const uint32_t needs[][2] = {{NO, NO}, {0, NO}, {0, NO}, {NO, NO}};
    static const uint32_t cost[] = {10, 10, 10, 10}, seam[] = {0, 0, 20, 0};
    struct phx_seams seams;
    struct phx_costs costs;
    make(&seams, &costs, needs, 4, cost, NULL, 2);
    ck_assert_mem_eq(seams.seam_us, seam, sizeof seam);
    ck_assert_mem_eq(costs.cost_us, cost, sizeof cost);
    phx_seams_fini(&seams);
    phx_costs_fini(&costs);
}
END_TEST

START_TEST(what_one_test_opens_counts_as_two_tests_together)
{
    static const uint32_t needs[][2] = {{0, 1}, {0, 1}, {0, NO}, {2, NO}, {2, NO}, {2, NO}};
    static const uint32_t cost[] = {11, 11, 11, 11, 11, 11}, seam[] = {0, 22, 11, 0, 22, 22};
    struct phx_seams seams;
    struct phx_costs costs;
    make(&seams, &costs, needs, 6, cost, NULL, 1);
    ck_assert_mem_eq(seams.seam_us, seam, sizeof seam);
    phx_seams_fini(&seams);
    phx_costs_fini(&costs);

    static const uint32_t unknown[] = {0, 2, 1, 0, 2, 2}; /* nothing is known: a test counts 1 */
    make(&seams, &costs, needs, 6, NULL, NULL, 1);
    ck_assert_mem_eq(seams.seam_us, unknown, sizeof unknown);
    phx_seams_fini(&seams);
    phx_costs_fini(&costs);
}
END_TEST

START_TEST(what_everybody_needs_is_no_seam)
{
    static const uint32_t needs[][2] = {{0, NO}, {0, 1}, {0, 1}, {0, NO}};
    static const uint32_t setup[] = {90, 40, 0, 0}, cost[] = {100, 50, 10, 10};
    static const uint32_t seam[] = {0, 0, 40, 0};
    struct phx_seams seams;
    struct phx_costs costs;
    make(&seams, &costs, needs, 4, cost, setup, 2);
    ck_assert_mem_eq(seams.seam_us, seam, sizeof seam);
    phx_seams_fini(&seams);
    phx_costs_fini(&costs);
}
END_TEST

START_TEST(without_fixtures_there_are_no_seams)
{
    static const uint32_t needs[][2] = {{NO, NO}, {NO, NO}};
    struct phx_seams seams;
    struct phx_costs costs;
    make(&seams, &costs, needs, 2, NULL, NULL, 2);
    ck_assert_ptr_null(seams.seam_us);
    ck_assert_uint_eq(phx_seam(&seams, 1), 0);
    phx_costs_fini(&costs);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_set_up_belongs_to_its_scope_and_not_to_the_first_test);
    tcase_add_test(tests, a_set_up_that_was_never_measured_counts_as_two_tests);
    tcase_add_test(tests, what_one_test_opens_counts_as_two_tests_together);
    tcase_add_test(tests, what_everybody_needs_is_no_seam);
    tcase_add_test(tests, without_fixtures_there_are_no_seams);
}

int main(void)
{
    return harness_run("seam", 60, add);
}
