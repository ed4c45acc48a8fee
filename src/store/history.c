#include "store/history.h"

#include <errno.h>
#include <string.h>

#include "sched/collection.h"

#define TEST_COLUMNS                                                                               \
    "node_id, measured, measured_at, seen_at, setup_us, setup_variance, call_us, call_variance, "  \
    "teardown_us, teardown_variance, outcomes"

int phx_history_open(struct phx_history *history, const char *path, enum phx_db_mode mode,
                     struct phx_err *err)
{
    sqlite3 *db;
    int status = phx_db_open(&db, path, mode, err);
    if (status < 0)
        return status;
    *history = (struct phx_history){.db = db};
    return 0;
}

void phx_history_close(struct phx_history *history)
{
    sqlite3_finalize(history->find);
    sqlite3_finalize(history->put);
    sqlite3_finalize(history->put_trial);
    sqlite3_finalize(history->forget_trials);
    phx_db_close(history->db);
    *history = (struct phx_history){0};
}

/* ---- rows ---- */

/* Fills everything but the node id. What makes no sense in a row counts as unknown. */
static void read_test(sqlite3_stmt *row, struct phx_history_test *out)
{
    out->estimate.nmeasured = phx_db_column_u32(row, 1);
    out->measured_at = sqlite3_column_int64(row, 2);
    out->seen_at = sqlite3_column_int64(row, 3);
    for (int i = 0; i < PHX_ESTIMATE_PHASES; i++) {
        out->estimate.mean_us[i] = sqlite3_column_double(row, 4 + 2 * i);
        out->estimate.variance_us2[i] = sqlite3_column_double(row, 5 + 2 * i);
    }
    const char *text = (const char *)sqlite3_column_text(row, 10);
    phx_outcomes_parse(&out->outcomes, text ? text : "", (size_t)sqlite3_column_bytes(row, 10));
}

static int bind_id(sqlite3_stmt *statement, int at, const char *node_id, size_t size)
{
    return sqlite3_bind_text64(statement, at, node_id, size, SQLITE_STATIC, SQLITE_UTF8);
}

static int done(struct phx_history *history, sqlite3_stmt *statement, int rc, const char *doing,
                struct phx_err *err)
{
    int status =
        rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : phx_db_error(history->db, rc, doing, err);
    sqlite3_reset(statement);
    return status;
}

int phx_history_find(struct phx_history *history, const char *node_id, size_t size,
                     struct phx_history_test *out, struct phx_err *err)
{
    if (!history->find) {
        int status = phx_db_prepare(&history->find, history->db,
                                    "SELECT " TEST_COLUMNS " FROM test WHERE node_id = ?1", err);
        if (status < 0)
            return status;
    }
    bind_id(history->find, 1, node_id, size);
    int rc = sqlite3_step(history->find);
    int found = rc == SQLITE_ROW;
    if (found) {
        out->node_id = node_id;
        out->node_id_size = size;
        read_test(history->find, out);
    }
    int status = done(history, history->find, rc, "read", err);
    return status < 0 ? status : found;
}

int64_t phx_history_find_run(struct phx_history *history, const char *uid, struct phx_err *err)
{
    sqlite3_stmt *statement;
    int status = phx_db_prepare(&statement, history->db, "SELECT id FROM run WHERE uid = ?1", err);
    if (status < 0)
        return status;
    sqlite3_bind_text(statement, 1, uid, -1, SQLITE_STATIC);
    int rc = sqlite3_step(statement);
    int64_t id = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    status = done(history, statement, rc, "read", err);
    sqlite3_finalize(statement);
    return status < 0 ? status : id;
}

