/* --schedule-report: of each run of a test, what it was taken to cost, how that is known, and why
 * it ran where it did.
 *
 *      start  worker    took  estimate  known by  test  why there
 *     0.0 ms  gw0      5.0 s     5.0 s  history   test_a.py::test_long  long: dealt before …, to
 * gw0
 *
 * The plan says where each test was to run (sched/reason.h), the ledger where it did.
 *
 * Runs in the controller, when no worker is active any more. */
#ifndef PHX_REPORT_SCHEDULE_H
#define PHX_REPORT_SCHEDULE_H

#include <stdio.h>

#include "base/err.h"
#include "report/record.h"
#include "sched/reason.h"

/* Puts it to a stream, whose errors are the caller's to see. reasons->of is NULL when a scheduler
 * decided. Returns 0 or -ENOMEM. */
int phx_schedule_put(FILE *out, const struct phx_record *record,
                     const struct phx_controller *controller, const struct phx_reasons *reasons);

/* Writes it to a file (report/outfile.h). Returns 0 or a negative code with *err filled. */
int phx_schedule_write(const char *path, const struct phx_record *record,
                       const struct phx_controller *controller, const struct phx_reasons *reasons,
                       struct phx_err *err);

#endif
