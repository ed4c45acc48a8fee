/* The run queue between processes that die by SIGKILL at any moment: what a real run does to it.
 * PHX_TEST_SECONDS asks for more than the default. */
#include "queue/runq.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "queue/runq_region.h"
#include "runq_fixture.h"

enum { AT_ONCE = 4, WORKERS = 1000, TESTS_MAX = 10000, LATE = 300 };

/* Beside the region: who ran what, counted by the workers themselves. */
struct counts {
    _Atomic uint32_t begun[TESTS_MAX + LATE], ended[TESTS_MAX + LATE];
};

static struct fixture f;
static struct counts *counts;
static pid_t pids[WORKERS]; /* 0: not started, or buried */
static unsigned long limited_rounds, kills, in_steals, in_journals, in_claims, crashes;

static void *shared_memory(size_t size)
{
    void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(mem, MAP_FAILED);
    return mem;
}

static int claim(uint32_t worker, uint32_t *pos)
{
    int got;
    while ((got = phx_runq_claim(&f.q, worker, pos)) == -EAGAIN || got == PHX_RUNQ_WAIT)
        sched_yield();
    return got;
}

static _Noreturn void work(uint32_t worker, int lifetime_us)
{
    uint32_t pos, next;
    /* A timer of its own hits a worker at work more often than a signal from a busy parent. The
     * very last ones live, so that somebody can run what the others leave. */
    if (lifetime_us > 0) {
        struct itimerval timer = {.it_value = {.tv_usec = lifetime_us}};
        signal(SIGALRM, SIG_DFL); /* Check's own handler kills the whole test */
        setitimer(ITIMER_REAL, &timer, NULL);
    }
    phx_runq_join(&f.q, worker);
    int got = claim(worker, &pos);
    for (; got == 1; pos = next) {
        phx_runq_start(&f.q, worker, pos, 0);
        counts->begun[pos]++;
        got = claim(worker, &next);
        counts->ended[pos]++;
        phx_runq_end(&f.q, worker, pos, 0);
    }
    _exit(got == 0 ? 0 : 1);
}

static int may_die(uint32_t worker)
{
    return worker + 2 * AT_ONCE < WORKERS;
}

static void start(uint32_t worker, uint32_t random)
{
    pids[worker] = fork();
    ck_assert_int_ge(pids[worker], 0);
    if (pids[worker] == 0)
        work(worker, may_die(worker) && random % 2 ? 1 + (int)(random % 3000) : 0);
}

/* Reaps one worker and settles its estate. */
static void reap(uint32_t worker, int status)
{
    int killed =
        WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGALRM);
    ck_assert_msg(status == 0 || killed, "worker %u: wait status %d", worker, status);
    if (f.q.header->lock == worker + 1) {
        in_steals++;
        in_journals += f.q.header->journal.valid;
    }
    uint32_t left = phx_runq_left(&f.q);
    kills += (unsigned long)killed;
    struct phx_runq_view before, view;
    phx_runq_look(&f.q, worker, &before);
    in_claims += before.claimed == PHX_RUNQ_NONE && killed && left > 0 &&
                 f.q.slots[worker].intent + 1 == runq_range_of(*runq_word(&f.q, worker)).lo &&
                 phx_runq_state(&f.q, f.q.slots[worker].intent) == PHX_RUNQ_QUEUED;
    ck_assert_int_eq(phx_runq_bury(&f.q, worker, &view), 0);
    pids[worker] = 0;
    if (view.running == PHX_RUNQ_NONE)
        return;
    ck_assert(killed);
    crashes++;
    uint32_t test = phx_runq_test(&f.q, (uint32_t)view.running);
    if (test % 2) /* some are tried again */
        ck_assert_int_ne(phx_runq_add_late(&f.q, test, 10), PHX_E_CORRUPT);
}

static void check_end(void)
{
    for (uint32_t pos = 0; pos < phx_runq_positions(&f.q); pos++) {
        enum phx_runq_state state = phx_runq_state(&f.q, pos);
        uint32_t begun = counts->begun[pos], ended = counts->ended[pos];
        if (state == PHX_RUNQ_ENDED)
            ck_assert_msg(begun == 1 && ended == 1, "%u: ended, run %u times", pos, begun);
        else if (state == PHX_RUNQ_CRASHED)
            ck_assert_msg(begun <= 1 && ended <= 1, "%u: crashed, run %u times", pos, begun);
        else
            ck_abort_msg("%u of %u: lost in state %d", pos, phx_runq_positions(&f.q), state);
    }
}

