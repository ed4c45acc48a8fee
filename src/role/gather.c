/* Workers that collect for themselves: what each of them found, whether it is what the others
 * found, and when they get the run queue.
 *
 * The list of the worker that was done first is the run's; positions of the run queue lead into it.
 * The others are told where each of its tests stands in their own. A worker with other tests than
 * these runs none: before the run queue is made its user ends the run for that, later (a
 * replacement) the worker alone is sent away. With --dist each lists may be of other tests, and the
 * run's is all of them joined; only a replacement must have those of the worker before it.
 *
 * Runs in the controller, in the loop's thread. */
#include <errno.h>
#include <stdlib.h>

#include "role/controller_impl.h"
#include "sched/match.h"
#include "wire/msg.h"

int phx_controller_add_item(void *collection, const struct phx_msg_item *item)
{
    int status = phx_collection_add(collection, item->node_id, item->node_id_size, item->group,
                                    item->group_size);
    if (status == 0)
        status = phx_collection_needs(collection, item->setups, item->nsetups);
    if (status == 0 && (item->exclusive || item->limit))
        status = phx_collection_limit(collection, item->limit, item->limit_size, item->permits);
    return status;
}

int phx_controller_take_items(struct phx_member *member, const struct phx_message *msg)
{
    if (member->has_collected)
        return PHX_E_PROTO; /* once it is collected, a collection does not change */
    return phx_msg_each_item(msg->body, msg->size, phx_controller_add_item, &member->collected);
}

void phx_controller_join_collections(struct phx_controller *c)
{
    c->joins = 1;
}

static uint32_t place_of(const struct phx_member *member, uint32_t test)
{
    if (member->places)
        return test < member->nplaces ? member->places[test] : PHX_MATCH_NOWHERE;
    return test < member->ncollected ? test : PHX_MATCH_NOWHERE;
}

/* Whether a replacement has the tests of the worker that it replaces, and no others; one that
 * replaces nobody in particular has to have all. */
static int has_those_before(const struct phx_controller *c, const struct phx_member *member)
{
    const struct phx_member *before = NULL;
    for (uint32_t i = 0; i < member->number && !before; i++)
        if (c->members[i] && c->members[i]->replacement == member->number)
            before = c->members[i];
    for (uint32_t test = 0; test < phx_collection_count(&c->collection); test++) {
        int had = !before || place_of(before, test) != PHX_MATCH_NOWHERE;
        if (had != (place_of(member, test) != PHX_MATCH_NOWHERE))
            return 0;
    }
    return 1;
}

/* As phx_match: whether the member can be used. */
static int match(struct phx_controller *c, struct phx_member *member)
{
    if (!c->joins)
        return phx_match(&c->collection, &member->collected, &member->places);
    int status = c->queue_mem ? phx_match_part(&c->collection, &member->collected, &member->places)
                              : phx_match_join(&c->collection, &member->collected, &member->places);
    member->nplaces = phx_collection_count(&c->collection);
    if (c->queue_mem)
        return status == 1 ? has_those_before(c, member) : status;
    return status == 0 ? 1 : status;
}

/* By now the run may have more tests than when the member's were matched with it. */
static int complete_places(const struct phx_controller *c, struct phx_member *member)
{
    uint32_t count = phx_collection_count(&c->collection);
    if (!c->joins || count == (member->places ? member->nplaces : member->ncollected))
        return 0;
    uint32_t *places = malloc(count * sizeof *places);
    if (!places)
        return -ENOMEM;
    for (uint32_t test = 0; test < count; test++)
        places[test] = place_of(member, test);
    free(member->places);
    member->places = places;
    member->nplaces = count;
    return 0;
}

int phx_controller_take_collected(struct phx_member *member, const struct phx_message *msg)
{
    struct phx_controller *c = member->controller;
    uint64_t count;
    if (member->has_collected || phx_msg_get_number(msg->body, msg->size, &count) < 0 ||
        count != phx_collection_count(&member->collected))
        return PHX_E_PROTO; /* a test that did not arrive would be missed by nobody */
    member->ncollected = (uint32_t)count;
    if (!c->has_collection) {
        c->collection = member->collected;
        c->has_collection = 1;
        phx_collection_init(&member->collected);
    } else {
        int same = match(c, member);
        if (same < 0)
            return same;
        member->differs = !same;
        phx_collection_fini(&member->collected);
    }
    member->has_collected = 1;
    phx_controller_settle(c, member);
    return 0;
}

static int send_queue(const struct phx_controller *c, struct phx_member *member)
{
    struct phx_buf body;
    phx_buf_init(&body);
    int status = complete_places(c, member);
    if (status == 0)
        status = phx_msg_put_queue(&body, member->places,
                                   member->places ? phx_collection_count(&c->collection) : 0);
    if (status == 0)
        status = phx_channel_send(&member->channel, PHX_MSG_QUEUE, phx_buf_head(&body),
                                  phx_buf_size(&body), &c->queue_fd, 1);
    phx_buf_fini(&body);
    return status;
}

static int send_end(struct phx_member *member)
{
    struct phx_buf body;
    phx_buf_init(&body);
    int status = phx_msg_put_number(&body, 0);
    if (status == 0)
        status = phx_channel_send(&member->channel, PHX_MSG_END, phx_buf_head(&body),
                                  phx_buf_size(&body), NULL, 0);
    phx_buf_fini(&body);
    return status;
}

void phx_controller_ramp(struct phx_controller *c, phx_ns duration)
{
    c->ramp = duration;
}

int phx_controller_is_ramped(const struct phx_controller *c, const struct phx_member *member)
{
    return c->ramp && c->queue_mem && member->has_collected && !member->has_queue &&
           !member->dismissed;
}

static int is_early(const struct phx_controller *c, const struct phx_member *member)
{
    if (!phx_controller_is_ramped(c, member) || member->number >= c->nparallel)
        return 0;
    phx_ns due = c->planned_at + c->ramp / c->nparallel * member->number;
    return phx_clock_now() < due && (c->post || phx_runq_left(&c->queue) > 0);
}

/* A failure to write is a death, which is seen where deaths are; without memory for a message the
 * member is ended, as it would wait for ever. */
void phx_controller_settle(struct phx_controller *c, struct phx_member *member)
{
    int status = 0;
    if (member->state != PHX_MEMBER_UP || member->has_queue || member->dismissed)
        return;
    if ((member->differs && c->queue_mem) || c->stopping) {
        member->dismissed = 1;
        status = send_end(member);
    } else if (c->queue_mem && member->has_collected && !is_early(c, member)) {
        member->has_queue = 1;
        status = send_queue(c, member);
    }
    if (status == -ENOMEM)
        phx_controller_reject(c, (int32_t)member->number);
}

void phx_controller_settle_all(struct phx_controller *c)
{
    for (uint32_t i = 0; i < c->members_max; i++)
        if (c->members[i])
            phx_controller_settle(c, c->members[i]);
}

int phx_controller_gathered(struct phx_controller *c)
{
    if (c->gathered || c->queue_mem || !c->members || !c->has_collection)
        return 0;
    for (uint32_t i = 0; i < c->members_max; i++) {
        const struct phx_member *member = c->members[i];
        if (!member || member->state == PHX_MEMBER_DOWN || member->has_collected ||
            member->finished)
            continue;
        return 0;
    }
    c->gathered = 1;
    return 1;
}
