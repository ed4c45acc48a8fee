#include "store/transfer.h"

#include <string.h>

#include "harness.h"
#include "scratch.h"

static struct phx_err err;
static struct phx_history history;
static struct phx_merge_counts counts;
static int overwrite;

/* The files that there are, for JUnit. */
static const char *const files[] = {"tests/unit/test_a.py", "check_b.py", "a/b/c.py", NULL};

static int has_file(void *context, const char *path)
{
    (void)context;
    for (int i = 0; files[i]; i++)
        if (strcmp(files[i], path) == 0)
            return 1;
    return 0;
}

static void start(void)
{
    ck_assert_int_eq(phx_history_open(&history, ":memory:", PHX_DB_WRITE, &err), 0);
}

static int import(const char *text)
{
    struct phx_transfer_source source = {.name = "input",
                                         .bytes = text,
                                         .size = strlen(text),
                                         .measured_at = 1000,
                                         .now = 2000,
                                         .overwrite = overwrite,
                                         .has_file = has_file};
    counts = (struct phx_merge_counts){0};
    err.text[0] = '\0';
    return phx_transfer_import(&history, &source, &counts, &err);
}

static struct phx_history_test find(const char *id)
{
    struct phx_history_test test = {0};
    ck_assert_msg(phx_history_find(&history, id, strlen(id), &test, &err) == 1, "no %s", id);
    return test;
}

static double call_us(const char *id)
{
    return find(id).estimate.mean_us[1];
}

static void record(const char *uid, int64_t at, const char *id, char outcome, uint32_t us)
{
    struct phx_history_run run = {
        .uid = uid, .ended_at = at, .wall_ms = 9, .nworkers = 3, .ntests = 1, .complete = 1};
    struct phx_history_result result = {.node_id = id,
                                        .node_id_size = strlen(id),
                                        .outcome = outcome,
                                        .measured = 1,
                                        .us = {7, us, 3}};
    ck_assert_msg(phx_history_record(&history, &run, &result, 1, &err) == 0, "%s", err.text);
}

static char *exported(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_int_eq(phx_transfer_export(&history, out, &err), 0);
    fclose(out);
    return text;
}

START_TEST(what_goes_out_comes_in_again)
{
    start();
    record("one", 10, "a.py::test_a[\"\\]", '.', 1000);
    record("two", 20, "a.py::test_a[\"\\]", 'F', 2000);
    record("three", 30, "b.py::test[\xed\xb2\x80\xff]", 'C', 1);
    char *text = exported();
    phx_history_close(&history);
    start();
    record("own", 5, "c.py::test", '.', 1);
    ck_assert_msg(import(text) == 0, "%s", err.text);
    ck_assert_uint_eq(counts.added, 2);
    ck_assert_uint_eq(counts.runs, 3);
    struct phx_history_test test = find("a.py::test_a[\"\\]");
    ck_assert_uint_eq(test.estimate.nmeasured, 1);
    ck_assert_double_eq(test.estimate.mean_us[0], 7);
    ck_assert_double_eq(test.estimate.mean_us[1], 1000);
    ck_assert_int_eq(test.measured_at, 10);
    ck_assert_int_eq(test.seen_at, 20);
    ck_assert_uint_eq(test.outcomes.count, 2);
    ck_assert_int_eq(test.outcomes.letter[0], 'F');
    ck_assert_int_eq(test.outcomes.run[0], phx_history_find_run(&history, "two", &err));
    ck_assert_int_eq(find("b.py::test[\xed\xb2\x80\xff]").outcomes.letter[0], 'C');
    ck_assert_int_eq(import(text), 0); /* twice is once */
    ck_assert_uint_eq(counts.added + counts.updated + counts.runs, 0);
    ck_assert_uint_eq(counts.kept, 2);
    free(text);
    phx_history_close(&history);
}
END_TEST

/* A test that failed once in two tries, in a run of its own. */
static void record_tries(const char *uid, const char *id, uint32_t took_us)
{
    struct phx_history_run run = {.uid = uid, .ended_at = 10, .complete = 1};
    const struct phx_trial tries[] = {
        {.outcome = 'F', .worker = 2, .took_us = took_us, .after = "a\xff", .after_size = 2},
        {.outcome = '.', .worker = 1, .took_us = 7, .repetition = 3, .after = "b", .after_size = 1},
        {.outcome = '.', .took_us = 8}};
    struct phx_history_result result = {
        .node_id = id, .node_id_size = strlen(id), .outcome = 'R', .trials = tries, .ntrials = 3};
    ck_assert_msg(phx_history_record(&history, &run, &result, 1, &err) == 0, "%s", err.text);
}

