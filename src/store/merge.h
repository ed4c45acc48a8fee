/* What is taken over into a history from elsewhere: another history, or durations that another
 * tool has measured.
 *
 *   another history  a run is the same if its uid is. Of a test that both know, the estimate that
 *                    was measured later stays, and of all outcomes the newest 20.
 *   durations        fill what was never measured; what is known stays, unless it is to be
 *                    overwritten. They count as one measurement, of the call alone.
 *
 * So to take the same thing over twice changes nothing. Runs in the command. */
#ifndef PHX_STORE_MERGE_H
#define PHX_STORE_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "store/history.h"

struct phx_merge_counts {
    uint64_t added;   /* tests that this history did not have */
    uint64_t updated; /* that it had, and now knows more of */
    uint64_t kept;    /* of which it knew as much */
    uint64_t unnamed; /* entries that cannot be told which test they are */
    uint64_t runs;    /* runs that it did not have */
};

/* Takes a test of another history over; the runs in its outcomes are already this history's.
 * Returns 0 or a negative code. */
int phx_merge_test(struct phx_history *history, const struct phx_history_test *test,
                   struct phx_merge_counts *counts, struct phx_err *err);

/* Takes one duration over.
 * seconds      0 or more
 * measured_at  when, in seconds since 1970; `now` is today
 * Returns      0 or a negative code. */
int phx_merge_duration(struct phx_history *history, const char *node_id, size_t size,
                       double seconds, int64_t measured_at, int64_t now, int overwrite,
                       struct phx_merge_counts *counts, struct phx_err *err);

#endif
