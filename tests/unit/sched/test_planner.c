/* The planner against a slow, obvious model, and against what a plan promises. */
#include "sched/planner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "memory_limit.h"

#include "harness.h"

/* As ck_assert, which writes to its parent each time: too slow for millions of checks. */
#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("not so: %s", #condition);                                                \
    } while (0)

enum { MODEL_MAX = 80 }; /* tests and workers of the model */

/* ---- random suites ---- */

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % bound);
}

struct suite {
    struct phx_collection tests;
    uint32_t cost_us[MODEL_MAX];
    struct phx_planner_options options;
};

static void random_suite(struct suite *s)
{
    phx_collection_init(&s->tests);
    uint32_t count = random_below(MODEL_MAX + 1), files = 1 + random_below(12);
    uint32_t spread = random_below(3) ? 20 : 100000;
    for (uint32_t i = 0; i < count; i++) {
        char id[64], group[8];
        size_t id_size = (size_t)snprintf(id, sizeof id, "%u.py::%st%u[::%u]", random_below(files),
                                          random_below(2) ? "C::" : "", i, random_below(3));
        size_t group_size = (size_t)snprintf(group, sizeof group, "%u", random_below(files));
        int grouped = (int)random_below(2);
        must(phx_collection_add(&s->tests, id, id_size, grouped ? group : NULL, group_size) == 0);
        s->cost_us[i] = random_below(spread);
    }
    s->options = (struct phx_planner_options){.dist = (enum phx_dist)random_below(5),
                                              .nworkers = 1 + random_below(MODEL_MAX),
                                              .reorder = (int)random_below(2),
                                              .keep_order = random_below(4) == 0,
                                              .cost_us = random_below(2) ? s->cost_us : NULL};
    if (random_below(2))
        s->options.nworkers = 1 + random_below(6);
}

/* ---- the model: plain loops over everything ---- */

struct model {
    uint32_t nunits;
    uint32_t unit_of[MODEL_MAX];  /* of a test; numbered by the unit's first test */
    uint64_t cost[MODEL_MAX];     /* of a unit */
    uint32_t sequence[MODEL_MAX]; /* units in the order of dealing */
    uint32_t owner[MODEL_MAX];    /* span of a unit */
    uint64_t load[MODEL_MAX];     /* of a span */
};

/* The mean of those known, of one file or (-1) of all; 0 when there are none. */
static uint32_t model_mean(const struct suite *s, int file)
{
    uint64_t sum = 0;
    uint32_t count = 0;
    for (uint32_t test = 0; test < phx_collection_count(&s->tests); test++) {
        int its_file;
        must(sscanf(phx_collection_node_id(&s->tests, test, NULL), "%d.py", &its_file) == 1);
        if (s->cost_us[test] > 0 && (file < 0 || its_file == file)) {
            sum += s->cost_us[test];
            count++;
        }
    }
    return count ? (uint32_t)(sum / count) : 0;
}

static uint32_t model_cost(const struct suite *s, uint32_t test)
{
    if (!s->options.cost_us)
        return 1;
    if (s->cost_us[test])
        return s->cost_us[test];
    int file;
    must(sscanf(phx_collection_node_id(&s->tests, test, NULL), "%d.py", &file) == 1);
    uint32_t mean = model_mean(s, file);
    mean = mean ? mean : model_mean(s, -1);
    return mean ? mean : 1;
}

static int model_together(const struct suite *s, uint32_t a, uint32_t b)
{
    const char *id_a = phx_collection_node_id(&s->tests, a, NULL);
    const char *id_b = phx_collection_node_id(&s->tests, b, NULL);
    const char *group_a = phx_collection_group(&s->tests, a, NULL);
    const char *group_b = phx_collection_group(&s->tests, b, NULL);
    int file_a, file_b;
    must(sscanf(id_a, "%d.py", &file_a) + sscanf(id_b, "%d.py", &file_b) == 2);
    int class_a = strstr(id_a, "::C::") != NULL, class_b = strstr(id_b, "::C::") != NULL;
    switch (s->options.dist) {
    case PHX_DIST_LOADSCOPE:
        return file_a == file_b && class_a == class_b;
    case PHX_DIST_LOADFILE:
        return file_a == file_b;
    case PHX_DIST_LOADGROUP:
        return group_a && group_b && strcmp(group_a, group_b) == 0;
    case PHX_DIST_LOAD:
    case PHX_DIST_WORKSTEAL:
    case PHX_DIST_MAIL:
    case PHX_DIST_DEALT:
        break;
    }
    return 0;
}

