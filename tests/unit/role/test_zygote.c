/* The test plays the controller at the other end of the zygote's channel. */
#include "role/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "harness.h"
#include "os/pidfd.h"
#include "os/shm.h"
#include "queue/runq_fixture.h"
#include "wire/msg.h"

static struct phx_zygote zygote;
static struct phx_runq queue;
static void *mem;
static size_t size;
static int peer, queue_fd;
static struct phx_inbox in;
static struct phx_message msg; /* received last */

static void start(void)
{
    struct fixture f;
    int pair[2];
    struct phx_err err = {0};
    fixture_plan(&f.plan, 10, 2, 1);
    size = phx_runq_size(&f.plan, 4, 0);
    ck_assert_int_ge(queue_fd = phx_shm_create("test", size, NULL), 0);
    ck_assert_int_eq(phx_shm_map(queue_fd, 0, &mem, &size, NULL), 0);
    ck_assert_int_eq(phx_runq_init(&queue, mem, size, &f.plan, 4, 0), 0);
    phx_plan_fini(&f.plan);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    fcntl(pair[0], F_SETFD, FD_CLOEXEC);
    peer = pair[0];
    phx_inbox_init(&in);
    ck_assert_int_eq(phx_zygote_open(&zygote, pair[1], &err), 0);
    ck_assert_int_ne(fcntl(pair[1], F_GETFD) & FD_CLOEXEC, 0);
}

static void finish(void)
{
    for (size_t i = 0; i < zygote.nchildren; i++)
        phx_fd_close(&zygote.children[i].pidfd);
    free(zygote.children);
    phx_inbox_fini(&zygote.in);
    phx_inbox_fini(&in);
    phx_shm_unmap(mem, size);
    phx_fd_close(&zygote.channel);
    phx_fd_close(&peer);
    phx_fd_close(&queue_fd);
}

static void receive(uint16_t type)
{
    int status;
    while ((status = phx_inbox_next(&in, &msg)) == 0)
        ck_assert_int_gt(phx_inbox_read(&in, peer), 0);
    ck_assert_int_eq(status, 1);
    ck_assert_str_eq(phx_msg_name(msg.type), phx_msg_name(type));
}

static void ask_for(uint32_t number)
{
    struct phx_buf body;
    phx_buf_init(&body);
    ck_assert_int_eq(phx_msg_put_fork(&body, number, "\xa5input", 6), 0);
    ck_assert_int_eq(
        phx_frame_write(peer, PHX_MSG_FORK, phx_buf_head(&body), phx_buf_size(&body), NULL, 0), 0);
    phx_buf_fini(&body);
}

static void send_queue(int fd)
{
    struct phx_buf body;
    phx_buf_init(&body);
    ck_assert_int_eq(phx_msg_put_queue(&body, NULL, 0), 0);
    ck_assert_int_eq(
        phx_frame_write(fd, PHX_MSG_QUEUE, phx_buf_head(&body), phx_buf_size(&body), &queue_fd, 1),
        0);
    phx_buf_fini(&body);
}

static void send_number(int fd, uint16_t type, uint64_t number)
{
    struct phx_buf body;
    phx_buf_init(&body);
    ck_assert_int_eq(phx_msg_put_number(&body, number), 0);
    ck_assert_int_eq(phx_frame_write(fd, type, phx_buf_head(&body), phx_buf_size(&body), NULL, 0),
                     0);
    phx_buf_fini(&body);
}

static void serve(uint16_t type)
{
    struct phx_zygote_request request;
    ck_assert_int_eq(phx_zygote_serve(&zygote, &request), 0);
    ck_assert_int_eq(request.type, type);
    if (type != PHX_MSG_FORK)
        return;
    ck_assert_uint_eq(request.size, 6);
    ck_assert_int_eq(memcmp(request.value, "\xa5input", 6), 0);
}

/* A number that was closed may be that of the run queue by now, if QUEUE came along with GO. */
static int is_socket(int fd)
{
    struct stat info;
    return fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode);
}

/* In the child: becomes a worker, checks what it finds, runs one test. Its exit status is 0, or a
 * bit set for each thing that is wrong. */
