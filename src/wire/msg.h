/* The list of messages: who says what to whom.
 *
 * Bodies are MessagePack arrays of the fields named here, except those marked `value`: there the
 * body is one Python value (src/py/value.c), which the engine hands on unread.
 *
 * Runs in every process. Decoders accept any bytes: they return PHX_E_PROTO and never read outside.
 */
#ifndef PHX_WIRE_MSG_H
#define PHX_WIRE_MSG_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { PHX_PROTOCOL_VERSION = 4 };

/*  name             number  from -> to              body */
#define PHX_MESSAGES(X)                                                                            \
    X(HELLO, 1)        /* all -> controller       version, role, pid */                            \
    X(SPAWN, 2)        /* controller -> guard     argv, environment, directory; 1 fd: channel */   \
    X(SPAWNED, 3)      /* guard -> controller     pid; 1 fd: pidfd */                              \
    X(SPAWN_FAILED, 4) /* guard -> controller     text */                                          \
    X(REAPED, 5)       /* guard -> controller     pid, wait status */                              \
    X(END, 6)          /* controller -> guard, zygote   grace in milliseconds */                   \
    X(LEFTOVER, 7)     /* guard -> controller     pid, process group, ended (0/1), command */      \
    X(GROUP, 8)        /* controller -> guard     process group of a worker */                     \
    X(SETUP, 10)       /* controller -> zygote    value */                                         \
    X(ITEMS, 11) /* zygote, worker -> controller  array of [id, group or nil, set-ups, limit] */   \
    X(COLLECTED, 12)   /* zygote, worker -> controller  number of items */                         \
    X(FORK, 13)        /* controller -> zygote    number, value */                                 \
    X(FORKED, 14)      /* zygote -> controller    number, pid; fds: pidfd, channel, 3 memfds */    \
    X(FORK_FAILED, 15) /* zygote -> controller    number, text */                                  \
    X(EXITED, 16)      /* zygote -> controller    number, pid, wait status */                      \
    X(GO, 17)          /* controller -> worker    number: FORKED has come, it may begin */         \
    X(FORK_HERE, 18) /* zygote -> controller    value: where and why it forks before collecting */ \
    X(BECOME, 19)    /* controller -> zygote    number, value: it is that worker from now on */    \
    X(COLLECT_REPORT, 20) /* zygote, worker -> controller  value */                                \
    X(WARNING, 21)        /* zygote, worker -> controller  value */                                \
    X(INTERNAL_ERROR, 22) /* zygote, worker -> controller  value */                                \
    X(REFUSED, 23)        /* zygote -> controller    value: why it cannot be forked; it waits */   \
    X(QUEUE, 24)          /* controller -> worker    array of tests; 1 fd: run queue */            \
    X(READY, 30)          /* zygote, worker -> controller  value: worker information */            \
    X(LOG_START, 31)      /* worker -> controller    value */                                      \
    X(REPORT, 32)         /* worker -> controller    value */                                      \
    X(LOG_FINISH, 33)     /* worker -> controller    value */                                      \
    X(FINISHED, 34)       /* worker -> controller    value: workeroutput */                        \
    X(ENDED, 41)          /* worker -> controller    position: all of its test was said */         \
    X(STARTED, 43)        /* worker -> controller    position: its test starts; on a node only */  \
    X(SESSION_DONE,                                                                                \
      35)          /* zygote, worker -> controller  value: how its session ended without tests     \
                    */                                                                             \
    X(STOPPED, 36) /* zygote, worker -> controller  value: pytest.exit, KeyboardInterrupt */       \
    X(COLLECTING,                                                                                  \
      37) /* zygote, worker -> controller  value: node id of the file it imports next */           \
    X(EARLY_CLAIMS,                                                                                \
      38) /* zygote, worker -> controller  value: whose hook wants the next test early */          \
    X(DESELECTED,                                                                                  \
      39) /* zygote, worker -> controller  value: node ids left out by -k, -m and the like         \
           */                                                                                      \
    X(XML_RECORD, 40) /* worker -> controller    value: what a test writes into the JUnit file */  \
    X(SHARED, 42)     /* zygote -> controller    value: fixtures set up once for all workers */    \
    X(TEST_COMPLETE, 60) /* worker -> controller     value: test, seconds; by mail only */         \
    X(NODE_INFO, 70)     /* node -> controller       text: what it tells of its machine */         \
    X(NODE_SETUP, 71)    /* controller -> node       value: the set-up of its zygote */            \
    X(NODE_SPAWN, 72)    /* controller -> node       number, value: a worker's, started afresh */  \
    X(NODE_WORKER, 73)   /* controller -> node       number, value: it is to have this worker */   \
    X(NODE_DEAL, 74)     /* controller -> node       units: size, then test and cost of each */    \
    X(NODE_RETURN, 75)   /* controller -> node       number of tests that are wanted back */       \
    X(NODE_RETURNED, 76) /* node -> controller       array of tests, unit by unit; may be empty */ \
    X(NODE_EVENT, 77)    /* node -> controller       see wire/node_msg.h */                        \
    X(NODE_DO, 78)       /* controller -> node       number: enum phx_node_order */                \
    X(NODE_DONE, 79)     /* node -> controller       number: the order that was carried out */     \
    X(NODE_ALIVE, 80)    /* both                     nothing */

