#include "sched/dealer.h"

#include <stdlib.h>
#include <string.h>

#include "harness.h"

enum { TESTS_MAX = 400 };

static uint32_t random_number(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 32);
}

/* `ntests` tests in units of `unit`, in `nspans` spans of about the same length; order is
 * backwards, so that position and test are never confused. */
static struct phx_plan make_plan(uint32_t ntests, uint32_t unit, uint32_t nspans)
{
    struct phx_plan plan;
    ck_assert_int_eq(phx_plan_by_mail(&plan, ntests, nspans), 0);
    plan.by_mail = 0;
    for (uint32_t pos = 0; pos < ntests; pos++) {
        plan.order[pos] = ntests - 1 - pos;
        plan.unit[pos] = pos / unit;
        plan.cost_us[pos] = 10;
    }
    uint32_t nunits = (ntests + unit - 1) / unit, lo = 0;
    for (uint32_t i = 0; i < nspans; i++) {
        uint32_t hi = nunits * (i + 1) / nspans * unit;
        plan.spans[i] = (struct phx_plan_span){lo, hi < ntests ? hi : ntests};
        lo = plan.spans[i].hi;
    }
    return plan;
}

static uint32_t number_at(const struct phx_buf *portion, size_t at)
{
    uint32_t number;
    ck_assert_uint_lt(at, phx_buf_size(portion) / sizeof number);
    memcpy(&number, phx_buf_head(portion) + at * sizeof number, sizeof number);
    return number;
}

/* Deals once; counts in `dealt` how often each test was handed out. Returns the number of tests. */
static int64_t deal(struct phx_dealer *dealer, uint32_t machine, uint32_t least, uint32_t unit,
                    int *dealt, uint32_t *tests)
{
    struct phx_buf portion;
    phx_buf_init(&portion);
    int64_t count = phx_dealer_deal(dealer, machine, least, &portion), seen = 0;
    ck_assert_int_ge(count, 0);
    for (size_t at = 0; at < phx_buf_size(&portion) / sizeof(uint32_t);) {
        uint32_t size = number_at(&portion, at++);
        ck_assert_uint_ge(size, 1);
        ck_assert_uint_le(size, unit);
        uint32_t first = number_at(&portion, at);
        for (uint32_t i = 0; i < size; i++, at += 2) {
            uint32_t test = number_at(&portion, at);
            ck_assert_uint_lt(test, dealer->plan.ntests);
            ck_assert_uint_eq(dealer->plan.unit[dealer->place[test]],
                              dealer->plan.unit[dealer->place[first]]);
            ck_assert_uint_eq(number_at(&portion, at + 1), 10);
            dealt[test]++;
            tests[seen++] = test;
        }
    }
    ck_assert_int_eq(seen, count);
    phx_buf_fini(&portion);
    return count;
}

START_TEST(the_first_portions_are_half_of_what_is_planned_for_a_machine)
{
    int dealt[TESTS_MAX] = {0};
    uint32_t tests[TESTS_MAX], owner[] = {0, 0, 1};
    struct phx_plan plan = make_plan(120, 1, 3);
    struct phx_dealer dealer;
    ck_assert_int_eq(phx_dealer_init(&dealer, &plan, owner), 0);
    ck_assert_ptr_null(plan.order);
    ck_assert_int_eq(deal(&dealer, 0, 2, 1, dealt, tests), 40); /* of 80 */
    ck_assert_int_eq(deal(&dealer, 1, 2, 1, dealt, tests), 20); /* of 40 */
    ck_assert_int_eq(deal(&dealer, 0, 2, 1, dealt, tests), 20);
    ck_assert_int_eq(deal(&dealer, 1, 15, 1, dealt, tests), 15); /* at least so many */
    ck_assert_uint_eq(dealer.left, 25);
    for (int i = 0; i < 120; i++)
        ck_assert_int_le(dealt[i], 1);
    phx_dealer_fini(&dealer);
}
END_TEST

