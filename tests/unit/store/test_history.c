#include "store/history.h"

#include <string.h>

#include "harness.h"
#include "sched/collection.h"
#include "scratch.h"

static struct phx_err err;
static struct phx_history history;

static void start(void)
{
    scratch_make();
    ck_assert_msg(phx_history_open(&history, history_path, PHX_DB_WRITE, &err) == 0, "%s",
                  err.text);
}

static void finish(void)
{
    phx_history_close(&history);
    scratch_remove();
}

static struct phx_history_result result(const char *id, char outcome, uint32_t call_us)
{
    return (struct phx_history_result){.node_id = id,
                                       .node_id_size = strlen(id),
                                       .outcome = outcome,
                                       .measured = 1,
                                       .us = {10, call_us, 1}};
}

/* A run of one test, an hour after the last one. */
static int64_t clock_s = 1000000;
static int nruns;

static void run_of(const struct phx_history_result *results, size_t count)
{
    char uid[32];
    snprintf(uid, sizeof uid, "run-%d", ++nruns);
    struct phx_history_run run = {.uid = uid,
                                  .ended_at = clock_s += 3600,
                                  .wall_ms = 1500,
                                  .nworkers = 4,
                                  .ntests = (uint32_t)count,
                                  .complete = 1};
    ck_assert_msg(phx_history_record(&history, &run, results, count, &err) == 0, "%s", err.text);
}

static void run_one(const char *id, char outcome, uint32_t call_us)
{
    struct phx_history_result one = result(id, outcome, call_us);
    run_of(&one, 1);
}

static struct phx_history_test find(const char *id)
{
    struct phx_history_test test = {0};
    ck_assert_int_eq(phx_history_find(&history, id, strlen(id), &test, &err), 1);
    return test;
}

START_TEST(a_run_is_remembered)
{
    struct phx_history_test test = {0};
    struct phx_history_result results[] = {result("a.py::test_a", '.', 1000),
                                           result("a.py::test_b", 'F', 2000),
                                           result("a.py::test_cut_short", 0, 500)};
    start();
    ck_assert_int_eq(phx_history_find(&history, "a.py::test_a", 12, &test, &err), 0);
    run_of(results, 3);
    phx_history_close(&history);
    ck_assert_int_eq(phx_history_open(&history, history_path, PHX_DB_READ, &err), 0);
    test = find("a.py::test_a");
    ck_assert_uint_eq(test.estimate.nmeasured, 1);
    ck_assert_double_eq(test.estimate.mean_us[0], 10);
    ck_assert_double_eq(test.estimate.mean_us[1], 1000);
    ck_assert_double_eq(test.estimate.mean_us[2], 1);
    ck_assert_int_eq(test.measured_at, clock_s);
    ck_assert_int_eq(test.seen_at, clock_s);
    ck_assert_uint_eq(test.outcomes.count, 1);
    ck_assert_int_eq(test.outcomes.letter[0], '.');
    ck_assert_int_eq(test.outcomes.run[0], phx_history_find_run(&history, "run-1", &err));
    ck_assert_int_eq(find("a.py::test_b").outcomes.letter[0], 'F');
    ck_assert_int_eq(phx_history_find(&history, "a.py::test_cut_short", 20, &test, &err), 0);
    ck_assert_int_eq(phx_history_find_run(&history, "another", &err), 0);
    finish();
}
END_TEST

START_TEST(crashes_teach_no_time)
{
    start();
    run_one("t", 'C', 999999);
    ck_assert_uint_eq(find("t").estimate.nmeasured, 0);
    ck_assert_int_eq(find("t").outcomes.letter[0], 'C');
    run_one("t", '.', 1000);
    run_one("t", 'C', 999999);
    ck_assert_uint_eq(find("t").estimate.nmeasured, 1);
    ck_assert_uint_eq(phx_estimate_cost_us(&(struct phx_estimate){.nmeasured = 1, .mean_us = {1}}),
                      1);
    ck_assert_double_eq(find("t").estimate.mean_us[1], 1000);
    finish();
}
END_TEST

START_TEST(a_day_on_which_everything_fails_spoils_no_estimate)
{
    start();
    run_one("t", '.', 100000);
    run_one("t", 'E', 10); /* the database was down */
    ck_assert_double_eq(find("t").estimate.mean_us[1], 100000);
    run_one("t", 's', 10);
    ck_assert_double_eq(find("t").estimate.mean_us[1], 100000);
    run_one("t", 's', 10); /* from the second time on it is how the test is */
    ck_assert_double_lt(find("t").estimate.mean_us[1], 100000);
    finish();
}
END_TEST

