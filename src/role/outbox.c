#include "role/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"
#include "wire/frame.h"

struct phx_outgoing {
    struct phx_outgoing *next;
    int fd; /* owned; -1 once it is sent */
    size_t sent, size;
    char frame[]; /* header and body */
};

void phx_outbox_init(struct phx_outbox *out)
{
    *out = (struct phx_outbox){0};
}

static void drop_first(struct phx_outbox *out)
{
    struct phx_outgoing *first = out->first;
    out->first = first->next;
    if (!out->first)
        out->last = NULL;
    out->bytes -= sizeof *first + first->size;
    phx_fd_close(&first->fd);
    free(first);
}

void phx_outbox_fini(struct phx_outbox *out)
{
    while (out->first)
        drop_first(out);
}

int phx_outbox_put(struct phx_outbox *out, uint16_t type, const void *body, size_t size, int fd)
{
    struct phx_outgoing *message = NULL;
    int status = size > PHX_FRAME_MAX ? PHX_E_TOOBIG : -ENOMEM;
    if (size <= PHX_FRAME_MAX)
        message = malloc(sizeof *message + PHX_FRAME_HEADER + size);
    if (!message) {
        phx_fd_close(&fd);
        return status;
    }
    *message = (struct phx_outgoing){.fd = fd, .size = PHX_FRAME_HEADER + size};
    unsigned char header[PHX_FRAME_HEADER] = {0}; /* as drawn in wire/frame.h; no flags */
    for (int i = 0; i < 4; i++)
        header[i] = (unsigned char)(size >> 8 * i);
    header[4] = (unsigned char)type;
    header[5] = (unsigned char)(type >> 8);
    memcpy(message->frame, header, sizeof header);
    if (size > 0)
        memcpy(message->frame + sizeof header, body, size);
    if (out->last)
        out->last->next = message;
    else
        out->first = message;
    out->last = message;
    out->bytes += sizeof *message + message->size;
    return 0;
}

static ssize_t send_some(int socket, const struct phx_outgoing *message)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = (void *)(message->frame + message->sent),
                         .iov_len = message->size - message->sent};
    struct msghdr envelope = {.msg_iov = &part, .msg_iovlen = 1};
    if (message->fd >= 0) {
        envelope.msg_control = control.space;
        envelope.msg_controllen = sizeof control.space;
        struct cmsghdr *header = CMSG_FIRSTHDR(&envelope);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &message->fd, sizeof(int));
    }
    return sendmsg(socket, &envelope, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int phx_outbox_flush(struct phx_outbox *out, int socket)
{
    while (out->first) {
        ssize_t sent = send_some(socket, out->first);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == ECONNRESET ? -EPIPE : -errno;
        phx_fd_close(&out->first->fd);
        out->first->sent += (size_t)sent;
        if (out->first->sent == out->first->size)
            drop_first(out);
    }
    return 0;
}
