/* The machine of the model: see test_runq_model.c, the only file that includes this. */
#ifndef PHX_TEST_RUNQ_MODEL_H
#define PHX_TEST_RUNQ_MODEL_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t model_load(const volatile void *at, size_t size);
static void model_store(volatile void *at, size_t size, uint64_t value);
static int model_swap(volatile void *at, size_t size, void *expected, uint64_t desired);

#define shared_load(at, order) ((__typeof__(+*(at)))model_load((at), sizeof *(at)))
#define shared_store(at, value, order) model_store((at), sizeof *(at), (value))
#define shared_swap(at, expected, desired) model_swap((at), sizeof *(at), (expected), (desired))
#define note_load(at) ((void)(at), 0)
#define note_store(at, value) ((void)(at), (void)(value))

#include "queue/plan.c"
#include "queue/runq.c"
#include "queue/runq_bury.c"
#include "queue/runq_groups.c"
#include "queue/runq_region.c"
#include "queue/runq_steal.c"
#include "queue/runq_timing.c"

#include "harness.h"
#include "runq_fixture.h"

enum {
    ACTORS_MAX = 5, /* workers and, last, the controller */
    LOG_MAX = 96,   /* accesses of one operation */
    TESTS_MAX = 16,
    REGION_MAX = 2560,
};

enum mutation {
    NO_MUTATION,
    NO_JOURNAL,   /* it never becomes valid */
    NO_INTENT,    /* never written */
    BLIND_CUT,    /* a thief stores its cut whatever the owner did meanwhile */
    BLIND_CLAIM,  /* an owner stores lo + 1 whatever a thief did meanwhile */
    NO_LOCK,      /* always free */
    NO_BREAK,     /* the controller leaves a dead thief's lock alone */
    NO_GIVE_BACK, /* the controller leaves claims to the dead */
    NO_LEDGER,    /* start does not reach the ledger */
};

struct config {
    const char *name;
    uint32_t ntests, nworkers; /* nworkers run; further spans are ownerless from the start */
    uint32_t nspans;
    struct phx_plan_span spans[4];
    uint32_t unit[TESTS_MAX], cost[TESTS_MAX]; /* cost 0 stands for 1 */
    uint32_t seam[TESTS_MAX];
    struct phx_plan_group groups[3];
    uint32_t ngroups;
    int keep_first_unit;
    uint32_t deaths;
    uint32_t nlate; /* tests the controller hands out late, while the workers run */
    int bury_ended; /* workers that ended are buried while the others run, not only at the end */
    int leaver;     /* worker 0 gives its second claim back and ends */
    enum mutation mutation;
};

enum op { JOIN, CLAIM, START, NEXT, END, UNCLAIM, DONE, DEAD, IDLE, BURY, LATE };

struct actor {
    uint8_t op;
    uint8_t parked;   /* 1, got -EAGAIN: goes on once the lock is free; 2, got PHX_RUNQ_WAIT: once
                         nobody runs exclusive tests */
    uint8_t first;    /* has not claimed yet */
    uint8_t subject;  /* BURY: whom */
    int8_t cur, next; /* positions held, or -1 */
    uint8_t nlog;
    uint8_t alone;         /* its next access is private */
    uint32_t log[LOG_MAX]; /* what the accesses of `op` returned so far */
};

enum { FREE, HELD, STARTED, ENDED }; /* the model's own idea of a position */

struct state {
    _Alignas(64) unsigned char region[REGION_MAX];
    struct actor actor[ACTORS_MAX];
    uint8_t holder[TESTS_MAX], held[TESTS_MAX];
    uint8_t deaths, nlate;
    uint8_t bury[ACTORS_MAX], nbury; /* dead or ended, waiting for the controller */
};

static struct {
    const struct config *config;
    uint32_t nactors; /* workers and the controller */
    size_t region_size;
    uint64_t nstates, nends;
    const char *found; /* NULL so far */
    char found_text[200];
    uint64_t *memo; /* hashes of the states met; 0 is an empty place */
    size_t memo_capacity, memo_used;
    /* the step being made; actor NULL: accesses are simply made */
    struct state *state;
    struct actor *actor;
    uint32_t replayed;
    int stepped;
    jmp_buf leave;
} m;

