/* Stopping a run: nobody claims any more, signals to those that are there, and the orderly end.
 *
 * Runs in the controller, in the loop's thread. */
#include <errno.h>
#include <signal.h>

#include "role/controller_impl.h"
#include "wire/msg.h"
#include "wire/node_msg.h"

#define ZYGOTE_PATIENCE (30 * PHX_S) /* for the exit handlers it inherited */
#define GUARD_MARGIN (10 * PHX_S)    /* beyond the grace: it waits 5 s for what it has killed */
#define INTERRUPT_AGAIN PHX_S

static void signal_workers(struct phx_controller *c, int signal_number)
{
    for (uint32_t i = 0; i < c->members_max; i++) {
        struct phx_member *member = c->members[i];
        if (member && member->state == PHX_MEMBER_UP && !member->machine)
            phx_watch_signal(&member->watch, signal_number, 1);
    }
}

static void signal_peer(struct phx_zygote_peer *peer, int signal_number)
{
    if (peer->has_watch)
        phx_watch_signal(&peer->watch, signal_number, 1);
    else /* it may have said something already, and yet the guard's word be under way */
        peer->signal_due = signal_number;
}

static void signal_starters(struct phx_controller *c, int signal_number)
{
    for (struct phx_zygote_peer *peer = c->starters; peer; peer = peer->next)
        if (peer->state != PHX_ZYGOTE_GONE)
            signal_peer(peer, signal_number);
}

static void signal_all(struct phx_controller *c, int signal_number)
{
    signal_peer(c->zygote, signal_number);
    signal_starters(c, signal_number);
    signal_workers(c, signal_number);
}

void phx_controller_stop(struct phx_controller *c)
{
    if (!c->stopping)
        phx_fleet_do(c, PHX_NODE_STOP);
    c->stopping = 1;
    phx_fleet_dismiss(c);
    if (c->queue_mem)
        phx_runq_close(&c->queue);
    if (c->post)
        phx_post_wake_all(c->post);
    phx_controller_settle_all(c);
}

/* A signal that comes between an interpreter's last look at its flags and a system call waits until
 * that call returns (a test's sleep(60)): so it is sent again until it has been heard. */
void phx_controller_send_interrupts(struct phx_controller *c)
{
    c->interrupt_at = phx_clock_now() + INTERRUPT_AGAIN;
    if (c->zygote->state <= PHX_ZYGOTE_WORKING && !c->zygote->stopped)
        signal_peer(c->zygote, SIGINT);
    signal_starters(c, SIGINT);
    for (uint32_t i = 0; i < c->members_max; i++) {
        struct phx_member *member = c->members[i];
        if (member && member->state == PHX_MEMBER_UP && !member->stopped && !member->finished)
            phx_watch_signal(&member->watch, SIGINT, 1);
    }
}

void phx_controller_interrupt(struct phx_controller *c)
{
    phx_controller_stop(c);
    if (c->nmachines > 0) /* each node says it again until it was heard */
        phx_fleet_do(c, PHX_NODE_INTERRUPT);
    else
        phx_controller_send_interrupts(c);
}

void phx_controller_kill(struct phx_controller *c)
{
    phx_controller_stop(c);
    c->interrupt_at = 0;
    phx_fleet_do(c, PHX_NODE_KILL);
    signal_all(c, SIGKILL);
}

void phx_controller_suspend(struct phx_controller *c)
{
    c->suspended_at = phx_clock_now();
    phx_fleet_do(c, PHX_NODE_SUSPEND);
    signal_all(c, SIGSTOP);
}

static void move_on(phx_ns *time, phx_ns by)
{
    if (*time)
        *time += by;
}

/* Nobody could do anything while the run was stopped: what is waited for gets as much time as it
 * had. */
void phx_controller_resume(struct phx_controller *c)
{
    phx_ns stopped = phx_clock_now() - c->suspended_at;
    move_on(&c->zygote->status_deadline, stopped);
    move_on(&c->zygote->quiet_at, stopped);
    for (uint32_t i = 0; i < c->members_max; i++)
        if (c->members[i]) {
            move_on(&c->members[i]->quiet_at, stopped);
            move_on(&c->members[i]->gone_at, stopped);
        }
    phx_fleet_do(c, PHX_NODE_RESUME);
    signal_all(c, SIGCONT);
}

static int send_end(struct phx_channel *channel, phx_ns grace)
{
    struct phx_buf body;
    phx_buf_init(&body);
    int status = phx_msg_put_number(&body, (uint64_t)(grace / PHX_MS));
    if (status == 0)
        status = phx_channel_send(channel, PHX_MSG_END, phx_buf_head(&body), phx_buf_size(&body),
                                  NULL, 0);
    phx_buf_fini(&body);
    return status;
}

/* The answers come among the events, which the caller takes between two calls. */
static int end_zygotes_there(struct phx_controller *c, phx_ns patience)
{
    if (!c->zygote->told_to_end)
        phx_fleet_do(c, PHX_NODE_END_ZYGOTE);
    c->zygote->told_to_end = 1;
    if (phx_fleet_has_done(c, PHX_NODE_END_ZYGOTE))
        return 1;
    phx_controller_step(c, patience, -1);
    return 0;
}

int phx_controller_end_zygote(struct phx_controller *c, phx_ns patience)
{
    phx_controller_stop(c);
    struct phx_zygote_peer *zygote = c->zygote;
    if (c->nmachines > 0)
        return end_zygotes_there(c, patience);
    if (!zygote->has_watch || zygote->watch.gone)
        return 1;
    if (!zygote->told_to_end && send_end(&zygote->channel, 0) < 0)
        return 1;
    zygote->told_to_end = 1;
    phx_controller_run_until(c, &zygote->watch.gone, patience);
    return zygote->watch.gone;
}

int phx_controller_end(struct phx_controller *c, phx_ns grace)
{
    if (c->nmachines > 0) { /* the last events of nodes stay for phx_controller_next */
        phx_fleet_do(c, PHX_NODE_END);
        phx_controller_run_nodes_out(c, ZYGOTE_PATIENCE + 2 * grace);
        return 0;
    }
    phx_controller_end_zygote(c, ZYGOTE_PATIENCE);
    if (c->guard_gone)
        return 0;
    int status = send_end(&c->guard, grace);
    phx_controller_run_until(c, &c->guard_gone, grace + GUARD_MARGIN);
    c->guard_told = c->guard_gone && status == 0; /* it left because it was told to */
    return status == -EPIPE ? 0 : status;         /* it died before: GUARD_DOWN tells */
}
