#include "role/post.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "harness.h"
#include "os/shm.h"
#include "role/worker.h"

/* Workers in this process, each with its end of one channel. One may be armed
 * at a time: the fork handler knows one. */
enum { NTESTS = 3000 };

static struct phx_runq queue;
static struct phx_post *post;
static struct phx_worker workers[3];
static int channel;

static void start(uint32_t nworkers)
{
    struct phx_plan plan;
    struct phx_err err = {0};
    int pair[2];
    ck_assert_int_eq(phx_plan_by_mail(&plan, NTESTS, nworkers), 0);
    uint32_t spare = phx_post_spare_positions(NTESTS, nworkers);
    size_t boxes_at = phx_runq_size(&plan, nworkers, spare);
    size_t size = boxes_at + phx_mailbox_size(nworkers);
    void *mem;
    int fd = phx_shm_create("test", size, NULL);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(phx_shm_map(fd, 0, &mem, &size, NULL), 0);
    ck_assert_int_eq(phx_runq_init(&queue, mem, size, &plan, nworkers, spare), 0);
    phx_plan_fini(&plan);
    ck_assert_int_eq(phx_post_new(&post, &queue, (char *)mem + boxes_at), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    channel = pair[0];
    for (uint32_t i = 0; i < nworkers; i++)
        ck_assert_msg(phx_worker_arm(&workers[i], i, dup(pair[1]), NULL, &err) == 0 &&
                          phx_worker_join(&workers[i], fd, &err) == 0,
                      "%s", err.text);
    phx_fd_close(&pair[1]);
    phx_fd_close(&fd);
}

static void send_tests(uint32_t worker, uint32_t first, uint32_t count)
{
    uint32_t tests[NTESTS];
    for (uint32_t i = 0; i < count; i++)
        tests[i] = first + i;
    ck_assert_int_eq(phx_post_send(post, worker, tests, count, NULL), 0);
}

static int take(uint32_t worker, uint32_t *out_test)
{
    return phx_worker_take(&workers[worker], PHX_MS, out_test);
}

static void takes(uint32_t worker, uint32_t expected)
{
    uint32_t test = UINT32_MAX;
    ck_assert_int_eq(take(worker, &test), 1);
    ck_assert_uint_eq(test, expected);
}

static void runs(uint32_t worker)
{
    ck_assert_int_eq(phx_worker_start(&workers[worker]), 0);
    ck_assert_int_eq(phx_worker_end(&workers[worker]), 0);
    char told[4096]; /* it tells what has ended: nobody listens here, and a channel can be full */
    while (recv(channel, told, sizeof told, MSG_DONTWAIT) > 0) {
    }
    phx_post_refill(post, worker);
}

static uint32_t count(enum phx_runq_state state)
{
    uint32_t n = 0;
    for (uint32_t pos = 0; pos < phx_runq_positions(&queue); pos++)
        n += phx_runq_state(&queue, pos) == state;
    return n;
}

START_TEST(a_worker_holds_two_and_runs_them_in_order)
{
    uint32_t test;
    start(1);
    ck_assert_int_eq(take(0, &test), -EAGAIN);
    ck_assert_int_eq(phx_worker_start(&workers[0]), PHX_E_STATE);
    send_tests(0, 5, 3);
    takes(0, 5);
    takes(0, 6);
    ck_assert_int_eq(take(0, &test), PHX_E_STATE);
    runs(0);
    ck_assert_int_eq(phx_runq_state(&queue, 5), PHX_RUNQ_ENDED);
    ck_assert_int_eq(phx_runq_state(&queue, 6), PHX_RUNQ_QUEUED);
    takes(0, 7);
    runs(0);
    phx_post_shut(post, 0);
    ck_assert_int_eq(take(0, &test), 0);
    runs(0);
    ck_assert_uint_eq(count(PHX_RUNQ_ENDED), 3);
    ck_assert_uint_eq(count(PHX_RUNQ_QUEUED), NTESTS - 3); /* never sent: not run */
}
END_TEST

START_TEST(more_than_a_box_holds_follows)
{
    uint32_t test;
    start(1);
    send_tests(0, 0, NTESTS);
    phx_post_shut(post, 0);
    takes(0, 0);
    for (uint32_t i = 1; i < NTESTS; i++) {
        takes(0, i);
        runs(0);
    }
    ck_assert_int_eq(take(0, &test), 0);
    runs(0);
    ck_assert_uint_eq(count(PHX_RUNQ_ENDED), NTESTS);
}
END_TEST

START_TEST(steals_from_the_box_and_from_what_waits_for_it)
{
    uint32_t tests[] = {0, 1, 2, 40, 2900, 2999}, stolen[6], test;
    start(1);
    send_tests(0, 0, NTESTS);
    takes(0, 0);
    takes(0, 1);
    ck_assert_uint_eq(phx_post_steal(post, 0, tests, 6, stolen), 4);
    ck_assert_uint_eq(stolen[0], 2);
    ck_assert_uint_eq(stolen[1], 40);
    ck_assert_uint_eq(stolen[2], 2900);
    ck_assert_uint_eq(stolen[3], 2999);
    ck_assert_uint_eq(phx_post_steal(post, 0, tests, 6, stolen), 0);
    runs(0);
    takes(0, 3);
    phx_post_shut(post, 0);
    for (;;) {
        runs(0);
        int status = take(0, &test);
        if (status == 0)
            break;
        ck_assert_int_eq(status, 1);
        ck_assert(test != 40 && test != 2900 && test != 2999);
    }
    runs(0);
    ck_assert_uint_eq(count(PHX_RUNQ_ENDED), NTESTS - 4);
    ck_assert_uint_eq(phx_runq_positions(&queue), NTESTS);
}
END_TEST

START_TEST(what_was_stolen_keeps_its_place_in_the_ledger)
{
    uint32_t tests[] = {8}, stolen[1];
    start(2);
    send_tests(0, 8, 1);
    ck_assert_uint_eq(phx_post_steal(post, 0, tests, 1, stolen), 1);
    send_tests(1, 8, 1);
    takes(1, 8);
    runs(1);
    ck_assert_int_eq(phx_runq_state(&queue, 8), PHX_RUNQ_ENDED);
    ck_assert_uint_eq(phx_runq_positions(&queue), NTESTS);
}
END_TEST

START_TEST(a_test_on_two_workers_has_two_positions)
{
    start(2);
    send_tests(0, 0, 2);
    send_tests(1, 0, 2);
    for (uint32_t worker = 0; worker < 2; worker++) {
        takes(worker, 0);
        takes(worker, 1);
        runs(worker);
        runs(worker);
    }
    ck_assert_uint_eq(phx_runq_positions(&queue), NTESTS + 2);
    ck_assert_uint_eq(count(PHX_RUNQ_ENDED), 4);
    send_tests(0, 0, 1); /* once more */
    takes(0, 0);
    runs(0);
    ck_assert_uint_eq(phx_runq_positions(&queue), NTESTS + 3);
}
END_TEST

START_TEST(what_a_dead_worker_had_is_free_again)
{
    struct phx_runq_view view;
    start(2);
    send_tests(0, 0, 4);
    takes(0, 0);
    takes(0, 1);
    ck_assert_int_eq(phx_worker_start(&workers[0]), 0);
    ck_assert_int_eq(phx_runq_bury(&queue, 0, &view), 0);
    phx_post_bury(post, 0);
    ck_assert_int_eq(view.running, 0);
    ck_assert_int_eq(phx_runq_state(&queue, 0), PHX_RUNQ_CRASHED);
    uint32_t test = 0;
    ck_assert_int_eq(phx_post_send(post, 0, &test, 1, NULL), 0); /* to the dead: not sent */
    send_tests(1, 1, 3);
    takes(1, 1);
    takes(1, 2);
    runs(1);
    takes(1, 3);
    runs(1);
    runs(1);
    ck_assert_uint_eq(count(PHX_RUNQ_ENDED), 3);
    ck_assert_uint_eq(count(PHX_RUNQ_CRASHED), 1);
    ck_assert_uint_eq(phx_runq_positions(&queue), NTESTS);
}
END_TEST

START_TEST(nonsense_is_refused_with_a_sentence)
{
    struct phx_err err = {0};
    uint32_t tests[] = {1, NTESTS};
    start(1);
    ck_assert_int_eq(phx_post_send(post, 0, tests, 2, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "there is no test 3000, only 3000 were collected"));
    takes(0, 1); /* what came before it was sent */
    phx_post_shut(post, 0);
    ck_assert_int_eq(phx_post_send(post, 0, tests, 1, &err), -ESRCH);
    ck_assert_int_eq(phx_runq_add_late(&queue, 0, 1), -EINVAL);
}
END_TEST

START_TEST(a_closed_queue_ends_who_waits)
{
    uint32_t test;
    start(1);
    send_tests(0, 0, 3);
    takes(0, 0);
    ck_assert_int_eq(phx_worker_enter(&workers[0]), 1);
    phx_runq_close(&queue);
    phx_post_wake_all(post);
    ck_assert_int_eq(take(0, &test), 0);
    ck_assert_int_eq(phx_worker_enter(&workers[0]), 0);
}
END_TEST

START_TEST(who_waits_is_known)
{
    start(1);
    ck_assert_int_eq(phx_post_waits(post, 0), 0); /* it has not slept yet */
    phx_mailbox_set_waiting(&workers[0].boxes, 0, 1);
    ck_assert_int_eq(phx_post_waits(post, 0), 1);
    send_tests(0, 0, 1);
    ck_assert_int_eq(phx_post_waits(post, 0), 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_worker_holds_two_and_runs_them_in_order);
    tcase_add_test(tests, more_than_a_box_holds_follows);
    tcase_add_test(tests, steals_from_the_box_and_from_what_waits_for_it);
    tcase_add_test(tests, what_was_stolen_keeps_its_place_in_the_ledger);
    tcase_add_test(tests, a_test_on_two_workers_has_two_positions);
    tcase_add_test(tests, what_a_dead_worker_had_is_free_again);
    tcase_add_test(tests, nonsense_is_refused_with_a_sentence);
    tcase_add_test(tests, a_closed_queue_ends_who_waits);
    tcase_add_test(tests, who_waits_is_known);
}

int main(void)
{
    return harness_run("post", 60, add);
}
