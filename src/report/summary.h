/* The figures of a run, from its controller.
 *
 * Runs in the controller, when no worker is active any more. */
#ifndef PHX_REPORT_SUMMARY_H
#define PHX_REPORT_SUMMARY_H

#include <stddef.h>

struct phx_controller;

/* Writes the summary line (see report/metrics.h) of the run so far. Returns the bytes written
 * without the NUL, or -ENOMEM. */
int phx_summary_format(const struct phx_controller *controller, char *out, size_t size);

#endif
