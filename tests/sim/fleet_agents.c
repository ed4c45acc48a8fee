/* The machines of a simulated fleet: each says what a node says (role/node.h), in the order in
 * which it does, of workers that are lines in a table and tests that only take their time. */
#include "fleet.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "role/controller.h"
#include "sim.h"
#include "wire/msg.h"
#include "wire/node_msg.h"
#include "wire/packer.h"

#define WORKER_START (5 * PHX_MS) /* a fork, and what is done after it */
#define WORKER_END PHX_MS
#define COLLECTION (100 * PHX_MS)

enum { BATCH = 500, REPORT_MAX = 4096 };

/* Bytes on their way in one direction. */
struct line {
    struct phx_buf bytes, parts; /* parts: struct part */
};

struct part {
    phx_ns due;
    size_t size;
};

struct machine {
    int fd;
    uint32_t number;
    struct line in, out;
    struct phx_inbox inbox;
    uint32_t *pool; /* tests it was dealt, [capacity] */
    uint32_t lo, hi, capacity;
    int is_planned, is_stopped;
};

enum state { ABSENT, WANTED, STARTING, RUNNING, LEAVING, GONE };

static struct worker {
    struct machine *machine;
    enum state state;
    uint32_t test;
} workers[FLEET_NUMBERS_MAX];

static const struct fleet_setting *setting;
static struct machine *machines;
static struct sim_clock timers;
static uint8_t *starts;
static struct fleet_tick told;

static void must(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "simulate_fleet: machines: %s\n", what);
    _exit(2);
}

/* ---- the suite ---- */

