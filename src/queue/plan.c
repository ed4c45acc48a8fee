#include "queue/plan.h"

#include <stdlib.h>

void phx_plan_fini(struct phx_plan *plan)
{
    free(plan->order);
    free(plan->unit);
    free(plan->cost_us);
    free(plan->seam_us);
    free(plan->spans);
    *plan = (struct phx_plan){0};
}
