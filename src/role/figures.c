/* What a run's controller tells of its tests and workers, for those who report. */
#include <errno.h>

#include "role/controller_impl.h"

const char *phx_controller_test_id(const struct phx_controller *c, uint32_t test, size_t *out_size)
{
    if (test >= phx_collection_count(&c->collection))
        return NULL;
    return phx_collection_node_id(&c->collection, test, out_size);
}

int phx_controller_life(const struct phx_controller *c, uint32_t number,
                        struct phx_controller_life *out)
{
    if (number >= c->members_max || !c->members[number])
        return -ENOENT;
    const struct phx_member *member = c->members[number];
    *out = (struct phx_controller_life){
        .up = member->up_at ? member->up_at - c->queue.epoch : 0,
        .down = member->gone_at ? member->gone_at - c->queue.epoch : 0,
        .crashed = member->state == PHX_MEMBER_DOWN && !member->finished,
        .replacement = member->replacement};
    return 0;
}

int phx_controller_scope(const struct phx_controller *c, uint32_t test, struct phx_scope *out)
{
    if (test >= phx_collection_count(&c->collection))
        return 0;
    size_t id_size, group_size = 0;
    const char *id = phx_collection_node_id(&c->collection, test, &id_size);
    const char *group = phx_collection_group(&c->collection, test, &group_size);
    return phx_scope_of(c->dist, id, id_size, group, group_size, out);
}

phx_ns phx_controller_left(const struct phx_controller *c)
{
    if (!c->queue_mem || !c->has_costs || c->nparallel == 0)
        return -1;
    return (phx_ns)(phx_runq_left_us(&c->queue) / c->nparallel) * 1000;
}
