#include "role/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "harness.h"
#include "os/shm.h"
#include "queue/runq_fixture.h"
#include "wire/frame.h"
#include "wire/msg.h"

enum { NTESTS = 6 };

static struct phx_worker worker;
static struct phx_runq queue; /* the controller's handle */
static void *mem;
static size_t size;
static int queue_fd, peer;
static struct phx_inbox in;

/* A run queue for two workers in shared memory, the controller's handle on it, and worker 0. Test
 * NTESTS - 1 is at position 0 (runq_fixture.h). */
static void start_and(int joins)
{
    struct fixture f;
    int pair[2];
    fixture_plan(&f.plan, NTESTS, 1, 1);
    size = phx_runq_size(&f.plan, 2, 0);
    ck_assert_int_ge(queue_fd = phx_shm_create("test", size, NULL), 0);
    ck_assert_int_eq(phx_shm_map(queue_fd, 0, &mem, &size, NULL), 0);
    ck_assert_int_eq(phx_runq_init(&queue, mem, size, &f.plan, 2, 0), 0);
    phx_plan_fini(&f.plan);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    peer = pair[0];
    phx_inbox_init(&in);
    struct phx_err err = {0};
    ck_assert_msg(phx_worker_arm(&worker, 0, pair[1], NULL, &err) == 0, "%s", err.text);
    if (joins)
        ck_assert_msg(phx_worker_join(&worker, queue_fd, &err) == 0, "%s", err.text);
}

static void start(void)
{
    start_and(1);
}

static void finish(void)
{
    phx_shm_unmap(worker.mem, worker.mem_size);
    phx_shm_unmap(mem, size);
    phx_fd_close(&worker.channel);
    phx_fd_close(&queue_fd);
    phx_fd_close(&peer);
    phx_inbox_fini(&in);
    phx_inbox_fini(&worker.in);
}

static void receive(uint16_t type, struct phx_message *out)
{
    int status;
    while ((status = phx_inbox_next(&in, out)) == 0)
        ck_assert_int_gt(phx_inbox_read(&in, peer), 0);
    ck_assert_int_eq(status, 1);
    ck_assert_int_eq(out->type, type);
}

START_TEST(it_says_hello_and_joins)
{
    struct phx_message msg;
    struct phx_msg_hello hello;
    start();
    receive(PHX_MSG_HELLO, &msg);
    ck_assert_int_eq(phx_msg_get_hello(msg.body, msg.size, &hello), 0);
    ck_assert_uint_eq(hello.version, PHX_PROTOCOL_VERSION);
    ck_assert_uint_eq(hello.pid, (uint32_t)getpid());
    ck_assert_str_eq(hello.role, "gw0");
    ck_assert_int_ge(fcntl(queue_fd, F_GETFD), 0); /* stays ours */
    ck_assert_int_eq(phx_worker_send(&worker, PHX_MSG_REPORT, "body", 4), 0);
    receive(PHX_MSG_REPORT, &msg);
    ck_assert_uint_eq(msg.size, 4);
    phx_fd_close(&peer);
    ck_assert_int_eq(phx_worker_send(&worker, PHX_MSG_REPORT, "body", 4), -EPIPE);
    finish();
}
END_TEST