/* With groups a worker may find nothing while another one holds the only permit. In a run the
 * controller asks for one more when none is left: so do the last ones here. */
static int may_start(uint32_t started, uint32_t living)
{
    return f.plan.ngroups == 0 || may_die(started) || living == 0;
}

static void check_permits(void)
{
    for (uint32_t i = 0; i < f.q.nholders; i++)
        ck_assert_uint_eq(((const uint32_t *)f.q.holders)[i], 0);
    ck_assert_uint_eq(f.q.header->alone, 0);
}

static void round_of(uint64_t *seed)
{
    uint32_t ntests = 1 + fixture_random(seed) % TESTS_MAX;
    int is_limited = fixture_random(seed) % 2;
    /* Most spans are those of workers that have not come yet, and a thief looks at a thousand
     * words: most of the time goes into steals, and so do the deaths. */
    fixture_plan(&f.plan, ntests, 1 + fixture_random(seed) % WORKERS, 1 + fixture_random(seed) % 4);
    f.plan.keep_first_unit = fixture_random(seed) % 2;
    if (is_limited) { /* multiples of every size of a unit */
        uint32_t nalone = ntests / 200 * 12, end = nalone + ntests / 100 * 12;
        fixture_limit(&f.plan, nalone, end);
        limited_rounds++;
    }
    f.size = phx_runq_size(&f.plan, WORKERS, LATE);
    f.mem = shared_memory(f.size);
    ck_assert_int_eq(phx_runq_init(&f.q, f.mem, f.size, &f.plan, WORKERS, LATE), 0);
    memset(counts, 0, sizeof *counts);
    uint32_t started = 0, living = 0;
    while (living > 0 || phx_runq_left(&f.q) > 0) {
        while (living < AT_ONCE && started < WORKERS && phx_runq_left(&f.q) > 0 &&
               may_start(started, living)) {
            start(started++, fixture_random(seed));
            living++;
        }
        for (uint32_t spin = fixture_random(seed) % 20000; spin > 0; spin--)
            atomic_signal_fence(memory_order_seq_cst);
        uint32_t victim = started - 1 - fixture_random(seed) % AT_ONCE;
        if (victim < started && may_die(victim) && pids[victim] > 0 &&
            fixture_random(seed) % 4 == 0) {
            ck_assert_int_eq(kill(pids[victim], SIGKILL), 0);
        }
        for (uint32_t i = 0; i < started; i++) {
            int status;
            if (pids[i] > 0 && waitpid(pids[i], &status, WNOHANG) == pids[i]) {
                reap(i, status);
                living--;
            }
        }
        sched_yield();
    }
    check_end();
    check_permits();
    ck_assert_int_eq(munmap(f.mem, f.size), 0);
    phx_plan_fini(&f.plan);
}

START_TEST(no_test_is_lost_or_run_twice)
{
    const char *asked = getenv("PHX_TEST_SECONDS");
    const char *seeded = getenv("PHX_TEST_SEED");
    uint64_t seed = seeded ? strtoull(seeded, NULL, 10) : 20261123;
    phx_ns end = phx_clock_now() + (asked ? atol(asked) : 4) * PHX_S;
    counts = shared_memory(sizeof *counts);
    int rounds = 0;
    for (; phx_clock_now() < end || rounds < 4 || limited_rounds == 0; rounds++)
        round_of(&seed);
    printf("# kill: %d rounds, %lu of them with groups, %lu kills, %lu in a steal (%lu with a "
           "valid journal), %lu in a claim, "
           "%lu tests crashed\n",
           rounds, limited_rounds, kills, in_steals, in_journals, in_claims, crashes);
    ck_assert_uint_gt(crashes, 0);
}
END_TEST

/* ---- death at every machine instruction ----
 *
 * The model stops between accesses as C orders them; this stops between instructions as the
 * compiler ordered them. A traced worker is stepped through a claim, a start, a steal, giving back.
 * After each instruction its death is tried out on a copy of the region. */

enum { STEPPED = 2, REST = 3, STEPPED_TESTS = 12 };

static _Noreturn void stepped_worker(void)
{
    uint32_t pos, next;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(77);
    raise(SIGSTOP);
    phx_runq_join(&f.q, STEPPED);
    int got = claim(STEPPED, &pos); /* a steal, as are most of them */
    for (int n = 0; got == 1 && n < 5; n++, pos = next) {
        phx_runq_start(&f.q, STEPPED, pos, 1);
        phx_runq_phase(&f.q, STEPPED, PHX_PHASE_CALL, -1, 1000001);
        got = claim(STEPPED, &next);
        phx_runq_end(&f.q, STEPPED, pos, 2000001);
    }
    if (got == 1)
        phx_runq_unclaim(&f.q, STEPPED, pos);
    _exit(got == 1 ? 0 : 1);
}

