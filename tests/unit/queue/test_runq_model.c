/* A model checker around the run queue itself: not a copy of its protocol, the real code, compiled
 * here a second time with its accesses to shared memory replaced.
 *
 * An actor (a worker, the controller) advances by one access at a time. To let it, its operation is
 * run again from the start: the accesses it has made before are answered from its log and touch
 * nothing, the next one is real, and before the one after it the operation is left by longjmp. So
 * an actor between two accesses is nothing but a log of values, a state of the whole system is a
 * few plain bytes, and it can be copied, compared and gone back to.
 *
 * From the first state every order of accesses is followed, with a death of any worker at any
 * access, after which the controller buries it while the others go on. A state met before is not
 * followed again. Interleavings are sequentially consistent: weaker memory orders are reasoned
 * about in the code and are for test_runq_threads.
 *
 * The mutations at the end take one step of the protocol away and must be found out: a model that
 * cannot fail proves nothing. */
#include "runq_model.h"

/* clang-format off */
static const struct config configs[] = {
    {.name = "an owner and two idle workers", .ntests = 3, .nworkers = 3, .nspans = 1,
     .spans = {{0, 3}}, .unit = {0, 1, 2}, .deaths = 1},
    {.name = "one owner, one idle, five tests", .ntests = 5, .nworkers = 2, .nspans = 1,
     .spans = {{0, 5}}, .unit = {0, 1, 2, 3, 4}, .deaths = 1, .bury_ended = 1},
    {.name = "units of two", .ntests = 4, .nworkers = 3, .nspans = 1,
     .spans = {{0, 4}}, .unit = {0, 0, 1, 1}, .deaths = 1},
    {.name = "neighbours: whoever was robbed empty robs the span before its own",
     .ntests = 3, .nworkers = 3, .nspans = 2,
     .spans = {{0, 2}, {2, 3}}, .unit = {0, 1, 2}, .deaths = 1},
    {.name = "first units are kept", .ntests = 3, .nworkers = 3, .nspans = 2,
     .spans = {{0, 2}, {2, 3}}, .unit = {0, 1, 2}, .keep_first_unit = 1, .deaths = 1},
    {.name = "an ownerless span with a begun unit", .ntests = 4, .nworkers = 2, .nspans = 3,
     .spans = {{0, 0}, {0, 0}, {0, 4}}, .unit = {0, 0, 1, 2}, .deaths = 1, .bury_ended = 1},
    {.name = "late tests", .ntests = 1, .nworkers = 2, .nspans = 1,
     .spans = {{0, 1}}, .unit = {0}, .nlate = 3, .deaths = 1, .bury_ended = 1},
    {.name = "a worker that stops early", .ntests = 4, .nworkers = 2, .nspans = 1,
     .spans = {{0, 4}}, .unit = {0, 0, 0, 1}, .leaver = 1, .deaths = 1, .bury_ended = 1},
    {.name = "a fixture that costs more than a steal saves", .ntests = 4, .nworkers = 2,
     .nspans = 1, .spans = {{0, 4}}, .unit = {0, 1, 2, 3}, .seam = {0, 0, 9, 9}, .deaths = 1,
     .bury_ended = 1},
    {.name = "an exclusive test before others", .ntests = 3, .nworkers = 2, .nspans = 2,
     .spans = {{1, 2}, {2, 3}}, .unit = {0, 1, 2}, .groups = {{0, 1, 0}}, .ngroups = 1,
     .deaths = 1, .bury_ended = 1},
    {.name = "two exclusive tests, three workers", .ntests = 3, .nworkers = 3, .nspans = 1,
     .spans = {{2, 3}}, .unit = {0, 1, 2}, .groups = {{0, 2, 0}}, .ngroups = 1},
    {.name = "a group with one permit", .ntests = 3, .nworkers = 2, .nspans = 2,
     .spans = {{2, 3}, {3, 3}}, .unit = {0, 1, 2}, .groups = {{0, 0, 0}, {0, 2, 1}},
     .ngroups = 2, .deaths = 1, .bury_ended = 1},
    {.name = "late tests that are exclusive", .ntests = 2, .nworkers = 2, .nspans = 1,
     .spans = {{1, 2}}, .unit = {0, 1}, .groups = {{0, 1, 0}}, .ngroups = 1, .nlate = 1,
     .deaths = 1, .bury_ended = 1},
    {.name = "two deaths", .ntests = 3, .nworkers = 2, .nspans = 1,
     .spans = {{0, 3}}, .unit = {0, 1, 2}, .deaths = 2},
};
/* clang-format on */

START_TEST(every_interleaving_hands_out_every_test_once)
{
    ck_assert_ptr_null(check_config(&configs[_i]));
}
END_TEST

