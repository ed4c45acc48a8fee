/* A growable byte buffer with a read position: what channels gather bytes in.
 *
 *     data ──► [ consumed | readable ............ | spare ]
 *              0          start                   end      capacity
 *
 * Runs in any process; owned by one thread. A fork copies it like any memory. */
#ifndef PHX_BASE_BUF_H
#define PHX_BASE_BUF_H

#include <stddef.h>

struct phx_buf {
    char *data;      /* owned; NULL while capacity is 0 */
    size_t start;    /* first readable byte */
    size_t end;      /* one past the last readable byte */
    size_t capacity; /* bytes allocated */
};

void phx_buf_init(struct phx_buf *buf);
void phx_buf_fini(struct phx_buf *buf);

static inline size_t phx_buf_size(const struct phx_buf *buf)
{
    return buf->end - buf->start;
}

static inline char *phx_buf_head(const struct phx_buf *buf)
{
    return buf->data ? buf->data + buf->start : NULL;
}

/* Makes room for `room` more bytes at data + end (moving the readable ones to the front if that
 * helps). Returns 0 or -ENOMEM. Pointers into the buffer are invalid afterwards. */
int phx_buf_reserve(struct phx_buf *buf, size_t room);

/* Appends `size` bytes. Returns 0 or -ENOMEM. */
int phx_buf_append(struct phx_buf *buf, const void *bytes, size_t size);

/* Drops the first `size` readable bytes (size <= phx_buf_size). */
void phx_buf_consume(struct phx_buf *buf, size_t size);

#endif
