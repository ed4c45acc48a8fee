/* The run queue under ThreadSanitizer. Its processes are threads here, on plain memory: TSan does
 * not see races between processes. Workers stop dead between two calls, are buried while the others
 * go on, and are replaced; late tests are added all the while. */
#include "queue/runq.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "harness.h"
#include "runq_fixture.h"

enum { AT_ONCE = 8, WORKERS = 512, TESTS = 6000, LATE = 200 };

static struct fixture f;
static _Atomic uint32_t runs[TESTS + LATE]; /* relaxed: counted by anyone, read at the end */
static atomic_int ended[WORKERS];           /* the thread is about to return */

struct worker {
    uint32_t number;
    int dies_after; /* tests; -1: never */
};

static int claim(struct phx_runq *q, uint32_t worker, uint32_t *pos)
{
    int got;
    while ((got = phx_runq_claim(q, worker, pos)) == -EAGAIN)
        sched_yield();
    return got;
}

static void *work(void *argument)
{
    struct worker *self = argument;
    struct phx_runq q;
    uint32_t pos, next;
    if (phx_runq_attach(&q, f.mem, f.size, NULL) != 0)
        abort();
    phx_runq_join(&q, self->number);
    int got = claim(&q, self->number, &pos);
    for (int n = 0; got == 1; n++, pos = next) {
        if (phx_runq_test(&q, pos) >= TESTS)
            abort();
        phx_runq_start(&q, self->number, pos, n);
        atomic_fetch_add_explicit(&runs[pos], 1, memory_order_relaxed);
        phx_runq_phase(&q, self->number, PHX_PHASE_CALL, n);
        if (n == self->dies_after && n % 2)
            break;
        got = claim(&q, self->number, &next);
        if (n == self->dies_after)
            break;
        phx_runq_end(&q, self->number, pos, n);
    }
    if (got < 0)
        abort();
    atomic_store(&ended[self->number], 1);
    return NULL;
}

static void round_of(uint64_t *seed, uint32_t unit_size)
{
    fixture_plan(&f.plan, TESTS, 1 + fixture_random(seed) % AT_ONCE, unit_size);
    f.plan.keep_first_unit = fixture_random(seed) % 2;
    ck_assert_int_eq(fixture_init(&f, WORKERS, LATE), 0);
    memset(runs, 0, sizeof runs);
    memset(ended, 0, sizeof ended);
    pthread_t threads[WORKERS];
    struct worker workers[WORKERS];
    int joined[WORKERS] = {0};
    uint32_t started = 0, living = 0, late = 0, crashed = 0;
    struct phx_runq_view view;
    for (;;) {
        while (started < WORKERS && living < AT_ONCE &&
               (started < AT_ONCE || phx_runq_left(&f.q))) {
            struct worker *worker = &workers[started];
            worker->number = started;
            /* Each of the last to die may leave work for one more, so the very last ones live. */
            int lives = started + 2 * AT_ONCE >= WORKERS;
            worker->dies_after = lives ? -1 : (int)(fixture_random(seed) % 300);
            ck_assert_int_eq(pthread_create(&threads[started++], NULL, work, worker), 0);
            living++;
        }
        if (late < LATE) {
            ck_assert_int_ge(phx_runq_add_late(&f.q, late % TESTS, 100), 0);
            late++;
        }
        for (uint32_t i = 0; i < started; i++) {
            phx_runq_look(&f.q, i, &view);
            if (joined[i] || !atomic_load(&ended[i]))
                continue;
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
            ck_assert_int_eq(phx_runq_bury(&f.q, i, &view), 0);
            crashed += view.running != PHX_RUNQ_NONE;
            joined[i] = 1;
            living--;
        }
        if (living == 0 && late == LATE && (phx_runq_left(&f.q) == 0 || started == WORKERS))
            break;
    }
    ck_assert_uint_eq(phx_runq_left(&f.q), 0);
    uint32_t seen = 0;
    for (uint32_t pos = 0; pos < phx_runq_positions(&f.q); pos++) {
        ck_assert_uint_eq(runs[pos], 1);
        ck_assert_int_ge(phx_runq_state(&f.q, pos), PHX_RUNQ_ENDED);
        seen += phx_runq_state(&f.q, pos) == PHX_RUNQ_CRASHED;
    }
    ck_assert_uint_eq(seen, crashed);
    printf("# threads: %u workers, %u tests crashed\n", started, crashed);
    fixture_fini(&f);
}

START_TEST(threads_share_the_queue_without_a_race)
{
    uint64_t seed = 20261123;
    for (uint32_t round = 0; round < 5; round++)
        round_of(&seed, 1 + round % 3);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, threads_share_the_queue_without_a_race);
}

int main(void)
{
    return harness_run("runq_threads", 120, add);
}
