/* What nodes tell, turned into the controller's events. Everything is checked: a node may be
 * somebody else's idea of one. Runs in the controller. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "role/fleet.h"
#include "sched/match.h"
#include "wire/msg.h"

static int greeted(struct phx_machine *machine, const struct phx_message *msg)
{
    struct phx_msg_hello hello;
    if (machine->has_greeted || phx_msg_get_hello(msg->body, msg->size, &hello) < 0)
        return PHX_E_PROTO;
    if (hello.version != PHX_PROTOCOL_VERSION)
        return PHX_E_VERSION;
    machine->has_greeted = 1;
    return 0;
}

static int informed(struct phx_machine *machine, const struct phx_message *msg,
                    struct phx_event *out)
{
    struct phx_controller *c = machine->controller;
    struct phx_msg_text text;
    if (!machine->has_greeted || machine->state != PHX_MACHINE_CONNECTING ||
        phx_msg_get_text(msg->body, msg->size, &text) < 0)
        return PHX_E_PROTO;
    machine->state = PHX_MACHINE_UP;
    snprintf(c->text, sizeof c->text, "%s", text.text);
    *out = (struct phx_event){
        .kind = PHX_EVENT_MACHINE_UP, .number = phx_machine_code(machine), .text = c->text};
    return 1;
}

/* ---- the events of its engine ---- */

static void copy_text(struct phx_controller *c, const struct phx_node_bytes *text)
{
    size_t size = text->size < sizeof c->text - 1 ? text->size : sizeof c->text - 1;
    if (size > 0)
        memcpy(c->text, text->bytes, size);
    c->text[size] = '\0';
}

static int is_zygotes(uint16_t type)
{
    switch (type) {
    case PHX_MSG_READY:
    case PHX_MSG_ITEMS:
    case PHX_MSG_COLLECTING:
    case PHX_MSG_COLLECT_REPORT:
    case PHX_MSG_WARNING:
    case PHX_MSG_INTERNAL_ERROR:
    case PHX_MSG_EARLY_CLAIMS:
    case PHX_MSG_DESELECTED:
    case PHX_MSG_SESSION_DONE:
    case PHX_MSG_STOPPED:
    case PHX_MSG_SHARED:
    case PHX_MSG_FORK_HERE:
    case PHX_MSG_REFUSED:
        return 1;
    default:
        return 0;
    }
}

/* A message of its zygote or of a worker. The first list of tests is its node's. */
static int message(struct phx_machine *machine, struct phx_member *member,
                   const struct phx_node_event *told, struct phx_event *out)
{
    int may = member ? phx_controller_may_say(member, told->type) : is_zygotes(told->type);
    if (!may || !told->body.bytes)
        return PHX_E_PROTO;
    if (told->type == PHX_MSG_ITEMS) {
        struct phx_collection *to = member ? &member->collected : &machine->collected;
        int status = 0;
        if (!machine->has_list)
            status =
                phx_msg_each_item(told->body.bytes, told->body.size, phx_controller_add_item, to);
        else if (!member)
            status = PHX_E_PROTO; /* once it is collected, a collection does not change */
        if (status < 0)
            return status;
    }
    if (member && (told->type == PHX_MSG_FINISHED || told->type == PHX_MSG_SESSION_DONE))
        member->finished = 1;
    *out = (struct phx_event){.kind = PHX_EVENT_MESSAGE,
                              .number = told->number < 0 ? phx_machine_code(machine) : told->number,
                              .type = told->type,
                              .body = told->body.bytes,
                              .size = told->body.size};
    return 1;
}

/* Its zygote has collected, or a worker; the list of the first there is its node's, and has to be
 * the run's, test by test: all that is said of tests from here on are numbers. */
static int collected(struct phx_machine *machine, struct phx_member *member,
                     const struct phx_node_event *told, struct phx_event *out)
{
    struct phx_controller *c = machine->controller;
    struct phx_collection *list = member ? &member->collected : &machine->collected;
    int differs = told->status != 0;
    if (!machine->has_list) {
        if (told->count != phx_collection_count(list))
            return PHX_E_PROTO; /* a test that did not arrive would be missed by nobody */
        machine->has_list = 1;
        if (!c->has_collection) {
            c->collection = *list;
            c->has_collection = 1;
            phx_collection_init(list);
        } else {
            differs = !phx_match_in_order(&c->collection, list);
        }
    }
    phx_collection_fini(list);
    phx_collection_init(list);
    if (member)
        member->has_collected = 1;
    else
        machine->is_ready = 1;
    *out =
        (struct phx_event){.kind = PHX_EVENT_COLLECTED,
                           .number = member ? (int32_t)member->number : phx_machine_code(machine),
                           .count = told->count,
                           .status = differs};
    return 1;
}

static int worker_up(struct phx_member *member, const struct phx_node_event *told,
                     struct phx_event *out)
{
    if (member->state != PHX_MEMBER_ASKED)
        return PHX_E_PROTO;
    member->state = PHX_MEMBER_UP;
    member->up_at = phx_clock_now();
    *out =
        (struct phx_event){.kind = PHX_EVENT_WORKER_UP, .number = told->number, .pid = told->pid};
    return 1;
}

