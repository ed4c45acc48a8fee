#include "wire/msg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

/* ---- each decoder behind one signature, so that every body can be given to all of them ---- */

static int get_hello(const char *body, size_t size)
{
    struct phx_msg_hello msg;
    int status = phx_msg_get_hello(body, size, &msg);
    if (status == 0)
        ck_assert_ptr_nonnull(memchr(msg.role, '\0', sizeof msg.role));
    return status;
}

static int get_exit(const char *body, size_t size)
{
    struct phx_msg_exit msg;
    int status = phx_msg_get_exit(body, size, &msg);
    if (status == 0)
        ck_assert_int_ge(msg.number, -1);
    return status;
}

static int get_forked(const char *body, size_t size)
{
    struct phx_msg_forked msg;
    return phx_msg_get_forked(body, size, &msg);
}

static int get_leftover(const char *body, size_t size)
{
    struct phx_msg_leftover msg;
    int status = phx_msg_get_leftover(body, size, &msg);
    if (status == 0)
        ck_assert_ptr_nonnull(memchr(msg.command, '\0', sizeof msg.command));
    return status;
}

static int get_text(const char *body, size_t size)
{
    struct phx_msg_text msg;
    int status = phx_msg_get_text(body, size, &msg);
    if (status == 0)
        ck_assert_ptr_nonnull(memchr(msg.text, '\0', sizeof msg.text));
    return status;
}

static int get_number(const char *body, size_t size)
{
    uint64_t number;
    return phx_msg_get_number(body, size, &number);
}

static int get_fork(const char *body, size_t size)
{
    uint32_t number;
    const char *value;
    size_t value_size;
    int status = phx_msg_get_fork(body, size, &number, &value, &value_size);
    if (status == 0) {
        ck_assert_uint_ge(value_size, 1);
        ck_assert_ptr_eq(value + value_size, body + size);
    }
    return status;
}

static int get_queue(const char *body, size_t size)
{
    uint32_t *tests = NULL;
    size_t count = 77;
    int status = phx_msg_get_queue(body, size, &tests, &count);
    if (status == 0)
        ck_assert_uint_lt(count, size); /* each is a byte at least */
    else
        ck_assert_ptr_null(tests);
    free(tests);
    return status;
}

static int get_spawn(const char *body, size_t size)
{
    struct phx_msg_spawn msg;
    void *memory = NULL;
    int status = phx_msg_get_spawn(body, size, &msg, &memory);
    if (status == 0) {
        ck_assert_ptr_nonnull(msg.argv[0]);
        size_t bytes = 0;
        for (size_t i = 0; msg.argv[i]; i++)
            bytes += strlen(msg.argv[i]);
        for (size_t i = 0; msg.environment && msg.environment[i]; i++)
            bytes += strlen(msg.environment[i]);
        ck_assert_uint_lt(bytes, size);
    } else {
        ck_assert_ptr_null(memory);
    }
    free(memory);
    return status;
}

struct walk {
    char seen[256];
    int calls;
    int stop_at;
};

static int each(void *context, const struct phx_msg_item *item)
{
    struct walk *walk = context;
    if (walk->calls++ == walk->stop_at)
        return -ECANCELED;
    size_t used = strlen(walk->seen);
    if (used + item->node_id_size + item->group_size + 3 < sizeof walk->seen) {
        strncat(walk->seen, item->node_id, item->node_id_size);
        strcat(walk->seen, item->group ? "@" : "-");
        if (item->group)
            strncat(walk->seen, item->group, item->group_size);
        used = strlen(walk->seen);
        for (uint32_t i = 0; i < item->nsetups; i++)
            used += (size_t)snprintf(walk->seen + used, sizeof walk->seen - used, "+%u",
                                     item->setups[i]);
        if (item->limit)
            snprintf(walk->seen + used, sizeof walk->seen - used, "/%u", item->permits);
        strcat(walk->seen, item->exclusive ? "!;" : ";");
    }
    return 7; /* nothing but a negative number stops the walk */
}