static void model_units(struct model *m, const struct suite *s)
{
    for (uint32_t test = 0; test < phx_collection_count(&s->tests); test++) {
        uint32_t same = 0;
        while (same < test && !model_together(s, same, test))
            same++;
        m->unit_of[test] = same < test ? m->unit_of[same] : m->nunits++;
        m->cost[m->unit_of[test]] += model_cost(s, test);
    }
    for (uint32_t unit = 0; unit < m->nunits; unit++)
        m->sequence[unit] = unit;
}

/* A stable bubble sort, dearest first. */
static void model_sort(struct model *m)
{
    for (uint32_t round = 0; round < m->nunits; round++) {
        for (uint32_t i = 1; i < m->nunits; i++) {
            uint32_t left = m->sequence[i - 1], right = m->sequence[i];
            if (m->cost[left] < m->cost[right]) {
                m->sequence[i - 1] = right;
                m->sequence[i] = left;
            }
        }
    }
}

static void model_deal(struct model *m, uint32_t nspans)
{
    for (uint32_t i = 0; i < m->nunits; i++) {
        uint32_t least = 0;
        for (uint32_t span = 1; span < nspans; span++)
            if (m->load[span] < m->load[least])
                least = span;
        m->owner[m->sequence[i]] = least;
        m->load[least] += m->cost[m->sequence[i]];
    }
}

/* ---- a plan against the model ---- */

static void check_plan(const struct phx_plan *plan, const struct suite *s, const struct model *m)
{
    uint32_t position = 0;
    must(plan->ntests == phx_collection_count(&s->tests));
    must(plan->nspans == s->options.nworkers);
    must(plan->keep_first_unit == (s->options.dist >= PHX_DIST_LOADSCOPE));
    for (uint32_t span = 0; span < plan->nspans; span++) {
        must(plan->spans[span].lo == position);
        for (uint32_t i = 0; i < m->nunits; i++) {
            uint32_t unit = m->sequence[i];
            uint32_t number = position < plan->ntests ? plan->unit[position] : 0;
            if (m->owner[unit] == span && position > 0)
                must(plan->unit[position - 1] != number);
            for (uint32_t test = 0; m->owner[unit] == span && test < plan->ntests; test++) {
                if (m->unit_of[test] != unit)
                    continue;
                must(position < plan->ntests);
                must(plan->order[position] == test);
                must(plan->unit[position] == number);
                must(plan->cost_us[position] == model_cost(s, test));
                position++;
            }
        }
        must(plan->spans[span].hi == position);
    }
    must(position == plan->ntests);
}

/* load and worksteal: each span has its long tests, the dearest first, and then a piece of the
 * collection; the pieces follow one another. */
static void check_pieces(const struct phx_plan *plan, const struct suite *s)
{
    uint64_t total = 0, next = 0;
    for (uint32_t i = 0; i < plan->ntests; i++)
        total += plan->cost_us[i];
    uint64_t mean = plan->ntests && total > plan->ntests ? total / plan->ntests : 1;
    uint64_t limit = total / plan->nspans / 20 > 2 * mean ? total / plan->nspans / 20 : 2 * mean;
    for (uint32_t span = 0; span < plan->nspans; span++) {
        uint32_t at = plan->spans[span].lo, hi = plan->spans[span].hi;
        while (!s->options.keep_order && plan->nspans > 1 && at < hi && plan->cost_us[at] > limit) {
            must(at == plan->spans[span].lo || plan->cost_us[at] <= plan->cost_us[at - 1]);
            at++;
        }
        for (; at < hi; at++) {
            must(plan->order[at] >= next);
            next = plan->order[at] + (uint64_t)1;
            must(plan->cost_us[at] == model_cost(s, plan->order[at]));
            must(s->options.keep_order || plan->nspans == 1 || plan->cost_us[at] <= limit);
        }
    }
}

static int is_dealt_in_turn(const struct phx_plan *plan, const struct suite *s)
{
    return plan->ntests > plan->nspans && plan->ntests <= 2 * plan->nspans &&
           !(s->options.cost_us && model_mean(s, -1));
}

static void check_turns(const struct phx_plan *plan)
{
    for (uint32_t span = 0; span < plan->nspans; span++) {
        uint32_t lo = plan->spans[span].lo, hi = plan->spans[span].hi;
        must(hi - lo == 1u + (span + plan->nspans < plan->ntests));
        for (uint32_t at = lo; at < hi; at++)
            must(plan->order[at] == span + (at - lo) * plan->nspans);
    }
}