START_TEST(failures_are_forgotten_once_it_passes)
{
    start();
    run_one("t", 'F', 10);
    run_one("t", 'E', 10);
    ck_assert_double_eq(find("t").estimate.mean_us[1], 10); /* nothing better was known */
    run_one("t", '.', 50000);
    ck_assert_double_eq(find("t").estimate.mean_us[1], 50000);
    ck_assert_uint_eq(find("t").estimate.nmeasured, 1);
    finish();
}
END_TEST

START_TEST(any_bytes_are_a_node_id)
{
    static const char *const ids[] = {"t.py::test[\xed\xb2\x80]", "t.py::test[\xff]",
                                      "t.py::test['\"]",          "t.py::test[\xf0\x9f\x98\x80]",
                                      "T.py::test['\"]",          ""};
    start();
    for (size_t i = 0; i < 6; i++)
        run_one(ids[i], '.', 100 * (uint32_t)(i + 1));
    phx_history_close(&history);
    ck_assert_int_eq(phx_history_open(&history, history_path, PHX_DB_READ, &err), 0);
    for (size_t i = 0; i < 6; i++)
        ck_assert_double_eq(find(ids[i]).estimate.mean_us[1], 100.0 * (double)(i + 1));
    finish();
}
END_TEST

START_TEST(costs_of_a_collection_in_one_pass)
{
    struct phx_collection tests;
    uint32_t cost[3] = {9, 9, 9}, setup[3] = {9, 9, 9};
    start();
    run_one("b", '.', 1000);
    run_one("c", 'C', 1000);
    phx_collection_init(&tests);
    for (const char *id = "abc"; *id; id++)
        ck_assert_int_eq(phx_collection_add(&tests, id, 1, NULL, 0), 0);
    ck_assert_int_eq(phx_history_costs(&history, &tests, cost, setup, &err), 1);
    ck_assert_uint_eq(cost[0], 0);
    ck_assert_uint_eq(cost[1], 1011);
    ck_assert_uint_eq(cost[2], 0);
    ck_assert_uint_eq(setup[0], 0);
    ck_assert_uint_eq(setup[1], 10);
    phx_collection_fini(&tests);
    finish();
}
END_TEST

static char names[256];

static int note(void *context, const struct phx_history_test *test)
{
    (void)context;
    strncat(names, test->node_id, test->node_id_size);
    strcat(names, " ");
    return test->node_id[0] == 'z' ? 7 : 0;
}

START_TEST(tests_are_walked_in_order_and_by_pattern)
{
    start();
    run_one("b[1]", '.', 1000);
    run_one("a", '.', 3000);
    run_one("z", '.', 2000);
    ck_assert_int_eq(phx_history_each_test(&history, PHX_HISTORY_BY_ID, NULL, note, NULL, &err), 7);
    ck_assert_str_eq(names, "a b[1] z ");
    names[0] = '\0';
    ck_assert_int_eq(phx_history_each_test(&history, PHX_HISTORY_SLOWEST, NULL, note, NULL, &err),
                     7);
    ck_assert_str_eq(names, "a z ");
    names[0] = '\0';
    ck_assert_int_eq(phx_history_each_test(&history, PHX_HISTORY_BY_ID, "b[[]*", note, NULL, &err),
                     0);
    ck_assert_str_eq(names, "b[1] ");
    finish();
}
END_TEST

static int note_run(void *context, const struct phx_history_run *run)
{
    (void)context;
    strcat(names, run->uid);
    strcat(names, " ");
    ck_assert_int_eq(run->wall_ms, 1500);
    ck_assert_uint_eq(run->nworkers, 4);
    ck_assert_int_eq(run->complete, 1);
    return 0;
}

START_TEST(what_is_old_is_pruned)
{
    uint64_t ntests = 0, nruns_gone = 0;
    struct phx_history_test test;
    start();
    run_one("old", '.', 1);
    run_one("new", '.', 1);
    run_one("new", '.', 1);
    ck_assert_int_eq(phx_history_prune(&history, clock_s - 3600, 2, &ntests, &nruns_gone, &err), 0);
    ck_assert_uint_eq(ntests, 1);
    ck_assert_uint_eq(nruns_gone, 1);
    ck_assert_int_eq(phx_history_find(&history, "old", 3, &test, &err), 0);
    ck_assert_uint_eq(find("new").outcomes.count, 2);
    ck_assert_int_eq(phx_history_each_run(&history, -1, note_run, NULL, &err), 0);
    ck_assert_str_eq(names, "run-3 run-2 ");
    run_one("new", '.', 1); /* a number is never used again */
    ck_assert_int_eq(find("new").outcomes.run[0], 4);
    finish();
}
END_TEST

