/* The picture of a run: one HTML page, complete in itself, that needs no network.
 *
 * The page is src/report/timeline.html, built into the engine, with the run's data in the middle.
 *
 * Runs in the controller. */
#ifndef PHX_REPORT_TIMELINE_H
#define PHX_REPORT_TIMELINE_H

#include "base/err.h"
#include "report/record.h"

/* Writes the page.
 * title       borrowed: what was run
 * controller  for node ids
 * Returns 0 or a negative code with *err filled: then there is no page, or the one from before. */
int phx_timeline_write(const char *path, const char *title, const struct phx_record *record,
                       const struct phx_controller *controller, struct phx_err *err);

#endif
