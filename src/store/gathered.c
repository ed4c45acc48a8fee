#include "store/gathered.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/order.h"
#include "role/controller.h"
#include "sched/collection.h"
#include "sched/repeat.h"

#define NOBODY UINT32_MAX

struct entry { /* of one collected test */
    uint32_t test;
    uint32_t repetition; /* 0: it is none */
    const char *id;      /* the history's: of a repetition without its number */
    size_t id_size;
    uint32_t last; /* the position that counts for its result, or NOBODY */
    char outcome;  /* there; 0: none */
};

struct position { /* that was started, with who ran it and what before */
    uint32_t number;
    uint32_t entry;
    uint32_t before; /* the entry that its worker had run before, or NOBODY */
    enum phx_runq_state state;
    struct phx_runq_timing timing;
};

struct gathering {
    const struct phx_controller *controller;
    const char *outcomes, *repetitions; /* borrowed, [ntests] */
    size_t ntests;
    struct entry *entries; /* owned, [nentries] */
    uint32_t nentries;
    uint32_t *entry_of;         /* owned: by test */
    struct position *positions; /* owned */
    uint32_t npositions;
    struct phx_gathered out;
};

/* ---- tests ---- */

static int by_id(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = phx_order_bytes(a->id, a->id_size, b->id, b->id_size);
    return order ? order : (a->test > b->test) - (a->test < b->test);
}

/* Names each repetition by its test, and puts those of one test side by side. */
static int join_repetitions(struct gathering *g)
{
    size_t room = 1;
    for (uint32_t i = 0; i < g->nentries; i++)
        room += g->entries[i].id_size;
    char *at = g->out.ids = malloc(room);
    if (!at)
        return -ENOMEM;
    for (uint32_t i = 0; i < g->nentries; i++) {
        struct entry *entry = &g->entries[i];
        struct phx_repeat repeat;
        if (entry->test >= g->ntests || !g->repetitions[entry->test] ||
            !phx_repeat_of(entry->id, entry->id_size, &repeat))
            continue;
        entry->id_size = phx_repeat_base(at, entry->id_size, entry->id, &repeat);
        entry->id = at;
        entry->repetition = repeat.index;
        at += entry->id_size;
    }
    qsort(g->entries, g->nentries, sizeof *g->entries, by_id);
    return 0;
}

static int gather_entries(struct gathering *g)
{
    const struct phx_collection *tests = phx_controller_collection(g->controller);
    g->nentries = phx_collection_count(tests);
    g->entries = calloc(g->nentries + (size_t)1, sizeof *g->entries);
    g->entry_of = malloc((g->nentries + (size_t)1) * sizeof *g->entry_of);
    if (!g->entries || !g->entry_of)
        return -ENOMEM;
    for (uint32_t test = 0; test < g->nentries; test++) {
        struct entry *entry = &g->entries[test];
        *entry = (struct entry){.test = test, .last = NOBODY};
        entry->id = phx_collection_node_id(tests, test, &entry->id_size);
    }
    int status = g->repetitions ? join_repetitions(g) : 0;
    for (uint32_t i = 0; i < g->nentries; i++)
        g->entry_of[g->entries[i].test] = i;
    return status;
}

/* ---- positions ---- */

/* What became of a position, as far as it is known; 0: nothing that counts. */
static char outcome_at(const struct gathering *g, uint32_t test, enum phx_runq_state state)
{
    char outcome = '\0';
    if (test < g->ntests)
        outcome = g->outcomes[test];
    if (outcome == PHX_OUTCOME_RERUN) /* and then nobody tried it again */
        outcome = PHX_OUTCOME_FAILED;
    /* In the ledger a test that was interrupted looks like one that crashed; of the latter there is
     * a report. */
    int counts =
        state == PHX_RUNQ_ENDED || (state == PHX_RUNQ_CRASHED && outcome == PHX_OUTCOME_CRASHED);
    return (char)(counts && phx_outcome_valid(outcome) ? outcome : '\0');
}

