/* A run as a Chrome trace: what Perfetto (ui.perfetto.dev) and chrome://tracing open.
 *
 * The format: "Trace Event Format" of the Chromium project, JSON object form.
 *
 * Runs in the controller. */
#ifndef PHX_REPORT_TRACE_H
#define PHX_REPORT_TRACE_H

#include "base/err.h"
#include "report/record.h"

/* Writes it: a thread for each worker, in it a slice for each test with one for each of its phases,
 * and instants for steals, crashes and replacements.
 * Returns 0 or a negative code with *err filled. */
int phx_trace_write(const char *path, const struct phx_record *record,
                    const struct phx_controller *controller, struct phx_err *err);

#endif
