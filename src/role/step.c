/* Waiting: one turn of the controller's loop, and turns until something has come.
 *
 * Runs in the controller, in the loop's thread. */
#include "role/controller_impl.h"

#define DEADLINE_TICK (50 * PHX_MS)
#define GATHERING (5 * PHX_MS)

static void on_timer(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

/* Ends the coming wait of the loop. Its clock stands still between its runs: a timer that is set by
 * it may be due at once, and then it fires before the wait. Hence the stop above: without it the
 * loop would go on to wait with no timer left, for ever. */
static void limit_wait(struct phx_controller *c, phx_ns timeout)
{
    uv_update_time(&c->loop);
    uv_timer_start(&c->timer, on_timer, (uint64_t)((timeout + PHX_MS - 1) / PHX_MS), 0);
}

static void on_wake(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    uv_poll_stop(poll);
}

static void on_wake_closed(uv_handle_t *handle)
{
    *(int *)handle->data = 1;
}

/* While tests run and nobody waits for an answer, reports may gather for a moment: to look at each
 * by itself costs more, in switches between processes, than to read it. Not on a node: what it has
 * not handed on is not known of it when it is lost. */
static void let_gather(const struct phx_controller *c)
{
    phx_ns rest = c->looked_at + GATHERING - phx_clock_now();
    if (rest > 0 && !c->queue.tells_starts && !c->flooded && !c->requests && !c->stopping &&
        c->queue_mem && (c->nmachines > 0 ? phx_fleet_is_busy(c) : phx_runq_left(&c->queue) > 0))
        phx_clock_sleep(rest);
}

int phx_controller_step(struct phx_controller *c, phx_ns timeout, int wake_fd)
{
    if (timeout != 0 && !c->ready_head && !c->eventful)
        let_gather(c);
    c->flooded = 0;
    if (c->ready_head || c->eventful)
        timeout = 0;
    else if (phx_controller_has_deadlines(c) && (timeout < 0 || timeout > DEADLINE_TICK))
        timeout = DEADLINE_TICK;
    phx_ns patience = phx_fleet_patience(c);
    if (patience >= 0 && (timeout < 0 || timeout > patience))
        timeout = patience;
    if (timeout >= 0)
        limit_wait(c, timeout);
    int closed = 1;
    if (wake_fd >= 0) {
        int status = uv_poll_init(&c->loop, &c->wake, wake_fd);
        if (status < 0)
            return status;
        closed = 0;
        c->wake.data = &closed;
        uv_poll_start(&c->wake, UV_READABLE, on_wake);
    }
    uv_run(&c->loop, timeout == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    uv_timer_stop(&c->timer);
    if (wake_fd >= 0)
        uv_close((uv_handle_t *)&c->wake, on_wake_closed);
    while (!closed)
        uv_run(&c->loop, UV_RUN_NOWAIT);
    phx_fleet_tick(c);
    c->looked_at = phx_clock_now();
    phx_controller_end_overtime(c);
    return 0;
}

void phx_controller_run_until(struct phx_controller *c, const int *flag, phx_ns patience)
{
    phx_ns end = phx_clock_now() + patience;
    while (!*flag && phx_clock_now() < end) {
        limit_wait(c, DEADLINE_TICK);
        uv_run(&c->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&c->timer);
}

void phx_controller_run_nodes_out(struct phx_controller *c, phx_ns patience)
{
    phx_ns end = phx_clock_now() + patience;
    while (!phx_fleet_has_left(c) && phx_clock_now() < end) {
        limit_wait(c, DEADLINE_TICK);
        uv_run(&c->loop, UV_RUN_ONCE);
        phx_fleet_tick(c);
    }
    uv_timer_stop(&c->timer);
}
