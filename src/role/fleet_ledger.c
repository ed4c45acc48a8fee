/* The ledger of a run on machines: what nodes tell of tests is written into the controller's run
 * queue, and what follows from it for who is needed. Runs in the controller. */
#include "role/fleet.h"

/* ---- the ledger ---- */

/* Where a test stands that this member's machine has, or NONE. */
static int64_t position_with(const struct phx_member *member, int64_t test)
{
    const struct phx_controller *c = member->controller;
    if (!c->holder || test < 0 || test >= phx_collection_count(&c->collection) ||
        c->holder[test] != (int32_t)member->machine->number)
        return PHX_RUNQ_NONE;
    return c->position_of[test];
}

int phx_fleet_started(struct phx_member *member, int64_t test)
{
    struct phx_controller *c = member->controller;
    struct phx_runq_view view;
    int64_t position = position_with(member, test);
    if (position == PHX_RUNQ_NONE)
        return PHX_E_PROTO;
    phx_runq_look(&c->queue, member->number, &view);
    if (view.running == position)
        return 0; /* a death tells of it once more */
    if (view.running != PHX_RUNQ_NONE ||
        phx_runq_take(&c->queue, member->number, (uint32_t)position) < 0)
        return PHX_E_PROTO;
    member->machine->unstarted--;
    member->machine->running++;
    member->machine->moved_at = phx_clock_now();
    phx_runq_start(&c->queue, member->number, (uint32_t)position, member->machine->moved_at);
    return 0;
}

int phx_fleet_ended(struct phx_member *member, const struct phx_node_event *told)
{
    struct phx_controller *c = member->controller;
    struct phx_runq_view view;
    int64_t position = position_with(member, told->test);
    phx_runq_look(&c->queue, member->number, &view);
    if (position == PHX_RUNQ_NONE || view.running != position)
        return PHX_E_PROTO;
    /* Its own clock says how long, ours says when. */
    phx_ns now = view.started;
    for (int phase = PHX_PHASE_SETUP; phase <= PHX_PHASE_TEARDOWN; phase++) {
        phx_ns took = (phx_ns)told->phase_us[phase - PHX_PHASE_SETUP] * 1000;
        int next = phase < PHX_PHASE_TEARDOWN ? phase + 1 : PHX_PHASE_NONE;
        now += took;
        phx_runq_phase(&c->queue, member->number, (enum phx_runq_phase)next, took, now);
    }
    phx_ns took = (phx_ns)told->total_us * 1000;
    if (view.started + took > now)
        now = view.started + took;
    phx_runq_end(&c->queue, member->number, (uint32_t)position, now);
    phx_heard_set(&c->heard, (uint32_t)position);
    c->holder[told->test] = PHX_NOBODY;
    member->machine->running -= member->machine->running > 0;
    c->test_ns += (took - c->test_ns) / 16;
    return 0;
}

int64_t phx_fleet_bury(struct phx_member *member, enum phx_runq_phase *out_phase)
{
    struct phx_controller *c = member->controller;
    struct phx_runq_view view = {.running = PHX_RUNQ_NONE};
    if (!c->queue_mem)
        return PHX_RUNQ_NONE;
    phx_runq_look(&c->queue, member->number, &view);
    if (view.running != PHX_RUNQ_NONE)
        member->machine->running -= member->machine->running > 0;
    phx_runq_bury(&c->queue, member->number, &view);
    *out_phase = view.phase;
    return view.running == PHX_RUNQ_NONE ? PHX_RUNQ_NONE
                                         : phx_controller_test(c, (uint32_t)view.running);
}

int phx_fleet_has_ended(const struct phx_member *member, int64_t test)
{
    const struct phx_controller *c = member->controller;
    return c->holder && test >= 0 && test < phx_collection_count(&c->collection) &&
           c->holder[test] < 0 && phx_runq_state(&c->queue, c->position_of[test]) == PHX_RUNQ_ENDED;
}

int phx_fleet_lost(struct phx_member *member, int64_t test)
{
    struct phx_controller *c = member->controller;
    int64_t position = position_with(member, test);
    if (position == PHX_RUNQ_NONE)
        return PHX_E_PROTO;
    enum phx_runq_state state = phx_runq_state(&c->queue, (uint32_t)position);
    c->holder[test] = PHX_NOBODY;
    if (state == PHX_RUNQ_CRASHED) /* its start was heard */
        return 0;
    if (state != PHX_RUNQ_QUEUED ||
        phx_runq_take(&c->queue, member->number, (uint32_t)position) < 0)
        return PHX_E_PROTO;
    member->machine->unstarted--;
    phx_ns now = phx_clock_now();
    phx_runq_start(&c->queue, member->number, (uint32_t)position, now);
    phx_runq_end(&c->queue, member->number, (uint32_t)position, now);
    phx_runq_disown(&c->queue, member->number, (uint32_t)position);
    return 0;
}

/* ---- workers ---- */

int phx_fleet_is_busy(const struct phx_controller *c)
{
    for (uint32_t i = 0; i < c->nmachines; i++)
        if (phx_machine_lives(c->machines[i]) && c->machines[i]->dying > 0)
            return 1; /* it may have ended tests that nobody has heard of */
    if (!c->queue_mem || c->stopping)
        return 0;
    int is_left = c->dealer.left > 0, can_run = 0;
    for (uint32_t i = 0; i < c->nmachines; i++) {
        const struct phx_machine *machine = c->machines[i];
        if (machine->state == PHX_MACHINE_LOST)
            is_left = 1; /* what it had is not reclaimed yet */
        if (!phx_machine_lives(machine))
            continue;
        is_left |= machine->unstarted > 0; /* also where nobody is to run it: it is asked back */
        can_run |= machine->room > 0;
    }
    return is_left && can_run && (c->next_number < c->members_max || c->nactive > 0);
}

int phx_fleet_wants(struct phx_machine *machine, struct phx_event *out)
{
    struct phx_controller *c = machine->controller;
    uint32_t most = machine->room < machine->unstarted ? machine->room : machine->unstarted;
    if (!c->queue_mem || c->stopping || !phx_machine_lives(machine) ||
        c->next_number >= c->members_max || machine->alive + machine->wanted >= most)
        return 0;
    machine->wanted++;
    *out = (struct phx_event){.kind = PHX_EVENT_WORKER_WANTED,
                              .number = (int32_t)c->next_number++,
                              .count = machine->number};
    return 1;
}