static struct phx_trials trials_of(const char *id)
{
    struct phx_trials trials;
    ck_assert_int_eq(phx_trials_load(&trials, &history, id, strlen(id), 0, &err), 0);
    return trials;
}

START_TEST(trials_go_with_the_runs_they_belong_to)
{
    start();
    record_tries("their-first", "t", 100);
    record_tries("their-second", "t", 200);
    char *text = exported();
    phx_history_close(&history);
    start();
    record_tries("mine", "t", 300);
    for (int twice = 0; twice < 2; twice++) {
        ck_assert_msg(import(text) == 0, "%s", err.text);
        struct phx_trials trials = trials_of("t");
        ck_assert_uint_eq(trials.count, 9);
        ck_assert_uint_eq(trials.list[0].took_us, 200); /* the newest run, as they come */
        ck_assert_uint_eq(trials.list[3].took_us, 100);
        ck_assert_uint_eq(trials.list[6].took_us, 300);
        ck_assert_int_eq(trials.list[0].run, phx_history_find_run(&history, "their-second", &err));
        ck_assert_int_eq(trials.list[0].outcome, 'F');
        ck_assert_uint_eq(trials.list[0].worker, 2);
        ck_assert_uint_eq(trials.list[0].after_size, 2);
        ck_assert_int_eq(memcmp(trials.list[0].after, "a\xff", 2), 0);
        ck_assert_uint_eq(trials.list[1].repetition, 3);
        ck_assert_ptr_null(trials.list[2].after);
        phx_trials_fini(&trials);
    }
    free(text);
    phx_history_close(&history);
}
END_TEST

START_TEST(trials_without_an_outcome_that_is_kept_are_left_out)
{
    start();
    record_tries("theirs", "t", 100);
    char *text = exported();
    phx_history_close(&history);
    start();
    ck_assert_int_eq(import(text), 0);
    char uid[] = "run-a";
    for (int i = 0; i < PHX_OUTCOMES_MAX; i++, uid[4]++) /* it has been good for 20 runs here */
        record(uid, 20, "t", '.', 1);
    ck_assert_uint_eq(trials_of("t").count, 0);
    ck_assert_int_eq(import(text), 0); /* that run is known, and is past */
    ck_assert_uint_eq(trials_of("t").count, 0);
    free(text);
    phx_history_close(&history);
}
END_TEST

START_TEST(of_two_histories_the_later_estimate_and_all_outcomes)
{
    start();
    record("theirs", 100, "newer", '.', 5000);
    record("theirs-2", 100, "older", '.', 5000);
    char *text = exported();
    phx_history_close(&history);
    start();
    record("mine", 50, "newer", 'F', 1000);
    record("mine-2", 150, "older", 'F', 1000);
    ck_assert_int_eq(import(text), 0);
    ck_assert_uint_eq(counts.updated, 2);
    ck_assert_double_eq(call_us("newer"), 5000);
    ck_assert_double_eq(call_us("older"), 1000);
    ck_assert_uint_eq(find("older").outcomes.count, 2);
    ck_assert_int_eq(find("older").outcomes.letter[0], '.'); /* runs count as they come */
    ck_assert_int_eq(find("older").outcomes.letter[1], 'F');
    ck_assert_int_eq(find("older").seen_at, 150);
    free(text);
    phx_history_close(&history);
}
END_TEST

START_TEST(durations_fill_what_was_never_measured)
{
    static const char text[] = "{\"a.py::known\": 2, \"a.py::new\": 0.25, \"a.py::crashed\": 1}";
    start();
    record("one", 10, "a.py::known", '.', 1000);
    record("two", 10, "a.py::crashed", 'C', 1000);
    ck_assert_int_eq(import(text), 0);
    ck_assert_uint_eq(counts.added, 1);
    ck_assert_uint_eq(counts.updated, 1);
    ck_assert_uint_eq(counts.kept, 1);
    ck_assert_double_eq(call_us("a.py::known"), 1000);
    ck_assert_double_eq(call_us("a.py::new"), 250000);
    ck_assert_int_eq(find("a.py::new").measured_at, 1000);
    ck_assert_double_eq(call_us("a.py::crashed"), 1000000);
    ck_assert_uint_eq(find("a.py::crashed").outcomes.count, 1);
    overwrite = 1;
    ck_assert_int_eq(import(text), 0);
    ck_assert_double_eq(call_us("a.py::known"), 2000000);
    ck_assert_uint_eq(find("a.py::known").outcomes.count, 1);
    ck_assert_int_eq(import("[[\"a.py::new\", 3], [\"a.py::pair\", 1e9]]"), 0);
    ck_assert_double_eq(call_us("a.py::new"), 3000000);
    ck_assert_double_eq(call_us("a.py::pair"), UINT32_MAX);
    phx_history_close(&history);
}
END_TEST