static int get_items(const char *body, size_t size)
{
    struct walk walk = {.stop_at = -1};
    return phx_msg_each_item(body, size, each, &walk);
}

static int (*const decoders[])(const char *, size_t) = {
    get_hello,  get_exit, get_forked, get_leftover, get_text,
    get_number, get_fork, get_spawn,  get_items,    get_queue,
};
enum { NDECODERS = sizeof decoders / sizeof *decoders };

/* ---- bodies ---- */

static const char items_body[] =
    "\x93"
    "\x94\xa1"
    "a\xc0\x92\x05\xcd\x01\x00\xc0" /* ["a", nil, [5, 256], nil] */
    "\x94\xa1"
    "b\xa2g1\xc0\x92\xa2"
    "db\x02"                                            /* ["b", "g1", nil, ["db", 2]] */
    "\x94\xc7\x03\x03\xed\xb2\x80\xa0\xc0\x92\xc0\x00"; /* ["\udc80", "", nil, [nil, 0]] */

static const char *const argv[] = {"/bin/prog", "", "--flag", NULL};
static const char *const environment[] = {"A=1", "B=two words", NULL};
static const char *const nothing[] = {NULL};

/* Makes a good body for decoder `which`. */
static void put_body(int which, struct phx_buf *out)
{
    struct phx_msg_hello hello = {.version = 1, .pid = 4000000000U, .role = "zygote"};
    struct phx_msg_exit gone = {.number = 3, .pid = 77, .status = -5};
    struct phx_msg_forked forked = {.number = 300, .pid = 70000};
    struct phx_msg_leftover leftover = {.pid = 1, .group = 2, .ended = 1, .command = "sleep 9"};
    struct phx_msg_text text = {.number = 4, .text = "no room"};
    struct phx_msg_spawn spawn = {argv, environment, "/tmp"};
    int (*const last)(const char *, size_t) = decoders[which];
    int status = -1;
    if (last == get_hello)
        status = phx_msg_put_hello(out, &hello);
    else if (last == get_exit)
        status = phx_msg_put_exit(out, &gone);
    else if (last == get_forked)
        status = phx_msg_put_forked(out, &forked);
    else if (last == get_leftover)
        status = phx_msg_put_leftover(out, &leftover);
    else if (last == get_text)
        status = phx_msg_put_text(out, &text);
    else if (last == get_number)
        status = phx_msg_put_number(out, UINT64_MAX);
    else if (last == get_fork)
        status = phx_msg_put_fork(out, 9, "\x92\xc0\xa1x", 4);
    else if (last == get_spawn)
        status = phx_msg_put_spawn(out, &spawn);
    else if (last == get_items)
        status = phx_buf_append(out, items_body, sizeof items_body - 1);
    else if (last == get_queue)
        status = phx_msg_put_queue(out, (const uint32_t[]){1, 0, 70000}, 3);
    ck_assert_int_eq(status, 0);
}

/* Decodes a copy of exactly `size` bytes, so that ASan sees a read outside. */
static int decode_copy(int which, const char *body, size_t size)
{
    char *copy = malloc(size ? size : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, body, size);
    int status = decoders[which](copy, size);
    free(copy);
    return status;
}

START_TEST(every_message_has_a_name)
{
    ck_assert_str_eq(phx_msg_name(PHX_MSG_HELLO), "HELLO");
    ck_assert_str_eq(phx_msg_name(PHX_MSG_SESSION_DONE), "SESSION_DONE");
    ck_assert_str_eq(phx_msg_name(0), "?");
    ck_assert_str_eq(phx_msg_name(65535), "?");
}
END_TEST

