/* Tests that are handed out a second time, and who runs them when all workers have ended. */
#include "role/controller_impl.h"

int phx_controller_add_late(struct phx_controller *c, uint32_t test, int64_t elsewhere)
{
    if (!c->queue_mem || c->post)
        return PHX_E_STATE;
    int64_t position = elsewhere < 0 || elsewhere >= c->members_max
                           ? phx_runq_add_late(&c->queue, test, 1)
                           : phx_runq_add_late_elsewhere(&c->queue, test, 1, (uint32_t)elsewhere);
    return position < 0 ? (int)position : 0;
}

uint32_t phx_controller_relieve(struct phx_controller *c, uint32_t *out_first)
{
    if (!c->queue_mem || c->nactive > 0 || c->stopping || c->guard_gone || c->is_short)
        return 0;
    uint32_t count = phx_runq_left(&c->queue), room = c->members_max - c->next_number;
    count = count < c->nparallel ? count : c->nparallel;
    count = count < room ? count : room;
    *out_first = c->next_number;
    c->next_number += count;
    return count;
}