#define SUITE(cases) "<testsuites><testsuite>" cases "</testsuite></testsuites>"

START_TEST(junit_names_become_node_ids)
{
    start();
    ck_assert_int_eq(
        import(SUITE(
            "<testcase classname='tests.unit.test_a' name='test_f' time='1'/>"
            "<testcase classname='tests.unit.test_a.TestA.TestB' name='test_m[a.b::c]' time='2'/>"
            "<testcase classname='check_b' name='test_b' time='3'/>"
            "<testcase classname='a.b.c.D' name='t' time='4'/>"
            "<testcase classname='nightly.check_b.T' name='prefixed' time='5'/>"
            "<testcase classname='gone.test_g.TestG' name='t&#xe4;' time='6'/>"
            "<testcase classname='q.r' file='q/r.py' name='t' time='7'/>"
            "<testcase classname='pre.q.r.T' file='q/r.py' name='t' time='8'/>"
            "<testcase classname='a.b.c' file='q/base.py' name='inherited' time='9'/>"
            "<testcase classname='who.knows' name='t' time='1'/>"
            "<testcase classname='' name='t' time='1'/>"
            "<testcase classname='check_b' name='no_time'/>")),
        0);
    ck_assert_double_eq(call_us("tests/unit/test_a.py::test_f"), 1e6);
    ck_assert_double_eq(call_us("tests/unit/test_a.py::TestA::TestB::test_m[a.b::c]"), 2e6);
    ck_assert_double_eq(call_us("check_b.py::test_b"), 3e6);
    ck_assert_double_eq(call_us("a/b/c.py::D::t"), 4e6);
    ck_assert_double_eq(call_us("check_b.py::T::prefixed"), 5e6);
    ck_assert_double_eq(call_us("gone/test_g.py::TestG::t\xc3\xa4"), 6e6);
    ck_assert_double_eq(call_us("q/r.py::t"), 7e6);
    ck_assert_double_eq(call_us("q/r.py::T::t"), 8e6);
    ck_assert_double_eq(call_us("a/b/c.py::inherited"), 9e6);
    ck_assert_uint_eq(counts.added, 9);
    ck_assert_uint_eq(counts.unnamed, 3);
    phx_history_close(&history);
}
END_TEST

START_TEST(skips_are_no_durations_and_the_longer_of_two_counts)
{
    struct phx_history_test test;
    start();
    ck_assert_int_eq(
        import("<testsuite>"
               "<testcase classname='check_b' name='s' time='0'><skipped/></testcase>"
               "<testcase classname='check_b' name='x' time='4'>"
               "<skipped type='pytest.xfail'/></testcase>"
               "<testcase classname='check_b' name='twice' time='1'/>"
               "<testcase classname='check_b' name='twice' time='3'><error/></testcase>"
               "<testcase classname='check_b' name='twice' time='2'/>"
               "</testsuite>"),
        0);
    ck_assert_uint_eq(counts.added, 2);
    ck_assert_double_eq(call_us("check_b.py::x"), 4e6);
    ck_assert_double_eq(call_us("check_b.py::twice"), 3e6);
    ck_assert_int_eq(phx_history_find(&history, "check_b.py::s", 13, &test, &err), 0);
    phx_history_close(&history);
}
END_TEST

