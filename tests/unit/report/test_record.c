/* A run that is made up, gathered: a controller that is none stands in for the real one; its
 * functions are defined here, and the linker takes them. */
#include "report/record.h"

#include <errno.h>
#include <string.h>

#include "harness.h"
#include "report/summary.h"
#include "role/controller.h"

#define S PHX_S
#define US ((phx_ns)1000)

enum { TESTS = 4, WORKERS_MAX = 4 };

static struct phx_controller_figures figures;
static struct {
    int is_there;
    struct phx_runq_view view;
    struct phx_controller_life life;
} workers[WORKERS_MAX];
static struct {
    uint32_t test;
    int is_timed;
    struct phx_runq_timing timing;
} positions[8];
static uint32_t npositions;
static const char *ids[] = {"a.py::test_zero", "a.py::test_one", "b.py::test_two", "b.py::test_3"};

void phx_controller_figures(const struct phx_controller *controller,
                            struct phx_controller_figures *out)
{
    ck_assert_ptr_null(controller);
    *out = figures;
}

int phx_controller_look(const struct phx_controller *controller, uint32_t number,
                        struct phx_runq_view *out)
{
    ck_assert_ptr_null(controller);
    ck_assert_uint_lt(number, figures.nworkers);
    if (!workers[number].is_there)
        return -ENOENT;
    *out = workers[number].view;
    return 0;
}

int phx_controller_life(const struct phx_controller *controller, uint32_t number,
                        struct phx_controller_life *out)
{
    ck_assert_ptr_null(controller);
    *out = workers[number].life;
    return 0;
}

const char *phx_controller_host(const struct phx_controller *controller, uint32_t number,
                                int64_t *out_machine)
{
    ck_assert_ptr_null(controller);
    *out_machine = number == 1 ? 7 : PHX_RUNQ_NONE; /* gw1 is elsewhere */
    return number == 1 ? "far" : NULL;
}

uint32_t phx_controller_positions(const struct phx_controller *controller)
{
    ck_assert_ptr_null(controller);
    return npositions;
}

int64_t phx_controller_test(const struct phx_controller *controller, uint32_t position)
{
    ck_assert_ptr_null(controller);
    return positions[position].test;
}

int phx_controller_timing(const struct phx_controller *controller, uint32_t position,
                          struct phx_runq_timing *out)
{
    ck_assert_ptr_null(controller);
    if (positions[position].is_timed == 1)
        *out = positions[position].timing;
    return positions[position].is_timed;
}

const char *phx_controller_test_id(const struct phx_controller *controller, uint32_t test,
                                   size_t *out_size)
{
    ck_assert_ptr_null(controller);
    if (test >= TESTS)
        return NULL;
    *out_size = strlen(ids[test]);
    return ids[test];
}

static struct phx_collection collection;

const struct phx_collection *phx_controller_collection(const struct phx_controller *controller)
{
    ck_assert_ptr_null(controller);
    return &collection;
}

int phx_controller_scope(const struct phx_controller *controller, uint32_t test,
                         struct phx_scope *out)
{
    (void)controller;
    (void)test;
    (void)out;
    return 0;
}

static void add_worker(uint32_t number, phx_ns busy, uint32_t nended)
{
    workers[number].is_there = 1;
    workers[number].view = (struct phx_runq_view){.busy = busy, .nended = nended, .cpu = S / 2};
    workers[number].life =
        (struct phx_controller_life){.up = 1 * US, .down = 11 * S, .replacement = -1};
}

static void add_run(uint32_t test, uint32_t worker, phx_ns start, uint32_t total_s)
{
    positions[npositions].test = test;
    positions[npositions].is_timed = 1;
    positions[npositions++].timing = (struct phx_runq_timing){.worker = worker,
                                                              .started = start,
                                                              .phase_us = {0, 100, 200, 300},
                                                              .total_us = total_s * 1000000};
}

static void make_run(void)
{
    memset(workers, 0, sizeof workers);
    memset(positions, 0, sizeof positions);
    npositions = 0;
    figures = (struct phx_controller_figures){
        .nparallel = 2, .nworkers = 2, .ntests = TESTS, .forked = US, .wall = 10 * S};
    add_worker(0, 9 * S, 2);
    add_worker(1, 8 * S, 2);
    add_run(0, 0, 1 * S, 4);
    add_run(1, 0, 5 * S, 5);
    add_run(2, 1, 1 * S, 3);
    add_run(3, 1, 4 * S, 4);
}

