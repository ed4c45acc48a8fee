#include "wire/node_msg.h"

#include <string.h>

#include "base/err.h"
#include "harness.h"

static const struct phx_node_event full = {.kind = 7,
                                           .number = 3,
                                           .type = 32,
                                           .body = {"value", 5},
                                           .count = 1234567,
                                           .pid = 4711,
                                           .has_status = 1,
                                           .status = -9,
                                           .finished = 1,
                                           .test = 99,
                                           .phase = 2,
                                           .phase_us = {1, 2, UINT32_MAX},
                                           .total_us = 6,
                                           .text = {"why", 3},
                                           .words = {{"out", 3}, {"", 0}, {NULL, 0}}};

static void check_bytes(struct phx_node_bytes a, struct phx_node_bytes b)
{
    ck_assert_int_eq(a.bytes == NULL, b.bytes == NULL);
    ck_assert_uint_eq(a.size, b.size);
    if (a.size > 0)
        ck_assert_mem_eq(a.bytes, b.bytes, a.size);
}

static void check_crosses(const struct phx_node_event *event)
{
    struct phx_buf body;
    struct phx_node_event got;
    phx_buf_init(&body);
    ck_assert_int_eq(phx_node_msg_put_event(&body, event), 0);
    ck_assert_int_eq(phx_node_msg_get_event(phx_buf_head(&body), phx_buf_size(&body), &got), 0);
    ck_assert_int_eq(got.kind, event->kind);
    ck_assert_int_eq(got.number, event->number);
    ck_assert_uint_eq(got.type, event->type);
    ck_assert_uint_eq(got.count, event->count);
    ck_assert_int_eq(got.pid, event->pid);
    ck_assert_int_eq(got.has_status, event->has_status);
    ck_assert_int_eq(got.status, event->status);
    ck_assert_int_eq(got.finished, event->finished);
    ck_assert_int_eq(got.test, event->test);
    ck_assert_uint_eq(got.phase, event->phase);
    ck_assert_mem_eq(got.phase_us, event->phase_us, sizeof got.phase_us);
    ck_assert_uint_eq(got.total_us, event->total_us);
    check_bytes(got.body, event->body);
    check_bytes(got.text, event->text);
    for (int i = 0; i < PHX_NODE_WORDS; i++)
        check_bytes(got.words[i], event->words[i]);
    phx_buf_fini(&body);
}

START_TEST(events_cross_unchanged)
{
    struct phx_node_event bare = {.kind = 1, .number = -1, .test = -1};
    check_crosses(&full);
    check_crosses(&bare);
}
END_TEST

START_TEST(a_piece_of_an_event_is_none)
{
    struct phx_buf body;
    struct phx_node_event got = {.kind = -5};
    phx_buf_init(&body);
    ck_assert_int_eq(phx_node_msg_put_event(&body, &full), 0);
    for (size_t size = 0; size < phx_buf_size(&body); size++)
        ck_assert_int_eq(phx_node_msg_get_event(phx_buf_head(&body), size, &got), PHX_E_PROTO);
    ck_assert_int_eq(phx_buf_append(&body, "x", 1), 0);
    ck_assert_int_eq(phx_node_msg_get_event(phx_buf_head(&body), phx_buf_size(&body), &got),
                     PHX_E_PROTO);
    ck_assert_int_eq(got.kind, -5); /* untouched */
    phx_buf_fini(&body);
}
END_TEST

/* Any byte of it may be another one: it is read as something or refused, and never read outside. */
START_TEST(damaged_events_do_no_harm)
{
    struct phx_buf body;
    struct phx_node_event got;
    phx_buf_init(&body);
    ck_assert_int_eq(phx_node_msg_put_event(&body, &full), 0);
    char *bytes = phx_buf_head(&body);
    for (size_t at = 0; at < phx_buf_size(&body); at++) {
        char was = bytes[at];
        for (int value = 0; value < 256; value++) {
            bytes[at] = (char)value;
            int status = phx_node_msg_get_event(bytes, phx_buf_size(&body), &got);
            ck_assert(status == 0 || status == PHX_E_PROTO);
            if (status == 0)
                ck_assert(got.test >= -1 && (got.has_status == 0 || got.has_status == 1));
        }
        bytes[at] = was;
    }
    phx_buf_fini(&body);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, events_cross_unchanged);
    tcase_add_test(tests, a_piece_of_an_event_is_none);
    tcase_add_test(tests, damaged_events_do_no_harm);
}

int main(void)
{
    return harness_run("node_msg", 20, add_tests);
}
