/* What comes in, turned into one event at a time: from whom to take the next, and what the takers
 * share. They are from_guard.c, from_zygote.c and from_worker.c.
 *
 * Runs in the controller, in the loop's thread. */
#include <signal.h>
#include <sys/wait.h>

#include "os/oom.h"
#include "role/controller_impl.h"
#include "wire/msg.h"

static int peer_has_deadline(const struct phx_zygote_peer *peer)
{
    return peer->has_watch && peer->state != PHX_ZYGOTE_GONE &&
           (peer->watch.gone || peer->quiet_at);
}

int phx_controller_has_deadlines(const struct phx_controller *c)
{
    if (peer_has_deadline(c->zygote))
        return 1;
    for (const struct phx_zygote_peer *peer = c->starters; peer; peer = peer->next)
        if (peer_has_deadline(peer))
            return 1;
    if (c->interrupt_at || c->heeds_timeouts)
        return 1;
    if (c->nmachines > 0)
        return 0; /* every worker is its node's to look after */
    for (uint32_t i = 0; i < c->members_max; i++) {
        const struct phx_member *member = c->members[i];
        if (member && member->state == PHX_MEMBER_UP &&
            (member->gone_at || member->quiet_at || phx_controller_is_ramped(c, member)))
            return 1;
    }
    return 0;
}

void phx_event_of_message(struct phx_event *out, int32_t number, const struct phx_message *msg)
{
    *out = (struct phx_event){.kind = PHX_EVENT_MESSAGE,
                              .number = number,
                              .type = msg->type,
                              .body = msg->body,
                              .size = msg->size};
}

const char *phx_controller_oom_cause(struct phx_controller *c, int has_status, int status)
{
    uint64_t kills = phx_oom_kills("");
    int explains =
        has_status && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && kills > c->oom_kills;
    c->oom_kills = explains ? c->oom_kills + 1 : kills;
    return explains
               ? "probably out of memory: the kernel's OOM killer has struck in this control group"
               : NULL;
}

int phx_controller_check_hello(const struct phx_message *msg)
{
    struct phx_msg_hello hello;
    int status = phx_msg_get_hello(msg->body, msg->size, &hello);
    return status == 0 && hello.version != PHX_PROTOCOL_VERSION ? PHX_E_VERSION : status;
}

void phx_controller_outlaw(struct phx_channel *channel, struct phx_watch *watch, int error)
{
    phx_channel_reject(channel, error);
    phx_watch_signal(watch, SIGKILL, 1);
}

static struct phx_member *member_of_pid(struct phx_controller *c, pid_t pid)
{
    for (uint32_t i = 0; i < c->members_max; i++) {
        struct phx_member *member = c->members[i];
        if (member && member->state == PHX_MEMBER_UP && member->watch.pid == pid)
            return member;
    }
    return NULL;
}

static void note_peer_status(struct phx_zygote_peer *peer, const struct phx_msg_exit *msg)
{
    for (; peer; peer = peer->next) {
        if (peer->has_watch && peer->watch.pid == (pid_t)msg->pid && !peer->has_status) {
            peer->has_status = 1;
            peer->status = msg->status;
        }
    }
}

void phx_controller_note_status(struct phx_controller *c, const struct phx_msg_exit *msg)
{
    struct phx_member *member = member_of_pid(c, (pid_t)msg->pid);
    if (member && !member->has_status) {
        member->has_status = 1;
        member->status = msg->status;
        phx_controller_mark_ready(member);
    }
    note_peer_status(c->zygote, msg);
    note_peer_status(c->starters, msg);
}

/* Looks again at those who are dead without a status, ends those who do not leave, and begins with
 * those whose time has come. */
static void mark_overdue(struct phx_controller *c)
{
    phx_ns now = phx_clock_now();
    if (c->interrupt_at && now >= c->interrupt_at)
        phx_controller_send_interrupts(c);
    for (uint32_t i = 0; c->nmachines == 0 && i < c->members_max; i++) {
        struct phx_member *member = c->members[i];
        if (!member || member->state != PHX_MEMBER_UP)
            continue;
        if (phx_controller_is_ramped(c, member))
            phx_controller_settle(c, member);
        if (member->gone_at && phx_controller_status_is_due(c, member, now))
            phx_controller_mark_ready(member);
        if (member->quiet_at && !member->gone_at && !member->overdue &&
            now - member->quiet_at >= c->exit_patience) {
            member->overdue = 1;
            phx_watch_signal(&member->watch, SIGKILL, 1);
        }
    }
}

int phx_controller_next(struct phx_controller *c, struct phx_event *out)
{
    c->eventful = 1;
    if (phx_controller_next_lost(c, out))
        return 1;
    phx_controller_release_told(c);
    if (phx_controller_guard_next(c, out) || phx_controller_zygote_next(c, out) ||
        phx_controller_starters_next(c, out) || phx_fleet_next(c, out))
        return 1;
    while (c->ready_head) {
        struct phx_member *member = c->ready_head;
        if (phx_controller_member_next(c, member, out))
            return 1; /* it stays at the head: more may follow */
        c->ready_head = member->next_ready;
        if (!c->ready_head)
            c->ready_tail = NULL;
        member->is_ready = 0;
    }
    if (c->nmachines > 0 ? phx_fleet_gathered(c) : phx_controller_gathered(c)) {
        *out = (struct phx_event){.kind = PHX_EVENT_GATHERED,
                                  .number = -1,
                                  .count = phx_collection_count(&c->collection)};
        return 1;
    }
    c->eventful = 0;
    mark_overdue(c);
    return 0;
}
