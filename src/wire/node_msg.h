/* What a node says of its workers: the events of its own engine (role/controller.h), on the wire.
 *
 * A node is the engine on another machine (role/node.h). All numbers in here are the controller's:
 * workers by their number in the run, tests by their place in the collected list.
 *
 * Runs in the controller and the node. The decoder accepts any bytes, as those of wire/msg.h. */
#ifndef PHX_WIRE_NODE_MSG_H
#define PHX_WIRE_NODE_MSG_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum phx_node_order {                      /* NODE_DO, and NODE_DONE for those that are marked */
                      PHX_NODE_STOP = 1,   /* nobody claims any more */
                      PHX_NODE_INTERRUPT,  /* that, and SIGINT to every worker's group */
                      PHX_NODE_KILL,       /* that, and SIGKILL */
                      PHX_NODE_SUSPEND,    /* SIGSTOP */
                      PHX_NODE_RESUME,     /* SIGCONT */
                      PHX_NODE_END_ZYGOTE, /* answered: the zygote is gone, all it said was told */
                      PHX_NODE_SPAWN_ALL,  /* workers start afresh, and collect for themselves */
                      PHX_NODE_END,        /* answered: nothing is left; the node leaves */
};

struct phx_node_bytes {
    const char *bytes; /* borrowed */
    size_t size;
};

enum { PHX_NODE_WORDS = 3 }; /* what a dead worker left on stdout, stderr, in the fault text */

struct phx_node_event {
    int32_t kind;   /* enum phx_event_kind; the reader checks it */
    int32_t number; /* of a worker, or -1: the zygote */
    uint16_t type;  /* of a message that is handed on, with its body */
    struct phx_node_bytes body;
    uint64_t count;
    int32_t pid;
    int has_status;
    int32_t status;
    int finished;
    int64_t test; /* or -1 */
    uint32_t phase;
    uint32_t phase_us[3], total_us; /* TEST_ENDED: how long it took */
    struct phx_node_bytes text;     /* bytes NULL: none */
    struct phx_node_bytes words[PHX_NODE_WORDS];
};

/* Appends one body to `out`. Returns 0 or -ENOMEM; on failure `out` is as it was. */
int phx_node_msg_put_event(struct phx_buf *out, const struct phx_node_event *event);

/* Returns 0 or PHX_E_PROTO. */
int phx_node_msg_get_event(const char *body, size_t size, struct phx_node_event *out);

#endif
