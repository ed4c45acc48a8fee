/* Which machine gets which tests: dealing them out, and taking back what one has too much of.
 *
 * Tests go to the machine that has least in hand, and are taken back from the one that has most for
 * the one that asks: see sched/balance.h for why neither undoes the other. Runs in the controller.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "role/fleet.h"
#include "sched/balance.h"
#include "wire/msg.h"

#define AHEAD (500 * PHX_MS)     /* work that a machine has in hand, beyond what runs */
#define WORTH (100 * PHX_MS)     /* of work for each worker there: less is not asked back */
#define TEST_GUESS (50 * PHX_MS) /* before any has ended */
#define ASK_AGAIN (200 * PHX_MS)
#define MOVE_AGAIN PHX_S /* what was taken from another one stays for so long, if all are busy */

enum {
    AHEAD_MAX = 4096,    /* tests for each worker */
    NUMBERS_MAX = 60000, /* in one message: within a frame */
};

/* ---- dealing ---- */

static uint32_t total_workers(const struct phx_controller *c)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < c->nmachines; i++)
        total += c->machines[i]->nworkers;
    return total;
}

/* Each machine gets as many of the spans as it has workers. */
static uint32_t *span_owners(const struct phx_controller *c, uint32_t nspans)
{
    uint32_t *owners = calloc(nspans + (size_t)1, sizeof *owners), span = 0;
    for (uint32_t i = 0; owners && i < c->nmachines; i++)
        for (uint32_t k = 0; k < c->machines[i]->nworkers && span < nspans; k++)
            owners[span++] = i;
    return owners;
}

static phx_ns mean_cost(const struct phx_plan *plan)
{
    uint64_t us = 0;
    for (uint32_t pos = 0; pos < plan->ntests; pos++)
        us += plan->cost_us[pos];
    return plan->ntests > 0 ? (phx_ns)(us / plan->ntests) * 1000 : 0;
}

int phx_fleet_begin(struct phx_controller *c, struct phx_plan *plan)
{
    size_t count = plan->ntests + (size_t)1;
    uint32_t *owners = span_owners(c, plan->nspans);
    c->holder = malloc(count * sizeof *c->holder);
    c->position_of = malloc(count * sizeof *c->position_of);
    int status = -ENOMEM;
    if (owners && c->holder && c->position_of && total_workers(c) > 0) {
        for (uint32_t test = 0; test < plan->ntests; test++) {
            c->holder[test] = PHX_NOBODY;
            c->position_of[test] = test; /* in a ledger without words a position is its test */
        }
        c->test_ns = c->has_costs ? mean_cost(plan) : TEST_GUESS;
        status = phx_dealer_init(&c->dealer, plan, owners);
    }
    free(owners);
    c->eventful = 1; /* the pump deals */
    return status;
}

static void send_portion(struct phx_machine *machine, const uint32_t *numbers, size_t count)
{
    static const uint32_t none[1];
    struct phx_buf body;
    phx_buf_init(&body);
    if (phx_msg_put_queue(&body, count > 0 ? numbers : none, count) < 0)
        phx_machine_lose(machine, "no memory for a message to it");
    else
        phx_machine_send(machine, PHX_MSG_NODE_DEAL, &body);
    phx_buf_fini(&body);
}

/* Sends units in messages that fit into frames, and notes who has the tests. */
static void hand_over(struct phx_machine *machine, const uint32_t *numbers, size_t count)
{
    struct phx_controller *c = machine->controller;
    size_t begin = 0, at = 0;
    while (at < count) {
        size_t size = 1 + 2 * (size_t)numbers[at];
        if (at > begin && at + size - begin > NUMBERS_MAX) {
            send_portion(machine, numbers + begin, at - begin);
            begin = at;
        }
        for (size_t i = at + 1; i < at + size; i += 2)
            c->holder[numbers[i]] = (int32_t)machine->number;
        machine->unstarted += numbers[at];
        at += size;
    }
    if (count > 0) /* it may want workers for them */
        phx_machine_mark_due(machine);
    send_portion(machine, count > 0 ? numbers + begin : numbers, count - begin);
}

static void deal(struct phx_machine *machine, uint32_t least)
{
    struct phx_buf portion;
    phx_buf_init(&portion);
    int64_t count = phx_dealer_deal(&machine->controller->dealer, machine->number, least, &portion);
    if (count < 0)
        phx_machine_lose(machine, "no memory for its tests");
    else /* also nothing: workers that find nothing end, those that wait for a word would not */
        hand_over(machine, (const uint32_t *)(const void *)phx_buf_head(&portion),
                  phx_buf_size(&portion) / sizeof(uint32_t));
    machine->has_portion = 1;
    machine->moved_at = phx_clock_now();
    phx_buf_fini(&portion);
}