static int fork_failed(struct phx_member *member, struct phx_event *out)
{
    if (member->state != PHX_MEMBER_ASKED)
        return PHX_E_PROTO;
    member->machine->alive--;
    member->machine->room -= member->machine->room > 0;
    return phx_controller_fork_failed(member, out);
}

static int64_t replacement(struct phx_member *member)
{
    struct phx_controller *c = member->controller;
    if (member->finished || c->stopping)
        return PHX_RUNQ_NONE;
    if (c->restarts_left != 0 && c->queue_mem && c->next_number < c->members_max &&
        phx_machine_lives(member->machine)) {
        c->restarts_left -= c->restarts_left > 0;
        member->machine->wanted++;
        return member->replacement = c->next_number++;
    }
    c->is_short = 1;
    member->machine->room -= member->machine->room > 0;
    return PHX_RUNQ_NONE;
}

/* The member is gone: with `told` its node says so, else its machine is. */
static void worker_down(struct phx_member *member, const struct phx_node_event *told,
                        struct phx_event *out)
{
    struct phx_controller *c = member->controller;
    enum phx_runq_phase phase = PHX_PHASE_NONE;
    int64_t test = phx_fleet_bury(member, &phase);
    member->gone_at = phx_clock_now();
    *out = (struct phx_event){.kind = PHX_EVENT_WORKER_DOWN,
                              .number = (int32_t)member->number,
                              .finished = member->finished,
                              .test = test,
                              .phase = phase,
                              .text = c->text[0] ? c->text : NULL};
    if (told) {
        out->has_status = told->has_status;
        out->status = told->status;
        out->finished = member->finished = told->finished;
        out->test = told->test;
        out->phase = told->phase <= PHX_PHASE_TEARDOWN ? (enum phx_runq_phase)told->phase : phase;
    }
    c->nactive--;
    c->ended_at = member->gone_at;
    member->machine->alive--;
    out->replacement = told ? replacement(member) : PHX_RUNQ_NONE;
    phx_member_down(member);
}

static int told_down(struct phx_member *member, const struct phx_node_event *told,
                     struct phx_event *out)
{
    if (member->state != PHX_MEMBER_UP)
        return PHX_E_PROTO;
    struct phx_node_event down = *told;
    if (phx_fleet_has_ended(member, down.test))
        down.test = PHX_RUNQ_NONE; /* it said so, and died before it had noted it there */
    /* Its death may have swallowed the start; or the end of the test before, of which TEST_LOST
     * will tell. */
    int is_known = down.test < 0 || phx_fleet_started(member, down.test) == 0;
    for (int i = 0; i < PHX_TEXT_COUNT; i++)
        if (told->words[i].size > 0 &&
            phx_buf_append(&member->words[i], told->words[i].bytes, told->words[i].size) < 0)
            return -ENOMEM;
    worker_down(member, &down, out);
    member->is_dying = !down.finished;
    member->machine->dying += !down.finished;
    return is_known || phx_fleet_lost(member, down.test) == 0 ? 1 : PHX_E_PROTO;
}

static int test_lost(struct phx_member *member, const struct phx_node_event *told,
                     struct phx_event *out)
{
    struct phx_controller *c = member->controller;
    if (member->state != PHX_MEMBER_DOWN || !member->is_dying)
        return PHX_E_PROTO;
    if (told->test < 0) { /* there are no more */
        member->is_dying = 0;
        member->machine->dying--;
        return 0;
    }
    if (phx_fleet_lost(member, told->test) < 0)
        return PHX_E_PROTO;
    *out = (struct phx_event){.kind = PHX_EVENT_TEST_LOST,
                              .number = told->number,
                              .has_status = told->has_status,
                              .status = told->status,
                              .test = told->test,
                              .text = c->text[0] ? c->text : NULL};
    return 1;
}

static int of_member(struct phx_machine *machine, struct phx_member *member,
                     const struct phx_node_event *told, struct phx_event *out)
{
    if (member->dismissed) /* asked for, and given up before it was there */
        return 0;
    switch (told->kind) {
    case PHX_EVENT_MESSAGE:
        return member->state == PHX_MEMBER_UP ? message(machine, member, told, out) : PHX_E_PROTO;
    case PHX_EVENT_COLLECTED:
        return member->state == PHX_MEMBER_UP ? collected(machine, member, told, out) : PHX_E_PROTO;
    case PHX_EVENT_WORKER_UP:
        return worker_up(member, told, out);
    case PHX_EVENT_WORKER_DOWN:
        return told_down(member, told, out);
    case PHX_EVENT_TEST_LOST:
        return test_lost(member, told, out);
    case PHX_EVENT_FORK_FAILED:
        return fork_failed(member, out);
    case PHX_EVENT_TEST_STARTED:
        return member->state == PHX_MEMBER_UP ? phx_fleet_started(member, told->test) : PHX_E_PROTO;
    case PHX_EVENT_TEST_ENDED:
        return member->state == PHX_MEMBER_UP ? phx_fleet_ended(member, told) : PHX_E_PROTO;
    default:
        return PHX_E_PROTO;
    }
}

