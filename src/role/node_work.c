/* The node's workers and tests: what the controller names goes into the engine, what the engine
 * tells goes to the controller. Runs in the node. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "role/node_impl.h"
#include "wire/msg.h"

enum {
    WORDS_MAX = 16384,   /* bytes of each of a dead worker's last words */
    REPLACEMENTS = 1280, /* numbers beyond the first workers' that a controller may give */
};

/* ---- events ---- */

/* How long the test took. Its worker says ENDED before it notes the end: then it is now. */
static void add_times(const struct phx_node *node, uint32_t position, struct phx_node_event *out)
{
    struct phx_runq_timing timing;
    if (phx_controller_timing(node->engine, position, &timing) != 1)
        return;
    for (int i = 0; i < 3; i++)
        out->phase_us[i] = timing.phase_us[i + 1];
    out->total_us = timing.total_us;
    if (timing.total_us > 0)
        return;
    phx_ns took = phx_controller_since_epoch(node->engine) - timing.started;
    uint64_t us = took > 0 ? (uint64_t)took / 1000 : 0;
    out->total_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static void add_words(const struct phx_node *node, uint32_t number, struct phx_node_event *out,
                      char *room)
{
    static const enum phx_member_text order[] = {PHX_TEXT_OUT, PHX_TEXT_ERR, PHX_TEXT_FAULTS};
    for (int i = 0; i < PHX_NODE_WORDS; i++) {
        char *at = room + (size_t)i * WORDS_MAX;
        size_t size = phx_controller_last_words(node->engine, number, order[i], at, WORDS_MAX);
        out->words[i] = (struct phx_node_bytes){at, size};
    }
}

void phx_node_forward(struct phx_node *node, const struct phx_event *event)
{
    static char words[PHX_NODE_WORDS * WORDS_MAX];
    struct phx_node_event out = {.kind = (int32_t)event->kind,
                                 .number = event->number,
                                 .type = event->type,
                                 .body = {event->body, event->size},
                                 .count = event->count,
                                 .pid = event->pid,
                                 .has_status = event->has_status,
                                 .status = event->status,
                                 .finished = event->finished,
                                 .test = event->test,
                                 .phase = (uint32_t)event->phase};
    if (event->kind != PHX_EVENT_WORKER_DOWN && event->kind != PHX_EVENT_TEST_LOST &&
        event->kind != PHX_EVENT_TEST_STARTED && event->kind != PHX_EVENT_TEST_ENDED)
        out.test = PHX_RUNQ_NONE;
    if (event->text)
        out.text = (struct phx_node_bytes){event->text, strlen(event->text)};
    if (event->kind == PHX_EVENT_TEST_ENDED)
        add_times(node, (uint32_t)event->count, &out);
    if (event->kind == PHX_EVENT_WORKER_DOWN && !event->finished)
        add_words(node, (uint32_t)event->number, &out, words);
    struct phx_buf body;
    phx_buf_init(&body);
    if (phx_node_msg_put_event(&body, &out) < 0)
        node->status = -ENOMEM; /* an event that is not told is a test that is missed */
    else
        phx_node_send(node, PHX_MSG_NODE_EVENT, &body);
    phx_buf_fini(&body);
}

/* ---- workers ---- */

static struct phx_node_worker *find(struct phx_node *node, uint32_t number)
{
    struct phx_node_worker **at = &node->workers;
    for (; *at; at = &(*at)->next)
        if ((*at)->number == number)
            return *at;
    *at = calloc(1, sizeof **at);
    if (*at)
        (*at)->number = number;
    return *at;
}

/* A worker that cannot be asked for is told of as one that could not be made. */
static void tell_failure(struct phx_node *node, uint32_t number, const char *text)
{
    struct phx_event event = {.kind = PHX_EVENT_FORK_FAILED,
                              .number = (int32_t)number,
                              .test = PHX_RUNQ_NONE,
                              .text = text};
    phx_node_forward(node, &event);
}

enum way { BY_METHOD, BECOMES, BECOMES_FROM_START };

static void ask(struct phx_node *node, struct phx_node_worker *worker, enum way way)
{
    struct phx_err err = {0};
    const struct phx_buf *value = way == BECOMES_FROM_START ? &worker->spawn : &worker->fork;
    int status;
    worker->asked = 1;
    if (way != BY_METHOD) {
        status = phx_controller_become(node->engine, worker->number, phx_buf_head(value),
                                       phx_buf_size(value), &err);
    } else if (node->method == PHX_NODE_SPAWNS) {
        value = &worker->spawn;
        status = phx_controller_start(node->engine, worker->number, NULL, phx_buf_head(value),
                                      phx_buf_size(value), &err);
    } else {
        status = phx_controller_fork(node->engine, worker->number, phx_buf_head(value),
                                     phx_buf_size(value), &err);
    }
    if (status < 0)
        tell_failure(node, worker->number, err.text[0] ? err.text : phx_err_text(status));
}

static void ask_for_all(struct phx_node *node)
{
    for (struct phx_node_worker *worker = node->workers; worker; worker = worker->next)
        if (worker->wanted && !worker->asked)
            ask(node, worker, BY_METHOD);
}

/* Room for those that are named by now, and for numbers that come later. */
static int recruit(struct phx_node *node)
{
    uint32_t count = 0, highest = 0;
    if (node->has_room)
        return 0;
    for (const struct phx_node_worker *worker = node->workers; worker; worker = worker->next) {
        count++;
        highest = worker->number > highest ? worker->number : highest;
    }
    uint64_t room = (uint64_t)highest + 1 + REPLACEMENTS + 1;
    if (room > PHX_RUNQ_WORKERS_MAX)
        room = PHX_RUNQ_WORKERS_MAX;
    node->has_room = 1;
    return phx_controller_recruit_numbers(node->engine, count, (uint32_t)room, NULL);
}

void phx_node_react(struct phx_node *node, const struct phx_event *event)
{
    int status = 0;
    if (event->kind == PHX_EVENT_GATHERED ||
        (event->kind == PHX_EVENT_COLLECTED && event->number < 0))
        node->has_collected = 1;
    if (event->kind != PHX_EVENT_MESSAGE || event->number >= 0)
        return;
    if (event->type == PHX_MSG_FORK_HERE) {
        status = recruit(node);
        node->method = PHX_NODE_FORKS;
    } else if (event->type == PHX_MSG_REFUSED) {
        status = recruit(node);
        node->method = PHX_NODE_SPAWNS;
        if (status == 0 && node->workers)
            ask(node, node->workers, BECOMES);
    } else {
        return;
    }
    if (status < 0)
        node->status = status;
    else
        ask_for_all(node);
}

int phx_node_spawn_all(struct phx_node *node)
{
    if (node->method != PHX_NODE_UNDECIDED || !node->workers)
        return PHX_E_PROTO;
    int status = recruit(node);
    if (status < 0)
        return status;
    node->method = PHX_NODE_SPAWNS;
    ask(node, node->workers, BECOMES_FROM_START);
    ask_for_all(node);
    return 0;
}

int phx_node_take_worker(struct phx_node *node, const struct phx_message *msg)
{
    uint32_t number;
    const char *value;
    size_t size;
    int status = phx_msg_get_fork(msg->body, msg->size, &number, &value, &size);
    if (status == 0 && number >= PHX_RUNQ_WORKERS_MAX - 1)
        status = PHX_E_PROTO;
    struct phx_node_worker *worker = status == 0 ? find(node, number) : NULL;
    if (!worker)
        return status < 0 ? status : -ENOMEM;
    if (worker->wanted)
        return PHX_E_PROTO;
    worker->wanted = msg->type == PHX_MSG_NODE_WORKER;
    status = phx_buf_append(worker->wanted ? &worker->fork : &worker->spawn, value, size);
    if (status == 0 && worker->wanted && (node->is_planned || node->method != PHX_NODE_UNDECIDED))
        ask(node, worker, BY_METHOD);
    return status;
}

/* ---- tests ---- */

static int plan(struct phx_node *node)
{
    uint32_t count = 0;
    for (const struct phx_node_worker *worker = node->workers; worker; worker = worker->next)
        count++;
    struct phx_planner_options options = {.dist = PHX_DIST_DEALT, .nworkers = count};
    if (!node->has_collected || count == 0)
        return PHX_E_STATE;
    int status = recruit(node);
    if (status == 0)
        status = phx_controller_plan(node->engine, &options, 0, NULL);
    node->is_planned = status == 0;
    return status;
}

static int send_returned(struct phx_node *node, const uint32_t *tests, size_t count)
{
    struct phx_buf body;
    phx_buf_init(&body);
    int status = phx_msg_put_queue(&body, tests, count);
    if (status == 0)
        phx_node_send(node, PHX_MSG_NODE_RETURNED, &body);
    phx_buf_fini(&body);
    return status;
}

/* `unit` is a size, then test and cost of each. */
static int add_unit(struct phx_node *node, const uint32_t *unit)
{
    uint32_t count = unit[0];
    uint32_t *tests = malloc(2 * (size_t)count * sizeof *tests);
    if (!tests)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        tests[i] = unit[1 + 2 * i];
        tests[count + i] = unit[2 + 2 * i];
    }
    int status = phx_controller_add_unit(node->engine, tests, tests + count, count);
    if (status == -ENOSPC) /* others may have room */
        status = send_returned(node, tests, count);
    free(tests);
    return status;
}

