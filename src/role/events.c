/* What comes in: messages of guard, zygote and workers, and their deaths, turned into events.
 *
 * The order that everything rests on, per worker: its messages as it wrote them, then its death. A
 * death is known by the pidfd; then the channel is read until it is empty, whoever else holds its
 * other end; then the exit status is waited for (from its parent, the zygote, or from the guard
 * once the zygote is dead); then its estate in the run queue is settled, and only then WORKER_DOWN
 * is handed out.
 *
 * Runs in the controller, in the loop's thread. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "os/oom.h"
#include "role/controller_impl.h"
#include "wire/msg.h"

#define STATUS_PATIENCE                                                                            \
    (2 * PHX_S) /* for the exit status of a process that is known to be dead                       \
                 */

enum {
    RESPAWN_MAX = 8, /* zygotes that one run may wear out */
    FLOOD = 1 << 15, /* bytes in one look: half of what is read at once */
};

/* ---- callbacks of the loop: they only note ---- */

void phx_controller_on_guard_bytes(struct phx_channel *channel)
{
    struct phx_controller *c =
        (struct phx_controller *)((char *)channel - offsetof(struct phx_controller, guard));
    c->eventful = 1;
}

void phx_controller_on_guard_gone(struct phx_watch *watch)
{
    struct phx_controller *c =
        (struct phx_controller *)((char *)watch - offsetof(struct phx_controller, guard_watch));
    c->guard_gone = 1;
    c->eventful = 1;
    phx_channel_drain(&c->guard);
}

void phx_controller_on_zygote_bytes(struct phx_channel *channel)
{
    ((struct phx_zygote_peer *)channel)->controller->eventful = 1;
}

static void on_zygote_gone(struct phx_watch *watch)
{
    struct phx_zygote_peer *zygote =
        (struct phx_zygote_peer *)((char *)watch - offsetof(struct phx_zygote_peer, watch));
    zygote->controller->eventful = 1;
    phx_channel_drain(&zygote->channel);
}

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

static void on_member_bytes(struct phx_channel *channel)
{
    struct phx_member *member = (struct phx_member *)channel;
    if (phx_buf_size(&channel->in.raw) >= FLOOD)
        member->controller->flooded = 1;
    phx_controller_mark_ready(member);
}

static void on_member_gone(struct phx_watch *watch)
{
    struct phx_member *member =
        (struct phx_member *)((char *)watch - offsetof(struct phx_member, watch));
    member->gone_at = phx_clock_now();
    phx_channel_drain(&member->channel);
    phx_controller_mark_ready(member);
}

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
    if (c->interrupt_at)
        return 1;
    for (uint32_t i = 0; i < c->members_max; i++) {
        const struct phx_member *member = c->members[i];
        if (member && member->state == PHX_MEMBER_UP && (member->gone_at || member->quiet_at))
            return 1;
    }
    return 0;
}

/* ---- helpers ---- */

static const char out_of_memory[] =
    "probably out of memory: the kernel's OOM killer has struck in this control group";

static void message_event(struct phx_event *out, int32_t number, const struct phx_message *msg)
{
    *out = (struct phx_event){.kind = PHX_EVENT_MESSAGE,
                              .number = number,
                              .type = msg->type,
                              .body = msg->body,
                              .size = msg->size};
}

/* Whether the OOM killer may have caused this death. Each of its kills explains one; those that
 * were followed by a death of another kind were of somebody else. */
static int is_out_of_memory(struct phx_controller *c, int has_status, int status)
{
    uint64_t kills = phx_oom_kills("");
    int explains =
        has_status && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && kills > c->oom_kills;
    c->oom_kills = explains ? c->oom_kills + 1 : kills;
    return explains;
}

/* What a worker may say beside HELLO and ENDED; anything else is no worker of ours. */
static int worker_may_say(const struct phx_member *member, uint16_t type)
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

