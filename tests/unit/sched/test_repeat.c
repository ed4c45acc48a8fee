#include "sched/repeat.h"

#include <string.h>

#include "sched/planner.h"

#include "harness.h"

START_TEST(the_end_of_a_node_id_names_a_repetition)
{
    static const struct {
        const char *node_id;
        size_t base_size;
        uint32_t index, total;
        const char *base;
    } cases[] = {
        {"t.py::test_x[3-10]", 12, 3, 10, "t.py::test_x"},
        {"t.py::test_x[a-3-10]", 14, 3, 10, "t.py::test_x[a]"},
        {"t.py::test_x[1-2-3]", 14, 2, 3, "t.py::test_x[1]"},
        {"t.py::test_x[10-10]", 12, 10, 10, "t.py::test_x"},
        {"t.py::test_x[1-2]", 12, 1, 2, "t.py::test_x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct phx_repeat repeat;
        const char *id = cases[i].node_id;
        ck_assert_msg(phx_repeat_of(id, strlen(id), &repeat) == 1, "%s", id);
        ck_assert_uint_eq(repeat.base_size, cases[i].base_size);
        ck_assert_uint_eq(repeat.index, cases[i].index);
        ck_assert_uint_eq(repeat.total, cases[i].total);
        char base[32] = "";
        ck_assert_uint_eq(phx_repeat_base(base, sizeof base, id, &repeat), strlen(cases[i].base));
        ck_assert_str_eq(base, cases[i].base);
        ck_assert_uint_eq(phx_repeat_base(base, 3, id, &repeat), 3); /* what there is room for */
    }
}
END_TEST

START_TEST(other_node_ids_do_not)
{
    static const char *const ids[] = {
        "",
        "]",
        "t.py::test_x",
        "t.py::test_x[3]",
        "t[3-]",
        "t[-3]",
        "3-10]",
        "-3-10",
        "t[0-10]",
        "t[11-10]",
        "t[1-1]",
        "t[x3-10]",
        "t[3--10]",
        "t[3_10]",
        "t[3-10 ]",
        "t[3-999999999]",
        "t[3-1e1]",
        "t[a3-b10]",
        "t.py::test_x[3-10]::",
        "-10]",
    };
    struct phx_repeat repeat;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        ck_assert_msg(phx_repeat_of(ids[i], strlen(ids[i]), &repeat) == 0, "%s", ids[i]);
}
END_TEST

/* Plans `ids` for `nworkers` and writes who begins with what: "0 3|1|2". */
static void plan(char *out, const char *const *ids, uint32_t count, uint32_t nworkers)
{
    struct phx_collection tests;
    phx_collection_init(&tests);
    for (uint32_t i = 0; i < count; i++)
        ck_assert_int_eq(phx_collection_add(&tests, ids[i], strlen(ids[i]), NULL, 0), 0);
    struct phx_planner_options options = {
        .dist = PHX_DIST_LOAD, .nworkers = nworkers, .interleave = 1};
    struct phx_plan plan;
    ck_assert_int_eq(phx_planner_make(&plan, &tests, &options), 0);
    for (uint32_t span = 0; span < nworkers; span++) {
        if (span > 0)
            *out++ = '|';
        for (uint32_t pos = plan.spans[span].lo; pos < plan.spans[span].hi; pos++)
            *out++ = (char)('0' + plan.order[pos]);
    }
    *out = '\0';
    phx_plan_fini(&plan);
    phx_collection_fini(&tests);
}

START_TEST(neighbours_go_to_one_worker_after_the_other)
{
    static const char *const ids[] = {"a[1-3]", "a[2-3]", "a[3-3]", "b[1-3]", "b[2-3]", "b[3-3]"};
    char text[32];
    plan(text, ids, 6, 2);
    ck_assert_str_eq(text, "024|135");
    plan(text, ids, 6, 3);
    ck_assert_str_eq(text, "03|14|25");
}
END_TEST

START_TEST(repeated_modules_run_beside_each_other)
{
    static const char *const ids[] = {"a[1-3]", "b[1-3]", "a[2-3]", "b[2-3]", "a[3-3]", "b[3-3]"};
    char text[32];
    plan(text, ids, 6, 3);
    ck_assert_str_eq(text, "01|23|45");
    plan(text, ids, 6, 2);
    ck_assert_str_eq(text, "0145|23");
}
END_TEST

START_TEST(the_rest_follows_in_contiguous_parts)
{
    static const char *const ids[] = {"a", "b", "x[1-2]", "x[2-2]", "c", "d", "e[1-2-z]"};
    char text[32];
    plan(text, ids, 7, 2);
    ck_assert_str_eq(text, "201|3456");
}
END_TEST

START_TEST(neighbours_of_another_test_are_told_apart)
{
    /* Of equal length, and of one name with other counts. */
    static const char *const ids[] = {"a[1-2]", "b[1-2]", "a[1-3]", "a[2-2]"};
    char text[32];
    plan(text, ids, 4, 2);
    ck_assert_str_eq(text, "012|3");
}
END_TEST

START_TEST(without_repetitions_the_plan_is_the_usual_one)
{
    static const char *const ids[] = {"a", "b", "c", "d", "e", "f"};
    char text[32];
    plan(text, ids, 6, 2);
    ck_assert_str_eq(text, "012|345");
    plan(text, ids, 0, 2);
    ck_assert_str_eq(text, "|");
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, the_end_of_a_node_id_names_a_repetition);
    tcase_add_test(tests, other_node_ids_do_not);
    tcase_add_test(tests, neighbours_go_to_one_worker_after_the_other);
    tcase_add_test(tests, repeated_modules_run_beside_each_other);
    tcase_add_test(tests, the_rest_follows_in_contiguous_parts);
    tcase_add_test(tests, neighbours_of_another_test_are_told_apart);
    tcase_add_test(tests, without_repetitions_the_plan_is_the_usual_one);
}

int main(void)
{
    return harness_run("repeat", 30, add);
}
