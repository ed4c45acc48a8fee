/* What comes from the guard: which interpreters it has started, whom it has reaped, what was left
 * at the end; and its death.
 *
 * Runs in the controller, in the loop's thread. */
#include <signal.h>
#include <stdio.h>

#include "role/controller_impl.h"
#include "wire/msg.h"

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
    int status =
        phx_watch_open(&peer->watch, &c->loop, (pid_t)pid, pidfd, phx_controller_on_zygote_gone);
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
        phx_controller_outlaw(&c->guard, &c->guard_watch, PHX_E_PROTO);
        return 0;
    }
    if (phx_msg_get_text(msg->body, msg->size, &text) == 0)
        snprintf(peer->why, sizeof peer->why, "%s", text.text);
    return phx_controller_peer_down(c, peer, out);
}

static int guard_message(struct phx_controller *c, const struct phx_message *msg,
                         struct phx_event *out)
{
    struct phx_msg_exit exit_msg;
    struct phx_msg_leftover leftover;
    int status;
    switch (msg->type) {
    case PHX_MSG_HELLO:
        status = phx_controller_check_hello(msg);
        if (status < 0)
            phx_controller_outlaw(&c->guard, &c->guard_watch, status);
        return 0;
    case PHX_MSG_SPAWNED:
        if (spawned(c, msg) < 0)
            phx_controller_outlaw(&c->guard, &c->guard_watch, PHX_E_PROTO);
        return 0;
    case PHX_MSG_SPAWN_FAILED:
        return spawn_failed(c, msg, out);
    case PHX_MSG_REAPED:
        if (phx_msg_get_exit(msg->body, msg->size, &exit_msg) == 0)
            phx_controller_note_status(c, &exit_msg);
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
        phx_controller_outlaw(&c->guard, &c->guard_watch, PHX_E_PROTO);
        return 0;
    }
}

int phx_controller_guard_next(struct phx_controller *c, struct phx_event *out)
{
    struct phx_message msg;
    if (c->guard.fd < 0)
        return 0;
    while (phx_channel_next(&c->guard, &msg)) {
        if (guard_message(c, &msg, out))
            return 1;
    }
    if (c->guard.error < 0 && !c->guard_gone)
        phx_controller_outlaw(&c->guard, &c->guard_watch, PHX_E_PROTO);
    if (c->guard_gone && !c->guard_told) {
        c->guard_told = 1;
        *out = (struct phx_event){.kind = PHX_EVENT_GUARD_DOWN, .number = -1};
        return 1;
    }
    return 0;
}
