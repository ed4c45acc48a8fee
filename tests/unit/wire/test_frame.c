#include "wire/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

#include "harness.h"

static void open_pair(int pair[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(phx_fd_set_nonblocking(pair[1], 1), 0);
}

static void put_raw(struct phx_inbox *in, const void *bytes, size_t size)
{
    ck_assert_int_eq(phx_buf_append(&in->raw, bytes, size), 0);
}

/* The bytes on the wire of one message that fits into a socket buffer. */
static size_t wire_bytes(uint16_t type, const char *body, size_t size, char *out, size_t room)
{
    int pair[2];
    open_pair(pair);
    ck_assert_int_eq(phx_frame_write(pair[0], type, body, size, NULL, 0), 0);
    ssize_t got = read(pair[1], out, room);
    ck_assert_int_gt(got, 0);
    close(pair[0]);
    close(pair[1]);
    return (size_t)got;
}

/* Writes from a child what would not fit into the socket buffer. */
static pid_t write_from_child(int pair[2], uint16_t type, const char *body, size_t size)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(phx_frame_write(pair[0], type, body, size, NULL, 0) == 0 ? 0 : 1);
    return child;
}

static void expect_exit_0(pid_t child)
{
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

static char *pattern(size_t size)
{
    char *bytes = malloc(size);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 31 + i / 251);
    return bytes;
}

START_TEST(the_header_is_as_drawn)
{
    char wire[64];
    size_t size = wire_bytes(0x1234, "abc", 3, wire, sizeof wire);
    ck_assert_uint_eq(size, 11);
    ck_assert_int_eq(memcmp(wire, "\x03\0\0\0\x34\x12\0\0abc", 11), 0);
    size = wire_bytes(1, NULL, 0, wire, sizeof wire);
    ck_assert_uint_eq(size, 8);
    ck_assert_int_eq(memcmp(wire, "\0\0\0\0\x01\0\0\0", 8), 0);
}
END_TEST

START_TEST(messages_split_at_every_byte_come_out_whole)
{
    char wire[128];
    size_t size = wire_bytes(7, "first", 5, wire, sizeof wire);
    size += wire_bytes(8, "", 0, wire + size, sizeof wire - size);
    size += wire_bytes(9, "third one", 9, wire + size, sizeof wire - size);
    for (size_t cut = 0; cut <= size; cut++) {
        struct phx_inbox in;
        struct phx_message message[4];
        int count = 0;
        char seen[64] = "";
        phx_inbox_init(&in);
        for (int half = 0; half < 2; half++) {
            put_raw(&in, half ? wire + cut : wire, half ? size - cut : cut);
            int status;
            while ((status = phx_inbox_next(&in, &message[count])) == 1)
                strncat(seen, message[count].body, message[count].size), count++;
            ck_assert_int_eq(status, 0);
        }
        ck_assert_int_eq(count, 3);
        ck_assert_uint_eq(message[0].type, 7);
        ck_assert_uint_eq(message[1].type, 8);
        ck_assert_uint_eq(message[1].size, 0);
        ck_assert_uint_eq(message[2].type, 9);
        ck_assert_str_eq(seen, "firstthird one");
        phx_inbox_fini(&in);
    }
}
END_TEST

/* Every size at which something changes: one write or two, one frame or more. */
START_TEST(bodies_of_every_size_cross)
{
    static const size_t sizes[] = {0,
                                   1,
                                   8191,
                                   8192,
                                   8193,
                                   65536,
                                   PHX_FRAME_MAX - 1,
                                   PHX_FRAME_MAX,
                                   PHX_FRAME_MAX + 1,
                                   3 * PHX_FRAME_MAX,
                                   3 * PHX_FRAME_MAX + 5};
    char *body = pattern(3 * PHX_FRAME_MAX + 5);
    int pair[2];
    open_pair(pair);
    ck_assert_int_eq(phx_fd_set_nonblocking(pair[1], 0), 0);
    struct phx_inbox in;
    phx_inbox_init(&in);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        pid_t child = write_from_child(pair, (uint16_t)(i + 1), body, sizes[i]);
        struct phx_message message;
        int status;
        while ((status = phx_inbox_next(&in, &message)) == 0)
            ck_assert_int_gt(phx_inbox_read(&in, pair[1]), 0);
        ck_assert_int_eq(status, 1);
        ck_assert_uint_eq(message.type, i + 1);
        ck_assert_uint_eq(message.size, sizes[i]);
        ck_assert_int_eq(memcmp(message.body, body, sizes[i]), 0);
        ck_assert_int_eq(phx_inbox_next(&in, &message), 0);
        expect_exit_0(child);
    }
    ck_assert_uint_le(in.joined.capacity, 1 << 21); /* what was large is not kept for ever */
    phx_inbox_fini(&in);
    free(body);
    close(pair[0]);
    close(pair[1]);
}
END_TEST

