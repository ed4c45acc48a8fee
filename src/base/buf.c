#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 4096 };

void phx_buf_init(struct phx_buf *buf)
{
    *buf = (struct phx_buf){0};
}

void phx_buf_fini(struct phx_buf *buf)
{
    free(buf->data);
    phx_buf_init(buf);
}

int phx_buf_reserve(struct phx_buf *buf, size_t room)
{
    if (buf->capacity - buf->end >= room)
        return 0;
    size_t size = phx_buf_size(buf);
    if (buf->start > 0) {
        memmove(buf->data, buf->data + buf->start, size);
        buf->start = 0;
        buf->end = size;
        if (buf->capacity - buf->end >= room)
            return 0;
    }
    size_t capacity = buf->capacity ? buf->capacity : FIRST_CAPACITY;
    while (capacity - size < room) {
        if (capacity > (size_t)-1 / 2)
            return -ENOMEM;
        capacity *= 2;
    }
    char *data = realloc(buf->data, capacity);
    if (!data)
        return -ENOMEM;
    buf->data = data;
    buf->capacity = capacity;
    return 0;
}

int phx_buf_append(struct phx_buf *buf, const void *bytes, size_t size)
{
    int status = phx_buf_reserve(buf, size);
    if (status < 0)
        return status;
    if (size > 0)
        memcpy(buf->data + buf->end, bytes, size);
    buf->end += size;
    return 0;
}

void phx_buf_consume(struct phx_buf *buf, size_t size)
{
    assert(size <= phx_buf_size(buf));
    buf->start += size;
    if (buf->start == buf->end)
        buf->start = buf->end = 0;
}
