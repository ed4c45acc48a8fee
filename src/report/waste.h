/* What wasted most of the workers' time in a run, and what to do about it: one sentence, or none.
 *
 * Time is counted in worker seconds: a second in which one worker that could have run tests did
 * not.
 *
 *     0          forked                                     wall
 *     │ start-up   │ gw0 ████████████████████████████████████ │
 *     │            │ gw1 ████████████████                     │   idle at the end: somebody else's
 *     │            │ gw2 ██████████████                       │   last unit was long
 *
 * Runs in the controller; pure functions. */
#ifndef PHX_REPORT_WASTE_H
#define PHX_REPORT_WASTE_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "sched/collection.h"

struct phx_waste_test { /* one run of a test */
    uint32_t worker;    /* < nworkers */
    uint32_t test;      /* names it for the caller */
    const char *scope;  /* borrowed: the unit it must stay with, or NULL: a unit of its own */
    size_t scope_size;
    uint32_t limit; /* 0, or one more than the number of its limit */
    phx_ns start, end;
};

struct phx_waste_input {
    const struct phx_waste_test *tests; /* borrowed, [ntests], in any order */
    uint32_t ntests;
    const struct phx_collection_limit *limits; /* borrowed; the first one, if any, is of exclusive
                                                  tests */
    uint32_t nworkers;                         /* numbers in use, replacements included */
    uint32_t nparallel;                        /* workers at one time */
    uint32_t ncores;                           /* that this process may use; 0: unknown */
    phx_ns startup;                            /* from the start of the run to the first fork */
    phx_ns forked; /* when that was; on the clock of `start` and `end` */
    phx_ns ended;  /* the last worker's end */
    phx_ns cpu;    /* CPU time of all workers and their children; 0: unknown */
};

enum phx_waste_cause {
    PHX_WASTE_NONE = 0,  /* nothing worth a sentence */
    PHX_WASTE_STARTUP,   /* nobody ran tests while they were collected */
    PHX_WASTE_TEST,      /* one test went on alone at the end */
    PHX_WASTE_SCOPE,     /* one scope did */
    PHX_WASTE_LIMIT,     /* tests of a limited group did */
    PHX_WASTE_EXCLUSIVE, /* exclusive tests ran, and nobody else might */
    PHX_WASTE_CORES,     /* workers shared cores that their tests kept busy */
};

struct phx_waste {
    enum phx_waste_cause cause;
    phx_ns lost;     /* worker seconds */
    uint32_t test;   /* TEST, SCOPE, LIMIT: the one that ended last */
    uint32_t limit;  /* LIMIT: of that test */
    uint32_t ntests; /* SCOPE, LIMIT, EXCLUSIVE: how many tests the unit, the group has */
    phx_ns alone;    /* TEST, SCOPE, LIMIT: for how long at least one other worker had nothing */
    phx_ns took;     /* TEST, SCOPE, LIMIT, EXCLUSIVE: how long those tests took together */
    phx_ns total;    /* STARTUP: from the start of the run to its end */
};

/* Finds the cause that cost most. Nothing is worth a sentence that costs less than a tenth of all
 * workers' time, or less than a second; start-up, less than a third and than two seconds. Returns 0
 * or -ENOMEM. */
int phx_waste_find(struct phx_waste *out, const struct phx_waste_input *input);

enum { PHX_WASTE_LINE_MAX = 512 };

/* Writes the sentence (no newline; "" for NONE): what wastes time, and what to do.
 * name, scope  of out->test; borrowed, may be NULL
 * Returns the bytes written, without the NUL; cut if `size` is too small. */
size_t phx_waste_format(char *out, size_t size, const struct phx_waste *waste,
                        const struct phx_waste_input *input, const char *name, size_t name_size,
                        const char *scope, size_t scope_size);

#endif