int phx_history_each_test(struct phx_history *history, enum phx_history_order order,
                          const char *pattern,
                          int (*each)(void *context, const struct phx_history_test *test),
                          void *context, struct phx_err *err)
{
    sqlite3_stmt *rows;
    const char *sql = order == PHX_HISTORY_SLOWEST
                          ? "SELECT " TEST_COLUMNS " FROM test WHERE ?1 IS NULL OR node_id GLOB ?1 "
                            "ORDER BY setup_us + call_us + teardown_us DESC, node_id"
                          : "SELECT " TEST_COLUMNS " FROM test WHERE ?1 IS NULL OR node_id GLOB ?1 "
                            "ORDER BY node_id";
    int rc = SQLITE_DONE, status = phx_db_prepare(&rows, history->db, sql, err);
    if (status < 0)
        return status;
    if (pattern)
        sqlite3_bind_text(rows, 1, pattern, -1, SQLITE_STATIC);
    while (status == 0 && (rc = sqlite3_step(rows)) == SQLITE_ROW) {
        struct phx_history_test test;
        test.node_id = (const char *)sqlite3_column_text(rows, 0);
        test.node_id_size = (size_t)sqlite3_column_bytes(rows, 0);
        read_test(rows, &test);
        if (test.node_id)
            status = each(context, &test);
    }
    int failed = done(history, rows, rc, "read", err);
    sqlite3_finalize(rows);
    return status != 0 ? status : failed;
}

int phx_history_each_run(struct phx_history *history, int64_t most,
                         int (*each)(void *context, const struct phx_history_run *run),
                         void *context, struct phx_err *err)
{
    sqlite3_stmt *rows;
    int rc = SQLITE_DONE;
    int status = phx_db_prepare(&rows, history->db,
                                "SELECT id, uid, ended_at, wall_ms, workers, tests, complete "
                                "FROM run ORDER BY id DESC LIMIT ?1",
                                err);
    if (status < 0)
        return status;
    sqlite3_bind_int64(rows, 1, most);
    while (status == 0 && (rc = sqlite3_step(rows)) == SQLITE_ROW) {
        const char *uid = (const char *)sqlite3_column_text(rows, 1);
        struct phx_history_run run = {.id = sqlite3_column_int64(rows, 0),
                                      .uid = uid ? uid : "",
                                      .ended_at = sqlite3_column_int64(rows, 2),
                                      .wall_ms = sqlite3_column_int64(rows, 3),
                                      .nworkers = phx_db_column_u32(rows, 4),
                                      .ntests = phx_db_column_u32(rows, 5),
                                      .complete = sqlite3_column_int(rows, 6) != 0};
        status = each(context, &run);
    }
    int failed = done(history, rows, rc, "read", err);
    sqlite3_finalize(rows);
    return status != 0 ? status : failed;
}

int64_t phx_history_costs(struct phx_history *history, const struct phx_collection *tests,
                          uint32_t *cost_us, uint32_t *setup_us, struct phx_err *err)
{
    sqlite3_stmt *find;
    int64_t nknown = 0;
    int status = phx_db_prepare(&find, history->db,
                                "SELECT measured, setup_us, call_us, teardown_us FROM test "
                                "WHERE node_id = ?1",
                                err);
    /* One snapshot for all, and the lock on the file taken once. */
    if (status == 0)
        status = phx_db_run(history->db, "BEGIN", "read", err);
    for (uint32_t test = 0; status == 0 && test < phx_collection_count(tests); test++) {
        size_t size;
        const char *node_id = phx_collection_node_id(tests, test, &size);
        struct phx_estimate estimate = {0};
        bind_id(find, 1, node_id, size);
        int rc = sqlite3_step(find);
        if (rc == SQLITE_ROW) {
            estimate.nmeasured = phx_db_column_u32(find, 0);
            for (int i = 0; i < PHX_ESTIMATE_PHASES; i++)
                estimate.mean_us[i] = sqlite3_column_double(find, 1 + i);
        }
        cost_us[test] = phx_estimate_cost_us(&estimate);
        setup_us[test] = phx_estimate_setup_us(&estimate);
        nknown += cost_us[test] != 0;
        status = done(history, find, rc, "read", err);
    }
    sqlite3_finalize(find);
    phx_history_rollback(history);
    return status < 0 ? status : nknown;
}

/* ---- changes ---- */

int phx_history_begin(struct phx_history *history, struct phx_err *err)
{
    return phx_db_run(history->db, "BEGIN IMMEDIATE", "write", err);
}

