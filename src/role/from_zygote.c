/* What comes from zygotes, and from the interpreters that are to become one worker each: what they
 * collected, whom they have forked, where they cannot go on as one; and their deaths.
 *
 * Runs in the controller, in the loop's thread. */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/log.h"
#include "role/controller_impl.h"
#include "sched/match.h"
#include "wire/msg.h"

enum { RESPAWN_MAX = 8 }; /* zygotes that one run may wear out */

void phx_controller_on_zygote_bytes(struct phx_channel *channel)
{
    ((struct phx_zygote_peer *)channel)->controller->eventful = 1;
}

void phx_controller_on_zygote_gone(struct phx_watch *watch)
{
    struct phx_zygote_peer *zygote =
        (struct phx_zygote_peer *)((char *)watch - offsetof(struct phx_zygote_peer, watch));
    zygote->controller->eventful = 1;
    phx_channel_drain(&zygote->channel);
}

/* The first zygote's collection is the run's. A later one must have collected the same, or it
 * cannot replace it: positions in the run queue would mean other tests. */
static int collected(struct phx_controller *c, struct phx_zygote_peer *zygote,
                     const struct phx_message *msg, struct phx_event *out)
{
    uint64_t count;
    if (phx_msg_get_number(msg->body, msg->size, &count) < 0 ||
        count != phx_collection_count(&zygote->collected))
        return PHX_E_PROTO; /* a test that did not arrive would be missed by nobody */
    if (zygote->generation > 1) {
        int same = c->has_collection && phx_match_in_order(&c->collection, &zygote->collected);
        phx_collection_fini(&zygote->collected);
        if (!same) {
            snprintf(zygote->why, sizeof zygote->why,
                     "the tests collected anew are not those that this run began with");
            return PHX_E_PROTO;
        }
        zygote->state = PHX_ZYGOTE_COLLECTED;
        phx_controller_send_requests(c);
        return 0;
    }
    c->collection = zygote->collected;
    c->has_collection = 1;
    phx_collection_init(&zygote->collected);
    zygote->state = PHX_ZYGOTE_COLLECTED;
    *out = (struct phx_event){
        .kind = PHX_EVENT_COLLECTED, .number = -1, .count = phx_collection_count(&c->collection)};
    return 1;
}

int phx_controller_fork_failed(struct phx_member *member, struct phx_event *out)
{
    struct phx_controller *c = member->controller;
    phx_member_down(member);
    c->nactive--;
    c->is_short = 1;
    if (c->queue_mem)
        phx_runq_bury(&c->queue, member->number, NULL);
    if (c->post)
        phx_post_bury(c->post, member->number);
    *out = (struct phx_event){
        .kind = PHX_EVENT_FORK_FAILED, .number = (int32_t)member->number, .text = c->text};
    return 1;
}

static int fork_failed(struct phx_controller *c, uint32_t number, struct phx_event *out)
{
    struct phx_member *member = number < c->members_max ? c->members[number] : NULL;
    if (!member || member->state != PHX_MEMBER_ASKED)
        return PHX_E_PROTO;
    phx_controller_drop_request(c, number);
    phx_controller_send_requests(c);
    return phx_controller_fork_failed(member, out);
}

static void send_number(struct phx_channel *channel, uint16_t type, uint64_t number)
{
    struct phx_buf body;
    phx_buf_init(&body);
    if (phx_msg_put_number(&body, number) == 0)
        phx_channel_send(channel, type, phx_buf_head(&body), phx_buf_size(&body), NULL, 0);
    phx_buf_fini(&body);
}

/* The interpreter behind this peer speaks for itself from now on, as a worker, by a channel of its
 * own. */
static void let_go(struct phx_zygote_peer *peer)
{
    phx_channel_close(&peer->channel, NULL);
    if (peer->has_watch)
        phx_watch_close(&peer->watch, NULL);
    peer->has_watch = 0;
    peer->state = PHX_ZYGOTE_GONE;
    phx_collection_fini(&peer->collected); /* it will tell again */
}

