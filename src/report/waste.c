#include "report/waste.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report/line.h"

enum {
    NAME_MAX_BYTES = 80,
    SHARE = 10, /* a cause costs at least a tenth of all workers' time */
    STARTUP_SHARE = 3,
    EXCLUSIVE = 1, /* the limit of exclusive tests: see phx_waste_test */
};

#define LEAST PHX_S
#define LEAST_STARTUP (2 * PHX_S)
#define KEPT_BUSY 0.7 /* of the cores' time: tests that wait for nothing else */

/* ---- the end of the run ---- */

static int compare_latest_first(const void *left, const void *right)
{
    phx_ns a = *(const phx_ns *)left, b = *(const phx_ns *)right;
    return a > b ? -1 : a < b;
}

/* When each worker had run its last test, the latest first, in out[nworkers]. A worker without any
 * had done so from the start. */
static void last_ends(phx_ns *out, const struct phx_waste_input *input)
{
    for (uint32_t i = 0; i < input->nworkers; i++)
        out[i] = input->forked;
    for (uint32_t i = 0; i < input->ntests; i++) {
        const struct phx_waste_test *test = &input->tests[i];
        if (test->worker < input->nworkers && test->end > out[test->worker])
            out[test->worker] = test->end;
    }
    qsort(out, input->nworkers, sizeof *out, compare_latest_first);
}

static const struct phx_waste_test *last_test(const struct phx_waste_input *input)
{
    const struct phx_waste_test *last = NULL;
    for (uint32_t i = 0; i < input->ntests; i++)
        if (!last || input->tests[i].end > last->end)
            last = &input->tests[i];
    return last;
}

static int share_a_scope(const struct phx_waste_test *a, const struct phx_waste_test *b)
{
    return a->scope && b->scope && a->scope_size == b->scope_size &&
           memcmp(a->scope, b->scope, a->scope_size) == 0;
}

/* The unit of the test that ended last. Returns when its first test began. */
static phx_ns describe_unit(struct phx_waste *out, const struct phx_waste_input *input,
                            const struct phx_waste_test *last)
{
    phx_ns began = last->start;
    out->test = last->test;
    out->ntests = 1;
    out->took = last->end - last->start;
    for (uint32_t i = 0; i < input->ntests; i++) {
        const struct phx_waste_test *other = &input->tests[i];
        if (other == last || !share_a_scope(other, last))
            continue;
        out->ntests++;
        out->took += other->end - other->start;
        began = other->start < began ? other->start : began;
    }
    out->cause = out->ntests > 1 ? PHX_WASTE_SCOPE : PHX_WASTE_TEST;
    return began;
}

/* All tests of a limit. */
static void describe_limit(struct phx_waste *out, const struct phx_waste_input *input,
                           uint32_t limit)
{
    out->limit = limit;
    out->ntests = 0;
    out->took = 0;
    for (uint32_t i = 0; i < input->ntests; i++) {
        const struct phx_waste_test *test = &input->tests[i];
        if (test->limit != limit)
            continue;
        out->ntests++;
        out->took += test->end - test->start;
    }
}

/* Who went on alone at the end, while others had nothing to do. A crashed worker's time goes on in
 * its replacement's, so as many workers count as there are at one time: the last ones. */
static int find_tail(struct phx_waste *out, const struct phx_waste_input *input)
{
    const struct phx_waste_test *last = last_test(input);
    if (!last || input->nworkers < input->nparallel || input->nparallel == 0)
        return 0;
    phx_ns *ends = malloc(input->nworkers * sizeof *ends);
    if (!ends)
        return -ENOMEM;
    last_ends(ends, input);
    struct phx_waste tail = {.alone = ends[0] - ends[input->nparallel - 1]};
    for (uint32_t i = 0; i < input->nparallel; i++)
        tail.lost += ends[0] - ends[i];
    phx_ns idle_from = ends[input->nparallel - 1];
    free(ends);
    phx_ns began = describe_unit(&tail, input, last);
    if (last->limit > 0 && began >= idle_from) {
        /* It had not begun when somebody had nothing to do, who would have taken it but for the
         * limit. (What exclusive tests cost is counted elsewhere.) */
        tail.cause = PHX_WASTE_LIMIT;
        describe_limit(&tail, input, last->limit);
        if (last->limit != EXCLUSIVE)
            *out = tail;
    } else if (2 * tail.took >= tail.alone) {
        *out = tail; /* many units one after the other are no single one's fault */
    }
    return 0;
}

/* ---- the other causes ---- */

/* While one of them runs, everybody else waits. */
static void find_exclusive(struct phx_waste *out, const struct phx_waste_input *input)
{
    struct phx_waste found = {.cause = PHX_WASTE_EXCLUSIVE};
    describe_limit(&found, input, EXCLUSIVE);
    found.lost = found.took * (input->nparallel > 0 ? input->nparallel - 1 : 0);
    if (found.ntests > 0)
        *out = found;
}