/* Tests that a machine should have in hand. */
static uint32_t ahead(const struct phx_machine *machine)
{
    phx_ns test = machine->controller->test_ns > 0 ? machine->controller->test_ns : 1;
    phx_ns tests = AHEAD / test;
    tests = tests < 1 ? 1 : tests > AHEAD_MAX ? AHEAD_MAX : tests;
    return machine->room * (uint32_t)tests;
}

static struct phx_load load_of(const struct phx_machine *machine)
{
    return (struct phx_load){
        .room = machine->room, .running = machine->running, .unstarted = machine->unstarted};
}

/* Of those who have little left of what they should have in hand, the one with least; or NULL. */
static struct phx_machine *poorest(const struct phx_controller *c)
{
    struct phx_machine *found = NULL;
    for (uint32_t i = 0; i < c->nmachines; i++) {
        struct phx_machine *machine = c->machines[i];
        if (!phx_machine_lives(machine) || machine->room == 0 ||
            machine->unstarted > ahead(machine) / 2)
            continue;
        struct phx_load load = load_of(machine), least = found ? load_of(found) : load;
        if (!found || phx_load_is_less(&load, &least))
            found = machine;
    }
    return found;
}

static void deal_out(struct phx_controller *c)
{
    for (uint32_t i = 0; i < c->nmachines; i++) {
        struct phx_machine *machine = c->machines[i];
        if (phx_machine_lives(machine) && machine->room > 0 && !machine->has_portion)
            deal(machine, ahead(machine));
    }
    struct phx_machine *machine;
    while (c->dealer.left > 0 && (machine = poorest(c)))
        deal(machine, ahead(machine)); /* at least one test, or the machine is lost */
}

/* ---- taking back ---- */

/* Whether all workers there run a test. Who is on the way, or between two tests, begins what there
 * is: to ask for that would send a unit to and fro for ever. */
static int is_all_busy(const struct phx_machine *machine)
{
    return machine->running > 0 && machine->running >= machine->alive + machine->wanted;
}

static int is_worth_asking(const struct phx_machine *machine, int for_idle, phx_ns now)
{
    if (!phx_machine_lives(machine) || machine->is_asked || machine->unstarted == 0 ||
        now < machine->ask_again_at)
        return 0;
    if (machine->room == 0)
        return 1; /* nobody there will ever run them */
    if (!is_all_busy(machine) || (!for_idle && now - machine->given_at < MOVE_AGAIN))
        return 0;
    /* Much to do by what tests take; or little, behind tests that take long. */
    return (phx_ns)machine->unstarted * machine->controller->test_ns >
               (phx_ns)machine->room * WORTH ||
           now - machine->moved_at > 2 * WORTH;
}

static void ask_back(struct phx_machine *machine, uint32_t count, uint32_t whom_for, phx_ns now)
{
    struct phx_machine *whom = machine->controller->machines[whom_for];
    machine->is_asked = 1;
    machine->asked_for = whom_for;
    machine->asked = count;
    whom->promised += count;
    whom->promised_at = now;
    phx_machine_send_number(machine, PHX_MSG_NODE_RETURN, count);
}

static void forget_asking(struct phx_machine *machine)
{
    if (!machine->is_asked)
        return;
    machine->is_asked = 0;
    machine->controller->machines[machine->asked_for]->promised -= machine->asked;
}

/* With what is on its way to it: that takes a round trip, and meanwhile no more is to be asked for.
 * Who does not answer for long is not waited for. */
static struct phx_load expected_load(const struct phx_machine *machine, phx_ns now)
{
    struct phx_load load = load_of(machine);
    if (now - machine->promised_at < MOVE_AGAIN)
        load.unstarted += machine->promised;
    return load;
}

/* Those who could be asked, as a list: at the end of a run many machines are hungry, and each of
 * them would look at all. */
static struct phx_machine *find_givers(const struct phx_controller *c, phx_ns now)
{
    struct phx_machine *givers = NULL;
    for (uint32_t i = 0; i < c->nmachines; i++) {
        struct phx_machine *machine = c->machines[i];
        if (machine->room == 0 || !is_worth_asking(machine, 1, now))
            continue;
        machine->next_giver = givers;
        givers = machine;
    }
    return givers;
}

