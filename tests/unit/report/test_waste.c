/* Runs whose waste is known, one for each cause. */
#include "report/waste.h"

#include <string.h>

#include "harness.h"

#define S PHX_S

static struct phx_waste find(const struct phx_waste_input *input)
{
    struct phx_waste waste = {.cause = (enum phx_waste_cause)77};
    ck_assert_int_eq(phx_waste_find(&waste, input), 0);
    return waste;
}

static const char *sentence(const struct phx_waste_input *input, const char *name,
                            const char *scope)
{
    static char text[PHX_WASTE_LINE_MAX];
    struct phx_waste waste = find(input);
    size_t size = phx_waste_format(text, sizeof text, &waste, input, name, name ? strlen(name) : 0,
                                   scope, scope ? strlen(scope) : 0);
    ck_assert_uint_eq(size, strlen(text));
    ck_assert_uint_lt(size, sizeof text - 1);
    return text;
}

/* Two workers, the clock begins at 100 s; gw0 runs to 110, gw1 to `other`. */
static struct phx_waste_test two[3];

static struct phx_waste_input run_of_two(phx_ns other)
{
    two[0] = (struct phx_waste_test){.worker = 0, .test = 4, .start = 100 * S, .end = 101 * S};
    two[1] = (struct phx_waste_test){.worker = 0, .test = 5, .start = 101 * S, .end = 110 * S};
    two[2] = (struct phx_waste_test){.worker = 1, .test = 6, .start = 100 * S, .end = other};
    return (struct phx_waste_input){.tests = two,
                                    .ntests = 3,
                                    .nworkers = 2,
                                    .nparallel = 2,
                                    .ncores = 2,
                                    .forked = 100 * S,
                                    .ended = 110 * S};
}

START_TEST(a_balanced_run_needs_no_words)
{
    struct phx_waste_input input = run_of_two(109 * S); /* 1 s of 20: less than a tenth */
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_NONE);
    ck_assert_str_eq(sentence(&input, "test_x", NULL), "");
}
END_TEST

START_TEST(less_than_a_second_is_nothing)
{
    struct phx_waste_input input = run_of_two(109 * S);
    for (int i = 0; i < 3; i++) { /* the same in a tenth of the time, and worse */
        two[i].start = 100 * S + (two[i].start - 100 * S) / 10;
        two[i].end = 100 * S + (two[i].end - 100 * S) / 10;
    }
    two[2].end = 100 * S + S / 10;
    input.ended = 101 * S;
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_NONE);
}
END_TEST

START_TEST(one_long_test)
{
    struct phx_waste_input input = run_of_two(103 * S);
    struct phx_waste waste = find(&input);
    ck_assert_int_eq(waste.cause, PHX_WASTE_TEST);
    ck_assert_int_eq(waste.lost, 7 * S);
    ck_assert_int_eq(waste.alone, 7 * S);
    ck_assert_int_eq(waste.took, 9 * S);
    ck_assert_uint_eq(waste.test, 5);
    ck_assert_str_eq(sentence(&input, "test_checkout", NULL),
                     "test_checkout kept other workers waiting for 7.0 s at the end (it takes 9.0 "
                     "s): a run is never shorter than its longest test; split it");
}
END_TEST

START_TEST(one_long_scope)
{
    struct phx_waste_input input = run_of_two(103 * S);
    two[0].scope = two[1].scope = "t_shop.py";
    two[0].scope_size = two[1].scope_size = 9;
    two[2].scope = "t_cart.py";
    two[2].scope_size = 9;
    struct phx_waste waste = find(&input);
    ck_assert_int_eq(waste.cause, PHX_WASTE_SCOPE);
    ck_assert_int_eq(waste.took, 10 * S);
    ck_assert_uint_eq(waste.ntests, 2);
    ck_assert_str_eq(sentence(&input, "test_checkout", "t_shop.py"),
                     "t_shop.py kept other workers waiting for 7.0 s at the end (its 2 tests take "
                     "10.0 s on one worker): split it, or use --dist=load");
}
END_TEST

START_TEST(a_scope_of_one_test_is_a_long_test)
{
    struct phx_waste_input input = run_of_two(103 * S);
    two[1].scope = "t_shop.py";
    two[1].scope_size = 9;
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_TEST);
}
END_TEST

static const struct phx_collection_limit limits[] = {{NULL, 0, 0}, {"database", 8, 1}};

START_TEST(a_limited_group)
{
    struct phx_waste_input input = run_of_two(103 * S);
    input.limits = limits;
    two[1].start = 104 * S; /* gw1 has had nothing to do for a second */
    two[0].limit = two[1].limit = 2;
    struct phx_waste waste = find(&input);
    ck_assert_int_eq(waste.cause, PHX_WASTE_LIMIT);
    ck_assert_int_eq(waste.lost, 7 * S);
    ck_assert_uint_eq(waste.ntests, 2);
    ck_assert_str_eq(sentence(&input, "test_checkout", NULL),
                     "the limit on database kept other workers waiting for 7.0 s at the end (2 "
                     "tests, 1 at a time, take 7.0 s): raise it, or mark fewer tests");
    two[1].start = 101 * S; /* it had begun before: nobody could have taken it */
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_TEST);
}
END_TEST

