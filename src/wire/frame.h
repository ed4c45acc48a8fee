/* Frames and messages on a channel.
 *
 * A message is a type and a body, one MessagePack object (https://msgpack.org, the specification of
 * 2017). It travels as one or more frames:
 *
 *      0         4      6       8
 *     +---------+------+-------+-----------------------+
 *     | size    | type | flags | size bytes of the body |     all little-endian
 *     +---------+------+-------+-----------------------+
 *
 * flags bit 0 (MORE): the body goes on in the next frame, which has the same type. size is at most
 * PHX_FRAME_MAX, a message at most PHX_MESSAGE_MAX. All other flag bits are zero. Descriptors
 * travel beside the first byte of a message (SCM_RIGHTS).
 *
 * Runs in every process. A channel has one writer and one reader. */
#ifndef PHX_WIRE_FRAME_H
#define PHX_WIRE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fd.h"

enum {
    PHX_FRAME_HEADER = 8,
    PHX_FRAME_MAX = 1 << 20,   /* bytes of body in one frame */
    PHX_MESSAGE_MAX = 1 << 28, /* bytes of body in one message */
    PHX_INBOX_FDS_MAX = 64,    /* descriptors received and not yet taken */
};

/* Writes one message, waiting as long as the peer takes. `fds` as for phx_fd_write_all.
 * Returns 0, -EPIPE, PHX_E_TOOBIG, or -errno. */
int phx_frame_write(int fd, uint16_t type, const void *body, size_t size, const int *fds,
                    size_t nfds);

struct phx_message {
    uint16_t type;
    const char *body; /* borrowed from the inbox until the next call on it */
    size_t size;
};

/* What was received and not yet taken. Owned by one reader. */
struct phx_inbox {
    struct phx_buf raw;    /* bytes as they came */
    struct phx_buf joined; /* body of a message of several frames, so far */
    uint16_t joining_type; /* its type; valid while `joining` */
    int joining;
    int fds[PHX_INBOX_FDS_MAX]; /* received descriptors, oldest first; owned until taken */
    size_t nfds;
};

void phx_inbox_init(struct phx_inbox *in);
void phx_inbox_fini(struct phx_inbox *in); /* closes descriptors nobody took */

/* One read from `fd` into the inbox. Returns the bytes read, 0 at end of file, -EAGAIN, -ENOMEM,
 * -errno, or PHX_E_PROTO when more descriptors came than anybody asked for. */
int phx_inbox_read(struct phx_inbox *in, int fd);

/* Takes the next whole message. Returns 1, 0 when none is whole yet, PHX_E_PROTO or PHX_E_TOOBIG
 * for bytes that are no frame, -ENOMEM. */
int phx_inbox_next(struct phx_inbox *in, struct phx_message *out);

/* Takes the oldest `count` received descriptors. Returns 0, or PHX_E_PROTO when fewer have come. */
int phx_inbox_take_fds(struct phx_inbox *in, int *fds, size_t count);

#endif