/* Returns 0 for a HELLO of our version, PHX_E_PROTO or PHX_E_VERSION. */
static int check_hello(const struct phx_message *msg)
{
    struct phx_msg_hello hello;
    int status = phx_msg_get_hello(msg->body, msg->size, &hello);
    return status == 0 && hello.version != PHX_PROTOCOL_VERSION ? PHX_E_VERSION : status;
}

/* A peer that does not speak the protocol is treated as if it had crashed, and made to. Nothing
 * that it has said beside is heard: a lost report must not be followed by a FINISHED. */
static void outlaw(struct phx_channel *channel, struct phx_watch *watch, int error)
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

static void note_status(struct phx_controller *c, const struct phx_msg_exit *msg)
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

static int zygote_down(struct phx_controller *c, struct phx_event *out);
static int starter_down(struct phx_controller *c, struct phx_zygote_peer *peer,
                        struct phx_event *out);

/* ---- the guard ---- */

/* The guard answers SPAWNs in the order in which they came: takes the one that this is about. */
static struct phx_zygote_peer *answered(struct phx_controller *c)
{
    struct phx_zygote_peer *peer = c->spawn_first;
    if (peer) {
        c->spawn_first = peer->next_spawn;
        if (!c->spawn_first)
            c->spawn_last = NULL;
    }
    return peer;
}

static int spawned(struct phx_controller *c, const struct phx_message *msg)
{
    uint64_t pid;
    int pidfd;
    struct phx_zygote_peer *peer = answered(c);
    if (phx_msg_get_number(msg->body, msg->size, &pid) < 0 ||
        phx_inbox_take_fds(&c->guard.in, &pidfd, 1) < 0)
        return PHX_E_PROTO;
    if (!peer || peer->state == PHX_ZYGOTE_GONE) { /* a worker already, or given up */
        phx_fd_close(&pidfd);
        return peer ? 0 : PHX_E_PROTO;
    }
    int status = phx_watch_open(&peer->watch, &c->loop, (pid_t)pid, pidfd, on_zygote_gone);
    peer->has_watch = status == 0;
    if (status == 0 && peer->signal_due)
        phx_watch_signal(&peer->watch, peer->signal_due, 1);
    return status;
}

/* Returns 1 with an event. */
static int spawn_failed(struct phx_controller *c, const struct phx_message *msg,
                        struct phx_event *out)
{
    struct phx_msg_text text;
    struct phx_zygote_peer *peer = answered(c);
    if (!peer) {
        outlaw(&c->guard, &c->guard_watch, PHX_E_PROTO);
        return 0;
    }
    if (phx_msg_get_text(msg->body, msg->size, &text) == 0)
        snprintf(peer->why, sizeof peer->why, "%s", text.text);
    return peer == c->zygote ? zygote_down(c, out) : starter_down(c, peer, out);
}

static int guard_message(struct phx_controller *c, const struct phx_message *msg,
                         struct phx_event *out)
{
    struct phx_msg_exit exit_msg;
    struct phx_msg_leftover leftover;
    int status;
    switch (msg->type) {
    case PHX_MSG_HELLO:
        status = check_hello(msg);
        if (status < 0)
            outlaw(&c->guard, &c->guard_watch, status);
        return 0;
    case PHX_MSG_SPAWNED:
        if (spawned(c, msg) < 0)
            outlaw(&c->guard, &c->guard_watch, PHX_E_PROTO);
        return 0;
    case PHX_MSG_SPAWN_FAILED:
        return spawn_failed(c, msg, out);
    case PHX_MSG_REAPED:
        if (phx_msg_get_exit(msg->body, msg->size, &exit_msg) == 0)
            note_status(c, &exit_msg);
        return 0;
    case PHX_MSG_LEFTOVER:
        if (phx_msg_get_leftover(msg->body, msg->size, &leftover) < 0)
            return 0;
        snprintf(c->text, sizeof c->text, "%s", leftover.command);
        *out = (struct phx_event){.kind = PHX_EVENT_LEFTOVER,
                                  .number = -1,
                                  .pid = (int32_t)leftover.pid,
                                  .status = leftover.ended,
                                  .text = c->text};
        return 1;
    default:
        outlaw(&c->guard, &c->guard_watch, PHX_E_PROTO);
        return 0;
    }
}