/* Positions in ascending order: the last one of a test is its last try. */
static int gather_positions(struct gathering *g)
{
    uint32_t count = phx_controller_positions(g->controller);
    g->positions = malloc((count + (size_t)1) * sizeof *g->positions);
    if (!g->positions)
        return -ENOMEM;
    for (uint32_t number = 0; number < count; number++) {
        int64_t test = phx_controller_test(g->controller, number);
        if (test == PHX_RUNQ_NONE || test >= g->nentries)
            continue;
        struct position *position = &g->positions[g->npositions];
        *position = (struct position){.number = number,
                                      .entry = g->entry_of[test],
                                      .before = NOBODY,
                                      .state = phx_controller_state(g->controller, number)};
        char outcome = outcome_at(g, (uint32_t)test, position->state);
        if (outcome) {
            g->entries[position->entry].outcome = outcome;
            g->entries[position->entry].last = number;
        }
        if (phx_controller_timing(g->controller, number, &position->timing) == 1)
            g->npositions++;
    }
    return 0;
}

static int by_worker_and_start(const void *left, const void *right)
{
    const struct position *a = left, *b = right;
    if (a->timing.worker != b->timing.worker)
        return a->timing.worker < b->timing.worker ? -1 : 1;
    return (a->timing.started > b->timing.started) - (a->timing.started < b->timing.started);
}

static int by_entry_and_start(const void *left, const void *right)
{
    const struct position *a = left, *b = right;
    if (a->entry != b->entry)
        return a->entry < b->entry ? -1 : 1;
    return (a->timing.started > b->timing.started) - (a->timing.started < b->timing.started);
}

static void find_predecessors(struct gathering *g)
{
    qsort(g->positions, g->npositions, sizeof *g->positions, by_worker_and_start);
    for (uint32_t i = 1; i < g->npositions; i++)
        if (g->positions[i].timing.worker == g->positions[i - 1].timing.worker)
            g->positions[i].before = g->positions[i - 1].entry;
    qsort(g->positions, g->npositions, sizeof *g->positions, by_entry_and_start);
}

/* ---- trials ---- */

/* Without the reports, which take long of a failure. A crash has no total: it lasted until its
 * worker's death was seen. */
