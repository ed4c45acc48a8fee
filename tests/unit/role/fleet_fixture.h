/* A run on machines to test the controller with: a command for each, a fake node (fake_node.c) or
 * the real one with guard and fake zygote (fake_zygote.c), and what was seen of each test. */
#ifndef PHX_TEST_FLEET_FIXTURE_H
#define PHX_TEST_FLEET_FIXTURE_H

#include <stdint.h>

#include "role/controller.h"

enum { MACHINES_MAX = 4, DEEDS_MAX = 4, TESTS_MAX = 512 };

struct fleet {
    /* set by the test; 0 is a good default */
    uint32_t nmachines, workers[MACHINES_MAX];  /* of each */
    uint32_t ntests, unit;                      /* `unit`: tests in a file; fake nodes only */
    const char *deeds[MACHINES_MAX][DEEDS_MAX]; /* of fake nodes; or [0] is a zygote's script */
    enum phx_dist dist;
    int64_t max_restarts;
    int reruns;
    int is_real; /* nodes */
    int spawns;  /* every worker starts afresh */

    /* seen */
    struct phx_controller *c;
    char directory[64];
    uint32_t nwanted, ndown, nlost, nmachines_lost, nfailed;
    char why[PHX_ERR_TEXT_MAX]; /* machines were lost, workers not made, and what they said */
    int crashed[TESTS_MAX];
    int started[TESTS_MAX], reports[TESTS_MAX], ended[TESTS_MAX]; /* messages; of real nodes */
};

/* How often to go through each run: PHX_TEST_ROUNDS, or so often. */
uint64_t fleet_rounds(uint64_t usual);

/* Starts the machines' commands; with real nodes every machine has a directory of its own, and all
 * share the gate. */
void fleet_open(struct fleet *fleet, uint64_t seed);

/* Goes through the run until nobody is active. The gate opens when nothing but `nwaiting` tests is
 * left. The test fails when that takes too long. */
void fleet_run(struct fleet *fleet, uint32_t nwaiting);

/* How often a test was begun, by what fake nodes have noted. */
long fleet_starts_of(const struct fleet *fleet, uint32_t test);

/* Ends the run in good order, and removes its directory. */
void fleet_close(struct fleet *fleet);

#endif
