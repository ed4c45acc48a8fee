#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void phx_fd_close(int *fd)
{
    if (*fd < 0)
        return;
    int saved = errno;
    close(*fd); /* on Linux the descriptor is gone even on EINTR: never retried */
    errno = saved;
    *fd = -1;
}

static ssize_t send_some(int fd, const void *bytes, size_t size, const int *fds, size_t nfds)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(PHX_FDS_MAX * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (nfds > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        memcpy(CMSG_DATA(header), fds, nfds * sizeof(int));
    }
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == ENOTSOCK)
        sent = write(fd, bytes, size);
    return sent;
}

int phx_fd_write_all(int fd, const void *bytes, size_t size, const int *fds, size_t nfds)
{
    if (nfds > PHX_FDS_MAX)
        return -EINVAL;
    const char *at = bytes;
    while (size > 0) {
        ssize_t sent = send_some(fd, at, size, fds, nfds);
        if (sent > 0) {
            at += sent;
            size -= (size_t)sent;
            nfds = 0;
        } else if (sent < 0 && errno == EAGAIN) {
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            if (poll(&writable, 1, -1) < 0 && errno != EINTR)
                return -errno;
        } else if (sent < 0 && errno != EINTR) {
            return errno == ECONNRESET ? -EPIPE : -errno;
        }
    }
    return 0;
}

ssize_t phx_fd_read_fds(int fd, void *bytes, size_t size, int *fds, size_t *out_nfds)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(PHX_FDS_MAX * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    *out_nfds = 0;
    ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (got < 0)
        return errno == ECONNRESET ? 0 : -errno;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds + *out_nfds, CMSG_DATA(header), count * sizeof(int));
        *out_nfds += count;
    }
    if (message.msg_flags & MSG_CTRUNC) { /* this process is out of descriptors: some are lost */
        for (size_t i = 0; i < *out_nfds; i++)
            phx_fd_close(&fds[i]);
        *out_nfds = 0;
        return -EMFILE;
    }
    return got;
}

void phx_fd_fill_standard(int out[3])
{
    size_t filled = 0;
    out[0] = out[1] = out[2] = -1;
    while (filled < 3) {
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd > STDERR_FILENO)
            close(fd);
        if (fd < 0 || fd > STDERR_FILENO)
            return;
        out[filled++] = fd;
    }
}

static int change_flag(int fd, int get, int set, int flag, int on)
{
    int flags = fcntl(fd, get);
    if (flags < 0)
        return -errno;
    int wanted = on ? flags | flag : flags & ~flag;
    if (wanted != flags && fcntl(fd, set, wanted) < 0)
        return -errno;
    return 0;
}

int phx_fd_set_nonblocking(int fd, int on)
{
    return change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int phx_fd_set_cloexec(int fd, int on)
{
    return change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}
