/* What comes from workers, and their deaths.
 *
 * A worker's messages as it wrote them, then its death. A death is known by the pidfd; then the
 * channel is read until it is empty, whoever else holds its other end; then the exit status is
 * waited for; then its estate in the run queue is settled, and only then WORKER_DOWN is handed out.
 *
 * Runs in the controller, in the loop's thread. */
#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "role/controller_impl.h"
#include "wire/msg.h"

enum {
    FLOOD = 1 << 15, /* bytes in one look: half of what is read at once */
};

void phx_controller_mark_ready(struct phx_member *member)
{
    struct phx_controller *c = member->controller;
    if (member->is_ready)
        return;
    member->is_ready = 1;
    member->next_ready = NULL;
    if (c->ready_tail)
        c->ready_tail->next_ready = member;
    else
        c->ready_head = member;
    c->ready_tail = member;
}

void phx_controller_on_member_bytes(struct phx_channel *channel)
{
    struct phx_member *member = (struct phx_member *)channel;
    if (phx_buf_size(&channel->in.raw) >= FLOOD)
        member->controller->flooded = 1;
    phx_controller_mark_ready(member);
}

void phx_controller_on_member_gone(struct phx_watch *watch)
{
    struct phx_member *member =
        (struct phx_member *)((char *)watch - offsetof(struct phx_member, watch));
    member->gone_at = phx_clock_now();
    phx_channel_drain(&member->channel);
    phx_controller_mark_ready(member);
}

int phx_controller_may_say(const struct phx_member *member, uint16_t type)
{
    switch (type) {
    case PHX_MSG_ITEMS:
    case PHX_MSG_COLLECTED:
    case PHX_MSG_COLLECTING:
    case PHX_MSG_COLLECT_REPORT:
    case PHX_MSG_DESELECTED:
    case PHX_MSG_EARLY_CLAIMS:
        return !member->has_collected;
    case PHX_MSG_SESSION_DONE:
    case PHX_MSG_READY:
    case PHX_MSG_WARNING:
    case PHX_MSG_INTERNAL_ERROR:
    case PHX_MSG_LOG_START:
    case PHX_MSG_REPORT:
    case PHX_MSG_LOG_FINISH:
    case PHX_MSG_FINISHED:
    case PHX_MSG_STOPPED:
    case PHX_MSG_XML_RECORD:
    case PHX_MSG_TEST_COMPLETE:
        return 1;
    default:
        return 0;
    }
}

void phx_controller_reject(struct phx_controller *c, int32_t number)
{
    if (phx_fleet_reject(c, number))
        return;
    if (number < 0)
        phx_controller_outlaw(&c->zygote->channel, &c->zygote->watch, PHX_E_PROTO);
    else if ((uint32_t)number < c->members_max && c->members[number])
        phx_controller_outlaw(&c->members[number]->channel, &c->members[number]->watch,
                              PHX_E_PROTO);
}

void phx_controller_release_told(struct phx_controller *c)
{
    if (!c->told)
        return;
    for (int i = 0; i < PHX_TEXT_COUNT; i++)
        phx_fd_close(&c->told->texts[i]);
    c->told = NULL;
}

/* Why its channel ended before its session did, where that is known; else NULL. */
static const char *channel_fault(const struct phx_member *member)
{
    if (member->channel.error < 0 && !member->finished)
        return phx_err_text(member->channel.error);
    if (member->overdue)
        return member->finished
                   ? "it did not leave after its session had ended, and was killed"
                   : "it closed its channel to the controller, went on, and was killed";
    return NULL;
}

int phx_controller_next_lost(struct phx_controller *c, struct phx_event *out)
{
    const struct phx_member *member = c->told;
    if (!member || member->finished)
        return 0;
    int64_t test;
    do {
        if (!phx_heard_next_lost(&c->heard, &c->queue, member->number, &c->lost_from))
            return 0;
        test = phx_runq_test(&c->queue, c->lost_from - 1);
    } while (test >= phx_collection_count(&c->collection)); /* of a damaged region */
    *out = (struct phx_event){.kind = PHX_EVENT_TEST_LOST,
                              .number = (int32_t)member->number,
                              .has_status = member->has_status,
                              .status = member->status,
                              .test = test,
                              .text = channel_fault(member)};
    return 1;
}

static void worker_down(struct phx_controller *c, struct phx_member *member, struct phx_event *out)
{
    struct phx_runq_view view = {.running = PHX_RUNQ_NONE, .claimed = PHX_RUNQ_NONE};
    int corrupt = c->queue_mem ? phx_runq_bury(&c->queue, member->number, &view) : 0;
    if (c->post)
        phx_post_bury(c->post, member->number);
    int64_t replacement = PHX_RUNQ_NONE;
    c->nactive--;
    c->ended_at = phx_clock_now();
    /* Without the guard nobody could start another zygote, nor end what it leaves behind. One that
     * died while it collected would only have a successor who does the same. */
    if (!member->finished && member->has_queue && !c->stopping && !c->guard_gone &&
        c->restarts_left != 0 && c->next_number < c->members_max) {
        c->restarts_left -= c->restarts_left > 0;
        replacement = c->next_number++;
    } else if (!member->finished) {
        c->is_short = 1;
    }
    const char *text = corrupt < 0 ? phx_err_text(corrupt) : channel_fault(member);
    if (!text && member->timeout > 0) {
        snprintf(c->text, sizeof c->text, "timed out after %g s",
                 (double)member->timeout / (double)PHX_S);
        text = c->text;
    }
    if (!text && member->differs)
        text = "the tests it collected are not those that this run began with: it was not used";
    if (!text)
        text = phx_controller_oom_cause(c, member->has_status, member->status);
    int64_t test = PHX_RUNQ_NONE;
    if (view.running != PHX_RUNQ_NONE)
        test = phx_runq_test(&c->queue, (uint32_t)view.running);
    if (!c->queue_mem || test >= phx_collection_count(&c->collection))
        test = PHX_RUNQ_NONE; /* a damaged region names nobody */
    phx_log(PHX_LOG_INFO, "event=worker-down worker=gw%u finished=%d status=%d test=%lld",
            member->number, member->finished, member->has_status ? member->status : -1,
            (long long)test);
    *out = (struct phx_event){.kind = PHX_EVENT_WORKER_DOWN,
                              .number = (int32_t)member->number,
                              .has_status = member->has_status,
                              .status = member->status,
                              .finished = member->finished,
                              .test = test,
                              .phase = view.phase,
                              .replacement = replacement,
                              .text = text};
    member->replacement = replacement;
    phx_member_down(member);
    c->told = member;
    c->lost_from = 0;
}

