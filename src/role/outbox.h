/* Messages that wait for a peer to read: the sending side of a channel for a process that must
 * never block, the counterpart of phx_inbox. Owned by one thread; runs in the guard. */
#ifndef PHX_ROLE_OUTBOX_H
#define PHX_ROLE_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

struct phx_outbox {
    struct phx_outgoing *first; /* owned, oldest first; NULL when all is sent */
    struct phx_outgoing *last;
    size_t bytes; /* held in memory, sent parts included */
};

void phx_outbox_init(struct phx_outbox *out);
void phx_outbox_fini(struct phx_outbox *out); /* drops what was not sent */

/* Queues one message of at most PHX_FRAME_MAX bytes of body.
 * fd        taken, closed even on failure; -1: none. It travels with the message's first byte.
 * Returns   0, -ENOMEM or PHX_E_TOOBIG. */
int phx_outbox_put(struct phx_outbox *out, uint16_t type, const void *body, size_t size, int fd);

/* Sends what the socket takes without waiting, whatever its O_NONBLOCK says. Returns 0 when all is
 * sent, -EAGAIN when something is left, -EPIPE when the peer is gone, or -errno. */
int phx_outbox_flush(struct phx_outbox *out, int socket);

#endif
