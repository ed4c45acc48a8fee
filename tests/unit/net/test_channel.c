#include "net/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "harness.h"

static uv_loop_t loop;
static struct phx_channel channel;
static int peer, calls, closed;

static void on_bytes(struct phx_channel *from)
{
    ck_assert_ptr_eq(from, &channel);
    calls++;
}

static void on_closed(uv_handle_t *handle)
{
    ck_assert_ptr_eq(handle, &channel.poll);
    closed++;
}

static void start(void)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(phx_channel_open(&channel, &loop, pair[0], on_bytes), 0);
    peer = pair[1];
}

static void finish(void)
{
    phx_channel_close(&channel, on_closed);
    ck_assert_int_eq(channel.fd, -1);
    ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
    ck_assert_int_eq(closed, 1);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    phx_fd_close(&peer);
}

static void say(uint16_t type, const char *body, const int *fds, size_t nfds)
{
    ck_assert_int_eq(phx_frame_write(peer, type, body, strlen(body), fds, nfds), 0);
}

static void expect(uint16_t type, const char *body)
{
    struct phx_message msg;
    ck_assert_int_eq(phx_channel_next(&channel, &msg), 1);
    ck_assert_int_eq(msg.type, type);
    ck_assert_uint_eq(msg.size, strlen(body));
    ck_assert_int_eq(memcmp(msg.body, body, msg.size), 0);
}

static void expect_nothing(void)
{
    struct phx_message msg;
    ck_assert_int_eq(phx_channel_next(&channel, &msg), 0);
}

/* One turn, which must not wait for anything that does not come. */
static void turn(void)
{
    uv_run(&loop, UV_RUN_NOWAIT);
}

START_TEST(messages_come_in_order_and_nobody_else_is_called)
{
    start();
    turn();
    expect_nothing();
    ck_assert_int_eq(calls, 0);
    say(1, "one", NULL, 0);
    say(2, "", NULL, 0);
    say(3, "three", NULL, 0);
    expect_nothing(); /* only the loop reads */
    turn();
    ck_assert_int_eq(calls, 1);
    expect(1, "one");
    expect(2, "");
    expect(3, "three");
    expect_nothing();
    ck_assert_int_eq(channel.ended, 0);
    finish();
}
END_TEST

START_TEST(a_message_may_come_in_pieces)
{
    char frame[PHX_FRAME_HEADER + 3] = {3, 0, 0, 0, 9, 0, 0, 0, 'a', 'b', 'c'};
    start();
    for (size_t i = 0; i < sizeof frame; i++) {
        expect_nothing();
        ck_assert_int_eq(write(peer, &frame[i], 1), 1);
        turn();
    }
    expect(9, "abc");
    finish();
}
END_TEST

START_TEST(both_directions_and_a_peer_that_is_gone)
{
    start();
    ck_assert_int_eq(phx_channel_send(&channel, 5, "hello", 5, NULL, 0), 0);
    char bytes[64];
    ck_assert_int_eq(read(peer, bytes, sizeof bytes), PHX_FRAME_HEADER + 5);
    phx_fd_close(&peer);
    ck_assert_int_eq(phx_channel_send(&channel, 5, "hello", 5, NULL, 0), -EPIPE);
    finish();
    ck_assert_int_eq(phx_channel_send(&channel, 5, "hello", 5, NULL, 0), -EPIPE);
    phx_channel_drain(&channel); /* harmless once it is closed */
    phx_channel_close(&channel, NULL);
}
END_TEST

START_TEST(the_end_of_file_comes_after_the_last_message)
{
    start();
    say(1, "last", NULL, 0);
    phx_fd_close(&peer);
    for (int i = 0; i < 4; i++)
        turn();
    ck_assert_int_eq(channel.ended, 1);
    ck_assert_int_eq(channel.error, 0);
    expect(1, "last");
    expect_nothing();
    int before = calls;
    turn(); /* nobody is told of the end again and again */
    turn();
    ck_assert_int_eq(calls, before);
    ck_assert_int_eq(uv_loop_alive(&loop), 0);
    finish();
}
END_TEST

/* The kernel tells this end of a close as an error when the peer had not read everything. */
START_TEST(a_reset_loses_nothing_that_was_written_before)
{
    start();
    ck_assert_int_eq(phx_channel_send(&channel, 5, "never read", 10, NULL, 0), 0);
    for (int i = 0; i < 20; i++) {
        const int fds[5] = {2, 2, 2, 2, 2};
        say(1, "message", fds, 5);
    }
    phx_fd_close(&peer);
    turn();
    for (int i = 0; i < 20; i++) {
        int fds[5];
        expect(1, "message");
        ck_assert_int_eq(phx_inbox_take_fds(&channel.in, fds, 5), 0);
        for (int j = 0; j < 5; j++)
            phx_fd_close(&fds[j]);
        turn();
    }
    expect_nothing();
    ck_assert_int_eq(channel.ended, 1);
    ck_assert_int_eq(channel.error, 0);
    ck_assert_int_eq(uv_loop_alive(&loop), 0);
    finish();
}
END_TEST

START_TEST(bytes_that_are_no_protocol_end_it)
{
    start();
    say(1, "good", NULL, 0);
    ck_assert_int_eq(write(peer, "GET / HTTP/1.1\r\n", 16), 16);
    turn();
    expect(1, "good");
    expect_nothing();
    ck_assert_int_eq(channel.ended, 1);
    ck_assert_int_eq(channel.error, PHX_E_PROTO);
    say(2, "good again", NULL, 0);
    turn();
    expect_nothing();
    phx_channel_drain(&channel);
    expect_nothing();
    ck_assert_int_eq(channel.error, PHX_E_PROTO);
    finish();
}
END_TEST

