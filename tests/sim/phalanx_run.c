/* phalanx by itself: the real planner, the real run queue, simulated workers. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "queue/runq.h"
#include "sched/planner.h"
#include "sim.h"

/* What the history would say: of a run in collection order, where the first test of a module paid
 * for its fixture. */
static void remember(uint32_t *cost, uint32_t *setup, const struct sim_suite *suite,
                     enum sim_history history)
{
    for (uint32_t test = 0; test < suite->ntests; test++) {
        int pays = test == 0 || suite->module[test] != suite->module[test - 1];
        double factor = history == SIM_NOISY ? 0.5 + sim_random() : 1;
        double setup_us = pays ? factor * suite->setup_us[suite->module[test]] : 0;
        double cost_us = setup_us + factor * suite->cost_us[test];
        int is_known = history != SIM_UNKNOWN || sim_random() >= 0.1;
        setup[test] = is_known ? (uint32_t)setup_us : 0;
        cost[test] = is_known ? (uint32_t)cost_us : 0;
    }
}

struct worker {
    uint32_t module;
    int64_t running;
};

/* A worker is done with its test at `now`. As in a real one, the next is claimed before the present
 * one has ended. */
static void next_test(struct sim_result *out, const struct sim_suite *suite, struct phx_runq *q,
                      struct sim_clock *clock, struct worker *worker, uint32_t number, uint64_t now)
{
    uint32_t position;
    int status = phx_runq_claim(q, number, &position);
    if (worker->running != PHX_RUNQ_NONE)
        phx_runq_end(q, number, (uint32_t)worker->running, (phx_ns)now);
    worker->running = PHX_RUNQ_NONE;
    if (now > out->makespan_us)
        out->makespan_us = now;
    if (status != 1)
        return;
    phx_runq_start(q, number, position, (phx_ns)now);
    worker->running = position;
    uint32_t test = phx_runq_test(q, position);
    sim_clock_set(clock, now + sim_run(suite, test, &worker->module, &out->setups), number);
}

static void run(struct sim_result *out, const struct sim_suite *suite, struct phx_runq *q)
{
    struct worker *workers = sim_alloc(suite->nworkers, sizeof *workers);
    struct sim_clock clock;
    struct sim_event event;
    sim_clock_init(&clock, suite->nworkers);
    for (uint32_t i = 0; i < suite->nworkers; i++) {
        workers[i] = (struct worker){UINT32_MAX, PHX_RUNQ_NONE};
        phx_runq_join(q, i);
        sim_clock_set(&clock, 0, i);
    }
    while (sim_clock_next(&clock, &event))
        next_test(out, suite, q, &clock, &workers[event.worker], event.worker, event.at_us);
    for (uint32_t position = 0; position < suite->ntests; position++) {
        if (phx_runq_state(q, position) != PHX_RUNQ_ENDED) {
            fprintf(stderr, "simulate: position %u was not run\n", position);
            exit(1);
        }
    }
    sim_clock_free(&clock);
    free(workers);
}

void sim_phalanx(struct sim_result *out, const struct sim_suite *suite, enum sim_history history)
{
    *out = (struct sim_result){0};
    uint32_t *cost = sim_alloc(suite->ntests, sizeof *cost);
    uint32_t *setup = sim_alloc(suite->ntests, sizeof *setup);
    remember(cost, setup, suite, history);
    struct phx_planner_options options = {.dist = PHX_DIST_LOAD,
                                          .nworkers = suite->nworkers,
                                          .reorder = 1,
                                          .cost_us = history == SIM_NONE ? NULL : cost,
                                          .setup_us = history == SIM_NONE ? NULL : setup};
    struct phx_plan plan;
    clock_t begin = clock();
    if (phx_planner_make(&plan, &suite->tests, &options) < 0)
        exit(1);
    out->plan_seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    size_t size = phx_runq_size(&plan, suite->nworkers, 0);
    void *mem = aligned_alloc(64, size);
    struct phx_runq queue;
    if (!mem)
        exit(1);
    memset(mem, 0, size);
    if (phx_runq_init(&queue, mem, size, &plan, suite->nworkers, 0) < 0)
        exit(1);
    phx_plan_fini(&plan);
    run(out, suite, &queue);
    free(mem);
    free(cost);
    free(setup);
}
