/* What a run was: who ran which test when, and what came of it. Summary, timeline, trace and
 * figures are made from it.
 *
 * Times are nanoseconds since the run was planned, a moment before the first worker was forked.
 *
 * Runs in the controller, when no worker is active any more. */
#ifndef PHX_REPORT_RECORD_H
#define PHX_REPORT_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "store/outcomes.h"

struct phx_controller;

struct phx_record_test { /* one run of a test; a test that was run again has several */
    uint32_t position;
    uint32_t test;
    uint32_t worker;
    uint32_t attempt; /* 0, 1, …: how often it had run before */
    enum phx_outcome outcome;
    int is_stolen;                /* with it began what its worker took from another one */
    phx_ns start, end;            /* of a crashed one: until its worker's death was seen */
    phx_ns setup, call, teardown; /* durations, as far as they are known */
};

struct phx_record_worker {
    int is_there; /* it was forked; else all is 0 */
    int crashed;
    int64_t replaces; /* the crashed worker in whose place it came, or -1 */
    uint32_t ntests, nsteals;
    phx_ns up, down; /* from the fork to the end that was seen */
    phx_ns busy, cpu;
    int64_t machine;  /* its number, or -1: this one */
    const char *host; /* that machine's name, the controller's; or NULL */
};

struct phx_record {
    struct phx_record_test *tests; /* owned, [ntests], in order of their starts */
    uint32_t ntests;
    uint32_t ndistinct; /* tests that were run, each counted once */
    uint32_t ncollected;
    struct phx_record_worker *workers; /* owned, [nworkers] */
    uint32_t nworkers, nparallel, ncores;
    phx_ns startup;       /* from the start of the engine to the first fork */
    phx_ns forked, ended; /* the first fork; the last worker's end */
    phx_ns cpu;           /* of all workers */
};

/* Gathers it.
 * outcomes  borrowed, [noutcomes]: letters by test (store/outcomes.h); may be NULL: all UNKNOWN but
 *           what the ledger says
 * out       set on success only; the caller ends it with phx_record_fini
 * Returns   0 or -ENOMEM. */
int phx_record_make(struct phx_record *out, const struct phx_controller *controller,
                    const char *outcomes, size_t noutcomes);

void phx_record_fini(struct phx_record *record);

#endif