START_TEST(every_twentieth_run_prunes)
{
    struct phx_history_test test;
    start();
    run_one("old", '.', 1);
    clock_s += (int64_t)91 * 24 * 3600;
    for (int i = 0; i < 18; i++)
        run_one("new", '.', 1);
    ck_assert_int_eq(phx_history_find(&history, "old", 3, &test, &err), 1);
    run_one("new", '.', 1);
    ck_assert_int_eq(phx_history_find(&history, "old", 3, &test, &err), 0);
    finish();
}
END_TEST

START_TEST(the_same_run_is_added_once)
{
    start();
    struct phx_history_run run = {.uid = "twice", .ended_at = 5};
    int64_t id = phx_history_add_run(&history, &run, &err);
    ck_assert_int_gt(id, 0);
    ck_assert_int_eq(phx_history_add_run(&history, &run, &err), id);
    finish();
}
END_TEST

static int note_flaky(void *context, const struct phx_history_test *test, int64_t since)
{
    ck_assert_int_eq(since, *(int64_t *)context);
    return note(NULL, test);
}

START_TEST(flakiness_of_the_last_runs)
{
    static const char *const ends[] = {"F.", ".F", "F.", "sF", ".."};
    struct phx_flakiness f;
    start();
    ck_assert_int_eq(phx_history_flakiness(&history, 10, &f, NULL, NULL, &err), 0);
    ck_assert_uint_eq(f.nruns, 0);
    for (int i = 0; i < 5; i++) {
        struct phx_history_result results[] = {result("a", ends[i][0], 1),
                                               result("b", ends[i][1], 1), result("s", 's', 1)};
        run_of(results, 3);
    }
    int64_t since = 2;
    ck_assert_int_eq(phx_history_flakiness(&history, 4, &f, note_flaky, &since, &err), 0);
    ck_assert_str_eq(names, "a b ");
    ck_assert_uint_eq(f.nruns, 4);
    ck_assert_uint_eq(f.ntests, 2);
    ck_assert_uint_eq(f.nflaky, 2);
    ck_assert_uint_eq(f.nruns_of_tests, 7);
    ck_assert_uint_eq(f.nbad, 3);
    ck_assert_int_eq(phx_history_flakiness(&history, 2, &f, NULL, NULL, &err), 0);
    ck_assert_uint_eq(f.nflaky, 0); /* repaired, for all that is known */
    finish();
}
END_TEST

static struct phx_history_result tried(const char *id, char outcome, const struct phx_trial *trials,
                                       size_t ntrials)
{
    struct phx_history_result tested = result(id, outcome, 1000);
    tested.trials = trials;
    tested.ntrials = ntrials;
    return tested;
}

static size_t count_trials(const char *id, int64_t since)
{
    struct phx_trials trials;
    ck_assert_int_eq(phx_trials_load(&trials, &history, id, strlen(id), since, &err), 0);
    size_t count = trials.count;
    phx_trials_fini(&trials);
    return count;
}

START_TEST(trials_are_kept_of_tests_that_failed_of_late)
{
    const struct phx_trial pass = {.outcome = '.', .worker = 1, .took_us = 7};
    const struct phx_trial both[] = {
        {.outcome = 'F', .worker = 2, .after = "before\xff", .after_size = 7},
        {.outcome = '.', .repetition = 3, .after = "x", .after_size = 1}};
    struct phx_trials trials;
    start();
    struct phx_history_result good = tried("t", '.', &pass, 1), mixed = tried("t", 'R', both, 2);
    run_of(&good, 1);
    ck_assert_uint_eq(count_trials("t", 0), 0); /* it never failed */
    run_of(&mixed, 1);
    run_of(&good, 1);
    ck_assert_uint_eq(count_trials("t", 3), 1);
    ck_assert_uint_eq(count_trials("u", 0), 0);
    ck_assert_int_eq(phx_trials_load(&trials, &history, "t", 1, 0, &err), 0);
    ck_assert_uint_eq(trials.count, 3);
    ck_assert_int_eq(trials.list[0].run, 3);
    ck_assert_uint_eq(trials.list[0].took_us, 7);
    ck_assert_ptr_null(trials.list[0].after);
    ck_assert_int_eq(trials.list[1].outcome, 'F');
    ck_assert_uint_eq(trials.list[1].worker, 2);
    ck_assert_uint_eq(trials.list[1].after_size, 7);
    ck_assert_int_eq(memcmp(trials.list[1].after, "before\xff", 7), 0);
    ck_assert_uint_eq(trials.list[2].repetition, 3);
    ck_assert_int_eq(trials.list[2].after[0], 'x');
    phx_trials_fini(&trials);
    for (int i = 0; i < 18; i++)
        run_of(&good, 1);
    ck_assert_uint_eq(count_trials("t", 0), 21); /* the failure is the 20th outcome */
    run_of(&good, 1);
    ck_assert_uint_eq(count_trials("t", 0), 0); /* it is forgotten, and all with it */
    run_of(&mixed, 1);
    clock_s += (int64_t)91 * 24 * 3600;
    for (int i = 0; i < 20; i++)
        run_one("other", '.', 1);
    ck_assert_uint_eq(count_trials("t", 0), 0); /* the test is */
    finish();
}
END_TEST

