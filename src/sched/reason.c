#include "sched/reason.h"

#include <errno.h>
#include <stdlib.h>

int phx_reasons_init(struct phx_reasons *out, const struct phx_plan *plan)
{
    struct phx_reason *of = calloc(plan->ntests + (size_t)1, sizeof *of);
    if (!of)
        return -ENOMEM;
    for (uint32_t position = 0; position < plan->ntests; position++) {
        of[position].span = PHX_REASON_NO_SPAN;
        of[position].unit = plan->unit[position];
    }
    for (uint32_t span = 0; span < plan->nspans; span++)
        for (uint32_t at = plan->spans[span].lo; at < plan->spans[span].hi; at++)
            of[at].span = span;
    *out = (struct phx_reasons){.of = of, .count = plan->ntests};
    return 0;
}

int phx_reasons_by_test(struct phx_reasons *reasons, const struct phx_plan *plan)
{
    struct phx_reason *of = calloc(plan->ntests + (size_t)1, sizeof *of);
    if (!of)
        return -ENOMEM;
    for (uint32_t position = 0; position < reasons->count; position++)
        of[plan->order[position]] = reasons->of[position];
    free(reasons->of);
    reasons->of = of;
    return 0;
}

void phx_reasons_fini(struct phx_reasons *reasons)
{
    free(reasons->of);
    *reasons = (struct phx_reasons){0};
}
