#include "sched/balance.h"

static uint64_t in_hand(const struct phx_load *load)
{
    return (uint64_t)load->running + load->unstarted;
}

int phx_load_is_less(const struct phx_load *a, const struct phx_load *b)
{
    return in_hand(a) * b->room < in_hand(b) * a->room;
}

int phx_load_is_idle(const struct phx_load *load)
{
    return in_hand(load) < load->room;
}

/* With k tests given away, (rich - k) / rich.room >= (poor + k) / poor.room has to hold. */
uint32_t phx_load_share(const struct phx_load *rich, const struct phx_load *poor)
{
    uint64_t more = in_hand(rich) * poor->room, less = in_hand(poor) * rich->room;
    if (more <= less)
        return 0;
    uint64_t share = (more - less) / ((uint64_t)rich->room + poor->room);
    return share < rich->unstarted ? (uint32_t)share : rich->unstarted;
}