static uint32_t took_us(const struct gathering *g, const struct phx_runq_timing *timing)
{
    struct phx_controller_life life;
    uint64_t phases = 0;
    for (int phase = PHX_PHASE_SETUP; phase <= PHX_PHASE_TEARDOWN; phase++)
        phases += timing->phase_us[phase];
    if (timing->total_us > 0)
        return phases > 0 && phases < timing->total_us ? (uint32_t)phases : timing->total_us;
    if (phx_controller_life(g->controller, timing->worker, &life) < 0 ||
        life.down <= timing->started)
        return 0;
    phx_ns us = (life.down - timing->started) / 1000;
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* Tries before the last one failed; the last one ended as the test did. */
static char outcome_of_try(const struct entry *entry, const struct position *position, int is_only)
{
    if (entry->last != position->number)
        return position->state == PHX_RUNQ_CRASHED ? PHX_OUTCOME_CRASHED : PHX_OUTCOME_FAILED;
    if (entry->outcome == PHX_OUTCOME_FLAKY && !is_only)
        return PHX_OUTCOME_PASSED;
    return entry->outcome;
}

/* Adds the trials of positions[from … end), which are those of one test. */
static size_t add_trials(struct gathering *g, uint32_t from, uint32_t end, size_t count)
{
    const struct entry *entry = &g->entries[g->positions[from].entry];
    for (uint32_t i = from; i < end && entry->last != NOBODY; i++) {
        const struct position *position = &g->positions[i];
        char outcome = outcome_of_try(entry, position, end - from == 1);
        if (phx_outcome_kind(outcome) == PHX_OUTCOME_NONE)
            continue;
        const struct entry *before =
            position->before == NOBODY ? NULL : &g->entries[position->before];
        g->out.trials[count++] = (struct phx_trial){.outcome = outcome,
                                                    .repetition = entry->repetition,
                                                    .worker = position->timing.worker,
                                                    .took_us = took_us(g, &position->timing),
                                                    .after = before ? before->id : NULL,
                                                    .after_size = before ? before->id_size : 0};
    }
    return count;
}

/* ---- results ---- */

/* What two repetitions came to together. */
static char together(char one, char other)
{
    enum phx_outcome_kind a = one ? phx_outcome_kind(one) : PHX_OUTCOME_NONE;
    enum phx_outcome_kind b = other ? phx_outcome_kind(other) : PHX_OUTCOME_NONE;
    if (a == PHX_OUTCOME_NONE || b == PHX_OUTCOME_NONE)
        return (char)(a != PHX_OUTCOME_NONE || !other ? one : other);
    return (char)(a == b ? one : PHX_OUTCOME_FLAKY);
}

static void measure(struct phx_history_result *result, const struct gathering *g,
                    const struct entry *entry)
{
    struct phx_runq_timing timing;
    if (entry->repetition > 0 || entry->outcome == PHX_OUTCOME_CRASHED ||
        phx_controller_timing(g->controller, entry->last, &timing) != 1)
        return;
    result->measured = 1;
    for (int i = 0; i < PHX_ESTIMATE_PHASES; i++)
        result->us[i] = timing.phase_us[PHX_PHASE_SETUP + i];
}

/* Whether the entry is another repetition of the test whose result it is. */
static int continues(const struct phx_history_result *result, int of_repetitions,
                     const struct entry *entry)
{
    return result && of_repetitions && entry->repetition > 0 &&
           result->node_id_size == entry->id_size &&
           memcmp(result->node_id, entry->id, entry->id_size) == 0;
}

/* Results in the order of the entries, and their trials in the same order: one list of each. */
static int make_results(struct gathering *g)
{
    g->out.results = calloc(g->nentries + (size_t)1, sizeof *g->out.results);
    g->out.trials = malloc((g->npositions + (size_t)1) * sizeof *g->out.trials);
    if (!g->out.results || !g->out.trials)
        return -ENOMEM;
    struct phx_history_result *result = NULL;
    int of_repetitions = 0;
    uint32_t position = 0;
    size_t ntrials = 0;
    for (uint32_t i = 0; i < g->nentries; i++) {
        const struct entry *entry = &g->entries[i];
        uint32_t first = position;
        while (position < g->npositions && g->positions[position].entry == i)
            position++;
        if (entry->last == NOBODY)
            continue;
        if (!continues(result, of_repetitions, entry)) {
            result = &g->out.results[g->out.count++];
            of_repetitions = entry->repetition > 0;
            result->node_id = entry->id;
            result->node_id_size = entry->id_size;
            result->trials = g->out.trials + ntrials;
            measure(result, g, entry);
        }
        result->outcome = together(result->outcome, entry->outcome);
        if (position > first) {
            size_t more = add_trials(g, first, position, ntrials);
            result->ntrials += more - ntrials;
            ntrials = more;
        }
    }
    return 0;
}

int phx_gathered_make(struct phx_gathered *out, const struct phx_controller *controller,
                      const char *outcomes, const char *repetitions, size_t ntests)
{
    struct gathering g = {.controller = controller,
                          .outcomes = outcomes,
                          .repetitions = repetitions,
                          .ntests = ntests};
    int status = gather_entries(&g);
    if (status == 0)
        status = gather_positions(&g);
    if (status == 0) {
        find_predecessors(&g);
        status = make_results(&g);
    }
    free(g.entries);
    free(g.entry_of);
    free(g.positions);
    if (status < 0) {
        phx_gathered_fini(&g.out);
        return status;
    }
    *out = g.out;
    return 0;
}

void phx_gathered_fini(struct phx_gathered *gathered)
{
    free(gathered->results);
    free(gathered->trials);
    free(gathered->ids);
    *gathered = (struct phx_gathered){0};
}
