/* Connections to machines: made, written to without waiting, watched, and ended. */
#include "role/fleet.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "os/pidfd.h"
#include "wire/msg.h"

#define ALIVE_EVERY (20 * PHX_S) /* a word to each node: it ends when it hears none for long */
#define WRITE_TICK (10 * PHX_MS)
#define LOOK_TICK (200 * PHX_MS)
#define SILENCE_MAX (30 * PHX_S)
#define FIRST_WORD_MAX (60 * PHX_S) /* from its start to its hello */

enum { FDS_PER_MACHINE = 3 }; /* channel, pidfd, its standard error */

void phx_machine_mark_due(struct phx_machine *machine)
{
    struct phx_controller *c = machine->controller;
    c->eventful = 1;
    if (machine->is_due)
        return;
    machine->is_due = 1;
    machine->next_due = NULL;
    if (c->due_tail)
        c->due_tail->next_due = machine;
    else
        c->due_head = machine;
    c->due_tail = machine;
}

static void on_change(struct phx_command *command)
{
    phx_machine_mark_due((struct phx_machine *)command);
}

/* ---- made ---- */

int phx_controller_add_machine(struct phx_controller *c, const struct phx_machine_options *options,
                               uint32_t *out_number, struct phx_err *err)
{
    int status =
        phx_controller_make_room_for_fds(c->nmachines + 1, "machines", FDS_PER_MACHINE, err);
    if (status < 0)
        return status;
    struct phx_machine **machines =
        realloc(c->machines, (c->nmachines + (size_t)1) * sizeof *machines);
    if (!machines)
        return -ENOMEM;
    c->machines = machines;
    struct phx_machine *machine = calloc(1, sizeof *machine);
    char *name = strdup(options->name);
    if (!machine || !name) {
        free(machine);
        free(name);
        return -ENOMEM;
    }
    machine->controller = c;
    machine->number = c->nmachines;
    machine->name = name;
    machine->heard_at = phx_clock_now();
    phx_outbox_init(&machine->out);
    phx_collection_init(&machine->collected);
    status = phx_command_open(&machine->command, &c->loop, options->argv, on_change, err);
    c->machines[c->nmachines++] = machine; /* the loop may know its handles: freed at the end */
    if (status < 0) {
        machine->state = PHX_MACHINE_GONE;
        return status;
    }
    *out_number = machine->number;
    return 0;
}

int phx_controller_setup_machine(struct phx_controller *c, uint32_t number, uint32_t nworkers,
                                 const void *value, size_t size, struct phx_err *err)
{
    struct phx_machine *machine = number < c->nmachines ? c->machines[number] : NULL;
    struct phx_buf body;
    if (!machine || machine->state == PHX_MACHINE_CONNECTING || machine->nworkers > 0)
        return phx_err_set(err, PHX_E_STATE, "machine %u cannot be set up", number);
    machine->nworkers = machine->room = nworkers;
    phx_buf_init(&body);
    int status = value ? phx_buf_append(&body, value, size) : 0;
    if (status == 0 && value)
        phx_machine_send(machine, PHX_MSG_NODE_SETUP, &body);
    phx_buf_fini(&body);
    return status;
}

int phx_controller_ask_machine(struct phx_controller *c, uint32_t number, uint32_t machine_number,
                               const struct phx_buf *fork_value, const struct phx_buf *spawn_value,
                               struct phx_err *err)
{
    struct phx_machine *machine =
        machine_number < c->nmachines ? c->machines[machine_number] : NULL;
    struct phx_buf body;
    if (!machine)
        return phx_err_set(err, -EINVAL, "there is no machine %u", machine_number);
    int status = phx_controller_add_member(c, number, err);
    if (status < 0)
        return status;
    struct phx_member *member = c->members[number];
    member->machine = machine;
    member->has_queue = 1; /* its node's */
    machine->alive++;
    machine->wanted -= machine->wanted > 0;
    phx_buf_init(&body);
    status = phx_msg_put_fork(&body, number, phx_buf_head(spawn_value), phx_buf_size(spawn_value));
    if (status == 0)
        phx_machine_send(machine, PHX_MSG_NODE_SPAWN, &body);
    phx_buf_consume(&body, phx_buf_size(&body));
    if (status == 0)
        status =
            phx_msg_put_fork(&body, number, phx_buf_head(fork_value), phx_buf_size(fork_value));
    if (status == 0)
        phx_machine_send(machine, PHX_MSG_NODE_WORKER, &body);
    else
        phx_machine_lose(machine, "no memory for a message to it");
    phx_buf_fini(&body);
    phx_machine_mark_due(machine); /* of one that is lost already the end is told */
    return 0;
}

