/* The scheduling simulator: suites, schedulers, a virtual clock.
 *
 * phalanx is simulated by itself: the planner's C code makes the plan, and each simulated worker
 * claims from a real run queue. pytest-xdist's schedulers are written anew from their documented
 * behaviour (xdist_model.c). Messages, forks and imports take no time for either. */
#ifndef PHX_TESTS_SIM_H
#define PHX_TESTS_SIM_H

#include <stdint.h>

#include "sched/collection.h"

struct sim_suite {
    struct phx_collection tests;
    uint32_t ntests, nmodules, nworkers;
    uint32_t *cost_us;  /* [ntests] */
    uint32_t *module;   /* [ntests], ascending */
    uint32_t *setup_us; /* [nmodules]: of its module-scoped fixture; 0: it has none */
};

enum sim_history { SIM_NONE, SIM_EXACT, SIM_NOISY, SIM_UNKNOWN, SIM_NHISTORIES };

struct sim_result {
    uint64_t makespan_us;
    uint64_t setups;
    double plan_seconds; /* processor time; phalanx only */
};

/* ---- suites.c ---- */

struct sim_kind {
    const char *name, *about;
    uint32_t ntests, nworkers;
    void (*make)(struct sim_suite *suite);
};

extern const struct sim_kind sim_kinds[];
extern const int sim_nkinds;

void sim_seed(uint64_t seed);
double sim_random(void); /* [0, 1) */

void sim_suite_make(struct sim_suite *suite, const struct sim_kind *kind, uint64_t seed);
/* Reads "microseconds TAB node id" lines. Returns 0, or -1 with a message on stderr. */
int sim_suite_read(struct sim_suite *suite, const char *path, uint32_t nworkers);
void sim_suite_free(struct sim_suite *suite);

/* max(total / workers, longest unit), set-ups included; and how many set-ups a sequential run makes
 */
double sim_bound(const struct sim_suite *suite);
uint64_t sim_sequential_setups(const struct sim_suite *suite);

/* ---- schedulers ---- */

void sim_phalanx(struct sim_result *out, const struct sim_suite *suite, enum sim_history history);
void sim_xdist_load(struct sim_result *out, const struct sim_suite *suite);
void sim_xdist_worksteal(struct sim_result *out, const struct sim_suite *suite);
void sim_xdist_loadscope(struct sim_result *out, const struct sim_suite *suite);
/* Plain list scheduling, longest first, without fixtures: what "longest processing time" gives. */
void sim_lpt(struct sim_result *out, const struct sim_suite *suite);

/* ---- clock.c: who is ready next ---- */

struct sim_clock {
    struct sim_event {
        uint64_t at_us;
        uint32_t worker;
    } * heap;
    uint32_t count;
};

void sim_clock_init(struct sim_clock *clock, uint32_t nworkers);
void sim_clock_free(struct sim_clock *clock);
void sim_clock_set(struct sim_clock *clock, uint64_t at_us, uint32_t worker);
int sim_clock_next(struct sim_clock *clock, struct sim_event *out); /* 0: nothing is under way */

/* What `test` takes on a worker whose last test was in *module (UINT32_MAX: none); brings *module
 * and the count of set-ups up to date. */
uint64_t sim_run(const struct sim_suite *suite, uint32_t test, uint32_t *module, uint64_t *setups);

void *sim_alloc(size_t count, size_t size); /* zeroed; ends the program without memory */

#endif
