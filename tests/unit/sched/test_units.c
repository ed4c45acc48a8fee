#include "sched/units.h"

#include <errno.h>
#include <string.h>

#include "harness.h"

static void collect(struct phx_collection *c, const char *const *ids, unsigned count)
{
    phx_collection_init(c);
    for (unsigned i = 0; i < count; i++)
        ck_assert_int_eq(phx_collection_add(c, ids[i], strlen(ids[i]), NULL, 0), 0);
}

START_TEST(tests_of_one_scope_meet_wherever_they_stand)
{
    static const char *const ids[] = {"a::t0", "b::t0", "a::t1", "b::t1", "c::t0", "b::t2"};
    static const uint32_t cost_us[] = {5, 0, 7, 2, 4000000000u, 3};
    struct phx_collection c;
    collect(&c, ids, 6);
    struct phx_units units;
    ck_assert_int_eq(phx_units_make(&units, &c, PHX_DIST_LOADSCOPE, cost_us), 0);
    static const uint32_t tests[] = {0, 2, 1, 3, 5, 4}, start[] = {0, 2, 5, 6};
    static const uint64_t cost[] = {12, 6, 4000000000u}; /* an estimate of 0 counts as 1 */
    ck_assert_uint_eq(units.ntests, 6);
    ck_assert_uint_eq(units.nunits, 3);
    ck_assert_mem_eq(units.tests, tests, sizeof tests);
    ck_assert_mem_eq(units.start, start, sizeof start);
    ck_assert_mem_eq(units.cost, cost, sizeof cost);
    phx_units_fini(&units);
    phx_collection_fini(&c);
}
END_TEST

START_TEST(the_sum_of_a_unit_does_not_overflow)
{
    static const char *const ids[] = {"a::t0", "a::t1", "a::t2"};
    static const uint32_t cost_us[] = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    struct phx_collection c;
    collect(&c, ids, 3);
    struct phx_units units;
    ck_assert_int_eq(phx_units_make(&units, &c, PHX_DIST_LOADFILE, cost_us), 0);
    ck_assert_uint_eq(units.nunits, 1);
    ck_assert(units.cost[0] == 3 * (uint64_t)UINT32_MAX);
    phx_units_fini(&units);
    phx_collection_fini(&c);
}
END_TEST

START_TEST(only_tests_of_a_group_meet_in_loadgroup)
{
    struct phx_collection c;
    phx_collection_init(&c);
    /* A group named like a test, an empty group, and one id twice. */
    ck_assert_int_eq(phx_collection_add(&c, "a::t0", 5, NULL, 0), 0);
    ck_assert_int_eq(phx_collection_add(&c, "a::t1", 5, "a::t0", 5), 0);
    ck_assert_int_eq(phx_collection_add(&c, "a::t2", 5, "", 0), 0);
    ck_assert_int_eq(phx_collection_add(&c, "a::t0", 5, NULL, 0), 0);
    ck_assert_int_eq(phx_collection_add(&c, "b::t0", 5, "", 0), 0);
    ck_assert_int_eq(phx_collection_add(&c, "b::t1", 5, "a::t0", 5), 0);
    struct phx_units units;
    ck_assert_int_eq(phx_units_make(&units, &c, PHX_DIST_LOADGROUP, NULL), 0);
    static const uint32_t tests[] = {0, 1, 5, 2, 4, 3}, start[] = {0, 1, 3, 5, 6};
    ck_assert_uint_eq(units.nunits, 4);
    ck_assert_mem_eq(units.tests, tests, sizeof tests);
    ck_assert_mem_eq(units.start, start, sizeof start);
    phx_units_fini(&units);
    phx_collection_fini(&c);
}
END_TEST

START_TEST(keys_with_one_hash_stay_apart)
{
    /* Every one of these has the FNV-1a hash 0, some the same length too. */
    static const struct {
        const char *bytes;
        size_t size;
        uint32_t unit;
    } keys[] = {
        {"!0IC=VloaY", 10, 0},     {"77kepQFQ8Kl", 11, 1}, {"QvXtM>@Fp%", 10, 2},
        {"!0IC=VloaY\0", 11, 3},   {"QvXtM>@Fp%", 10, 2},  {"!0IC=VloaY", 10, 0},
        {"QvXtM>@Fp%\0\0", 12, 4}, {"77kepQFQ8Kl", 11, 1}, {"!0IC=VloaY\0", 11, 3},
    };
    enum { COUNT = sizeof keys / sizeof keys[0] };
    struct phx_collection c;
    phx_collection_init(&c);
    for (size_t i = 0; i < COUNT; i++)
        ck_assert_int_eq(phx_collection_add(&c, "id", 2, keys[i].bytes, keys[i].size), 0);
    struct phx_units units;
    ck_assert_int_eq(phx_units_make(&units, &c, PHX_DIST_LOADGROUP, NULL), 0);
    ck_assert_uint_eq(units.nunits, 5);
    for (uint32_t unit = 0; unit < units.nunits; unit++)
        for (uint32_t at = units.start[unit]; at < units.start[unit + 1]; at++)
            ck_assert_uint_eq(keys[units.tests[at]].unit, unit);
    phx_units_fini(&units);
    phx_collection_fini(&c);
}
END_TEST

START_TEST(nothing_collected_is_no_unit)
{
    struct phx_collection c;
    phx_collection_init(&c);
    for (int dist = PHX_DIST_LOAD; dist <= PHX_DIST_LOADGROUP; dist++) {
        struct phx_units units;
        ck_assert_int_eq(phx_units_make(&units, &c, (enum phx_dist)dist, NULL), 0);
        ck_assert_uint_eq(units.nunits, 0);
        ck_assert_uint_eq(units.start[0], 0);
        phx_units_fini(&units);
        ck_assert_ptr_null(units.tests);
    }
    phx_collection_fini(&c);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, tests_of_one_scope_meet_wherever_they_stand);
    tcase_add_test(tests, the_sum_of_a_unit_does_not_overflow);
    tcase_add_test(tests, only_tests_of_a_group_meet_in_loadgroup);
    tcase_add_test(tests, keys_with_one_hash_stay_apart);
    tcase_add_test(tests, nothing_collected_is_no_unit);
}

int main(void)
{
    return harness_run("units", 10, add);
}