START_TEST(the_life_of_a_test_is_in_the_ledger)
{
    uint32_t test;
    struct phx_runq_view view;
    start();
    ck_assert_int_eq(phx_worker_claim(&worker, &test), 1);
    ck_assert_uint_eq(test, NTESTS - 1);
    ck_assert_int_eq(phx_runq_state(&queue, 0), PHX_RUNQ_CLAIMED);
    phx_ns before = phx_clock_now();
    ck_assert_int_eq(phx_worker_start(&worker), 0);
    ck_assert_int_eq(phx_runq_state(&queue, 0), PHX_RUNQ_STARTED);
    phx_clock_sleep(PHX_MS);
    ck_assert_int_eq(phx_worker_phase(&worker, PHX_PHASE_CALL, -1), 0);
    phx_runq_look(&queue, 0, &view);
    ck_assert_int_eq(view.running, 0);
    ck_assert_int_eq(view.phase, PHX_PHASE_CALL);
    ck_assert_int_eq(phx_worker_claim(&worker, &test), 1); /* the next one, while this one runs */
    ck_assert_uint_eq(test, NTESTS - 2);
    ck_assert_int_eq(phx_worker_end(&worker), 0);
    ck_assert_int_eq(phx_runq_state(&queue, 0), PHX_RUNQ_ENDED);
    ck_assert_int_eq(phx_runq_state(&queue, 1), PHX_RUNQ_CLAIMED);
    struct phx_runq_timing timing;
    ck_assert_int_eq(phx_runq_timing(&queue, 0, &timing), 1);
    ck_assert_uint_eq(timing.worker, 0);
    ck_assert_int_ge(timing.started, before);
    ck_assert_uint_gt(timing.phase_us[PHX_PHASE_SETUP], 0);
    ck_assert_uint_ge(timing.total_us, timing.phase_us[PHX_PHASE_SETUP]);
    for (int i = 1; i < NTESTS; i++) {
        ck_assert_int_eq(phx_worker_start(&worker), 0);
        ck_assert_int_eq(phx_worker_claim(&worker, &test), i < NTESTS - 1);
        ck_assert_int_eq(phx_worker_end(&worker), 0);
    }
    ck_assert_int_eq(phx_worker_claim(&worker, &test), 0);
    for (uint32_t i = 0; i < NTESTS; i++)
        ck_assert_int_eq(phx_runq_state(&queue, i), PHX_RUNQ_ENDED);
    finish();
}
END_TEST

START_TEST(calls_at_the_wrong_moment_change_nothing)
{
    uint32_t test = 77;
    start();
    ck_assert_int_eq(phx_worker_by_mail(&worker), 0);
    ck_assert_int_eq(phx_worker_start(&worker), PHX_E_STATE);
    ck_assert_int_eq(phx_worker_end(&worker), PHX_E_STATE);
    ck_assert_int_eq(phx_worker_unclaim(&worker), 0);
    ck_assert_int_eq(phx_worker_claim(&worker, &test), 1);
    test = 77;
    ck_assert_int_eq(phx_worker_claim(&worker, &test), PHX_E_STATE);
    ck_assert_uint_eq(test, 77);
    ck_assert_int_eq(phx_worker_end(&worker), PHX_E_STATE);
    ck_assert_int_eq(phx_worker_start(&worker), 0);
    ck_assert_int_eq(phx_worker_claim(&worker, &test), 1);
    ck_assert_int_eq(phx_worker_start(&worker), PHX_E_STATE); /* one at a time */
    ck_assert_int_eq(phx_runq_state(&queue, 1), PHX_RUNQ_CLAIMED);
    finish();
}
END_TEST

START_TEST(what_is_given_back_is_claimed_again)
{
    uint32_t test;
    start();
    ck_assert_int_eq(phx_worker_claim(&worker, &test), 1);
    ck_assert_int_eq(phx_worker_unclaim(&worker), 0);
    ck_assert_int_eq(phx_runq_state(&queue, 0), PHX_RUNQ_QUEUED);
    ck_assert_uint_eq(phx_runq_left(&queue), NTESTS);
    ck_assert_int_eq(phx_worker_claim(&worker, &test), 1);
    ck_assert_uint_eq(test, NTESTS - 1);
    finish();
}
END_TEST

START_TEST(a_closed_queue_gives_nothing)
{
    uint32_t test;
    start();
    ck_assert_int_eq(phx_worker_close_queue(&worker), 0);
    ck_assert_int_eq(phx_runq_closed(&queue), 1);
    ck_assert_int_eq(phx_worker_claim(&worker, &test), 0);
    finish();
}
END_TEST