static int forked(struct phx_controller *c, struct phx_zygote_peer *zygote,
                  const struct phx_message *msg, struct phx_event *out)
{
    struct phx_msg_forked forked_msg;
    int fds[5];
    if (phx_msg_get_forked(msg->body, msg->size, &forked_msg) < 0 ||
        phx_inbox_take_fds(&zygote->channel.in, fds, 5) < 0)
        return PHX_E_PROTO;
    struct phx_member *member =
        forked_msg.number < c->members_max ? c->members[forked_msg.number] : NULL;
    int is_its_own = zygote->number != PHX_RUNQ_NONE;
    if (!member || member->state != PHX_MEMBER_ASKED ||
        (is_its_own && zygote->number != (int64_t)forked_msg.number)) {
        for (int i = 0; i < 5; i++)
            phx_fd_close(&fds[i]);
        return PHX_E_PROTO;
    }
    int status = phx_member_up(member, &c->loop, (pid_t)forked_msg.pid, fds,
                               phx_controller_on_member_bytes, phx_controller_on_member_gone);
    member->has_collected = zygote->state == PHX_ZYGOTE_COLLECTED;
    if (is_its_own)
        let_go(zygote);
    if (status < 0) {
        snprintf(c->text, sizeof c->text, "it cannot be watched: %s", phx_err_text(status));
        return fork_failed(c, forked_msg.number, out);
    }
    phx_controller_drop_request(c, forked_msg.number);
    phx_controller_send_requests(c);
    /* One that was being forked while the run was suspended may have been stopped with the zygote's
     * group, which it has left since: nobody else would continue it. */
    if (c->suspended_at)
        phx_watch_signal(&member->watch, SIGCONT, 1);
    /* A failure of either is a death, which is seen where deaths are. */
    send_number(&c->guard, PHX_MSG_GROUP, forked_msg.pid);
    send_number(&member->channel, PHX_MSG_GO, forked_msg.number);
    phx_controller_settle(c, member);
    *out = (struct phx_event){.kind = PHX_EVENT_WORKER_UP,
                              .number = (int32_t)forked_msg.number,
                              .pid = (int32_t)forked_msg.pid};
    return 1;
}

/* It stays where it is: to fork workers who go on from there, or, when it cannot, to become one. */
static int at_fork_point(struct phx_controller *c, struct phx_zygote_peer *zygote,
                         const struct phx_message *msg, struct phx_event *out)
{
    int can_fork = msg->type == PHX_MSG_FORK_HERE;
    zygote->state = can_fork ? PHX_ZYGOTE_FORK_POINT : PHX_ZYGOTE_REFUSED;
    if (zygote->generation == 1) {
        phx_event_of_message(out, -1, msg);
        return 1;
    }
    if (!can_fork) {
        snprintf(zygote->why, sizeof zygote->why,
                 "a zygote that was started anew cannot be forked");
        return PHX_E_PROTO;
    }
    phx_controller_send_requests(c);
    return 0;
}

