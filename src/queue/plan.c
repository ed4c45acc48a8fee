#include "queue/plan.h"

#include <errno.h>
#include <stdlib.h>

void phx_plan_fini(struct phx_plan *plan)
{
    free(plan->order);
    free(plan->unit);
    free(plan->cost_us);
    free(plan->seam_us);
    free(plan->spans);
    free(plan->groups);
    free(plan->mail_group);
    *plan = (struct phx_plan){0};
}

int phx_plan_by_mail(struct phx_plan *out, uint32_t ntests, uint32_t nworkers)
{
    size_t count = ntests ? ntests : 1;
    struct phx_plan plan = {.ntests = ntests, .nspans = nworkers, .by_mail = 1};
    plan.order = malloc(count * sizeof *plan.order);
    plan.unit = malloc(count * sizeof *plan.unit);
    plan.cost_us = malloc(count * sizeof *plan.cost_us);
    plan.spans = calloc(nworkers ? nworkers : 1, sizeof *plan.spans);
    if (!plan.order || !plan.unit || !plan.cost_us || !plan.spans) {
        phx_plan_fini(&plan);
        return -ENOMEM;
    }
    for (uint32_t test = 0; test < ntests; test++) {
        plan.order[test] = plan.unit[test] = test;
        plan.cost_us[test] = 1;
    }
    *out = plan;
    return 0;
}

int phx_plan_dealt(struct phx_plan *out, uint32_t ntests, uint32_t nworkers)
{
    int status = phx_plan_by_mail(out, ntests, nworkers);
    if (status < 0)
        return status;
    out->by_mail = 0;
    out->is_dealt = 1;
    return 0;
}