static struct phx_record gather(const char *outcomes)
{
    struct phx_record record;
    ck_assert_int_eq(phx_record_make(&record, NULL, outcomes, outcomes ? strlen(outcomes) : 0), 0);
    return record;
}

START_TEST(tests_come_in_order_of_their_starts_with_what_they_came_to)
{
    make_run();
    struct phx_record record = gather(".FR");
    ck_assert_uint_eq(record.ntests, 4);
    ck_assert_uint_eq(record.ndistinct, 4);
    static const uint32_t order[] = {0, 2, 3, 1};
    static const enum phx_outcome outcomes[] = {PHX_OUTCOME_PASSED, PHX_OUTCOME_FLAKY,
                                                PHX_OUTCOME_UNKNOWN, PHX_OUTCOME_FAILED};
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(record.tests[i].test, order[i]);
        ck_assert_int_eq(record.tests[i].outcome, outcomes[i]);
        ck_assert_int_eq(record.tests[i].is_stolen, 0);
        ck_assert_int_eq(record.tests[i].teardown, 300 * US);
    }
    ck_assert_int_eq(record.workers[0].machine, -1);
    ck_assert_ptr_null(record.workers[0].host);
    ck_assert_int_eq(record.workers[1].machine, 7);
    ck_assert_str_eq(record.workers[1].host, "far");
    ck_assert_int_eq(record.tests[3].end, 10 * S);
    ck_assert_int_eq(record.cpu, S);
    ck_assert_int_eq(record.ended, 10 * S + US);
    phx_record_fini(&record);
}
END_TEST

START_TEST(a_position_out_of_turn_was_stolen)
{
    make_run();
    add_run(3, 0, 11 * S, 1); /* position 4: gw0 ran 0 and 1 before */
    struct phx_record record = gather(NULL);
    ck_assert_int_eq(record.tests[4].is_stolen, 1);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(record.tests[i].is_stolen, 0);
    phx_record_fini(&record);
}
END_TEST

START_TEST(only_the_last_run_of_a_test_is_its_outcome)
{
    make_run();
    add_run(1, 1, 10 * S, 1);
    struct phx_record record = gather("...R");
    ck_assert_uint_eq(record.ntests, 5);
    ck_assert_uint_eq(record.ndistinct, 4);
    ck_assert_int_eq(record.tests[3].outcome, PHX_OUTCOME_RERUN);
    ck_assert_uint_eq(record.tests[3].attempt, 0);
    ck_assert_int_eq(record.tests[4].outcome, PHX_OUTCOME_PASSED);
    ck_assert_uint_eq(record.tests[4].attempt, 1);
    phx_record_fini(&record);
}
END_TEST

START_TEST(a_crash_lasts_until_its_worker_is_gone)
{
    make_run();
    figures.nworkers = 3;
    positions[1].timing.total_us = 0;
    workers[0].life =
        (struct phx_controller_life){.up = US, .down = 7 * S, .crashed = 1, .replacement = 2};
    add_worker(2, S, 0);
    struct phx_record record = gather("....");
    ck_assert_int_eq(record.tests[3].outcome, PHX_OUTCOME_CRASHED);
    ck_assert_int_eq(record.tests[3].end, 7 * S);
    ck_assert_int_eq(record.workers[0].crashed, 1);
    ck_assert_int_eq(record.workers[0].replaces, -1);
    ck_assert_int_eq(record.workers[2].replaces, 0);
    phx_record_fini(&record);
}
END_TEST

START_TEST(what_did_not_start_or_is_damaged_is_left_out)
{
    make_run();
    positions[0].is_timed = 0;
    positions[1].is_timed = PHX_E_CORRUPT;
    positions[2].timing.worker = 77;
    workers[1].view.busy = -5;
    positions[3].test = UINT32_MAX;
    struct phx_record record = gather("....");
    ck_assert_uint_eq(record.ntests, 1);
    ck_assert_uint_eq(record.ndistinct, 0);
    ck_assert_int_eq(record.tests[0].outcome, PHX_OUTCOME_UNKNOWN);
    ck_assert_int_eq(record.workers[1].busy, 0);
    phx_record_fini(&record);
}
END_TEST