static const struct {
    enum mutation mutation;
    const char *name;
} mutations[] = {
    {NO_JOURNAL, "no journal"},
    {NO_INTENT, "no intent"},
    {BLIND_CUT, "blind cut"},
    {BLIND_CLAIM, "blind claim"},
    {NO_LOCK, "no lock"},
    {NO_BREAK, "lock not broken"},
    {NO_GIVE_BACK, "not given back"},
    {NO_LEDGER, "start not in the ledger"},
};

START_TEST(a_step_taken_away_is_found_out)
{
    struct config c = configs[0];
    c.mutation = mutations[_i].mutation;
    c.name = mutations[_i].name;
    ck_assert_ptr_nonnull(check_config(&c));
}
END_TEST

/* What is too large to enumerate: more workers, more tests, several deaths, by chance. */
START_TEST(random_walks_through_larger_runs)
{
    const char *asked = getenv("PHX_TEST_WALKS");
    long walks = asked ? atol(asked) : 20000;
    uint64_t seed = 88172645463325252u + (uint64_t)_i, steps = 0;
    const char *failure = NULL;
    for (long walk = 0; walk < walks && !failure; walk++) {
        struct config c = {.name = "random", .nworkers = 2 + fixture_random(&seed) % 3};
        c.ntests = fixture_random(&seed) % 13;
        c.nspans = 1 + fixture_random(&seed) % 4;
        c.nlate = fixture_random(&seed) % 3;
        c.keep_first_unit = fixture_random(&seed) % 2;
        c.leaver = fixture_random(&seed) % 4 == 0;
        c.deaths = fixture_random(&seed) % (c.nworkers + 1);
        if (c.ntests == 0)
            c.nlate = 0;
        uint32_t cut = 0;
        for (uint32_t i = 0; i < c.ntests; i++) {
            c.unit[i] = i == 0 ? 0 : c.unit[i - 1] + (fixture_random(&seed) % 3 > 0);
            c.cost[i] = 1 + fixture_random(&seed) % 20;
            c.seam[i] = fixture_random(&seed) % 3 ? 0 : fixture_random(&seed) % 40;
        }
        if (fixture_random(&seed) % 2 && !c.keep_first_unit) { /* groups: units of one test */
            c.ngroups = 1 + fixture_random(&seed) % 3;
            c.bury_ended = 1; /* who waits waits for the burial of those that left */
            for (uint32_t i = 0; i < c.ntests; i++)
                c.unit[i] = i;
            for (uint32_t i = 0; i < c.ngroups; i++) {
                c.groups[i].lo = cut;
                cut += fixture_random(&seed) % (c.ntests + 1 - cut);
                c.groups[i].hi = cut;
                c.groups[i].permits = i == 0 ? 0 : 1 + fixture_random(&seed) % 2;
            }
        }
        for (uint32_t i = 0; i < c.nspans; i++) {
            c.spans[i].lo = cut;
            cut += fixture_random(&seed) % (c.ntests + 1 - cut);
            while (cut > 0 && cut < c.ntests && c.unit[cut] == c.unit[cut - 1])
                cut++;
            c.spans[i].hi = cut = i + 1 == c.nspans ? c.ntests : cut;
        }
        struct state s;
        begin(&s, &c);
        uint32_t calm = 20 + fixture_random(&seed) % 60; /* steps between deaths, about */
        for (;;) {
            uint32_t can[ACTORS_MAX], n = 0;
            for (uint32_t i = 0; i < m.nactors; i++)
                if (enabled(&s, i))
                    can[n++] = i;
            if (n == 0 || m.found)
                break;
            uint32_t chosen = can[fixture_random(&seed) % n];
            if (s.deaths < c.deaths && chosen + 1 < m.nactors && fixture_random(&seed) % calm == 0)
                kill_worker(&s, chosen);
            else
                step(&s, chosen);
            steps++;
        }
        if (!m.found && !all_done(&s))
            found("nobody can go on", (int)walk, 0);
        if (!m.found)
            check_end(&s);
        failure = m.found;
        if (failure)
            printf("# walk %ld: %s\n", walk, failure);
    }
    printf("# model: %ld random walks, %llu steps\n", walks, (unsigned long long)steps);
    ck_assert_ptr_null(failure);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, every_interleaving_hands_out_every_test_once, 0,
                        sizeof configs / sizeof configs[0]);
    tcase_add_loop_test(tests, a_step_taken_away_is_found_out, 0,
                        sizeof mutations / sizeof mutations[0]);
    tcase_add_test(tests, random_walks_through_larger_runs);
}

int main(void)
{
    return harness_run("runq_model", 250, add);
}