static void found(const char *what, int a, int b)
{
    if (m.found)
        return;
    snprintf(m.found_text, sizeof m.found_text, "%s (%d, %d)", what, a, b);
    m.found = m.found_text;
}

/* ---- accesses ---- */

static struct phx_runq handle(struct state *s)
{
    struct phx_runq q;
    if (phx_runq_attach(&q, s->region, m.region_size, NULL) != 0)
        abort();
    return q;
}

/* Words are logged in half their size: positions are small here. */
static uint32_t pack(size_t size, uint64_t value)
{
    return size == 8 ? (uint32_t)(value >> 32 << 16 | (value & 0xffff)) : (uint32_t)value;
}

static uint64_t unpack(size_t size, uint32_t logged)
{
    return size == 8 ? runq_word_of(logged & 0xffff, logged >> 16) : logged;
}

static uint64_t peek(const volatile void *at, size_t size)
{
    if (size == 8)
        return *(const volatile uint64_t *)at;
    return *(const volatile uint32_t *)at;
}

static void poke(volatile void *at, size_t size, uint64_t value)
{
    if (size == 8)
        *(volatile uint64_t *)at = value;
    else
        *(volatile uint32_t *)at = (uint32_t)value;
}

static int is_controller(void)
{
    return m.actor == &m.state->actor[m.nactors - 1];
}

/* Which word an address is, or -1. */
static int word_index(const struct phx_runq *q, const volatile void *at)
{
    for (uint32_t i = 0; i <= q->nworkers; i++)
        if (at == (volatile void *)runq_word(q, i))
            return (int)i;
    return -1;
}

/* Accesses with which no other actor's can conflict, so that it does not matter what others do
 * before or after: they are followed at once and alone (a death between any two of them is tried
 * all the same). They are those to a worker's own slot, of which thieves read only the state; to
 * the ledger, since a position is one actor's at a time (a claim that breaks this is found out
 * before); to the journal, which is the holder's of the lock; and to what nobody changes. */
static int is_private(const volatile void *at, int is_load)
{
    struct phx_runq q = handle(m.state);
    const volatile char *byte = at;
    if (byte >= (char *)q.ledger || at == (volatile void *)&q.header->closed ||
        at == (volatile void *)&q.header->positions)
        return 1;
    if (byte >= (char *)&q.header->journal && byte < (char *)q.words)
        return 1;
    int word = word_index(&q, at);
    if (word >= 0) /* the words of the replacement, and of late tests where there are none */
        return word + 1 == (int)q.nworkers || (word == (int)q.nworkers && !m.config->nlate);
    if (byte < (char *)q.slots || byte >= (char *)q.cost)
        return 0;
    size_t offset = (size_t)(byte - (char *)q.slots);
    int own = (long)(offset / sizeof *q.slots) == m.actor - m.state->actor;
    if (offset % sizeof *q.slots != offsetof(struct phx_runq_slot, state))
        return 1;
    /* JOINED or WORKING makes a difference only where first units are kept. */
    return own && (is_load || (!m.config->keep_first_unit && !m.config->leaver));
}

/* Has this actor a next access to make? Returns 1 when it is to be made for real. */
static int advance(const volatile void *at, int is_load, uint32_t *out_logged)
{
    if (!m.actor)
        return 1;
    if (m.replayed < m.actor->nlog) {
        *out_logged = m.actor->log[m.replayed++];
        return 0;
    }
    if (m.stepped) {
        m.actor->alone = (uint8_t)is_private(at, is_load);
        longjmp(m.leave, 1);
    }
    m.stepped = 1;
    return 1;
}

static void record(uint32_t value)
{
    if (!m.actor)
        return;
    if (m.actor->nlog == LOG_MAX)
        abort();
    m.actor->log[m.actor->nlog++] = value;
    if (m.actor->nlog < LOG_MAX)
        m.actor->log[m.actor->nlog] = 0; /* hashed by eights */
    m.replayed++;
}

static uint64_t model_load(const volatile void *at, size_t size)
{
    uint32_t logged;
    if (!advance(at, 1, &logged))
        return unpack(size, logged);
    uint64_t value = peek(at, size);
    record(pack(size, value));
    return value;
}

