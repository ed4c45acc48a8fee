/* Tests that are handed out a second time, and who runs them when all workers have ended. */
#include <errno.h>

#include "role/controller_impl.h"

enum { TAKE_BACK_TRIES = 100 };
#define TAKE_BACK_PAUSE (50 * (phx_ns)1000)

int phx_controller_add_late(struct phx_controller *c, uint32_t test, int64_t elsewhere)
{
    if (!c->queue_mem || c->post)
        return PHX_E_STATE;
    if (c->nmachines > 0)
        return phx_fleet_again(c, test);
    int64_t position = elsewhere < 0 || elsewhere >= c->members_max
                           ? phx_runq_add_late(&c->queue, test, 1)
                           : phx_runq_add_late_elsewhere(&c->queue, test, 1, (uint32_t)elsewhere);
    return position < 0 ? (int)position : 0;
}

int phx_controller_add_unit(struct phx_controller *c, const uint32_t *tests,
                            const uint32_t *costs_us, uint32_t count)
{
    if (!c->queue_mem)
        return PHX_E_STATE;
    int64_t position = phx_runq_add_unit(&c->queue, tests, costs_us, count);
    return position < 0 ? (int)position : 0;
}

int phx_controller_take_back(struct phx_controller *c, uint32_t count, struct phx_buf *out)
{
    uint32_t taken = 0, ours = c->members_max - 1, tries = 0;
    if (!c->queue_mem)
        return 0;
    phx_runq_join(&c->queue, ours);
    while (taken < count && tries < TAKE_BACK_TRIES) {
        uint32_t first = 0, size = 0;
        int status = phx_runq_withdraw(&c->queue, ours, &first, &size);
        if (status == -EAGAIN) { /* somebody else's steal is under way */
            phx_clock_sleep(TAKE_BACK_PAUSE);
            tries++;
            continue;
        }
        if (status != 1)
            break;
        for (uint32_t i = 0; i < size; i++) {
            uint32_t test = phx_runq_test(&c->queue, first + i);
            if (phx_buf_append(out, &test, sizeof test) < 0)
                return -ENOMEM;
        }
        taken += size;
    }
    return 0;
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
