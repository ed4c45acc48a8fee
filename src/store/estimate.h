/* How long a test is expected to take: what is learned from each measurement. (Of tests that were
 * never measured sched/costs.h makes an estimate.)
 *
 * Exponentially weighted mean and variance: the first measurements count alike (1, 1/2, 1/3), later
 * ones 3/10 each, so that a test which became slow is known to be slow after two or three runs.
 *
 * Runs in the controller and in the command; pure functions. */
#ifndef PHX_STORE_ESTIMATE_H
#define PHX_STORE_ESTIMATE_H

#include <stddef.h>
#include <stdint.h>

enum { PHX_ESTIMATE_PHASES = 3 }; /* setup, call, teardown: enum phx_runq_phase, less one */

struct phx_estimate {   /* of one test */
    uint32_t nmeasured; /* measurements behind it; 0: unknown, and all else is 0 */
    double mean_us[PHX_ESTIMATE_PHASES];
    double variance_us2[PHX_ESTIMATE_PHASES];
};

/* Takes one measurement in, in microseconds for each phase. */
void phx_estimate_learn(struct phx_estimate *estimate, const uint32_t us[PHX_ESTIMATE_PHASES]);

/* All phases together, rounded to whole microseconds; at least 1, and 0 for a test that is unknown.
 * A database may hold anything: what is no duration counts as 0. */
uint32_t phx_estimate_cost_us(const struct phx_estimate *estimate);

/* Of these the set-up. */
uint32_t phx_estimate_setup_us(const struct phx_estimate *estimate);

#endif
