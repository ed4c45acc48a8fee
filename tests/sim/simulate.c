/* simulate: how near the schedules come to the lower bound, as tables in Markdown.
 *
 *     simulate                       all synthetic suites, medians of 30 seeds
 *     simulate --seeds 3 --only 5    fewer seeds; one suite, by its number
 *     simulate --recorded FILE -n 8  a recorded suite: lines of "microseconds TAB node id"
 *     simulate --check               exit 1 when a target is missed
 *     simulate --tap                 the same for the small suites, as tests
 *
 * The targets and what the columns mean: docs/design/scheduling.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

enum { SEEDS_MAX = 100 };
enum scheduler { /* the first ones are phalanx with each history */
                 LOAD = SIM_NHISTORIES,
                 WORKSTEAL,
                 LOADSCOPE,
                 LPT,
                 NSCHEDULERS,
};

static const char *const names[] = {"none",   "exact",       "noisy",       "10 % unknown",
                                    "`load`", "`worksteal`", "`loadscope`", "LPT"};

struct row {                      /* medians */
    double makespan[NSCHEDULERS]; /* over the lower bound */
    double setups[NSCHEDULERS];   /* over a sequential run's; 0 without fixtures */
    double plan_seconds;
    double units_per_worker;
    int seeds;
};

static void run_one(struct sim_result *out, const struct sim_suite *suite, int scheduler)
{
    static void (*const models[])(struct sim_result *, const struct sim_suite *) = {
        sim_xdist_load, sim_xdist_worksteal, sim_xdist_loadscope, sim_lpt};
    if (scheduler < SIM_NHISTORIES)
        sim_phalanx(out, suite, (enum sim_history)scheduler);
    else
        models[scheduler - SIM_NHISTORIES](out, suite);
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

struct samples {
    double makespan[NSCHEDULERS][SEEDS_MAX], setups[NSCHEDULERS][SEEDS_MAX], plan[SEEDS_MAX];
};

static void take_sample(struct samples *samples, const struct sim_suite *suite, int seed)
{
    double bound = sim_bound(suite), once = (double)sim_sequential_setups(suite);
    samples->plan[seed] = 0;
    for (int scheduler = 0; scheduler < NSCHEDULERS; scheduler++) {
        struct sim_result result;
        run_one(&result, suite, scheduler);
        samples->makespan[scheduler][seed] = (double)result.makespan_us / bound;
        samples->setups[scheduler][seed] = once > 0 ? (double)result.setups / once : 0;
        if (result.plan_seconds > samples->plan[seed])
            samples->plan[seed] = result.plan_seconds;
    }
}

static void settle(struct row *row, struct samples *samples, int seeds)
{
    for (int scheduler = 0; scheduler < NSCHEDULERS; scheduler++) {
        row->makespan[scheduler] = median(samples->makespan[scheduler], seeds);
        row->setups[scheduler] = median(samples->setups[scheduler], seeds);
    }
    row->plan_seconds = median(samples->plan, seeds);
    row->seeds = seeds;
}

/* ---- tables ---- */

static void print_head(const char *what, int nschedulers)
{
    printf("\n| %s |", what);
    for (int scheduler = 0; scheduler < nschedulers; scheduler++)
        printf(" %s%s |", scheduler < SIM_NHISTORIES ? "phalanx, " : "", names[scheduler]);
    printf("\n|---|");
    for (int scheduler = 0; scheduler < nschedulers; scheduler++)
        printf("---:|");
    printf("\n");
}

static void print_row(const char *name, const double *values, int nschedulers)
{
    printf("| %s |", name);
    for (int scheduler = 0; scheduler < nschedulers; scheduler++)
        printf(" %.3f |", values[scheduler]);
    printf("\n");
    fflush(stdout);
}

/* ---- targets ---- */

enum target { EXACT, NOISY, UNKNOWN, NONE_LOAD, NONE_ALL, SETUPS, PLANNING, NTARGETS };

static const struct {
    const char *what;
    double limit;
} targets[NTARGETS] = {
    [EXACT] = {"exact", 1.05},
    [NOISY] = {"noisy", 1.15},
    [UNKNOWN] = {"10 % unknown", 1.15},
    [NONE_LOAD] = {"none ÷ the better of `load`, `worksteal`", 1.05},
    [NONE_ALL] = {"none ÷ the best of all modes", 1.20},
    [SETUPS] = {"set-ups ÷ those of `worksteal`", 1.0},
    [PLANNING] = {"planning, in seconds", 2.0},
};

static double least(double a, double b)
{
    return a < b ? a : b;
}

/* What is held against the limits. Where workers have few units LPT is the bound. */
static void measure(double *values, const struct row *row)
{
    const double *m = row->makespan;
    double bound = row->units_per_worker >= 20 ? 1 : m[LPT], most_setups = 0;
    double load = least(m[LOAD], m[WORKSTEAL]);
    for (int history = 0; history < SIM_NHISTORIES; history++)
        if (row->setups[history] > most_setups)
            most_setups = row->setups[history];
    values[EXACT] = m[SIM_EXACT] / bound;
    values[NOISY] = m[SIM_NOISY] / bound;
    values[UNKNOWN] = m[SIM_UNKNOWN] / bound;
    values[NONE_LOAD] = m[SIM_NONE] / load;
    values[NONE_ALL] = m[SIM_NONE] / least(load, m[LOADSCOPE]);
    values[SETUPS] = row->setups[WORKSTEAL] > 0 ? most_setups / row->setups[WORKSTEAL] : 0;
    values[PLANNING] = row->plan_seconds;
}

static int is_met(const double *values, int target)
{
    return values[target] <= targets[target].limit + 1e-9;
}

/* Returns how many are missed, and names them. */
static int check(const char *name, const struct row *row)
{
    double values[NTARGETS];
    int misses = 0;
    measure(values, row);
    for (int target = 0; target < NTARGETS; target++) {
        if (is_met(values, target))
            continue;
        printf("# missed: %s: %s is %.3f, target %.2f\n", name, targets[target].what,
               values[target], targets[target].limit);
        misses++;
    }
    return misses;
}

static void print_targets(const struct row *rows)
{
    printf("\n| target |");
    for (int target = 0; target < NTARGETS; target++)
        printf(" %s ≤ %.2f |", targets[target].what, targets[target].limit);
    printf("\n|---|");
    for (int target = 0; target < NTARGETS; target++)
        printf("---:|");
    printf("\n");
    for (int kind = 0; kind < sim_nkinds; kind++) {
        double values[NTARGETS];
        if (rows[kind].seeds == 0)
            continue;
        measure(values, &rows[kind]);
        printf("| %s |", sim_kinds[kind].name);
        for (int target = 0; target < NTARGETS; target++)
            if (target == SETUPS && rows[kind].setups[WORKSTEAL] == 0)
                printf(" – |");
            else
                printf(" %.3f %s |", values[target], is_met(values, target) ? "✓" : "✗");
        printf("\n");
    }
}

struct arguments {
    int seeds, only, checks, tap;
    uint32_t nworkers;
    const char *recorded;
};

static int read_arguments(struct arguments *out, int argc, char **argv)
{
    *out = (struct arguments){.seeds = 30, .nworkers = 8};
    for (int i = 1; i < argc; i++) {
        int has_value = i + 1 < argc;
        if (strcmp(argv[i], "--check") == 0)
            out->checks = 1;
        else if (strcmp(argv[i], "--tap") == 0)
            out->tap = 1;
        else if (has_value && strcmp(argv[i], "--seeds") == 0)
            out->seeds = atoi(argv[++i]);
        else if (has_value && strcmp(argv[i], "--only") == 0)
            out->only = atoi(argv[++i]);
        else if (has_value && strcmp(argv[i], "--recorded") == 0)
            out->recorded = argv[++i];
        else if (has_value && strcmp(argv[i], "-n") == 0)
            out->nworkers = (uint32_t)strtoul(argv[++i], NULL, 10);
        else
            return fprintf(stderr, "simulate: unknown argument %s\n", argv[i]), -1;
    }
    if (out->seeds < 1 || out->seeds > SEEDS_MAX || out->nworkers < 1)
        return fprintf(stderr, "simulate: 1 to %d seeds, at least one worker\n", SEEDS_MAX), -1;
    return 0;
}

static struct samples samples;

static void run_kind(struct row *row, const struct sim_kind *kind, int seeds)
{
    for (int seed = 0; seed < seeds; seed++) {
        struct sim_suite suite;
        sim_suite_make(&suite, kind, (uint64_t)seed + 1);
        take_sample(&samples, &suite, seed);
        sim_suite_free(&suite);
    }
    settle(row, &samples, seeds);
    row->units_per_worker = (double)kind->ntests / kind->nworkers;
}

/* The small suites, as tests. */
static int run_tap(int seeds)
{
    int count = 0, misses = 0;
    for (int kind = 0; kind < sim_nkinds && sim_kinds[kind].ntests < 10000; kind++) {
        struct row row;
        run_kind(&row, &sim_kinds[kind], seeds);
        int missed_here = check(sim_kinds[kind].name, &row);
        misses += missed_here;
        printf("%s %d - %s\n", missed_here ? "not ok" : "ok", ++count, sim_kinds[kind].name);
    }
    printf("1..%d\n", count);
    return misses > 0;
}

static int run_recorded(const char *path, uint32_t nworkers, int seeds)
{
    struct sim_suite suite;
    struct row row;
    if (sim_suite_read(&suite, path, nworkers) < 0)
        return 2;
    for (int seed = 0; seed < seeds; seed++) {
        sim_seed((uint64_t)seed + 1); /* of the histories: the suite is what it is */
        take_sample(&samples, &suite, seed);
    }
    settle(&row, &samples, seeds);
    const char *slash = strrchr(path, '/');
    char name[128];
    snprintf(name, sizeof name, "%s, %u workers", slash ? slash + 1 : path, nworkers);
    print_row(name, row.makespan, NSCHEDULERS);
    sim_suite_free(&suite);
    return 0;
}

int main(int argc, char **argv)
{
    static struct row rows[64];
    struct arguments arguments;
    int misses = 0;
    if (read_arguments(&arguments, argc, argv) < 0)
        return 2;
    if (arguments.tap)
        return run_tap(arguments.seeds);
    if (arguments.recorded)
        return run_recorded(arguments.recorded, arguments.nworkers, arguments.seeds);
    print_head("makespan / lower bound", NSCHEDULERS);
    for (int kind = 0; kind < sim_nkinds; kind++) {
        if (arguments.only && kind != arguments.only - 1)
            continue;
        run_kind(&rows[kind], &sim_kinds[kind], arguments.seeds);
        print_row(sim_kinds[kind].name, rows[kind].makespan, NSCHEDULERS);
    }
    print_head("set-ups / sequential set-ups", LPT);
    for (int kind = 0; kind < sim_nkinds; kind++)
        if (rows[kind].seeds > 0 && rows[kind].setups[WORKSTEAL] > 0)
            print_row(sim_kinds[kind].name, rows[kind].setups, LPT);
    print_targets(rows);
    printf("\n");
    for (int kind = 0; kind < sim_nkinds; kind++) {
        if (rows[kind].seeds == 0)
            continue;
        printf("* %s: %s; median of %d seeds; planned in %.3f s of processor time\n",
               sim_kinds[kind].name, sim_kinds[kind].about, rows[kind].seeds,
               rows[kind].plan_seconds);
        if (arguments.checks)
            misses += check(sim_kinds[kind].name, &rows[kind]);
    }
    return misses > 0;
}
