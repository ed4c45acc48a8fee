#include "sched/seam.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* The set-ups that one test opens, if nobody has measured them, are taken to cost as much as this
 * many tests together. Each by itself would make tests that use ten small fixtures of the session
 * too dear to be taken over by anybody. */
enum { UNKNOWN_SETUP_TESTS = 2 };

struct reach { /* of one set-up */
    uint32_t first, last;
    uint64_t cost_us;  /* of the tests that need it; 0: nobody does */
    uint32_t least_us; /* setup phase, of those behind the first */
    uint32_t taken_us; /* what the set-up is taken to cost */
};

struct opening { /* of a test: set-ups that it is the first to need */
    uint32_t count, served;
};

struct survey {
    const struct phx_collection *tests;
    struct phx_costs *costs;
    const uint32_t *setup_us;
    struct reach *reaches;    /* [tests->nsetups] */
    struct opening *openings; /* [tests] */
    int64_t *change;          /* [tests + 1]: of the seam, from one test to the next */
};

static void measure(const struct survey *survey)
{
    for (uint32_t test = 0; test < phx_collection_count(survey->tests); test++) {
        uint32_t nsetups;
        const uint32_t *setups = phx_collection_setups(survey->tests, test, &nsetups);
        uint32_t setup_us = survey->setup_us ? survey->setup_us[test] : 0;
        int is_known = survey->costs->from[test] == PHX_COST_HISTORY;
        for (uint32_t i = 0; i < nsetups; i++) {
            struct reach *reach = &survey->reaches[setups[i]];
            if (reach->cost_us == 0) {
                *reach = (struct reach){.first = test, .least_us = UINT32_MAX};
                survey->openings[test].count++;
            } else if (is_known && setup_us < reach->least_us) {
                reach->least_us = setup_us;
            }
            reach->last = test;
            reach->cost_us += survey->costs->cost_us[test];
        }
    }
}

static int is_measured(const struct survey *survey, const struct reach *reach)
{
    return survey->setup_us && survey->costs->from[reach->first] == PHX_COST_HISTORY &&
           reach->least_us != UINT32_MAX;
}

static uint32_t capped(uint64_t us)
{
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* The next one's part of what the set-ups of one test cost together. */
static uint32_t share_of(uint32_t us, struct opening *opening)
{
    assert(opening->count > 0); /* who asks is one of them */
    return us / opening->count + (opening->served++ < us % opening->count);
}

/* Decides what a set-up costs, and moves it there from the cost of its first test. Several that are
 * opened by one test share what its setup phase costs more. */
static void attribute(const struct survey *survey, struct reach *reach)
{
    struct phx_costs *costs = survey->costs;
    uint32_t first = reach->first, *cost_us = &costs->cost_us[first];
    if (!is_measured(survey, reach)) {
        uint32_t some = capped((uint64_t)UNKNOWN_SETUP_TESTS * costs->mean_us);
        reach->taken_us = share_of(some, &survey->openings[first]);
        return;
    }
    if (survey->setup_us[first] <= reach->least_us)
        return;
    reach->taken_us = share_of(survey->setup_us[first] - reach->least_us, &survey->openings[first]);
    uint32_t moved = reach->taken_us < *cost_us ? reach->taken_us : *cost_us - 1;
    *cost_us -= moved;
    costs->total_us -= moved;
}

/* Each set-up is added to the seams where its reach begins and taken away behind its end. */
static void lay(struct phx_seams *seams, const struct survey *survey, uint64_t share)
{
    for (uint32_t setup = 0; setup < survey->tests->nsetups; setup++) {
        struct reach *reach = &survey->reaches[setup];
        if (reach->cost_us == 0)
            continue;
        attribute(survey, reach);
        uint32_t *opening = &seams->opening_us[reach->first];
        *opening = capped((uint64_t)*opening + reach->taken_us);
        if (reach->cost_us > share)
            continue; /* everybody has it, sooner or later */
        survey->change[reach->first + 1] += reach->taken_us;
        survey->change[reach->last + 1] -= reach->taken_us;
    }
    int64_t open = 0;
    for (uint32_t test = 0; test < phx_collection_count(survey->tests); test++) {
        open += survey->change[test];
        seams->seam_us[test] = capped((uint64_t)open);
    }
}

int phx_seams_make(struct phx_seams *out, const struct phx_collection *tests,
                   struct phx_costs *costs, const uint32_t *setup_us, uint32_t nworkers)
{
    uint32_t count = phx_collection_count(tests);
    struct phx_seams seams = {0};
    struct survey survey = {.tests = tests, .costs = costs, .setup_us = setup_us};
    if (count == 0 || tests->nsetups == 0) {
        *out = seams;
        return 0;
    }
    survey.reaches = calloc(tests->nsetups, sizeof *survey.reaches);
    survey.openings = calloc(count, sizeof *survey.openings);
    survey.change = calloc(count + (size_t)1, sizeof *survey.change);
    seams.seam_us = malloc(count * sizeof *seams.seam_us);
    seams.opening_us = calloc(count, sizeof *seams.opening_us);
    int status = -ENOMEM;
    if (survey.reaches && survey.openings && survey.change && seams.seam_us && seams.opening_us) {
        measure(&survey);
        lay(&seams, &survey, costs->total_us / nworkers);
        *out = seams;
        seams = (struct phx_seams){0};
        status = 0;
    }
    phx_seams_fini(&seams);
    free(survey.reaches);
    free(survey.openings);
    free(survey.change);
    return status;
}

void phx_seams_fini(struct phx_seams *seams)
{
    free(seams->seam_us);
    free(seams->opening_us);
    *seams = (struct phx_seams){0};
}
