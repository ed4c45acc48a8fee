/* A run queue whose tests are dealt to it: units that come late, and are taken back. */
#include <errno.h>

#include "harness.h"
#include "runq_fixture.h"

enum { WORKERS = 3, OURS = WORKERS, TESTS = 40, LATE = 64 };

static struct fixture f;

static void setup(void)
{
    ck_assert_int_eq(phx_plan_dealt(&f.plan, TESTS, WORKERS), 0);
    ck_assert_int_eq(fixture_init(&f, WORKERS + 1, LATE), 0);
    ck_assert_uint_eq(f.q.tells_starts, 1);
}

static void teardown(void)
{
    fixture_fini(&f);
}

static int64_t add(uint32_t first, uint32_t count)
{
    uint32_t tests[TESTS], costs[TESTS];
    for (uint32_t i = 0; i < count; i++) {
        tests[i] = first + i;
        costs[i] = 100;
    }
    return phx_runq_add_unit(&f.q, tests, costs, count);
}

/* Claims one test and ends it. Returns it, or -1 when there is none. */
static int64_t run_one(uint32_t worker)
{
    uint32_t pos;
    int status = phx_runq_claim(&f.q, worker, &pos);
    ck_assert_int_ge(status, 0);
    if (status == 0)
        return -1;
    phx_runq_start(&f.q, worker, pos, 1);
    phx_runq_end(&f.q, worker, pos, 2);
    return phx_runq_test(&f.q, pos);
}

START_TEST(nothing_is_there_before_it_is_dealt)
{
    phx_runq_join(&f.q, 0);
    ck_assert_int_eq(run_one(0), -1);
    ck_assert_int_eq(add(5, 1), TESTS);
    ck_assert_int_eq(run_one(0), 5);
    ck_assert_int_eq(run_one(0), -1);
}
END_TEST

START_TEST(a_unit_stays_with_one_worker_in_its_order)
{
    for (uint32_t i = 0; i < WORKERS; i++)
        phx_runq_join(&f.q, i);
    for (uint32_t unit = 0; unit < 8; unit++)
        ck_assert_int_eq(add(unit * 5, 5), TESTS + unit * 5);
    uint32_t owner[8], next[8] = {0}, ran = 0;
    for (uint32_t turn = 0; ran < TESTS; turn++) {
        int64_t test = run_one(turn % WORKERS);
        ck_assert_uint_lt(turn, 1000);
        if (test < 0)
            continue;
        uint32_t unit = (uint32_t)test / 5;
        if (next[unit] == 0)
            owner[unit] = turn % WORKERS;
        ck_assert_uint_eq(owner[unit], turn % WORKERS);
        ck_assert_uint_eq(next[unit]++, (uint32_t)test % 5);
        ran++;
    }
}
END_TEST

START_TEST(units_are_taken_back_whole_and_only_before_they_are_begun)
{
    uint32_t first, count, back = 0;
    phx_runq_join(&f.q, 0);
    phx_runq_join(&f.q, OURS);
    for (uint32_t unit = 0; unit < 8; unit++)
        add(unit * 5, 5);
    ck_assert_int_eq(run_one(0), 0); /* it has taken some units now, and begun one */
    while (phx_runq_withdraw(&f.q, OURS, &first, &count) == 1) {
        ck_assert_uint_eq(count, 5);
        ck_assert_uint_eq(phx_runq_test(&f.q, first) % 5, 0);
        ck_assert_uint_ne(phx_runq_test(&f.q, first), 0);
        back += count;
    }
    ck_assert_uint_eq(back, TESTS - 5);
    for (int64_t test = 1; test < 5; test++)
        ck_assert_int_eq(run_one(0), test);
    ck_assert_int_eq(run_one(0), -1);
    ck_assert_int_eq(add(10, 5), 2 * TESTS); /* and come again */
    ck_assert_int_eq(run_one(0), 10);
}
END_TEST

START_TEST(what_does_not_fit_or_is_no_test_is_not_added_by_half)
{
    uint32_t tests[2] = {1, TESTS}, costs[2] = {1, 1};
    phx_runq_join(&f.q, 0);
    ck_assert_int_eq(phx_runq_add_unit(&f.q, tests, costs, 2), -EINVAL);
    ck_assert_int_eq(phx_runq_add_unit(&f.q, tests, costs, 0), -EINVAL);
    ck_assert_int_eq(add(0, 40), TESTS);
    ck_assert_int_eq(add(0, 25), -ENOSPC);
    ck_assert_uint_eq(phx_runq_left(&f.q), 40);
    ck_assert_int_eq(add(0, 24), 2 * TESTS);
    ck_assert_uint_eq(phx_runq_left(&f.q), 64);
}
END_TEST

START_TEST(a_closed_queue_gives_nothing_back)
{
    uint32_t first, count;
    phx_runq_join(&f.q, OURS);
    add(0, 5);
    phx_runq_close(&f.q);
    ck_assert_int_eq(phx_runq_withdraw(&f.q, OURS, &first, &count), 0);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, nothing_is_there_before_it_is_dealt);
    tcase_add_test(tests, a_unit_stays_with_one_worker_in_its_order);
    tcase_add_test(tests, units_are_taken_back_whole_and_only_before_they_are_begun);
    tcase_add_test(tests, what_does_not_fit_or_is_no_test_is_not_added_by_half);
    tcase_add_test(tests, a_closed_queue_gives_nothing_back);
}

int main(void)
{
    return harness_run("runq_dealt", 20, add_tests);
}
