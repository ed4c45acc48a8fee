#include "sched/collection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "memory_limit.h"
#include "queue/plan.h"

#include "harness.h"

START_TEST(what_was_added_is_found_unchanged)
{
    enum { COUNT = 20000 };
    struct phx_collection c;
    phx_collection_init(&c);
    const char *early = NULL;
    for (unsigned i = 0; i < COUNT; i++) {
        char id[64], group[32];
        size_t size = (size_t)snprintf(id, sizeof id, "test_%u.py::test_%u", i % 97, i);
        size_t group_size = (size_t)snprintf(group, sizeof group, "g%u", i % 5);
        int has_group = i % 3 == 0;
        ck_assert_int_eq(
            phx_collection_add(&c, id, size, has_group ? group : NULL, has_group ? group_size : 0),
            0);
        if (i == 0)
            early = phx_collection_node_id(&c, 0, NULL);
    }
    ck_assert_uint_eq(phx_collection_count(&c), COUNT);
    ck_assert_ptr_eq(phx_collection_node_id(&c, 0, NULL), early);
    for (unsigned i = 0; i < COUNT; i++) {
        char id[64], group[32];
        size_t size = 0;
        snprintf(id, sizeof id, "test_%u.py::test_%u", i % 97, i);
        ck_assert_str_eq(phx_collection_node_id(&c, i, &size), id);
        ck_assert_uint_eq(size, strlen(id));
        snprintf(group, sizeof group, "g%u", i % 5);
        if (i % 3 == 0) {
            ck_assert_str_eq(phx_collection_group(&c, i, &size), group);
            ck_assert_uint_eq(size, strlen(group));
        } else {
            ck_assert_ptr_null(phx_collection_group(&c, i, &size));
        }
    }
    phx_collection_fini(&c);
    ck_assert_uint_eq(phx_collection_count(&c), 0);
}
END_TEST

START_TEST(any_bytes_and_any_length_are_kept)
{
    enum { LONG = 3 << 20 };
    struct phx_collection c;
    phx_collection_init(&c);
    char *text = malloc(LONG);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', LONG);
    ck_assert_int_eq(phx_collection_add(&c, "", 0, NULL, 0), 0);
    ck_assert_int_eq(phx_collection_add(&c, text, LONG, text, LONG), 0);
    ck_assert_int_eq(phx_collection_add(&c, "a\0b", 3, "", 0), 0);

    size_t size = 99;
    ck_assert_str_eq(phx_collection_node_id(&c, 0, &size), "");
    ck_assert_uint_eq(size, 0);
    ck_assert_int_eq(memcmp(phx_collection_node_id(&c, 1, &size), text, LONG), 0);
    ck_assert_uint_eq(size, LONG);
    ck_assert_int_eq(memcmp(phx_collection_group(&c, 1, &size), text, LONG), 0);
    ck_assert_uint_eq(size, LONG);
    ck_assert_int_eq(memcmp(phx_collection_node_id(&c, 2, &size), "a\0b", 4), 0);
    ck_assert_uint_eq(size, 3);
    ck_assert_ptr_nonnull(phx_collection_group(&c, 2, &size));
    ck_assert_uint_eq(size, 0);
    phx_collection_fini(&c);
    free(text);
}
END_TEST

START_TEST(needs_are_kept_for_each_test)
{
    enum { COUNT = 5000 };
    struct phx_collection c;
    phx_collection_init(&c);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t setups[4] = {i / 7, 9000 + i / 50, 1, 2}, n = i % 5 ? i / 7 % 5 : 0;
        ck_assert_int_eq(phx_collection_add(&c, "t", 1, NULL, 0), 0);
        ck_assert_int_eq(phx_collection_needs(&c, setups, n), 0);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t setups[4] = {i / 7, 9000 + i / 50, 1, 2}, n = i % 5 ? i / 7 % 5 : 0, found = 99;
        const uint32_t *list = phx_collection_setups(&c, i, &found);
        ck_assert_uint_eq(found, n);
        ck_assert_mem_eq(list, setups, n * sizeof *setups);
    }
    ck_assert_uint_eq(c.nsetups, 9000 + COUNT / 50);
    ck_assert_uint_lt(c.nneeds, COUNT * 3); /* equal neighbours share */
    uint32_t wild = UINT32_MAX, found;
    ck_assert_int_eq(phx_collection_needs(&c, &wild, 1), PHX_E_TOOBIG);
    phx_collection_setups(&c, COUNT - 1, &found);
    ck_assert_uint_eq(found, COUNT / 7 % 5); /* as before */
    phx_collection_fini(&c);
}
END_TEST

