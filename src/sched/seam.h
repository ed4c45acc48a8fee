/* Seams: what it costs to cut the collection between two tests.
 *
 * A cut between tests that share a fixture of a class or a module makes it be set up twice. The
 * seam before a test is the estimated cost of the set-ups that would be, so that cuts go where the
 * seam is low, and a thief that would pay more for a set-up than it saves leaves the work alone.
 *
 *     tests          a1  a2  a3  b1  b2  c1
 *     set-up A       ──────────                  50
 *     set-up B               ──────────          20     (b1 is asked for by a3 too)
 *     seam before     -  50  50  20  20   0
 *     opening        50   0  20   0   0   0             what a test's set-ups cost when in order
 *
 * What every worker needs anyway (a set-up whose tests cost more than a fair share, such as one of
 * the session) is no reason to cut elsewhere.
 *
 * Runs in the controller; plain memory. */
#ifndef PHX_SCHED_SEAM_H
#define PHX_SCHED_SEAM_H

#include <stdint.h>

#include "sched/collection.h"
#include "sched/costs.h"

struct phx_seams {
    uint32_t *seam_us;    /* owned, [tests]: cost of a cut before this test; NULL: 0 everywhere */
    uint32_t *opening_us; /* owned, [tests]: set-ups that this test is the first to need; or NULL */
};

/* Measures the seams of a collection.
 *
 * What a set-up costs is not measured by itself: it is in the setup phase of whichever test was the
 * first to need it. So it is taken to be what the setup phase of its first test costs more than the
 * least of the others that need it, and goes from that test's cost into its opening.
 *
 * costs      what is attributed to a set-up is taken away from its first test
 * setup_us   borrowed, [tests]: what the history says of a test's setup phase, which is part of
 *            its cost. NULL: nothing; then what one test opens counts as some tests
 * out        set on success only; the caller ends it with phx_seams_fini
 * Returns    0 or -ENOMEM. */
int phx_seams_make(struct phx_seams *out, const struct phx_collection *tests,
                   struct phx_costs *costs, const uint32_t *setup_us, uint32_t nworkers);

void phx_seams_fini(struct phx_seams *seams);

static inline uint32_t phx_seam(const struct phx_seams *seams, uint32_t test)
{
    return seams->seam_us ? seams->seam_us[test] : 0;
}

static inline uint32_t phx_seam_opening(const struct phx_seams *seams, uint32_t test)
{
    return seams->opening_us ? seams->opening_us[test] : 0;
}

#endif