int phx_history_commit(struct phx_history *history, struct phx_err *err)
{
    return phx_db_run(history->db, "COMMIT", "write", err);
}

void phx_history_rollback(struct phx_history *history)
{
    if (history->db && !sqlite3_get_autocommit(history->db))
        sqlite3_exec(history->db, "ROLLBACK", NULL, NULL, NULL);
}

int64_t phx_history_add_run(struct phx_history *history, const struct phx_history_run *run,
                            struct phx_err *err)
{
    int64_t known = phx_history_find_run(history, run->uid, err);
    if (known != 0)
        return known;
    sqlite3_stmt *insert;
    int status = phx_db_prepare(&insert, history->db,
                                "INSERT INTO run (uid, ended_at, wall_ms, workers, tests, complete)"
                                " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                                err);
    if (status < 0)
        return status;
    sqlite3_bind_text(insert, 1, run->uid, -1, SQLITE_STATIC);
    sqlite3_bind_int64(insert, 2, run->ended_at);
    sqlite3_bind_int64(insert, 3, run->wall_ms);
    sqlite3_bind_int64(insert, 4, run->nworkers);
    sqlite3_bind_int64(insert, 5, run->ntests);
    sqlite3_bind_int(insert, 6, run->complete != 0);
    status = done(history, insert, sqlite3_step(insert), "write", err);
    sqlite3_finalize(insert);
    return status < 0 ? status : sqlite3_last_insert_rowid(history->db);
}

int phx_history_put(struct phx_history *history, const struct phx_history_test *test,
                    struct phx_err *err)
{
    if (!history->put) {
        int status = phx_db_prepare(&history->put, history->db,
                                    "INSERT OR REPLACE INTO test (" TEST_COLUMNS ") VALUES "
                                    "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                                    err);
        if (status < 0)
            return status;
    }
    char outcomes[PHX_OUTCOMES_TEXT_MAX];
    size_t size = phx_outcomes_format(&test->outcomes, outcomes);
    bind_id(history->put, 1, test->node_id, test->node_id_size);
    sqlite3_bind_int64(history->put, 2, test->estimate.nmeasured);
    sqlite3_bind_int64(history->put, 3, test->measured_at);
    sqlite3_bind_int64(history->put, 4, test->seen_at);
    for (int i = 0; i < PHX_ESTIMATE_PHASES; i++) {
        sqlite3_bind_double(history->put, 5 + 2 * i, test->estimate.mean_us[i]);
        sqlite3_bind_double(history->put, 6 + 2 * i, test->estimate.variance_us2[i]);
    }
    sqlite3_bind_text64(history->put, 11, outcomes, size, SQLITE_STATIC, SQLITE_UTF8);
    return done(history, history->put, sqlite3_step(history->put), "write", err);
}

static int delete_by(struct phx_history *history, const char *sql, int64_t value,
                     uint64_t *out_count, struct phx_err *err)
{
    sqlite3_stmt *statement;
    int status = phx_db_prepare(&statement, history->db, sql, err);
    if (status < 0)
        return status;
    sqlite3_bind_int64(statement, 1, value);
    status = done(history, statement, sqlite3_step(statement), "write", err);
    sqlite3_finalize(statement);
    if (status == 0 && out_count)
        *out_count = (uint64_t)sqlite3_changes(history->db);
    return status;
}

int phx_history_prune(struct phx_history *history, int64_t seen_at, uint32_t keep_runs,
                      uint64_t *out_tests, uint64_t *out_runs, struct phx_err *err)
{
    int status = delete_by(history,
                           "DELETE FROM trial WHERE node_id IN "
                           "(SELECT node_id FROM test WHERE seen_at < ?1)",
                           seen_at, NULL, err);
    if (status == 0)
        status = delete_by(history, "DELETE FROM test WHERE seen_at < ?1", seen_at, out_tests, err);
    if (status == 0)
        status = delete_by(history,
                           "DELETE FROM run WHERE id NOT IN "
                           "(SELECT id FROM run ORDER BY id DESC LIMIT ?1)",
                           keep_runs, out_runs, err);
    return status;
}
