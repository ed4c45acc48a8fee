#include "net/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/pidfd.h"
#include "os/spawn.h"

enum { SAID_MAX = 1 << 16 }; /* bytes of its standard error that are kept */
#define DEATH_PATIENCE (2 * PHX_S)

static void on_bytes(struct phx_channel *channel)
{
    struct phx_command *command = (struct phx_command *)channel;
    command->on_change(command);
}

static void on_gone(struct phx_watch *watch)
{
    struct phx_command *command =
        (struct phx_command *)((char *)watch - offsetof(struct phx_command, watch));
    phx_channel_drain(&command->channel);
    command->on_change(command);
}

/* One read. Returns whether there may be more. */
static int read_errors(struct phx_command *command)
{
    char bytes[4096];
    ssize_t got = read(command->errors, bytes, sizeof bytes);
    if (got > 0) {
        if (phx_buf_size(&command->said) < SAID_MAX)
            (void)phx_buf_append(&command->said, bytes, (size_t)got); /* without memory: lost */
        return 1;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    uv_poll_stop(&command->errors_poll);
    uv_close((uv_handle_t *)&command->errors_poll, NULL);
    phx_fd_close(&command->errors);
    return 0;
}

static void on_errors(uv_poll_t *poll, int status, int events)
{
    struct phx_command *command =
        (struct phx_command *)((char *)poll - offsetof(struct phx_command, errors_poll));
    (void)status;
    (void)events;
    read_errors(command);
    command->on_change(command);
}

static int start(const char *const *argv, int socket, int errors, pid_t *out_pid, int *out_pidfd,
                 struct phx_err *err)
{
    const struct phx_spawn_fd fds[] = {
        {socket, STDIN_FILENO}, {socket, STDOUT_FILENO}, {errors, STDERR_FILENO}};
    struct phx_spawn what = {.argv = argv, .fds = fds, .nfds = 3, .new_group = 1};
    return phx_spawn(&what, out_pid, out_pidfd, err);
}

/* Takes `errors`, also on failure. */
static int watch_errors(struct phx_command *command, uv_loop_t *loop, int errors)
{
    int status = phx_fd_set_nonblocking(errors, 1);
    if (status == 0)
        status = uv_poll_init(loop, &command->errors_poll, errors);
    if (status < 0) {
        phx_fd_close(&errors);
        return status;
    }
    command->errors = errors;
    return uv_poll_start(&command->errors_poll, UV_READABLE, on_errors);
}

int phx_command_open(struct phx_command *command, uv_loop_t *loop, const char *const *argv,
                     void (*on_change)(struct phx_command *), struct phx_err *err)
{
    int pair[2] = {-1, -1}, pipes[2] = {-1, -1}, pidfd = -1;
    pid_t pid = 0;
    *command = (struct phx_command){.errors = -1, .on_change = on_change};
    command->channel.fd = -1;
    command->watch.pidfd = -1;
    phx_buf_init(&command->said);
    int status =
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 || pipe2(pipes, O_CLOEXEC) < 0
            ? phx_err_set(err, -errno, "cannot make a channel to %s", argv[0])
            : start(argv, pair[1], pipes[1], &pid, &pidfd, err);
    phx_fd_close(&pair[1]);
    phx_fd_close(&pipes[1]);
    if (status < 0) {
        phx_fd_close(&pair[0]);
        phx_fd_close(&pipes[0]);
        return status;
    }
    command->is_open = 1;
    status = phx_channel_open(&command->channel, loop, pair[0], on_bytes);
    if (status < 0)
        command->channel.fd = -1;
    int watched = phx_watch_open(&command->watch, loop, pid, pidfd, on_gone);
    int errors = watch_errors(command, loop, pipes[0]);
    status = status < 0 ? status : watched < 0 ? watched : errors;
    if (status < 0) {
        phx_command_close(command);
        return phx_err_set(err, status, "cannot watch %s", argv[0]);
    }
    return 0;
}

void phx_command_drain_lines(struct phx_command *command)
{
    while (command->errors >= 0 && read_errors(command)) {
    }
}

int phx_command_take_line(struct phx_command *command, char out[PHX_COMMAND_LINE_MAX])
{
    size_t size = phx_buf_size(&command->said);
    if (size == 0)
        return 0;
    const char *head = phx_buf_head(&command->said);
    const char *end = memchr(head, '\n', size);
    if (!end && command->errors >= 0 && size < PHX_COMMAND_LINE_MAX)
        return 0;
    size_t line = end ? (size_t)(end - head) : size, kept = line;
    while (kept > 0 && head[kept - 1] == '\r')
        kept--;
    if (kept >= PHX_COMMAND_LINE_MAX)
        kept = PHX_COMMAND_LINE_MAX - 1;
    memcpy(out, head, kept);
    out[kept] = '\0';
    phx_buf_consume(&command->said, line + (end != NULL));
    return 1;
}

void phx_command_close(struct phx_command *command)
{
    int status;
    if (!command->is_open)
        return;
    command->is_open = 0;
    if (command->watch.pidfd >= 0) {
        phx_watch_signal(&command->watch, SIGKILL, 1);
        if (phx_pidfd_wait(command->watch.pidfd, DEATH_PATIENCE) == 1)
            phx_pidfd_reap(command->watch.pidfd, &status);
        phx_watch_close(&command->watch, NULL);
    }
    if (command->channel.fd >= 0)
        phx_channel_close(&command->channel, NULL);
    if (command->errors >= 0) {
        uv_poll_stop(&command->errors_poll);
        uv_close((uv_handle_t *)&command->errors_poll, NULL);
        phx_fd_close(&command->errors);
    }
}

void phx_command_fini(struct phx_command *command)
{
    phx_buf_fini(&command->said);
}