enum phx_message_type {
#define X(name, number) PHX_MSG_##name = (number),
    PHX_MESSAGES(X)
#undef X
};

/* "HELLO" for PHX_MSG_HELLO; "?" for a number that is no message. */
const char *phx_msg_name(uint16_t type);

/* ---- encoders: append one body to `out`; return 0 or -ENOMEM ---- */

struct phx_msg_hello {
    uint32_t version;
    uint32_t pid;
    char role[16];
};

struct phx_msg_spawn {
    const char *const *argv;        /* NULL-terminated, as are the next; borrowed */
    const char *const *environment; /* "NAME=value"; may be NULL */
    const char *directory;          /* may be NULL */
};

struct phx_msg_exit { /* REAPED (number is -1) and EXITED */
    int32_t number;
    uint32_t pid;
    int32_t status; /* as of waitpid */
};

struct phx_msg_forked {
    uint32_t number;
    uint32_t pid;
};

struct phx_msg_leftover {
    uint32_t pid;
    uint32_t group;
    int ended;
    char command[256]; /* arguments joined by spaces, cut */
};

struct phx_msg_text { /* SPAWN_FAILED (number -1), FORK_FAILED */
    int32_t number;
    char text[PHX_ERR_TEXT_MAX];
};

int phx_msg_put_hello(struct phx_buf *out, const struct phx_msg_hello *msg);
int phx_msg_put_spawn(struct phx_buf *out, const struct phx_msg_spawn *msg);
int phx_msg_put_exit(struct phx_buf *out, const struct phx_msg_exit *msg);
int phx_msg_put_forked(struct phx_buf *out, const struct phx_msg_forked *msg);
int phx_msg_put_leftover(struct phx_buf *out, const struct phx_msg_leftover *msg);
int phx_msg_put_text(struct phx_buf *out, const struct phx_msg_text *msg);
int phx_msg_put_number(struct phx_buf *out, uint64_t number); /* one number */
/* QUEUE: see phx_msg_get_queue. */
int phx_msg_put_queue(struct phx_buf *out, const uint32_t *tests, size_t count);
/* FORK, BECOME: `value` is an encoded Python value, copied as it is. */
int phx_msg_put_fork(struct phx_buf *out, uint32_t number, const void *value, size_t size);

/* ---- decoders: return 0 or PHX_E_PROTO ---- */

int phx_msg_get_hello(const char *body, size_t size, struct phx_msg_hello *out);
int phx_msg_get_exit(const char *body, size_t size, struct phx_msg_exit *out);
int phx_msg_get_forked(const char *body, size_t size, struct phx_msg_forked *out);
int phx_msg_get_leftover(const char *body, size_t size, struct phx_msg_leftover *out);
int phx_msg_get_text(const char *body, size_t size, struct phx_msg_text *out);
int phx_msg_get_number(const char *body, size_t size, uint64_t *out);
int phx_msg_get_fork(const char *body, size_t size, uint32_t *out_number, const char **out_value,
                     size_t *out_size); /* out_value is borrowed from body */

/* The strings of a SPAWN, copied: out->argv etc. point into *out_memory, which the caller frees.
 * argv has at least one. Also returns -ENOMEM. */
int phx_msg_get_spawn(const char *body, size_t size, struct phx_msg_spawn *out, void **out_memory);

/* The tests of a QUEUE: for each test of the run its place in this worker's own list; none at all
 * means that the two lists are the same. *out_tests is the caller's to free (NULL without any).
 * Also returns -ENOMEM. */
int phx_msg_get_queue(const char *body, size_t size, uint32_t **out_tests, size_t *out_count);

enum { PHX_MSG_SETUPS_MAX = 64 }; /* of one item; any more are read and left out */

struct phx_msg_item {    /* texts are borrowed, not NUL-terminated, surrogates as in value_ext.h */
    const char *node_id; /* of node_id_size bytes */
    size_t node_id_size;
    const char *group; /* NULL and 0: none */
    size_t group_size;
    uint32_t nsetups; /* fixtures above function scope that it needs, by the zygote's numbers */
    uint32_t setups[PHX_MSG_SETUPS_MAX];
    const char *limit; /* the limited group it belongs to; NULL and 0: none, or exclusive */
    size_t limit_size;
    uint32_t permits; /* of that group; 0: none */
    int exclusive;
};

/* Walks an ITEMS body: calls `each` for every item (borrowed for the call). Stops at, and returns,
 * the first negative result of `each`; PHX_E_PROTO may come after calls of `each`. */
int phx_msg_each_item(const char *body, size_t size,
                      int (*each)(void *context, const struct phx_msg_item *item), void *context);

#endif