int phx_node_take_deal(struct phx_node *node, const struct phx_message *msg)
{
    uint32_t *numbers = NULL;
    size_t count = 0;
    int status = phx_msg_get_queue(msg->body, msg->size, &numbers, &count);
    int is_first = !node->is_planned;
    if (status == 0 && is_first)
        status = plan(node);
    for (size_t at = 0; at < count && status == 0;) {
        uint64_t size = numbers[at];
        if (size == 0 || size > (count - at - 1) / 2)
            status = PHX_E_PROTO;
        else
            status = add_unit(node, numbers + at);
        at += 1 + 2 * size;
    }
    free(numbers);
    if (status < 0)
        return status;
    if (is_first) /* not before: who finds nothing leaves */
        phx_controller_settle_all(node->engine);
    ask_for_all(node);
    return 0;
}

int phx_node_give_back(struct phx_node *node, const struct phx_message *msg)
{
    uint64_t count;
    struct phx_buf tests;
    int status = phx_msg_get_number(msg->body, msg->size, &count);
    if (status < 0 || count > UINT32_MAX)
        return PHX_E_PROTO;
    phx_buf_init(&tests);
    status = phx_controller_take_back(node->engine, (uint32_t)count, &tests);
    if (status == 0)
        status = send_returned(node, (const uint32_t *)(const void *)phx_buf_head(&tests),
                               phx_buf_size(&tests) / sizeof(uint32_t));
    phx_buf_fini(&tests);
    return status;
}

void phx_node_fini(struct phx_node *node)
{
    while (node->workers) {
        struct phx_node_worker *worker = node->workers;
        node->workers = worker->next;
        phx_buf_fini(&worker->fork);
        phx_buf_fini(&worker->spawn);
        free(worker);
    }
    phx_inbox_fini(&node->inbox);
}