void phx_controller_spawn_on_machine(struct phx_controller *c, uint32_t machine)
{
    if (machine < c->nmachines)
        phx_machine_send_number(c->machines[machine], PHX_MSG_NODE_DO, PHX_NODE_SPAWN_ALL);
}

void phx_controller_set_loss(struct phx_controller *c, phx_ns silence_max, int reruns)
{
    c->silence_max = silence_max;
    c->reruns_lost = reruns;
}

/* ---- written to ---- */

static void flush(struct phx_machine *machine)
{
    if (!machine->command.is_open || machine->command.channel.ended)
        return;
    int status = phx_outbox_flush(&machine->out, machine->command.channel.fd);
    if (status < 0 && status != -EAGAIN && status != -EPIPE) /* its end is seen where ends are */
        phx_machine_lose(machine, "cannot write to it: %s", phx_err_text(status));
}

void phx_machine_send(struct phx_machine *machine, uint16_t type, const struct phx_buf *body)
{
    if (machine->state > PHX_MACHINE_UP || !machine->command.is_open)
        return;
    int status = phx_outbox_put(&machine->out, type, phx_buf_head(body), phx_buf_size(body), -1);
    if (status < 0)
        phx_machine_lose(machine, "no message to it can be made: %s", phx_err_text(status));
    else
        flush(machine);
}

void phx_machine_send_number(struct phx_machine *machine, uint16_t type, uint64_t number)
{
    struct phx_buf body;
    phx_buf_init(&body);
    if (phx_msg_put_number(&body, number) < 0)
        phx_machine_lose(machine, "no memory for a message to it");
    else
        phx_machine_send(machine, type, &body);
    phx_buf_fini(&body);
}

void phx_fleet_do(struct phx_controller *c, uint64_t order)
{
    for (uint32_t i = 0; i < c->nmachines; i++)
        phx_machine_send_number(c->machines[i], PHX_MSG_NODE_DO, order);
}

int phx_fleet_has_done(const struct phx_controller *c, uint64_t order)
{
    for (uint32_t i = 0; i < c->nmachines; i++) {
        const struct phx_machine *machine = c->machines[i];
        if (machine->state <= PHX_MACHINE_UP && !(machine->done >> order & 1) &&
            !machine->command.channel.ended)
            return 0;
    }
    return 1;
}

int phx_fleet_has_left(const struct phx_controller *c)
{
    for (uint32_t i = 0; i < c->nmachines; i++)
        if (c->machines[i]->state <= PHX_MACHINE_UP && !c->machines[i]->command.channel.ended &&
            !c->machines[i]->command.watch.gone)
            return 0;
    return 1;
}

/* ---- watched ---- */

/* The last thing it wrote to standard error, which is mostly the reason. */
static void last_line(struct phx_machine *machine, char out[PHX_COMMAND_LINE_MAX])
{
    char line[PHX_COMMAND_LINE_MAX];
    out[0] = '\0';
    phx_command_drain_lines(&machine->command);
    while (phx_command_take_line(&machine->command, line))
        if (line[0])
            memcpy(out, line, sizeof line);
}

void phx_machine_lose(struct phx_machine *machine, const char *format, ...)
{
    if (machine->state >= PHX_MACHINE_LEFT)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(machine->why, sizeof machine->why, format, args);
    va_end(args);
    phx_log(PHX_LOG_INFO, "event=machine-lost machine=%u why=\"%s\"", machine->number,
            machine->why);
    machine->state = PHX_MACHINE_LOST;
    phx_machine_mark_due(machine);
    phx_command_close(&machine->command);
    phx_outbox_fini(&machine->out);
}