START_TEST(fields_arrive_as_they_were)
{
    struct phx_buf buf;
    struct phx_msg_hello hello, hello_out;
    phx_buf_init(&buf);
    memset(&hello, 'r', sizeof hello); /* a role without NUL is cut */
    hello.version = UINT32_MAX;
    hello.pid = 1;
    ck_assert_int_eq(phx_msg_put_hello(&buf, &hello), 0);
    ck_assert_int_eq(phx_msg_get_hello(phx_buf_head(&buf), phx_buf_size(&buf), &hello_out), 0);
    ck_assert_uint_eq(hello_out.version, UINT32_MAX);
    ck_assert_uint_eq(hello_out.pid, 1);
    ck_assert_str_eq(hello_out.role, "rrrrrrrrrrrrrrr");
    phx_buf_consume(&buf, phx_buf_size(&buf));

    struct phx_msg_forked forked = {.number = 1, .pid = UINT32_MAX}, forked_out;
    ck_assert_int_eq(phx_msg_put_forked(&buf, &forked), 0);
    ck_assert_int_eq(phx_msg_get_forked(phx_buf_head(&buf), phx_buf_size(&buf), &forked_out), 0);
    ck_assert_uint_eq(forked_out.number, 1);
    ck_assert_uint_eq(forked_out.pid, UINT32_MAX);
    phx_buf_consume(&buf, phx_buf_size(&buf));

    struct phx_msg_leftover left = {.pid = 5, .group = 6, .ended = 1}, left_out;
    memset(left.command, 'c', sizeof left.command);
    ck_assert_int_eq(phx_msg_put_leftover(&buf, &left), 0);
    ck_assert_int_eq(phx_msg_get_leftover(phx_buf_head(&buf), phx_buf_size(&buf), &left_out), 0);
    ck_assert_uint_eq(left_out.pid, 5);
    ck_assert_uint_eq(left_out.group, 6);
    ck_assert_int_eq(left_out.ended, 1);
    ck_assert_uint_eq(strlen(left_out.command), sizeof left.command - 1);
    phx_buf_consume(&buf, phx_buf_size(&buf));

    uint64_t number;
    ck_assert_int_eq(phx_msg_put_number(&buf, UINT64_MAX), 0);
    ck_assert_int_eq(phx_msg_get_number(phx_buf_head(&buf), phx_buf_size(&buf), &number), 0);
    ck_assert_uint_eq(number, UINT64_MAX);
    phx_buf_fini(&buf);
}
END_TEST

START_TEST(a_number_below_zero_is_left_out)
{
    static const int32_t numbers[] = {-1, 0, 1, INT32_MAX};
    static const int32_t statuses[] = {0, 9, 0xff00, -1, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 6; j++) {
            struct phx_buf buf;
            phx_buf_init(&buf);
            struct phx_msg_exit gone = {numbers[i], 12, statuses[j]}, gone_out;
            ck_assert_int_eq(phx_msg_put_exit(&buf, &gone), 0);
            ck_assert_int_eq((unsigned char)*phx_buf_head(&buf), i == 0 ? 0x92 : 0x93);
            ck_assert_int_eq(phx_msg_get_exit(phx_buf_head(&buf), phx_buf_size(&buf), &gone_out),
                             0);
            ck_assert_int_eq(gone_out.number, numbers[i]);
            ck_assert_uint_eq(gone_out.pid, 12);
            ck_assert_int_eq(gone_out.status, statuses[j]);
            phx_buf_consume(&buf, phx_buf_size(&buf));

            struct phx_msg_text text = {.number = numbers[i], .text = "why"}, text_out;
            ck_assert_int_eq(phx_msg_put_text(&buf, &text), 0);
            ck_assert_int_eq((unsigned char)*phx_buf_head(&buf), i == 0 ? 0x91 : 0x92);
            ck_assert_int_eq(phx_msg_get_text(phx_buf_head(&buf), phx_buf_size(&buf), &text_out),
                             0);
            ck_assert_int_eq(text_out.number, numbers[i]);
            ck_assert_str_eq(text_out.text, "why");
            phx_buf_fini(&buf);
        }
    }
}
END_TEST

static void expect_strings(const char *const *got, const char *const *expected)
{
    size_t i;
    for (i = 0; expected[i]; i++)
        ck_assert_str_eq(got[i], expected[i]);
    ck_assert_ptr_null(got[i]);
}