START_TEST(a_small_message_behind_a_large_one_keeps_its_place)
{
    struct phx_inbox in;
    struct phx_message message;
    phx_inbox_init(&in);
    put_raw(&in, "\x02\0\0\0\x05\0\x01\0ab\x01\0\0\0\x05\0\x01\0c\x01\0\0\0\x05\0\0\0d", 28);
    put_raw(&in, "\x01\0\0\0\x06\0\0\0e", 9);
    ck_assert_int_eq(phx_inbox_next(&in, &message), 1);
    ck_assert_uint_eq(message.type, 5);
    ck_assert_uint_eq(message.size, 4);
    ck_assert_int_eq(memcmp(message.body, "abcd", 4), 0);
    ck_assert_int_eq(phx_inbox_next(&in, &message), 1);
    ck_assert_uint_eq(message.type, 6);
    ck_assert_uint_eq(message.size, 1);
    ck_assert_int_eq(message.body[0], 'e');
    put_raw(&in, "\0\0\0\0\x05\0\x01\0\0\0\0\0\x05\0\0\0", 16); /* two empty frames */
    ck_assert_int_eq(phx_inbox_next(&in, &message), 1);
    ck_assert_uint_eq(message.size, 0);
    ck_assert_ptr_nonnull(message.body);
    put_raw(&in, "\0\0\0\0\x05\0\x01\0\x01\0\0\0\x05\0\0\0f", 17); /* nothing of "abcd" is left */
    ck_assert_int_eq(phx_inbox_next(&in, &message), 1);
    ck_assert_uint_eq(message.size, 1);
    ck_assert_int_eq(message.body[0], 'f');
    phx_inbox_fini(&in);
}
END_TEST

START_TEST(a_message_of_empty_frames_is_empty)
{
    struct phx_inbox in;
    struct phx_message message;
    phx_inbox_init(&in);
    put_raw(&in, "\0\0\0\0\x05\0\x01\0\0\0\0\0\x05\0\0\0", 16);
    ck_assert_int_eq(phx_inbox_next(&in, &message), 1);
    ck_assert_uint_eq(message.size, 0);
    ck_assert_ptr_nonnull(message.body); /* decoders do arithmetic on it */
    phx_inbox_fini(&in);
}
END_TEST

START_TEST(garbage_is_refused_at_once)
{
    static const struct {
        const char *bytes;
        size_t size;
    } garbage[] = {
        {"GET / HTTP/1.1\r\n", 16},
        {"\x01\0\0\0\x01\0\x02\0x", 9},                       /* a flag that is none */
        {"\x01\0\0\0\x01\0\0\x80x", 9},                       /* likewise, in the high byte */
        {"\x01\0\x10\0\x01\0\0\0", 8},                        /* PHX_FRAME_MAX + 1 */
        {"\xff\xff\xff\xff\x01\0\0\0", 8},                    /* 4 GiB */
        {"\x01\0\0\0\x05\0\x01\0a\x01\0\0\0\x06\0\0\0b", 18}, /* goes on as another type */
    };
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        struct phx_inbox in;
        struct phx_message message;
        phx_inbox_init(&in);
        put_raw(&in, garbage[i].bytes, garbage[i].size);
        ck_assert_int_eq(phx_inbox_next(&in, &message), PHX_E_PROTO);
        ck_assert_int_eq(phx_inbox_next(&in, &message), PHX_E_PROTO); /* and stays so */
        phx_inbox_fini(&in);
    }
}
END_TEST

START_TEST(random_bytes_never_crash)
{
    srand(21);
    size_t messages = 0;
    for (int round = 0; round < 50000; round++) {
        struct phx_inbox in;
        struct phx_message message;
        phx_inbox_init(&in);
        int status = 0;
        for (int chunk = 0; chunk < 4 && status >= 0; chunk++) {
            char bytes[32];
            size_t size = (size_t)rand() % sizeof bytes;
            for (size_t i = 0; i < size; i++) /* mostly small numbers, or nothing is a frame */
                bytes[i] = (char)(rand() % 4 ? 0 : rand() % 3);
            put_raw(&in, bytes, size);
            while ((status = phx_inbox_next(&in, &message)) == 1) {
                volatile char last = message.size ? message.body[message.size - 1] : 0;
                (void)last;
                messages++;
            }
            ck_assert(status == 0 || status == PHX_E_PROTO);
        }
        phx_inbox_fini(&in);
    }
    ck_assert_uint_gt(messages, 1000);
}
END_TEST