_Noreturn static void be_worker(uint32_t number)
{
    struct phx_worker worker;
    struct phx_birth birth;
    uint32_t test;
    int zygote_channel = zygote.channel, controllers_end = zygote.birth.channel[0];
    if (phx_zygote_become_worker(&zygote, &worker, &birth, NULL) < 0)
        _exit(100);
    int wrong = (getpgrp() != getpid()) | (worker.number != number) << 1 |
                is_socket(zygote_channel) << 2 | is_socket(controllers_end) << 3 |
                (zygote.nchildren != 0 || zygote.channel != -1) << 4 |
                (birth.channel[0] != -1 || birth.channel[1] != -1) << 5 |
                (write(birth.out, "out", 3) != 3) << 6;
    uint32_t *places;
    size_t nplaces;
    if (phx_worker_await_queue(&worker, &places, &nplaces, NULL) != 1 ||
        phx_worker_claim(&worker, &test) != 1 || phx_worker_start(&worker) != 0 ||
        phx_worker_end(&worker) != 0)
        wrong |= 128;
    _exit(wrong);
}

static pid_t fork_worker(uint32_t number)
{
    ck_assert_int_eq(phx_zygote_prepare(&zygote, number, NULL), 0);
    pid_t pid = fork();
    if (pid == 0)
        be_worker(number);
    ck_assert_int_eq(phx_zygote_settle(&zygote, pid), 0);
    ck_assert_int_eq(zygote.birth.channel[0], -1);
    return pid;
}

static void expect_forked(uint32_t number, pid_t pid, int fds[5])
{
    struct phx_msg_forked forked;
    receive(PHX_MSG_FORKED);
    ck_assert_int_eq(phx_msg_get_forked(msg.body, msg.size, &forked), 0);
    ck_assert_uint_eq(forked.number, number);
    ck_assert_int_eq((pid_t)forked.pid, pid);
    ck_assert_int_eq(phx_inbox_take_fds(&in, fds, 5), 0);
}

static pid_t start_with_a_worker(int fds[5])
{
    start();
    receive(PHX_MSG_HELLO);
    ask_for(0);
    serve(PHX_MSG_FORK);
    pid_t pid = fork_worker(0);
    expect_forked(0, pid, fds);
    return pid;
}

static void close_all(int fds[5])
{
    for (int i = 0; i < 5; i++)
        phx_fd_close(&fds[i]);
}

static int expect_exited(uint32_t number, pid_t pid)
{
    struct phx_msg_exit ended;
    receive(PHX_MSG_EXITED);
    ck_assert_int_eq(phx_msg_get_exit(msg.body, msg.size, &ended), 0);
    ck_assert_int_eq(ended.number, (int)number);
    ck_assert_int_eq((pid_t)ended.pid, pid);
    return ended.status;
}

START_TEST(a_worker_is_made_known_let_go_and_reaped)
{
    int fds[5];
    char text[8];
    struct stat info;
    start();
    receive(PHX_MSG_HELLO);
    struct phx_msg_hello hello;
    ck_assert_int_eq(phx_msg_get_hello(msg.body, msg.size, &hello), 0);
    ck_assert_str_eq(hello.role, "zygote");
    ck_assert_int_eq(phx_frame_write(peer, PHX_MSG_SETUP, "\xc0", 1, NULL, 0), 0);
    serve(PHX_MSG_SETUP);
    ask_for(1);
    serve(PHX_MSG_FORK);
    pid_t pid = fork_worker(1);
    expect_forked(1, pid, fds);
    ck_assert_int_eq(phx_pidfd_wait(fds[0], 50 * PHX_MS), 0);
    ck_assert_uint_eq(phx_runq_left(&queue), 10); /* it waits for GO */
    send_number(fds[1], PHX_MSG_GO, 1);
    send_queue(fds[1]);
    ck_assert_int_eq(phx_pidfd_wait(fds[0], 10 * PHX_S), 1);
    ck_assert_uint_eq(phx_runq_left(&queue), 9);
    ck_assert_int_eq(fstat(fds[2], &info), 0);
    ck_assert_int_eq(pread(fds[2], text, sizeof text, 0), 3);

    send_number(peer, PHX_MSG_END, 0); /* it reaps while it serves, and tells first */
    serve(PHX_MSG_END);
    ck_assert_int_eq(expect_exited(1, pid), 0);
    ck_assert_uint_eq(zygote.nchildren, 0);
    ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), -1);
    close_all(fds);
    finish();
}
END_TEST

/* What would let a worker claim tests that nobody hears of. */
START_TEST(a_worker_that_is_not_let_go_leaves)
{
    int fds[5], status;
    pid_t pid = start_with_a_worker(fds);
    switch (_i) {
    case 0: /* the controller closes its end; so does a FORKED that nobody takes */
        phx_fd_close(&fds[1]);
        break;
    case 1:
        send_number(fds[1], PHX_MSG_GO, 1); /* another's */
        break;
    case 2:
        send_number(fds[1], PHX_MSG_END, 0);
        break;
    case 3:
        ck_assert_int_eq(write(fds[1], "GET / HTTP/1.1\r\n", 16), 16);
        break;
    case 4:
        ck_assert_int_eq(phx_frame_write(fds[1], PHX_MSG_GO, "\xc0", 1, NULL, 0), 0);
        break;
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 100 << 8);
    ck_assert_uint_eq(phx_runq_left(&queue), 10);
    close_all(fds);
    finish();
}
END_TEST

