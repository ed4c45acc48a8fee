/* pytest-xdist's load, worksteal and loadscope, written from their documented behaviour.
 *
 * Common to all: a worker is sent indices and runs a test only when it knows the one after it, or
 * that there is none (shutdown); so it always holds one back. `pending` of a worker is what it was
 * sent and has not ended, the running test included. */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

struct worker {
    uint32_t *tests; /* what it was sent, in order */
    uint32_t head, count, capacity;
    uint32_t module;
    int running, shutdown;
    uint64_t started;
};

struct run {
    const struct sim_suite *suite;
    struct sim_result *out;
    struct worker *workers;
    struct sim_clock clock;
    uint64_t now;
    void (*ended)(struct run *run, uint32_t worker, uint64_t took);
    uint32_t next;                         /* load, worksteal: tests before this one were sent */
    uint32_t *scopes, nscopes, next_scope; /* loadscope: first test of each, largest first */
};

static uint32_t pending(const struct worker *worker)
{
    return worker->count - worker->head;
}

static void go_on(struct run *run, uint32_t number)
{
    struct worker *worker = &run->workers[number];
    if (worker->running || pending(worker) == 0 || (pending(worker) < 2 && !worker->shutdown))
        return;
    worker->running = 1;
    worker->started = run->now;
    uint64_t took =
        sim_run(run->suite, worker->tests[worker->head], &worker->module, &run->out->setups);
    sim_clock_set(&run->clock, run->now + took, number);
}

static void give(struct run *run, uint32_t number, uint32_t test)
{
    struct worker *worker = &run->workers[number];
    if (worker->count == worker->capacity) {
        worker->capacity = worker->capacity ? 2 * worker->capacity : 64;
        worker->tests = realloc(worker->tests, worker->capacity * sizeof *worker->tests);
        if (!worker->tests)
            exit(1);
    }
    worker->tests[worker->count++] = test;
}

static void shut_down(struct run *run, uint32_t number)
{
    run->workers[number].shutdown = 1;
    go_on(run, number);
}

static void start(struct run *run, struct sim_result *out, const struct sim_suite *suite,
                  void (*ended)(struct run *, uint32_t, uint64_t))
{
    *out = (struct sim_result){0};
    *run = (struct run){.suite = suite, .out = out, .ended = ended};
    run->workers = sim_alloc(suite->nworkers, sizeof *run->workers);
    for (uint32_t i = 0; i < suite->nworkers; i++)
        run->workers[i].module = UINT32_MAX;
    sim_clock_init(&run->clock, suite->nworkers);
}