/* For a machine whose workers have nothing, or soon will. */
static void ask_for(struct phx_machine *givers, const struct phx_machine *hungry, phx_ns now)
{
    struct phx_machine *richest = NULL;
    struct phx_load poor = expected_load(hungry, now), most = {0};
    for (struct phx_machine *machine = givers; machine; machine = machine->next_giver) {
        if (machine == hungry || !is_worth_asking(machine, phx_load_is_idle(&poor), now))
            continue;
        struct phx_load load = load_of(machine);
        if (phx_load_share(&load, &poor) == 0 || (richest && !phx_load_is_less(&most, &load)))
            continue;
        richest = machine;
        most = load;
    }
    if (richest)
        ask_back(richest, phx_load_share(&most, &poor), hungry->number, now);
}

void phx_fleet_pump(struct phx_controller *c)
{
    if (!c->queue_mem || c->stopping || c->nmachines == 0)
        return;
    deal_out(c);
    phx_ns now = phx_clock_now();
    struct phx_machine *givers = c->dealer.left == 0 ? find_givers(c, now) : NULL;
    for (uint32_t i = 0; i < c->nmachines; i++) {
        struct phx_machine *machine = c->machines[i];
        if (!phx_machine_lives(machine))
            continue;
        if (machine->room == 0) {
            if (is_worth_asking(machine, 0, now))
                ask_back(machine, machine->unstarted, machine->number, now);
        } else if (givers && expected_load(machine, now).unstarted <
                                 (machine->alive > 0 ? machine->alive : 1)) {
            ask_for(givers, machine, now);
        }
    }
}

/* What a machine gave back goes to the one that it was asked for, whoever has least by now: it is
 * more than was asked for where units are large. */
static void pass_on(struct phx_machine *giver, uint32_t count)
{
    struct phx_controller *c = giver->controller;
    struct phx_machine *to = c->machines[giver->asked_for];
    if (to == giver || !phx_machine_lives(to) || to->room == 0 || c->stopping)
        return; /* the pump deals them */
    deal(to, count);
    to->given_at = to->moved_at;
}

int phx_fleet_returned(struct phx_machine *machine, const struct phx_message *msg)
{
    struct phx_controller *c = machine->controller;
    uint32_t *tests = NULL;
    size_t count = 0;
    int status = phx_msg_get_queue(msg->body, msg->size, &tests, &count);
    for (size_t i = 0; i < count && status == 0; i++) {
        uint32_t test = tests[i];
        if (!c->holder || test >= phx_collection_count(&c->collection) ||
            c->holder[test] != (int32_t)machine->number ||
            phx_runq_state(&c->queue, c->position_of[test]) != PHX_RUNQ_QUEUED) {
            status = PHX_E_PROTO;
            break;
        }
        c->holder[test] = PHX_NOBODY;
        machine->unstarted--;
        status = phx_dealer_return(&c->dealer, test);
    }
    free(tests);
    int was_asked = machine->is_asked;
    forget_asking(machine);
    if (!was_asked) /* it has no room for them, nor will it have: others do the rest */
        machine->room = 0;
    if (count == 0)
        machine->ask_again_at = phx_clock_now() + ASK_AGAIN;
    else if (status == 0)
        pass_on(machine, (uint32_t)count);
    c->eventful = 1;
    return status;
}

void phx_fleet_reclaim(struct phx_machine *machine)
{
    struct phx_controller *c = machine->controller;
    uint32_t count = c->holder ? phx_collection_count(&c->collection) : 0;
    machine->unstarted = 0;
    forget_asking(machine);
    for (uint32_t pos = 0; pos < count; pos++) {
        uint32_t test = c->dealer.plan.order[pos];
        if (c->holder[test] != (int32_t)machine->number)
            continue;
        c->holder[test] = PHX_NOBODY;
        /* Without memory it stays where it is: "not run", and said to be. */
        if (phx_runq_state(&c->queue, c->position_of[test]) == PHX_RUNQ_QUEUED)
            (void)phx_dealer_return(&c->dealer, test);
    }
    c->eventful = 1;
}

int phx_fleet_again(struct phx_controller *c, uint32_t test)
{
    int64_t position = phx_runq_add_position(&c->queue, test);
    if (position < 0)
        return (int)position;
    c->position_of[test] = (uint32_t)position;
    c->holder[test] = PHX_NOBODY;
    c->eventful = 1;
    return phx_dealer_return(&c->dealer, test);
}