START_TEST(a_message_too_large_is_not_sent)
{
    int pair[2];
    open_pair(pair);
    size_t size = (size_t)PHX_MESSAGE_MAX + 1;
    ck_assert_int_eq(phx_frame_write(pair[0], 1, "", size, NULL, 0), PHX_E_TOOBIG);
    char byte;
    ck_assert_int_eq(read(pair[1], &byte, 1), -1);
    ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

START_TEST(a_message_too_large_is_not_taken)
{
    struct phx_inbox in;
    struct phx_message message;
    phx_inbox_init(&in);
    size_t frame_size = PHX_FRAME_HEADER + PHX_FRAME_MAX;
    char *frame = calloc(1, frame_size);
    ck_assert_ptr_nonnull(frame);
    memcpy(frame, "\0\0\x10\0\x05\0\x01\0", 8);
    for (int i = 0; i < PHX_MESSAGE_MAX / PHX_FRAME_MAX; i++) {
        put_raw(&in, frame, frame_size);
        ck_assert_int_eq(phx_inbox_next(&in, &message), 0);
    }
    struct phx_inbox full = in; /* PHX_MESSAGE_MAX itself is allowed */
    put_raw(&in, "\x01\0\0\0\x05\0\0\0x", 9);
    ck_assert_int_eq(phx_inbox_next(&in, &message), PHX_E_TOOBIG);
    ck_assert_ptr_eq(full.joined.data, in.joined.data);
    memset(phx_buf_head(&in.raw), 0, 1);
    ck_assert_int_eq(phx_inbox_next(&in, &message), 1);
    ck_assert_uint_eq(message.size, PHX_MESSAGE_MAX);
    phx_inbox_fini(&in);
    free(frame);
}
END_TEST

START_TEST(descriptors_come_in_order)
{
    int pair[2], sent[PHX_FDS_MAX], taken[PHX_FDS_MAX];
    open_pair(pair);
    for (int i = 0; i < PHX_FDS_MAX; i++) {
        sent[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(sent[i], 0);
    }
    struct phx_inbox in;
    phx_inbox_init(&in);
    ck_assert_int_eq(phx_frame_write(pair[0], 1, "a", 1, sent, 2), 0);
    ck_assert_int_eq(phx_frame_write(pair[0], 2, "b", 1, NULL, 0), 0);
    ck_assert_int_eq(phx_frame_write(pair[0], 3, "c", 1, sent, PHX_FDS_MAX), 0);
    ck_assert_int_eq(phx_frame_write(pair[0], 4, "d", 1, sent, PHX_FDS_MAX + 1), -EINVAL);
    while (phx_inbox_read(&in, pair[1]) > 0)
        ;
    struct phx_message message;
    ck_assert_int_eq(phx_inbox_next(&in, &message), 1);
    ck_assert_int_eq(phx_inbox_next(&in, &message), 1);
    ck_assert_uint_eq(message.type, 2);
    ck_assert_uint_eq(in.nfds, 2 + PHX_FDS_MAX);
    ck_assert_int_eq(phx_inbox_take_fds(&in, taken, 2), 0);
    ck_assert_int_eq(fcntl(taken[1], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    int third = in.fds[0];
    ck_assert_int_eq(phx_inbox_take_fds(&in, taken, PHX_FDS_MAX + 1), PHX_E_PROTO);
    ck_assert_int_eq(phx_inbox_take_fds(&in, taken, 1), 0);
    ck_assert_int_eq(taken[0], third);
    ck_assert_int_eq(phx_inbox_take_fds(&in, NULL, 0), 0);
    int left = in.fds[0];
    phx_inbox_fini(&in);
    ck_assert_int_eq(fcntl(left, F_GETFD), -1); /* closed, since nobody took it */
    ck_assert_int_ne(fcntl(third, F_GETFD), -1);
}
END_TEST

/* The descriptors of a message of several frames come once, with its first byte. */
START_TEST(descriptors_of_a_large_message_come_once)
{
    enum { SIZE = 2 * PHX_FRAME_MAX + 1 };
    char *body = pattern(SIZE);
    int pair[2];
    open_pair(pair);
    ck_assert_int_eq(phx_fd_set_nonblocking(pair[1], 0), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(phx_frame_write(pair[0], 3, body, SIZE, pair, 2) == 0 ? 0 : 1);
    struct phx_inbox in;
    struct phx_message message;
    phx_inbox_init(&in);
    ck_assert_int_gt(phx_inbox_read(&in, pair[1]), 0);
    ck_assert_uint_eq(in.nfds, 2);
    while (phx_inbox_next(&in, &message) == 0)
        ck_assert_int_gt(phx_inbox_read(&in, pair[1]), 0);
    ck_assert_uint_eq(message.size, SIZE);
    ck_assert_uint_eq(in.nfds, 2);
    expect_exit_0(child);
    phx_inbox_fini(&in);
    free(body);
}
END_TEST

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 512; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

START_TEST(a_flood_of_descriptors_is_refused_and_closed)
{
    int pair[2], sent[PHX_FDS_MAX];
    open_pair(pair);
    for (int i = 0; i < PHX_FDS_MAX; i++)
        sent[i] = pair[0];
    struct phx_inbox in;
    phx_inbox_init(&in);
    int before = open_descriptors();
    int status = 0;
    for (int i = 0; i <= PHX_INBOX_FDS_MAX / PHX_FDS_MAX; i++) {
        ck_assert_int_ge(status, 0);
        ck_assert_int_eq(phx_frame_write(pair[0], 1, "x", 1, sent, PHX_FDS_MAX), 0);
        status = phx_inbox_read(&in, pair[1]);
    }
    ck_assert_int_eq(status, PHX_E_PROTO);
    ck_assert_uint_eq(in.nfds, PHX_INBOX_FDS_MAX);
    ck_assert_int_eq(open_descriptors(), before + PHX_INBOX_FDS_MAX);
    phx_inbox_fini(&in);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

START_TEST(a_pipe_serves_as_a_channel)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    struct phx_inbox in;
    struct phx_message message;
    phx_inbox_init(&in);
    ck_assert_int_eq(phx_inbox_read(&in, ends[0]), -EAGAIN);
    ck_assert_int_eq(phx_frame_write(ends[1], 3, "pipe", 4, NULL, 0), 0);
    ck_assert_int_eq(phx_inbox_read(&in, ends[0]), 12);
    ck_assert_int_eq(phx_inbox_next(&in, &message), 1);
    ck_assert_int_eq(memcmp(message.body, "pipe", 4), 0);
    close(ends[1]);
    ck_assert_int_eq(phx_inbox_read(&in, ends[0]), 0);
    ck_assert_int_eq(phx_inbox_read(&in, -1), -EBADF);
    phx_inbox_fini(&in);
}
END_TEST

START_TEST(a_closed_peer_is_told)
{
    int pair[2];
    open_pair(pair);
    struct phx_inbox in;
    phx_inbox_init(&in);
    ck_assert_int_eq(phx_inbox_read(&in, pair[1]), -EAGAIN);
    close(pair[0]);
    ck_assert_int_eq(phx_inbox_read(&in, pair[1]), 0);
    ck_assert_int_eq(phx_frame_write(pair[1], 1, "x", 1, NULL, 0), -EPIPE);
    phx_inbox_fini(&in);
}
END_TEST

START_TEST(one_read_takes_many_messages)
{
    int pair[2];
    open_pair(pair);
    char body[1000] = {0};
    for (int i = 0; i < 64; i++)
        ck_assert_int_eq(phx_frame_write(pair[0], 1, body, sizeof body, NULL, 0), 0);
    struct phx_inbox in;
    struct phx_message message;
    phx_inbox_init(&in);
    ck_assert_int_eq(phx_inbox_read(&in, pair[1]), 64 * 1008);
    for (int i = 0; i < 64; i++)
        ck_assert_int_eq(phx_inbox_next(&in, &message), 1);
    ck_assert_int_eq(phx_inbox_next(&in, &message), 0);
    phx_inbox_fini(&in);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, the_header_is_as_drawn);
    tcase_add_test(tests, messages_split_at_every_byte_come_out_whole);
    tcase_add_test(tests, bodies_of_every_size_cross);
    tcase_add_test(tests, a_small_message_behind_a_large_one_keeps_its_place);
    tcase_add_test(tests, a_message_of_empty_frames_is_empty);
    tcase_add_test(tests, garbage_is_refused_at_once);
    tcase_add_test(tests, random_bytes_never_crash);
    tcase_add_test(tests, a_message_too_large_is_not_sent);
    tcase_add_test(tests, a_message_too_large_is_not_taken);
    tcase_add_test(tests, descriptors_come_in_order);
    tcase_add_test(tests, descriptors_of_a_large_message_come_once);
    tcase_add_test(tests, a_flood_of_descriptors_is_refused_and_closed);
    tcase_add_test(tests, a_pipe_serves_as_a_channel);
    tcase_add_test(tests, a_closed_peer_is_told);
    tcase_add_test(tests, one_read_takes_many_messages);
}

int main(void)
{
    return harness_run("frame", 60, add);
}