/* Every call of a child of a worker. Returns a bit for each that is not refused. */
static int try_everything(void)
{
    uint32_t test;
    struct phx_worker *w = &worker;
    return (phx_worker_claim(w, &test) != PHX_E_STRAY) | (phx_worker_start(w) != PHX_E_STRAY) << 1 |
           (phx_worker_phase(w, PHX_PHASE_CALL, -1) != PHX_E_STRAY) << 2 |
           (phx_worker_end(w) != PHX_E_STRAY) << 3 | (phx_worker_unclaim(w) != PHX_E_STRAY) << 4 |
           (phx_worker_send(w, PHX_MSG_REPORT, "", 0) != PHX_E_STRAY) << 5 |
           (phx_worker_close_queue(w) != PHX_E_STRAY) << 6 | (worker.channel != -1) << 7;
}

START_TEST(a_workers_child_is_no_worker)
{
    uint32_t test;
    int status, channel;
    start();
    channel = worker.channel;
    ck_assert_int_eq(phx_worker_claim(&worker, &test), 1);
    pid_t child = fork();
    if (child == 0) {
        if (fcntl(channel, F_GETFD) >= 0)
            _exit(255);
        pid_t grandchild = fork(); /* nor is its child */
        if (grandchild == 0)
            _exit(try_everything());
        if (waitpid(grandchild, &status, 0) != grandchild || status != 0)
            _exit(254);
        _exit(try_everything());
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(phx_runq_closed(&queue), 0);
    ck_assert_int_eq(phx_runq_state(&queue, 0), PHX_RUNQ_CLAIMED);
    ck_assert_int_eq(phx_worker_start(&worker), 0); /* the worker itself goes on */
    ck_assert_int_eq(phx_worker_send(&worker, PHX_MSG_REPORT, "", 0), 0);
    finish();
}
END_TEST

/* Even one that no fork handler saw has no run queue: it dies of it rather than claim a test. */
START_TEST(the_run_queue_is_not_mapped_in_a_child)
{
    int status;
    start();
    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        /* mincore tells without a fault, which a sanitizer would report. */
        unsigned char there[1];
        long page = sysconf(_SC_PAGESIZE);
        long result = syscall(SYS_mincore, worker.mem, page, there);
        syscall(SYS_exit, result == -1 && errno == ENOMEM ? 0 : 1);
    }
    ck_assert_int_eq(waitpid((pid_t)child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    finish();
}
END_TEST

START_TEST(what_cannot_be_armed_stays_as_it_was)
{
    struct phx_worker other = {.number = 99};
    struct phx_err err = {0};
    start();
    int dead[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, dead), 0);
    phx_fd_close(&dead[0]);
    ck_assert_int_eq(phx_worker_arm(&other, 1, dead[1], NULL, &err), -EPIPE);
    ck_assert_int_ge(fcntl(dead[1], F_GETFD), 0); /* taken on success only */
    ck_assert_uint_eq(other.number, 99);
    uint32_t test;
    ck_assert_int_eq(phx_worker_join(&other, queue_fd, &err), PHX_E_STRAY);
    ck_assert_int_eq(phx_worker_claim(&other, &test), PHX_E_STRAY);
    ck_assert_int_eq(phx_worker_claim(&worker, &test), 1);
    phx_fd_close(&dead[1]);
    finish();
}
END_TEST

START_TEST(what_is_no_run_queue_is_not_joined)
{
    struct phx_err err = {0};
    uint32_t test;
    start_and(0);
    int file = open("/dev/null", O_RDWR | O_CLOEXEC);
    ck_assert_int_lt(phx_worker_join(&worker, file, &err), 0);
    ck_assert_str_ne(err.text, "");
    int garbage = phx_shm_create("test", 8192, NULL);
    ck_assert_int_eq(phx_worker_join(&worker, garbage, &err), PHX_E_CORRUPT);
    worker.number = 2;
    ck_assert_int_eq(phx_worker_join(&worker, queue_fd, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "no slot for worker gw2"));
    worker.number = 0;
    ck_assert_int_eq(phx_worker_claim(&worker, &test), PHX_E_STATE);
    ck_assert_int_eq(phx_worker_phase(&worker, PHX_PHASE_CALL, -1), PHX_E_STATE);
    ck_assert_int_eq(phx_worker_close_queue(&worker), 0); /* there is nothing to close yet */
    ck_assert_int_eq(phx_worker_join(&worker, queue_fd, &err), 0);
    ck_assert_int_eq(phx_worker_join(&worker, queue_fd, &err), PHX_E_STATE);
    ck_assert_int_eq(phx_worker_claim(&worker, &test), 1);
    phx_fd_close(&file);
    phx_fd_close(&garbage);
    finish();
}
END_TEST

static void send_queue(const uint32_t *tests, size_t count, int nfds)
{
    struct phx_buf body;
    phx_buf_init(&body);
    ck_assert_int_eq(phx_msg_put_queue(&body, tests, count), 0);
    ck_assert_int_eq(phx_frame_write(peer, PHX_MSG_QUEUE, phx_buf_head(&body), phx_buf_size(&body),
                                     &queue_fd, (size_t)nfds),
                     0);
    phx_buf_fini(&body);
}

START_TEST(it_waits_for_the_run_queue)
{
    static const uint32_t order[NTESTS] = {5, 4, 3, 2, 1, 0};
    struct phx_err err = {0};
    uint32_t *places = NULL, test;
    size_t count = 77;
    start_and(0);
    ck_assert_int_eq(phx_worker_by_mail(&worker), PHX_E_STATE); /* nobody knows yet */
    send_queue(order, _i ? NTESTS : 0, 1);
    ck_assert_int_eq(phx_worker_await_queue(&worker, &places, &count, &err), 1);
    ck_assert_uint_eq(count, _i ? NTESTS : 0);
    ck_assert_int_eq(places != NULL, _i);
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(places[i], order[i]);
    ck_assert_int_eq(phx_worker_claim(&worker, &test), 1);
    free(places);
    finish();
}
END_TEST

START_TEST(without_a_run_queue_it_ends)
{
    struct phx_err err = {0};
    uint32_t *places = NULL;
    size_t count;
    int expected = 0;
    start_and(0);
    switch (_i) {
    case 0: /* the run ends before its tests */
        ck_assert_int_eq(phx_frame_write(peer, PHX_MSG_END, "\x91\x00", 2, NULL, 0), 0);
        break;
    case 1: /* so does the controller */
        phx_fd_close(&peer);
        break;
    case 2:
        ck_assert_int_eq(phx_frame_write(peer, PHX_MSG_GO, "\x91\x00", 2, NULL, 0), 0);
        expected = PHX_E_PROTO;
        break;
    case 3: /* its descriptor is missing */
        send_queue(NULL, 0, 0);
        expected = PHX_E_PROTO;
        break;
    }
    ck_assert_int_eq(phx_worker_await_queue(&worker, &places, &count, &err), expected);
    ck_assert_ptr_null(places);
    ck_assert_ptr_null(worker.mem);
    finish();
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, it_says_hello_and_joins);
    tcase_add_test(tests, the_life_of_a_test_is_in_the_ledger);
    tcase_add_test(tests, calls_at_the_wrong_moment_change_nothing);
    tcase_add_test(tests, what_is_given_back_is_claimed_again);
    tcase_add_test(tests, a_closed_queue_gives_nothing);
    tcase_add_test(tests, a_workers_child_is_no_worker);
    tcase_add_test(tests, the_run_queue_is_not_mapped_in_a_child);
    tcase_add_test(tests, what_cannot_be_armed_stays_as_it_was);
    tcase_add_test(tests, what_is_no_run_queue_is_not_joined);
    tcase_add_loop_test(tests, it_waits_for_the_run_queue, 0, 2);
    tcase_add_loop_test(tests, without_a_run_queue_it_ends, 0, 4);
}

int main(void)
{
    return harness_run("worker", 20, add);
}