START_TEST(who_is_through_gets_from_the_back_of_another_span)
{
    int dealt[TESTS_MAX] = {0};
    uint32_t tests[TESTS_MAX], owner[] = {0, 1};
    struct phx_plan plan = make_plan(40, 1, 2);
    struct phx_dealer dealer;
    ck_assert_int_eq(phx_dealer_init(&dealer, &plan, owner), 0);
    ck_assert_int_eq(deal(&dealer, 0, 20, 1, dealt, tests), 20); /* all its own */
    ck_assert_int_eq(deal(&dealer, 0, 1, 1, dealt, tests), 10);
    for (int i = 0; i < 10; i++) /* order is backwards: the last positions are the first tests */
        ck_assert_int_eq(dealt[i], 1);
    phx_dealer_fini(&dealer);
}
END_TEST

START_TEST(what_comes_back_is_dealt_first_in_its_unit)
{
    int dealt[TESTS_MAX] = {0};
    uint32_t tests[TESTS_MAX], owner[] = {0, 1};
    struct phx_plan plan = make_plan(40, 4, 2);
    struct phx_dealer dealer;
    ck_assert_int_eq(phx_dealer_init(&dealer, &plan, owner), 0);
    ck_assert_int_eq(deal(&dealer, 0, 1, 4, dealt, tests), 12); /* half of 20, in whole units */
    for (int i = 4; i < 12; i++)
        ck_assert_int_eq(phx_dealer_return(&dealer, tests[i]), 0);
    uint32_t again[TESTS_MAX];
    ck_assert_int_eq(deal(&dealer, 1, 1, 4, dealt, again), 4);
    ck_assert_mem_eq(again, tests + 4, 4 * sizeof again[0]);
    ck_assert_int_eq(deal(&dealer, 1, 4, 4, dealt, again), 4);
    ck_assert_mem_eq(again, tests + 8, 4 * sizeof again[0]);
    phx_dealer_fini(&dealer);
}
END_TEST

/* Whatever is dealt to whom and given back: everybody together ends up with every test once. */
START_TEST(no_test_is_lost_or_dealt_twice)
{
    uint64_t seed = 0x9e3779b97f4a7c15U + (uint64_t)_i;
    uint32_t ntests = random_number(&seed) % TESTS_MAX, unit = 1 + random_number(&seed) % 9;
    uint32_t nspans = 1 + random_number(&seed) % 6, owner[6], held[TESTS_MAX], nheld = 0;
    int dealt[TESTS_MAX] = {0};
    for (int i = 0; i < 6; i++)
        owner[i] = random_number(&seed) % 4;
    struct phx_plan plan = make_plan(ntests, unit, nspans);
    struct phx_dealer dealer;
    ck_assert_int_eq(phx_dealer_init(&dealer, &plan, owner), 0);
    for (int turn = 0; dealer.left > 0; turn++) {
        uint32_t machine = random_number(&seed) % 4, least = random_number(&seed) % 20;
        ck_assert_int_lt(turn, 5000);
        nheld += (uint32_t)deal(&dealer, machine, least, unit, dealt, held + nheld);
        uint32_t back = turn < 200 ? random_number(&seed) % (nheld + 1) / 2 : 0;
        for (uint32_t i = nheld - back; i < nheld; i++) {
            dealt[held[i]]--;
            ck_assert_int_eq(phx_dealer_return(&dealer, held[i]), 0);
        }
        nheld -= back;
    }
    ck_assert_uint_eq(nheld, ntests);
    for (uint32_t test = 0; test < ntests; test++)
        ck_assert_int_eq(dealt[test], 1);
    phx_dealer_fini(&dealer);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, the_first_portions_are_half_of_what_is_planned_for_a_machine);
    tcase_add_test(tests, who_is_through_gets_from_the_back_of_another_span);
    tcase_add_test(tests, what_comes_back_is_dealt_first_in_its_unit);
    tcase_add_loop_test(tests, no_test_is_lost_or_dealt_twice, 0, 100);
}

int main(void)
{
    return harness_run("dealer", 20, add_tests);
}