static int guard_next(struct phx_controller *c, struct phx_event *out)
{
    struct phx_message msg;
    while (phx_channel_next(&c->guard, &msg)) {
        if (guard_message(c, &msg, out))
            return 1;
    }
    if (c->guard.error < 0 && !c->guard_gone)
        outlaw(&c->guard, &c->guard_watch, PHX_E_PROTO);
    if (c->guard_gone && !c->guard_told) {
        c->guard_told = 1;
        *out = (struct phx_event){.kind = PHX_EVENT_GUARD_DOWN, .number = -1};
        return 1;
    }
    return 0;
}

/* ---- the zygote ---- */

static int same_collection(const struct phx_collection *a, const struct phx_collection *b)
{
    if (phx_collection_count(a) != phx_collection_count(b))
        return 0;
    for (uint32_t i = 0; i < phx_collection_count(a); i++) {
        size_t a_size, b_size;
        const char *a_id = phx_collection_node_id(a, i, &a_size);
        const char *b_id = phx_collection_node_id(b, i, &b_size);
        if (a_size != b_size || memcmp(a_id, b_id, a_size) != 0)
            return 0;
    }
    return 1;
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
        int same = c->has_collection && same_collection(&c->collection, &zygote->collected);
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

static int fork_failed(struct phx_controller *c, uint32_t number, struct phx_event *out)
{
    struct phx_member *member = number < c->members_max ? c->members[number] : NULL;
    if (!member || member->state != PHX_MEMBER_ASKED)
        return PHX_E_PROTO;
    phx_controller_drop_request(c, number);
    phx_controller_send_requests(c);
    phx_member_down(member);
    c->nactive--;
    c->is_short = 1;
    if (c->queue_mem)
        phx_runq_bury(&c->queue, number, NULL);
    if (c->post)
        phx_post_bury(c->post, number);
    *out = (struct phx_event){
        .kind = PHX_EVENT_FORK_FAILED, .number = (int32_t)number, .text = c->text};
    return 1;
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
    int status = phx_member_up(member, &c->loop, (pid_t)forked_msg.pid, fds, on_member_bytes,
                               on_member_gone);
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
        message_event(out, -1, msg);
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
        return check_hello(msg);
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
            note_status(c, &exit_msg);
        return status;
    case PHX_MSG_SHARED: /* a later zygote sets them up, and tears them down, again */
        message_event(out, -1, msg);
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
    message_event(out, -1, msg);
    return 1;
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
        const char *text = zygote->why[0] ? zygote->why : NULL;
        if (!text && is_out_of_memory(c, zygote->has_status, zygote->status))
            text = out_of_memory;
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
                outlaw(&peer->channel, &peer->watch, status);
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
        peer->status_deadline = phx_clock_now() + STATUS_PATIENCE;
    if (!peer->has_status && !c->guard_gone && phx_clock_now() < peer->status_deadline)
        return 0;
    return -1;
}

static int zygote_next(struct phx_controller *c, struct phx_event *out)
{
    int status = c->zygote->state == PHX_ZYGOTE_GONE ? 0 : peer_next(c, c->zygote, out);
    if (status == 1 || (status < 0 && zygote_down(c, out)))
        return 1;
    return fail_request(c, out);
}

static int starters_next(struct phx_controller *c, struct phx_event *out)
{
    for (struct phx_zygote_peer *peer = c->starters; peer; peer = peer->next) {
        int status = peer->state == PHX_ZYGOTE_GONE ? 0 : peer_next(c, peer, out);
        if (status == 1 || (status < 0 && starter_down(c, peer, out)))
            return 1;
    }
    return 0;
}

/* ---- workers ---- */

void phx_controller_reject(struct phx_controller *c, int32_t number)
{
    if (number < 0)
        outlaw(&c->zygote->channel, &c->zygote->watch, PHX_E_PROTO);
    else if ((uint32_t)number < c->members_max && c->members[number])
        outlaw(&c->members[number]->channel, &c->members[number]->watch, PHX_E_PROTO);
}

static void release_told(struct phx_controller *c)
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

/* The tests that the worker whose death was handed out last has ended unheard, one by one. */
static int next_lost(struct phx_controller *c, struct phx_event *out)
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
    if (!text && member->differs)
        text = "the tests it collected are not those that this run began with: it was not used";
    if (!text && is_out_of_memory(c, member->has_status, member->status))
        text = out_of_memory;
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
        outlaw(&member->channel, &member->watch, status);
        return 0;
    }
    *out = (struct phx_event){.kind = PHX_EVENT_COLLECTED,
                              .number = (int32_t)member->number,
                              .count = count,
                              .status = member->differs};
    return 1;
}

