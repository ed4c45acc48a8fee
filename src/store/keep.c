#include "store/keep.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "role/controller.h"
#include "sched/collection.h"
#include "store/gathered.h"
#include "store/history.h"

/* Moves a damaged file aside. Returns 0 when it is out of the way; the warning says so either way.
 */
static int set_aside(const char *path, struct phx_err *warning)
{
    struct phx_err err = {0};
    int status = phx_db_set_aside(path, &err);
    if (status < 0)
        *warning = err;
    else
        phx_err_set(warning, PHX_E_DAMAGED, "%s is now %s.damaged and a new history begins", path,
                    path);
    return status;
}

/* ---- before the plan ---- */

static int64_t read_costs(const char *path, const struct phx_collection *tests,
                          const struct phx_keep_costs *costs, struct phx_err *err)
{
    struct phx_history history;
    int status = phx_history_open(&history, path, PHX_DB_READ, err);
    if (status < 0)
        return status;
    int64_t nknown = phx_history_costs(&history, tests, costs->cost_us, costs->setup_us, err);
    phx_history_close(&history);
    return nknown;
}

void phx_keep_read(const char *path, const struct phx_collection *tests, struct phx_keep_costs *out,
                   struct phx_err *warning)
{
    struct phx_err err = {0};
    size_t count = phx_collection_count(tests);
    struct phx_keep_costs costs = {.cost_us = calloc(count + 1, 2 * sizeof *costs.cost_us)};
    *out = (struct phx_keep_costs){0};
    warning->code = 0;
    if (!costs.cost_us)
        return;
    costs.setup_us = costs.cost_us + count;
    int64_t nknown = read_costs(path, tests, &costs, &err);
    if (nknown > 0) {
        costs.nknown = (uint32_t)nknown;
        *out = costs;
        return;
    }
    phx_keep_costs_fini(&costs);
    if (nknown == PHX_E_DAMAGED)
        set_aside(path, warning);
    else if (nknown < 0 && nknown != -ENOENT && nknown != -ENOTDIR)
        *warning = err;
}

void phx_keep_costs_fini(struct phx_keep_costs *costs)
{
    free(costs->cost_us);
    *costs = (struct phx_keep_costs){0};
}

/* ---- at the end ---- */

static int unwritable(int status)
{
    return status == -EROFS || status == -EACCES || status == -EPERM || status == -ENOENT ||
           status == -ENOTDIR;
}

static int write_run(const char *path, const struct phx_history_run *run,
                     const struct phx_gathered *gathered, struct phx_flakiness *out_flakiness,
                     struct phx_err *err)
{
    struct phx_history history;
    int status = phx_history_open(&history, path, PHX_DB_WRITE, err);
    if (status < 0)
        return status;
    status = phx_history_record(&history, run, gathered->results, gathered->count, err);
    if (status == 0)
        status = phx_history_flakiness(&history, PHX_OUTCOMES_MAX, out_flakiness, NULL, NULL, err);
    phx_history_close(&history);
    return status;
}

int phx_keep_run(const char *path, const struct phx_controller *controller,
                 const struct phx_keep_run *run, struct phx_flakiness *out_flakiness,
                 struct phx_err *warning)
{
    struct phx_err err = {0};
    struct phx_gathered gathered;
    warning->code = 0;
    *out_flakiness = (struct phx_flakiness){0};
    int status =
        phx_gathered_make(&gathered, controller, run->outcomes, run->repetitions, run->noutcomes);
    if (status < 0)
        return status;
    struct phx_controller_figures figures;
    phx_controller_figures(controller, &figures);
    struct phx_history_run row = {.uid = run->uid,
                                  .ended_at = (int64_t)time(NULL),
                                  .wall_ms = figures.wall / PHX_MS,
                                  .nworkers = figures.nparallel,
                                  .ntests = (uint32_t)gathered.count,
                                  .complete = run->complete};
    status = write_run(path, &row, &gathered, out_flakiness, &err);
    if (status == PHX_E_DAMAGED && set_aside(path, warning) == 0)
        status = write_run(path, &row, &gathered, out_flakiness, &err);
    if (status < 0 && warning->code == 0 && !(run->optional && unwritable(status)))
        *warning = err;
    phx_gathered_fini(&gathered);
    return status;
}
