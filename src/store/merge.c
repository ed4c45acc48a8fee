#include "store/merge.h"

#include <string.h>

/* The newest outcomes of two lists, by the number of their run; of the same run the first list's.
 */
static struct phx_outcomes merged(const struct phx_outcomes *a, const struct phx_outcomes *b)
{
    struct phx_outcomes out = {0};
    uint32_t i = 0, j = 0;
    while (out.count < PHX_OUTCOMES_MAX && (i < a->count || j < b->count)) {
        int from_a = j == b->count || (i < a->count && a->run[i] >= b->run[j]);
        if (from_a && j < b->count && a->run[i] == b->run[j])
            j++;
        const struct phx_outcomes *from = from_a ? a : b;
        uint32_t at = from_a ? i++ : j++;
        out.letter[out.count] = from->letter[at];
        out.run[out.count++] = from->run[at];
    }
    return out;
}

static int same_outcomes(const struct phx_outcomes *a, const struct phx_outcomes *b)
{
    return a->count == b->count && memcmp(a->letter, b->letter, a->count) == 0 &&
           memcmp(a->run, b->run, a->count * sizeof *a->run) == 0;
}

int phx_merge_test(struct phx_history *history, const struct phx_history_test *test,
                   struct phx_merge_counts *counts, struct phx_err *err)
{
    struct phx_history_test mine = {0};
    int found = phx_history_find(history, test->node_id, test->node_id_size, &mine, err);
    if (found < 0)
        return found;
    if (found == 0) {
        counts->added++;
        return phx_history_put(history, test, err);
    }
    struct phx_outcomes outcomes = merged(&mine.outcomes, &test->outcomes);
    int later = test->estimate.nmeasured > 0 &&
                (mine.estimate.nmeasured == 0 || test->measured_at > mine.measured_at);
    if (!later && test->seen_at <= mine.seen_at && same_outcomes(&outcomes, &mine.outcomes)) {
        counts->kept++;
        return 0;
    }
    if (later) {
        mine.estimate = test->estimate;
        mine.measured_at = test->measured_at;
    }
    if (test->seen_at > mine.seen_at)
        mine.seen_at = test->seen_at;
    mine.outcomes = outcomes;
    counts->updated++;
    return phx_history_put(history, &mine, err);
}

int phx_merge_duration(struct phx_history *history, const char *node_id, size_t size,
                       double seconds, int64_t measured_at, int64_t now, int overwrite,
                       struct phx_merge_counts *counts, struct phx_err *err)
{
    struct phx_history_test test = {.node_id = node_id, .node_id_size = size, .seen_at = now};
    int found = phx_history_find(history, node_id, size, &test, err);
    if (found < 0)
        return found;
    if (test.estimate.nmeasured > 0 && !overwrite) {
        counts->kept++;
        return 0;
    }
    double us = seconds * 1e6;
    uint32_t call_us = us < (double)UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    test.estimate = (struct phx_estimate){0};
    phx_estimate_learn(&test.estimate, (uint32_t[]){0, call_us, 0});
    test.measured_at = measured_at;
    if (found)
        counts->updated++;
    else
        counts->added++;
    return phx_history_put(history, &test, err);
}
