/* Deadlines of running tests: who comes first, the worker or the controller. */
#include "harness.h"
#include "runq_fixture.h"

static struct fixture f;
static struct phx_runq_deadline told;

static void make(void)
{
    fixture_plan(&f.plan, 4, 2, 1);
    ck_assert_int_eq(fixture_init(&f, 2, 0), 0);
}

static int set(uint32_t worker, phx_ns at, phx_ns timeout)
{
    const struct phx_runq_deadline deadline = {.at = at, .timeout = timeout, .stack_signal = 40};
    return phx_runq_set_deadline(&f.q, worker, &deadline);
}

static int condemn(uint32_t worker, phx_ns now)
{
    told = (struct phx_runq_deadline){0};
    return phx_runq_condemn(&f.q, worker, now, &told);
}

START_TEST(a_test_without_a_deadline_is_never_condemned)
{
    make();
    ck_assert_int_eq(condemn(0, INT64_MAX), 0);
    ck_assert_int_eq(set(0, 100, 70), 1);
    ck_assert_int_eq(set(0, 0, 0), 1);
    ck_assert_int_eq(condemn(0, INT64_MAX), 0);
    fixture_fini(&f);
}
END_TEST

START_TEST(a_test_is_condemned_at_its_deadline)
{
    make();
    ck_assert_int_eq(set(0, 100, 70), 1);
    ck_assert_int_eq(set(1, 200, 170), 1);
    ck_assert_int_eq(condemn(0, 99), 0);
    ck_assert_int_eq(condemn(0, 100), 1);
    ck_assert_int_eq(told.timeout, 70);
    ck_assert_int_eq(told.stack_signal, 40);
    ck_assert_int_eq(condemn(1, 100), 0);
    fixture_fini(&f);
}
END_TEST

START_TEST(who_is_condemned_stays_it)
{
    make();
    ck_assert_int_eq(set(0, 100, 70), 1);
    ck_assert_int_eq(condemn(0, 100), 1);
    ck_assert_int_eq(set(0, 0, 0), 0);
    ck_assert_int_eq(set(0, 300, 70), 0);
    phx_runq_extend(&f.q, 0, 1000);
    ck_assert_int_eq(condemn(0, 1), 1);
    fixture_fini(&f);
}
END_TEST

START_TEST(a_deadline_that_is_lifted_keeps_what_was_told_with_it)
{
    make();
    ck_assert_int_eq(set(0, 100, 70), 1);
    ck_assert_int_eq(set(0, 0, 0), 1);
    ck_assert_int_eq(set(0, 300, 50), 1);
    ck_assert_int_eq(condemn(0, 299), 0);
    ck_assert_int_eq(condemn(0, 300), 1);
    ck_assert_int_eq(told.timeout, 50);
    fixture_fini(&f);
}
END_TEST

START_TEST(a_deadline_can_be_moved)
{
    make();
    phx_runq_extend(&f.q, 0, 1000);
    ck_assert_int_eq(condemn(0, INT64_MAX), 0);
    ck_assert_int_eq(set(0, 100, 70), 1);
    phx_runq_extend(&f.q, 0, 1000);
    ck_assert_int_eq(condemn(0, 1099), 0);
    ck_assert_int_eq(condemn(0, 1100), 1);
    ck_assert_int_eq(set(1, INT64_MAX, 70), 1);
    phx_runq_extend(&f.q, 1, 1000); /* later than there is */
    ck_assert_int_eq(condemn(1, INT64_MAX - 1), 0);
    fixture_fini(&f);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_test_without_a_deadline_is_never_condemned);
    tcase_add_test(tests, a_test_is_condemned_at_its_deadline);
    tcase_add_test(tests, who_is_condemned_stays_it);
    tcase_add_test(tests, a_deadline_that_is_lifted_keeps_what_was_told_with_it);
    tcase_add_test(tests, a_deadline_can_be_moved);
}

int main(void)
{
    return harness_run("runq_deadline", 10, add);
}
