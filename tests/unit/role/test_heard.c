#include "role/heard.h"

#include "../queue/runq_fixture.h"
#include "harness.h"
#include "wire/msg.h"

enum { TESTS = 20 };

static struct phx_heard heard;
static struct fixture f;

static int note(uint64_t position)
{
    struct phx_buf body;
    phx_buf_init(&body);
    ck_assert_int_eq(phx_msg_put_number(&body, position), 0);
    int status = phx_heard_note(&heard, phx_buf_head(&body), phx_buf_size(&body));
    phx_buf_fini(&body);
    return status;
}

/* Workers 0 and 1 have ended the two halves of the tests, and are gone. */
static void make_ended_run(void)
{
    fixture_plan(&f.plan, TESTS, 2, 1);
    ck_assert_int_eq(fixture_init(&f, 2, 0), 0);
    phx_runq_join(&f.q, 0);
    phx_runq_join(&f.q, 1);
    for (uint32_t i = 0; i < TESTS / 2; i++) {
        for (uint32_t worker = 0; worker < 2; worker++) {
            uint32_t position;
            ck_assert_int_eq(phx_runq_claim(&f.q, worker, &position), 1);
            phx_runq_start(&f.q, worker, position, 1);
            phx_runq_end(&f.q, worker, position, 2);
        }
    }
    phx_runq_bury(&f.q, 0, NULL);
    phx_runq_bury(&f.q, 1, NULL);
    ck_assert_int_eq(phx_heard_init(&heard, TESTS), 0);
}

static void end(void)
{
    phx_heard_fini(&heard);
    fixture_fini(&f);
}

START_TEST(what_was_heard_is_not_lost)
{
    make_ended_run();
    for (uint32_t i = 0; i < TESTS; i++)
        ck_assert_int_eq(note(i), 0);
    uint32_t position = 0;
    ck_assert_int_eq(phx_heard_next_lost(&heard, &f.q, 0, &position), 0);
    position = 0;
    ck_assert_int_eq(phx_heard_next_lost(&heard, &f.q, 1, &position), 0);
    end();
}
END_TEST

START_TEST(each_worker_loses_its_own)
{
    make_ended_run();
    static const uint32_t lost[] = {3, 9, 10, 19};
    for (uint32_t i = 0; i < TESTS; i++)
        if (i != 3 && i != 9 && i != 10 && i != 19)
            ck_assert_int_eq(note(i), 0);
    for (uint32_t worker = 0; worker < 2; worker++) {
        uint32_t position = 0;
        for (uint32_t i = 0; i < 2; i++) {
            ck_assert_int_eq(phx_heard_next_lost(&heard, &f.q, worker, &position), 1);
            ck_assert_uint_eq(position - 1, lost[2 * worker + i]);
            ck_assert_int_eq(phx_runq_state(&f.q, position - 1), PHX_RUNQ_CRASHED);
        }
        ck_assert_int_eq(phx_heard_next_lost(&heard, &f.q, worker, &position), 0);
        position = 0; /* and is told of it once */
        ck_assert_int_eq(phx_heard_next_lost(&heard, &f.q, worker, &position), 0);
    }
    ck_assert_int_eq(phx_runq_state(&f.q, 4), PHX_RUNQ_ENDED);
    end();
}
END_TEST

START_TEST(what_names_no_position_is_no_message)
{
    make_ended_run();
    ck_assert_int_eq(note(TESTS), PHX_E_PROTO);
    ck_assert_int_eq(note(UINT64_MAX), PHX_E_PROTO);
    ck_assert_int_eq(phx_heard_note(&heard, "\xc0", 1), PHX_E_PROTO);
    ck_assert_int_eq(phx_heard_note(&heard, "", 0), PHX_E_PROTO);
    ck_assert_int_eq(phx_heard_has(&heard, TESTS), 0);
    ck_assert_int_eq(phx_heard_has(&heard, 0), 0);
    end();
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, what_was_heard_is_not_lost);
    tcase_add_test(tests, each_worker_loses_its_own);
    tcase_add_test(tests, what_names_no_position_is_no_message);
}

int main(void)
{
    return harness_run("heard", 20, add);
}
