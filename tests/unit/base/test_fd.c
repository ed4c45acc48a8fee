#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

START_TEST(descriptors_travel_with_bytes_and_arrive_cloexec)
{
    int pair[2], pipe_fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(pipe(pipe_fds), 0);
    ck_assert_int_eq(phx_fd_write_all(pair[0], "hello", 5, pipe_fds, 2), 0);

    char bytes[16];
    int fds[PHX_FDS_MAX];
    size_t nfds = 99;
    ck_assert_int_eq(phx_fd_read_fds(pair[1], bytes, sizeof bytes, fds, &nfds), 5);
    ck_assert_uint_eq(nfds, 2);
    ck_assert_int_eq(fcntl(fds[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert_int_eq(read(pipe_fds[0], bytes, 1), 1);
}
END_TEST

START_TEST(a_write_larger_than_the_socket_buffer_is_whole)
{
    enum { SIZE = 3 << 20 };
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    char *bytes = malloc(SIZE);
    ck_assert_ptr_nonnull(bytes);
    memset(bytes, 'b', SIZE);
    pid_t child = fork();
    if (child == 0) {
        phx_fd_close(&pair[1]);
        phx_fd_set_nonblocking(pair[0], 1);
        _exit(phx_fd_write_all(pair[0], bytes, SIZE, NULL, 0) == 0 ? 0 : 1);
    }
    phx_fd_close(&pair[0]);
    size_t total = 0, nfds;
    int fds[PHX_FDS_MAX];
    ssize_t got;
    while ((got = phx_fd_read_fds(pair[1], bytes, 65536, fds, &nfds)) > 0)
        total += (size_t)got;
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(total, SIZE);
    free(bytes);
}
END_TEST

START_TEST(a_closed_peer_is_an_error_and_not_a_signal)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    phx_fd_close(&pair[1]);
    ck_assert_int_eq(pair[1], -1);
    ck_assert_int_eq(phx_fd_write_all(pair[0], "x", 1, NULL, 0), -EPIPE);
}
END_TEST

START_TEST(flags_go_on_and_off)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ck_assert_int_eq(phx_fd_set_nonblocking(pair[0], 1), 0);
    char byte;
    int fds[PHX_FDS_MAX];
    size_t nfds;
    ck_assert_int_eq(phx_fd_read_fds(pair[0], &byte, 1, fds, &nfds), -EAGAIN);
    ck_assert_int_eq(phx_fd_set_nonblocking(pair[0], 0), 0);
    ck_assert_int_eq(fcntl(pair[0], F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(phx_fd_set_cloexec(pair[0], 1), 0);
    ck_assert_int_eq(fcntl(pair[0], F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(phx_fd_set_cloexec(-1, 1), -EBADF);
}
END_TEST

START_TEST(closed_standard_descriptors_are_held_for_a_while)
{
    int held[3];
    phx_fd_fill_standard(held);
    ck_assert_int_eq(held[0], -1); /* all three are open here: nothing to do */
    close(STDIN_FILENO);
    close(STDERR_FILENO);
    phx_fd_fill_standard(held);
    int next = dup(STDOUT_FILENO);
    ck_assert_int_eq(held[0], STDIN_FILENO);
    ck_assert_int_eq(held[1], STDERR_FILENO);
    ck_assert_int_eq(held[2], -1);
    ck_assert_int_gt(next, STDERR_FILENO);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, closed_standard_descriptors_are_held_for_a_while);
    tcase_add_test(tests, descriptors_travel_with_bytes_and_arrive_cloexec);
    tcase_add_test(tests, a_write_larger_than_the_socket_buffer_is_whole);
    tcase_add_test(tests, a_closed_peer_is_an_error_and_not_a_signal);
    tcase_add_test(tests, flags_go_on_and_off);
}

int main(void)
{
    return harness_run("fd", 20, add);
}
