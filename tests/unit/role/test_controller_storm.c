/* Runs of the engine alone, with random misdeeds of workers and random deaths: each ends, and every
 * test is accounted for. What tests/storm does to whole runs of pytest, a hundred times faster.
 *
 *     PHX_TEST_RUNS=10000 PHX_TEST_SEED=1 …/test_controller_storm
 *
 * names each seed on standard error as it begins; the last one is the one that failed. When a death
 * strikes depends on the machine too. */
#include "role/controller.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "run_fixture.h"

enum { RUNS = 25, SCRIPT_MAX = 1024 };

static struct run run;
static uint64_t state;

static uint32_t below(uint32_t limit)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return limit ? (uint32_t)(state >> 33) % limit : 0;
}

/* Misdeeds of tests. Those that leave a process behind need a guard that ends it. A channel that is
 * closed, and held open by such a process, looks like a test that takes for ever: so only where
 * there is none. */
static void write_script(char *script, int guard_lives, int with_timeouts)
{
    static const char *const deeds[] = {"sig9",    "sig11", "exit0", "exit3",  "garbage",
                                        "badtype", "bad",   "words", "regroup"};
    static const char *const with_child[] = {"keep", "talk", "child", "daemon"};
    static const char *const phases[] = {"setup", "call", "teardown"};
    size_t used = 0;
    script[0] = '\0';
    for (uint32_t n = below(6); n > 0; n--) {
        const char *what = deeds[below(sizeof deeds / sizeof *deeds)];
        const char *when = phases[below(3)];
        if (below(4) == 0) {
            what = guard_lives ? with_child[below(4)] : "close";
            when = "call"; /* where a worker without its channel waits: see fake_zygote.c */
        }
        uint32_t test = below(run.ntests);
        used += (size_t)snprintf(script + used, SCRIPT_MAX - used, "t=%u:%s:%s ", test, when, what);
    }
    /* Tests that end about when their time is over, and one that never does. */
    for (uint32_t n = with_timeouts ? below(4) : 0; n > 0; n--) {
        uint32_t test = below(run.ntests), due = below(80), nap = below(120);
        used += (size_t)snprintf(script + used, SCRIPT_MAX - used,
                                 "t=%u:call:due%u t=%u:call:nap%u t=%u:call:%s ", test, due, test,
                                 nap, test, n == 3 ? "pause" : "lift");
    }
}

static void let_pass(phx_ns duration)
{
    phx_ns end = phx_clock_now() + duration;
    do {
        run_take_all(&run);
        phx_controller_step(run.c, PHX_MS, -1);
    } while (phx_clock_now() < end);
}

static void kill_if_there(pid_t pid, int number)
{
    if (pid > 1)
        kill(pid, number);
}

static pid_t any_worker(void)
{
    uint32_t number = below(run.nworkers + 4);
    const struct run_worker *worker = &run.workers[number];
    return worker->up && !worker->down ? worker->pid : 0;
}

static void strike(int guard_lives)
{
    pid_t pid;
    switch (below(9)) {
    case 0:
        kill_if_there(run_zygote_pid(&run), SIGKILL);
        break;
    case 1:
        if (guard_lives)
            break;
        run.guard_killed = 1;
        kill_if_there(run_guard_pid(), SIGKILL);
        break;
    case 2:
        phx_controller_stop(run.c);
        break;
    case 3:
        phx_controller_interrupt(run.c);
        break;
    case 4:
        if ((pid = any_worker()) > 1) {
            kill(pid, SIGSTOP);
            let_pass((1 + below(10)) * PHX_MS);
            kill(pid, SIGCONT);
        }
        break;
    case 5:
        phx_controller_suspend(run.c);
        phx_clock_sleep((1 + below(10)) * PHX_MS);
        phx_controller_resume(run.c);
        break;
    default:
        kill_if_there(any_worker(), SIGKILL);
        break;
    }
}

static int is_over(const struct run *r)
{
    return r->zygote_down || run_is_over(r);
}

static void check_everything_is_accounted_for(void)
{
    struct phx_account account;
    phx_controller_account(run.c, &account);
    ck_assert_uint_eq(account.unaccounted, 0);
    if (run.collected)
        ck_assert_uint_eq(account.ended + account.crashed + account.not_run, run.ntests);
    uint64_t nlost = 0;
    for (uint32_t i = 0; i < run.ntests; i++) {
        ck_assert_msg(run.started[i] <= 1, "test %u was started %d times", i, run.started[i]);
        ck_assert_msg(run.ended[i] + run.lost[i] <= 1, "test %u ended, and was lost", i);
        nlost += (uint64_t)run.lost[i];
    }
    ck_assert_uint_le(nlost, account.crashed);
}

static void run_once(uint64_t seed)
{
    static const int64_t restarts[] = {-1, -1, 0, 2};
    char script[SCRIPT_MAX];
    state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    memset(&run, 0, sizeof run);
    run.ntests = 1 + below(80);
    run.nworkers = 1 + below(6);
    run.max_restarts = restarts[below(4)];
    run.exit_patience = 100 * PHX_MS;
    int guard_lives = below(4) != 0;
    int with_timeouts = below(2) == 0;
    write_script(script, guard_lives, with_timeouts);
    run.script = script;
    run_open(&run);
    if (with_timeouts)
        phx_controller_heed_timeouts(run.c);
    for (uint32_t n = below(4); n > 0; n--) {
        let_pass(below(20000) * (PHX_MS / 1000));
        if (is_over(&run))
            break;
        strike(guard_lives);
    }
    run_until(&run, is_over);
    check_everything_is_accounted_for();
    run_close(&run);
}

static unsigned long asked(const char *name, unsigned long otherwise)
{
    const char *value = getenv(name);
    return value ? strtoul(value, NULL, 10) : otherwise;
}

START_TEST(every_run_ends_and_every_test_is_accounted_for)
{
    unsigned long first = asked("PHX_TEST_SEED", 0), runs = asked("PHX_TEST_RUNS", RUNS);
    for (unsigned long seed = first; seed < first + runs; seed++) {
        if (getenv("PHX_TEST_RUNS"))
            fprintf(stderr, "seed %lu\n", seed);
        run_once(seed);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, every_run_ends_and_every_test_is_accounted_for);
}

int main(void)
{
    return harness_run("controller_storm", 120 + (double)asked("PHX_TEST_RUNS", 0), add);
}