START_TEST(many_trials_of_one_test_are_read)
{
    enum { MANY = 300 };
    static struct phx_trial list[MANY];
    static char ids[MANY][8];
    struct phx_trials trials;
    start();
    for (int i = 0; i < MANY; i++) {
        snprintf(ids[i], sizeof ids[i], "t%d", i);
        list[i] = (struct phx_trial){
            .outcome = i % 2 ? 'F' : '.', .after = ids[i], .after_size = strlen(ids[i])};
    }
    struct phx_history_result mixed = tried("t", 'R', list, MANY);
    run_of(&mixed, 1);
    ck_assert_int_eq(phx_trials_load(&trials, &history, "t", 1, 0, &err), 0);
    ck_assert_uint_eq(trials.count, MANY);
    for (int i = 0; i < MANY; i++) {
        ck_assert_uint_eq(trials.list[i].after_size, strlen(ids[i]));
        ck_assert_int_eq(memcmp(trials.list[i].after, ids[i], strlen(ids[i])), 0);
    }
    phx_trials_fini(&trials);
    finish();
}
END_TEST

START_TEST(a_history_of_version_1_has_no_trials)
{
    start();
    run_one("t", 'F', 1);
    ck_assert_int_eq(
        phx_db_run(history.db, "DROP TABLE trial; PRAGMA user_version = 1", "write", &err), 0);
    phx_history_close(&history);
    ck_assert_int_eq(phx_history_open(&history, history_path, PHX_DB_READ, &err), 0);
    ck_assert_uint_eq(count_trials("t", 0), 0);
    finish();
}
END_TEST

START_TEST(nothing_of_a_failed_run_stays)
{
    start();
    run_one("t", '.', 1000);
    ck_assert_int_eq(
        phx_db_run(history.db,
                   "CREATE TEMP TRIGGER no BEFORE INSERT ON test WHEN new.node_id = 'z' "
                   "BEGIN SELECT raise(ABORT, 'no'); END",
                   "write", &err),
        0);
    struct phx_history_result results[] = {result("t", 'F', 1), result("z", '.', 1)};
    struct phx_history_run run = {.uid = "failed", .ended_at = clock_s};
    ck_assert_int_lt(phx_history_record(&history, &run, results, 2, &err), 0);
    ck_assert_uint_eq(find("t").outcomes.count, 1);
    ck_assert_int_eq(phx_history_find_run(&history, "failed", &err), 0);
    finish();
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_run_is_remembered);
    tcase_add_test(tests, crashes_teach_no_time);
    tcase_add_test(tests, a_day_on_which_everything_fails_spoils_no_estimate);
    tcase_add_test(tests, failures_are_forgotten_once_it_passes);
    tcase_add_test(tests, any_bytes_are_a_node_id);
    tcase_add_test(tests, costs_of_a_collection_in_one_pass);
    tcase_add_test(tests, tests_are_walked_in_order_and_by_pattern);
    tcase_add_test(tests, what_is_old_is_pruned);
    tcase_add_test(tests, every_twentieth_run_prunes);
    tcase_add_test(tests, the_same_run_is_added_once);
    tcase_add_test(tests, flakiness_of_the_last_runs);
    tcase_add_test(tests, trials_are_kept_of_tests_that_failed_of_late);
    tcase_add_test(tests, many_trials_of_one_test_are_read);
    tcase_add_test(tests, a_history_of_version_1_has_no_trials);
    tcase_add_test(tests, nothing_of_a_failed_run_stays);
}

int main(void)
{
    return harness_run("history", 60, add);
}