/* What a plan promises, read from the plan alone. */
static void check_promises(const struct phx_plan *plan, const struct model *m)
{
    unsigned char seen[MODEL_MAX] = {0}, ended[MODEL_MAX] = {0};
    uint64_t total = 0, dearest = 0;
    uint32_t nfilled = 0;
    for (uint32_t i = 0; i < plan->ntests; i++) {
        must(plan->order[i] < plan->ntests);
        must(seen[plan->order[i]]++ == 0); /* a permutation */
        must(plan->unit[i] < MODEL_MAX);
        if (i > 0 && plan->unit[i] != plan->unit[i - 1])
            ended[plan->unit[i - 1]] = 1;
        must(ended[plan->unit[i]] == 0); /* units are adjacent */
        total += plan->cost_us[i];
    }
    for (uint32_t unit = 0; unit < m->nunits; unit++)
        if (m->cost[unit] > dearest)
            dearest = m->cost[unit];
    for (uint32_t span = 0; span < plan->nspans; span++) {
        uint32_t lo = plan->spans[span].lo, hi = plan->spans[span].hi;
        uint64_t load = 0;
        must(lo <= hi);
        if (lo > 0 && lo < hi) /* cut at a unit boundary */
            must(plan->unit[lo - 1] != plan->unit[lo]);
        for (uint32_t i = lo; i < hi; i++)
            load += plan->cost_us[i];
        must(load * plan->nspans <= total + dearest * plan->nspans);
        must(lo < hi || nfilled == m->nunits); /* none empty unless there are too few units */
        nfilled += lo < hi;
    }
    must(nfilled == (m->nunits < plan->nspans ? m->nunits : plan->nspans));
}

START_TEST(plans_are_those_of_the_model)
{
    for (int round = 0; round < 6000; round++) {
        struct suite s;
        random_suite(&s);
        struct model m = {0};
        model_units(&m, &s);
        struct phx_plan plan;
        ck_assert_int_eq(phx_planner_make(&plan, &s.tests, &s.options), 0);
        if (s.options.dist < PHX_DIST_LOADSCOPE) {
            if (is_dealt_in_turn(&plan, &s))
                check_turns(&plan);
            else
                check_pieces(&plan, &s);
        } else {
            if (s.options.reorder && !s.options.keep_order)
                model_sort(&m);
            model_deal(&m, s.options.nworkers);
            check_plan(&plan, &s, &m);
        }
        check_promises(&plan, &m);
        phx_plan_fini(&plan);
        phx_collection_fini(&s.tests);
    }
}
END_TEST

/* ---- how good the plans are ---- */

/* The least makespan there is, by trying every owner for every unit. */
static uint64_t best_makespan(const uint32_t *cost, uint32_t count, uint64_t *load, uint32_t nspans,
                              uint64_t best)
{
    uint64_t most = 0;
    for (uint32_t span = 0; span < nspans; span++)
        most = load[span] > most ? load[span] : most;
    if (most >= best)
        return best;
    if (count == 0)
        return most;
    for (uint32_t span = 0; span < nspans; span++) {
        load[span] += cost[0];
        best = best_makespan(cost + 1, count - 1, load, nspans, best);
        load[span] -= cost[0];
    }
    return best;
}

START_TEST(reordered_scopes_are_within_four_thirds_of_the_best)
{
    for (int round = 0; round < 300; round++) {
        uint32_t cost[9], count = 1 + random_below(9), nspans = 1 + random_below(4);
        struct phx_collection tests;
        phx_collection_init(&tests);
        for (uint32_t i = 0; i < count; i++) {
            char id[16];
            int size = snprintf(id, sizeof id, "%u.py::t", i);
            ck_assert_int_eq(phx_collection_add(&tests, id, (size_t)size, NULL, 0), 0);
            cost[i] = 1 + random_below(30);
        }
        struct phx_planner_options options = {
            .dist = PHX_DIST_LOADFILE, .nworkers = nspans, .reorder = 1, .cost_us = cost};
        struct phx_plan plan;
        ck_assert_int_eq(phx_planner_make(&plan, &tests, &options), 0);
        uint64_t load[4] = {0}, worst = 0;
        uint64_t best = best_makespan(cost, count, load, nspans, UINT64_MAX);
        for (uint32_t span = 0; span < nspans; span++) {
            uint64_t sum = 0;
            for (uint32_t i = plan.spans[span].lo; i < plan.spans[span].hi; i++)
                sum += plan.cost_us[i];
            worst = sum > worst ? sum : worst;
        }
        ck_assert(worst >= best);
        ck_assert(3 * nspans * worst <= (4 * nspans - 1) * best); /* Graham 1969 */
        phx_plan_fini(&plan);
        phx_collection_fini(&tests);
    }
}
END_TEST

