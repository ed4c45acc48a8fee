#include "sched/balance.h"

#include "harness.h"

static struct phx_load load(uint32_t room, uint32_t running, uint32_t unstarted)
{
    return (struct phx_load){.room = room, .running = running, .unstarted = unstarted};
}

START_TEST(compared_is_what_each_worker_has)
{
    struct phx_load small = load(1, 1, 1), large = load(4, 4, 3), equal = load(2, 2, 2);
    ck_assert(phx_load_is_less(&large, &small));
    ck_assert(!phx_load_is_less(&small, &large));
    ck_assert(!phx_load_is_less(&small, &equal) && !phx_load_is_less(&equal, &small));
}
END_TEST

START_TEST(idle_is_who_has_less_than_a_test_for_each_worker)
{
    struct phx_load idle = load(3, 1, 1), busy = load(3, 3, 0), supplied = load(3, 0, 3);
    ck_assert(phx_load_is_idle(&idle));
    ck_assert(!phx_load_is_idle(&busy) && !phx_load_is_idle(&supplied));
}
END_TEST

START_TEST(the_poor_get_half_of_what_is_more)
{
    struct phx_load rich = load(1, 1, 9), poor = load(1, 0, 0);
    ck_assert_uint_eq(phx_load_share(&rich, &poor), 5);
    ck_assert_uint_eq(phx_load_share(&poor, &rich), 0);
    rich = load(2, 2, 98);
    poor = load(8, 8, 0);
    ck_assert_uint_eq(phx_load_share(&rich, &poor), 78); /* 22 for two, 86 for eight */
    rich = load(1, 40, 1); /* more than it has begun nobody can give */
    ck_assert_uint_eq(phx_load_share(&rich, &poor), 1);
}
END_TEST

/* Every pair of machines with up to four workers and eight tests. */
static void for_each_pair(void (*check)(struct phx_load rich, struct phx_load poor))
{
    enum { ROOM = 4, TESTS = 8 };
    for (uint32_t i = 0; i < ROOM * ROOM; i++)
        for (uint32_t a = 0; a <= ROOM; a++)
            for (uint32_t b = 0; b <= ROOM; b++)
                for (uint32_t k = 0; k <= TESTS * TESTS; k++) {
                    uint32_t rich_room = 1 + i / ROOM, poor_room = 1 + i % ROOM;
                    if (a <= rich_room && b <= poor_room)
                        check(load(rich_room, a, k / TESTS), load(poor_room, b, k % TESTS));
                }
}

static void check_idle_gets_one(struct phx_load rich, struct phx_load poor)
{
    if (rich.running == rich.room && rich.unstarted > 0 && phx_load_is_idle(&poor))
        ck_assert_uint_ge(phx_load_share(&rich, &poor), 1);
}

START_TEST(who_is_idle_gets_one_from_whoever_is_busy)
{
    for_each_pair(check_idle_gets_one);
}
END_TEST

/* Given back, the tests are dealt to who has least, one by one at worst: never to the giver, and
 * nobody asks for them again. */
static void check_stays(struct phx_load rich, struct phx_load poor)
{
    uint32_t share = phx_load_share(&rich, &poor);
    ck_assert_uint_le(share, rich.unstarted);
    if (share == 0)
        return;
    rich.unstarted -= share;
    for (; share > 0; share--) {
        ck_assert(!phx_load_is_less(&rich, &poor));
        poor.unstarted++;
    }
    ck_assert_uint_eq(phx_load_share(&poor, &rich), 0);
}

START_TEST(what_was_given_does_not_come_back)
{
    for_each_pair(check_stays);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, compared_is_what_each_worker_has);
    tcase_add_test(tests, idle_is_who_has_less_than_a_test_for_each_worker);
    tcase_add_test(tests, the_poor_get_half_of_what_is_more);
    tcase_add_test(tests, who_is_idle_gets_one_from_whoever_is_busy);
    tcase_add_test(tests, what_was_given_does_not_come_back);
}

int main(void)
{
    return harness_run("balance", 60, add_tests);
}
