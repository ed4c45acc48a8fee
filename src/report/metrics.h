/* The figures a run ends with: how much faster it was, and how well its workers were used.
 *
 *     4 workers, 312 tests: 3.87x of 4 (97 %), busy 98/97/97/96 %, longest test_checkout 12.3 s
 *
 * Runs in the controller; pure functions, which cannot fail: a figure never changes a result. */
#ifndef PHX_REPORT_METRICS_H
#define PHX_REPORT_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

struct phx_metrics_worker {
    phx_ns busy;     /* summed time from start to end of its tests */
    uint32_t ntests; /* tests it ended */
};

struct phx_metrics_input {
    const struct phx_metrics_worker *workers; /* borrowed, [nworkers]; dead ones and replacements
                                                 included */
    uint32_t nworkers;
    uint32_t nparallel;     /* workers at one time: what was asked for; 0: nworkers */
    uint32_t ntests;        /* each counted once, however often it was tried; 0: what the workers
                               ended */
    phx_ns wall;            /* from the first worker's start to the last one's end */
    phx_ns longest;         /* duration of the longest test */
    const char *longest_id; /* borrowed: its node id, or NULL */
    size_t longest_id_size;
};

struct phx_metrics {
    uint32_t nparallel;
    uint64_t ntests;
    phx_ns busy; /* of all workers */
    double
        speedup;  /* busy / wall: how many times as fast as one test after the other; 0: unknown */
    double share; /* speedup / nparallel: 1 is the ideal */
    double busy_min; /* lowest and highest utilisation of a worker, 0 to 1 */
    double busy_max;
};

/* Computes the figures. Without wall time or workers they are 0; a negative time counts as 0. */
void phx_metrics_compute(struct phx_metrics *out, const struct phx_metrics_input *input);

/* The share of the wall time in which worker `i` ran tests, 0 to 1. */
double phx_metrics_utilisation(const struct phx_metrics_input *input, uint32_t i);

enum { PHX_METRICS_LINE_MAX = 256 }; /* room for every line, its NUL included */

/* Writes the summary line (no newline), independent of the locale. Cut if `size` is too small. Up
 * to 16 workers are listed one by one (`98/97 %`), more as a range (`91 to 98 %`). The longest test
 * goes by the last part of its node id. Returns the bytes written, without the NUL. */
size_t phx_metrics_format(char *out, size_t size, const struct phx_metrics_input *input);

#endif
