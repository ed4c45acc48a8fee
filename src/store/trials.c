#include "store/trials.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/history.h"

static void bind_id(sqlite3_stmt *statement, int at, const char *text, size_t size)
{
    sqlite3_bind_text64(statement, at, text, size, SQLITE_STATIC, SQLITE_UTF8);
}

/* ---- reading ---- */

/* While the list grows its texts move: until the end `after` is where they begin, plus one. */
struct loading {
    struct phx_trials trials;
    size_t room, used, texts_room;
};

static int grow(void **memory, size_t *room, size_t needed, size_t size)
{
    if (needed <= *room)
        return 0;
    size_t more = *room ? *room * 2 : 64;
    while (more < needed)
        more *= 2;
    void *moved = realloc(*memory, more * size);
    if (!moved)
        return -ENOMEM;
    *memory = moved;
    *room = more;
    return 0;
}

static int add_row(struct loading *in, sqlite3_stmt *row)
{
    const char *outcome = (const char *)sqlite3_column_text(row, 0);
    const char *after = (const char *)sqlite3_column_text(row, 4);
    size_t after_size = (size_t)sqlite3_column_bytes(row, 4);
    void *list = in->trials.list, *texts = in->trials.texts;
    if (!outcome || !phx_outcome_valid(outcome[0]))
        return 0; /* a database may hold anything */
    int status = grow(&list, &in->room, in->trials.count + 1, sizeof *in->trials.list);
    in->trials.list = list;
    if (status == 0)
        status = grow(&texts, &in->texts_room, in->used + after_size + 1, 1);
    in->trials.texts = texts;
    if (status < 0)
        return status;
    struct phx_trial *trial = &in->trials.list[in->trials.count++];
    *trial = (struct phx_trial){.run = sqlite3_column_int64(row, 5),
                                .outcome = outcome[0],
                                .repetition = phx_db_column_u32(row, 1),
                                .worker = phx_db_column_u32(row, 2),
                                .took_us = phx_db_column_u32(row, 3),
                                .after = after ? in->trials.texts : NULL,
                                .after_size = after_size};
    if (after && in->trials.texts) /* which has room by now */
        memcpy(in->trials.texts + in->used, after, after_size);
    in->used += after_size;
    return 0;
}

/* Now that the texts stay where they are. */
static void place_texts(struct phx_trials *trials)
{
    const char *at = trials->texts;
    for (size_t i = 0; i < trials->count; i++) {
        if (!trials->list[i].after)
            continue;
        trials->list[i].after = at;
        at += trials->list[i].after_size;
    }
}

int phx_trials_load(struct phx_trials *out, struct phx_history *history, const char *node_id,
                    size_t size, int64_t since, struct phx_err *err)
{
    struct loading in = {0};
    sqlite3_stmt *rows;
    if (sqlite3_table_column_metadata(history->db, NULL, "trial", NULL, NULL, NULL, NULL, NULL,
                                      NULL) != SQLITE_OK) {
        *out = in.trials;
        return 0;
    }
    int rc = SQLITE_DONE;
    int status = phx_db_prepare(&rows, history->db,
                                "SELECT outcome, repetition, worker, took_us, after, run "
                                "FROM trial WHERE node_id = ?1 AND run >= ?2 "
                                "ORDER BY run DESC, number",
                                err);
    if (status < 0)
        return status;
    bind_id(rows, 1, node_id, size);
    sqlite3_bind_int64(rows, 2, since);
    while (status == 0 && (rc = sqlite3_step(rows)) == SQLITE_ROW)
        status = add_row(&in, rows);
    if (status == 0 && rc != SQLITE_DONE)
        status = phx_db_error(history->db, rc, "read", err);
    sqlite3_finalize(rows);
    if (status < 0) {
        phx_trials_fini(&in.trials);
        return status;
    }
    place_texts(&in.trials);
    *out = in.trials;
    return 0;
}

void phx_trials_fini(struct phx_trials *trials)
{
    free(trials->list);
    free(trials->texts);
    *trials = (struct phx_trials){0};
}

size_t phx_trials_bad(const struct phx_trial *list, size_t count)
{
    size_t bad = 0;
    for (size_t i = 0; i < count; i++)
        bad += phx_outcome_kind(list[i].outcome) == PHX_OUTCOME_BAD;
    return bad;
}

/* ---- writing ---- */

static int put_one(struct phx_history *history, const struct phx_trial *trial, size_t number,
                   struct phx_err *err)
{
    sqlite3_stmt *put = history->put_trial;
    sqlite3_bind_int64(put, 3, (int64_t)number);
    sqlite3_bind_int64(put, 4, trial->repetition);
    sqlite3_bind_text(put, 5, &trial->outcome, 1, SQLITE_STATIC);
    sqlite3_bind_int64(put, 6, trial->worker);
    if (trial->after)
        bind_id(put, 7, trial->after, trial->after_size);
    else
        sqlite3_bind_null(put, 7);
    sqlite3_bind_int64(put, 8, trial->took_us);
    int rc = sqlite3_step(put);
    sqlite3_reset(put);
    return rc == SQLITE_DONE ? 0 : phx_db_error(history->db, rc, "write", err);
}

int phx_trials_put(struct phx_history *history, const char *node_id, size_t size, int64_t run,
                   const struct phx_trial *list, size_t count, struct phx_err *err)
{
    if (!history->put_trial) {
        int status = phx_db_prepare(&history->put_trial, history->db,
                                    "INSERT OR REPLACE INTO trial (node_id, run, number, "
                                    "repetition, outcome, worker, after, took_us) "
                                    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                                    err);
        if (status < 0)
            return status;
    }
    bind_id(history->put_trial, 1, node_id, size);
    sqlite3_bind_int64(history->put_trial, 2, run);
    int status = 0;
    for (size_t i = 0; status == 0 && i < count; i++)
        status = put_one(history, &list[i], i + 1, err);
    return status;
}

int phx_trials_forget(struct phx_history *history, const char *node_id, size_t size, int64_t before,
                      struct phx_err *err)
{
    if (!history->forget_trials) {
        int status = phx_db_prepare(&history->forget_trials, history->db,
                                    "DELETE FROM trial WHERE node_id = ?1 AND run < ?2", err);
        if (status < 0)
            return status;
    }
    bind_id(history->forget_trials, 1, node_id, size);
    sqlite3_bind_int64(history->forget_trials, 2, before);
    int rc = sqlite3_step(history->forget_trials);
    sqlite3_reset(history->forget_trials);
    return rc == SQLITE_DONE ? 0 : phx_db_error(history->db, rc, "write", err);
}
