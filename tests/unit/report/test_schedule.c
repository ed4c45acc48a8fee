/* A run that is made up, explained: every reason once. A controller that is none stands in for the
 * real one; its functions are defined here, and the linker takes them. */
#include "report/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "role/controller.h"

#define S PHX_S

static struct phx_collection collection;
static int has_scopes;

const char *phx_controller_test_id(const struct phx_controller *controller, uint32_t test,
                                   size_t *out_size)
{
    ck_assert_ptr_null(controller);
    return test < phx_collection_count(&collection)
               ? phx_collection_node_id(&collection, test, out_size)
               : NULL;
}

const struct phx_collection *phx_controller_collection(const struct phx_controller *controller)
{
    ck_assert_ptr_null(controller);
    return &collection;
}

int phx_controller_scope(const struct phx_controller *controller, uint32_t test,
                         struct phx_scope *out)
{
    ck_assert_ptr_null(controller);
    size_t size;
    const char *id = phx_collection_node_id(&collection, test, &size);
    return has_scopes && phx_scope_of(PHX_DIST_LOADFILE, id, size, NULL, 0, out);
}

enum { TESTS_MAX = 8 };

static struct phx_reason of[TESTS_MAX];
static struct phx_record_test tests[TESTS_MAX];
static struct phx_record_worker workers[3];
static struct phx_record record;
static struct phx_reasons reasons;
static char *text;

static void begin(void)
{
    phx_collection_init(&collection);
    has_scopes = 0;
    memset(workers, 0, sizeof workers);
    for (int i = 0; i < 3; i++)
        workers[i] = (struct phx_record_worker){.is_there = 1, .up = 1, .replaces = -1};
    record = (struct phx_record){
        .tests = tests, .workers = workers, .nworkers = 3, .nparallel = 2, .ncollected = 0};
    reasons = (struct phx_reasons){.of = of};
}

/* A test, planned for `span`, run by `worker` in its turn: from second to second, 500 ms each. */
static void add(const char *id, struct phx_reason reason, uint32_t worker)
{
    uint32_t test = phx_collection_count(&collection);
    ck_assert_int_eq(phx_collection_add(&collection, id, strlen(id), NULL, 0), 0);
    of[reasons.count++] = reason;
    tests[record.ntests++] = (struct phx_record_test){.position = test,
                                                      .test = test,
                                                      .worker = worker,
                                                      .start = (phx_ns)test * S,
                                                      .end = (phx_ns)test * S + S / 2};
    record.ncollected++;
    record.ndistinct++;
}

static struct phx_reason reason(enum phx_reason_why why, uint32_t span, enum phx_cost_from from,
                                uint32_t cost_us)
{
    return (struct phx_reason){
        .cost_us = cost_us, .span = span, .unit = reasons.count, .from = from, .why = why};
}

static const char *explain(void)
{
    size_t size;
    free(text);
    FILE *stream = open_memstream(&text, &size);
    ck_assert_int_eq(phx_schedule_put(stream, &record, NULL, &reasons), 0);
    ck_assert_int_eq(fclose(stream), 0);
    return text;
}

START_TEST(every_estimate_has_its_source)
{
    begin();
    add("a.py::t1", reason(PHX_REASON_LONG, 0, PHX_COST_HISTORY, 2000000), 0);
    add("a.py::t2", reason(PHX_REASON_PIECE, 1, PHX_COST_FILE, 1500), 1);
    add("b.py::t3", reason(PHX_REASON_PIECE, 1, PHX_COST_SUITE, 250000), 1);
    of[2].setup_us = 300000;
    add("b.py::t4", reason(PHX_REASON_REPEATED, 0, PHX_COST_NONE, 1), 0);
    add("b.py::t6", reason(PHX_REASON_TURN, 1, PHX_COST_NONE, 1), 1);
    add("b.py::t5", reason(PHX_REASON_ROW, 0, PHX_COST_NONE, 1), 0);
    of[5].setup_us = 2; /* means nothing without a cost */
    record.ncollected = 8;
    ck_assert_str_eq(
        explain(),
        "2 workers, 8 tests, of which the history knows 1; each run of a test, in the order of "
        "their starts:\n"
        "    start  worker       took  estimate  known by   test  why there\n"
        "   0.0 ms  gw0        500 ms     2.0 s  history    a.py::t1  long: the dearest tests come "
        "first; planned for gw0\n"
        "    1.0 s  gw1        500 ms    1.5 ms  its file   a.py::t2  in collection order; planned "
        "for gw1\n"
        "    2.0 s  gw1        500 ms    250 ms  the suite  b.py::t3  in collection order; opens "
        "set-ups of 300 ms; planned for gw1\n"
        "    3.0 s  gw0        500 ms         -  -          b.py::t4  a repetition: away from the "
        "others; planned for gw0\n"
        "    4.0 s  gw1        500 ms         -  -          b.py::t6  few tests: in turn, in "
        "collection order; planned for gw1\n"
        "    5.0 s  gw0        500 ms         -  -          b.py::t5  in a row of neighbours "
        "(--maxschedchunk); planned for gw0\n"
        "2 tests were not run\n");
    phx_collection_fini(&collection);
}
END_TEST