START_TEST(spawn_copies_its_strings)
{
    static const struct phx_msg_spawn cases[] = {
        {argv, environment, "/tmp"}, {argv, nothing, ""}, {argv, NULL, NULL}};
    for (size_t i = 0; i < 3; i++) {
        struct phx_buf buf;
        phx_buf_init(&buf);
        ck_assert_int_eq(phx_msg_put_spawn(&buf, &cases[i]), 0);
        struct phx_msg_spawn out;
        void *memory;
        ck_assert_int_eq(phx_msg_get_spawn(phx_buf_head(&buf), phx_buf_size(&buf), &out, &memory),
                         0);
        memset(buf.data, 'x', buf.capacity);
        phx_buf_fini(&buf); /* nothing is borrowed from the body */
        expect_strings(out.argv, argv);
        ck_assert_int_eq(!out.environment, !cases[i].environment);
        if (out.environment)
            expect_strings(out.environment, cases[i].environment);
        ck_assert_pstr_eq(out.directory, cases[i].directory);
        free(memory);
    }
}
END_TEST

START_TEST(a_spawn_of_nothing_is_refused)
{
    struct phx_buf buf;
    phx_buf_init(&buf);
    struct phx_msg_spawn spawn = {nothing, environment, NULL};
    ck_assert_int_eq(phx_msg_put_spawn(&buf, &spawn), 0);
    ck_assert_int_eq(get_spawn(phx_buf_head(&buf), phx_buf_size(&buf)), PHX_E_PROTO);
    phx_buf_fini(&buf);
    /* Neither may an argument change where it ends. */
    ck_assert_int_eq(get_spawn("\x93\x91\xa3"
                               "a\0b"
                               "\xc0\xc0",
                               8),
                     PHX_E_PROTO);
    ck_assert_int_eq(get_spawn("\x93\x91\xa3"
                               "acb"
                               "\xc0\xc0",
                               8),
                     0);
}
END_TEST

START_TEST(a_queue_tells_places)
{
    static const uint32_t sent[] = {3, 0, 4000000000U};
    struct phx_buf buf;
    uint32_t *tests = NULL;
    size_t count = 7;
    phx_buf_init(&buf);
    ck_assert_int_eq(phx_msg_put_queue(&buf, sent, 3), 0);
    ck_assert_int_eq(phx_msg_get_queue(phx_buf_head(&buf), phx_buf_size(&buf), &tests, &count), 0);
    ck_assert_uint_eq(count, 3);
    ck_assert_int_eq(memcmp(tests, sent, sizeof sent), 0);
    free(tests);
    phx_buf_consume(&buf, phx_buf_size(&buf));
    ck_assert_int_eq(phx_msg_put_queue(&buf, NULL, 0), 0);
    ck_assert_int_eq(phx_msg_get_queue(phx_buf_head(&buf), phx_buf_size(&buf), &tests, &count), 0);
    ck_assert_uint_eq(count, 0);
    ck_assert_ptr_null(tests);
    ck_assert_int_eq(phx_msg_get_queue("\x92\x01\xff", 3, &tests, &count), PHX_E_PROTO);
    phx_buf_fini(&buf);
}
END_TEST

START_TEST(a_fork_carries_its_value_unread)
{
    struct phx_buf buf;
    phx_buf_init(&buf);
    ck_assert_int_eq(phx_buf_append(&buf, "before", 6), 0);
    ck_assert_int_eq(phx_msg_put_fork(&buf, 65536, "\x81\xa1k\xc3", 4), 0);
    uint32_t number;
    const char *value;
    size_t size;
    phx_buf_consume(&buf, 6);
    ck_assert_int_eq(
        phx_msg_get_fork(phx_buf_head(&buf), phx_buf_size(&buf), &number, &value, &size), 0);
    ck_assert_uint_eq(number, 65536);
    ck_assert_uint_eq(size, 4);
    ck_assert_int_eq(memcmp(value, "\x81\xa1k\xc3", 4), 0);
    phx_buf_fini(&buf);
}
END_TEST

