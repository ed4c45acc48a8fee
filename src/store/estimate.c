#include "store/estimate.h"

#include <math.h>

#define WEIGHT 0.3 /* of a new measurement, once there are a few */

void phx_estimate_learn(struct phx_estimate *e, const uint32_t us[PHX_ESTIMATE_PHASES])
{
    double equal = 1.0 / ((double)e->nmeasured + 1);
    double weight = equal > WEIGHT ? equal : WEIGHT;
    for (int i = 0; i < PHX_ESTIMATE_PHASES; i++) {
        double difference = us[i] - e->mean_us[i];
        double step = weight * difference;
        e->mean_us[i] += step;
        e->variance_us2[i] = (1 - weight) * (e->variance_us2[i] + difference * step);
    }
    if (e->nmeasured < UINT32_MAX)
        e->nmeasured++;
}

/* The phases before `end` together, rounded, at least `least`. */
static uint32_t sum_of(const struct phx_estimate *e, int end, uint32_t least)
{
    if (e->nmeasured == 0)
        return 0;
    double sum = 0;
    for (int i = 0; i < end; i++)
        if (isfinite(e->mean_us[i]) && e->mean_us[i] > 0)
            sum += e->mean_us[i];
    if (sum >= (double)UINT32_MAX)
        return UINT32_MAX;
    return sum < least ? least : (uint32_t)(sum + 0.5);
}

uint32_t phx_estimate_cost_us(const struct phx_estimate *e)
{
    return sum_of(e, PHX_ESTIMATE_PHASES, 1);
}

uint32_t phx_estimate_setup_us(const struct phx_estimate *e)
{
    return sum_of(e, 1, 0);
}