/* What is said of the test `id`. */
static const char *why(const char *id)
{
    static char line[1000];
    const char *at = strstr(explain(), id);
    ck_assert_ptr_nonnull(at);
    at += strlen(id) + 2;
    size_t size = strcspn(at, "\n");
    memcpy(line, at, size);
    line[size] = '\0';
    return line;
}

START_TEST(whoever_runs_it_in_anothers_place_is_named)
{
    begin();
    add("one", reason(PHX_REASON_PIECE, 0, PHX_COST_NONE, 1), 1);
    ck_assert_str_eq(why("one"),
                     "in collection order; planned for gw0, stolen by gw1, which had nothing left");
    workers[0].crashed = 1;
    workers[0].down = 1; /* after the test had begun */
    ck_assert_str_eq(why("one"),
                     "in collection order; planned for gw0, stolen by gw1, which had nothing left");
    tests[0].start = 2;
    ck_assert_str_eq(why("one"), "in collection order; planned for gw0, which had crashed");
    workers[0] = (struct phx_record_worker){0};
    ck_assert_str_eq(why("one"), "in collection order; planned for gw0, which never came");
    tests[0].position = reasons.count; /* behind the plan */
    tests[0].attempt = 1;
    ck_assert_str_eq(why("one"), "once more, for whoever asked first");
    tests[0] = (struct phx_record_test){0};
    reasons = (struct phx_reasons){0};
    ck_assert_str_eq(why("one"), "sent there by a scheduler that is not phalanx's");
    phx_collection_fini(&collection);
}
END_TEST

START_TEST(units_tell_how_large_they_are)
{
    begin();
    add("a.py::t1", reason(PHX_REASON_DEAREST, 0, PHX_COST_HISTORY, 2000000), 0);
    add("a.py::t2", reason(PHX_REASON_DEAREST, 0, PHX_COST_FILE, 1000000), 0);
    add("b.py::t3", reason(PHX_REASON_COLLECTED, 1, PHX_COST_NONE, 1), 1);
    of[1].unit = 0;
    ck_assert_str_eq(why("b.py::t3"),
                     "a unit of its own: units in collection order; planned for gw1");
    has_scopes = 1;
    ck_assert_str_eq(why("a.py::t2"), "a.py (2 tests, 3.0 s) stays together: the dearest units "
                                      "come first; planned for gw0");
    ck_assert_str_eq(why("b.py::t3"), "b.py (1 test) stays together: units in collection order; "
                                      "planned for gw1");
    phx_collection_fini(&collection);
}
END_TEST

START_TEST(limits_are_nobodys)
{
    begin();
    add("one", reason(PHX_REASON_EXCLUSIVE, PHX_REASON_NO_SPAN, PHX_COST_NONE, 1), 1);
    ck_assert_str_eq(why("one"), "stays with tests whose limits let nothing run beside it: before "
                                 "all others, in one worker");
    phx_collection_limit(&collection, NULL, 0, 0);
    ck_assert_str_eq(why("one"), "exclusive: before all others, in one worker");
    add("two", reason(PHX_REASON_LIMITED, PHX_REASON_NO_SPAN, PHX_COST_NONE, 1), 1);
    ck_assert_str_eq(why("two"), "stays with tests of a limited group: tried before all others");
    phx_collection_limit(&collection, "d\nb", 3, 2);
    ck_assert_str_eq(why("two"), "of the limited group d?b, 2 at a time: tried before all others");
    phx_collection_fini(&collection);
}
END_TEST

START_TEST(what_a_damaged_ledger_says_is_left_out)
{
    begin();
    add("one", reason(PHX_REASON_PIECE, 0, PHX_COST_NONE, 1), 0);
    add("two", reason(PHX_REASON_PIECE, 0, PHX_COST_NONE, 1), 0);
    tests[1].test = UINT32_MAX;
    ck_assert_ptr_nonnull(strstr(explain(), "one"));
    ck_assert_ptr_null(strstr(explain(), "two"));
    phx_collection_fini(&collection);
}
END_TEST

static void add_all(TCase *cases)
{
    tcase_add_test(cases, every_estimate_has_its_source);
    tcase_add_test(cases, whoever_runs_it_in_anothers_place_is_named);
    tcase_add_test(cases, units_tell_how_large_they_are);
    tcase_add_test(cases, limits_are_nobodys);
    tcase_add_test(cases, what_a_damaged_ledger_says_is_left_out);
}

int main(void)
{
    return harness_run("schedule", 10, add_all);
}