static int of_machine(struct phx_machine *machine, const struct phx_node_event *told,
                      struct phx_event *out)
{
    struct phx_controller *c = machine->controller;
    int32_t code = phx_machine_code(machine);
    const char *text = c->text[0] ? c->text : NULL;
    switch (told->kind) {
    case PHX_EVENT_MESSAGE:
        return message(machine, NULL, told, out);
    case PHX_EVENT_COLLECTED:
        return collected(machine, NULL, told, out);
    case PHX_EVENT_GATHERED:
        machine->is_ready = 1;
        return 0;
    case PHX_EVENT_ZYGOTE_DOWN:
        *out = (struct phx_event){.kind = PHX_EVENT_ZYGOTE_DOWN,
                                  .number = code,
                                  .has_status = told->has_status,
                                  .status = told->status,
                                  .text = text};
        return 1;
    case PHX_EVENT_GUARD_DOWN:
        *out = (struct phx_event){.kind = PHX_EVENT_GUARD_DOWN, .number = code};
        return 1;
    case PHX_EVENT_LEFTOVER:
        *out = (struct phx_event){.kind = PHX_EVENT_LEFTOVER,
                                  .number = code,
                                  .pid = told->pid,
                                  .status = told->status,
                                  .text = c->text};
        return 1;
    default:
        return PHX_E_PROTO;
    }
}

static int take_event(struct phx_machine *machine, const struct phx_message *msg,
                      struct phx_event *out)
{
    struct phx_controller *c = machine->controller;
    struct phx_node_event told;
    int status = phx_node_msg_get_event(msg->body, msg->size, &told);
    if (status < 0)
        return status;
    copy_text(c, &told.text);
    if (told.number < 0)
        return of_machine(machine, &told, out);
    struct phx_member *member =
        (uint32_t)told.number < c->members_max ? c->members[told.number] : NULL;
    if (!member || member->machine != machine)
        return PHX_E_PROTO;
    return of_member(machine, member, &told, out);
}

static int done(struct phx_machine *machine, const struct phx_message *msg)
{
    uint64_t order;
    if (phx_msg_get_number(msg->body, msg->size, &order) < 0 || order >= 64)
        return PHX_E_PROTO;
    machine->done |= UINT64_C(1) << order;
    if (order == PHX_NODE_END)
        machine->state = PHX_MACHINE_LEFT;
    return 0;
}

int phx_machine_message(struct phx_machine *machine, const struct phx_message *msg,
                        struct phx_event *out)
{
    machine->heard_at = phx_clock_now();
    if (msg->type == PHX_MSG_HELLO)
        return greeted(machine, msg);
    if (msg->type == PHX_MSG_NODE_INFO)
        return informed(machine, msg, out);
    if (machine->state != PHX_MACHINE_UP)
        return PHX_E_PROTO;
    switch (msg->type) {
    case PHX_MSG_NODE_EVENT:
        return take_event(machine, msg, out);
    case PHX_MSG_NODE_RETURNED:
        return phx_fleet_returned(machine, msg);
    case PHX_MSG_NODE_DONE:
        return done(machine, msg);
    case PHX_MSG_NODE_ALIVE:
        return 0;
    default:
        return PHX_E_PROTO;
    }
}

/* ---- the end of a machine ---- */

static int mourn_member(struct phx_member *member, struct phx_event *out)
{
    struct phx_controller *c = member->controller;
    struct phx_machine *machine = member->machine;
    snprintf(c->text, sizeof c->text, "the machine %.100s was lost: %.350s", machine->name,
             machine->why);
    if (member->state == PHX_MEMBER_ASKED)
        return fork_failed(member, out);
    if (member->state != PHX_MEMBER_UP)
        return 0;
    worker_down(member, NULL, out);
    c->is_short = 1;
    if (c->reruns_lost && out->test != PHX_RUNQ_NONE && !c->stopping &&
        phx_fleet_again(c, (uint32_t)out->test) == 0)
        out->test = PHX_RUNQ_NONE;
    return 1;
}

int phx_machine_mourn(struct phx_machine *machine, struct phx_event *out)
{
    struct phx_controller *c = machine->controller;
    if (machine->state != PHX_MACHINE_LOST)
        return 0;
    for (; machine->told_until < c->members_max; machine->told_until++) {
        struct phx_member *member = c->members[machine->told_until];
        if (member && member->machine == machine && mourn_member(member, out))
            return 1; /* it is DOWN now, and passed by the next time */
    }
    machine->state = PHX_MACHINE_GONE;
    phx_fleet_reclaim(machine);
    snprintf(c->text, sizeof c->text, "%s", machine->why);
    *out = (struct phx_event){
        .kind = PHX_EVENT_MACHINE_DOWN, .number = phx_machine_code(machine), .text = c->text};
    return 1;
}
