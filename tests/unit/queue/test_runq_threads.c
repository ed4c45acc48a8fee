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

/* ---- what runs beside what ---- */

enum { EXCLUSIVE = 1, NGROUPS = 3, ALONE_END = 30, TWO_END = 330, ONE_END = 630 };

static const struct phx_plan_group groups[NGROUPS] = {
    {0, ALONE_END, 0}, {ALONE_END, TWO_END, 2}, {TWO_END, ONE_END, 1}};

/* Relaxed, so that they hide no race of the run queue's: a read-modify-write sees the latest value.
 */
static _Atomic int running, in_group[NGROUPS + 1], in_slot[NGROUPS + 1][AT_ONCE];
static uint32_t ngroups; /* 0 in rounds without */

static uint32_t group_of(const struct phx_runq *q, uint32_t pos)
{
    uint32_t planned = q->by_mail ? phx_runq_test(q, pos) : TESTS - 1 - phx_runq_test(q, pos);
    uint32_t group = 0;
    while (group < ngroups && planned >= groups[group].hi)
        group++;
    return group < ngroups ? group + 1 : 0;
}

static void add_one(_Atomic int *count, int most)
{
    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) >= most)
        abort();
}

static void take_one(_Atomic int *count)
{
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

static void begin(const struct phx_runq *q, uint32_t worker, uint32_t pos)
{
    uint32_t group = group_of(q, pos);
    add_one(&running, group == EXCLUSIVE ? 1 : AT_ONCE);
    if (group == 0)
        return;
    add_one(&in_group[group], group == EXCLUSIVE ? 1 : (int)groups[group - 1].permits);
    add_one(&in_slot[group][phx_runq_permit(q, worker, pos)], 1);
    if (group != EXCLUSIVE && atomic_load_explicit(&in_group[EXCLUSIVE], memory_order_relaxed))
        abort();
}

static void leave(const struct phx_runq *q, uint32_t worker, uint32_t pos)
{
    uint32_t group = group_of(q, pos);
    if (group > 0) {
        take_one(&in_slot[group][phx_runq_permit(q, worker, pos)]);
        take_one(&in_group[group]);
    }
    take_one(&running);
}

/* ---- claims ---- */

static int claim(struct phx_runq *q, uint32_t worker, uint32_t *pos)
{
    int got;
    while ((got = phx_runq_claim(q, worker, pos)) == -EAGAIN || got == PHX_RUNQ_WAIT)
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
        phx_runq_phase(&q, self->number, PHX_PHASE_CALL, -1, n);
        begin(&q, self->number, pos);
        if (n != self->dies_after || n % 2 == 0)
            got = claim(&q, self->number, &next);
        leave(&q, self->number, pos);
        if (n == self->dies_after)
            break;
        phx_runq_end(&q, self->number, pos, n);
    }
    if (got < 0)
        abort();
    atomic_store(&ended[self->number], 1);
    return NULL;
}

/* The tests at the front of the plan belong to groups. */
static void limit(struct phx_plan *plan)
{
    plan->groups = malloc(sizeof groups);
    ck_assert_ptr_nonnull(plan->groups);
    memcpy(plan->groups, groups, sizeof groups);
    plan->ngroups = NGROUPS;
    for (uint32_t i = 0; i < plan->nspans; i++) {
        struct phx_plan_span *span = &plan->spans[i];
        span->lo = span->lo < ONE_END ? ONE_END : span->lo;
        span->hi = span->hi < ONE_END ? ONE_END : span->hi;
    }
}

