/* What a run tells the history. A controller that is none stands in for the real one; its functions
 * are defined here, and the linker takes them. */
#include "store/gathered.h"

#include <errno.h>
#include <string.h>

#include "harness.h"
#include "role/controller.h"
#include "sched/collection.h"

static struct phx_collection tests;
static struct {
    uint32_t test;
    enum phx_runq_state state;
    struct phx_runq_timing timing;
} positions[16];
static uint32_t npositions;
static struct phx_gathered gathered;

const struct phx_collection *phx_controller_collection(const struct phx_controller *controller)
{
    ck_assert_ptr_null(controller);
    return &tests;
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

enum phx_runq_state phx_controller_state(const struct phx_controller *controller, uint32_t position)
{
    ck_assert_ptr_null(controller);
    return positions[position].state;
}

int phx_controller_timing(const struct phx_controller *controller, uint32_t position,
                          struct phx_runq_timing *out)
{
    ck_assert_ptr_null(controller);
    *out = positions[position].timing;
    return positions[position].state != PHX_RUNQ_QUEUED;
}

int phx_controller_life(const struct phx_controller *controller, uint32_t number,
                        struct phx_controller_life *out)
{
    ck_assert_ptr_null(controller);
    *out = (struct phx_controller_life){.down = (phx_ns)(number + 1) * PHX_S};
    return 0;
}

/* ---- a run ---- */

static void collect(const char *const *ids, size_t count)
{
    phx_collection_init(&tests);
    npositions = 0;
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(phx_collection_add(&tests, ids[i], strlen(ids[i]), NULL, 0), 0);
}

static void ran(uint32_t test, uint32_t worker, int at_ms, enum phx_runq_state state)
{
    positions[npositions].test = test;
    positions[npositions].state = state;
    positions[npositions++].timing =
        (struct phx_runq_timing){.worker = worker,
                                 .started = at_ms * PHX_MS,
                                 .phase_us = {0, 10, 20, 30},
                                 .total_us = state == PHX_RUNQ_ENDED ? 60 : 0};
}

static void gather(const char *outcomes, const char *repetitions)
{
    ck_assert_int_eq(
        phx_gathered_make(&gathered, NULL, outcomes, repetitions, phx_collection_count(&tests)), 0);
}

static void finish(void)
{
    phx_gathered_fini(&gathered);
    phx_collection_fini(&tests);
}

static void check_result(size_t i, const char *id, char outcome, size_t ntrials)
{
    ck_assert_uint_lt(i, gathered.count);
    const struct phx_history_result *result = &gathered.results[i];
    ck_assert_uint_eq(result->node_id_size, strlen(id));
    ck_assert_int_eq(memcmp(result->node_id, id, strlen(id)), 0);
    ck_assert_int_eq(result->outcome, outcome);
    ck_assert_uint_eq(result->ntrials, ntrials);
}

static void check_trial(size_t i, size_t k, char outcome, uint32_t worker, const char *after)
{
    const struct phx_trial *trial = &gathered.results[i].trials[k];
    ck_assert_int_eq(trial->outcome, outcome);
    ck_assert_uint_eq(trial->worker, worker);
    ck_assert_uint_eq(trial->after_size, after ? strlen(after) : 0);
    if (after)
        ck_assert_int_eq(memcmp(trial->after, after, strlen(after)), 0);
    else
        ck_assert_ptr_null(trial->after);
}

START_TEST(each_test_has_its_predecessor)
{
    static const char *const ids[] = {"a", "b", "c", "d", "e"};
    collect(ids, 5);
    ran(2, 0, 1, PHX_RUNQ_ENDED);
    ran(0, 1, 2, PHX_RUNQ_ENDED);
    ran(1, 0, 3, PHX_RUNQ_ENDED);
    ran(3, 1, 4, PHX_RUNQ_QUEUED);
    ran(4, 1, 5, PHX_RUNQ_CRASHED); /* interrupted: no report says that it crashed */
    gather(".Fs .", NULL);
    ck_assert_uint_eq(gathered.count, 3);
    check_result(0, "a", '.', 1);
    check_trial(0, 0, '.', 1, NULL);
    check_result(1, "b", 'F', 1);
    check_trial(1, 0, 'F', 0, "c");
    ck_assert_uint_eq(gathered.results[1].trials[0].took_us, 60);
    ck_assert_int_eq(gathered.results[1].measured, 1);
    ck_assert_uint_eq(gathered.results[1].us[1], 20);
    check_result(2, "c", 's', 0);
    finish();
}
END_TEST

START_TEST(each_try_is_a_trial)
{
    static const char *const ids[] = {"a", "b", "c"};
    collect(ids, 3);
    ran(0, 0, 1, PHX_RUNQ_ENDED);
    ran(1, 1, 1, PHX_RUNQ_ENDED);
    ran(2, 0, 2, PHX_RUNQ_CRASHED);
    ran(2, 2, 900, PHX_RUNQ_ENDED); /* handed out again */
    ran(0, 1, 3, PHX_RUNQ_ENDED);
    gather("R.F", NULL);
    ck_assert_uint_eq(gathered.count, 3);
    check_result(0, "a", 'R', 2);
    check_trial(0, 0, 'F', 0, NULL);
    check_trial(0, 1, '.', 1, "b");
    check_result(2, "c", 'F', 2);
    check_trial(2, 0, 'C', 0, "a");
    ck_assert_uint_eq(gathered.results[2].trials[0].took_us, 998000); /* until the death was seen */
    check_trial(2, 1, 'F', 2, NULL);
    finish();
}
END_TEST

START_TEST(a_retry_that_never_came_leaves_a_failure)
{
    static const char *const ids[] = {"a"};
    collect(ids, 1);
    ran(0, 0, 1, PHX_RUNQ_ENDED);
    gather("r", NULL); /* its failure was to be tried again; then the run was stopped */
    check_result(0, "a", 'F', 1);
    check_trial(0, 0, 'F', 0, NULL);
    finish();
}
END_TEST

START_TEST(a_rerun_in_place_is_one_trial)
{
    static const char *const ids[] = {"a"};
    collect(ids, 1);
    ran(0, 0, 1, PHX_RUNQ_ENDED); /* by pytest-rerunfailures: nobody sees the tries */
    gather("R", NULL);
    check_result(0, "a", 'R', 1);
    check_trial(0, 0, 'R', 0, NULL);
    finish();
}
END_TEST

START_TEST(repetitions_are_one_test)
{
    static const char *const ids[] = {"t::x[1-3]",   "t::y[p-1-3]", "t::x[2-3]",  "t::z[1-3]",
                                      "t::y[p-2-3]", "t::x[3-3]",   "t::y[p-3-3]"};
    collect(ids, 7);
    for (uint32_t i = 0; i < 7; i++)
        ran(i, i % 2, (int)i, PHX_RUNQ_ENDED);
    gather(".FF.FsE", "\1\1\1\0\1\1\1"); /* z has parameters that look so */
    ck_assert_uint_eq(gathered.count, 3);
    check_result(0, "t::x", 'R', 2);
    check_trial(0, 0, '.', 0, NULL);
    check_trial(0, 1, 'F', 0, "t::x");
    ck_assert_uint_eq(gathered.results[0].trials[1].repetition, 2);
    ck_assert_int_eq(gathered.results[0].measured, 0);
    check_result(1, "t::y[p]", 'F', 3);
    check_trial(1, 2, 'E', 0, "t::y[p]");
    check_result(2, "t::z[1-3]", '.', 1);
    ck_assert_int_eq(gathered.results[2].measured, 1);
    finish();
}
END_TEST

static void add(TCase *cases)
{
    tcase_add_test(cases, each_test_has_its_predecessor);
    tcase_add_test(cases, each_try_is_a_trial);
    tcase_add_test(cases, a_retry_that_never_came_leaves_a_failure);
    tcase_add_test(cases, a_rerun_in_place_is_one_trial);
    tcase_add_test(cases, repetitions_are_one_test);
}

int main(void)
{
    return harness_run("gathered", 60, add);
}