static struct phx_planner_options options(enum phx_dist dist, uint32_t nworkers, int reorder)
{
    return (struct phx_planner_options){.dist = dist, .nworkers = nworkers, .reorder = reorder};
}

/* Plans `count` tests named "<file>.py::t<i>", the files given by `file`, one digit each. */
static void plan_of_files(struct phx_plan *plan, const char *file, struct phx_planner_options how)
{
    struct phx_collection tests;
    phx_collection_init(&tests);
    for (unsigned i = 0; file[i]; i++) {
        char id[32];
        int size = snprintf(id, sizeof id, "%c.py::t%u", file[i], i);
        ck_assert_int_eq(phx_collection_add(&tests, id, (size_t)size, NULL, 0), 0);
    }
    ck_assert_int_eq(phx_planner_make(plan, &tests, &how), 0);
    phx_collection_fini(&tests);
}

START_TEST(equal_tests_are_cut_evenly)
{
    struct phx_plan plan;
    plan_of_files(&plan, "0000000000", options(PHX_DIST_LOAD, 4, 1));
    static const struct phx_plan_span expected[] = {{0, 3}, {3, 5}, {5, 8}, {8, 10}};
    ck_assert_mem_eq(plan.spans, expected, sizeof expected);
    for (uint32_t i = 0; i < 10; i++) {
        ck_assert_uint_eq(plan.order[i], i);
        ck_assert_uint_eq(plan.cost_us[i], 1);
    }
    phx_plan_fini(&plan);
}
END_TEST

START_TEST(with_more_workers_than_units_the_last_spans_are_empty)
{
    struct phx_plan plan;
    plan_of_files(&plan, "01", options(PHX_DIST_WORKSTEAL, 4, 1));
    static const struct phx_plan_span expected[] = {{0, 1}, {1, 2}, {2, 2}, {2, 2}};
    ck_assert_mem_eq(plan.spans, expected, sizeof expected);
    phx_plan_fini(&plan);
    plan_of_files(&plan, "0101", options(PHX_DIST_LOADFILE, 3, 1));
    static const struct phx_plan_span by_file[] = {{0, 2}, {2, 4}, {4, 4}};
    ck_assert_mem_eq(plan.spans, by_file, sizeof by_file);
    phx_plan_fini(&plan);
}
END_TEST

START_TEST(scopes_are_dealt_longest_first_or_as_collected)
{
    /* Files by size: 2 has four tests, 0 three, 1 and 3 one each. */
    static const char files[] = "001022322";
    struct phx_plan plan;
    plan_of_files(&plan, files, options(PHX_DIST_LOADFILE, 2, 1));
    static const uint32_t longest_first[] = {4, 5, 7, 8, 6, 0, 1, 3, 2};
    static const struct phx_plan_span longest_spans[] = {{0, 5}, {5, 9}};
    /* span 0: file 2 (4), then file 3 (both have 4, the lower number wins); span 1: 0 (3), 1 */
    ck_assert_mem_eq(plan.order, longest_first, sizeof longest_first);
    ck_assert_mem_eq(plan.spans, longest_spans, sizeof longest_spans);
    phx_plan_fini(&plan);

    plan_of_files(&plan, files, options(PHX_DIST_LOADFILE, 2, 0));
    static const uint32_t as_collected[] = {0, 1, 3, 6, 2, 4, 5, 7, 8};
    static const struct phx_plan_span collected_spans[] = {{0, 4}, {4, 9}};
    ck_assert_mem_eq(plan.order, as_collected, sizeof as_collected);
    ck_assert_mem_eq(plan.spans, collected_spans, sizeof collected_spans);
    phx_plan_fini(&plan);
}
END_TEST

START_TEST(few_tests_are_dealt_in_turn_unless_they_share_a_set_up)
{
    struct phx_plan plan;
    plan_of_files(&plan, "00000000", options(PHX_DIST_LOAD, 4, 1));
    static const uint32_t in_turn[] = {0, 4, 1, 5, 2, 6, 3, 7};
    ck_assert_mem_eq(plan.order, in_turn, sizeof in_turn);
    phx_plan_fini(&plan);

    struct phx_collection tests; /* each two of one class, say */
    phx_collection_init(&tests);
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t setup = i / 2;
        ck_assert_int_eq(phx_collection_add(&tests, "a.py::t", 7, NULL, 0), 0);
        ck_assert_int_eq(phx_collection_needs(&tests, &setup, 1), 0);
    }
    struct phx_planner_options how = options(PHX_DIST_LOAD, 4, 1);
    ck_assert_int_eq(phx_planner_make(&plan, &tests, &how), 0);
    for (uint32_t i = 0; i < 8; i++)
        ck_assert_uint_eq(plan.order[i], i);
    phx_plan_fini(&plan);
    phx_collection_fini(&tests);
}
END_TEST