static int store_is_lost(volatile void *at, uint64_t value)
{
    if (!m.actor || m.config->mutation == NO_MUTATION)
        return 0;
    struct phx_runq q = handle(m.state);
    switch (m.config->mutation) {
    case NO_JOURNAL:
        return at == (volatile void *)&q.header->journal.valid;
    case NO_INTENT:
        for (uint32_t i = 0; i < q.nworkers; i++)
            if (at == (volatile void *)&q.slots[i].intent)
                return 1;
        return 0;
    case NO_BREAK:
        return is_controller() && at == (volatile void *)&q.header->lock;
    case NO_LEDGER:
        return (value & 0xff) == PHX_RUNQ_STARTED && (volatile char *)at >= (char *)q.ledger;
    default:
        return 0;
    }
}

static void model_store(volatile void *at, size_t size, uint64_t value)
{
    uint32_t logged;
    if (!advance(at, 0, &logged))
        return;
    if (!store_is_lost(at, value))
        poke(at, size, value);
    record(0);
}

/* What a mutated swap does instead. Returns 1 when it has been done (and "succeeded"). */
static int swap_is_mutated(volatile void *at, size_t size, uint64_t desired)
{
    if (!m.actor || m.config->mutation == NO_MUTATION)
        return 0;
    struct phx_runq q = handle(m.state);
    int word = word_index(&q, at), self = (int)(m.actor - m.state->actor);
    switch (m.config->mutation) {
    case BLIND_CUT:
        if (word < 0 || word == self || is_controller())
            return 0;
        break;
    case BLIND_CLAIM:
        if (word != self || is_controller())
            return 0;
        break;
    case NO_LOCK:
        if (at != (volatile void *)&q.header->lock)
            return 0;
        break;
    case NO_GIVE_BACK:
        return word >= 0 && is_controller();
    default:
        return 0;
    }
    poke(at, size, desired);
    return 1;
}

static int model_swap(volatile void *at, size_t size, void *expected, uint64_t desired)
{
    uint64_t old, hoped = peek(expected, size);
    uint32_t logged;
    if (!advance(at, 0, &logged)) {
        old = unpack(size, logged);
    } else if (swap_is_mutated(at, size, desired)) {
        old = hoped;
        record(pack(size, old));
    } else {
        old = peek(at, size);
        if (old == hoped)
            poke(at, size, desired);
        record(pack(size, old));
    }
    poke(expected, size, old);
    return old == hoped;
}

/* ---- what actors do ---- */

static void set_op(struct actor *actor, enum op op)
{
    actor->op = (uint8_t)op;
    actor->nlog = 0;
}

static void finish_worker(struct state *s, uint32_t self, enum op op)
{
    set_op(&s->actor[self], op);
    s->actor[self].parked = 0;
    s->actor[self].alone = 0;
    s->actor[self].cur = s->actor[self].next = -1;
    s->actor[self].first = 0;
    if (op == DEAD || m.config->bury_ended)
        s->bury[s->nbury++] = (uint8_t)self;
}

static int claimed(struct state *s, uint32_t self, uint32_t pos)
{
    struct actor *actor = &s->actor[self];
    const struct config *c = m.config;
    enum op holder = (enum op)s->actor[s->holder[pos]].op;
    int let_go = s->held[pos] == HELD && (holder == DEAD || holder == UNCLAIM);
    if (s->held[pos] != FREE && !let_go)
        found("handed out twice", (int)pos, (int)self);
    if (actor->first && c->keep_first_unit && self < c->nspans &&
        c->spans[self].lo < c->spans[self].hi && pos != c->spans[self].lo)
        found("a first unit was stolen", (int)pos, (int)self);
    actor->first = 0;
    s->held[pos] = HELD;
    s->holder[pos] = (uint8_t)self;
    return (int)pos;
}

/* A test of `pos` runs from its first access to the end of END. */
static int runs(const struct state *s, uint32_t worker)
{
    const struct actor *actor = &s->actor[worker];
    return actor->op != DEAD && actor->op != DONE && actor->cur >= 0 &&
           s->held[actor->cur] == STARTED && s->holder[actor->cur] == worker;
}

