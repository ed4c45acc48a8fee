/* `phalanx verify`: does a suite give the same answer on several workers as on none, is it faster
 * by what it should be, is the load equal, are its tests reliable? Every figure comes from runs of
 * pytest made here and now; docs/metrics.md defines them.
 *
 * verify.c makes the runs, verify_answers.c and verify_figures.c compare them, verify_table.c says
 * what came of it. Runs as a program of its own. */
#ifndef PHX_CLI_VERIFY_H
#define PHX_CLI_VERIFY_H

#include <jansson.h>
#include <stdio.h>

#include "cli/verify_run.h"

enum { PHX_VERIFY_NAMED_MAX = 10 }; /* tests that are named, and looked at alone, for each check */

struct phx_verify_options {
    long workers, count;
    const char *json;
    char *const *args; /* for pytest */
};

struct phx_verify {
    struct phx_verify_options options;
    char directory[256], python[512];
    struct phx_verify_run sequential, parallel, repeated;
    int has_one_worker; /* the sequential run is one with one worker: without, pytest itself died */
    FILE *table;        /* stdout; stderr when that is the JSON's */
    json_t *checks;     /* owned: what --json gives, and the table is printed from */
    size_t nfailed;
};

/* ---- verify_table.c ---- */

/* Adds a check to the list and prints it.
 * names  taken; the tests it is about, as texts; may be NULL */
void phx_verify_add(struct phx_verify *v, const char *name, int good, json_t *names,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Prints the verdict: what failed, and where the runs' output is. */
void phx_verify_conclude(const struct phx_verify *v);

/* Writes the checks to the file of --json. Returns 0, or 1 with a complaint. */
int phx_verify_write_json(const struct phx_verify *v);

/* ---- verify_answers.c: outcomes, exit code, JUnit, warnings ---- */

void phx_verify_answers(struct phx_verify *v);

/* ---- verify_figures.c: speedup, balance; with the repeated run: flakiness ---- */

void phx_verify_speed(struct phx_verify *v);
void phx_verify_flakiness(struct phx_verify *v);

#endif