/* Takes one message. Returns 1 when it is an event for the caller, 0 when not. */
static int member_says(struct phx_member *member, const struct phx_message *msg,
                       struct phx_event *out)
{
    int status = worker_may_say(member, msg->type) ? 1 : PHX_E_PROTO;
    if (msg->type == PHX_MSG_HELLO)
        status = check_hello(msg);
    else if (msg->type == PHX_MSG_ENDED)
        status = phx_heard_note(&member->controller->heard, msg->body, msg->size);
    else if (status == 1 && msg->type == PHX_MSG_COLLECTED)
        return member_collected(member, msg, out);
    else if (status == 1 && msg->type == PHX_MSG_ITEMS)
        status = phx_controller_take_items(member, msg) < 0 ? PHX_E_PROTO : 1;
    if (status < 0)
        outlaw(&member->channel, &member->watch, status);
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
    message_event(out, (int32_t)member->number, msg);
    return 1;
}

/* Whether to wait no longer for the exit status of a dead member. */
static int status_is_due(const struct phx_controller *c, const struct phx_member *member,
                         phx_ns now)
{
    int nobody_can_tell = c->guard_gone && c->zygote->state == PHX_ZYGOTE_GONE;
    return member->has_status || nobody_can_tell || now - member->gone_at >= STATUS_PATIENCE;
}

/* Returns 1 with an event, 0 when nothing can be said of this member for now. */
static int member_next(struct phx_controller *c, struct phx_member *member, struct phx_event *out)
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
            outlaw(&member->channel, &member->watch, PHX_E_PROTO);
        if (member->channel.ended && !member->quiet_at)
            member->quiet_at = phx_clock_now();
        if (!member->watch.gone)
            return 0;
        if (member->channel.ended)
            break;
        phx_channel_drain(&member->channel);
    }
    if (!status_is_due(c, member, phx_clock_now()))
        return 0; /* note_status or the deadline brings it back */
    worker_down(c, member, out);
    return 1;
}

/* Looks again at those who are dead without a status, and ends those who do not leave. */
static void mark_overdue(struct phx_controller *c)
{
    phx_ns now = phx_clock_now();
    if (c->interrupt_at && now >= c->interrupt_at)
        phx_controller_send_interrupts(c);
    for (uint32_t i = 0; i < c->members_max; i++) {
        struct phx_member *member = c->members[i];
        if (!member || member->state != PHX_MEMBER_UP)
            continue;
        if (member->gone_at && status_is_due(c, member, now))
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
    if (next_lost(c, out))
        return 1;
    release_told(c);
    if (guard_next(c, out) || zygote_next(c, out) || starters_next(c, out))
        return 1;
    while (c->ready_head) {
        struct phx_member *member = c->ready_head;
        if (member_next(c, member, out))
            return 1; /* it stays at the head: more may follow */
        c->ready_head = member->next_ready;
        if (!c->ready_head)
            c->ready_tail = NULL;
        member->is_ready = 0;
    }
    if (phx_controller_gathered(c)) {
        *out = (struct phx_event){.kind = PHX_EVENT_GATHERED,
                                  .number = -1,
                                  .count = phx_collection_count(&c->collection)};
        return 1;
    }
    c->eventful = 0;
    mark_overdue(c);
    return 0;
}
