/* A channel of the loop: a Unix socket to a guard, zygote or worker, with what came in and was not
 * read.
 *
 * The loop's callback only gathers bytes; the role takes messages out when it is ready for them, so
 * no callback ever runs somebody else's code. End of file only ends reading: whether the process is
 * dead is for its watch (net/watch.h) to say.
 *
 * Runs in the controller and the node agent, in the loop's thread. The memory must live until the
 * callback of phx_channel_close has run. */
#ifndef PHX_NET_CHANNEL_H
#define PHX_NET_CHANNEL_H

#include <uv.h>

#include "wire/frame.h"

struct phx_channel {
    uv_poll_t poll; /* first: libuv hands its address back; its `data` is the owner's */
    int fd;         /* owned; -1 once closed */
    int ended;    /* nothing more will come: end of file, an error, or bytes that are no protocol */
    int error;    /* why it ended: 0 for end of file, else a negative code */
    int64_t left; /* bytes to read before it ends, once it is drained; -1: the loop reads */
    struct phx_inbox in;                           /* owned */
    void (*on_bytes)(struct phx_channel *channel); /* something came or it ended */
};

/* Starts reading `fd` (taken, also on failure). Returns 0 or a negative code; after a failure the
 * struct may be forgotten. */
int phx_channel_open(struct phx_channel *channel, uv_loop_t *loop, int fd,
                     void (*on_bytes)(struct phx_channel *));

/* Takes the next message; reads for it when the channel is being drained. Returns 1, or 0 when none
 * is whole (bytes that are no protocol end the channel with `error` set). */
int phx_channel_next(struct phx_channel *channel, struct phx_message *out);

/* The process at the other end is dead, though somebody else may still hold its socket: nothing is
 * waited for any more. phx_channel_next reads what had come by now, a piece at a time, and when it
 * returns 0 the channel has ended. */
void phx_channel_drain(struct phx_channel *channel);

/* Ends the channel for `error` (a negative code) and drops what was not taken: a peer that broke
 * the protocol is not listened to. */
void phx_channel_reject(struct phx_channel *channel, int error);

/* Writes a message, waiting for the peer. Returns as phx_frame_write. */
int phx_channel_send(struct phx_channel *channel, uint16_t type, const void *body, size_t size,
                     const int *fds, size_t nfds);

/* Closes the socket and drops what was not taken. `on_closed` (may be NULL) runs in a later turn of
 * the loop; then the memory is free to go. */
void phx_channel_close(struct phx_channel *channel, uv_close_cb on_closed);

#endif
