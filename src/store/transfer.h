/* A history as a text that one CI job hands to the next, and what other tools have measured.
 *
 * The format, one test on a line:
 *
 *     {"format": "phalanx-history", "version": 1,
 *      "runs": [{"run": 412, "uid": "6f…", "ended_at": 1795519617, "wall_ms": 867, "workers": 4,
 *                "tests": 11, "complete": true}],
 *      "tests": [{"id": "a.py::test_a", "measured": 12, "measured_at": 1795519617,
 *                 "seen_at": 1795519617, "setup": [120.5, 3.1], "call": [4410.0, 220.4],
 *                 "teardown": [80.0, 0.5], "outcomes": ".412 F409",
 *                 "trials": [{"run": 409, "outcome": "F", "repetition": 0, "worker": 1, "us": 4410,
 *                             "after": "a.py::test_b"}]}]}
 *
 * Times are seconds since 1970 (UTC); the pairs are mean and variance in microseconds. "trials" are
 * there of tests that have failed of late, "after" when its worker had run a test before. A node id
 * that is not UTF-8 is "id_hex", or "after_hex", instead: its bytes, two hexadecimal digits each.
 *
 * Runs in the command. What is read may come from anywhere: it is checked, and fuzzed. */
#ifndef PHX_STORE_TRANSFER_H
#define PHX_STORE_TRANSFER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "store/history.h"
#include "store/merge.h"

/* Writes the whole history. Returns 0 or a negative code. */
int phx_transfer_export(struct phx_history *history, FILE *out, struct phx_err *err);

struct phx_transfer_source {
    const char *name;  /* borrowed: of the file, for complaints */
    const char *bytes; /* borrowed, [size] */
    size_t size;
    int64_t measured_at; /* the file's time: when the durations in it were measured */
    int64_t now;
    int overwrite; /* durations replace what is known */
    /* Whether there is a file of this name below pytest's rootdir; for JUnit XML. */
    int (*has_file)(void *context, const char *path);
    void *context;
};

/* Takes over what a file holds: a history of ours, the durations of pytest-split, or JUnit XML;
 * told apart by their first bytes. In one transaction. *counts is added to. Returns 0; PHX_E_FORMAT
 * with the place in *err; or another negative code. */
int phx_transfer_import(struct phx_history *history, const struct phx_transfer_source *source,
                        struct phx_merge_counts *counts, struct phx_err *err);

/* The parts of it, within a transaction: see store/junit.c and store/import.c. */
int phx_junit_import(struct phx_history *history, const struct phx_transfer_source *source,
                     struct phx_merge_counts *counts, struct phx_err *err);

#endif