START_TEST(long_tests_come_first_and_leave_room)
{
    /* Sixty of 1 and a last one of 20 on four workers: it starts first, on a worker of its own. */
    struct phx_collection tests;
    phx_collection_init(&tests);
    uint32_t cost[61];
    for (uint32_t i = 0; i < 61; i++) {
        cost[i] = i < 60 ? 1000 : 20000;
        ck_assert_int_eq(phx_collection_add(&tests, "a.py::t", 7, NULL, 0), 0);
    }
    struct phx_planner_options how = options(PHX_DIST_LOAD, 4, 1);
    how.cost_us = cost;
    struct phx_plan plan;
    ck_assert_int_eq(phx_planner_make(&plan, &tests, &how), 0);
    static const struct phx_plan_span own[] = {{0, 1}, {1, 21}, {21, 41}, {41, 61}};
    ck_assert_mem_eq(plan.spans, own, sizeof own);
    ck_assert_uint_eq(plan.order[0], 60);
    ck_assert_uint_eq(plan.order[1], 0);
    phx_plan_fini(&plan);
    how.keep_order = 1;
    ck_assert_int_eq(phx_planner_make(&plan, &tests, &how), 0);
    for (uint32_t i = 0; i < 61; i++)
        ck_assert_uint_eq(plan.order[i], i);
    phx_plan_fini(&plan);
    phx_collection_fini(&tests);
}
END_TEST

/* Five modules of 10 tests with a fixture each; the first test of each paid 500 ms for it. */
static void plan_of_fixtures(struct phx_plan *plan, uint32_t setup_ms, uint32_t nworkers)
{
    struct phx_collection tests;
    phx_collection_init(&tests);
    uint32_t cost[50], setup[50];
    for (uint32_t i = 0; i < 50; i++) {
        uint32_t module = i / 10;
        setup[i] = 1000 + (i % 10 == 0 ? setup_ms * 1000 : 0);
        cost[i] = 50000 + setup[i];
        ck_assert_int_eq(phx_collection_add(&tests, "a.py::t", 7, NULL, 0), 0);
        ck_assert_int_eq(phx_collection_needs(&tests, &module, 1), 0);
    }
    struct phx_planner_options how = options(PHX_DIST_LOAD, nworkers, 1);
    how.cost_us = cost;
    how.setup_us = setup;
    ck_assert_int_eq(phx_planner_make(plan, &tests, &how), 0);
    phx_collection_fini(&tests);
}

START_TEST(cuts_give_way_to_dear_fixtures)
{
    struct phx_plan plan;
    plan_of_fixtures(&plan, 500, 2); /* half would be in the middle of a module */
    ck_assert_uint_eq(plan.spans[0].hi % 10, 0);
    ck_assert_uint_eq(plan.seam_us[0], 0);
    ck_assert_uint_eq(plan.seam_us[9], 500000);
    ck_assert_uint_eq(plan.seam_us[10], 0);
    ck_assert_uint_eq(plan.cost_us[0], 551000); /* its own, and the set-up that it opens */
    ck_assert_uint_eq(plan.cost_us[1], 51000);
    phx_plan_fini(&plan);
    plan_of_fixtures(&plan, 0, 2);
    ck_assert_uint_eq(plan.spans[0].hi, 25);
    phx_plan_fini(&plan);
}
END_TEST

START_TEST(chunks_are_dealt_in_collection_order)
{
    struct phx_planner_options how = options(PHX_DIST_LOAD, 2, 1);
    how.max_chunk = 2;
    struct phx_plan plan;
    plan_of_files(&plan, "000000000", how);
    static const uint32_t order[] = {0, 1, 4, 5, 8, 2, 3, 6, 7};
    ck_assert_mem_eq(plan.order, order, sizeof order);
    ck_assert_uint_eq(plan.spans[0].hi, 5);
    phx_plan_fini(&plan);
}
END_TEST

/* ---- limits ---- */