/* Its connection has ended, and everything that came by it was taken. */
static void lose_ended(struct phx_machine *machine)
{
    char line[PHX_COMMAND_LINE_MAX], how[64] = "the connection ended";
    int status = 0, error = machine->command.channel.error;
    int was_up = machine->state == PHX_MACHINE_UP;
    /* The program ends a moment after its output: what it has to say of it comes by then. */
    int dead = phx_pidfd_wait(machine->command.watch.pidfd, 500 * PHX_MS) == 1 &&
               phx_pidfd_reap(machine->command.watch.pidfd, &status) == 0;
    last_line(machine, line);
    if (error < 0)
        snprintf(how, sizeof how, "%.60s", phx_err_text(error));
    else if (dead && WIFSIGNALED(status))
        snprintf(how, sizeof how, "the connection was killed by signal %d", WTERMSIG(status));
    else if (dead && !was_up)
        snprintf(how, sizeof how, "its command ended with status %d", WEXITSTATUS(status));
    if (line[0])
        phx_machine_lose(machine, "%.430s%s%s", line, error < 0 ? "; " : "", error < 0 ? how : "");
    else
        phx_machine_lose(machine, "%s", how);
}

/* Bytes of its channel that came and were not looked at prove that it lives; only then is it judged
 * by the clock. */
static void look_for_silence(struct phx_machine *machine, phx_ns now)
{
    struct phx_controller *c = machine->controller;
    size_t bytes = phx_buf_size(&machine->command.channel.in.raw);
    if (bytes != machine->heard_bytes) {
        machine->heard_bytes = bytes;
        machine->heard_at = now;
    }
    phx_ns most = c->silence_max > 0 ? c->silence_max : SILENCE_MAX;
    if (machine->state == PHX_MACHINE_CONNECTING && most < FIRST_WORD_MAX)
        most = FIRST_WORD_MAX; /* a login, and an interpreter that starts, take their time */
    if (machine->state <= PHX_MACHINE_UP && now - machine->heard_at >= most)
        phx_machine_lose(machine, "nothing was heard of it for %lld s",
                         (long long)((now - machine->heard_at) / PHX_S));
}

void phx_fleet_tick(struct phx_controller *c)
{
    phx_ns now = phx_clock_now();
    /* A controller that was busy with something else, or stopped, has not listened either. */
    phx_ns deaf = c->fleet_at ? now - c->fleet_at : 0;
    int tells = now - c->fleet_told_at >= ALIVE_EVERY;
    for (uint32_t i = 0; i < c->nmachines; i++) {
        struct phx_machine *machine = c->machines[i];
        if (machine->state > PHX_MACHINE_UP)
            continue;
        if (deaf > PHX_S)
            machine->heard_at = now;
        flush(machine);
        look_for_silence(machine, now);
        if (tells && machine->state == PHX_MACHINE_UP) {
            struct phx_buf nothing = {0};
            phx_machine_send(machine, PHX_MSG_NODE_ALIVE, &nothing);
        }
    }
    c->fleet_at = now;
    if (tells)
        c->fleet_told_at = now;
}

phx_ns phx_fleet_patience(const struct phx_controller *c)
{
    for (uint32_t i = 0; i < c->nmachines; i++)
        if (c->machines[i]->state <= PHX_MACHINE_UP && c->machines[i]->out.first)
            return WRITE_TICK;
    return c->nmachines > 0 ? LOOK_TICK : -1;
}

/* ---- events ---- */

static int says(struct phx_machine *machine, struct phx_event *out)
{
    struct phx_controller *c = machine->controller;
    char line[PHX_COMMAND_LINE_MAX];
    if (machine->state != PHX_MACHINE_UP || !phx_command_take_line(&machine->command, line))
        return 0;
    snprintf(c->text, sizeof c->text, "%s", line);
    *out = (struct phx_event){
        .kind = PHX_EVENT_MACHINE_SAYS, .number = phx_machine_code(machine), .text = c->text};
    return 1;
}

