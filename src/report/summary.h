/* What is said of a run at its end: one line of figures, one sentence on what wasted time, and a
 * table with a line for each worker.
 *
 * Runs in the controller, when no worker is active any more. */
#ifndef PHX_REPORT_SUMMARY_H
#define PHX_REPORT_SUMMARY_H

#include <stddef.h>

#include "report/record.h"

/* Each writes its text (lines of the table end with a newline, the others have none), cut if `size`
 * is too small. Returns the bytes written without the NUL, or -ENOMEM. */
int phx_summary_line(const struct phx_record *record, const struct phx_controller *controller,
                     char *out, size_t size);
int phx_summary_advice(const struct phx_record *record, const struct phx_controller *controller,
                       char *out, size_t size);
int phx_summary_table(const struct phx_record *record, char *out, size_t size);

#endif