START_TEST(several_workers_and_how_they_ended)
{
    int fds[4][5];
    pid_t pids[4];
    start();
    receive(PHX_MSG_HELLO);
    for (uint32_t i = 0; i < 4; i++) {
        ask_for(i);
        serve(PHX_MSG_FORK);
        pids[i] = fork_worker(i);
        expect_forked(i, pids[i], fds[i]);
    }
    ck_assert_uint_eq(zygote.nchildren, 4);
    ck_assert_int_eq(kill(pids[2], SIGKILL), 0);
    ck_assert_int_eq(kill(-pids[1], SIGUSR1), 0); /* each leads its group */
    ck_assert_int_eq(phx_pidfd_wait(fds[2][0], 10 * PHX_S), 1);
    ck_assert_int_eq(phx_pidfd_wait(fds[1][0], 10 * PHX_S), 1);
    send_number(peer, PHX_MSG_END, 0);
    serve(PHX_MSG_END);
    ck_assert_uint_eq(zygote.nchildren, 2);
    for (int i = 0; i < 2; i++) {
        struct phx_msg_exit ended;
        receive(PHX_MSG_EXITED);
        ck_assert_int_eq(phx_msg_get_exit(msg.body, msg.size, &ended), 0);
        ck_assert(ended.number == 1 || ended.number == 2);
        ck_assert_int_eq(ended.status, ended.number == 1 ? SIGUSR1 : SIGKILL);
    }
    for (uint32_t i = 0; i < 4; i++) {
        kill(pids[i], SIGKILL);
        close_all(fds[i]);
    }
    finish();
}
END_TEST

/* In a child that plays an interpreter: it was asked to be a worker itself. */
_Noreturn static void turn(void)
{
    struct phx_zygote_request request;
    struct phx_worker worker;
    struct phx_birth birth;
    uint32_t test, *places;
    size_t nplaces;
    if (phx_zygote_serve(&zygote, &request) != 0 || request.type != PHX_MSG_BECOME ||
        phx_zygote_prepare(&zygote, request.number, NULL) < 0 ||
        phx_zygote_turn_worker(&zygote, &worker, &birth, NULL) < 0)
        _exit(100);
    _exit(worker.number != 3 || zygote.channel != -1 || write(birth.out, "out", 3) != 3 ||
          phx_worker_await_queue(&worker, &places, &nplaces, NULL) != 1 ||
          phx_worker_claim(&worker, &test) != 1);
}

START_TEST(an_interpreter_becomes_a_worker_without_a_fork)
{
    int fds[5], status;
    start();
    receive(PHX_MSG_HELLO);
    pid_t pid = fork();
    if (pid == 0) {
        phx_fd_close(&peer);
        turn();
    }
    phx_fd_close(&zygote.channel);
    struct phx_buf body;
    phx_buf_init(&body);
    ck_assert_int_eq(phx_msg_put_fork(&body, 3, "\xa5input", 6), 0);
    ck_assert_int_eq(
        phx_frame_write(peer, PHX_MSG_BECOME, phx_buf_head(&body), phx_buf_size(&body), NULL, 0),
        0);
    phx_buf_fini(&body);
    expect_forked(3, pid, fds);
    ck_assert_int_eq(phx_pidfd_wait(fds[0], 50 * PHX_MS), 0);
    ck_assert_uint_eq(phx_runq_left(&queue), 10); /* it waits for GO */
    if (_i) {                                     /* which never comes */
        phx_fd_close(&fds[1]);
    } else {
        send_number(fds[1], PHX_MSG_GO, 3);
        send_queue(fds[1]);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, _i ? 100 << 8 : 0);
    ck_assert_uint_eq(phx_runq_left(&queue), _i ? 10 : 9);
    close_all(fds);
    finish();
}
END_TEST

static void on_signal(int number)
{
    (void)number;
}

START_TEST(an_interrupted_wait_goes_on)
{
    start();
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART */
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    pid_t zygote_pid = getpid(), child = fork();
    if (child == 0) {
        for (int i = 0; i < 3; i++) {
            phx_clock_sleep(30 * PHX_MS);
            kill(zygote_pid, SIGUSR1);
        }
        send_number(peer, PHX_MSG_END, 0);
        _exit(0);
    }
    serve(PHX_MSG_END);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    finish();
}
END_TEST

