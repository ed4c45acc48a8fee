#include "report/record.h"

#include <errno.h>
#include <stdlib.h>

#include "os/cpu.h"
#include "role/controller.h"

#define US ((phx_ns)1000)

/* ---- workers ---- */

static int gather_workers(struct phx_record *record, const struct phx_controller *controller)
{
    record->workers = calloc(record->nworkers + (size_t)1, sizeof *record->workers);
    if (!record->workers)
        return -ENOMEM;
    for (uint32_t number = 0; number < record->nworkers; number++)
        record->workers[number].replaces = record->workers[number].machine = -1;
    for (uint32_t number = 0; number < record->nworkers; number++) {
        struct phx_record_worker *worker = &record->workers[number];
        struct phx_runq_view view;
        struct phx_controller_life life;
        if (phx_controller_look(controller, number, &view) < 0 ||
            phx_controller_life(controller, number, &life) < 0)
            continue;
        worker->is_there = 1;
        worker->crashed = life.crashed;
        if (life.replacement >= 0 && life.replacement < record->nworkers)
            record->workers[life.replacement].replaces = number;
        worker->ntests = view.nended;
        worker->nsteals = view.nsteals;
        worker->busy = view.busy > 0 ? view.busy : 0; /* shared memory may hold anything */
        worker->cpu = view.cpu > 0 ? view.cpu : 0;
        worker->host = phx_controller_host(controller, number, &worker->machine);
        worker->up = life.up;
        worker->down = life.down;
        if (__builtin_add_overflow(record->cpu, worker->cpu, &record->cpu))
            record->cpu = INT64_MAX;
    }
    return 0;
}

/* ---- tests ---- */

static void add_test(struct phx_record *record, const struct phx_controller *controller,
                     uint32_t position, const struct phx_runq_timing *timing)
{
    const struct phx_record_worker *worker = &record->workers[timing->worker];
    struct phx_record_test *test = &record->tests[record->ntests++];
    *test = (struct phx_record_test){
        .position = position,
        /* One that cannot be is NONE: UINT32_MAX, and compared with their number below. */
        .test = (uint32_t)phx_controller_test(controller, position),
        .worker = timing->worker,
        .outcome = PHX_OUTCOME_UNKNOWN,
        .start = timing->started,
        .setup = timing->phase_us[PHX_PHASE_SETUP] * US,
        .call = timing->phase_us[PHX_PHASE_CALL] * US,
        .teardown = timing->phase_us[PHX_PHASE_TEARDOWN] * US,
    };
    test->end = test->start + timing->total_us * US;
    if (timing->total_us == 0) { /* it did not end, its worker did */
        phx_ns phases = test->start + test->setup + test->call + test->teardown;
        test->end = worker->down > phases ? worker->down : phases;
        test->outcome = PHX_OUTCOME_CRASHED;
    }
}

static int gather_tests(struct phx_record *record, const struct phx_controller *controller)
{
    uint32_t positions = phx_controller_positions(controller);
    record->tests = malloc((positions + (size_t)1) * sizeof *record->tests);
    if (!record->tests)
        return -ENOMEM;
    for (uint32_t position = 0; position < positions; position++) {
        struct phx_runq_timing timing;
        if (phx_controller_timing(controller, position, &timing) == 1 &&
            timing.worker < record->nworkers)
            add_test(record, controller, position, &timing);
    }
    return 0;
}

static int compare_starts(const void *left, const void *right)
{
    const struct phx_record_test *a = left, *b = right;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return a->position < b->position ? -1 : a->position > b->position;
}

/* What is stolen does not follow, in the order of the plan, what its worker ran before. */
static int mark_steals(struct phx_record *record)
{
    uint32_t *next = malloc((record->nworkers + (size_t)1) * sizeof *next);
    if (!next)
        return -ENOMEM;
    for (uint32_t i = 0; i < record->nworkers; i++)
        next[i] = UINT32_MAX;
    for (uint32_t i = 0; i < record->ntests; i++) {
        struct phx_record_test *test = &record->tests[i];
        uint32_t *expected = &next[test->worker];
        int is_first_worker = *expected == UINT32_MAX && test->worker < record->nparallel;
        test->is_stolen = test->position != *expected && !is_first_worker;
        *expected = test->position + 1;
    }
    free(next);
    return 0;
}

/* Gives each run of a test its number and its outcome: what is known of a test is known of its last
 * run, and the ones before failed. */
static int settle_outcomes(struct phx_record *record, const char *outcomes, size_t noutcomes)
{
    uint32_t *runs = calloc(record->ncollected + (size_t)1, sizeof *runs);
    if (!runs)
        return -ENOMEM;
    for (uint32_t i = 0; i < record->ntests; i++) {
        struct phx_record_test *test = &record->tests[i];
        if (test->test >= record->ncollected)
            continue;
        test->attempt = runs[test->test]++;
        record->ndistinct += test->attempt == 0;
    }
    for (uint32_t i = 0; i < record->ntests; i++) {
        struct phx_record_test *test = &record->tests[i];
        if (test->test >= record->ncollected || test->outcome == PHX_OUTCOME_CRASHED)
            continue;
        if (test->attempt + 1 < runs[test->test])
            test->outcome = PHX_OUTCOME_RERUN;
        else if (outcomes && test->test < noutcomes)
            test->outcome =
                (enum phx_outcome)phx_outcome_at(phx_outcome_index(outcomes[test->test]));
    }
    free(runs);
    return 0;
}

int phx_record_make(struct phx_record *out, const struct phx_controller *controller,
                    const char *outcomes, size_t noutcomes)
{
    struct phx_controller_figures figures;
    phx_controller_figures(controller, &figures);
    struct phx_record record = {.nworkers = figures.nworkers,
                                .nparallel = figures.nparallel,
                                .ncores = (uint32_t)phx_cpu_logical(""),
                                .ncollected = figures.ntests,
                                .startup = figures.startup,
                                .forked = figures.forked,
                                .ended = figures.forked + figures.wall};
    int status = gather_workers(&record, controller);
    if (status == 0)
        status = gather_tests(&record, controller);
    if (status == 0) {
        qsort(record.tests, record.ntests, sizeof *record.tests, compare_starts);
        status = mark_steals(&record);
    }
    if (status == 0)
        status = settle_outcomes(&record, outcomes, noutcomes);
    if (status < 0) {
        phx_record_fini(&record);
        return status;
    }
    *out = record;
    return 0;
}

void phx_record_fini(struct phx_record *record)
{
    free(record->tests);
    free(record->workers);
    *record = (struct phx_record){0};
}
