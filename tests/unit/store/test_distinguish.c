#include "store/distinguish.h"

#include <string.h>

#include "harness.h"

static struct phx_trial trials[64];
static size_t count;
static struct phx_sign signs[PHX_SIGN_KINDS];

/* A trial on worker 0, after nothing, of 1 ms. */
static struct phx_trial *add(char outcome)
{
    trials[count] = (struct phx_trial){.outcome = outcome, .took_us = 1000};
    return &trials[count++];
}

static void set_after(struct phx_trial *trial, const char *id)
{
    trial->after = id;
    trial->after_size = strlen(id);
}

START_TEST(chance_is_counted)
{
    /* Of 10 balls 3 are red; both of 2 drawn ones are: 3/10 * 2/9. */
    ck_assert_double_eq_tol(phx_distinguish_chance(10, 3, 2, 2), 6.0 / 90, 1e-9);
    ck_assert_double_eq_tol(phx_distinguish_chance(10, 3, 2, 1), 1 - 7.0 * 6 / 90, 1e-9);
    ck_assert_double_eq_tol(phx_distinguish_chance(10, 3, 2, 0), 1, 1e-9);
    ck_assert_double_eq_tol(phx_distinguish_chance(5, 5, 3, 3), 1, 1e-9);
    ck_assert_double_eq_tol(phx_distinguish_chance(2000, 1000, 1000, 1000), 0, 1e-9);
}
END_TEST

START_TEST(nothing_to_tell_apart)
{
    count = 0;
    ck_assert_int_eq(phx_distinguish(signs, trials, 0), 0);
    add('.');
    ck_assert_int_eq(phx_distinguish(signs, trials, count), 0);
    count = 0;
    add('F');
    add('C');
    ck_assert_int_eq(phx_distinguish(signs, trials, count), 0);
    add('.'); /* three trials alike but for their ends */
    ck_assert_int_eq(phx_distinguish(signs, trials, count), 0);
}
END_TEST

START_TEST(a_predecessor_is_found)
{
    static const char *const others[] = {"t::a", "t::ab", "t::b"};
    count = 0;
    for (int i = 0; i < 4; i++)
        set_after(add('F'), "t::guilty");
    set_after(add('.'), "t::guilty");
    for (int i = 0; i < 12; i++)
        set_after(add('.'), others[i % 3]);
    add('.');
    ck_assert_int_eq(phx_distinguish(signs, trials, count), 1);
    ck_assert_int_eq(signs[0].kind, PHX_SIGN_AFTER);
    ck_assert_uint_eq(signs[0].example.after_size, 9);
    ck_assert_int_eq(memcmp(signs[0].example.after, "t::guilty", 9), 0);
    ck_assert_uint_eq(signs[0].with, 5);
    ck_assert_uint_eq(signs[0].bad_with, 4);
    ck_assert_uint_eq(signs[0].without, 13);
    ck_assert_uint_eq(signs[0].bad_without, 0);
}
END_TEST

START_TEST(being_first_is_a_predecessor_too)
{
    count = 0;
    for (int i = 0; i < 5; i++)
        add('E');
    for (int i = 0; i < 5; i++)
        set_after(add('.'), "t::a");
    ck_assert_int_eq(phx_distinguish(signs, trials, count), 1);
    ck_assert_ptr_null(signs[0].example.after);
    ck_assert_uint_eq(signs[0].bad_with, 5);
}
END_TEST

START_TEST(a_worker_and_a_repetition_are_found)
{
    count = 0;
    for (uint32_t i = 0; i < 24; i++) {
        struct phx_trial *trial = add(i % 4 == 3 ? 'F' : '.');
        trial->worker = i % 4;
        trial->repetition = i % 4 == 3 ? 7 : 1 + i % 5;
    }
    ck_assert_int_eq(phx_distinguish(signs, trials, count), 2);
    ck_assert_int_eq(signs[0].kind, PHX_SIGN_WORKER);
    ck_assert_uint_eq(signs[0].example.worker, 3);
    ck_assert_int_eq(signs[1].kind, PHX_SIGN_REPETITION);
    ck_assert_uint_eq(signs[1].example.repetition, 7);
    ck_assert_double_le(signs[0].probability, signs[1].probability);
}
END_TEST

START_TEST(slow_and_fast_failures_are_found)
{
    count = 0;
    for (uint32_t i = 0; i < 20; i++) {
        int bad = i % 5 == 0;
        add(bad ? 'F' : '.')->took_us = (bad ? 900000 : 1000) + i;
    }
    ck_assert_int_eq(phx_distinguish(signs, trials, count), 1);
    ck_assert_int_eq(signs[0].kind, PHX_SIGN_SLOWER);
    ck_assert_uint_eq(signs[0].limit_us, 900000);
    ck_assert_uint_eq(signs[0].with, 4);
    ck_assert_uint_eq(signs[0].bad_with, 4);
    for (size_t i = 0; i < count; i++)
        trials[i].took_us = 1000000 - trials[i].took_us;
    ck_assert_int_eq(phx_distinguish(signs, trials, count), 1);
    ck_assert_int_eq(signs[0].kind, PHX_SIGN_FASTER);
    ck_assert_uint_eq(signs[0].limit_us, 100000);
    for (size_t i = 0; i < count; i++) /* as slow as writing the report of a failure */
        trials[i].took_us = trials[i].outcome == 'F' ? 30000 : 1000;
    ck_assert_int_eq(phx_distinguish(signs, trials, count), 0);
}
END_TEST

START_TEST(chance_is_no_sign)
{
    /* 3,000 tests that fail at random: at most about 5 % of them may seem to have a sign of one
     * kind, of three that can be found here. */
    uint64_t state = 1;
    int found = 0;
    for (int test = 0; test < 3000; test++) {
        count = 0;
        for (int i = 0; i < 30; i++) {
            uint32_t draw[4];
            for (int k = 0; k < 4; k++) {
                state = state * 6364136223846793005u + 1442695040888963407u;
                draw[k] = (uint32_t)(state >> 33);
            }
            struct phx_trial *trial = add(draw[0] % 5 == 0 ? 'F' : '.');
            trial->worker = draw[1] % 4;
            trial->took_us = draw[2] % 10000000;
            set_after(trial, draw[3] % 2 ? "t::a" : "t::b");
        }
        found += phx_distinguish(signs, trials, count) > 0;
    }
    ck_assert_int_lt(found, 450);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, chance_is_counted);
    tcase_add_test(tests, nothing_to_tell_apart);
    tcase_add_test(tests, a_predecessor_is_found);
    tcase_add_test(tests, being_first_is_a_predecessor_too);
    tcase_add_test(tests, a_worker_and_a_repetition_are_found);
    tcase_add_test(tests, slow_and_fast_failures_are_found);
    tcase_add_test(tests, chance_is_no_sign);
}

int main(void)
{
    return harness_run("distinguish", 60, add_tests);
}