static void round_of(uint64_t *seed, uint32_t unit_size, int is_limited)
{
    fixture_plan(&f.plan, TESTS, 1 + fixture_random(seed) % AT_ONCE, unit_size);
    f.plan.keep_first_unit = fixture_random(seed) % 2;
    if (is_limited)
        limit(&f.plan);
    ngroups = f.plan.ngroups;
    ck_assert_int_eq(fixture_init(&f, WORKERS, LATE), 0);
    memset(runs, 0, sizeof runs);
    memset(ended, 0, sizeof ended);
    pthread_t threads[WORKERS];
    struct worker workers[WORKERS];
    int joined[WORKERS] = {0};
    uint32_t started = 0, living = 0, late = 0, crashed = 0;
    struct phx_runq_view view;
    for (;;) {
        /* With groups a worker may find nothing while others hold all permits: as in a run, more
         * are asked for when none is left. */
        uint32_t most = started < AT_ONCE || living == 0 || !is_limited ? AT_ONCE : living;
        while (started < WORKERS && living < most && (started < AT_ONCE || phx_runq_left(&f.q))) {
            struct worker *worker = &workers[started];
            worker->number = started;
            /* Each of the last to die may leave work for one more, so the very last ones live. */
            int lives = started + 2 * AT_ONCE >= WORKERS;
            worker->dies_after = lives ? -1 : (int)(fixture_random(seed) % 300);
            ck_assert_int_eq(pthread_create(&threads[started++], NULL, work, worker), 0);
            living++;
        }
        if (late < LATE) {
            ck_assert_int_ge(phx_runq_add_late(&f.q, TESTS - 1 - ALONE_END - late * 5, 100), 0);
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
        round_of(&seed, 1 + round % 3, 0);
}
END_TEST

START_TEST(limits_hold_between_threads)
{
    uint64_t seed = 20261124;
    for (uint32_t round = 0; round < 5; round++)
        round_of(&seed, 1 + round % 3, 1);
}
END_TEST

/* ---- by mail ---- */

enum { MAILED = 2400 };

static void *work_by_mail(void *argument)
{
    struct worker *self = argument;
    struct phx_runq q;
    int n = 0;
    if (phx_runq_attach(&q, f.mem, f.size, NULL) != 0)
        abort();
    phx_runq_join(&q, self->number);
    for (uint32_t pos = self->number; pos < MAILED; pos += AT_ONCE, n++) {
        while (phx_runq_enter(&q, self->number, pos) == PHX_RUNQ_WAIT)
            if (n == self->dies_after && n % 3 == 0)
                goto out; /* while it waits: perhaps for others to leave it alone */
            else
                sched_yield();
        if (phx_runq_take(&q, self->number, pos) != 0)
            abort();
        if (n == self->dies_after && n % 3 == 1)
            break;
        phx_runq_start(&q, self->number, pos, n);
        begin(&q, self->number, pos);
        sched_yield();
        leave(&q, self->number, pos);
        if (n == self->dies_after)
            break;
        phx_runq_end(&q, self->number, pos, n);
    }
out:
    atomic_store(&ended[self->number], 1);
    return NULL;
}

static void round_by_mail(uint64_t *seed)
{
    ck_assert_int_eq(phx_plan_by_mail(&f.plan, MAILED, AT_ONCE), 0);
    f.plan.groups = calloc(NGROUPS, sizeof groups[0]);
    f.plan.mail_group = calloc(MAILED, sizeof f.plan.mail_group[0]);
    ck_assert(f.plan.groups && f.plan.mail_group);
    ngroups = f.plan.ngroups = NGROUPS;
    for (uint32_t i = 0; i < NGROUPS; i++) {
        f.plan.groups[i].permits = groups[i].permits;
        for (uint32_t test = groups[i].lo; test < groups[i].hi; test++)
            f.plan.mail_group[test] = (uint16_t)(i + 1);
    }
    ck_assert_int_eq(fixture_init(&f, AT_ONCE, 0), 0);
    memset(ended, 0, sizeof ended);
    pthread_t threads[AT_ONCE];
    struct worker workers[AT_ONCE];
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        workers[i].number = i;
        workers[i].dies_after = i % 2 ? -1 : (int)(fixture_random(seed) % (MAILED / AT_ONCE));
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work_by_mail, &workers[i]), 0);
    }
    for (uint32_t living = AT_ONCE, joined = 0; living > 0; sched_yield())
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            if ((joined & 1U << i) || !atomic_load(&ended[i]))
                continue;
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
            ck_assert_int_eq(phx_runq_bury(&f.q, i, NULL), 0);
            joined |= 1U << i;
            living--;
        }
    for (uint32_t pos = 1; pos < MAILED; pos += 2) /* of those that lived */
        if (pos % AT_ONCE % 2)
            ck_assert_int_eq(phx_runq_state(&f.q, pos), PHX_RUNQ_ENDED);
    fixture_fini(&f);
}

START_TEST(limits_hold_by_mail)
{
    uint64_t seed = 20261125;
    for (uint32_t round = 0; round < 10; round++)
        round_by_mail(&seed);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, threads_share_the_queue_without_a_race);
    tcase_add_test(tests, limits_hold_between_threads);
    tcase_add_test(tests, limits_hold_by_mail);
}

int main(void)
{
    return harness_run("runq_threads", 120, add);
}
