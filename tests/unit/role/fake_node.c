/* A node without a machine: it says what the real one says (role/node.h), of workers that are lines
 * in a table. For test_fleet.c, where many of them stand against one controller, and which of them
 * is slow to read, to start or to leave is the dice's.
 *
 *     fake_node SEED TESTS UNIT DIRECTORY DEED...
 *
 * Tests come in the units of `UNIT` tests that the controller's plan has. Deeds:
 *
 *     wait=TEST    it runs until there is no file `gate` in DIRECTORY
 *     kill=TEST    its worker dies of it
 *     unheard=TEST its worker ends it, but cannot be trusted: that it did is not heard
 *     late=TEST    its worker dies after its end was told, before it could say that it knows
 *     vanish=TEST  this node dies of it
 *     barren       no worker after the first ones can be made
 *
 * In DIRECTORY each start of a test is a byte of the file `started-TEST`. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "role/controller.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/node_msg.h"
#include "wire/packer.h"

enum { WORKERS_MAX = 4096, DEALT_MAX = 1 << 20 };

enum state { ABSENT, WANTED, STARTING, BETWEEN, RUNNING, LEAVING, GONE };

static struct worker {
    enum state state;
    phx_ns until; /* what it does now */
    uint32_t test;
    uint32_t own[64], nown; /* the rest of its unit */
} workers[WORKERS_MAX];

static uint32_t pool[DEALT_MAX], unit_of[DEALT_MAX], pool_lo, pool_hi, nunits;
static uint32_t ntests, nasked, unit_max;
static int is_planned, is_stopped, ndeeds;
static char **deeds;
static const char *directory;
static uint64_t dice;

static void must(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fake_node: %s\n", what);
    _exit(1);
}

static uint32_t roll(uint32_t sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (uint32_t)(dice >> 32) % sides;
}

static phx_ns in_a_moment(uint32_t most_us)
{
    return phx_clock_now() + (phx_ns)roll(most_us) * 1000;
}

static int has_deed(const char *name, uint32_t test)
{
    char text[32];
    snprintf(text, sizeof text, "%s=%u", name, test);
    for (int i = 0; i < ndeeds; i++)
        if (strcmp(deeds[i], text) == 0 || strcmp(deeds[i], name) == 0)
            return 1;
    return 0;
}

/* ---- what it says ---- */

static void say(uint16_t type, const struct phx_buf *body)
{
    if (phx_frame_write(STDOUT_FILENO, type, phx_buf_head(body), phx_buf_size(body), NULL, 0) < 0)
        _exit(0); /* the controller is done with us */
}

static void say_number(uint16_t type, uint64_t number)
{
    struct phx_buf body;
    phx_buf_init(&body);
    must(phx_msg_put_number(&body, number) == 0, "encode");
    say(type, &body);
    phx_buf_fini(&body);
}

static void say_event(const struct phx_node_event *event)
{
    struct phx_buf body;
    phx_buf_init(&body);
    must(phx_node_msg_put_event(&body, event) == 0, "encode");
    say(PHX_MSG_NODE_EVENT, &body);
    phx_buf_fini(&body);
}

static void say_of(enum phx_event_kind kind, uint32_t number, int64_t test, int finished)
{
    struct phx_node_event event = {
        .kind = (int32_t)kind, .number = (int32_t)number, .test = test, .finished = finished};
    say_event(&event);
}

static void say_hello(void)
{
    struct phx_msg_hello hello = {.version = PHX_PROTOCOL_VERSION, .pid = 1, .role = "node"};
    struct phx_msg_text text = {.number = -1, .text = "{}"};
    struct phx_buf body;
    phx_buf_init(&body);
    must(phx_msg_put_hello(&body, &hello) == 0, "encode");
    say(PHX_MSG_HELLO, &body);
    phx_buf_consume(&body, phx_buf_size(&body));
    must(phx_msg_put_text(&body, &text) == 0, "encode");
    say(PHX_MSG_NODE_INFO, &body);
    phx_buf_fini(&body);
}