START_TEST(somebody_elses_waitpid_does_no_harm)
{
    int fds[5];
    pid_t pid = start_with_a_worker(fds);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(-1, NULL, 0), pid);
    send_number(peer, PHX_MSG_END, 0);
    serve(PHX_MSG_END);
    ck_assert_uint_eq(zygote.nchildren, 0);
    phx_fd_close(&zygote.channel);
    ck_assert_int_eq(phx_inbox_read(&in, peer), 0); /* and tells of no status that it has not got */
    close_all(fds);
    finish();
}
END_TEST

START_TEST(the_end_of_the_controller_is_the_end)
{
    start();
    phx_fd_close(&peer);
    serve(PHX_MSG_END);
    finish();
}
END_TEST

START_TEST(what_a_zygote_is_not_asked_is_refused)
{
    struct phx_zygote_request request;
    start();
    switch (_i) {
    case 0:
        send_number(peer, PHX_MSG_COLLECTED, 1);
        break;
    case 1:
        ck_assert_int_eq(phx_frame_write(peer, PHX_MSG_FORK, "\xc0", 1, NULL, 0), 0);
        break;
    case 2:
        ck_assert_int_eq(write(peer, "GET / HTTP/1.1\r\n", 16), 16);
        break;
    }
    ck_assert_int_eq(phx_zygote_serve(&zygote, &request), PHX_E_PROTO);
    finish();
}
END_TEST

static void expect_failure(uint32_t number, const char *text)
{
    struct phx_msg_text failure;
    receive(PHX_MSG_FORK_FAILED);
    ck_assert_int_eq(phx_msg_get_text(msg.body, msg.size, &failure), 0);
    ck_assert_int_eq(failure.number, (int)number);
    ck_assert_ptr_nonnull(strstr(failure.text, text));
}

START_TEST(a_failed_fork_is_told)
{
    start();
    receive(PHX_MSG_HELLO);
    ck_assert_int_eq(phx_zygote_prepare(&zygote, 3, NULL), 0);
    ck_assert_int_eq(phx_zygote_settle(&zygote, -EAGAIN), 0);
    expect_failure(3, "Resource temporarily unavailable");
    ck_assert_int_eq(zygote.birth.out, -1);
    ck_assert_uint_eq(zygote.nchildren, 0);
    ck_assert_int_eq(phx_zygote_report_failure(&zygote, 2, "for a reason"), 0);
    expect_failure(2, "for a reason");
    finish();
}
END_TEST

/* With 0 to 4 descriptors free the fork does not happen, and none is lost; with 5, the child is
 * there already when its pidfd cannot be had: it is ended, not left to itself. */
START_TEST(a_lack_of_descriptors_leaves_nothing)
{
    struct phx_err err = {0};
    struct rlimit limit;
    start();
    receive(PHX_MSG_HELLO);
    ask_for(0);
    serve(PHX_MSG_FORK);
    int free_fds[6], next;
    for (int i = 0; i <= 5; i++)
        ck_assert_int_ge(free_fds[i] = dup(peer), 0);
    next = free_fds[0];
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)free_fds[_i]; /* the first number that is not to be had */
    for (int i = 0; i <= 5; i++)
        phx_fd_close(&free_fds[i]);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (_i < 5) {
        ck_assert_int_eq(phx_zygote_prepare(&zygote, 0, &err), -EMFILE);
        ck_assert_ptr_nonnull(strstr(err.text, "Too many open files"));
    } else {
        pid_t pid = fork_worker(0);
        expect_failure(0, "Too many open files");
        ck_assert_int_eq(kill(pid, 0), -1);
        ck_assert_int_eq(waitpid(pid, NULL, 0), -1);
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    ck_assert_uint_eq(zygote.nchildren, 0);
    int again = dup(peer);
    ck_assert_int_eq(again, next);
    phx_fd_close(&again);
    finish();
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_worker_is_made_known_let_go_and_reaped);
    tcase_add_loop_test(tests, a_worker_that_is_not_let_go_leaves, 0, 5);
    tcase_add_test(tests, several_workers_and_how_they_ended);
    tcase_add_loop_test(tests, an_interpreter_becomes_a_worker_without_a_fork, 0, 2);
    tcase_add_test(tests, an_interrupted_wait_goes_on);
    tcase_add_test(tests, somebody_elses_waitpid_does_no_harm);
    tcase_add_test(tests, the_end_of_the_controller_is_the_end);
    tcase_add_loop_test(tests, what_a_zygote_is_not_asked_is_refused, 0, 3);
    tcase_add_test(tests, a_failed_fork_is_told);
    tcase_add_loop_test(tests, a_lack_of_descriptors_leaves_nothing, 0, 6);
}

int main(void)
{
    return harness_run("zygote", 20, add);
}
