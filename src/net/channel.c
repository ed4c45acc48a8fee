#include "net/channel.h"

#include <errno.h>
#include <stdint.h>
#include <sys/ioctl.h>

static void end(struct phx_channel *channel, int error)
{
    if (channel->ended)
        return;
    channel->ended = 1;
    channel->error = error;
    uv_poll_stop(&channel->poll);
}

/* One read. Returns the bytes that came; 0 when none did, or the channel ended. */
static int read_once(struct phx_channel *channel)
{
    int got;
    do
        got = phx_inbox_read(&channel->in, channel->fd);
    while (got == -EINTR);
    if (got > 0)
        return got;
    if (got != -EAGAIN)
        end(channel, got);
    return 0;
}

/* One piece only: messages bring descriptors, and an inbox holds few of them. */
static void drain_once(struct phx_channel *channel)
{
    int got = channel->left > 0 ? read_once(channel) : 0;
    channel->left -= got;
    if (got == 0 || channel->left <= 0)
        end(channel, 0);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct phx_channel *channel = (struct phx_channel *)poll;
    (void)events;
    /* libuv has UV_EBADF for POLLERR, by which a Unix socket tells that its peer is closed and had
     * not read everything. What the peer wrote before is still to be read; no more will come. */
    if (status < 0)
        phx_channel_drain(channel);
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
    channel->left = -1;
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
    int status;
    while ((status = phx_inbox_next(&channel->in, out)) == 0 && channel->left >= 0 &&
           !channel->ended)
        drain_once(channel);
    if (status < 0) /* nothing after a broken frame can be trusted */
        phx_channel_reject(channel, status);
    return status == 1;
}

void phx_channel_drain(struct phx_channel *channel)
{
    int left;
    if (channel->fd < 0 || channel->ended || channel->left >= 0)
        return;
    uv_poll_stop(&channel->poll);
    /* Somebody else who holds the other end may write for ever. */
    channel->left = ioctl(channel->fd, FIONREAD, &left) == 0 ? left : INT64_MAX;
}

void phx_channel_reject(struct phx_channel *channel, int error)
{
    end(channel, error);
    if (!channel->error) /* it had come to its end before the last message was looked at */
        channel->error = error;
    phx_inbox_fini(&channel->in); /* which leaves it initialized */
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