/* Two units of two tests each for loadfile, or four for load; x is exclusive, d of a group. */
static void collect_limited(struct phx_collection *tests, const char *limits)
{
    phx_collection_init(tests);
    for (size_t i = 0; i < strlen(limits); i++) {
        char id[] = "0.py::t";
        id[0] = (char)('0' + i / 2);
        ck_assert_int_eq(phx_collection_add(tests, id, 7, NULL, 0), 0);
        if (limits[i] == 'x')
            ck_assert_int_eq(phx_collection_limit(tests, NULL, 0, 0), 0);
        else if (limits[i] != '.')
            ck_assert_int_eq(phx_collection_limit(tests, &limits[i], 1, 2), 0);
    }
}

START_TEST(limited_tests_lie_in_groups_before_all_spans)
{
    struct phx_collection tests;
    collect_limited(&tests, ".d.xd.ex");
    struct phx_planner_options how = options(PHX_DIST_LOAD, 2, 1);
    struct phx_reasons reasons;
    how.out_reasons = &reasons;
    struct phx_plan plan;
    ck_assert_int_eq(phx_planner_make(&plan, &tests, &how), 0);
    static const uint32_t order[] = {3, 7, 1, 4, 6, 0, 2, 5};
    static const struct phx_plan_group groups[] = {{0, 2, 0}, {2, 4, 2}, {4, 5, 2}};
    ck_assert_uint_eq(plan.ngroups, 3);
    ck_assert_mem_eq(plan.order, order, sizeof order);
    ck_assert_mem_eq(plan.groups, groups, sizeof groups);
    ck_assert_uint_eq(plan.spans[0].lo, 5);
    ck_assert_uint_eq(plan.spans[1].hi, 8);
    for (uint32_t i = 0; i < 8; i++) {
        ck_assert_int_eq(reasons.of[i].why, i < 2   ? PHX_REASON_EXCLUSIVE
                                            : i < 5 ? PHX_REASON_LIMITED
                                                    : PHX_REASON_PIECE);
        ck_assert_int_eq(reasons.of[i].span == PHX_REASON_NO_SPAN, i < 5);
    }
    phx_reasons_fini(&reasons);
    phx_plan_fini(&plan);
    phx_collection_fini(&tests);
}
END_TEST

START_TEST(a_unit_has_the_limit_of_its_tests_and_runs_alone_with_two)
{
    struct phx_collection tests;
    collect_limited(&tests, ".d..de.xd.dd");
    struct phx_planner_options how = options(PHX_DIST_LOADFILE, 2, 0);
    struct phx_plan plan;
    ck_assert_int_eq(phx_planner_make(&plan, &tests, &how), 0);
    static const uint32_t order[] = {4, 5, 6, 7, 0, 1, 8, 9, 10, 11, 2, 3};
    static const struct phx_plan_group groups[] = {{0, 4, 0}, {4, 10, 2}, {10, 10, 2}};
    ck_assert_uint_eq(plan.ngroups, 3);
    ck_assert_mem_eq(plan.order, order, sizeof order);
    ck_assert_mem_eq(plan.groups, groups, sizeof groups);
    phx_plan_fini(&plan);
    phx_collection_fini(&tests);
}
END_TEST

START_TEST(of_a_plan_by_mail_only_the_limits_are_left)
{
    struct phx_collection tests;
    collect_limited(&tests, ".dx");
    struct phx_planner_options how = options(PHX_DIST_MAIL, 2, 1);
    struct phx_reasons reasons = {.count = 77};
    how.out_reasons = &reasons;
    struct phx_plan plan;
    ck_assert_int_eq(phx_planner_make(&plan, &tests, &how), 0);
    static const uint16_t groups[] = {0, 2, 1};
    ck_assert_mem_eq(plan.mail_group, groups, sizeof groups);
    ck_assert_uint_eq(plan.groups[0].permits, 0);
    ck_assert_uint_eq(plan.groups[1].permits, 2);
    ck_assert_ptr_null(reasons.of);
    phx_plan_fini(&plan);
    phx_collection_fini(&tests);
}
END_TEST

/* ---- reasons ---- */

static struct phx_reasons reasons_of(const struct phx_collection *tests,
                                     struct phx_planner_options how)
{
    struct phx_reasons reasons;
    struct phx_plan plan;
    how.out_reasons = &reasons;
    ck_assert_int_eq(phx_planner_make(&plan, tests, &how), 0);
    ck_assert_uint_eq(reasons.count, plan.ntests);
    for (uint32_t i = 0; i < plan.ntests; i++) {
        const struct phx_reason *of = &reasons.of[i];
        ck_assert_uint_eq(of->unit, plan.unit[i]);
        ck_assert_uint_eq(of->cost_us + of->setup_us, plan.cost_us[i]);
        ck_assert_uint_ge(i, plan.spans[of->span].lo);
        ck_assert_uint_lt(i, plan.spans[of->span].hi);
    }
    phx_plan_fini(&plan);
    return reasons;
}

