/* Synthetic suites, and recorded ones. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static uint64_t random_state;

void sim_seed(uint64_t seed)
{
    random_state = seed * 0x9e3779b97f4a7c15u + 1;
}

double sim_random(void)
{
    random_state ^= random_state >> 12; /* xorshift64* */
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (double)((random_state * 0x2545f4914f6cdd1du) >> 11) / 9007199254740992.0;
}

static uint32_t log_normal(double median_us, double sigma)
{
    double u = 1.0 - sim_random(), v = sim_random();
    double normal = sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
    double value = median_us * exp(sigma * normal);
    return value < 1 ? 1 : value > 3.6e9 ? 3600000000u : (uint32_t)value;
}

static void in_modules_of(struct sim_suite *suite, uint32_t size)
{
    suite->nmodules = (suite->ntests + size - 1) / size;
    for (uint32_t test = 0; test < suite->ntests; test++)
        suite->module[test] = test / size;
}

/* Every test 0.1 s, give or take a tenth. */
static void uniform(struct sim_suite *suite)
{
    in_modules_of(suite, 25);
    for (uint32_t test = 0; test < suite->ntests; test++)
        suite->cost_us[test] = (uint32_t)(90e3 + 20e3 * sim_random());
}

static void skewed(struct sim_suite *suite)
{
    in_modules_of(suite, 25);
    for (uint32_t test = 0; test < suite->ntests; test++)
        suite->cost_us[test] = log_normal(50e3, 1.5);
}

/* All tests alike, and then one that takes as long as a fair share of them. */
static void giant_last(struct sim_suite *suite)
{
    uniform(suite);
    uint64_t total = 0;
    for (uint32_t test = 0; test < suite->ntests; test++)
        total += suite->cost_us[test];
    suite->cost_us[suite->ntests - 1] = (uint32_t)(total / suite->nworkers);
}

static void some_long(struct sim_suite *suite)
{
    uniform(suite);
    for (uint32_t test = 0; test < suite->ntests; test++)
        if (sim_random() < 0.05)
            suite->cost_us[test] *= 20;
}

/* Modules of 5 to 15 tests of about 0.05 s, each with a fixture of 0.5 s. */
static void fixtures(struct sim_suite *suite)
{
    uint32_t module = 0, left = 0;
    for (uint32_t test = 0; test < suite->ntests; test++) {
        if (left == 0) {
            left = 5 + (uint32_t)(11 * sim_random());
            suite->setup_us[module++] = 500000;
        }
        left--;
        suite->module[test] = module - 1;
        suite->cost_us[test] = log_normal(45e3, 0.5);
    }
    suite->nmodules = module;
}

/* As large suites are: skewed costs, half of the modules with a fixture of 0.5 s. */
static void large(struct sim_suite *suite)
{
    in_modules_of(suite, 40);
    for (uint32_t module = 0; module < suite->nmodules; module++)
        suite->setup_us[module] = sim_random() < 0.5 ? 500000 : 0;
    for (uint32_t test = 0; test < suite->ntests; test++)
        suite->cost_us[test] = log_normal(100e3, 1.0);
}

const struct sim_kind sim_kinds[] = {
    {"uniform", "2,000 tests of 0.1 s on 16 workers", 2000, 16, uniform},
    {"log-normal", "2,000 tests, median 0.05 s, sigma 1.5, on 16 workers", 2000, 16, skewed},
    {"log-normal, few", "40 tests, median 0.05 s, sigma 1.5, on 8 workers", 40, 8, skewed},
    {"one giant last", "1,000 tests of 0.1 s, then one of a fair share, on 16 workers", 1001, 16,
     giant_last},
    {"5 % long", "2,000 tests of 0.1 s, one in 20 of 2 s, on 16 workers", 2000, 16, some_long},
    {"module fixtures", "2,000 tests of 0.05 s in modules of 5 to 15, fixture 0.5 s, on 16 workers",
     2000, 16, fixtures},
    {"100,000 tests",
     "median 0.1 s, sigma 1, modules of 40, half of them with a fixture of 0.5 s, "
     "on 256 workers",
     100000, 256, large},
    {"1,000,000 tests", "the same, on 4,096 workers", 1000000, 4096, large},
};
const int sim_nkinds = sizeof sim_kinds / sizeof *sim_kinds;

static void allocate(struct sim_suite *suite, uint32_t ntests)
{
    suite->ntests = ntests;
    suite->cost_us = sim_alloc(ntests, sizeof *suite->cost_us);
    suite->module = sim_alloc(ntests, sizeof *suite->module);
    suite->setup_us = sim_alloc(ntests + (size_t)1, sizeof *suite->setup_us);
    phx_collection_init(&suite->tests);
}

void sim_suite_make(struct sim_suite *suite, const struct sim_kind *kind, uint64_t seed)
{
    *suite = (struct sim_suite){.nworkers = kind->nworkers};
    allocate(suite, kind->ntests);
    sim_seed(seed);
    kind->make(suite);
    for (uint32_t test = 0; test < suite->ntests; test++) {
        uint32_t module = suite->module[test];
        char id[64];
        int size = snprintf(id, sizeof id, "test_%u.py::t%u", module, test);
        if (phx_collection_add(&suite->tests, id, (size_t)size, NULL, 0) < 0 ||
            phx_collection_needs(&suite->tests, &module, suite->setup_us[module] > 0) < 0)
            exit(1);
    }
}

int sim_suite_read(struct sim_suite *suite, const char *path, uint32_t nworkers)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        return -1;
    }
    char line[4096], before[4096] = "";
    uint32_t ntests = 0, module = 0;
    while (fgets(line, sizeof line, file))
        ntests++;
    rewind(file);
    *suite = (struct sim_suite){.nworkers = nworkers};
    allocate(suite, ntests);
    for (uint32_t test = 0; test < ntests && fgets(line, sizeof line, file); test++) {
        char *id = strchr(line, '\t');
        if (!id || strtoul(line, NULL, 10) == 0) {
            fprintf(stderr, "%s:%u: not microseconds, a tab and a node id\n", path, test + 1);
            fclose(file);
            return -1;
        }
        *id++ = '\0';
        id[strcspn(id, "\n")] = '\0';
        suite->cost_us[test] = (uint32_t)strtoul(line, NULL, 10);
        if (phx_collection_add(&suite->tests, id, strlen(id), NULL, 0) < 0)
            exit(1);
        id[strcspn(id, ":")] = '\0';
        module += test > 0 && strcmp(id, before) != 0;
        strcpy(before, id);
        suite->module[test] = module;
    }
    suite->nmodules = module + 1;
    fclose(file);
    return 0;
}

void sim_suite_free(struct sim_suite *suite)
{
    phx_collection_fini(&suite->tests);
    free(suite->cost_us);
    free(suite->module);
    free(suite->setup_us);
}

double sim_bound(const struct sim_suite *suite)
{
    double total = 0, longest = 0;
    for (uint32_t test = 0; test < suite->ntests; test++) {
        double alone = suite->cost_us[test] + (double)suite->setup_us[suite->module[test]];
        longest = alone > longest ? alone : longest;
        total += suite->cost_us[test];
    }
    for (uint32_t module = 0; module < suite->nmodules; module++)
        total += suite->setup_us[module];
    return total / suite->nworkers > longest ? total / suite->nworkers : longest;
}

uint64_t sim_sequential_setups(const struct sim_suite *suite)
{
    uint64_t setups = 0;
    for (uint32_t module = 0; module < suite->nmodules; module++)
        setups += suite->setup_us[module] > 0;
    return setups;
}
