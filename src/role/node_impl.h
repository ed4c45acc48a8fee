/* What the files of the node share: node.c (its life), node_work.c (its workers and tests). Nobody
 * else includes it. Runs in the node. */
#ifndef PHX_ROLE_NODE_IMPL_H
#define PHX_ROLE_NODE_IMPL_H

#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "role/controller.h"
#include "wire/frame.h"
#include "wire/node_msg.h"

enum phx_node_method { /* how this machine's workers come to be, once that is known */
                       PHX_NODE_UNDECIDED,
                       PHX_NODE_FORKS,  /* the zygote forks them */
                       PHX_NODE_SPAWNS, /* the zygote was the first of them; others start afresh */
};

struct phx_node_worker { /* that the controller wants */
    uint32_t number;
    int wanted;           /* NODE_WORKER has come */
    int asked;            /* the engine was asked for it */
    struct phx_buf fork;  /* its value when it is forked */
    struct phx_buf spawn; /* its set-up when it starts afresh */
    struct phx_node_worker *next;
};

struct phx_node {
    int in, out; /* borrowed */
    struct phx_inbox inbox;
    struct phx_controller *engine;
    struct phx_node_worker *workers; /* owned, in the order in which they were named */
    enum phx_node_method method;
    int has_room;      /* the engine was told how many workers there may be */
    int has_collected; /* it knows the tests, and waits for them to be dealt */
    int is_planned;    /* there is a run queue */
    int64_t dying;     /* the worker whose lost tests are being told, or PHX_RUNQ_NONE */
    int ending, ending_zygote;
    int is_lost; /* the connection has ended */
    int status;  /* < 0: it cannot go on */
    phx_ns heard_at, spoke_at;
};

/* Writes a message to the controller. A failure is noted in the node. */
void phx_node_send(struct phx_node *node, uint16_t type, const struct phx_buf *body);

/* ---- node_work.c ---- */

/* Tells the controller of an event of the engine. */
void phx_node_forward(struct phx_node *node, const struct phx_event *event);

/* Does what an event asks for here: workers where the zygote has stopped for them. */
void phx_node_react(struct phx_node *node, const struct phx_event *event);

/* Nobody stands for all: the zygote is the first worker, the others start afresh. Returns 0 or a
 * negative code. */
int phx_node_spawn_all(struct phx_node *node);

/* NODE_SPAWN and NODE_WORKER, NODE_DEAL, NODE_RETURN. Return 0 or a negative code. */
int phx_node_take_worker(struct phx_node *node, const struct phx_message *msg);
int phx_node_take_deal(struct phx_node *node, const struct phx_message *msg);
int phx_node_give_back(struct phx_node *node, const struct phx_message *msg);

void phx_node_fini(struct phx_node *node);

#endif