/* Whoever has just started a test may not run beside what is exclusive, or beside too many. */
static void check_groups(const struct state *s, uint32_t self)
{
    struct phx_runq q = handle((struct state *)s);
    uint32_t group = runq_group_of(&q, (uint32_t)s->actor[self].cur), beside = 0;
    for (uint32_t i = 0; m.config->ngroups > 0 && i + 1 < m.nactors; i++) {
        if (i == self || !runs(s, i))
            continue;
        uint32_t other = runq_group_of(&q, (uint32_t)s->actor[i].cur);
        if (group == RUNQ_EXCLUSIVE || other == RUNQ_EXCLUSIVE)
            found("beside an exclusive test", (int)self, (int)i);
        beside += other == group;
    }
    if (group > RUNQ_EXCLUSIVE && beside >= m.config->groups[group - 1].permits)
        found("more than the permits", (int)self, (int)group);
}

/* The operation has returned: what next? */
static void completed(struct state *s, uint32_t self, int result, uint32_t pos)
{
    struct actor *actor = &s->actor[self];
    enum op op = (enum op)actor->op;
    if ((op == CLAIM || op == NEXT) && result == -EAGAIN) {
        set_op(actor, op);
        actor->parked = 1;
        return;
    }
    if (op == CLAIM && result == PHX_RUNQ_WAIT) {
        set_op(actor, op);
        actor->parked = 2;
        return;
    }
    if (result == PHX_RUNQ_WAIT)
        found("a worker that has begun is to wait", (int)self, 0);
    if (result < 0)
        found("an operation failed", (int)op, result);
    switch (op) {
    case JOIN:
        set_op(actor, CLAIM);
        break;
    case CLAIM:
        if (result == 1) {
            actor->cur = (int8_t)claimed(s, self, pos);
            set_op(actor, START);
        } else {
            finish_worker(s, self, DONE);
        }
        break;
    case START:
        check_groups(s, self);
        set_op(actor, NEXT);
        break;
    case NEXT:
        actor->next = result == 1 ? (int8_t)claimed(s, self, pos) : -1;
        set_op(actor, END);
        break;
    case END:
        s->held[actor->cur] = ENDED;
        actor->cur = actor->next;
        actor->next = -1;
        if (actor->cur < 0)
            finish_worker(s, self, DONE);
        else
            set_op(actor, m.config->leaver && self == 0 ? UNCLAIM : START);
        break;
    case UNCLAIM:
        /* Free since the operation's last swap: another may have it by now. */
        if (s->held[actor->cur] == HELD && s->holder[actor->cur] == self)
            s->held[actor->cur] = FREE;
        actor->cur = -1;
        finish_worker(s, self, DONE);
        break;
    case LATE:
        s->nlate++;
        set_op(actor, IDLE);
        break;
    default:
        set_op(actor, IDLE);
        break;
    }
    actor->alone = 0;
}

static int run_op(struct state *s, uint32_t self, uint32_t *out_pos)
{
    struct actor *actor = &s->actor[self];
    struct phx_runq q = handle(s);
    switch ((enum op)actor->op) {
    case JOIN:
        phx_runq_join(&q, self);
        return 0;
    case CLAIM:
    case NEXT:
        return phx_runq_claim(&q, self, out_pos);
    case START:
        phx_runq_start(&q, self, (uint32_t)actor->cur, 0);
        return 0;
    case END:
        phx_runq_end(&q, self, (uint32_t)actor->cur, 0);
        return 0;
    case UNCLAIM:
        phx_runq_unclaim(&q, self, (uint32_t)actor->cur);
        return 0;
    case BURY:
        return phx_runq_bury(&q, actor->subject, NULL);
    case LATE:
        return (int)phx_runq_add_late(&q, 0, 1) >= 0 ? 0 : -1;
    default:
        abort();
    }
}

/* A controller without anything to do takes the next thing; late tests come first. */
static void controller_begin(struct state *s)
{
    struct actor *actor = &s->actor[m.nactors - 1];
    if (actor->op != IDLE)
        return;
    if (s->nlate < m.config->nlate) {
        set_op(actor, LATE);
    } else if (s->nbury > 0) {
        actor->subject = s->bury[0];
        memmove(s->bury, s->bury + 1, --s->nbury);
        s->bury[s->nbury] = 0;
        set_op(actor, BURY);
    }
}

