#include "queue/runq.h"

#include <errno.h>

#include "harness.h"
#include "queue/runq_region.h"
#include "runq_fixture.h"

/* Most tests are about policy: who gets what. That nothing is lost or run twice whoever dies when
 * is for test_runq_model, test_runq_threads and test_runq_kill. */

static struct fixture f;

static void make(uint32_t ntests, uint32_t nspans, uint32_t unit_size, uint32_t nworkers)
{
    fixture_plan(&f.plan, ntests, nspans, unit_size);
    ck_assert_int_eq(fixture_init(&f, nworkers, 8), 0);
}

static int64_t claim(uint32_t worker)
{
    uint32_t pos = 12345;
    int got = phx_runq_claim(&f.q, worker, &pos);
    if (got == 1)
        return pos;
    ck_assert_uint_eq(pos, 12345);
    return got == 0 ? PHX_RUNQ_NONE : got;
}

static void run(uint32_t worker, int64_t pos)
{
    ck_assert_int_ge(pos, 0);
    phx_runq_start(&f.q, worker, (uint32_t)pos, 0);
    phx_runq_end(&f.q, worker, (uint32_t)pos, 0);
    ck_assert_int_eq(phx_runq_state(&f.q, (uint32_t)pos), PHX_RUNQ_ENDED);
}

/* Claims and runs until nothing is left; returns how many. */
static uint32_t drain(uint32_t worker)
{
    uint32_t count = 0;
    for (int64_t pos; (pos = claim(worker)) != PHX_RUNQ_NONE; count++)
        run(worker, pos);
    return count;
}

static void check_all_settled(void)
{
    for (uint32_t pos = 0; pos < phx_runq_positions(&f.q); pos++)
        if (phx_runq_state(&f.q, pos) < PHX_RUNQ_ENDED) /* a million ck_asserts take a minute */
            ck_abort_msg("position %u is not settled", pos);
    ck_assert_uint_eq(phx_runq_left(&f.q), 0);
}

START_TEST(a_worker_gets_its_span_in_order)
{
    make(6, 2, 1, 2);
    phx_runq_join(&f.q, 0);
    for (int64_t pos = 0; pos < 3; pos++) {
        ck_assert_int_eq(claim(0), pos);
        ck_assert_uint_eq(phx_runq_test(&f.q, (uint32_t)pos), 5 - (uint32_t)pos);
        ck_assert_int_eq(phx_runq_state(&f.q, (uint32_t)pos), PHX_RUNQ_CLAIMED);
        ck_assert_uint_eq(phx_runq_left(&f.q), 5 - (uint32_t)pos);
        run(0, pos);
    }
    fixture_fini(&f);
}
END_TEST

START_TEST(an_idle_worker_takes_the_back_half_of_the_longest_span)
{
    fixture_plan(&f.plan, 12, 2, 1);
    f.plan.spans[0] = (struct phx_plan_span){0, 4};
    f.plan.spans[1] = (struct phx_plan_span){4, 12};
    ck_assert_int_eq(fixture_init(&f, 4, 0), 0);
    ck_assert_int_eq(claim(2), 8); /* [8, 12) of [4, 12) */
    ck_assert_int_eq(claim(3), 2); /* three spans of 4, of 4 and, less one, of 3: the first */
    ck_assert_int_eq(claim(0), 0);
    ck_assert_int_eq(claim(1), 4);
    uint32_t count = 4;
    for (uint32_t worker = 0; worker < 4; worker++) {
        struct phx_runq_view view;
        phx_runq_look(&f.q, worker, &view);
        run(worker, view.claimed);
        count += drain(worker);
    }
    ck_assert_uint_eq(count, 12);
    check_all_settled();
    fixture_fini(&f);
}
END_TEST

START_TEST(half_is_measured_in_cost)
{
    fixture_plan(&f.plan, 5, 1, 1);
    f.plan.cost_us[0] = 1000; /* 1000 100 100 100 100: nearest to half is behind the first */
    ck_assert_int_eq(fixture_init(&f, 2, 0), 0);
    ck_assert_int_eq(claim(1), 1);
    ck_assert_uint_eq(phx_runq_left(&f.q), 4);
    fixture_fini(&f);
}
END_TEST

