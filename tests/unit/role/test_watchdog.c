#include "role/watchdog.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

static int pipe_fds[2];
static pthread_t handled_by;
static atomic_int handled;

static void on_signal(int number)
{
    (void)number;
    handled_by = pthread_self();
    atomic_fetch_add(&handled, 1);
}

static struct phx_watchdog *start(phx_ns patience)
{
    struct phx_watchdog *dog = NULL;
    struct sigaction action = {.sa_handler = on_signal};
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    ck_assert_int_eq(pipe(pipe_fds), 0);
    ck_assert_int_eq(phx_watchdog_start(&dog, patience, SIGUSR1, pipe_fds[1]), 0);
    return dog;
}

/* What it has written by its end. */
static const char *stop_and_read(struct phx_watchdog *dog)
{
    static char text[4096];
    phx_watchdog_stop(dog);
    close(pipe_fds[1]);
    ssize_t size = read(pipe_fds[0], text, sizeof text - 1);
    ck_assert_int_ge(size, 0);
    text[size] = '\0';
    close(pipe_fds[0]);
    return text;
}

START_TEST(an_event_without_end_is_told_once_with_the_stack)
{
    struct phx_watchdog *dog = start(40 * PHX_MS);
    phx_watchdog_busy(dog, "report", _i ? -1 : 7);
    while (atomic_load(&handled) == 0)
        phx_clock_sleep(PHX_MS);
    phx_clock_sleep(200 * PHX_MS);
    const char *text = stop_and_read(dog);
    ck_assert_int_eq(atomic_load(&handled), 1);
    ck_assert_int_eq(pthread_equal(handled_by, pthread_self()), 1);
    const char *line = strstr(text, _i ? "'report' of the zygote" : "'report' of gw7");
    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_null(strstr(line, "no progress"));
}
END_TEST

START_TEST(each_event_that_is_stuck_is_told)
{
    struct phx_watchdog *dog = start(20 * PHX_MS);
    for (int i = 1; i <= 3; i++) {
        phx_watchdog_busy(dog, "report", i);
        while (atomic_load(&handled) < i)
            phx_clock_sleep(PHX_MS);
    }
    const char *text = stop_and_read(dog);
    ck_assert_ptr_nonnull(strstr(text, "gw1"));
    ck_assert_ptr_nonnull(strstr(text, "gw3"));
}
END_TEST

START_TEST(waiting_is_not_stuck_nor_is_an_event_after_the_other)
{
    phx_ns patience = _i ? 40 * PHX_MS : 60 * PHX_S;
    struct phx_watchdog *dog = start(patience);
    if (_i) {
        phx_ns busy_since = phx_clock_now();
        phx_watchdog_busy(dog, "report", 0);
        phx_watchdog_idle(dog);
        phx_ns busy = phx_clock_now() - busy_since;
        phx_clock_sleep(300 * PHX_MS);
        const char *text = stop_and_read(dog);
        ck_assert(text[0] == '\0' || busy >= patience); /* a machine that is busy with others */
        return;
    }
    for (int i = 0; i < 100; i++)
        phx_watchdog_busy(dog, "report", i);
    ck_assert_str_eq(stop_and_read(dog), "");
}
END_TEST

START_TEST(an_end_does_not_wait_for_the_patience)
{
    struct phx_watchdog *dog = start(3600 * PHX_S); /* the harness has no patience for it */
    phx_watchdog_busy(dog, "an event whose name is longer than anybody has room for", 1);
    ck_assert_str_eq(stop_and_read(dog), "");
    phx_watchdog_stop(NULL);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, an_event_without_end_is_told_once_with_the_stack, 0, 2);
    tcase_add_test(tests, each_event_that_is_stuck_is_told);
    tcase_add_loop_test(tests, waiting_is_not_stuck_nor_is_an_event_after_the_other, 0, 2);
    tcase_add_test(tests, an_end_does_not_wait_for_the_patience);
}

int main(void)
{
    return harness_run("watchdog", 20, add);
}