static int enabled(const struct state *s, uint32_t self)
{
    const struct actor *actor = &s->actor[self];
    if (self == m.nactors - 1)
        return actor->op != IDLE || s->nbury > 0 || s->nlate < m.config->nlate;
    if (actor->op == DONE || actor->op == DEAD)
        return 0;
    const struct phx_runq_header *header = (const struct phx_runq_header *)s->region;
    return actor->parked == 1 ? header->lock == 0 : actor->parked == 2 ? header->alone == 0 : 1;
}

/* Runs the actor's operation up to its first access (`probe`), or for one access. */
static void resume(struct state *s, uint32_t self, int probe)
{
    struct actor *actor = &s->actor[self];
    m.state = s;
    m.actor = actor;
    m.replayed = 0;
    m.stepped = probe;
    if (setjmp(m.leave) == 0) {
        uint32_t pos = UINT32_MAX;
        int result = run_op(s, self, &pos);
        if (!m.stepped || probe)
            abort(); /* every operation makes an access */
        completed(s, self, result, pos);
    } else if (actor->op == START && !probe) {
        s->held[actor->cur] = STARTED; /* its first access was made: a death now is a crash */
    }
    m.actor = NULL;
}

/* One access of one actor. */
static void step(struct state *s, uint32_t self)
{
    struct actor *actor = &s->actor[self];
    if (self == m.nactors - 1)
        controller_begin(s);
    actor->parked = 0;
    resume(s, self, 0);
    if (actor->nlog == 0 && actor->op <= UNCLAIM)
        resume(s, self, 1); /* a new operation: is its first access private? */
}

static void kill_worker(struct state *s, uint32_t self)
{
    s->deaths++;
    finish_worker(s, self, DEAD);
}

/* ---- beginnings and ends ---- */

static void begin(struct state *s, const struct config *c)
{
    struct phx_plan plan;
    struct phx_runq q;
    uint32_t unit[TESTS_MAX], cost[TESTS_MAX], order[TESTS_MAX];
    struct phx_plan_span spans[4];
    uint32_t seam[TESTS_MAX];
    struct phx_plan_group groups[3];
    memcpy(groups, c->groups, sizeof groups);
    memcpy(spans, c->spans, sizeof spans);
    memcpy(seam, c->seam, sizeof seam);
    for (uint32_t i = 0; i < c->ntests; i++) {
        order[i] = i;
        unit[i] = c->unit[i];
        cost[i] = c->cost[i] ? c->cost[i] : 1;
    }
    plan = (struct phx_plan){.ntests = c->ntests,
                             .nspans = c->nspans,
                             .order = order,
                             .unit = unit,
                             .cost_us = cost,
                             .seam_us = seam,
                             .spans = spans,
                             .groups = groups,
                             .ngroups = c->ngroups,
                             .keep_first_unit = c->keep_first_unit};
    memset(s, 0, sizeof *s);
    memset(&m, 0, sizeof m);
    m.config = c;
    m.nactors = c->nworkers + 1;
    uint32_t nworkers = (c->nspans > c->nworkers ? c->nspans : c->nworkers) + 1;
    m.region_size = phx_runq_size(&plan, nworkers, c->nlate);
    ck_assert_uint_le(m.region_size, sizeof s->region);
    ck_assert_uint_le(m.nactors, ACTORS_MAX);
    ck_assert_int_eq(phx_runq_init(&q, s->region, sizeof s->region, &plan, nworkers, c->nlate), 0);
    for (uint32_t i = 0; i < m.nactors; i++) {
        struct actor *actor = &s->actor[i];
        *actor = (struct actor){.op = JOIN, .first = 1, .cur = -1, .next = -1};
    }
    s->actor[c->nworkers].op = IDLE;
    for (uint32_t i = c->nworkers; i < c->nspans; i++)
        ck_assert_int_eq(phx_runq_bury(&q, i, NULL), 0);
}

