/* A region that a worker gone wild has written over: whatever its bytes, no call reads or writes
 * outside it (it is allocated to the byte, for ASan), none fails to return, and no position beyond
 * the end comes out. PHX_TEST_SECONDS asks for more than the default. */
#include "queue/runq.h"

#include <errno.h>
#include <stdio.h>

#include "harness.h"
#include "queue/runq_region.h"
#include "runq_fixture.h"

/* Check's own assertions write to a file each time: too slow for millions of them. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

static struct fixture f;
static uint64_t seed = 20261123;

static uint32_t below(uint32_t limit)
{
    return limit ? fixture_random(&seed) % limit : 0;
}

/* A position out of the queue is good for every call. */
static void use(struct phx_runq *q, uint32_t worker, uint32_t pos)
{
    MUST(pos < q->capacity);
    (void)phx_runq_test(q, pos);
    if (below(8) == 0) {
        phx_runq_unclaim(q, worker, pos);
        return;
    }
    phx_runq_start(q, worker, pos, 1);
    phx_runq_phase(q, worker, (enum phx_runq_phase)below(4), -1, 1 + below(9));
    if (below(8) != 0)
        phx_runq_end(q, worker, pos, 2);
}

static void claim_some(struct phx_runq *q)
{
    for (uint32_t n = below(30); n > 0; n--) {
        uint32_t worker = below(q->nworkers), pos = UINT32_MAX;
        int got = phx_runq_claim(q, worker, &pos);
        MUST(got == 0 || got == 1 || got == -EAGAIN || got == PHX_E_CORRUPT);
        if (got == 1)
            use(q, worker, pos);
    }
}

/* As a thief that died leaves it. */
static void leave_a_steal(struct phx_runq *q)
{
    struct phx_runq_header *header = q->header;
    uint32_t lo = below(q->capacity + 1);
    header->lock = 1 + below(q->nworkers);
    header->journal.thief = header->lock - 1;
    header->journal.victim = below(q->nworkers + 1);
    header->journal.taken = runq_word_of(lo, lo + below(q->capacity + 2 - lo));
    header->journal.valid = below(2);
}

/* Bytes anywhere, or values that look almost right where they matter. */
static void scribble(struct phx_runq *q)
{
    unsigned char *bytes = f.mem;
    uint32_t edge[] = {0, 1, q->capacity - 1, q->capacity, q->capacity + 1, UINT32_MAX, 0x7fffffff};
    for (uint32_t n = 1 + below(6); n > 0; n--) {
        uint32_t value = edge[below(sizeof edge / sizeof *edge)];
        switch (below(5)) {
        case 0:
            bytes[below((uint32_t)f.size)] ^= (unsigned char)(1u << below(8));
            break;
        case 1:
            bytes[below((uint32_t)f.size)] = (unsigned char)below(256);
            break;
        case 2:
            *runq_word(q, below(q->nworkers + 1)) = runq_word_of(below(q->capacity + 2), value);
            break;
        case 3:
            ((uint32_t *)f.mem)[below((uint32_t)(f.size / 4))] = value;
            break;
        default:
            ((uint32_t *)q->slots)[below(q->nworkers * 32)] = below(2) ? value : below(8);
            break;
        }
    }
}

static void call_everything(struct phx_runq *q)
{
    claim_some(q);
    (void)phx_runq_left(q);
    MUST(phx_runq_positions(q) <= q->capacity);
    for (uint32_t pos = 0; pos < q->capacity + 3; pos++) {
        MUST(phx_runq_state(q, pos) <= PHX_RUNQ_CRASHED);
        (void)phx_runq_test(q, pos);
        struct phx_runq_timing timing = {.worker = 0};
        int got = phx_runq_timing(q, pos, &timing);
        MUST(got == 0 || got == 1 || got == PHX_E_CORRUPT);
        MUST(timing.worker < q->nworkers);
        MUST(timing.started >= 0);
    }
    for (uint32_t worker = 0; worker < q->nworkers; worker++) {
        struct phx_runq_view view;
        phx_runq_look(q, worker, &view);
        struct phx_runq_deadline due = {.timeout = 0};
        phx_runq_extend(q, worker, below(100));
        if (phx_runq_condemn(q, worker, below(100), &due)) {
            MUST(phx_runq_condemn(q, worker, 0, &due) == 1);
            MUST(phx_runq_set_deadline(q, worker, &due) == 0);
        }
        MUST(view.running < (int64_t)q->capacity);
        MUST(view.claimed < (int64_t)q->capacity);
        if (below(2)) {
            int result = phx_runq_bury(q, worker, &view);
            MUST(result == 0 || result == PHX_E_CORRUPT);
            MUST(phx_runq_bury(q, worker, &view) == result);
            MUST(view.running < (int64_t)q->capacity);
            MUST(q->header->lock != worker + 1); /* nobody waits for the dead */
            uint32_t pos = below(q->capacity + 2);
            if (phx_runq_disown(q, worker, pos))
                MUST(phx_runq_state(q, pos) == PHX_RUNQ_CRASHED);
        }
        claim_some(q);
    }
    int64_t late = phx_runq_add_late(q, below(q->ntests + 2), below(100));
    MUST(late < (int64_t)q->capacity);
    claim_some(q);
}

START_TEST(torn_memory_leads_nowhere)
{
    const char *asked = getenv("PHX_TEST_SECONDS");
    phx_ns end = phx_clock_now() + (asked ? atol(asked) : 3) * PHX_S;
    unsigned long rounds = 0, attached = 0;
    for (; phx_clock_now() < end; rounds++) {
        fixture_plan(&f.plan, below(40), below(5), 1 + below(4));
        if (f.plan.nspans == 0 && f.plan.ntests > 0)
            f.plan.ntests = 0;
        f.plan.keep_first_unit = (int)below(2);
        MUST(fixture_init(&f, 4 + below(4), below(5)) == 0);
        claim_some(&f.q);
        if (below(2))
            leave_a_steal(&f.q);
        scribble(&f.q);
        struct phx_runq late;
        if (phx_runq_attach(&late, f.mem, f.size, NULL) == 0) {
            attached++;
            call_everything(&late);
            scribble(&late);
        }
        /* This handle was made before the damage, as a worker's is. */
        call_everything(&f.q);
        fixture_fini(&f);
    }
    printf("# fuzz: %lu regions, %lu with a header that could be read\n", rounds, attached);
    ck_assert_uint_gt(attached, 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, torn_memory_leads_nowhere);
}

int main(void)
{
    const char *asked = getenv("PHX_TEST_SECONDS");
    return harness_run("runq_fuzz", 60 + (asked ? atof(asked) : 0), add);
}