/* Ten tests of 100 on one span; a set-up of `seam` is shared by all but the last three. */
static void make_with_seam(uint32_t seam)
{
    fixture_plan(&f.plan, 10, 1, 1);
    f.plan.seam_us = calloc(10, sizeof *f.plan.seam_us);
    ck_assert_ptr_nonnull(f.plan.seam_us);
    for (uint32_t pos = 1; pos < 7; pos++)
        f.plan.seam_us[pos] = seam;
    ck_assert_int_eq(fixture_init(&f, 2, 0), 0);
    phx_runq_join(&f.q, 0);
    run(0, claim(0));
}

START_TEST(a_cut_gives_way_to_a_set_up)
{
    make_with_seam(0);
    ck_assert_int_eq(claim(1), 6); /* the middle of [1, 10) */
    fixture_fini(&f);
    make_with_seam(100); /* 500 and 400 + 100 is as good as it gets */
    ck_assert_int_eq(claim(1), 6);
    fixture_fini(&f);
    make_with_seam(300);
    ck_assert_int_eq(claim(1), 7); /* where nothing is set up twice: 600 and 300 */
    fixture_fini(&f);
}
END_TEST

START_TEST(work_stays_where_a_set_up_would_cost_more)
{
    make_with_seam(1000);
    ck_assert_uint_eq(drain(1), 3); /* 7 to 9, and no part of what its owner does in 600 */
    ck_assert_uint_eq(drain(0), 6);
    check_all_settled();
    fixture_fini(&f);
    make_with_seam(1000);
    ck_assert_int_eq(claim(0), 1);
    phx_runq_bury(&f.q, 0, NULL); /* nobody else will do it: then at any price */
    ck_assert_uint_eq(drain(1), 9);
    check_all_settled();
    fixture_fini(&f);
}
END_TEST

START_TEST(a_unit_is_never_cut)
{
    make(9, 1, 3, 3);
    ck_assert_int_eq(claim(0), 0);
    int64_t stolen = claim(1);
    ck_assert_int_eq(stolen % 3, 0);
    for (int64_t pos = stolen; pos < 9; pos++) {
        run(1, pos);
        if (pos < 8)
            ck_assert_int_eq(claim(1), pos + 1);
    }
    fixture_fini(&f);
}
END_TEST

START_TEST(a_begun_unit_stays_and_one_not_begun_goes)
{
    make(3, 1, 3, 2);
    ck_assert_int_eq(claim(0), 0);
    ck_assert_int_eq(claim(1), PHX_RUNQ_NONE);
    fixture_fini(&f);

    make(2, 1, 1, 2);
    phx_runq_join(&f.q, 0);
    ck_assert_int_eq(claim(0), 0);
    phx_runq_start(&f.q, 0, 0, 0); /* long: the other one must not wait behind it */
    ck_assert_int_eq(claim(1), 1);
    fixture_fini(&f);
}
END_TEST

START_TEST(a_first_unit_may_be_kept)
{
    fixture_plan(&f.plan, 8, 2, 2);
    f.plan.keep_first_unit = 1;
    ck_assert_int_eq(fixture_init(&f, 3, 0), 0);
    phx_runq_join(&f.q, 0);
    /* From both spans only the second unit, joined or not. */
    ck_assert_int_eq(claim(2), 2);
    run(2, 2);
    ck_assert_int_eq(claim(2), 3);
    run(2, 3);
    ck_assert_int_eq(claim(2), 6);
    run(2, 6);
    ck_assert_int_eq(claim(2), 7);
    run(2, 7);
    ck_assert_int_eq(claim(2), PHX_RUNQ_NONE);
    ck_assert_int_eq(claim(0), 0);
    /* Its owner never comes: then it is anyone's. */
    ck_assert_int_eq(phx_runq_bury(&f.q, 1, NULL), 0);
    ck_assert_int_eq(claim(2), 4);
    fixture_fini(&f);
}
END_TEST

