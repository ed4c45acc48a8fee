/* The history's database file: opening it whatever state it is in, and saying in one sentence what
 * is wrong with it.
 *
 * SQLite with a write-ahead log, so that a run which writes disturbs none that reads. Connections
 * are short: opened for one task, closed behind it, so that no host process that forks meanwhile
 * shares one, and a run that dies leaves no lock.
 *
 * Runs in the controller and in the command. May block: another writer is waited for, 10 s. */
#ifndef PHX_STORE_DB_H
#define PHX_STORE_DB_H

#include <sqlite3.h>
#include <stdint.h>

#include "base/err.h"

enum phx_db_mode {
    PHX_DB_READ,  /* changes nothing, makes no history; works where nothing may be written, too */
    PHX_DB_WRITE, /* makes the file, but not its directory */
};

/* Opens a history.
 * out       set on success only; the caller ends it with phx_db_close
 * Returns   0; -ENOENT there is none (READ only; an empty file is none); PHX_E_DAMAGED it is no
 *           database, or a torn one; PHX_E_NEWER a later phalanx wrote it; PHX_E_FOREIGN it is
 *           another program's database; -EBUSY, -EROFS, -EACCES, -ENOSPC, -EIO, -ENOMEM; with *err
 *           filled */
int phx_db_open(sqlite3 **out, const char *path, enum phx_db_mode mode, struct phx_err *err);

void phx_db_close(sqlite3 *db); /* NULL is fine */

/* What the failure `rc` of SQLite is in our codes, with a sentence: `doing` and what SQLite says.
 */
int phx_db_error(sqlite3 *db, int rc, const char *doing, struct phx_err *err);

/* Runs statements without results. Returns 0 or a negative code. */
int phx_db_run(sqlite3 *db, const char *sql, const char *doing, struct phx_err *err);

/* Prepares a statement; out is set on success only. Returns 0 or a negative code. */
int phx_db_prepare(sqlite3_stmt **out, sqlite3 *db, const char *sql, struct phx_err *err);

/* A column of a row. What does not fit, as a file may hold anything, becomes the nearest that does.
 */
uint32_t phx_db_column_u32(sqlite3_stmt *row, int column);

/* Moves a damaged history out of the way, to `path`.damaged (one that is there is replaced). If
 * another process has done so already, nothing happens.
 * Returns 0, or a negative code when it cannot be moved. No connection of this process is open. */
int phx_db_set_aside(const char *path, struct phx_err *err);

#endif
