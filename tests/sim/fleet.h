/* A run on machines that are none: what the files of `simulate_fleet` share.
 *
 *     fleet.c            the run: the real controller, with a sink in the place of pytest's hooks
 *     fleet_transport.c  the clock, which is turned by hand, and connections that no program makes
 *     fleet_agents.c     all machines, in one process of their own: what is measured of the first
 *                        process is the engine's alone
 *
 * Both processes go in step, a tick at a time: the controller takes what has come, then the
 * machines live through the tick. A byte arrives half a round trip after it was written. */
#ifndef PHX_SIM_FLEET_H
#define PHX_SIM_FLEET_H

#include <stdint.h>

#include "base/clock.h"

struct fleet_setting {
    uint32_t nmachines, nworkers; /* of each machine */
    uint32_t ntests;
    phx_ns round_trip;
    double mean_us;       /* what a test takes */
    double sigma;         /* of its logarithm; 0: between half the mean and one and a half */
    double slow_share;    /* of machines */
    double slow_factor;   /* by which they are slower */
    uint32_t report_size; /* bytes of each of a test's three reports */
    int tells_lists;      /* every machine tells its tests; else the first one alone */
};

struct fleet_tick {  /* what the machines answer to a tick */
    uint64_t nended; /* tests so far */
    phx_ns last_end; /* of a test */
    uint32_t
        nstarts_wrong; /* tests that were begun another number of times than once; at the end */
};

enum { FLEET_FIRST_FD = 100, FLEET_NUMBERS_MAX = 1 << 16 };

/* What `test` takes on a machine that is not slow. */
uint32_t fleet_cost_us(const struct fleet_setting *setting, uint32_t test);
double fleet_slowness(const struct fleet_setting *setting, uint32_t machine);

/* ---- fleet_transport.c ---- */

extern phx_ns fleet_now; /* what phx_clock_now returns */

/* The controller's end of the next connection. */
void fleet_offer(int fd);

/* ---- fleet_agents.c ---- */

/* Lives through the ticks (phx_ns) that `ticks` brings, until its end. `ends[i]` is the connection
 * of machine i. */
_Noreturn void fleet_agents_serve(const struct fleet_setting *setting, const int *ends, int ticks);

#endif
