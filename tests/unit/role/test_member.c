#include "role/member.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "harness.h"
#include "os/pidfd.h"
#include "os/shm.h"

static uv_loop_t loop;
static struct phx_member *member;
static pid_t child;
static int fds[5], peer, nbytes, ngone;

static void on_bytes(struct phx_channel *channel)
{
    ck_assert_ptr_eq(channel, member);
    nbytes++;
}

static void on_gone(struct phx_watch *watch)
{
    ck_assert_ptr_eq(watch, &member->watch);
    ngone++;
}

static void make_parts(void)
{
    int pair[2];
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    child = fork();
    if (child == 0) {
        close(pair[0]);
        close(pair[1]);
        for (;;)
            pause();
    }
    fds[0] = phx_pidfd_open(child, NULL);
    fds[1] = pair[0];
    peer = pair[1];
    for (int i = 2; i < 5; i++)
        ck_assert_int_ge(fds[i] = phx_shm_file("test", NULL), 0);
    ck_assert_int_ge(fds[0], 0);
    member = phx_member_new(NULL, 7);
    ck_assert_ptr_nonnull(member);
}

static void check_all_closed(void)
{
    for (int i = 0; i < 5; i++)
        ck_assert_int_lt(fcntl(fds[i], F_GETFD), 0);
}

static void finish(void)
{
    ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
    phx_member_free(member);
    check_all_closed();
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    phx_fd_close(&peer);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

START_TEST(a_new_member_holds_nothing)
{
    member = phx_member_new(NULL, 7);
    char bytes[8];
    ck_assert_uint_eq(member->number, 7);
    ck_assert_int_eq(member->state, PHX_MEMBER_ASKED);
    ck_assert_int_eq(member->channel.fd, -1);
    for (int i = 0; i < PHX_TEXT_COUNT; i++)
        ck_assert_uint_eq(
            phx_member_last_words(member, (enum phx_member_text)i, bytes, sizeof bytes), 0);
    /* Nobody there: above all not descriptor 0, nor process group 0, which is ours. */
    ck_assert_int_eq(phx_watch_signal(&member->watch, SIGKILL, 1), -ESRCH);
    ck_assert_int_eq(phx_channel_send(&member->channel, 1, "", 0, NULL, 0), -EPIPE);
    phx_channel_drain(&member->channel);
    phx_member_down(member);
    ck_assert_int_eq(member->state, PHX_MEMBER_DOWN);
    phx_member_free(member);
    phx_member_free(NULL);
}
END_TEST

START_TEST(up_hears_it_and_sees_it_die_and_down_keeps_its_words)
{
    char bytes[64];
    make_parts();
    ck_assert_int_eq(phx_member_up(member, &loop, child, fds, on_bytes, on_gone), 0);
    ck_assert_int_eq(member->state, PHX_MEMBER_UP);
    ck_assert_int_eq(phx_frame_write(peer, 3, "hi", 2, NULL, 0), 0);
    uv_run(&loop, UV_RUN_ONCE);
    ck_assert_int_eq(nbytes, 1);
    ck_assert_int_eq(ngone, 0);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    while (!ngone)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_int_eq(write(fds[2], "out", 3), 3);
    phx_member_down(member);
    ck_assert_int_eq(member->state, PHX_MEMBER_DOWN);
    ck_assert_int_lt(fcntl(fds[0], F_GETFD), 0);
    ck_assert_int_lt(fcntl(fds[1], F_GETFD), 0);
    ck_assert_uint_eq(phx_member_last_words(member, PHX_TEXT_OUT, bytes, sizeof bytes), 3);
    phx_member_down(member); /* again is fine */
    finish();
}
END_TEST

START_TEST(last_words_are_the_last)
{
    char text[1000], bytes[2000];
    make_parts();
    ck_assert_int_eq(phx_member_up(member, &loop, child, fds, on_bytes, on_gone), 0);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 26);
    ck_assert_int_eq(write(fds[3], text, sizeof text), sizeof text);
    ck_assert_uint_eq(phx_member_last_words(member, PHX_TEXT_OUT, bytes, sizeof bytes), 0);
    size_t sizes[] = {0, 1, 999, 1000, 1001, 2000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t expected = sizes[i] < sizeof text ? sizes[i] : sizeof text;
        memset(bytes, '#', sizeof bytes);
        ck_assert_uint_eq(phx_member_last_words(member, PHX_TEXT_ERR, bytes, sizes[i]), expected);
        ck_assert_int_eq(memcmp(bytes, text + sizeof text - expected, expected), 0);
        if (expected < sizeof bytes)
            ck_assert_int_eq(bytes[expected], '#');
    }
    /* The worker goes on writing at its own place. */
    ck_assert_int_eq(lseek(fds[3], 0, SEEK_CUR), sizeof text);
    phx_member_down(member);
    finish();
}
END_TEST

/* What a broken zygote may send in place of a channel or a pidfd: all of it is closed, the worker
 * does not go on unseen. */
START_TEST(a_member_that_cannot_be_watched_is_taken_apart)
{
    make_parts();
    phx_fd_close(&fds[_i]);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(file, fds[_i] = file);
    ck_assert_int_eq(phx_member_up(member, &loop, child, fds, on_bytes, on_gone), -EPERM);
    ck_assert_int_eq(member->state, PHX_MEMBER_ASKED);
    char byte;
    if (_i == 1) {
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, SIGKILL);
    } else {
        ck_assert_int_eq(read(peer, &byte, 1), 0);
    }
    finish();
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_new_member_holds_nothing);
    tcase_add_test(tests, up_hears_it_and_sees_it_die_and_down_keeps_its_words);
    tcase_add_test(tests, last_words_are_the_last);
    tcase_add_loop_test(tests, a_member_that_cannot_be_watched_is_taken_apart, 0, 2);
}

int main(void)
{
    return harness_run("member", 20, add);
}
