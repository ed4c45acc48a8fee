#include "store/keep.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "role/controller.h"
#include "sched/collection.h"
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

/* What became of a position, for the history. Returns 0 when that is nothing. */
static int result_at(const struct phx_controller *controller, uint32_t position,
                     const struct phx_keep_run *run, struct phx_history_result *out)
{
    int64_t test = phx_controller_test(controller, position);
    if (test == PHX_RUNQ_NONE)
        return 0;
    char outcome = 0; /* none */
    if ((size_t)test < run->noutcomes)
        outcome = run->outcomes[test];
    enum phx_runq_state state = phx_controller_state(controller, position);
    /* In the ledger a test that was interrupted looks like one that crashed; of the latter there is
     * a report. */
    if (!phx_outcome_valid(outcome) ||
        (state != PHX_RUNQ_ENDED && (state != PHX_RUNQ_CRASHED || outcome != PHX_OUTCOME_CRASHED)))
        return 0;
    *out = (struct phx_history_result){.outcome = outcome};
    struct phx_runq_timing timing;
    if (out->outcome != PHX_OUTCOME_CRASHED &&
        phx_controller_timing(controller, position, &timing) == 1) {
        out->measured = 1;
        for (int i = 0; i < PHX_ESTIMATE_PHASES; i++)
            out->us[i] = timing.phase_us[PHX_PHASE_SETUP + i];
    }
    out->node_id = phx_controller_node_id(controller, position, &out->node_id_size);
    return 1;
}

/* Results of all tests, in collection order: neighbours in the list are neighbours in the database.
 * A test that was handed out twice counts by its last time. */
static size_t gather(const struct phx_controller *controller, const struct phx_keep_run *run,
                     struct phx_history_result *results, uint32_t ntests)
{
    size_t count = 0;
    for (uint32_t position = 0; position < phx_controller_positions(controller); position++) {
        struct phx_history_result result;
        if (result_at(controller, position, run, &result))
            results[phx_controller_test(controller, position)] = result;
    }
    for (uint32_t test = 0; test < ntests; test++)
        if (results[test].node_id)
            results[count++] = results[test];
    return count;
}

static int unwritable(int status)
{
    return status == -EROFS || status == -EACCES || status == -EPERM || status == -ENOENT ||
           status == -ENOTDIR;
}

static int write_run(const char *path, const struct phx_history_run *run,
                     const struct phx_history_result *results, size_t count, struct phx_err *err)
{
    struct phx_history history;
    int status = phx_history_open(&history, path, PHX_DB_WRITE, err);
    if (status < 0)
        return status;
    status = phx_history_record(&history, run, results, count, err);
    phx_history_close(&history);
    return status;
}

int phx_keep_run(const char *path, const struct phx_controller *controller,
                 const struct phx_keep_run *run, struct phx_err *warning)
{
    struct phx_err err = {0};
    uint32_t ntests = phx_collection_count(phx_controller_collection(controller));
    warning->code = 0;
    struct phx_history_result *results = calloc(ntests + (size_t)1, sizeof *results);
    if (!results)
        return -ENOMEM;
    size_t count = gather(controller, run, results, ntests);
    struct phx_controller_figures figures;
    phx_controller_figures(controller, &figures);
    struct phx_history_run row = {.uid = run->uid,
                                  .ended_at = (int64_t)time(NULL),
                                  .wall_ms = figures.wall / PHX_MS,
                                  .nworkers = figures.nparallel,
                                  .ntests = (uint32_t)count,
                                  .complete = run->complete};
    int status = write_run(path, &row, results, count, &err);
    if (status == PHX_E_DAMAGED && set_aside(path, warning) == 0)
        status = write_run(path, &row, results, count, &err);
    if (status < 0 && warning->code == 0 && !(run->optional && unwritable(status)))
        *warning = err;
    free(results);
    return status;
}
