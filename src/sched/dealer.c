#include "sched/dealer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int phx_dealer_init(struct phx_dealer *dealer, struct phx_plan *plan, const uint32_t *owner)
{
    struct phx_dealer made = {.left = plan->ntests};
    phx_buf_init(&made.returned);
    made.owner = malloc((plan->nspans + (size_t)1) * sizeof *made.owner);
    made.place = malloc((plan->ntests + (size_t)1) * sizeof *made.place);
    if (!made.owner || !made.place) {
        free(made.owner);
        free(made.place);
        return -ENOMEM;
    }
    if (plan->nspans > 0)
        memcpy(made.owner, owner, plan->nspans * sizeof *made.owner);
    for (uint32_t pos = 0; pos < plan->ntests; pos++)
        made.place[plan->order[pos]] = pos;
    made.plan = *plan;
    *plan = (struct phx_plan){0};
    *dealer = made;
    return 0;
}

void phx_dealer_fini(struct phx_dealer *dealer)
{
    phx_plan_fini(&dealer->plan);
    free(dealer->owner);
    free(dealer->place);
    phx_buf_fini(&dealer->returned);
    *dealer = (struct phx_dealer){0};
}

/* ---- portions ---- */

struct portion {
    struct phx_buf *out;
    uint32_t least;
    int64_t count; /* of tests so far, or a negative code */
};

static void add(struct portion *portion, uint32_t number)
{
    int status = phx_buf_append(portion->out, &number, sizeof number);
    if (status < 0)
        portion->count = status;
}

/* One past the unit that begins at `pos`, at most `hi`. */
static uint32_t unit_end(const struct phx_plan *plan, uint32_t pos, uint32_t hi)
{
    uint32_t end = pos + 1;
    while (end < hi && plan->unit[end] == plan->unit[pos])
        end++;
    return end;
}

static void add_test(struct portion *portion, const struct phx_plan *plan, uint32_t pos)
{
    add(portion, plan->order[pos]);
    add(portion, plan->cost_us[pos]);
}

/* Positions [lo, hi), which are whole units. */
static void add_range(struct portion *portion, const struct phx_plan *plan, uint32_t lo,
                      uint32_t hi)
{
    while (lo < hi && portion->count >= 0) {
        uint32_t end = unit_end(plan, lo, hi);
        add(portion, end - lo);
        for (; lo < end; lo++) {
            add_test(portion, plan, lo);
            portion->count += portion->count >= 0;
        }
    }
}

/* What was returned, in the units that it was dealt in. */
static void add_returned(struct phx_dealer *dealer, struct portion *portion)
{
    const struct phx_plan *plan = &dealer->plan;
    size_t count = phx_buf_size(&dealer->returned) / sizeof(uint32_t), i = 0;
    while (i < count && portion->count >= 0 && portion->count < (int64_t)portion->least) {
        uint32_t tests[2];
        size_t end = i;
        uint32_t first = 0;
        for (; end < count; end++) {
            memcpy(tests, phx_buf_head(&dealer->returned) + end * sizeof tests[0], sizeof tests[0]);
            uint32_t pos = dealer->place[tests[0]];
            if (end == i)
                first = pos;
            else if (plan->unit[pos] != plan->unit[first] || pos <= first)
                break;
        }
        add(portion, (uint32_t)(end - i));
        for (; i < end; i++) {
            memcpy(tests, phx_buf_head(&dealer->returned) + i * sizeof tests[0], sizeof tests[0]);
            add_test(portion, plan, dealer->place[tests[0]]);
            portion->count += portion->count >= 0;
        }
    }
    if (portion->count >= 0)
        phx_buf_consume(&dealer->returned, i * sizeof(uint32_t));
}

static uint64_t cost_of(const struct phx_plan *plan, struct phx_plan_span span)
{
    uint64_t cost = 0;
    for (uint32_t pos = span.lo; pos < span.hi; pos++)
        cost += plan->cost_us[pos];
    return cost;
}

/* Where half of a span's cost, and at least `least` tests, lie before: at a unit's end. */
static uint32_t front_half(const struct phx_plan *plan, struct phx_plan_span span, uint32_t least)
{
    uint64_t half = cost_of(plan, span) / 2, cost = 0;
    uint32_t pos = span.lo;
    while (pos < span.hi && (cost < half || pos - span.lo < least)) {
        uint32_t end = unit_end(plan, pos, span.hi);
        for (; pos < end; pos++)
            cost += plan->cost_us[pos];
    }
    return pos;
}

/* Where half of a span's cost, and at least `least` tests, lie behind: at a unit's beginning. */
static uint32_t back_half(const struct phx_plan *plan, struct phx_plan_span span, uint32_t least)
{
    uint64_t half = cost_of(plan, span) / 2, cost = 0;
    uint32_t pos = span.hi;
    while (pos > span.lo && (cost < half || span.hi - pos < least)) {
        do
            cost += plan->cost_us[--pos];
        while (pos > span.lo && plan->unit[pos - 1] == plan->unit[pos]);
    }
    return pos;
}

static void add_own(struct phx_dealer *dealer, uint32_t machine, struct portion *portion)
{
    struct phx_plan *plan = &dealer->plan;
    uint32_t spans = 0;
    for (uint32_t i = 0; i < plan->nspans; i++)
        spans += dealer->owner[i] == machine && plan->spans[i].lo < plan->spans[i].hi;
    if (spans == 0)
        return;
    uint32_t wanted = portion->least;
    for (uint32_t i = 0; i < plan->nspans && portion->count >= 0; i++) {
        struct phx_plan_span *span = &plan->spans[i];
        if (dealer->owner[i] != machine || span->lo == span->hi)
            continue;
        uint32_t end = front_half(plan, *span, (wanted + spans - 1) / spans);
        add_range(portion, plan, span->lo, end);
        if (portion->count >= 0)
            span->lo = end;
    }
}

/* From the span of another machine that has most left. */
static void add_foreign(struct phx_dealer *dealer, struct portion *portion)
{
    struct phx_plan *plan = &dealer->plan;
    struct phx_plan_span *richest = NULL;
    uint64_t most = 0;
    for (uint32_t i = 0; i < plan->nspans; i++) {
        uint64_t cost = cost_of(plan, plan->spans[i]);
        if (plan->spans[i].lo < plan->spans[i].hi && (!richest || cost > most)) {
            most = cost;
            richest = &plan->spans[i];
        }
    }
    if (!richest)
        return;
    uint32_t begin = back_half(plan, *richest, 1);
    add_range(portion, plan, begin, richest->hi);
    if (portion->count >= 0)
        richest->hi = begin;
}

int64_t phx_dealer_deal(struct phx_dealer *dealer, uint32_t machine, uint32_t least,
                        struct phx_buf *out)
{
    size_t before = phx_buf_size(out);
    struct portion portion = {.out = out, .least = least};
    if (phx_buf_size(&dealer->returned) > 0)
        add_returned(dealer, &portion);
    if (portion.count >= 0 && portion.count < (int64_t)least)
        add_own(dealer, machine, &portion);
    if (portion.count == 0)
        add_foreign(dealer, &portion);
    if (portion.count < 0)
        out->end = out->start + before;
    else
        dealer->left -= (uint32_t)portion.count;
    return portion.count;
}

int phx_dealer_return(struct phx_dealer *dealer, uint32_t test)
{
    int status = phx_buf_append(&dealer->returned, &test, sizeof test);
    if (status == 0)
        dealer->left++;
    return status;
}