START_TEST(a_started_worker_keeps_no_other_unit)
{
    fixture_plan(&f.plan, 4, 1, 2);
    f.plan.keep_first_unit = 1;
    ck_assert_int_eq(fixture_init(&f, 2, 0), 0);
    ck_assert_int_eq(claim(0), 0);
    run(0, 0);
    ck_assert_int_eq(claim(0), 1);
    ck_assert_int_eq(claim(1), 2);
    fixture_fini(&f);
}
END_TEST

START_TEST(a_dead_worker_leaves_its_begun_unit_to_others)
{
    make(4, 1, 4, 3);
    phx_runq_join(&f.q, 0);
    ck_assert_int_eq(claim(0), 0);
    phx_runq_start(&f.q, 0, 0, 100);
    phx_runq_phase(&f.q, 0, PHX_PHASE_TEARDOWN, -1, 250);
    ck_assert_int_eq(claim(0), 1); /* running one, the next one claimed */
    struct phx_runq_view view;
    phx_runq_look(&f.q, 0, &view);
    ck_assert_int_eq(view.running, 0);
    ck_assert_int_eq(view.claimed, 1);

    for (int i = 0; i < 2; i++) { /* idempotent */
        ck_assert_int_eq(phx_runq_bury(&f.q, 0, &view), 0);
        ck_assert_int_eq(view.running, 0);
        ck_assert_int_eq(view.claimed, PHX_RUNQ_NONE);
        ck_assert_int_eq(view.phase, PHX_PHASE_TEARDOWN);
        ck_assert_int_eq(view.since, 250);
    }
    ck_assert_int_eq(phx_runq_state(&f.q, 0), PHX_RUNQ_CRASHED);
    ck_assert_int_eq(phx_runq_state(&f.q, 1), PHX_RUNQ_QUEUED);
    ck_assert_uint_eq(phx_runq_left(&f.q), 3);
    phx_runq_look(&f.q, 0, &view);
    ck_assert_int_eq(view.running, PHX_RUNQ_NONE);
    ck_assert_int_eq(claim(1), 1);
    run(1, 1);
    ck_assert_uint_eq(drain(1), 2);
    check_all_settled();
    fixture_fini(&f);
}
END_TEST

START_TEST(a_worker_that_ended_well_leaves_nothing)
{
    make(3, 1, 1, 1);
    phx_runq_join(&f.q, 0);
    ck_assert_uint_eq(drain(0), 3);
    struct phx_runq_view view;
    ck_assert_int_eq(phx_runq_bury(&f.q, 0, &view), 0);
    ck_assert_int_eq(view.running, PHX_RUNQ_NONE);
    ck_assert_uint_eq(view.nended, 3);
    check_all_settled();
    fixture_fini(&f);
}
END_TEST

START_TEST(what_a_worker_ended_unheard_counts_as_crashed)
{
    make(4, 1, 2, 1);
    phx_runq_join(&f.q, 0);
    ck_assert_uint_eq(drain(0), 4);
    ck_assert_int_eq(phx_runq_bury(&f.q, 0, NULL), 0);
    ck_assert_int_eq(phx_runq_disown(&f.q, 1, 2), 0); /* not its own */
    ck_assert_int_eq(phx_runq_disown(&f.q, 0, 2), 1);
    ck_assert_int_eq(phx_runq_disown(&f.q, 0, 2), 0); /* it is settled */
    ck_assert_int_eq(phx_runq_disown(&f.q, 0, UINT32_MAX), 0);
    for (uint32_t pos = 0; pos < 4; pos++)
        ck_assert_int_eq(phx_runq_state(&f.q, pos), pos == 2 ? PHX_RUNQ_CRASHED : PHX_RUNQ_ENDED);
    fixture_fini(&f);
}
END_TEST