/* ---- what is said of it ---- */

START_TEST(the_line_has_every_workers_figures)
{
    char text[256];
    make_run();
    add_run(1, 1, 10 * S, 1); /* a second try is no second test */
    struct phx_record record = gather(NULL);
    ck_assert_int_eq(phx_summary_line(&record, NULL, text, sizeof text), (int)strlen(text));
    ck_assert_str_eq(text, "2 workers, 4 tests: 1.70x of 2 (85 %), busy 90/80 %, "
                           "longest test_one 5.0 s");
    phx_record_fini(&record);
}
END_TEST

START_TEST(workers_that_never_were_have_no_figures)
{
    char text[512];
    make_run();
    figures.nworkers = 4;
    add_worker(3, 6 * S, 1);
    workers[0].life.crashed = 1;
    workers[0].life.replacement = 3;
    struct phx_record record = gather(NULL);
    phx_summary_line(&record, NULL, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "busy 90/80/60 %"));
    ck_assert_int_eq(phx_summary_table(&record, text, sizeof text), (int)strlen(text));
    ck_assert_str_eq(text,
                     "worker    tests      busy   share  steals       CPU\n"
                     "gw0           2     9.0 s    90 %       0    500 ms  crashed\n"
                     "gw1           2     8.0 s    80 %       0    500 ms\n"
                     "gw3           1     6.0 s    60 %       0    500 ms  in place of gw0\n");
    ck_assert_int_eq(phx_summary_table(&record, text, 9), 8);
    phx_record_fini(&record);
}
END_TEST

START_TEST(the_advice_names_the_test)
{
    char text[512];
    make_run();
    positions[3].is_timed = 0; /* gw1 has nothing from second 4 on */
    struct phx_record record = gather(NULL);
    phx_summary_advice(&record, NULL, text, sizeof text);
    ck_assert_str_eq(text, "test_one kept other workers waiting for 6.0 s at the end (it takes 5.0 "
                           "s): a run is never shorter than its longest test; split it");
    phx_record_fini(&record);
}
END_TEST

START_TEST(the_advice_names_the_limit)
{
    char text[512];
    make_run();
    phx_collection_init(&collection);
    for (int i = 0; i < TESTS; i++) {
        ck_assert_int_eq(phx_collection_add(&collection, ids[i], strlen(ids[i]), NULL, 0), 0);
        ck_assert_int_eq(phx_collection_limit(&collection, "db", 2, 1), 0);
    }
    positions[3].is_timed = 0; /* gw1 has nothing from second 4 on */
    struct phx_record record = gather(NULL);
    phx_summary_advice(&record, NULL, text, sizeof text);
    ck_assert_str_eq(text, "the limit on db kept other workers waiting for 6.0 s at the end (3 "
                           "tests, 1 at a time, take 12.0 s): raise it, or mark fewer tests");
    phx_record_fini(&record);
    phx_collection_fini(&collection);
}
END_TEST

START_TEST(a_run_in_which_nothing_ended)
{
    char text[128];
    make_run();
    npositions = 0;
    figures.wall = -S;
    workers[0].view.nended = workers[1].view.nended = 0;
    struct phx_record record = gather(NULL);
    phx_summary_line(&record, NULL, text, sizeof text);
    ck_assert_str_eq(text, "2 workers, 0 tests");
    phx_summary_advice(&record, NULL, text, sizeof text);
    ck_assert_str_eq(text, "");
    phx_record_fini(&record);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, tests_come_in_order_of_their_starts_with_what_they_came_to);
    tcase_add_test(tests, a_position_out_of_turn_was_stolen);
    tcase_add_test(tests, only_the_last_run_of_a_test_is_its_outcome);
    tcase_add_test(tests, a_crash_lasts_until_its_worker_is_gone);
    tcase_add_test(tests, what_did_not_start_or_is_damaged_is_left_out);
    tcase_add_test(tests, the_line_has_every_workers_figures);
    tcase_add_test(tests, workers_that_never_were_have_no_figures);
    tcase_add_test(tests, the_advice_names_the_test);
    tcase_add_test(tests, the_advice_names_the_limit);
    tcase_add_test(tests, a_run_in_which_nothing_ended);
}

int main(void)
{
    return harness_run("record", 10, add);
}
