#include "role/node.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "role/controller.h"
#include "role/node_impl.h"
#include "wire/frame.h"
#include "wire/msg.h"

#define ALIVE_EVERY PHX_S
#define LEASE (600 * PHX_S) /* without a word from the controller: it is not coming back */
#define END_GRACE (500 * PHX_MS)

enum { EVENTS_AT_ONCE = 256 };

/* ---- what goes to the controller ---- */

static void fail(struct phx_node *node, int status, const char *what)
{
    if (node->status >= 0) {
        fprintf(stderr, "phalanx-node: %s: %s\n", what, phx_err_text(status));
        node->status = status;
    }
}

/* Waits for room; a connection that takes nothing for so long is dead. */
static int wait_writable(struct phx_node *node)
{
    struct pollfd writable = {.fd = node->out, .events = POLLOUT};
    int ready = poll(&writable, 1, (int)(LEASE / PHX_MS));
    return ready > 0 || (ready < 0 && errno == EINTR) ? 0 : -EPIPE;
}

void phx_node_send(struct phx_node *node, uint16_t type, const struct phx_buf *body)
{
    if (node->status < 0 || node->is_lost)
        return;
    int status = wait_writable(node);
    if (status == 0)
        status = phx_frame_write(node->out, type, phx_buf_head(body), phx_buf_size(body), NULL, 0);
    node->spoke_at = phx_clock_now();
    if (status == -EPIPE)
        node->is_lost = 1;
    else if (status < 0)
        fail(node, status, "cannot write to the controller");
}

static void send_number(struct phx_node *node, uint16_t type, uint64_t number)
{
    struct phx_buf body;
    phx_buf_init(&body);
    int status = phx_msg_put_number(&body, number);
    if (status < 0)
        fail(node, status, "cannot tell the controller");
    else
        phx_node_send(node, type, &body);
    phx_buf_fini(&body);
}

static void say_hello(struct phx_node *node, const char *info)
{
    struct phx_msg_hello hello = {
        .version = PHX_PROTOCOL_VERSION, .pid = (uint32_t)getpid(), .role = "node"};
    struct phx_msg_text text = {.number = -1};
    struct phx_buf body;
    phx_buf_init(&body);
    snprintf(text.text, sizeof text.text, "%s", info);
    int status = phx_msg_put_hello(&body, &hello);
    if (status == 0)
        phx_node_send(node, PHX_MSG_HELLO, &body);
    phx_buf_consume(&body, phx_buf_size(&body));
    if (status == 0)
        status = phx_msg_put_text(&body, &text);
    if (status == 0)
        phx_node_send(node, PHX_MSG_NODE_INFO, &body);
    else
        fail(node, status, "cannot say hello");
    phx_buf_fini(&body);
}

/* `next`, or nothing (NULL), is what the engine has to say after a worker's death. Once that is no
 * lost test of it, the controller hears that there are no more: its run may end by then. */
static void settle(struct phx_node *node, const struct phx_event *next)
{
    if (node->dying == PHX_RUNQ_NONE || (next && next->kind == PHX_EVENT_TEST_LOST))
        return;
    struct phx_event no_more = {
        .kind = PHX_EVENT_TEST_LOST, .number = (int32_t)node->dying, .test = PHX_RUNQ_NONE};
    node->dying = PHX_RUNQ_NONE;
    phx_node_forward(node, &no_more);
}

/* Hands on what the engine has to say. Returns whether there may be more. */
static int forward_events(struct phx_node *node)
{
    struct phx_event event;
    for (int i = 0; i < EVENTS_AT_ONCE; i++) {
        if (node->status < 0 || node->is_lost)
            return 0;
        int is_any = phx_controller_next(node->engine, &event);
        settle(node, is_any ? &event : NULL);
        if (!is_any)
            return 0;
        phx_node_forward(node, &event);
        if (event.kind == PHX_EVENT_WORKER_DOWN && !event.finished)
            node->dying = event.number;
        phx_node_react(node, &event);
    }
    return 1;
}

/* ---- what the controller wants ---- */

static void do_end(struct phx_node *node)
{
    phx_controller_stop(node->engine);
    node->ending = 1;
}

static int obey(struct phx_node *node, const struct phx_message *msg)
{
    uint64_t order;
    int status = phx_msg_get_number(msg->body, msg->size, &order);
    if (status < 0)
        return status;
    switch (order) {
    case PHX_NODE_STOP:
        phx_controller_stop(node->engine);
        return 0;
    case PHX_NODE_INTERRUPT:
        phx_controller_interrupt(node->engine);
        return 0;
    case PHX_NODE_KILL:
        phx_controller_kill(node->engine);
        return 0;
    case PHX_NODE_SUSPEND:
        phx_controller_suspend(node->engine);
        return 0;
    case PHX_NODE_RESUME:
        phx_controller_resume(node->engine);
        return 0;
    case PHX_NODE_SPAWN_ALL:
        return phx_node_spawn_all(node);
    case PHX_NODE_END_ZYGOTE:
        node->ending_zygote = 1;
        return 0;
    case PHX_NODE_END:
        do_end(node);
        return 0;
    default:
        return PHX_E_PROTO;
    }
}