/* The worker dies here: is the rest of the run whole? */
static void die_on(void *copy, unsigned long step)
{
    struct phx_runq q;
    struct phx_runq_view view;
    memcpy(copy, f.mem, f.size);
    ck_assert_int_eq(phx_runq_attach(&q, copy, f.size, NULL), 0);
    int result = phx_runq_bury(&q, STEPPED, &view);
    if (result != 0)
        ck_abort_msg("buried after %lu instructions: %d", step, result);
    phx_runq_bury(&q, 0, NULL);
    phx_runq_bury(&q, 1, NULL);
    uint32_t pos, before[STEPPED_TESTS + 2];
    for (pos = 0; pos < phx_runq_positions(&q); pos++) {
        struct phx_runq_timing timing;
        before[pos] = (uint32_t)phx_runq_state(&q, pos);
        if (phx_runq_timing(&q, pos, &timing) != (before[pos] >= PHX_RUNQ_STARTED))
            ck_abort_msg("after %lu instructions: no times of %u", step, pos);
    }
    while ((result = phx_runq_claim(&q, REST, &pos)) == 1) {
        if (before[pos] != PHX_RUNQ_QUEUED)
            ck_abort_msg("after %lu instructions: %u runs again", step, pos);
        phx_runq_start(&q, REST, pos, 0);
        phx_runq_end(&q, REST, pos, 0);
    }
    for (pos = 0; pos < phx_runq_positions(&q); pos++)
        if (phx_runq_state(&q, pos) < PHX_RUNQ_ENDED)
            ck_abort_msg("after %lu instructions: %u is lost, result %d", step, pos, result);
}

/* `nalone`, `end`: as in fixture_limit; 0: no groups. */
static void step_through(uint32_t nalone, uint32_t end)
{
    fixture_plan(&f.plan, STEPPED_TESTS, 2, 2);
    if (end > 0)
        fixture_limit(&f.plan, nalone, end);
    f.size = phx_runq_size(&f.plan, REST + 1, 2);
    f.mem = shared_memory(f.size);
    ck_assert_int_eq(phx_runq_init(&f.q, f.mem, f.size, &f.plan, REST + 1, 2), 0);
    ck_assert_int_eq(phx_runq_add_late(&f.q, 0, 100000), STEPPED_TESTS);
    ck_assert_int_eq(phx_runq_add_late(&f.q, 1, 1), STEPPED_TESTS + 1);
    void *copy = fixture_region(f.size);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        stepped_worker();
    int status;
    unsigned long steps = 0, changes = 0;
    void *last = fixture_region(f.size);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        printf("# step: no ptrace here, nothing tried\n");
        return;
    }
    while (WIFSTOPPED(status)) {
        if (memcmp(last, f.mem, f.size) != 0) { /* only a store can make a difference */
            memcpy(last, f.mem, f.size);
            die_on(copy, steps);
            changes++;
        }
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0 || waitpid(pid, &status, 0) != pid)
            ck_abort_msg("cannot step: %d", errno);
        steps++;
    }
    ck_assert_int_eq(status, 0);
    printf("# step: %lu instructions, %lu of which changed the region\n", steps, changes);
    ck_assert_uint_gt(changes, 40);
    free(copy);
    free(last);
    ck_assert_int_eq(munmap(f.mem, f.size), 0);
    phx_plan_fini(&f.plan);
}

START_TEST(death_at_every_instruction)
{
    step_through(0, 0);
}
END_TEST

START_TEST(death_at_every_instruction_with_exclusive_tests_and_a_limited_group)
{
    step_through(2, 6); /* it runs two, three of the group, and gives the next one back */
}
END_TEST

START_TEST(death_at_every_instruction_between_a_limited_group_and_a_steal)
{
    step_through(0, 2);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, death_at_every_instruction_with_exclusive_tests_and_a_limited_group);
    tcase_add_test(tests, death_at_every_instruction_between_a_limited_group_and_a_steal);
    tcase_add_test(tests, death_at_every_instruction);
    tcase_add_test(tests, no_test_is_lost_or_run_twice);
}

int main(void)
{
    const char *asked = getenv("PHX_TEST_SECONDS");
    return harness_run("runq_kill", 120 + (asked ? atof(asked) : 0), add);
}
