/* Tests that take longer than they may: their workers are ended.
 *
 * A worker that hangs in C and holds the interpreter's lock cannot end itself, nor can a plugin in
 * it. So the controller looks at the deadlines in the run queue. A worker whose test is past its
 * own gets a signal whose handler (Python's faulthandler) writes the stacks of all threads, in the
 * place where they are, and ends it; if it lives on, SIGKILL. The rest is as with any crash.
 *
 * Time in which the controller did not look, as it was stopped, or stuck in somebody's hook, does
 * not count: the worker may have waited for it, with a report that nobody took.
 *
 * Runs in the controller, in the loop's thread. */
#include <signal.h>

#include "base/log.h"
#include "role/controller_impl.h"

#define LOOK_EVERY (50 * PHX_MS)
#define AWAY PHX_S                  /* a longer time between two looks does not count */
#define STACKS_PATIENCE (2 * PHX_S) /* for the stacks to be written: whoever can ends at once */

void phx_controller_heed_timeouts(struct phx_controller *c)
{
    c->heeds_timeouts = 1;
}

static void condemn(struct phx_controller *c, struct phx_member *member, phx_ns now)
{
    struct phx_runq_deadline deadline;
    if (!phx_runq_condemn(&c->queue, member->number, now, &deadline))
        return;
    phx_log(PHX_LOG_INFO, "event=timeout worker=gw%u timeout_ms=%lld", member->number,
            (long long)(deadline.timeout / PHX_MS));
    member->timeout = deadline.timeout > 0 ? deadline.timeout : 1;
    member->condemned_at = now;
    /* A number of shared memory, that is to say anybody's. */
    if (deadline.stack_signal >= SIGRTMIN && deadline.stack_signal <= SIGRTMAX)
        phx_watch_signal(&member->watch, deadline.stack_signal, 0);
    else
        phx_watch_signal(&member->watch, SIGKILL, 1);
}

void phx_controller_end_overtime(struct phx_controller *c)
{
    phx_ns now = c->looked_at, away = now - c->heeded_at;
    if (!c->heeds_timeouts || !c->queue_mem || away < LOOK_EVERY)
        return;
    int was_away = c->heeded_at && away > AWAY;
    c->heeded_at = now;
    for (uint32_t i = 0; i < c->members_max; i++) {
        struct phx_member *member = c->members[i];
        if (!member || member->state != PHX_MEMBER_UP || !member->has_queue ||
            member->machine) /* its node looks */
            continue;
        if (was_away)
            phx_runq_extend(&c->queue, i, away);
        else if (!member->condemned_at)
            condemn(c, member, now);
        else if (now - member->condemned_at > STACKS_PATIENCE)
            phx_watch_signal(&member->watch, SIGKILL, 1);
    }
}
