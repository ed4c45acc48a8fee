/* The clock and the connections of a simulated fleet: these definitions take the places of
 * base/clock.c and net/command.c, which the linker then leaves in the library. */
#include "fleet.h"

#include "net/command.h"

phx_ns fleet_now = PHX_S; /* 0 means "never" in many places */
static int offered = -1;

phx_ns phx_clock_now(void)
{
    return fleet_now;
}

void phx_clock_sleep(phx_ns duration)
{
    (void)duration; /* time passes in ticks */
}

void fleet_offer(int fd)
{
    offered = fd;
}

static void on_bytes(struct phx_channel *channel)
{
    struct phx_command *command = (struct phx_command *)channel;
    command->on_change(command);
}

int phx_command_open(struct phx_command *command, uv_loop_t *loop, const char *const *argv,
                     void (*on_change)(struct phx_command *), struct phx_err *err)
{
    (void)argv;
    *command = (struct phx_command){.errors = -1, .on_change = on_change};
    command->watch.pidfd = -1;
    phx_buf_init(&command->said);
    int status = phx_channel_open(&command->channel, loop, offered, on_bytes);
    offered = -1;
    if (status < 0)
        return phx_err_set(err, status, "cannot watch a machine");
    command->is_open = 1;
    return 0;
}

int phx_command_take_line(struct phx_command *command, char out[PHX_COMMAND_LINE_MAX])
{
    (void)command;
    (void)out;
    return 0;
}

void phx_command_drain_lines(struct phx_command *command)
{
    (void)command;
}

void phx_command_close(struct phx_command *command)
{
    if (command->is_open)
        phx_channel_close(&command->channel, NULL);
    command->is_open = 0;
}

void phx_command_fini(struct phx_command *command)
{
    phx_buf_fini(&command->said);
}
