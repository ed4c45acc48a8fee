#include "report/summary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "report/line.h"
#include "report/metrics.h"
#include "report/waste.h"
#include "role/controller.h"
#include "sched/scope.h"

/* The workers that were there, for the line's figures. Returns their number or -ENOMEM. */
static int gather(const struct phx_record *record, struct phx_metrics_worker **out)
{
    struct phx_metrics_worker *workers = calloc(record->nworkers + (size_t)1, sizeof *workers);
    if (!workers)
        return -ENOMEM;
    int count = 0;
    for (uint32_t i = 0; i < record->nworkers; i++)
        if (record->workers[i].is_there)
            workers[count++] = (struct phx_metrics_worker){.busy = record->workers[i].busy,
                                                           .ntests = record->workers[i].ntests};
    *out = workers;
    return count;
}

int phx_summary_line(const struct phx_record *record, const struct phx_controller *controller,
                     char *out, size_t size)
{
    struct phx_metrics_worker *workers;
    int count = gather(record, &workers);
    if (count < 0)
        return count;
    struct phx_metrics_input input = {.workers = workers,
                                      .nworkers = (uint32_t)count,
                                      .nparallel = record->nparallel,
                                      .ntests = record->ndistinct,
                                      .wall = record->ended - record->forked};
    const struct phx_record_test *longest = NULL;
    for (uint32_t i = 0; i < record->ntests; i++) {
        const struct phx_record_test *test = &record->tests[i];
        if (!longest || test->end - test->start > longest->end - longest->start)
            longest = test;
    }
    if (longest) {
        input.longest = longest->end - longest->start;
        input.longest_id =
            phx_controller_test_id(controller, longest->test, &input.longest_id_size);
    }
    size_t used = phx_metrics_format(out, size, &input);
    free(workers);
    return (int)used;
}

int phx_summary_advice(const struct phx_record *record, const struct phx_controller *controller,
                       char *out, size_t size)
{
    const struct phx_collection *collection = phx_controller_collection(controller);
    struct phx_waste_test *tests = calloc(record->ntests + (size_t)1, sizeof *tests);
    if (!tests)
        return -ENOMEM;
    for (uint32_t i = 0; i < record->ntests; i++) {
        const struct phx_record_test *test = &record->tests[i];
        struct phx_scope scope = {0};
        phx_controller_scope(controller, test->test, &scope);
        tests[i] =
            (struct phx_waste_test){.worker = test->worker,
                                    .test = test->test,
                                    .scope = scope.key,
                                    .scope_size = scope.size,
                                    .limit = test->test < phx_collection_count(collection)
                                                 ? phx_collection_limit_of(collection, test->test)
                                                 : 0,
                                    .start = test->start,
                                    .end = test->end};
    }
    struct phx_waste_input input = {.tests = tests,
                                    .ntests = record->ntests,
                                    .limits = collection->limits,
                                    .nworkers = record->nworkers,
                                    .nparallel = record->nparallel,
                                    .ncores = record->ncores,
                                    .startup = record->startup,
                                    .forked = record->forked,
                                    .ended = record->ended,
                                    .cpu = record->cpu};
    struct phx_waste waste;
    int status = phx_waste_find(&waste, &input);
    if (status == 0) {
        size_t id_size = 0, name_size = 0;
        const char *id = phx_controller_test_id(controller, waste.test, &id_size);
        const char *name = id ? phx_scope_test_name(id, id_size, &name_size) : NULL;
        struct phx_scope scope = {0};
        phx_controller_scope(controller, waste.test, &scope);
        status = (int)phx_waste_format(out, size, &waste, &input, name, name_size, scope.key,
                                       scope.size);
    }
    free(tests);
    return status;
}

/* ---- the table ---- */

static void put_cell(struct phx_line *line, int width, phx_ns duration)
{
    char text[32];
    struct phx_line cell = phx_line_in(text, sizeof text);
    phx_line_put_duration(&cell, duration);
    phx_line_put(line, "%*s", width, text);
}

int phx_summary_table(const struct phx_record *record, char *out, size_t size)
{
    if (size == 0)
        return 0;
    struct phx_line line = phx_line_in(out, size);
    phx_line_put(&line, "worker    tests      busy   share  steals       CPU\n");
    for (uint32_t i = 0; i < record->nworkers; i++) {
        const struct phx_record_worker *worker = &record->workers[i];
        if (!worker->is_there)
            continue;
        phx_ns wall = record->ended - record->forked;
        double share = wall > 0 ? (double)worker->busy / (double)wall : 0;
        char name[16];
        snprintf(name, sizeof name, "gw%u", i);
        phx_line_put(&line, "%-6s %8u", name, worker->ntests);
        put_cell(&line, 10, worker->busy);
        phx_line_put(&line, " %5u %% %7u", phx_line_percent(share > 1 ? 1 : share),
                     worker->nsteals);
        put_cell(&line, 10, worker->cpu);
        if (worker->crashed)
            phx_line_put(&line, "  crashed");
        if (worker->replaces >= 0)
            phx_line_put(&line, "  in place of gw%lld", (long long)worker->replaces);
        phx_line_put(&line, "\n");
    }
    return (int)line.used;
}