START_TEST(reasons_say_what_is_known_and_what_decided)
{
    /* Ten of 1 ms, one of 20 ms in another file, one in each that nobody knows, one in a third. */
    static const char *const files[] = {"a.py::t", "b.py::t", "c.py::t"};
    static const uint8_t file[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 2};
    enum { COUNT = sizeof file };
    uint32_t cost[COUNT];
    struct phx_collection tests;
    phx_collection_init(&tests);
    for (uint32_t i = 0; i < COUNT; i++) {
        cost[i] = i < 10 ? 1000 : i == 10 ? 20000 : 0;
        ck_assert_int_eq(phx_collection_add(&tests, files[file[i]], 7, NULL, 0), 0);
    }
    struct phx_planner_options how = options(PHX_DIST_LOAD, 2, 1);
    how.cost_us = cost;
    struct phx_reasons reasons = reasons_of(&tests, how);
    /* Long are the one of 20 ms, and the other of its file. */
    ck_assert_int_eq(reasons.of[0].why, PHX_REASON_LONG);
    ck_assert_uint_eq(reasons.of[0].cost_us, 20000);
    uint32_t nlong = 0, from[4] = {0};
    for (uint32_t i = 0; i < COUNT; i++) {
        nlong += reasons.of[i].why == PHX_REASON_LONG;
        from[reasons.of[i].from]++;
    }
    ck_assert_uint_eq(nlong, 2);
    ck_assert_uint_eq(from[PHX_COST_HISTORY], 11);
    ck_assert_uint_eq(from[PHX_COST_FILE], 2);
    ck_assert_uint_eq(from[PHX_COST_SUITE], 1);
    ck_assert_uint_eq(from[PHX_COST_NONE], 0);
    phx_reasons_fini(&reasons);

    how.keep_order = 1;
    reasons = reasons_of(&tests, how);
    for (uint32_t i = 0; i < COUNT; i++)
        ck_assert_int_eq(reasons.of[i].why, PHX_REASON_PIECE);
    phx_reasons_fini(&reasons);

    how.max_chunk = 3;
    reasons = reasons_of(&tests, how);
    ck_assert_int_eq(reasons.of[5].why, PHX_REASON_ROW);
    phx_reasons_fini(&reasons);

    reasons = reasons_of(&tests, options(PHX_DIST_LOADFILE, 2, 1));
    ck_assert_int_eq(reasons.of[0].why, PHX_REASON_DEAREST);
    ck_assert_int_eq(reasons.of[0].from, PHX_COST_NONE);
    phx_reasons_fini(&reasons);
    reasons = reasons_of(&tests, options(PHX_DIST_LOADFILE, 2, 0));
    ck_assert_int_eq(reasons.of[0].why, PHX_REASON_COLLECTED);
    phx_reasons_fini(&reasons);
    phx_collection_fini(&tests);
}
END_TEST

START_TEST(reasons_tell_repetitions_from_others)
{
    struct phx_collection tests;
    phx_collection_init(&tests);
    static const char *const ids[] = {"a.py::t[1-2]", "a.py::t[2-2]", "a.py::u"};
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(phx_collection_add(&tests, ids[i], strlen(ids[i]), NULL, 0), 0);
    struct phx_planner_options how = options(PHX_DIST_LOAD, 2, 1);
    how.interleave = 1;
    struct phx_reasons reasons = reasons_of(&tests, how);
    uint32_t nrepeated = 0;
    for (uint32_t i = 0; i < 3; i++)
        nrepeated += reasons.of[i].why == PHX_REASON_REPEATED;
    ck_assert_uint_eq(nrepeated, 2);
    phx_reasons_fini(&reasons);
    phx_collection_fini(&tests);
}
END_TEST

START_TEST(nothing_collected_is_a_plan_of_empty_spans)
{
    struct phx_plan plan;
    for (int dist = PHX_DIST_LOAD; dist <= PHX_DIST_LOADGROUP; dist++) {
        plan_of_files(&plan, "", options((enum phx_dist)dist, 3, 1));
        ck_assert_uint_eq(plan.ntests, 0);
        ck_assert_uint_eq(plan.nspans, 3);
        ck_assert_uint_eq(plan.spans[2].hi, 0);
        phx_plan_fini(&plan);
    }
}
END_TEST