static int machine_next(struct phx_machine *machine, struct phx_event *out)
{
    struct phx_message msg;
    if (says(machine, out))
        return 1;
    if (machine->state <= PHX_MACHINE_UP && machine->command.watch.gone)
        phx_channel_drain(&machine->command.channel);
    while (machine->state <= PHX_MACHINE_UP && phx_channel_next(&machine->command.channel, &msg)) {
        int status = phx_machine_message(machine, &msg, out);
        machine->heard_bytes = phx_buf_size(&machine->command.channel.in.raw);
        if (status == 1)
            return 1;
        if (status == PHX_E_VERSION)
            phx_machine_lose(machine, "another version of phalanx answers there");
        else if (status < 0)
            phx_machine_lose(machine, "%s", phx_err_text(status));
    }
    if (machine->state == PHX_MACHINE_LEFT)
        phx_command_close(&machine->command);
    if (machine->state <= PHX_MACHINE_UP && machine->command.channel.ended)
        lose_ended(machine);
    return phx_machine_mourn(machine, out) || phx_fleet_wants(machine, out);
}

int phx_fleet_next(struct phx_controller *c, struct phx_event *out)
{
    do {
        while (c->due_head) {
            struct phx_machine *machine = c->due_head;
            if (machine_next(machine, out))
                return 1; /* it stays at the head: more may follow */
            c->due_head = machine->next_due;
            if (!c->due_head)
                c->due_tail = NULL;
            machine->is_due = 0;
        }
        phx_fleet_pump(c);
    } while (c->due_head);
    return 0;
}

int phx_fleet_reject(struct phx_controller *c, int32_t number)
{
    uint32_t machine = (uint32_t)(-2 - (int64_t)number);
    if (number >= 0 && (uint32_t)number < c->members_max && c->members[number] &&
        c->members[number]->machine)
        machine = c->members[number]->machine->number;
    else if (number >= -1)
        return 0;
    if (machine < c->nmachines)
        phx_machine_lose(c->machines[machine], "%s", phx_err_text(PHX_E_PROTO));
    return 1;
}

void phx_fleet_dismiss(struct phx_controller *c)
{
    for (uint32_t i = 0; i < c->members_max; i++) {
        struct phx_member *member = c->members[i];
        if (!member || !member->machine || member->state != PHX_MEMBER_ASKED ||
            member->machine->has_portion)
            continue;
        phx_member_down(member);
        member->dismissed = 1;
        member->machine->alive--;
        c->nactive--;
    }
}

int phx_fleet_gathered(struct phx_controller *c)
{
    int any = 0;
    if (c->gathered || c->queue_mem || !c->has_collection)
        return 0;
    for (uint32_t i = 0; i < c->nmachines; i++) {
        const struct phx_machine *machine = c->machines[i];
        if (machine->state > PHX_MACHINE_UP)
            continue;
        if (!machine->is_ready)
            return 0;
        any = 1;
    }
    c->gathered = any;
    return any;
}

const char *phx_controller_host(const struct phx_controller *c, uint32_t number,
                                int64_t *out_machine)
{
    const struct phx_member *member = number < c->members_max ? c->members[number] : NULL;
    const struct phx_machine *machine = member ? member->machine : NULL;
    *out_machine = machine ? (int64_t)machine->number : PHX_RUNQ_NONE;
    return machine ? machine->name : NULL;
}

/* ---- ended ---- */

void phx_fleet_close(struct phx_controller *c)
{
    for (uint32_t i = 0; i < c->nmachines; i++)
        phx_command_close(&c->machines[i]->command);
}

void phx_fleet_free(struct phx_controller *c)
{
    for (uint32_t i = 0; i < c->nmachines; i++) {
        struct phx_machine *machine = c->machines[i];
        phx_command_fini(&machine->command);
        phx_outbox_fini(&machine->out);
        phx_collection_fini(&machine->collected);
        free(machine->name);
        free(machine);
    }
    free(c->machines);
    phx_dealer_fini(&c->dealer);
    free(c->holder);
    free(c->position_of);
}