START_TEST(bad_files_are_told_with_the_place_and_change_nothing)
{
#define RUN                                                                                        \
    "{\"run\":1,\"uid\":\"u\",\"ended_at\":1,\"wall_ms\":1,\"workers\":1,\"tests\":1,"             \
    "\"complete\":true}"
#define OURS(runs, tests)                                                                          \
    "{\"format\":\"phalanx-history\",\"version\":1,\"runs\":[" runs "],\"tests\":[" tests "]}"
#define TEST(id, call, outcomes)                                                                   \
    "{" id ",\"measured\":1,\"measured_at\":1,\"seen_at\":1,\"setup\":[1,1],\"call\":" call        \
    ",\"teardown\":[1,1],\"outcomes\":" outcomes "}"
#define TRIALS(trials)                                                                             \
    "{\"id\":\"a\",\"measured\":1,\"measured_at\":1,\"seen_at\":1,\"setup\":[1,1],\"call\":[1,1]," \
    "\"teardown\":[1,1],\"outcomes\":\"F1\",\"trials\":" trials "}"
#define TRIAL(outcome, after)                                                                      \
    "[{\"run\":1,\"outcome\":" outcome ",\"repetition\":0,\"worker\":1,\"us\":1,\"after\":" after  \
    "}]"
    static const struct {
        const char *text, *said;
    } bad[] = {
        {"", "empty"},
        {" \n", "empty"},
        {"{\n\"a\": }", "line 2"},
        {"{\"a\": 1} x", "line 1"},
        {"nonsense", "line 1"},
        {"3", "input"},
        {"{\"a\": 1, \"b\": \"2\"}", "test 2"},
        {"{\"a\": -1}", "test 1"},
        {"[[\"a\", 1], [\"b\"]]", "entry 2"},
        {"<testsuite>\n<testcase", "line 2"},
        {"<testsuite></wrong>", "line 1"},
        {"<html/>", "not of JUnit"},
        {"{\"format\":\"phalanx-history\",\"version\":1}", "no version, runs or tests"},
        {OURS("{\"run\":1}", ""), "run 1"},
        {OURS(RUN ",3", ""), "run 2"},
        {OURS(RUN, "{\"id\":\"a\"}"), "test 1"},
        {OURS(RUN, TEST("\"id\":3", "[1,1]", "\".1\"")), "test 1"},
        {OURS(RUN, TEST("\"id_hex\":\"zz\"", "[1,1]", "\".1\"")), "test 1"},
        {OURS(RUN, TEST("\"id_hex\":\"616\"", "[1,1]", "\".1\"")), "test 1"},
        {OURS(RUN, TEST("\"id\":\"a\"", "[-1,1]", "\".1\"")), "test 1"},
        {OURS(RUN, TEST("\"id\":\"a\"", "[1]", "\".1\"")), "test 1"},
        {OURS(RUN, TEST("\"id\":\"good\"", "[1,1]", "\".1\"") "," TEST("\"id\":\"a\"", "[1,1]",
                                                                       "\"?1\"")),
         "test 2"},
        {OURS(RUN, TRIALS("3")), "test 1"},
        {OURS(RUN, TRIALS("[3]")), "test 1"},
        {OURS(RUN, TRIALS("[{\"run\":1}]")), "test 1"},
        {OURS(RUN, TRIALS(TRIAL("\"?\"", "\"a\""))), "test 1"},
        {OURS(RUN, TRIALS(TRIAL("\"FF\"", "\"a\""))), "test 1"},
        {OURS(RUN, TRIALS(TRIAL("\"F\"", "7"))), "test 1"},
    };
    struct phx_history_test test;
    start();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(import(bad[i].text) == PHX_E_FORMAT, "taken: %s", bad[i].text);
        ck_assert_msg(strstr(err.text, bad[i].said) && strstr(err.text, "input"), "%s: %s",
                      bad[i].text, err.text);
        ck_assert_uint_eq(counts.added, 0);
    }
    ck_assert_int_eq(
        import("{\"format\":\"phalanx-history\",\"version\":2,\"runs\":[],\"tests\":[]}"),
        PHX_E_NEWER);
    ck_assert_int_eq(phx_history_find(&history, "good", 4, &test, &err), 0);
    ck_assert_int_eq(phx_history_find(&history, "a", 1, &test, &err), 0);
    ck_assert_int_eq(phx_history_find_run(&history, "u", &err), 0);
    ck_assert_int_eq(import(OURS(RUN, TEST("\"id\":\"good\"", "[1,1]", "\".1 F77\""))), 0);
    ck_assert_uint_eq(find("good").outcomes.count, 1); /* there is no run 77 */
    ck_assert_int_eq(import(OURS(RUN, TRIALS(TRIAL("\"F\"", "\"b\"")))), 0);
    struct phx_trials trials = trials_of("a");
    ck_assert_uint_eq(trials.count, 1);
    phx_trials_fini(&trials);
    phx_history_close(&history);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, what_goes_out_comes_in_again);
    tcase_add_test(tests, trials_go_with_the_runs_they_belong_to);
    tcase_add_test(tests, trials_without_an_outcome_that_is_kept_are_left_out);
    tcase_add_test(tests, of_two_histories_the_later_estimate_and_all_outcomes);
    tcase_add_test(tests, durations_fill_what_was_never_measured);
    tcase_add_test(tests, junit_names_become_node_ids);
    tcase_add_test(tests, skips_are_no_durations_and_the_longer_of_two_counts);
    tcase_add_test(tests, bad_files_are_told_with_the_place_and_change_nothing);
}

int main(void)
{
    return harness_run("transfer", 60, add);
}