static void find_startup(struct phx_waste *out, const struct phx_waste_input *input)
{
    phx_ns total = input->startup + input->ended - input->forked;
    if (input->startup >= LEAST_STARTUP && input->startup >= total / STARTUP_SHARE)
        *out = (struct phx_waste){
            .cause = PHX_WASTE_STARTUP, .lost = input->startup * input->nparallel, .total = total};
}

static void find_cores(struct phx_waste *out, const struct phx_waste_input *input)
{
    phx_ns wall = input->ended - input->forked;
    if (input->ncores == 0 || input->ncores >= input->nparallel || wall <= 0)
        return;
    if ((double)input->cpu >= KEPT_BUSY * (double)wall * input->ncores)
        *out = (struct phx_waste){.cause = PHX_WASTE_CORES,
                                  .lost = wall * (input->nparallel - input->ncores)};
}

int phx_waste_find(struct phx_waste *out, const struct phx_waste_input *input)
{
    struct phx_waste causes[4] = {{0}};
    int status = find_tail(&causes[0], input);
    if (status < 0)
        return status;
    find_startup(&causes[1], input);
    find_cores(&causes[2], input);
    find_exclusive(&causes[3], input);
    phx_ns total = (input->startup + input->ended - input->forked) * input->nparallel;
    struct phx_waste worst = {0};
    for (int i = 0; i < 4; i++)
        if (causes[i].lost >= LEAST && causes[i].lost >= total / SHARE &&
            causes[i].lost > worst.lost)
            worst = causes[i];
    *out = worst;
    return 0;
}

/* ---- the sentence ---- */

static void put_tail(struct phx_line *line, const struct phx_waste *waste, const char *name,
                     size_t name_size, const char *scope, size_t scope_size)
{
    int is_test = waste->cause == PHX_WASTE_TEST || !scope;
    phx_line_put_name(line, is_test ? name : scope, is_test ? name_size : scope_size,
                      NAME_MAX_BYTES);
    phx_line_put(line, " kept other workers waiting for ");
    phx_line_put_duration(line, waste->alone);
    phx_line_put(line, is_test ? " at the end (it takes " : " at the end (its %u tests take ",
                 waste->ntests);
    phx_line_put_duration(line, waste->took);
    phx_line_put(line, is_test ? "): a run is never shorter than its longest test; split it"
                               : " on one worker): split it, or use --dist=load");
}

static void put_limit(struct phx_line *line, const struct phx_waste *waste,
                      const struct phx_waste_input *input)
{
    const struct phx_collection_limit *limit = &input->limits[waste->limit - 1];
    phx_line_put(line, "the limit on ");
    phx_line_put_name(line, limit->name, limit->size, NAME_MAX_BYTES);
    phx_line_put(line, " kept other workers waiting for ");
    phx_line_put_duration(line, waste->alone);
    phx_line_put(line, " at the end (%u tests, %u at a time, take ", waste->ntests, limit->permits);
    phx_line_put_duration(line, waste->took);
    phx_line_put(line, "): raise it, or mark fewer tests");
}

static void put_exclusive(struct phx_line *line, const struct phx_waste *waste)
{
    phx_line_put(line, "%u exclusive test%s took ", waste->ntests, waste->ntests == 1 ? "" : "s");
    phx_line_put_duration(line, waste->took);
    phx_line_put(line,
                 ", and nothing else ran meanwhile: for tests that may only not run beside each "
                 "other, phalanx_limit is enough");
}

size_t phx_waste_format(char *out, size_t size, const struct phx_waste *waste,
                        const struct phx_waste_input *input, const char *name, size_t name_size,
                        const char *scope, size_t scope_size)
{
    if (size == 0)
        return 0;
    struct phx_line line = phx_line_in(out, size);
    switch (waste->cause) {
    case PHX_WASTE_NONE:
        break;
    case PHX_WASTE_STARTUP:
        phx_line_put(&line, "start-up took ");
        phx_line_put_duration(&line, input->startup);
        phx_line_put(&line, " of ");
        phx_line_put_duration(&line, waste->total);
        phx_line_put(&line, ", and no worker can help with it: see what test modules and conftest "
                            "files import (python -X importtime)");
        break;
    case PHX_WASTE_TEST:
    case PHX_WASTE_SCOPE:
        if (name)
            put_tail(&line, waste, name, name_size, scope, scope_size);
        break;
    case PHX_WASTE_LIMIT:
        put_limit(&line, waste, input);
        break;
    case PHX_WASTE_EXCLUSIVE:
        put_exclusive(&line, waste);
        break;
    case PHX_WASTE_CORES:
        phx_line_put(&line,
                     "%u workers shared %u core%s that the tests kept busy: -n %u would be as fast",
                     input->nparallel, input->ncores, input->ncores == 1 ? "" : "s", input->ncores);
        break;
    }
    return line.used;
}