START_TEST(exclusive_tests)
{
    struct phx_waste_input input = run_of_two(110 * S); /* nobody is idle at the end */
    input.limits = limits;
    two[0].end = 102 * S;
    two[1].start = two[2].start = 102 * S; /* gw1 waits for the first one */
    two[0].limit = 1;
    struct phx_waste waste = find(&input);
    ck_assert_int_eq(waste.cause, PHX_WASTE_EXCLUSIVE);
    ck_assert_int_eq(waste.lost, 2 * S);
    ck_assert_str_eq(sentence(&input, "test_checkout", NULL),
                     "1 exclusive test took 2.0 s, and nothing else ran meanwhile: for tests that "
                     "may only not run beside each other, phalanx_limit is enough");
    two[0].limit = 2;
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_NONE);
}
END_TEST

START_TEST(nothing_but_exclusive_tests)
{
    struct phx_waste_input input = run_of_two(110 * S);
    input.limits = limits;
    input.ntests = 2; /* gw1 never has anything */
    two[0].limit = two[1].limit = 1;
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_EXCLUSIVE);
    ck_assert_int_eq(find(&input).took, 10 * S);
}
END_TEST

START_TEST(many_short_tests_at_the_end_are_nobodys_fault)
{
    struct phx_waste_input input = run_of_two(103 * S);
    two[1].start = 107 * S + S / 2; /* 2.5 s of the 7 */
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_NONE);
}
END_TEST

/* gw0 crashed and gw2 went on in its place: nobody was idle. */
START_TEST(a_replacement_goes_on_where_its_predecessor_stopped)
{
    struct phx_waste_input input = run_of_two(110 * S);
    two[1].worker = 2;
    input.nworkers = 3;
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_NONE);
}
END_TEST

START_TEST(workers_without_any_test_were_idle)
{
    struct phx_waste_input input = run_of_two(110 * S);
    input.nworkers = input.nparallel = input.ncores = 4;
    struct phx_waste waste = find(&input);
    ck_assert_int_eq(waste.cause, PHX_WASTE_TEST);
    ck_assert_int_eq(waste.lost, 20 * S);
    ck_assert_int_eq(waste.alone, 10 * S);
}
END_TEST

START_TEST(startup)
{
    struct phx_waste_input input = run_of_two(110 * S);
    input.startup = 4 * S; /* of 14: less than a third */
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_NONE);
    input.startup = 5 * S;
    struct phx_waste waste = find(&input);
    ck_assert_int_eq(waste.cause, PHX_WASTE_STARTUP);
    ck_assert_int_eq(waste.lost, 10 * S);
    ck_assert_str_eq(sentence(&input, "test_checkout", NULL),
                     "start-up took 5.0 s of 15.0 s, and no worker can help with it: see what test "
                     "modules and conftest files import (python -X importtime)");
}
END_TEST

START_TEST(more_workers_than_cores)
{
    struct phx_waste_input input = run_of_two(110 * S);
    input.nworkers = input.nparallel = 2;
    input.ncores = 1;
    input.cpu = 6 * S; /* of 10: they also wait */
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_NONE);
    input.cpu = 9 * S;
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_CORES);
    ck_assert_str_eq(sentence(&input, "test_checkout", NULL),
                     "2 workers shared 1 core that the tests kept busy: -n 1 would be as fast");
    input.ncores = 0; /* unknown */
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_NONE);
    input.ncores = 2;
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_NONE);
}
END_TEST

START_TEST(the_dearest_cause_is_named)
{
    struct phx_waste_input input = run_of_two(103 * S); /* 7 s */
    input.startup = 5 * S;                              /* 10 s */
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_STARTUP);
    input.startup = 0;
    input.ncores = 1; /* 10 s */
    input.cpu = 10 * S;
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_CORES);
}
END_TEST

START_TEST(a_run_without_tests)
{
    struct phx_waste_input input = {.nparallel = 2, .nworkers = 2};
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_NONE);
    input = (struct phx_waste_input){0};
    ck_assert_int_eq(find(&input).cause, PHX_WASTE_NONE);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_balanced_run_needs_no_words);
    tcase_add_test(tests, less_than_a_second_is_nothing);
    tcase_add_test(tests, one_long_test);
    tcase_add_test(tests, one_long_scope);
    tcase_add_test(tests, a_scope_of_one_test_is_a_long_test);
    tcase_add_test(tests, a_limited_group);
    tcase_add_test(tests, exclusive_tests);
    tcase_add_test(tests, nothing_but_exclusive_tests);
    tcase_add_test(tests, many_short_tests_at_the_end_are_nobodys_fault);
    tcase_add_test(tests, a_replacement_goes_on_where_its_predecessor_stopped);
    tcase_add_test(tests, workers_without_any_test_were_idle);
    tcase_add_test(tests, startup);
    tcase_add_test(tests, more_workers_than_cores);
    tcase_add_test(tests, the_dearest_cause_is_named);
    tcase_add_test(tests, a_run_without_tests);
}

int main(void)
{
    return harness_run("waste", 10, add);
}