static void finish(struct run *run)
{
    struct sim_event event;
    while (sim_clock_next(&run->clock, &event)) {
        struct worker *worker = &run->workers[event.worker];
        run->now = event.at_us;
        worker->running = 0;
        worker->head++;
        run->ended(run, event.worker, run->now - worker->started);
        go_on(run, event.worker);
    }
    run->out->makespan_us = run->now;
    for (uint32_t i = 0; i < run->suite->nworkers; i++) {
        if (pending(&run->workers[i]) > 0)
            abort(); /* the model lost a test */
        free(run->workers[i].tests);
    }
    free(run->workers);
    free(run->scopes);
    sim_clock_free(&run->clock);
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* ---- load: a batch each, then refills that shrink as the end comes near ---- */

static void send(struct run *run, uint32_t number, uint32_t count)
{
    for (; count > 0 && run->next < run->suite->ntests; count--)
        give(run, number, run->next++);
    go_on(run, number);
}

static void load_ended(struct run *run, uint32_t number, uint64_t took_us)
{
    struct worker *worker = &run->workers[number];
    uint32_t left = run->suite->ntests - run->next, nworkers = run->suite->nworkers;
    if (worker->shutdown)
        return;
    if (left == 0) {
        shut_down(run, number);
        return;
    }
    uint32_t least = larger(2, left / nworkers / 4), most = larger(2, left / nworkers / 2);
    if (pending(worker) >= least)
        return;
    if (took_us >= 100000 && pending(worker) >= 2)
        return; /* long tests, and enough to go on with */
    send(run, number, most - pending(worker));
}

void sim_xdist_load(struct sim_result *out, const struct sim_suite *suite)
{
    struct run run;
    start(&run, out, suite, load_ended);
    uint32_t nworkers = suite->nworkers;
    if (suite->ntests < 2 * nworkers) {
        while (run.next < suite->ntests) {
            uint32_t number = run.next % nworkers;
            give(&run, number, run.next++);
        }
    } else {
        uint32_t batch = larger(suite->ntests / nworkers / 4, 2);
        for (uint32_t i = 0; i < nworkers; i++)
            send(&run, i, batch);
    }
    for (uint32_t i = 0; i < nworkers && run.next == suite->ntests; i++)
        shut_down(&run, i);
    finish(&run);
}

/* ---- worksteal: an equal part each; who runs out gets half of the fullest's ---- */

enum { MIN_PENDING = 2 };

static void worksteal_ended(struct run *run, uint32_t number, uint64_t took_us)
{
    (void)took_us;
    struct worker *worker = &run->workers[number];
    if (worker->shutdown || pending(worker) >= MIN_PENDING)
        return;
    uint32_t victim = 0, nworkers = run->suite->nworkers;
    for (uint32_t i = 1; i < nworkers; i++)
        if (pending(&run->workers[i]) > pending(&run->workers[victim]))
            victim = i;
    struct worker *fullest = &run->workers[victim];
    uint32_t has = pending(fullest), most = has > MIN_PENDING ? has - MIN_PENDING : 0;
    uint32_t count = has / 2 < most ? has / 2 : most;
    if (count == 0) {
        shut_down(run, number);
        return;
    }
    fullest->count -= count;
    for (uint32_t i = 0; i < count; i++)
        give(run, number, fullest->tests[fullest->count + i]);
}

void sim_xdist_worksteal(struct sim_result *out, const struct sim_suite *suite)
{
    struct run run;
    start(&run, out, suite, worksteal_ended);
    for (uint32_t i = 0; i < suite->nworkers; i++)
        send(&run, i, (suite->ntests - run.next) / (suite->nworkers - i));
    /* Those that got fewer than two tests look for more at once. */
    for (uint32_t i = 0; i < suite->nworkers; i++) {
        if (pending(&run.workers[i]) < MIN_PENDING)
            worksteal_ended(&run, i, 0);
        go_on(&run, i);
    }
    finish(&run);
}

/* ---- loadscope: whole modules, those with most tests first ---- */

static const struct sim_suite *sorted_suite; /* for qsort */

static uint32_t scope_size(const struct sim_suite *suite, uint32_t first)
{
    uint32_t end = first;
    while (end < suite->ntests && suite->module[end] == suite->module[first])
        end++;
    return end - first;
}

static int compare_scopes(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    uint32_t a_size = scope_size(sorted_suite, a), b_size = scope_size(sorted_suite, b);
    return a_size != b_size ? (a_size > b_size ? -1 : 1) : a < b ? -1 : a > b;
}

static void assign_scope(struct run *run, uint32_t number)
{
    uint32_t first = run->scopes[run->next_scope++], size = scope_size(run->suite, first);
    for (uint32_t i = 0; i < size; i++)
        give(run, number, first + i);
    go_on(run, number);
}

static void loadscope_ended(struct run *run, uint32_t number, uint64_t took_us)
{
    (void)took_us;
    struct worker *worker = &run->workers[number];
    if (worker->shutdown)
        return;
    if (run->next_scope == run->nscopes)
        shut_down(run, number);
    else if (pending(worker) <= 2)
        assign_scope(run, number);
}

void sim_xdist_loadscope(struct sim_result *out, const struct sim_suite *suite)
{
    struct run run;
    start(&run, out, suite, loadscope_ended);
    run.scopes = sim_alloc(suite->ntests, sizeof *run.scopes);
    for (uint32_t test = 0; test < suite->ntests; test += scope_size(suite, test))
        run.scopes[run.nscopes++] = test;
    sorted_suite = suite;
    qsort(run.scopes, run.nscopes, sizeof *run.scopes, compare_scopes);
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t i = 0; i < suite->nworkers && run.next_scope < run.nscopes; i++)
            if (round == 0 || pending(&run.workers[i]) <= 2)
                assign_scope(&run, i);
    for (uint32_t i = 0; i < suite->nworkers && run.next_scope == run.nscopes; i++)
        shut_down(&run, i);
    finish(&run);
}

/* ---- longest processing time, as a yardstick ---- */

static int compare_costs(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a > b ? -1 : a < b;
}

void sim_lpt(struct sim_result *out, const struct sim_suite *suite)
{
    *out = (struct sim_result){0};
    uint32_t *cost = sim_alloc(suite->ntests, sizeof *cost);
    memcpy(cost, suite->cost_us, suite->ntests * sizeof *cost);
    qsort(cost, suite->ntests, sizeof *cost, compare_costs);
    struct sim_clock clock;
    struct sim_event event;
    sim_clock_init(&clock, suite->nworkers);
    for (uint32_t i = 0; i < suite->nworkers; i++)
        sim_clock_set(&clock, 0, i);
    for (uint32_t i = 0; i < suite->ntests && sim_clock_next(&clock, &event); i++) {
        event.at_us += cost[i];
        if (event.at_us > out->makespan_us)
            out->makespan_us = event.at_us;
        sim_clock_set(&clock, event.at_us, event.worker);
    }
    sim_clock_free(&clock);
    free(cost);
}