START_TEST(the_slot_tells_times_and_counts)
{
    make(2, 1, 1, 2);
    phx_runq_join(&f.q, 1);
    ck_assert_int_eq(claim(1), 1);
    phx_runq_start(&f.q, 1, 1, 1000);
    struct phx_runq_view view;
    phx_runq_look(&f.q, 1, &view);
    ck_assert_int_eq(view.running, 1);
    ck_assert_int_eq(view.claimed, PHX_RUNQ_NONE);
    ck_assert_int_eq(view.phase, PHX_PHASE_SETUP);
    ck_assert_int_eq(view.since, 1000);
    phx_runq_phase(&f.q, 1, PHX_PHASE_CALL, -1, 1500);
    phx_runq_look(&f.q, 1, &view);
    ck_assert_int_eq(view.phase, PHX_PHASE_CALL);
    ck_assert_int_eq(view.since, 1500);
    phx_runq_end(&f.q, 1, 1, 4000);
    phx_runq_look(&f.q, 1, &view);
    ck_assert_int_eq(view.running, PHX_RUNQ_NONE);
    ck_assert_int_eq(view.phase, PHX_PHASE_NONE);
    ck_assert_int_eq(view.busy, 3000);
    ck_assert_uint_eq(view.nended, 1);
    ck_assert_uint_eq(view.nsteals, 1);
    fixture_fini(&f);
}
END_TEST

static void enter(uint32_t worker, enum phx_runq_phase phase, phx_ns now)
{
    phx_runq_phase(&f.q, worker, phase, -1, now);
}

START_TEST(a_position_tells_how_long_its_phases_took)
{
    make(2, 1, 1, 2);
    phx_runq_set_epoch(&f.q, 1000);
    struct phx_runq other; /* as the worker has it */
    ck_assert_int_eq(phx_runq_attach(&other, f.mem, f.size, NULL), 0);
    ck_assert_int_eq(other.epoch, 1000);
    struct phx_runq_timing t = {.worker = 77};
    ck_assert_int_eq(claim(1), 1);
    ck_assert_int_eq(phx_runq_timing(&f.q, 1, &t), 0);
    ck_assert_uint_eq(t.worker, 77);

    phx_runq_start(&f.q, 1, 1, 5000);
    enter(1, PHX_PHASE_CALL, 2005999); /* microseconds are cut, not rounded */
    ck_assert_int_eq(phx_runq_timing(&f.q, 1, &t), 1);
    ck_assert_uint_eq(t.worker, 1);
    ck_assert_int_eq(t.started, 4000);
    ck_assert_uint_eq(t.phase_us[PHX_PHASE_SETUP], 2000);
    ck_assert_uint_eq(t.phase_us[PHX_PHASE_CALL], 0);
    ck_assert_uint_eq(t.total_us, 0);

    enter(1, PHX_PHASE_TEARDOWN, 5005000);
    enter(1, PHX_PHASE_SETUP, 6005000); /* a rerun: its phases add up */
    enter(1, PHX_PHASE_TEARDOWN, 6505000);
    enter(1, PHX_PHASE_NONE, 6605000);
    phx_runq_end(&f.q, 1, 1, 9005000);
    ck_assert_int_eq(phx_runq_timing(&f.q, 1, &t), 1);
    ck_assert_uint_eq(t.phase_us[PHX_PHASE_NONE], 0);
    ck_assert_uint_eq(t.phase_us[PHX_PHASE_SETUP], 2500);
    ck_assert_uint_eq(t.phase_us[PHX_PHASE_CALL], 2999);
    ck_assert_uint_eq(t.phase_us[PHX_PHASE_TEARDOWN], 1100);
    ck_assert_uint_eq(t.total_us, 9000);
    ck_assert_int_eq(phx_runq_timing(&f.q, 0, &t), 0);
    ck_assert_int_eq(phx_runq_timing(&f.q, 1000, &t), 0);
    fixture_fini(&f);
}
END_TEST

