#include "net/channel.h"

#include <errno.h>

static void end(struct phx_channel *channel, int error)
{
    if (channel->ended)
        return;
    channel->ended = 1;
    channel->error = error;
    uv_poll_stop(&channel->poll);
}

/* One read. Returns > 0 when bytes came. */
static int read_once(struct phx_channel *channel)
{
    int got = phx_inbox_read(&channel->in, channel->fd);
    if (got > 0 || got == -EINTR)
        return 1;
    if (got != -EAGAIN)
        end(channel, got);
    return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct phx_channel *channel = (struct phx_channel *)poll;
    (void)events;
    if (status < 0)
        end(channel, status);
    else
        read_once(channel);
    channel->on_bytes(channel);
}

int phx_channel_open(struct phx_channel *channel, uv_loop_t *loop, int fd,
                     void (*on_bytes)(struct phx_channel *))
{
    channel->fd = fd;
    channel->ended = 0;
    channel->error = 0;
    channel->on_bytes = on_bytes;
    phx_inbox_init(&channel->in);
    int status = uv_poll_init(loop, &channel->poll, fd);
    if (status < 0) {
        phx_fd_close(&channel->fd);
        return status;
    }
    return uv_poll_start(&channel->poll, UV_READABLE, on_poll);
}

int phx_channel_next(struct phx_channel *channel, struct phx_message *out)
{
    int status = phx_inbox_next(&channel->in, out);
    if (status < 0) {
        /* Nothing after a broken frame can be trusted: what is left of it is dropped. */
        if (!channel->error)
            channel->error = status;
        end(channel, status);
        phx_inbox_fini(&channel->in);
        phx_inbox_init(&channel->in);
        return 0;
    }
    return status;
}

void phx_channel_drain(struct phx_channel *channel)
{
    if (channel->fd < 0)
        return;
    while (!channel->ended && read_once(channel)) {
    }
    end(channel, 0);
}

int phx_channel_send(struct phx_channel *channel, uint16_t type, const void *body, size_t size,
                     const int *fds, size_t nfds)
{
    if (channel->fd < 0)
        return -EPIPE;
    return phx_frame_write(channel->fd, type, body, size, fds, nfds);
}

void phx_channel_close(struct phx_channel *channel, uv_close_cb on_closed)
{
    end(channel, 0);
    if (!uv_is_closing((uv_handle_t *)&channel->poll))
        uv_close((uv_handle_t *)&channel->poll, on_closed);
    phx_fd_close(&channel->fd);
    phx_inbox_fini(&channel->in);
}