START_TEST(items_are_walked_in_order)
{
    struct walk walk = {.stop_at = -1};
    ck_assert_int_eq(phx_msg_each_item(items_body, sizeof items_body - 1, each, &walk), 0);
    ck_assert_str_eq(walk.seen, "a-+5+256;b@g1/2;\xed\xb2\x80@!;");
    walk = (struct walk){.stop_at = 1};
    ck_assert_int_eq(phx_msg_each_item(items_body, sizeof items_body - 1, each, &walk), -ECANCELED);
    ck_assert_int_eq(walk.calls, 2);
    ck_assert_int_eq(get_items("\x90", 1), 0);
}
END_TEST

START_TEST(items_of_another_shape_are_refused)
{
    static const char *const bad[] = {
        "\x91\x93\xa1"
        "a\xc0\xc0", /* three fields */
        "\x91\x95\xa1"
        "a\xc0\xc0\xc0\xc0", /* five */
        "\x92\x95\xa1"
        "a\xc0\xc0\xc0\x94\xa1"
        "b\xc0\xc0\xc0",            /* five, the last of which looks like the next item */
        "\x91\x94\xc0\xc0\xc0\xc0", /* no node id */
        "\x91\x94\xa1"
        "a\x07\xc0\xc0", /* a group that is a number */
        "\x91\x94\xa1"
        "a\xc0\x91\xff\xc0", /* a set-up below zero */
        "\x91\x94\xa1"
        "a\xc0\xa0\xc0", /* set-ups that are no array */
        "\x91\x94\xa1"
        "a\xc0\xc0\x91\xa0", /* a limit without permits */
        "\x91\x94\xa1"
        "a\xc0\xc0\x92\xc0\x01", /* exclusive, with a permit */
        "\x91\x94\xd4\x04"
        "a\xc0\xc0\xc0", /* a node id that is another extension */
        "\x91\xa1"
        "a",            /* an item that is no array */
        "\x81\xc0\xc0", /* no array at all */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(get_items(bad[i], strlen(bad[i])), PHX_E_PROTO);
    /* a group that no test can have */
    ck_assert_int_eq(get_items("\x91\x94\xa1"
                               "a\xc0\xc0\x92\xa1"
                               "g\x00",
                               10),
                     PHX_E_PROTO);
}
END_TEST

START_TEST(values_out_of_range_are_refused)
{
    struct phx_msg_hello hello = {.version = 42};
    /* the version has 33 bits */
    static const char wide[] = "\x93\xcf\0\0\0\x01\0\0\0\0\xa1r\x01";
    ck_assert_int_eq(phx_msg_get_hello(wide, sizeof wide - 1, &hello), PHX_E_PROTO);
    /* a role of 16 bytes has no room for its NUL */
    static const char role[] = "\x93\x01\xb0rrrrrrrrrrrrrrrr\x01";
    ck_assert_int_eq(phx_msg_get_hello(role, sizeof role - 1, &hello), PHX_E_PROTO);
    static const char nul[] = "\x93\x01\xa2r\0\x01";
    ck_assert_int_eq(phx_msg_get_hello(nul, sizeof nul - 1, &hello), PHX_E_PROTO);
    ck_assert_uint_eq(hello.version, 42); /* outputs are untouched on failure */
    ck_assert_int_eq(get_exit("\x93\xff\x01\x01", 4), PHX_E_PROTO); /* number -1 */
    ck_assert_int_eq(get_exit("\x91\x01", 2), PHX_E_PROTO);
    ck_assert_int_eq(get_leftover("\x94\x01\x01\x02\xa0", 5), PHX_E_PROTO); /* ended is 2 */
    ck_assert_int_eq(get_number("\x91\xff", 2), PHX_E_PROTO);
    ck_assert_int_eq(get_number("\x07", 1), PHX_E_PROTO);
    ck_assert_int_eq(get_fork("\x92\x01\xc0\xc0", 4), PHX_E_PROTO); /* two values */
}
END_TEST

START_TEST(every_truncation_and_every_addition_is_refused)
{
    for (int which = 0; which < NDECODERS; which++) {
        struct phx_buf buf;
        phx_buf_init(&buf);
        put_body(which, &buf);
        size_t size = phx_buf_size(&buf);
        ck_assert_int_eq(decode_copy(which, phx_buf_head(&buf), size), 0);
        for (size_t cut = 0; cut < size; cut++)
            ck_assert_int_eq(decode_copy(which, phx_buf_head(&buf), cut), PHX_E_PROTO);
        ck_assert_int_eq(phx_buf_append(&buf, "\xc0", 1), 0);
        ck_assert_int_eq(decode_copy(which, phx_buf_head(&buf), size + 1), PHX_E_PROTO);
        phx_buf_fini(&buf);
    }
}
END_TEST

/* Every single byte of every good body, in all its 256 values, to its own decoder; in 16 of them to
 * the others. */
START_TEST(damaged_bodies_never_crash)
{
    for (int origin = 0; origin < NDECODERS; origin++) {
        struct phx_buf buf;
        phx_buf_init(&buf);
        put_body(origin, &buf);
        for (size_t at = 0; at < phx_buf_size(&buf); at++) {
            char kept = phx_buf_head(&buf)[at];
            for (int which = 0; which < NDECODERS; which++) {
                for (int byte = 0; byte < 256; byte += which == origin ? 1 : 17) {
                    phx_buf_head(&buf)[at] = (char)byte;
                    int status = decode_copy(which, phx_buf_head(&buf), phx_buf_size(&buf));
                    ck_assert(status == 0 || status == PHX_E_PROTO);
                }
            }
            phx_buf_head(&buf)[at] = kept;
        }
        phx_buf_fini(&buf);
    }
}
END_TEST

START_TEST(random_bytes_never_crash)
{
    srand(22);
    size_t accepted = 0;
    for (int round = 0; round < 30000; round++) {
        char body[40];
        size_t size = (size_t)rand() % sizeof body;
        for (size_t i = 0; i < size; i++)
            body[i] = (char)rand();
        if (size > 0)
            body[0] = (char)(0x90 + rand() % 5); /* else nearly all end at the first byte */
        for (int which = 0; which < NDECODERS; which++) {
            int status = decode_copy(which, body, size);
            ck_assert(status == 0 || status == PHX_E_PROTO);
            accepted += status == 0;
        }
    }
    ck_assert_uint_gt(accepted, 0);
}
END_TEST

START_TEST(an_encoder_appends)
{
    for (int which = 0; which < NDECODERS; which++) {
        struct phx_buf buf;
        phx_buf_init(&buf);
        put_body(which, &buf);
        size_t first = phx_buf_size(&buf);
        put_body(which, &buf);
        ck_assert_uint_eq(phx_buf_size(&buf), 2 * first);
        ck_assert_int_eq(decode_copy(which, phx_buf_head(&buf), first), 0);
        ck_assert_int_eq(decode_copy(which, phx_buf_head(&buf) + first, first), 0);
        phx_buf_fini(&buf);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, every_message_has_a_name);
    tcase_add_test(tests, fields_arrive_as_they_were);
    tcase_add_test(tests, a_number_below_zero_is_left_out);
    tcase_add_test(tests, spawn_copies_its_strings);
    tcase_add_test(tests, a_spawn_of_nothing_is_refused);
    tcase_add_test(tests, a_queue_tells_places);
    tcase_add_test(tests, a_fork_carries_its_value_unread);
    tcase_add_test(tests, items_are_walked_in_order);
    tcase_add_test(tests, items_of_another_shape_are_refused);
    tcase_add_test(tests, values_out_of_range_are_refused);
    tcase_add_test(tests, every_truncation_and_every_addition_is_refused);
    tcase_add_test(tests, damaged_bodies_never_crash);
    tcase_add_test(tests, random_bytes_never_crash);
    tcase_add_test(tests, an_encoder_appends);
}

int main(void)
{
    return harness_run("msg", 60, add);
}