/* Returns 1 with an event, 0 without, or a negative code for what is no protocol. */
static int zygote_message(struct phx_controller *c, struct phx_zygote_peer *zygote,
                          const struct phx_message *msg, struct phx_event *out)
{
    struct phx_msg_exit exit_msg;
    struct phx_msg_text text;
    int status;
    if (zygote->number != PHX_RUNQ_NONE && msg->type != PHX_MSG_HELLO &&
        msg->type != PHX_MSG_FORKED)
        return PHX_E_PROTO; /* who is to be a worker says nothing else before it is */
    if (zygote->state == PHX_ZYGOTE_COLLECTED &&
        (msg->type == PHX_MSG_ITEMS || msg->type == PHX_MSG_COLLECTED))
        return PHX_E_PROTO; /* once it is collected, a collection does not change */
    switch (msg->type) {
    case PHX_MSG_HELLO:
        return phx_controller_check_hello(msg);
    case PHX_MSG_ITEMS:
        status =
            phx_msg_each_item(msg->body, msg->size, phx_controller_add_item, &zygote->collected);
        if (status < 0 || zygote->generation > 1)
            return status;
        break;
    case PHX_MSG_COLLECTED:
        return collected(c, zygote, msg, out);
    case PHX_MSG_FORKED:
        return forked(c, zygote, msg, out);
    case PHX_MSG_FORK_FAILED:
        status = phx_msg_get_text(msg->body, msg->size, &text);
        if (status < 0)
            return status;
        snprintf(c->text, sizeof c->text, "%s", text.text);
        return fork_failed(c, (uint32_t)text.number, out);
    case PHX_MSG_EXITED:
        status = phx_msg_get_exit(msg->body, msg->size, &exit_msg);
        if (status == 0)
            phx_controller_note_status(c, &exit_msg);
        return status;
    case PHX_MSG_SHARED: /* a later zygote sets them up, and tears them down, again */
        phx_event_of_message(out, -1, msg);
        return 1;
    case PHX_MSG_FORK_HERE:
    case PHX_MSG_REFUSED:
        if (zygote->state != PHX_ZYGOTE_WORKING)
            return PHX_E_PROTO;
        return at_fork_point(c, zygote, msg, out);
    case PHX_MSG_STOPPED:
        zygote->stopped = 1;
        break;
    case PHX_MSG_READY:
    case PHX_MSG_COLLECTING:
    case PHX_MSG_COLLECT_REPORT:
    case PHX_MSG_WARNING:
    case PHX_MSG_INTERNAL_ERROR:
    case PHX_MSG_EARLY_CLAIMS:
    case PHX_MSG_DESELECTED:
    case PHX_MSG_SESSION_DONE:
        break;
    default:
        return PHX_E_PROTO;
    }
    if (zygote->generation > 1)
        return 0; /* its collection was reported when the first one made it */
    phx_event_of_message(out, -1, msg);
    return 1;
}

/* An interpreter that was to become a worker is dead, or was never there. */
static int starter_down(struct phx_controller *c, struct phx_zygote_peer *peer,
                        struct phx_event *out)
{
    peer->state = PHX_ZYGOTE_GONE;
    phx_channel_close(&peer->channel, NULL);
    if (peer->why[0])
        snprintf(c->text, sizeof c->text, "%s", peer->why);
    else if (peer->channel.error < 0)
        snprintf(c->text, sizeof c->text, "%s", phx_err_text(peer->channel.error));
    else if (peer->has_status && WIFSIGNALED(peer->status))
        snprintf(c->text, sizeof c->text, "killed by signal %d before it could begin",
                 WTERMSIG(peer->status));
    else
        snprintf(c->text, sizeof c->text, "it ended before it could begin");
    return fork_failed(c, (uint32_t)peer->number, out) == 1;
}

/* A zygote that died before it had collected: there is no run, or no replacement. */
static int zygote_down(struct phx_controller *c, struct phx_event *out)
{
    struct phx_zygote_peer *zygote = c->zygote;
    if (zygote->number != PHX_RUNQ_NONE)
        return starter_down(c, zygote, out);
    int could_fork =
        zygote->state == PHX_ZYGOTE_COLLECTED || zygote->state == PHX_ZYGOTE_FORK_POINT;
    zygote->state = PHX_ZYGOTE_GONE;
    if (!zygote->why[0] && zygote->channel.error < 0)
        snprintf(zygote->why, sizeof zygote->why, "%s", phx_err_text(zygote->channel.error));
    phx_channel_close(&zygote->channel,
                      NULL); /* workers of whom it did not tell see that, and go */
    phx_log(PHX_LOG_INFO, "event=zygote-down generation=%d status=%d", zygote->generation,
            zygote->has_status ? zygote->status : -1);
    if (zygote->generation == 1 && !could_fork) {
        if (c->zygote_told)
            return 0;
        c->zygote_told = 1;
        const char *text = zygote->why;
        if (!text[0])
            text = phx_controller_oom_cause(c, zygote->has_status, zygote->status);
        *out = (struct phx_event){.kind = PHX_EVENT_ZYGOTE_DOWN,
                                  .number = -1,
                                  .has_status = zygote->has_status,
                                  .status = zygote->status,
                                  .text = text};
        return 1;
    }
    for (struct phx_request *request = c->requests; request; request = request->next)
        request->sent = 0;
    /* One that was forking died between runs of its loop: start another. One that died on the way
     * will not do better the next time. */
    if (c->requests && could_fork && !c->stopping && zygote->generation < RESPAWN_MAX)
        phx_controller_spawn_zygote(c, NULL); /* a failure leaves one that is GONE */
    return 0;
}