static int member_collected(struct phx_member *member, const struct phx_message *msg,
                            struct phx_event *out)
{
    uint64_t count = phx_collection_count(&member->collected);
    int status = phx_controller_take_collected(member, msg);
    if (status < 0) {
        phx_controller_outlaw(&member->channel, &member->watch, status);
        return 0;
    }
    *out = (struct phx_event){.kind = PHX_EVENT_COLLECTED,
                              .number = (int32_t)member->number,
                              .count = count,
                              .status = member->differs};
    return 1;
}

/* ENDED or STARTED: for the ledger's sake; on a node also an event, as its controller has a ledger
 * of its own. Returns as member_says. */
static int member_tells(struct phx_member *member, const struct phx_message *msg,
                        struct phx_event *out)
{
    struct phx_controller *c = member->controller;
    uint64_t position = 0;
    int ends = msg->type == PHX_MSG_ENDED, on_node = c->queue_mem && c->queue.tells_starts;
    int status = phx_msg_get_number(msg->body, msg->size, &position);
    if (status == 0 && ends)
        status = phx_heard_note(&c->heard, msg->body, msg->size);
    else if (status == 0 && !on_node)
        status = PHX_E_PROTO;
    int64_t test = PHX_RUNQ_NONE;
    if (status == 0 && on_node && position <= UINT32_MAX)
        test = phx_controller_test(c, (uint32_t)position);
    if (status < 0 || (on_node && test == PHX_RUNQ_NONE)) {
        phx_controller_outlaw(&member->channel, &member->watch, PHX_E_PROTO);
        return 0;
    }
    *out = (struct phx_event){.kind = ends ? PHX_EVENT_TEST_ENDED : PHX_EVENT_TEST_STARTED,
                              .number = (int32_t)member->number,
                              .test = test,
                              .count = position};
    return on_node;
}

/* Takes one message. Returns 1 when it is an event for the caller, 0 when not. */
static int member_says(struct phx_member *member, const struct phx_message *msg,
                       struct phx_event *out)
{
    int status = phx_controller_may_say(member, msg->type) ? 1 : PHX_E_PROTO;
    if (msg->type == PHX_MSG_HELLO)
        status = phx_controller_check_hello(msg);
    else if (msg->type == PHX_MSG_ENDED || msg->type == PHX_MSG_STARTED)
        return member_tells(member, msg, out);
    else if (status == 1 && msg->type == PHX_MSG_COLLECTED)
        return member_collected(member, msg, out);
    else if (status == 1 && msg->type == PHX_MSG_ITEMS)
        status = phx_controller_take_items(member, msg) < 0 ? PHX_E_PROTO : 1;
    if (status < 0)
        phx_controller_outlaw(&member->channel, &member->watch, status);
    if (status <= 0)
        return 0;
    if (msg->type == PHX_MSG_STOPPED)
        member->stopped = 1;
    if (msg->type == PHX_MSG_TEST_COMPLETE && member->controller->post)
        phx_post_refill(member->controller->post, member->number);
    if (msg->type == PHX_MSG_FINISHED || msg->type == PHX_MSG_SESSION_DONE) {
        member->finished = 1;
        member->quiet_at = phx_clock_now();
    }
    phx_event_of_message(out, (int32_t)member->number, msg);
    return 1;
}

int phx_controller_status_is_due(const struct phx_controller *c, const struct phx_member *member,
                                 phx_ns now)
{
    int nobody_can_tell = c->guard_gone && c->zygote->state == PHX_ZYGOTE_GONE;
    return member->has_status || nobody_can_tell || now - member->gone_at >= PHX_STATUS_PATIENCE;
}

int phx_controller_member_next(struct phx_controller *c, struct phx_member *member,
                               struct phx_event *out)
{
    struct phx_message msg;
    if (member->state != PHX_MEMBER_UP)
        return 0;
    for (;;) {
        while (phx_channel_next(&member->channel, &msg)) {
            if (member_says(member, &msg, out))
                return 1;
        }
        if (member->channel.error < 0 && !member->watch.gone)
            phx_controller_outlaw(&member->channel, &member->watch, PHX_E_PROTO);
        if (member->channel.ended && !member->quiet_at)
            member->quiet_at = phx_clock_now();
        if (!member->watch.gone)
            return 0;
        if (member->channel.ended)
            break;
        phx_channel_drain(&member->channel);
    }
    if (!phx_controller_status_is_due(c, member, phx_clock_now()))
        return 0; /* phx_controller_note_status or the deadline brings it back */
    worker_down(c, member, out);
    return 1;
}