static int take_command(struct phx_node *node, const struct phx_message *msg)
{
    switch (msg->type) {
    case PHX_MSG_NODE_SETUP:
        return phx_controller_setup(node->engine, msg->body, msg->size, NULL);
    case PHX_MSG_NODE_SPAWN:
    case PHX_MSG_NODE_WORKER:
        return phx_node_take_worker(node, msg);
    case PHX_MSG_NODE_DEAL:
        return phx_node_take_deal(node, msg);
    case PHX_MSG_NODE_RETURN:
        return phx_node_give_back(node, msg);
    case PHX_MSG_NODE_DO:
        return obey(node, msg);
    case PHX_MSG_NODE_ALIVE:
        return 0;
    default:
        return PHX_E_PROTO;
    }
}

/* Reads what has come, without waiting, and does it. */
static void read_commands(struct phx_node *node)
{
    struct pollfd readable = {.fd = node->in, .events = POLLIN};
    while (node->status >= 0 && poll(&readable, 1, 0) > 0) {
        int got = phx_inbox_read(&node->inbox, node->in);
        if (got == -EINTR || got == -EAGAIN)
            return;
        if (got <= 0) {
            node->is_lost = 1;
            return;
        }
        node->heard_at = phx_clock_now();
        struct phx_message msg;
        int status;
        while ((status = phx_inbox_next(&node->inbox, &msg)) == 1) {
            status = take_command(node, &msg);
            if (status < 0)
                break;
        }
        if (status < 0)
            fail(node, status, "the controller's order cannot be carried out");
    }
}

/* ---- its life ---- */

/* Ends that were ordered and take more than one turn. Returns whether all is over. */
static int go_on_ending(struct phx_node *node)
{
    if (node->ending_zygote && phx_controller_end_zygote(node->engine, 0)) {
        node->ending_zygote = 0;
        while (forward_events(node)) {
        }
        send_number(node, PHX_MSG_NODE_DONE, PHX_NODE_END_ZYGOTE);
    }
    if (!node->ending || phx_controller_active(node->engine) > 0)
        return 0;
    int status = phx_controller_end(node->engine, END_GRACE);
    if (status < 0)
        fail(node, status, "the run cannot be ended in good order");
    while (forward_events(node)) {
    }
    send_number(node, PHX_MSG_NODE_DONE, PHX_NODE_END);
    return 1;
}

static void serve(struct phx_node *node)
{
    while (node->status >= 0 && !node->is_lost) {
        read_commands(node);
        int more = forward_events(node);
        if (node->is_lost || go_on_ending(node))
            return;
        phx_ns now = phx_clock_now();
        if (now - node->heard_at >= LEASE)
            node->is_lost = 1;
        if (now - node->spoke_at >= ALIVE_EVERY) {
            struct phx_buf nothing = {0};
            phx_node_send(node, PHX_MSG_NODE_ALIVE, &nothing);
        }
        phx_ns patience = more ? 0 : ALIVE_EVERY;
        if (node->ending_zygote || node->ending)
            patience = more ? 0 : 20 * PHX_MS;
        int status = phx_controller_step(node->engine, patience, node->in);
        if (status < 0)
            fail(node, status, "cannot wait for events");
    }
}

int phx_node_run(const struct phx_node_options *options)
{
    struct phx_node node = {.in = options->in, .out = options->out, .dying = PHX_RUNQ_NONE};
    struct phx_err err = {0};
    struct phx_controller_options engine = {.guard_path = options->guard_path,
                                            .argv = options->argv,
                                            .environment = options->environment};
    phx_inbox_init(&node.inbox);
    node.heard_at = node.spoke_at = phx_clock_now();
    phx_log_role("node");
    int status = phx_controller_open(&node.engine, &engine, &err);
    if (status < 0) {
        fprintf(stderr, "phalanx-node: %s\n", err.text[0] ? err.text : phx_err_text(status));
        return 1;
    }
    phx_log_role("node");
    phx_controller_heed_timeouts(node.engine);
    say_hello(&node, options->info);
    serve(&node);
    phx_controller_close(node.engine);
    phx_node_fini(&node);
    if (node.status < 0)
        return 1;
    return node.is_lost ? PHX_NODE_LOST : 0;
}