static void check_units(struct phx_runq *q)
{
    for (uint32_t pos = 1; pos < m.config->ntests; pos++)
        if (m.config->unit[pos] == m.config->unit[pos - 1] &&
            *runq_ledger(q, pos) >> 8 != *runq_ledger(q, pos - 1) >> 8)
            found("a unit was torn", (int)pos, 0);
}

/* Everybody has finished and is buried. Whatever is left is run by one more worker; then every
 * position must be settled. */
static void check_end(const struct state *end)
{
    struct state s = *end;
    struct phx_runq q = handle(&s);
    m.nends++;
    if (s.deaths == 0 && !m.config->leaver) {
        if (m.config->nlate == 0 && phx_runq_left(&q) != 0)
            found("workers ended with work left", (int)phx_runq_left(&q), 0);
        check_units(&q);
    }
    for (uint32_t i = 0; i + 1 < m.nactors; i++) /* again: must change nothing */
        if (phx_runq_bury(&q, i, NULL) != 0)
            found("a second burial found damage", (int)i, 0);
    if (q.header->lock != 0 || q.header->journal.valid != 0)
        found("lock or journal left behind", (int)q.header->lock, 0);
    uint32_t last = q.nworkers - 1, pos;
    int result;
    phx_runq_join(&q, last);
    while ((result = phx_runq_claim(&q, last, &pos)) == 1) {
        if (s.held[pos] == STARTED || s.held[pos] == ENDED) {
            found("run again by the replacement", (int)pos, s.held[pos]);
            return;
        }
        s.held[pos] = ENDED;
        phx_runq_start(&q, last, pos, 0);
        phx_runq_end(&q, last, pos, 0);
    }
    if (result != 0)
        found("the replacement cannot claim", result, 0);
    for (pos = 0; pos < phx_runq_positions(&q); pos++) {
        enum phx_runq_state state = phx_runq_state(&q, pos);
        if (state != PHX_RUNQ_ENDED && state != PHX_RUNQ_CRASHED)
            found("lost", (int)pos, (int)state);
        if (state == PHX_RUNQ_CRASHED && s.actor[s.holder[pos]].op != DEAD)
            found("crashed in a worker that lives", (int)pos, 0);
        if (state == PHX_RUNQ_ENDED && s.held[pos] != ENDED && s.actor[s.holder[pos]].op != DEAD)
            found("ended without being run", (int)pos, 0);
    }
}

static int all_done(const struct state *s)
{
    for (uint32_t i = 0; i + 1 < m.nactors; i++)
        if (s->actor[i].op != DONE && s->actor[i].op != DEAD)
            return 0;
    return 1;
}

/* ---- exploring ---- */

static void mix(uint64_t hash[2], const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t v;
        memcpy(&v, at + i, 8);
        hash[0] = (hash[0] ^ v) * UINT64_C(0x9e3779b97f4a7c15);
        hash[0] ^= hash[0] >> 29;
        hash[1] = (hash[1] + v) * UINT64_C(0xc2b2ae3d27d4eb4f);
        hash[1] ^= hash[1] >> 31;
    }
}

/* The state, without what nobody will ever look at again: who ended a position (unless that is
 * checked in the end), the journal of a steal that is over, the intents of the buried. */