int phx_controller_peer_down(struct phx_controller *c, struct phx_zygote_peer *peer,
                             struct phx_event *out)
{
    return peer == c->zygote ? zygote_down(c, out) : starter_down(c, peer, out);
}

/* A zygote that broke the protocol is ended at once (again, for it may not have had a pid when it
 * was first to be); one that only closed its channel, after a while: it may be on its way out. */
static void end_useless_zygote(struct phx_controller *c, struct phx_zygote_peer *zygote)
{
    if (!zygote->channel.ended || zygote->watch.gone)
        return;
    if (!zygote->quiet_at)
        zygote->quiet_at = phx_clock_now();
    if (zygote->channel.error < 0 || phx_clock_now() - zygote->quiet_at >= c->exit_patience)
        phx_watch_signal(&zygote->watch, SIGKILL, 1);
}

/* With nobody left to make them, requests fail, one by one. */
static int fail_request(struct phx_controller *c, struct phx_event *out)
{
    const struct phx_zygote_peer *zygote = c->zygote;
    if (zygote->state != PHX_ZYGOTE_GONE || !c->requests)
        return 0;
    snprintf(c->text, sizeof c->text, "%s", zygote->why[0] ? zygote->why : "the zygote died");
    return fork_failed(c, c->requests->number, out) == 1;
}

/* Takes messages of a zygote or starter. Returns 1 with an event; 0: nothing for now; -1: it is
 * dead and everything it said was handed out. */
static int peer_next(struct phx_controller *c, struct phx_zygote_peer *peer, struct phx_event *out)
{
    struct phx_message msg;
    for (;;) {
        while (peer->state != PHX_ZYGOTE_GONE && phx_channel_next(&peer->channel, &msg)) {
            int status = zygote_message(c, peer, &msg, out);
            if (status == 1)
                return 1;
            if (status < 0)
                phx_controller_outlaw(&peer->channel, &peer->watch, status);
        }
        if (peer->state == PHX_ZYGOTE_GONE)
            return 0;
        end_useless_zygote(c, peer);
        /* Without a guard it was never started, or died with it. */
        int gone = peer->has_watch ? peer->watch.gone : c->guard_gone;
        if (!gone)
            return 0;
        if (peer->channel.ended)
            break;
        phx_channel_drain(&peer->channel);
    }
    /* The guard reaps it; its word comes a moment after the death. */
    if (!peer->has_status && !c->guard_gone && !peer->status_deadline)
        peer->status_deadline = phx_clock_now() + PHX_STATUS_PATIENCE;
    if (!peer->has_status && !c->guard_gone && phx_clock_now() < peer->status_deadline)
        return 0;
    return -1;
}

int phx_controller_zygote_next(struct phx_controller *c, struct phx_event *out)
{
    int status = c->zygote->state == PHX_ZYGOTE_GONE ? 0 : peer_next(c, c->zygote, out);
    if (status == 1 || (status < 0 && zygote_down(c, out)))
        return 1;
    return fail_request(c, out);
}

int phx_controller_starters_next(struct phx_controller *c, struct phx_event *out)
{
    for (struct phx_zygote_peer *peer = c->starters; peer; peer = peer->next) {
        int status = peer->state == PHX_ZYGOTE_GONE ? 0 : peer_next(c, peer, out);
        if (status == 1 || (status < 0 && starter_down(c, peer, out)))
            return 1;
    }
    return 0;
}