START_TEST(limits_are_kept_for_each_test)
{
    struct phx_collection c;
    phx_collection_init(&c);
    static const char *const names[] = {NULL, "db", "db", "gpu", NULL, "a\0b"};
    static const uint32_t permits[] = {0, 2, 7, 1, 0, 3};
    static const uint32_t limits[] = {1, 2, 2, 3, 1, 4};
    for (uint32_t i = 0; i < 6; i++) {
        ck_assert_int_eq(phx_collection_add(&c, "t", 1, NULL, 0), 0);
        ck_assert_uint_eq(phx_collection_limit_of(&c, i), 0);
        size_t size = i == 5 ? 3 : names[i] ? strlen(names[i]) : 0;
        ck_assert_int_eq(phx_collection_limit(&c, names[i], size, permits[i]), 0);
    }
    for (uint32_t i = 0; i < 6; i++)
        ck_assert_uint_eq(phx_collection_limit_of(&c, i), limits[i]);
    ck_assert_uint_eq(c.nlimits, 4);
    ck_assert_ptr_null(c.limits[0].name);
    ck_assert_uint_eq(c.limits[1].permits, 2); /* the first who names a group says how many */
    ck_assert_int_eq(memcmp(c.limits[3].name, "a\0b", 3), 0);
    phx_collection_fini(&c);
}
END_TEST

START_TEST(more_groups_than_a_plan_can_have_are_refused)
{
    struct phx_collection c;
    phx_collection_init(&c);
    ck_assert_int_eq(phx_collection_add(&c, "t", 1, NULL, 0), 0);
    int status = 0;
    uint32_t ngroups = 0;
    for (; status == 0 && ngroups <= PHX_PLAN_GROUPS_MAX; ngroups++) {
        char name[16];
        int size = snprintf(name, sizeof name, "%u", ngroups);
        status = phx_collection_limit(&c, name, (size_t)size, 1);
    }
    ck_assert_int_eq(status, PHX_E_TOOBIG);
    ck_assert_uint_eq(c.nlimits, PHX_PLAN_GROUPS_MAX); /* the exclusive ones always have theirs */
    ck_assert_int_eq(phx_collection_limit(&c, "3", 1, 1), 0);
    ck_assert_int_eq(phx_collection_limit(&c, NULL, 0, 0), 0);
    phx_collection_fini(&c);
}
END_TEST

START_TEST(a_text_beyond_the_limit_is_refused)
{
    struct phx_collection c;
    phx_collection_init(&c);
    ck_assert_int_eq(phx_collection_add(&c, "x", UINT32_MAX, NULL, 0), PHX_E_TOOBIG);
    ck_assert_int_eq(phx_collection_add(&c, "x", 1, "x", UINT32_MAX), PHX_E_TOOBIG);
    ck_assert_uint_eq(phx_collection_count(&c), 0);
    phx_collection_fini(&c);
}
END_TEST

START_TEST(a_million_tests_cost_under_150_bytes_each)
{
    enum { COUNT = 1000 * 1000 };
    if (!memory_limit(150ull * COUNT))
        return;
    struct phx_collection c;
    phx_collection_init(&c);
    for (unsigned i = 0; i < COUNT; i++) {
        char id[160]; /* 80 to 90 bytes, longer than most */
        int size = snprintf(id, sizeof id,
                            "tests/integration/services/test_checkout_%04u.py::TestCheckout%02u::"
                            "test_total[%u-EUR]",
                            i / 200, i / 20 % 10, i);
        if (phx_collection_add(&c, id, (size_t)size, NULL, 0) < 0)
            ck_abort_msg("no memory for test %u", i); /* ck_assert costs a write each time */
    }
    ck_assert_uint_eq(phx_collection_count(&c), COUNT);
    phx_collection_fini(&c);
}
END_TEST

START_TEST(without_memory_the_collection_stays_as_it_was)
{
    if (!memory_limit(8 << 20))
        return;
    struct phx_collection c;
    phx_collection_init(&c);
    char id[1000];
    memset(id, 'i', sizeof id);
    int status;
    while ((status = phx_collection_add(&c, id, sizeof id, NULL, 0)) == 0)
        ck_assert_uint_lt(phx_collection_count(&c), 10000);
    ck_assert_int_eq(status, -ENOMEM);
    uint32_t count = phx_collection_count(&c);
    ck_assert_uint_gt(count, 4000);
    ck_assert_int_eq(phx_collection_add(&c, id, sizeof id, NULL, 0), -ENOMEM);
    ck_assert_uint_eq(phx_collection_count(&c), count);
    ck_assert_int_eq(memcmp(phx_collection_node_id(&c, count - 1, NULL), id, sizeof id), 0);
    phx_collection_fini(&c);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, what_was_added_is_found_unchanged);
    tcase_add_test(tests, any_bytes_and_any_length_are_kept);
    tcase_add_test(tests, needs_are_kept_for_each_test);
    tcase_add_test(tests, limits_are_kept_for_each_test);
    tcase_add_test(tests, more_groups_than_a_plan_can_have_are_refused);
    tcase_add_test(tests, a_text_beyond_the_limit_is_refused);
    tcase_add_test(tests, a_million_tests_cost_under_150_bytes_each);
    tcase_add_test(tests, without_memory_the_collection_stays_as_it_was);
}

int main(void)
{
    return harness_run("collection", 60, add);
}
