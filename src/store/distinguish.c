#include "store/distinguish.h"

#include <math.h>
#include <stdlib.h>

#include "base/order.h"

#define LIMIT 0.05

/* Less is chance: how busy the machine was. */
enum { LEAST_DIFFERENCE_US = 100000 };

typedef int (*compare_fn)(const void *, const void *);

static double log_factorial(size_t n)
{
    int sign; /* lgamma() leaves it in a global variable */
    return lgamma_r((double)n + 1, &sign);
}

static double log_choose(size_t n, size_t k)
{
    return log_factorial(n) - log_factorial(k) - log_factorial(n - k);
}

double phx_distinguish_chance(size_t total, size_t bad, size_t drawn, size_t hit)
{
    size_t most = bad < drawn ? bad : drawn;
    double sum = 0;
    for (size_t k = hit; k <= most; k++)
        if (drawn - k <= total - bad)
            sum += exp(log_choose(bad, k) + log_choose(total - bad, drawn - k) -
                       log_choose(total, drawn));
    return sum < 1 ? sum : 1;
}

/* ---- values that trials have in common ---- */

static int by_worker(const void *left, const void *right)
{
    const struct phx_trial *a = left, *b = right;
    return (a->worker > b->worker) - (a->worker < b->worker);
}

static int by_repetition(const void *left, const void *right)
{
    const struct phx_trial *a = left, *b = right;
    return (a->repetition > b->repetition) - (a->repetition < b->repetition);
}

static int by_predecessor(const void *left, const void *right)
{
    const struct phx_trial *a = left, *b = right;
    if (!a->after || !b->after)
        return (a->after != NULL) - (b->after != NULL);
    return phx_order_bytes(a->after, a->after_size, b->after, b->after_size);
}

static int by_duration(const void *left, const void *right)
{
    const struct phx_trial *a = left, *b = right;
    return (a->took_us > b->took_us) - (a->took_us < b->took_us);
}

/* What it means that trials[first … end) are those that have something. */
static struct phx_sign sign_of(enum phx_sign_kind kind, const struct phx_trial *trials,
                               size_t count, size_t first, size_t end)
{
    struct phx_sign sign = {.kind = kind, .example = trials[first], .with = end - first};
    size_t bad = phx_trials_bad(trials, count);
    sign.bad_with = phx_trials_bad(trials + first, sign.with);
    sign.without = count - sign.with;
    sign.bad_without = bad - sign.bad_with;
    sign.probability =
        sign.with == count ? 1 : phx_distinguish_chance(count, bad, sign.with, sign.bad_with);
    return sign;
}

/* The most conspicuous value. */
static struct phx_sign best_value(enum phx_sign_kind kind, struct phx_trial *trials, size_t count,
                                  compare_fn compare)
{
    struct phx_sign best = {.kind = kind, .probability = 1};
    size_t nvalues = 0;
    qsort(trials, count, sizeof *trials, compare);
    for (size_t first = 0, end; first < count; first = end) {
        for (end = first + 1; end < count && compare(&trials[first], &trials[end]) == 0;)
            end++;
        struct phx_sign sign = sign_of(kind, trials, count, first, end);
        nvalues++;
        if (sign.probability < best.probability)
            best = sign;
    }
    if (nvalues > 0)
        best.probability *= (double)nvalues;
    return best;
}

/* ---- durations ---- */

/* Both ways were tried, hence twice the probability. */
static struct phx_sign slower_or_faster(struct phx_trial *trials, size_t count)
{
    size_t bad = phx_trials_bad(trials, count);
    qsort(trials, count, sizeof *trials, by_duration);
    size_t first = count - bad, end = bad;
    while (first > 0 && trials[first - 1].took_us == trials[first].took_us)
        first--;
    while (end < count && trials[end].took_us == trials[end - 1].took_us)
        end++;
    struct phx_sign slow = sign_of(PHX_SIGN_SLOWER, trials, count, first, count);
    struct phx_sign fast = sign_of(PHX_SIGN_FASTER, trials, count, 0, end);
    slow.limit_us = trials[first].took_us;
    fast.limit_us = trials[end - 1].took_us;
    if (first == 0 || trials[first].took_us - trials[first / 2].took_us < LEAST_DIFFERENCE_US)
        slow.probability = 1;
    if (end == count ||
        trials[end + (count - end) / 2].took_us - trials[end - 1].took_us < LEAST_DIFFERENCE_US)
        fast.probability = 1;
    struct phx_sign better = slow.probability <= fast.probability ? slow : fast;
    better.probability *= 2;
    return better;
}

/* ---- all ---- */

static int by_probability(const void *left, const void *right)
{
    const struct phx_sign *a = left, *b = right;
    if (a->probability != b->probability)
        return a->probability < b->probability ? -1 : 1;
    return (a->kind > b->kind) - (a->kind < b->kind);
}

int phx_distinguish(struct phx_sign *out, struct phx_trial *trials, size_t count)
{
    size_t bad = phx_trials_bad(trials, count), unrepeated = 0;
    int found = 0;
    if (bad == 0 || bad == count)
        return 0;
    struct phx_sign signs[] = {
        best_value(PHX_SIGN_WORKER, trials, count, by_worker),
        best_value(PHX_SIGN_AFTER, trials, count, by_predecessor),
        slower_or_faster(trials, count),
        {.probability = 1},
    };
    qsort(trials, count, sizeof *trials, by_repetition);
    while (unrepeated < count && trials[unrepeated].repetition == 0)
        unrepeated++;
    signs[3] =
        best_value(PHX_SIGN_REPETITION, trials + unrepeated, count - unrepeated, by_repetition);
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (signs[i].probability < LIMIT)
            out[found++] = signs[i];
    qsort(out, (size_t)found, sizeof *out, by_probability);
    return found;
}
