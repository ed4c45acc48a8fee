/* What a run's controller tells of its tests and workers, for those who report. */
#include <errno.h>

#include "role/controller_impl.h"

const char *phx_controller_test_id(const struct phx_controller *c, uint32_t test, size_t *out_size)
{
    if (test >= phx_collection_count(&c->collection))
        return NULL;
    return phx_collection_node_id(&c->collection, test, out_size);
}

phx_ns phx_controller_since_epoch(const struct phx_controller *c)
{
    return phx_clock_now() - c->queue.epoch;
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
    if (!c->queue_mem || !c->has_costs || c->nparallel == 0 || c->nmachines > 0)
        return -1;
    return (phx_ns)(phx_runq_left_us(&c->queue) / c->nparallel) * 1000;
}

size_t phx_controller_last_words(const struct phx_controller *c, uint32_t number,
                                 enum phx_member_text which, char *out, size_t max)
{
    if (number >= c->members_max || !c->members[number])
        return 0;
    return phx_member_last_words(c->members[number], which, out, max);
}

/* What the controller knows of a position: one that ended unheard was started, and no more is known
 * of it. */
static enum phx_runq_state known_state(const struct phx_controller *c, uint32_t pos)
{
    enum phx_runq_state state = phx_runq_state(&c->queue, pos);
    return state == PHX_RUNQ_ENDED && !phx_heard_has(&c->heard, pos) ? PHX_RUNQ_STARTED : state;
}

void phx_controller_account(const struct phx_controller *c, struct phx_account *out)
{
    struct phx_account account = {0};
    uint32_t positions = c->queue_mem ? phx_runq_positions(&c->queue) : 0;
    for (uint32_t pos = 0; pos < positions; pos++) {
        switch (known_state(c, pos)) {
        case PHX_RUNQ_ENDED:
            account.ended++;
            break;
        case PHX_RUNQ_CRASHED:
            account.crashed++;
            break;
        case PHX_RUNQ_STARTED:
            account.unaccounted++;
            break;
        case PHX_RUNQ_QUEUED:
        case PHX_RUNQ_CLAIMED:
            account.not_run++;
            break;
        }
    }
    *out = account;
}

int64_t phx_controller_find(const struct phx_controller *c, enum phx_runq_state state,
                            uint32_t *io_position)
{
    uint32_t positions = c->queue_mem ? phx_runq_positions(&c->queue) : 0;
    for (uint32_t pos = *io_position; pos < positions; pos++) {
        if (known_state(c, pos) != state)
            continue;
        *io_position = pos + 1;
        return phx_runq_test(&c->queue, pos);
    }
    *io_position = positions;
    return PHX_RUNQ_NONE;
}

int phx_controller_look(const struct phx_controller *c, uint32_t number, struct phx_runq_view *out)
{
    if (!c->queue_mem || number >= c->members_max || !c->members[number])
        return -ENOENT;
    phx_runq_look(&c->queue, number, out);
    return 0;
}

int phx_controller_timing(const struct phx_controller *c, uint32_t position,
                          struct phx_runq_timing *out)
{
    return c->queue_mem ? phx_runq_timing(&c->queue, position, out) : 0;
}

void phx_controller_figures(const struct phx_controller *c, struct phx_controller_figures *out)
{
    *out = (struct phx_controller_figures){
        .nparallel = c->nparallel,
        .nworkers = c->next_number,
        .ntests = phx_collection_count(&c->collection),
        .startup = c->forked_at ? c->forked_at - c->opened_at : 0,
        .forked = c->queue_mem && c->forked_at ? c->forked_at - c->queue.epoch : 0,
        .wall = c->ended_at - c->forked_at};
}

const struct phx_collection *phx_controller_collection(const struct phx_controller *c)
{
    return &c->collection;
}

uint32_t phx_controller_positions(const struct phx_controller *c)
{
    return c->queue_mem ? phx_runq_positions(&c->queue) : 0;
}

enum phx_runq_state phx_controller_state(const struct phx_controller *c, uint32_t position)
{
    return c->queue_mem ? phx_runq_state(&c->queue, position) : PHX_RUNQ_QUEUED;
}

int64_t phx_controller_test(const struct phx_controller *c, uint32_t position)
{
    if (position >= phx_controller_positions(c))
        return PHX_RUNQ_NONE;
    uint32_t test = phx_runq_test(&c->queue, position);
    return test < phx_collection_count(&c->collection) ? (int64_t)test : PHX_RUNQ_NONE;
}

const char *phx_controller_node_id(const struct phx_controller *c, uint32_t position,
                                   size_t *out_size)
{
    int64_t test = phx_controller_test(c, position);
    if (test == PHX_RUNQ_NONE)
        return NULL;
    return phx_collection_node_id(&c->collection, (uint32_t)test, out_size);
}