static void collect(void)
{
    struct phx_node_event event = {.number = -1, .test = PHX_RUNQ_NONE};
    struct phx_buf body;
    phx_buf_init(&body);
    msgpack_packer packer = phx_packer(&body);
    msgpack_pack_array(&packer, ntests);
    for (uint32_t i = 0; i < ntests; i++) {
        char id[64];
        int size = snprintf(id, sizeof id, "test_%u.py::test_%u", i / unit_max, i);
        msgpack_pack_array(&packer, 4);
        msgpack_pack_str_with_body(&packer, id, (size_t)size);
        for (int k = 0; k < 3; k++)
            msgpack_pack_nil(&packer);
    }
    event.kind = PHX_EVENT_MESSAGE;
    event.type = PHX_MSG_ITEMS;
    event.body = (struct phx_node_bytes){phx_buf_head(&body), phx_buf_size(&body)};
    say_event(&event);
    phx_buf_fini(&body);
    say_event(&(struct phx_node_event){
        .kind = PHX_EVENT_COLLECTED, .number = -1, .count = ntests, .test = PHX_RUNQ_NONE});
}

/* ---- its workers ---- */

static void note_start(uint32_t test)
{
    char path[256];
    snprintf(path, sizeof path, "%s/started-%u", directory, test);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, ".", 1) == 1, "note a start");
    close(fd);
}

static int is_gate_shut(void)
{
    char path[256];
    snprintf(path, sizeof path, "%s/gate", directory);
    return access(path, F_OK) == 0;
}

/* The next test of its unit, or of the next unit; else it leaves. */
static void claim(struct worker *worker)
{
    if (worker->nown == 0 && pool_lo < pool_hi && !is_stopped) {
        uint32_t unit = unit_of[pool_lo];
        while (pool_lo < pool_hi && unit_of[pool_lo] == unit)
            worker->own[worker->nown++] = pool[pool_lo++];
    }
    if (worker->nown == 0 || is_stopped) {
        worker->state = LEAVING;
        worker->until = in_a_moment(4000);
        return;
    }
    worker->test = worker->own[0];
    memmove(worker->own, worker->own + 1, --worker->nown * sizeof worker->own[0]);
    worker->state = BETWEEN;
    worker->until = in_a_moment(200);
}

static void die(struct worker *worker, uint32_t number, int64_t test, int64_t unheard)
{
    while (worker->nown > 0) { /* others here take what it had not begun */
        must(pool_lo > 0, "room in front");
        pool[--pool_lo] = worker->own[--worker->nown];
        unit_of[pool_lo] = nunits;
    }
    nunits++;
    worker->state = GONE;
    say_of(PHX_EVENT_WORKER_DOWN, number, test, 0);
    phx_clock_sleep((phx_ns)roll(2000) * 1000);
    if (unheard != PHX_RUNQ_NONE)
        say_of(PHX_EVENT_TEST_LOST, number, unheard, 0);
    say_of(PHX_EVENT_TEST_LOST, number, PHX_RUNQ_NONE, 0);
}

static void go_on(struct worker *worker, uint32_t number)
{
    switch (worker->state) {
    case STARTING:
        say_of(PHX_EVENT_WORKER_UP, number, PHX_RUNQ_NONE, 0);
        claim(worker);
        break;
    case BETWEEN:
        note_start(worker->test);
        say_of(PHX_EVENT_TEST_STARTED, number, worker->test, 0);
        if (has_deed("vanish", worker->test))
            _exit(9);
        worker->state = RUNNING;
        worker->until = in_a_moment(1500);
        break;
    case RUNNING:
        if (has_deed("wait", worker->test) && is_gate_shut())
            break;
        if (has_deed("kill", worker->test)) {
            die(worker, number, worker->test, PHX_RUNQ_NONE);
            break;
        }
        if (has_deed("unheard", worker->test)) {
            die(worker, number, PHX_RUNQ_NONE, worker->test);
            break;
        }
        say_of(PHX_EVENT_TEST_ENDED, number, worker->test, 0);
        if (has_deed("late", worker->test))
            die(worker, number, worker->test, PHX_RUNQ_NONE);
        else
            claim(worker);
        break;
    case LEAVING:
        worker->state = GONE;
        say_of(PHX_EVENT_WORKER_DOWN, number, PHX_RUNQ_NONE, 1);
        break;
    default:
        break;
    }
}

static void start(uint32_t number)
{
    if (nasked++ > 0 && is_planned && has_deed("barren", 0)) {
        workers[number].state = GONE;
        say_of(PHX_EVENT_FORK_FAILED, number, PHX_RUNQ_NONE, 0);
        return;
    }
    workers[number].state = STARTING;
    workers[number].until = in_a_moment(3000);
}

