#include "wire/frame.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

enum {
    FLAG_MORE = 1,
    READ_SIZE = 1 << 16,
    /* Nearly every message is smaller, and copying it behind its header is cheaper than the second
     * system call, and the second waking of the reader, that it saves. */
    COPY_MAX = 8192,
    KEEP_MAX = 1 << 21, /* a buffer that one large message blew up beyond this is given back */
};

static void put_header(char *at, size_t size, uint16_t type, uint16_t flags)
{
    unsigned char *byte = (unsigned char *)at;
    for (int i = 0; i < 4; i++)
        byte[i] = (unsigned char)(size >> 8 * i);
    byte[4] = (unsigned char)type;
    byte[5] = (unsigned char)(type >> 8);
    byte[6] = (unsigned char)flags;
    byte[7] = (unsigned char)(flags >> 8);
}

static int write_frame(int fd, uint16_t type, uint16_t flags, const char *body, size_t size,
                       const int *fds, size_t nfds)
{
    char first[PHX_FRAME_HEADER + COPY_MAX];
    put_header(first, size, type, flags);
    size_t copied = size < COPY_MAX ? size : COPY_MAX;
    if (copied > 0)
        memcpy(first + PHX_FRAME_HEADER, body, copied);
    int status = phx_fd_write_all(fd, first, PHX_FRAME_HEADER + copied, fds, nfds);
    if (status < 0 || copied == size)
        return status;
    return phx_fd_write_all(fd, body + copied, size - copied, NULL, 0);
}

int phx_frame_write(int fd, uint16_t type, const void *body, size_t size, const int *fds,
                    size_t nfds)
{
    if (size > PHX_MESSAGE_MAX)
        return PHX_E_TOOBIG;
    const char *at = body;
    while (size > PHX_FRAME_MAX) {
        int status = write_frame(fd, type, FLAG_MORE, at, PHX_FRAME_MAX, fds, nfds);
        if (status < 0)
            return status;
        at += PHX_FRAME_MAX;
        size -= PHX_FRAME_MAX;
        nfds = 0;
    }
    return write_frame(fd, type, 0, at, size, fds, nfds);
}

void phx_inbox_init(struct phx_inbox *in)
{
    *in = (struct phx_inbox){0};
    phx_buf_init(&in->raw);
    phx_buf_init(&in->joined);
}

void phx_inbox_fini(struct phx_inbox *in)
{
    for (size_t i = 0; i < in->nfds; i++)
        phx_fd_close(&in->fds[i]);
    phx_buf_fini(&in->raw);
    phx_buf_fini(&in->joined);
    phx_inbox_init(in);
}

/* One read, with the descriptors beside it. Channels over ssh are pipes, which carry none. */
static ssize_t read_some(int fd, void *bytes, size_t size, int *fds, size_t *out_nfds)
{
    *out_nfds = 0;
    ssize_t got = phx_fd_read_fds(fd, bytes, size, fds, out_nfds);
    if (got == -ENOTSOCK) {
        got = read(fd, bytes, size);
        if (got < 0)
            got = -errno;
    }
    return got;
}

static int keep_fds(struct phx_inbox *in, const int *fds, size_t nfds)
{
    int status = 0;
    for (size_t i = 0; i < nfds; i++) {
        int fd = fds[i];
        if (in->nfds < PHX_INBOX_FDS_MAX) {
            in->fds[in->nfds++] = fd;
        } else {
            phx_fd_close(&fd);
            status = PHX_E_PROTO;
        }
    }
    return status;
}

int phx_inbox_read(struct phx_inbox *in, int fd)
{
    int status = phx_buf_reserve(&in->raw, READ_SIZE);
    if (status < 0)
        return status;
    int fds[PHX_FDS_MAX];
    size_t nfds;
    ssize_t got =
        read_some(fd, in->raw.data + in->raw.end, in->raw.capacity - in->raw.end, fds, &nfds);
    if (got < 0)
        return (int)got;
    in->raw.end += (size_t)got;
    status = keep_fds(in, fds, nfds);
    return status < 0 ? status : (int)got;
}

struct header {
    size_t size;
    uint16_t type;
    uint16_t flags;
};

static struct header get_header(const char *at)
{
    const unsigned char *byte = (const unsigned char *)at;
    return (struct header){
        .size = byte[0] | (size_t)byte[1] << 8 | (size_t)byte[2] << 16 | (size_t)byte[3] << 24,
        .type = (uint16_t)(byte[4] | byte[5] << 8),
        .flags = (uint16_t)(byte[6] | byte[7] << 8),
    };
}

static int check_header(const struct phx_inbox *in, const struct header *header)
{
    if (header->size > PHX_FRAME_MAX || (header->flags & ~FLAG_MORE))
        return PHX_E_PROTO;
    if (in->joining && header->type != in->joining_type)
        return PHX_E_PROTO;
    if (in->joining && phx_buf_size(&in->joined) + header->size > PHX_MESSAGE_MAX)
        return PHX_E_TOOBIG;
    return 0;
}

/* Forgets the message that the last call handed out. */
static void drop_taken(struct phx_inbox *in)
{
    if (in->joining)
        return;
    if (in->joined.capacity > KEEP_MAX)
        phx_buf_fini(&in->joined);
    phx_buf_consume(&in->joined, phx_buf_size(&in->joined));
}

/* Takes one whole frame off `raw`. Consuming moves no bytes: they stay in place, and lent, until
 * the next read. Returns 1 when it completes a message, 0 when it goes on, -ENOMEM. */
static int take_frame(struct phx_inbox *in, const struct header *header, struct phx_message *out)
{
    const char *body = phx_buf_head(&in->raw) + PHX_FRAME_HEADER;
    int more = header->flags & FLAG_MORE;
    if (more || in->joining) {
        int status = phx_buf_append(&in->joined, body, header->size);
        if (status < 0)
            return status;
    }
    phx_buf_consume(&in->raw, PHX_FRAME_HEADER + header->size);
    if (more) {
        in->joining = 1;
        in->joining_type = header->type;
        return 0;
    }
    *out = (struct phx_message){.type = header->type, .body = body, .size = header->size};
    if (in->joining && phx_buf_size(&in->joined) > 0) { /* else `body` is as empty as any */
        out->body = phx_buf_head(&in->joined);
        out->size = phx_buf_size(&in->joined);
    }
    in->joining = 0;
    return 1;
}

int phx_inbox_next(struct phx_inbox *in, struct phx_message *out)
{
    drop_taken(in);
    while (phx_buf_size(&in->raw) >= PHX_FRAME_HEADER) {
        struct header header = get_header(phx_buf_head(&in->raw));
        int status = check_header(in, &header);
        if (status < 0)
            return status;
        if (phx_buf_size(&in->raw) - PHX_FRAME_HEADER < header.size)
            return 0;
        status = take_frame(in, &header, out);
        if (status != 0)
            return status;
    }
    return 0;
}

int phx_inbox_take_fds(struct phx_inbox *in, int *fds, size_t count)
{
    if (count > in->nfds)
        return PHX_E_PROTO;
    for (size_t i = 0; i < count; i++)
        fds[i] = in->fds[i];
    in->nfds -= count;
    memmove(in->fds, in->fds + count, in->nfds * sizeof *in->fds);
    return 0;
}
