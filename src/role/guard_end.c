/* The orderly end of a run. What is left in the groups of zygotes and workers is named, asked to
 * end, and killed after the grace; what left those groups is named and left alone, as sequential
 * pytest leaves it. Runs in the guard. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/procfs.h"
#include "role/guard_impl.h"
#include "wire/msg.h"

/* What ends by itself once the workers are gone (helpers that wait for an end of file) is given
 * this long before it counts as left over. */
static const phx_ns SETTLE = 100 * PHX_MS;
static const phx_ns KILL_MAX = 5 * PHX_S; /* a killed process that does not go is given up */
static const phx_ns FAREWELL = 2 * PHX_S; /* for the controller to read the last messages */

void phx_guard_begin_end(struct phx_guard *g, phx_ns grace)
{
    phx_ns now = phx_clock_now();
    g->grace = grace;
    if (g->phase == PHX_GUARD_PHASE_SERVING) {
        g->phase = PHX_GUARD_PHASE_SETTLING;
        g->deadline = now + (grace < SETTLE ? grace : SETTLE);
    } else if (g->phase == PHX_GUARD_PHASE_ENDING && g->deadline > now + grace) {
        g->deadline = now + grace;
    }
}

static int is_alive(const struct phx_process *process)
{
    return process->state != 'Z' && process->state != 'X';
}

/* Tells the controller of a process that outlived its test, once. Zygotes and workers themselves,
 * which lead the groups of the run, are nothing to tell of. */
static void name_leftover(struct phx_guard *g, const struct phx_process *process)
{
    int ours = phx_pids_hold(&g->groups, process->group);
    if ((ours && process->pid == process->group) || phx_pids_hold(&g->named, process->pid))
        return;
    struct phx_msg_leftover msg = {
        .pid = (uint32_t)process->pid, .group = (uint32_t)process->group, .ended = ours};
    if (phx_procfs_command(process->pid, msg.command, sizeof msg.command) < 0)
        return; /* it is gone */
    if (phx_pids_add(&g->named, process->pid) < 0)
        phx_guard_doom(g, "no memory for a name");
    phx_guard_post(g, PHX_MSG_LEFTOVER, phx_msg_put_leftover(&g->body, &msg), -1);
}

static void signal_groups(struct phx_guard *g, const struct phx_process *list, int count,
                          int number)
{
    for (int i = 0; i < count; i++) {
        pid_t group = list[i].group;
        int seen = !is_alive(&list[i]) || !phx_pids_hold(&g->groups, group);
        for (int j = 0; j < i && !seen; j++)
            seen = list[j].group == group && is_alive(&list[j]);
        if (seen)
            continue;
        kill(-group, number);
        if (number != SIGKILL)
            kill(-group, SIGCONT); /* a stopped process does not act on anything else */
    }
}

/* Names what is left, signals what is in the run's groups, and goes to the next phase. */
static void end_leftovers(struct phx_guard *g, const struct phx_process *list, int count)
{
    int number = g->phase == PHX_GUARD_PHASE_SETTLING ? SIGTERM : SIGKILL;
    for (int i = 0; i < count; i++)
        if (is_alive(&list[i]))
            name_leftover(g, &list[i]);
    signal_groups(g, list, count, number);
    if (g->phase == PHX_GUARD_PHASE_KILLING)
        return;
    g->phase = number == SIGTERM ? PHX_GUARD_PHASE_ENDING : PHX_GUARD_PHASE_KILLING;
    g->deadline = phx_clock_now() + (number == SIGTERM ? g->grace : KILL_MAX);
}

void phx_guard_step_end(struct phx_guard *g)
{
    struct phx_process *list = NULL;
    int count = phx_procfs_descendants(getpid(), &list);
    if (count < 0) {
        phx_guard_doom(g, "/proc cannot be read");
        return;
    }
    int inside = 0, outside = 0;
    for (int i = 0; i < count; i++) {
        inside += is_alive(&list[i]) && phx_pids_hold(&g->groups, list[i].group);
        outside += is_alive(&list[i]) && !phx_pids_hold(&g->groups, list[i].group);
    }
    phx_ns now = phx_clock_now();
    int due = now >= g->deadline;
    int nothing_to_end = inside == 0 && (g->phase != PHX_GUARD_PHASE_SETTLING || outside == 0);
    if (nothing_to_end || (due && g->phase == PHX_GUARD_PHASE_KILLING)) {
        g->phase = PHX_GUARD_PHASE_LEAVING;
        g->deadline = now + FAREWELL;
    } else if (due || g->phase == PHX_GUARD_PHASE_KILLING) {
        end_leftovers(g, list, count);
    }
    free(list);
}