/* ---- what it is told ---- */

static void take_deal(const struct phx_message *msg)
{
    uint32_t *numbers = NULL;
    size_t count = 0;
    must(phx_msg_get_queue(msg->body, msg->size, &numbers, &count) == 0, "decode a portion");
    for (size_t at = 0; at < count; nunits++) {
        uint32_t size = numbers[at++];
        must(size > 0 && size <= unit_max, "a unit is whole, and no more than that");
        for (uint32_t i = 0; i < size; i++, at += 2) {
            must(pool_hi < DEALT_MAX, "too much to and fro");
            pool[pool_hi] = numbers[at];
            unit_of[pool_hi++] = nunits;
        }
    }
    free(numbers);
    if (is_planned++ == 0)
        for (uint32_t i = 0; i < WORKERS_MAX; i++)
            if (workers[i].state == WANTED)
                start(i);
}

static void give_back(const struct phx_message *msg)
{
    uint64_t wanted;
    must(phx_msg_get_number(msg->body, msg->size, &wanted) == 0, "decode a request");
    uint32_t lo = pool_hi;
    while (lo > pool_lo && pool_hi - lo < wanted)
        for (uint32_t unit = unit_of[lo - 1]; lo > pool_lo && unit_of[lo - 1] == unit;)
            lo--;
    struct phx_buf body;
    phx_buf_init(&body);
    must(phx_msg_put_queue(&body, pool + lo, pool_hi - lo) == 0, "encode");
    pool_hi = lo;
    say(PHX_MSG_NODE_RETURNED, &body);
    phx_buf_fini(&body);
}

static void obey(const struct phx_message *msg)
{
    uint64_t order;
    must(phx_msg_get_number(msg->body, msg->size, &order) == 0, "decode an order");
    if (order == PHX_NODE_STOP)
        is_stopped = 1;
    if (order != PHX_NODE_END)
        return;
    say_number(PHX_MSG_NODE_DONE, PHX_NODE_END);
    _exit(0);
}

static void take(const struct phx_message *msg)
{
    uint32_t number;
    const char *value;
    size_t size;
    switch (msg->type) {
    case PHX_MSG_NODE_SETUP:
        collect();
        break;
    case PHX_MSG_NODE_WORKER:
        must(phx_msg_get_fork(msg->body, msg->size, &number, &value, &size) == 0 &&
                 number < WORKERS_MAX && workers[number].state == ABSENT,
             "decode a worker");
        workers[number].state = WANTED;
        if (is_planned)
            start(number);
        break;
    case PHX_MSG_NODE_DEAL:
        take_deal(msg);
        break;
    case PHX_MSG_NODE_RETURN:
        give_back(msg);
        break;
    case PHX_MSG_NODE_DO:
        obey(msg);
        break;
    default:
        break;
    }
}

static void hear(struct phx_inbox *inbox)
{
    struct phx_message msg;
    int got = phx_inbox_read(inbox, STDIN_FILENO);
    if (got <= 0)
        _exit(3);
    while (phx_inbox_next(inbox, &msg) == 1)
        take(&msg);
}

int main(int argc, char **argv)
{
    struct phx_inbox inbox;
    must(argc >= 5, "usage: fake_node SEED TESTS UNIT DIRECTORY DEED...");
    dice = strtoull(argv[1], NULL, 10) * 2654435761U + 88172645463325252U;
    ntests = (uint32_t)strtoul(argv[2], NULL, 10);
    unit_max = (uint32_t)strtoul(argv[3], NULL, 10);
    directory = argv[4];
    deeds = argv + 5;
    ndeeds = argc - 5;
    pool_lo = pool_hi = WORKERS_MAX; /* room in front for what the dead leave */
    phx_inbox_init(&inbox);
    say_hello();
    for (phx_ns deaf = 0;;) {
        phx_ns now = phx_clock_now();
        for (uint32_t i = 0; i < WORKERS_MAX; i++)
            if (workers[i].state > WANTED && workers[i].state < GONE && now >= workers[i].until)
                go_on(&workers[i], i);
        struct pollfd readable = {.fd = STDIN_FILENO, .events = POLLIN};
        if (now >= deaf && poll(&readable, 1, 1) > 0) {
            hear(&inbox);
            deaf = in_a_moment(3000); /* the connection is slow */
        } else if (now < deaf) {
            phx_clock_sleep(100000);
        }
    }
}