/* The rest went into its report; but a test's own clock may be anything. */
START_TEST(a_phase_took_what_the_test_says_if_that_can_be)
{
    static const struct {
        phx_ns says;
        uint32_t us;
    } cases[] = {{1500000, 1500}, {999, 0},   {0, 0},           {3000000, 3000},
                 {9000000, 3000}, {-1, 3000}, {INT64_MAX, 3000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make(2, 1, 1, 1);
        struct phx_runq_timing t;
        ck_assert_int_eq(claim(0), 0);
        phx_runq_start(&f.q, 0, 0, 1000000);
        phx_runq_phase(&f.q, 0, PHX_PHASE_CALL, cases[i].says, 4000000);
        phx_runq_end(&f.q, 0, 0, 5000000);
        ck_assert_int_eq(phx_runq_timing(&f.q, 0, &t), 1);
        ck_assert_uint_eq(t.phase_us[PHX_PHASE_SETUP], cases[i].us);
        ck_assert_uint_eq(t.phase_us[PHX_PHASE_CALL], 1000);
        ck_assert_uint_eq(t.total_us, 4000);
        fixture_fini(&f);
    }
}
END_TEST

START_TEST(a_crashed_position_tells_of_the_phases_before)
{
    make(2, 1, 1, 1);
    ck_assert_int_eq(claim(0), 0);
    phx_runq_start(&f.q, 0, 0, 1000000);
    enter(0, PHX_PHASE_CALL, 3000000);
    ck_assert_int_eq(phx_runq_bury(&f.q, 0, NULL), 0);
    struct phx_runq_timing t;
    ck_assert_int_eq(phx_runq_timing(&f.q, 0, &t), 1);
    ck_assert_int_eq(t.started, 1000000);
    ck_assert_uint_eq(t.phase_us[PHX_PHASE_SETUP], 2000);
    ck_assert_uint_eq(t.total_us, 0);
    fixture_fini(&f);
}
END_TEST

/* The clock may stand still, and a test may take longer than 32 bits of microseconds. */
START_TEST(a_duration_is_cut_to_what_its_field_holds)
{
    make(2, 1, 1, 1);
    struct phx_runq_timing t;
    ck_assert_int_eq(claim(0), 0);
    run(0, 0);
    ck_assert_int_eq(phx_runq_timing(&f.q, 0, &t), 1);
    ck_assert_uint_eq(t.total_us, 1);
    ck_assert_int_eq(claim(0), 1);
    phx_runq_start(&f.q, 0, 1, 0);
    enter(0, PHX_PHASE_CALL, 3000 * PHX_S);
    enter(0, PHX_PHASE_SETUP, 9000 * PHX_S);
    phx_runq_end(&f.q, 0, 1, 20000 * PHX_S);
    ck_assert_int_eq(phx_runq_timing(&f.q, 1, &t), 1);
    ck_assert_uint_eq(t.phase_us[PHX_PHASE_SETUP], UINT32_MAX);
    ck_assert_uint_eq(t.phase_us[PHX_PHASE_CALL], UINT32_MAX);
    ck_assert_uint_eq(t.total_us, UINT32_MAX);
    fixture_fini(&f);
}
END_TEST

START_TEST(times_that_cannot_be_true_are_not_believed)
{
    make(2, 1, 1, 1);
    struct phx_runq_timing t = {.worker = 77};
    ck_assert_int_eq(claim(0), 0);
    run(0, 0);
    struct runq_times *times = runq_times(&f.q, 0);
    times->phase_us[1] = 2; /* longer than the whole */
    ck_assert_int_eq(phx_runq_timing(&f.q, 0, &t), PHX_E_CORRUPT);
    times->phase_us[1] = 1;
    ck_assert_int_eq(phx_runq_timing(&f.q, 0, &t), 1);
    times->started = UINT64_MAX;
    t.worker = 77;
    ck_assert_int_eq(phx_runq_timing(&f.q, 0, &t), PHX_E_CORRUPT);
    times->started = 0;
    *runq_ledger(&f.q, 0) = runq_entry(1, PHX_RUNQ_ENDED); /* there is no worker 1 */
    ck_assert_int_eq(phx_runq_timing(&f.q, 0, &t), PHX_E_CORRUPT);
    ck_assert_uint_eq(t.worker, 77);
    fixture_fini(&f);
}
END_TEST

START_TEST(a_claim_given_back_is_handed_out_again)
{
    make(4, 1, 2, 2);
    phx_runq_join(&f.q, 0);
    ck_assert_int_eq(claim(0), 0);
    ck_assert_int_eq(claim(0), 0); /* a second claim before the start is the same one */
    run(0, 0);
    ck_assert_int_eq(claim(0), 1);
    phx_runq_unclaim(&f.q, 0, 1);
    ck_assert_int_eq(phx_runq_state(&f.q, 1), PHX_RUNQ_QUEUED);
    ck_assert_uint_eq(phx_runq_left(&f.q), 3);
    ck_assert_uint_eq(drain(1), 3); /* before the burial, the unit begun included */
    ck_assert_int_eq(phx_runq_bury(&f.q, 0, NULL), 0);
    check_all_settled();
    fixture_fini(&f);
}
END_TEST

START_TEST(a_worker_may_change_its_mind_after_giving_back)
{
    make(3, 1, 1, 1);
    ck_assert_int_eq(claim(0), 0);
    phx_runq_unclaim(&f.q, 0, 0);
    phx_runq_unclaim(&f.q, 0, 0); /* nothing held: no effect */
    ck_assert_uint_eq(phx_runq_left(&f.q), 3);
    ck_assert_uint_eq(drain(0), 3);
    check_all_settled();
    fixture_fini(&f);
}
END_TEST

START_TEST(a_closed_queue_hands_out_nothing)
{
    make(4, 1, 1, 2);
    ck_assert_int_eq(claim(0), 0);
    phx_runq_start(&f.q, 0, 0, 0);
    ck_assert_int_eq(phx_runq_closed(&f.q), 0);
    phx_runq_close(&f.q);
    ck_assert_int_eq(phx_runq_closed(&f.q), 1);
    ck_assert_int_eq(claim(0), PHX_RUNQ_NONE);
    ck_assert_int_eq(claim(1), PHX_RUNQ_NONE);
    ck_assert_uint_eq(phx_runq_left(&f.q), 0);
    phx_runq_end(&f.q, 0, 0, 0); /* what runs goes on */
    ck_assert_int_eq(phx_runq_state(&f.q, 0), PHX_RUNQ_ENDED);
    ck_assert_int_eq(phx_runq_state(&f.q, 1), PHX_RUNQ_QUEUED);
    fixture_fini(&f);
}
END_TEST

START_TEST(late_tests_are_handed_out_once_each)
{
    make(2, 1, 1, 3);
    ck_assert_uint_eq(drain(0), 2);
    for (uint32_t i = 0; i < 8; i++) {
        ck_assert_int_eq(phx_runq_add_late(&f.q, i % 2, 50), 2 + i);
        ck_assert_uint_eq(phx_runq_test(&f.q, 2 + i), i % 2);
        if (i == 3) /* the late word shrinks in front and grows behind */
            ck_assert_int_eq(claim(1), 2);
    }
    ck_assert_uint_eq(phx_runq_positions(&f.q), 10);
    ck_assert_int_eq(phx_runq_add_late(&f.q, 0, 50), -ENOSPC);
    ck_assert_int_eq(phx_runq_add_late(&f.q, 2, 50), -EINVAL);
    run(1, 2);
    ck_assert_uint_eq(phx_runq_left(&f.q), 7);
    ck_assert_uint_eq(drain(2) + drain(1), 7);
    check_all_settled();
    fixture_fini(&f);
}
END_TEST

START_TEST(a_failed_test_goes_to_somebody_else)
{
    make(2, 1, 1, 3);
    ck_assert_uint_eq(drain(0), 2);
    ck_assert_int_eq(phx_runq_add_late_elsewhere(&f.q, 0, 50, 0), 2);
    phx_runq_join(&f.q, 1);
    ck_assert_int_eq(claim(0), PHX_RUNQ_NONE); /* worker 1 is there */
    ck_assert_uint_eq(phx_runq_left(&f.q), 1);
    ck_assert_int_eq(claim(1), 2);
    fixture_fini(&f);
}
END_TEST

START_TEST(a_failed_test_comes_back_to_who_is_alone)
{
    make(2, 1, 1, 3);
    ck_assert_uint_eq(drain(0), 2);
    phx_runq_join(&f.q, 1);
    ck_assert_int_eq(phx_runq_add_late_elsewhere(&f.q, 0, 50, 0), 2);
    ck_assert_int_eq(phx_runq_add_late_elsewhere(&f.q, 1, 50, 1), 3);
    phx_runq_bury(&f.q, 1, NULL); /* now worker 0 is alone */
    ck_assert_uint_eq(drain(0), 2);
    check_all_settled();
    fixture_fini(&f);
}
END_TEST

START_TEST(what_others_may_run_is_taken_up_to_what_is_to_be_passed_by)
{
    make(2, 1, 1, 3);
    ck_assert_uint_eq(drain(0), 2);
    phx_runq_join(&f.q, 1);
    ck_assert_int_eq(phx_runq_add_late(&f.q, 0, 1), 2);
    ck_assert_int_eq(phx_runq_add_late_elsewhere(&f.q, 1, 1, 0), 3);
    ck_assert_int_eq(phx_runq_add_late(&f.q, 0, 100), 4); /* half the cost lies in here */
    ck_assert_int_eq(claim(0), 2);
    run(0, 2);
    ck_assert_int_eq(claim(0), PHX_RUNQ_NONE);
    ck_assert_uint_eq(drain(1), 2);
    check_all_settled();
    fixture_fini(&f);
}
END_TEST

START_TEST(a_plan_that_breaks_its_rules_is_refused)
{
    for (int wrong = 0; wrong < 9; wrong++) {
        fixture_plan(&f.plan, 6, 2, 3);
        uint32_t nworkers = 2;
        if (wrong == 0)
            f.plan.order[1] = f.plan.order[2];
        if (wrong == 1)
            f.plan.order[1] = 6;
        if (wrong == 2)
            f.plan.spans[1].lo = 4; /* position 3 in no span */
        if (wrong == 3)
            f.plan.spans[0].hi = 4; /* position 3 in two */
        if (wrong == 4) {
            f.plan.spans[0].hi = 4; /* cuts a unit */
            f.plan.spans[1].lo = 4;
        }
        if (wrong == 5)
            f.plan.spans[1].hi = 7;
        if (wrong == 6)
            f.plan.cost_us[3] = 0;
        if (wrong == 7)
            nworkers = 1;
        if (wrong == 8)
            nworkers = PHX_RUNQ_WORKERS_MAX + 1;
        ck_assert_int_eq(fixture_init(&f, nworkers, 0), -EINVAL);
        fixture_fini(&f);
    }
    fixture_plan(&f.plan, 6, 2, 3);
    ck_assert_int_eq(fixture_init(&f, 2, 0), 0);
    memset(f.mem, 0, f.size);
    ck_assert_int_eq(phx_runq_init(&f.q, f.mem, f.size - 1, &f.plan, 2, 0), -EINVAL);
    ck_assert_int_eq(phx_runq_init(&f.q, f.mem, f.size, &f.plan, 2, 0), 0);
    fixture_fini(&f);
}
END_TEST

START_TEST(an_empty_plan_is_a_run_queue_too)
{
    make(0, 1, 1, 1);
    phx_runq_join(&f.q, 0);
    ck_assert_int_eq(claim(0), PHX_RUNQ_NONE);
    ck_assert_uint_eq(phx_runq_positions(&f.q), 0);
    ck_assert_int_eq(phx_runq_bury(&f.q, 0, NULL), 0);
    fixture_fini(&f);
}
END_TEST

START_TEST(attach_sees_the_same_queue)
{
    make(5, 1, 1, 2);
    struct phx_runq other;
    struct phx_err err;
    ck_assert_int_eq(phx_runq_attach(&other, f.mem, f.size, &err), 0);
    uint32_t pos;
    ck_assert_int_eq(phx_runq_claim(&other, 0, &pos), 1);
    ck_assert_int_eq(phx_runq_state(&f.q, pos), PHX_RUNQ_CLAIMED);
    ck_assert_int_eq(phx_runq_attach(&other, f.mem, f.size + 4096, &err), 0); /* whole pages */
    ck_assert_int_eq(phx_runq_attach(&other, f.mem, f.size - 64, &err), PHX_E_CORRUPT);
    ck_assert_int_eq(phx_runq_attach(&other, f.mem, 8, &err), PHX_E_CORRUPT);
    *(char *)f.mem ^= 1;
    ck_assert_int_eq(phx_runq_attach(&other, f.mem, f.size, &err), PHX_E_CORRUPT);
    ck_assert_int_eq(err.code, PHX_E_CORRUPT);
    fixture_fini(&f);
}
END_TEST

/* 4,096 spans and 1,000,000 tests: every worker runs its own, then the rest is stolen. */
START_TEST(the_promised_size)
{
    enum { WORKERS = 4096, TESTS = 1000000 };
    fixture_plan(&f.plan, TESTS, WORKERS, 1);
    ck_assert_int_eq(fixture_init(&f, WORKERS, 100), 0);
    uint32_t count = 0;
    for (uint32_t worker = 0; worker < WORKERS; worker++)
        phx_runq_join(&f.q, worker);
    /* A quarter of them do everything: thousands of steals, each looking at 4,097 words. */
    for (int more = 1; more;) {
        more = 0;
        for (uint32_t worker = 0; worker < WORKERS; worker += 4) {
            uint32_t pos;
            if (phx_runq_claim(&f.q, worker, &pos) != 1)
                continue;
            phx_runq_start(&f.q, worker, pos, 0);
            phx_runq_end(&f.q, worker, pos, 0);
            count++;
            more = 1;
        }
    }
    ck_assert_uint_eq(count, TESTS);
    check_all_settled();
    fixture_fini(&f);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_worker_gets_its_span_in_order);
    tcase_add_test(tests, an_idle_worker_takes_the_back_half_of_the_longest_span);
    tcase_add_test(tests, half_is_measured_in_cost);
    tcase_add_test(tests, a_cut_gives_way_to_a_set_up);
    tcase_add_test(tests, work_stays_where_a_set_up_would_cost_more);
    tcase_add_test(tests, a_unit_is_never_cut);
    tcase_add_test(tests, a_begun_unit_stays_and_one_not_begun_goes);
    tcase_add_test(tests, a_first_unit_may_be_kept);
    tcase_add_test(tests, a_started_worker_keeps_no_other_unit);
    tcase_add_test(tests, a_dead_worker_leaves_its_begun_unit_to_others);
    tcase_add_test(tests, a_worker_that_ended_well_leaves_nothing);
    tcase_add_test(tests, what_a_worker_ended_unheard_counts_as_crashed);
    tcase_add_test(tests, the_slot_tells_times_and_counts);
    tcase_add_test(tests, a_position_tells_how_long_its_phases_took);
    tcase_add_test(tests, a_phase_took_what_the_test_says_if_that_can_be);
    tcase_add_test(tests, a_crashed_position_tells_of_the_phases_before);
    tcase_add_test(tests, a_duration_is_cut_to_what_its_field_holds);
    tcase_add_test(tests, times_that_cannot_be_true_are_not_believed);
    tcase_add_test(tests, a_claim_given_back_is_handed_out_again);
    tcase_add_test(tests, a_worker_may_change_its_mind_after_giving_back);
    tcase_add_test(tests, a_closed_queue_hands_out_nothing);
    tcase_add_test(tests, late_tests_are_handed_out_once_each);
    tcase_add_test(tests, a_failed_test_goes_to_somebody_else);
    tcase_add_test(tests, a_failed_test_comes_back_to_who_is_alone);
    tcase_add_test(tests, what_others_may_run_is_taken_up_to_what_is_to_be_passed_by);
    tcase_add_test(tests, a_plan_that_breaks_its_rules_is_refused);
    tcase_add_test(tests, an_empty_plan_is_a_run_queue_too);
    tcase_add_test(tests, attach_sees_the_same_queue);
    tcase_add_test(tests, the_promised_size);
}

int main(void)
{
    return harness_run("runq", 60, add);
}