static double random_of(uint64_t seed)
{
    seed += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    seed = (seed ^ seed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    seed = (seed ^ seed >> 27) * UINT64_C(0x94d049bb133111eb);
    return (double)((seed ^ seed >> 31) >> 11) / 9007199254740992.0;
}

uint32_t fleet_cost_us(const struct fleet_setting *from, uint32_t test)
{
    double u = random_of(2 * (uint64_t)test), v = random_of(2 * (uint64_t)test + 1);
    double cost = from->mean_us * (0.5 + u);
    if (from->sigma > 0) {
        double normal = sqrt(-2 * log(1 - u)) * cos(2 * acos(-1) * v);
        cost = from->mean_us * exp(from->sigma * normal - from->sigma * from->sigma / 2);
    }
    return cost < 1 ? 1 : (uint32_t)cost;
}

double fleet_slowness(const struct fleet_setting *from, uint32_t machine)
{
    uint32_t slow = (uint32_t)(from->slow_share * from->nmachines);
    return machine < slow ? from->slow_factor : 1;
}

/* ---- lines ---- */

static void append(struct phx_buf *buf, const void *bytes, size_t size)
{
    must(phx_buf_append(buf, bytes, size) == 0, "out of memory");
}

static void put(struct line *line, phx_ns at, const void *bytes, size_t size)
{
    struct part part = {.due = at + setting->round_trip / 2, .size = size};
    append(&line->bytes, bytes, size);
    append(&line->parts, &part, sizeof part);
}

/* Bytes that have arrived by now; *out_due is when the last of them did. */
static size_t arrived(const struct line *line, phx_ns now, phx_ns *out_due)
{
    const struct part *part = (const void *)phx_buf_head(&line->parts);
    size_t count = phx_buf_size(&line->parts) / sizeof *part, size = 0;
    for (size_t i = 0; i < count && part[i].due <= now; i++) {
        size += part[i].size;
        *out_due = part[i].due;
    }
    return size;
}

static void drop(struct line *line, size_t size)
{
    phx_buf_consume(&line->bytes, size);
    while (size > 0) {
        struct part *part = (void *)phx_buf_head(&line->parts);
        size_t most = size < part->size ? size : part->size;
        part->size -= most;
        size -= most;
        if (part->size == 0)
            phx_buf_consume(&line->parts, sizeof *part);
    }
}

/* ---- what they say ---- */

static void say(struct machine *machine, phx_ns at, uint16_t type, const struct phx_buf *body)
{
    size_t size = phx_buf_size(body);
    must(size <= PHX_FRAME_MAX, "a message is more than a frame");
    unsigned char header[PHX_FRAME_HEADER] = {0}; /* as drawn in wire/frame.h; no flags */
    for (int i = 0; i < 4; i++)
        header[i] = (unsigned char)(size >> 8 * i);
    header[4] = (unsigned char)type;
    header[5] = (unsigned char)(type >> 8);
    put(&machine->out, at, header, sizeof header);
    if (size > 0)
        put(&machine->out, at, phx_buf_head(body), size);
}

static void say_event(struct machine *machine, phx_ns at, const struct phx_node_event *event)
{
    static struct phx_buf body;
    must(phx_node_msg_put_event(&body, event) == 0, "out of memory");
    say(machine, at, PHX_MSG_NODE_EVENT, &body);
    phx_buf_consume(&body, phx_buf_size(&body));
}

static void say_of(phx_ns at, enum phx_event_kind kind, uint32_t number, int64_t test)
{
    struct phx_node_event event = {.kind = (int32_t)kind,
                                   .number = (int32_t)number,
                                   .test = test,
                                   .finished = kind == PHX_EVENT_WORKER_DOWN,
                                   .has_status = kind == PHX_EVENT_WORKER_DOWN};
    if (kind == PHX_EVENT_TEST_ENDED) {
        event.total_us = fleet_cost_us(setting, (uint32_t)test);
        event.phase_us[1] = event.total_us;
    }
    say_event(workers[number].machine, at, &event);
}

static void say_message(phx_ns at, uint32_t number, uint16_t type, size_t size)
{
    static const char report[REPORT_MAX];
    struct phx_node_event event = {.kind = PHX_EVENT_MESSAGE,
                                   .number = (int32_t)number,
                                   .type = type,
                                   .test = PHX_RUNQ_NONE,
                                   .body = {report, size}};
    say_event(workers[number].machine, at, &event);
}

static void say_hello(struct machine *machine)
{
    struct phx_msg_hello hello = {.version = PHX_PROTOCOL_VERSION, .pid = 1, .role = "node"};
    struct phx_msg_text text = {.number = -1, .text = "{}"};
    struct phx_buf body;
    phx_buf_init(&body);
    must(phx_msg_put_hello(&body, &hello) == 0, "out of memory");
    say(machine, fleet_now, PHX_MSG_HELLO, &body);
    phx_buf_consume(&body, phx_buf_size(&body));
    must(phx_msg_put_text(&body, &text) == 0, "out of memory");
    say(machine, fleet_now, PHX_MSG_NODE_INFO, &body);
    phx_buf_fini(&body);
}

static void tell_items(struct machine *machine, phx_ns at)
{
    struct phx_buf body;
    phx_buf_init(&body);
    for (uint32_t test = 0; test < setting->ntests;) {
        uint32_t left = setting->ntests - test, count = left < BATCH ? left : BATCH;
        msgpack_packer packer = phx_packer(&body);
        msgpack_pack_array(&packer, count);
        for (uint32_t end = test + count; test < end; test++) {
            char id[96];
            int size = snprintf(id, sizeof id, "tests/part_%03u/test_%05u.py::TestCase::test_%07u",
                                test / 4000, test / 40, test);
            msgpack_pack_array(&packer, 4);
            must(msgpack_pack_str_with_body(&packer, id, (size_t)size) == 0, "out of memory");
            for (int k = 0; k < 3; k++)
                msgpack_pack_nil(&packer);
        }
        struct phx_node_event event = {.kind = PHX_EVENT_MESSAGE,
                                       .number = -1,
                                       .type = PHX_MSG_ITEMS,
                                       .test = PHX_RUNQ_NONE,
                                       .body = {phx_buf_head(&body), phx_buf_size(&body)}};
        say_event(machine, at, &event);
        phx_buf_consume(&body, phx_buf_size(&body));
    }
    phx_buf_fini(&body);
}

static void collect(struct machine *machine, phx_ns at)
{
    at += COLLECTION;
    if (machine->number == 0 || setting->tells_lists)
        tell_items(machine, at);
    say_event(machine, at,
              &(struct phx_node_event){.kind = PHX_EVENT_COLLECTED,
                                       .number = -1,
                                       .count = setting->ntests,
                                       .test = PHX_RUNQ_NONE});
}

/* ---- their workers ---- */

static void set_timer(uint32_t number, phx_ns at)
{
    sim_clock_set(&timers, (uint64_t)at / 1000, number);
}

static void leave(uint32_t number, phx_ns at)
{
    workers[number].state = LEAVING;
    set_timer(number, at + WORKER_END);
}

static void claim(uint32_t number, phx_ns at)
{
    struct worker *worker = &workers[number];
    struct machine *machine = worker->machine;
    if (machine->lo == machine->hi || machine->is_stopped) {
        leave(number, at);
        return;
    }
    worker->test = machine->pool[machine->lo++];
    worker->state = RUNNING;
    if (starts[worker->test] < UINT8_MAX)
        starts[worker->test]++;
    say_of(at, PHX_EVENT_TEST_STARTED, number, worker->test);
    say_message(at, number, PHX_MSG_LOG_START, 40);
    double us = fleet_cost_us(setting, worker->test) * fleet_slowness(setting, machine->number);
    set_timer(number, at + (phx_ns)(us * 1000));
}

static void go_on(uint32_t number, phx_ns at)
{
    struct worker *worker = &workers[number];
    switch (worker->state) {
    case STARTING:
        say_of(at, PHX_EVENT_WORKER_UP, number, PHX_RUNQ_NONE);
        claim(number, at);
        break;
    case RUNNING:
        for (int phase = 0; phase < 3; phase++)
            say_message(at, number, PHX_MSG_REPORT, setting->report_size);
        say_message(at, number, PHX_MSG_LOG_FINISH, 40);
        say_of(at, PHX_EVENT_TEST_ENDED, number, worker->test);
        told.nended++;
        told.last_end = at;
        claim(number, at);
        break;
    case LEAVING:
        worker->state = GONE;
        say_of(at, PHX_EVENT_WORKER_DOWN, number, PHX_RUNQ_NONE);
        break;
    default:
        break;
    }
}

static void start(uint32_t number, phx_ns at)
{
    workers[number].state = STARTING;
    set_timer(number, at + WORKER_START);
}

/* ---- what they are told ---- */

static void add_to_pool(struct machine *machine, uint32_t test)
{
    if (machine->hi == machine->capacity && machine->lo > 0) {
        machine->hi -= machine->lo;
        memmove(machine->pool, machine->pool + machine->lo, machine->hi * sizeof *machine->pool);
        machine->lo = 0;
    }
    if (machine->hi == machine->capacity) {
        machine->capacity = machine->capacity ? 2 * machine->capacity : 64;
        machine->pool = realloc(machine->pool, machine->capacity * sizeof *machine->pool);
        must(machine->pool != NULL, "out of memory");
    }
    machine->pool[machine->hi++] = test;
}

static void take_deal(struct machine *machine, const struct phx_message *msg, phx_ns at)
{
    uint32_t *numbers = NULL;
    size_t count = 0;
    must(phx_msg_get_queue(msg->body, msg->size, &numbers, &count) == 0, "decode a portion");
    for (size_t i = 0; i < count; i += 3) {
        must(numbers[i] == 1 && numbers[i + 1] < setting->ntests, "a unit is one test");
        add_to_pool(machine, numbers[i + 1]);
    }
    free(numbers);
    if (machine->is_planned++ > 0)
        return;
    for (uint32_t i = 0; i < FLEET_NUMBERS_MAX; i++)
        if (workers[i].state == WANTED && workers[i].machine == machine)
            start(i, at);
}

static void give_back(struct machine *machine, const struct phx_message *msg, phx_ns at)
{
    uint64_t wanted;
    must(phx_msg_get_number(msg->body, msg->size, &wanted) == 0, "decode a request");
    uint32_t has = machine->hi - machine->lo, count = wanted < has ? (uint32_t)wanted : has;
    struct phx_buf body;
    phx_buf_init(&body);
    machine->hi -= count;
    must(phx_msg_put_queue(&body, machine->pool ? machine->pool + machine->hi : &has, count) == 0,
         "out of memory");
    say(machine, at, PHX_MSG_NODE_RETURNED, &body);
    phx_buf_fini(&body);
}

static void take_worker(struct machine *machine, const struct phx_message *msg, phx_ns at)
{
    uint32_t number;
    const char *value;
    size_t size;
    must(phx_msg_get_fork(msg->body, msg->size, &number, &value, &size) == 0 &&
             number < FLEET_NUMBERS_MAX && workers[number].state == ABSENT,
         "decode a worker");
    workers[number].machine = machine;
    workers[number].state = WANTED;
    if (machine->is_planned)
        start(number, at);
}

static void take(struct machine *machine, const struct phx_message *msg, phx_ns at)
{
    uint64_t order;
    switch (msg->type) {
    case PHX_MSG_NODE_SETUP:
        collect(machine, at);
        break;
    case PHX_MSG_NODE_WORKER:
        take_worker(machine, msg, at);
        break;
    case PHX_MSG_NODE_DEAL:
        take_deal(machine, msg, at);
        break;
    case PHX_MSG_NODE_RETURN:
        give_back(machine, msg, at);
        break;
    case PHX_MSG_NODE_DO:
        must(phx_msg_get_number(msg->body, msg->size, &order) == 0, "decode an order");
        machine->is_stopped |= order == PHX_NODE_STOP;
        break;
    default:
        break;
    }
}

/* ---- ticks ---- */

static void hear(struct machine *machine, phx_ns began)
{
    static char bytes[1 << 16];
    ssize_t got;
    phx_ns due = 0;
    while ((got = read(machine->fd, bytes, sizeof bytes)) > 0)
        put(&machine->in, began, bytes, (size_t)got);
    must(got == 0 || errno == EAGAIN, "read");
    size_t size = arrived(&machine->in, fleet_now, &due);
    if (size == 0)
        return;
    append(&machine->inbox.raw, phx_buf_head(&machine->in.bytes), size);
    drop(&machine->in, size);
    struct phx_message msg;
    int status;
    while ((status = phx_inbox_next(&machine->inbox, &msg)) == 1)
        take(machine, &msg, due);
    must(status == 0, "decode a frame");
}

static void speak(struct machine *machine)
{
    phx_ns due;
    size_t size = arrived(&machine->out, fleet_now, &due);
    while (size > 0) {
        ssize_t sent = write(machine->fd, phx_buf_head(&machine->out.bytes), size);
        if (sent < 0)
            return; /* full: in the next tick */
        drop(&machine->out, (size_t)sent);
        size -= (size_t)sent;
    }
}

static void live(phx_ns until)
{
    phx_ns began = fleet_now; /* when the controller wrote what is there to read */
    struct sim_event next;
    fleet_now = until;
    for (uint32_t i = 0; i < setting->nmachines; i++)
        hear(&machines[i], began);
    while (sim_clock_next(&timers, &next)) {
        if ((phx_ns)next.at_us * 1000 > until) {
            sim_clock_set(&timers, next.at_us, next.worker);
            break;
        }
        go_on(next.worker, (phx_ns)next.at_us * 1000);
    }
    for (uint32_t i = 0; i < setting->nmachines; i++)
        speak(&machines[i]);
}

_Noreturn void fleet_agents_serve(const struct fleet_setting *from, const int *ends, int ticks)
{
    phx_ns until;
    setting = from;
    machines = sim_alloc(from->nmachines, sizeof *machines);
    starts = sim_alloc(from->ntests + (size_t)1, sizeof *starts);
    sim_clock_init(&timers, FLEET_NUMBERS_MAX);
    for (uint32_t i = 0; i < from->nmachines; i++) {
        machines[i].fd = ends[i];
        machines[i].number = i;
        phx_inbox_init(&machines[i].inbox);
        say_hello(&machines[i]);
    }
    while (read(ticks, &until, sizeof until) == sizeof until) {
        live(until);
        told.nstarts_wrong = 0;
        for (uint32_t test = 0; told.nended >= from->ntests && test < from->ntests; test++)
            told.nstarts_wrong += starts[test] != 1;
        must(write(ticks, &told, sizeof told) == sizeof told, "answer a tick");
    }
    _exit(0);
}
