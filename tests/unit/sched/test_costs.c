#include "sched/costs.h"

#include <stdio.h>
#include <string.h>

#include "harness.h"

static struct phx_collection tests;

static void collect(const char *const *ids, uint32_t count)
{
    phx_collection_init(&tests);
    for (uint32_t i = 0; i < count; i++)
        ck_assert_int_eq(phx_collection_add(&tests, ids[i], strlen(ids[i]), NULL, 0), 0);
}

static const char *const ids[] = {"a.py::x", "a.py::y", "b.py::x", "a.py::z", "c.py::x", "b.py::y"};

START_TEST(unknown_tests_cost_what_their_file_does_else_what_all_do)
{
    collect(ids, 6);
    static const uint32_t history[] = {100, 300, 0, 0, 0, 1000};
    static const uint32_t expected[] = {100, 300, 1000, 200, 466, 1000};
    static const uint8_t from[] = {PHX_COST_HISTORY, PHX_COST_HISTORY, PHX_COST_FILE,
                                   PHX_COST_FILE,    PHX_COST_SUITE,   PHX_COST_HISTORY};
    struct phx_costs costs;
    ck_assert_int_eq(phx_costs_make(&costs, &tests, history), 0);
    ck_assert_mem_eq(costs.cost_us, expected, sizeof expected);
    ck_assert_mem_eq(costs.from, from, sizeof from);
    ck_assert_uint_eq(costs.total_us, 3066);
    ck_assert_uint_eq(costs.mean_us, 511);
    ck_assert(costs.known);
    phx_costs_fini(&costs);
    phx_collection_fini(&tests);
}
END_TEST

START_TEST(without_history_all_cost_the_same)
{
    static const uint32_t nothing[6];
    collect(ids, 6);
    for (int given = 0; given < 2; given++) {
        struct phx_costs costs;
        ck_assert_int_eq(phx_costs_make(&costs, &tests, given ? nothing : NULL), 0);
        for (uint32_t i = 0; i < 6; i++) {
            ck_assert_uint_eq(costs.cost_us[i], 1);
            ck_assert_uint_eq(costs.from[i], PHX_COST_NONE);
        }
        ck_assert(!costs.known);
        ck_assert_uint_eq(costs.mean_us, 1);
        phx_costs_fini(&costs);
    }
    phx_collection_fini(&tests);
}
END_TEST

START_TEST(nothing_collected_costs_nothing)
{
    phx_collection_init(&tests);
    struct phx_costs costs;
    ck_assert_int_eq(phx_costs_make(&costs, &tests, NULL), 0);
    ck_assert_uint_eq(costs.total_us, 0);
    ck_assert_uint_eq(costs.mean_us, 1);
    phx_costs_fini(&costs);
}
END_TEST

static void add(TCase *tests_)
{
    tcase_add_test(tests_, unknown_tests_cost_what_their_file_does_else_what_all_do);
    tcase_add_test(tests_, without_history_all_cost_the_same);
    tcase_add_test(tests_, nothing_collected_costs_nothing);
}

int main(void)
{
    return harness_run("costs", 60, add);
}