static uint64_t hash_state(const struct state *s)
{
    static struct state copy;
    memcpy(copy.region, s->region, m.region_size);
    memcpy(copy.holder, s->holder, sizeof *s - offsetof(struct state, holder));
    struct phx_runq q = handle(&copy);
    if (q.header->lock == 0)
        memset(&q.header->journal, 0, sizeof q.header->journal);
    for (uint32_t i = 0; i < q.nworkers; i++)
        if (q.slots[i].state == RUNQ_GONE)
            q.slots[i].intent = 0;
    int units = m.config->unit[m.config->ntests - 1] + 1 < m.config->ntests;
    for (uint32_t pos = 0; pos < q.capacity; pos++) {
        _Atomic uint32_t *entry = runq_ledger(&q, pos);
        if (!units && runq_entry_state(*entry) == PHX_RUNQ_ENDED)
            *entry = PHX_RUNQ_ENDED;
        if (copy.held[pos] == FREE || copy.held[pos] == ENDED)
            copy.holder[pos] = 0;
    }
    uint64_t hash[2] = {1, 2};
    mix(hash, &q.header->lock, 32);
    for (uint32_t i = 0; i <= q.nworkers; i++)
        mix(hash, runq_word(&q, i), 8);
    for (uint32_t i = 0; i < q.nworkers; i++)
        mix(hash, &q.slots[i], 24);
    mix(hash, &q.header->positions, 8); /* and who is alone */
    for (uint32_t i = 0; i + 1 < q.nholders; i += 2)
        mix(hash, (const uint32_t *)q.holders + i, 8);
    if (q.nholders % 2) {
        uint64_t holder = ((const uint32_t *)q.holders)[q.nholders - 1];
        mix(hash, &holder, 8);
    }
    mix(hash, q.ledger, TESTS_MAX * sizeof(uint32_t));
    for (uint32_t i = 0; i < m.nactors; i++)
        mix(hash, &s->actor[i],
            (offsetof(struct actor, log) + s->actor[i].nlog * sizeof(uint32_t) + 7) / 8 * 8);
    mix(hash, copy.holder, sizeof copy - offsetof(struct state, holder));
    return hash[0] ^ (hash[1] << 1 | hash[1] >> 63);
}

/* 64 bits of hash stand for a state: among ten million of them, two are taken for one with a
 * probability of 3 in a million. */
static int memo_put(uint64_t *table, size_t capacity, uint64_t hash)
{
    size_t i = hash & (capacity - 1);
    while (table[i] && table[i] != hash)
        i = (i + 1) & (capacity - 1);
    int fresh = table[i] == 0;
    table[i] = hash;
    return fresh;
}

static int is_new(const struct state *s)
{
    if (4 * m.memo_used >= 3 * m.memo_capacity) {
        size_t capacity = m.memo_capacity ? 2 * m.memo_capacity : 1 << 16;
        uint64_t *table = calloc(capacity, sizeof *table);
        ck_assert_ptr_nonnull(table);
        for (size_t i = 0; i < m.memo_capacity; i++)
            if (m.memo[i])
                memo_put(table, capacity, m.memo[i]);
        free(m.memo);
        m.memo = table;
        m.memo_capacity = capacity;
    }
    int fresh = memo_put(m.memo, m.memo_capacity, hash_state(s));
    m.memo_used += (size_t)fresh;
    return fresh;
}

static void explore(const struct state *s);

/* Lets one actor make its next access; and lets it die right after. (A later death, with the same
 * accesses behind it, differs only in when the controller begins, which is free anyway.) */
static void follow(const struct state *s, uint32_t self)
{
    struct state next = *s;
    step(&next, self);
    explore(&next);
    enum op op = (enum op)next.actor[self].op;
    if (m.found || self + 1 == m.nactors || next.deaths == m.config->deaths || op == DONE)
        return;
    kill_worker(&next, self);
    explore(&next);
}

static void explore(const struct state *s)
{
    if (m.found || !is_new(s))
        return;
    m.nstates++;
    for (uint32_t i = 0; i < m.nactors; i++) {
        if (s->actor[i].alone && enabled(s, i)) {
            follow(s, i);
            return;
        }
    }
    int moves = 0;
    for (uint32_t i = 0; i < m.nactors && !m.found; i++) {
        if (!enabled(s, i))
            continue;
        moves++;
        follow(s, i);
    }
    if (moves > 0)
        return;
    if (all_done(s))
        check_end(s);
    else
        found("nobody can go on", s->deaths, 0);
}

/* Returns NULL, or what went wrong. */
static const char *check_config(const struct config *c)
{
    struct state s;
    begin(&s, c);
    explore(&s);
    for (uint32_t i = 0; i < c->nworkers && c->deaths > 0;
         i++) { /* deaths before the first access */
        struct state dead = s;
        kill_worker(&dead, i);
        explore(&dead);
    }
    printf("# model: %s: %llu states, %llu ends%s%s\n", c->name, (unsigned long long)m.nstates,
           (unsigned long long)m.nends, m.found ? ": " : "", m.found ? m.found : "");
    fflush(stdout);
    free(m.memo);
    return m.found;
}

#endif