START_TEST(a_plan_without_workers_is_refused)
{
    struct phx_collection tests;
    phx_collection_init(&tests);
    struct phx_plan plan = {.ntests = 77};
    struct phx_planner_options options = {.dist = PHX_DIST_LOAD};
    ck_assert_int_eq(phx_planner_make(&plan, &tests, &options), -EINVAL);
    ck_assert_uint_eq(plan.ntests, 77);
}
END_TEST

/* ---- at size ---- */

enum { MANY = 1000 * 1000, MANY_WORKERS = 4096 };

static void collect_many(struct phx_collection *tests)
{
    phx_collection_init(tests);
    for (uint32_t i = 0; i < MANY; i++) {
        char id[96];
        uint32_t file = random_below(20000); /* scattered: the worst case for grouping */
        int size = snprintf(id, sizeof id, "tests/integration/test_module_%05u.py::TestThing::t%u",
                            file, i);
        must(phx_collection_add(tests, id, (size_t)size, id, 36) == 0);
    }
}

START_TEST(a_million_tests_are_planned_in_two_seconds_each_way)
{
    static const enum phx_dist modes[] = {PHX_DIST_LOAD, PHX_DIST_LOADSCOPE, PHX_DIST_LOADGROUP};
    struct phx_collection tests;
    collect_many(&tests);
    memory_limit(200ull * MANY);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct phx_planner_options options = {
            .dist = modes[i], .nworkers = MANY_WORKERS, .reorder = 1};
        struct phx_plan plan;
        clock_t begin = clock(); /* processor time: the machine may be busy */
        ck_assert_int_eq(phx_planner_make(&plan, &tests, &options), 0);
        double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        if (MEMORY_LIMIT_WORKS) /* not with a sanitizer */
            ck_assert_double_lt(seconds, 2.0);
        ck_assert_uint_eq(plan.spans[MANY_WORKERS - 1].hi, MANY);
        phx_plan_fini(&plan);
    }
    phx_collection_fini(&tests);
}
END_TEST

START_TEST(without_memory_there_is_an_error_and_no_plan)
{
    if (!MEMORY_LIMIT_WORKS)
        return;
    struct phx_collection tests;
    collect_many(&tests);
    int status = -ENOMEM, nfailed = 0;
    /* A little more each time, so that every allocation is once the one that fails. */
    for (unsigned long long bytes = 0; status == -ENOMEM; bytes += 1 << 20, nfailed++) {
        struct phx_plan plan = {.ntests = 77};
        struct phx_planner_options options = {
            .dist = PHX_DIST_LOADSCOPE, .nworkers = MANY_WORKERS, .reorder = 1};
        ck_assert_int_eq(memory_limit(bytes), 1);
        status = phx_planner_make(&plan, &tests, &options);
        if (status == 0)
            phx_plan_fini(&plan);
        else
            ck_assert_uint_eq(plan.ntests, 77);
    }
    ck_assert_int_eq(status, 0);
    ck_assert_int_gt(nfailed, 10);
    phx_collection_fini(&tests);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, plans_are_those_of_the_model);
    tcase_add_test(tests, reordered_scopes_are_within_four_thirds_of_the_best);
    tcase_add_test(tests, equal_tests_are_cut_evenly);
    tcase_add_test(tests, with_more_workers_than_units_the_last_spans_are_empty);
    tcase_add_test(tests, scopes_are_dealt_longest_first_or_as_collected);
    tcase_add_test(tests, few_tests_are_dealt_in_turn_unless_they_share_a_set_up);
    tcase_add_test(tests, long_tests_come_first_and_leave_room);
    tcase_add_test(tests, cuts_give_way_to_dear_fixtures);
    tcase_add_test(tests, chunks_are_dealt_in_collection_order);
    tcase_add_test(tests, limited_tests_lie_in_groups_before_all_spans);
    tcase_add_test(tests, a_unit_has_the_limit_of_its_tests_and_runs_alone_with_two);
    tcase_add_test(tests, of_a_plan_by_mail_only_the_limits_are_left);
    tcase_add_test(tests, reasons_say_what_is_known_and_what_decided);
    tcase_add_test(tests, reasons_tell_repetitions_from_others);
    tcase_add_test(tests, nothing_collected_is_a_plan_of_empty_spans);
    tcase_add_test(tests, a_plan_without_workers_is_refused);
    tcase_add_test(tests, a_million_tests_are_planned_in_two_seconds_each_way);
    tcase_add_test(tests, without_memory_there_is_an_error_and_no_plan);
}

int main(void)
{
    return harness_run("planner", 120, add);
}
