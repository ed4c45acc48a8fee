#include "os/bell.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static _Atomic uint32_t *bell;

static void start(void)
{
    bell = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(bell, MAP_FAILED);
}

START_TEST(a_changed_word_is_not_slept_on)
{
    start();
    atomic_store(bell, 4);
    ck_assert_int_eq(phx_bell_wait(bell, 3, 60 * PHX_S), 0);
}
END_TEST

START_TEST(an_unchanged_one_is_until_the_time_is_over)
{
    start();
    ck_assert_int_eq(phx_bell_wait(bell, 0, 5 * PHX_MS), -ETIMEDOUT);
}
END_TEST

START_TEST(another_process_wakes)
{
    start();
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        int status = 0;
        while (atomic_load(bell) == 0 && (status = phx_bell_wait(bell, 0, 60 * PHX_S)) == 0) {
        }
        _exit(status == 0 ? 0 : 1);
    }
    phx_clock_sleep(20 * PHX_MS); /* so that it sleeps, most of the time; both ways are right */
    atomic_store(bell, 1);
    phx_bell_wake(bell);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

static void on_signal(int number)
{
    (void)number;
}

START_TEST(a_signal_ends_the_sleep)
{
    start();
    struct sigaction action = {.sa_handler = on_signal};
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    pid_t parent = getpid();
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        for (;;) { /* until the parent is gone: it may not have slept yet */
            kill(parent, SIGUSR1);
            phx_clock_sleep(5 * PHX_MS);
        }
    }
    ck_assert_int_eq(phx_bell_wait(bell, 0, 60 * PHX_S), -EINTR);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_changed_word_is_not_slept_on);
    tcase_add_test(tests, an_unchanged_one_is_until_the_time_is_over);
    tcase_add_test(tests, another_process_wakes);
    tcase_add_test(tests, a_signal_ends_the_sleep);
}

int main(void)
{
    return harness_run("bell", 60, add);
}