static int is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* Descriptors that nobody took are closed, and the first free number tells. */
START_TEST(a_rejected_channel_is_deaf_and_keeps_nothing)
{
    start();
    int fds[2] = {peer, peer}, next = dup(peer);
    ck_assert_int_ge(next, 0);
    phx_fd_close(&(int){next});
    say(1, "one", fds, 2);
    say(2, "two", NULL, 0);
    turn();
    ck_assert(is_open(next) && is_open(next + 1));
    expect(1, "one");
    phx_channel_reject(&channel, PHX_E_VERSION);
    ck_assert(!is_open(next) && !is_open(next + 1));
    expect_nothing();
    say(3, "three", NULL, 0);
    int before = calls;
    turn();
    phx_channel_drain(&channel);
    expect_nothing();
    ck_assert_int_eq(calls, before);
    ck_assert_int_eq(channel.ended, 1);
    ck_assert_int_eq(channel.error, PHX_E_VERSION);
    phx_channel_reject(&channel, PHX_E_PROTO); /* the first reason stays */
    ck_assert_int_eq(channel.error, PHX_E_VERSION);
    finish();
}
END_TEST

START_TEST(a_channel_that_had_ended_can_still_be_rejected)
{
    start();
    say(1, "one", NULL, 0);
    say(2, "two", NULL, 0);
    phx_fd_close(&peer);
    for (int i = 0; i < 4; i++)
        turn();
    ck_assert_int_eq(channel.ended, 1);
    expect(1, "one");
    phx_channel_reject(&channel, PHX_E_PROTO);
    expect_nothing();
    ck_assert_int_eq(channel.error, PHX_E_PROTO);
    finish();
}
END_TEST

START_TEST(a_drain_reads_what_has_come_and_does_not_wait)
{
    start();
    for (int i = 0; i < 100; i++)
        say(1, "before", NULL, 0);
    phx_channel_drain(&channel); /* the other end stays open all the time */
    ck_assert_int_eq(channel.ended, 0);
    for (int i = 0; i < 100; i++)
        expect(1, "before");
    expect_nothing();
    ck_assert_int_eq(channel.ended, 1);
    ck_assert_int_eq(channel.error, 0);
    ck_assert_int_eq(calls, 0);
    finish();
}
END_TEST

/* Somebody holds the peer's socket and writes faster than we read: the drain ends all the same. */
START_TEST(a_drain_is_bounded_by_what_had_come)
{
    enum { BEFORE = 50 };
    start();
    for (int i = 0; i < BEFORE; i++)
        say(1, "before", NULL, 0);
    phx_channel_drain(&channel);
    struct phx_message msg;
    int got = 0;
    while (got < 100000 && phx_channel_next(&channel, &msg)) {
        say(2, "later", NULL, 0);
        got += 1;
        if (got <= BEFORE)
            ck_assert_int_eq(msg.type, 1);
    }
    ck_assert_int_ge(got, BEFORE);
    ck_assert_int_lt(got, 10 * BEFORE);
    ck_assert_int_eq(channel.ended, 1);
    finish();
}
END_TEST

START_TEST(a_large_message_is_drained_whole)
{
    enum { SIZE = 3 << 20 };
    char *body = malloc(SIZE);
    memset(body, 'x', SIZE);
    start();
    pid_t writer = fork();
    if (writer == 0) {
        phx_fd_close(&channel.fd);
        _exit(phx_frame_write(peer, 7, body, SIZE, NULL, 0) == 0 ? 0 : 1);
    }
    struct phx_message msg = {0};
    phx_fd_close(&peer);
    while (!phx_channel_next(&channel, &msg) && !channel.ended)
        uv_run(&loop, UV_RUN_ONCE);
    if (channel.ended && msg.size == 0)
        ck_assert_int_eq(phx_channel_next(&channel, &msg), 1);
    ck_assert_uint_eq(msg.size, SIZE);
    ck_assert_int_eq(memcmp(msg.body, body, SIZE), 0);
    free(body);
    finish();
}
END_TEST

START_TEST(what_cannot_be_polled_is_refused_and_closed)
{
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(phx_channel_open(&channel, &loop, file, on_bytes), -EPERM);
    ck_assert(!is_open(file));
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, messages_come_in_order_and_nobody_else_is_called);
    tcase_add_test(tests, a_message_may_come_in_pieces);
    tcase_add_test(tests, both_directions_and_a_peer_that_is_gone);
    tcase_add_test(tests, the_end_of_file_comes_after_the_last_message);
    tcase_add_test(tests, a_reset_loses_nothing_that_was_written_before);
    tcase_add_test(tests, bytes_that_are_no_protocol_end_it);
    tcase_add_test(tests, a_rejected_channel_is_deaf_and_keeps_nothing);
    tcase_add_test(tests, a_channel_that_had_ended_can_still_be_rejected);
    tcase_add_test(tests, a_drain_reads_what_has_come_and_does_not_wait);
    tcase_add_test(tests, a_drain_is_bounded_by_what_had_come);
    tcase_add_test(tests, a_large_message_is_drained_whole);
    tcase_add_test(tests, what_cannot_be_polled_is_refused_and_closed);
}

int main(void)
{
    return harness_run("channel", 20, add);
}
