#include <stdio.h>
#include <stdlib.h>

#include "sim.h"

void *sim_alloc(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory) {
        fputs("simulate: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

void sim_clock_init(struct sim_clock *clock, uint32_t nworkers)
{
    clock->heap = sim_alloc(nworkers + (size_t)1, sizeof *clock->heap);
    clock->count = 0;
}

void sim_clock_free(struct sim_clock *clock)
{
    free(clock->heap);
}

static int is_earlier(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->worker < b->worker;
}

void sim_clock_set(struct sim_clock *clock, uint64_t at_us, uint32_t worker)
{
    struct sim_event event = {at_us, worker};
    uint32_t at = clock->count++;
    while (at > 0 && is_earlier(&event, &clock->heap[(at - 1) / 2])) {
        clock->heap[at] = clock->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    clock->heap[at] = event;
}

int sim_clock_next(struct sim_clock *clock, struct sim_event *out)
{
    if (clock->count == 0)
        return 0;
    *out = clock->heap[0];
    struct sim_event moving = clock->heap[--clock->count];
    uint32_t at = 0, child;
    while ((child = 2 * at + 1) < clock->count) {
        if (child + 1 < clock->count && is_earlier(&clock->heap[child + 1], &clock->heap[child]))
            child++;
        if (!is_earlier(&clock->heap[child], &moving))
            break;
        clock->heap[at] = clock->heap[child];
        at = child;
    }
    clock->heap[at] = moving;
    return 1;
}

uint64_t sim_run(const struct sim_suite *suite, uint32_t test, uint32_t *module, uint64_t *setups)
{
    uint64_t took = suite->cost_us[test];
    uint32_t now = suite->module[test];
    if (now != *module && suite->setup_us[now] > 0) {
        took += suite->setup_us[now];
        ++*setups;
    }
    *module = now;
    return took;
}
