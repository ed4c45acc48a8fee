#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "store/schema.h"

enum { PATIENCE_MS = 10000 };

/* ---- errors ---- */

static int code_of(sqlite3 *db, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return PHX_E_DAMAGED;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_CANTOPEN:
        return db && sqlite3_system_errno(db) ? -sqlite3_system_errno(db) : -EACCES;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_NOMEM:
        return -ENOMEM;
    default:
        return -EIO;
    }
}

int phx_db_error(sqlite3 *db, int rc, const char *doing, struct phx_err *err)
{
    int code = code_of(db, rc);
    const char *path = db ? sqlite3_db_filename(db, "main") : NULL;
    return phx_err_set(err, code, "cannot %s %s (%s)", doing, path ? path : "the history",
                       sqlite3_errstr(rc));
}

int phx_db_run(sqlite3 *db, const char *sql, const char *doing, struct phx_err *err)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : phx_db_error(db, rc, doing, err);
}

int phx_db_prepare(sqlite3_stmt **out, sqlite3 *db, const char *sql, struct phx_err *err)
{
    int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    return rc == SQLITE_OK ? 0 : phx_db_error(db, rc, "read", err);
}

/* ---- opening ---- */

static int read_number(sqlite3 *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* What the file is. Returns the version of its schema, 0 for an empty database, or a negative code.
 */
static int identify(sqlite3 *db, const char *path, int *out_rc, struct phx_err *err)
{
    int64_t tables = 0, application = 0, version = 0;
    int rc = read_number(db, "SELECT count(*) FROM sqlite_master", &tables);
    if (rc == SQLITE_OK)
        rc = read_number(db, "PRAGMA application_id", &application);
    if (rc == SQLITE_OK)
        rc = read_number(db, "PRAGMA user_version", &version);
    *out_rc = rc;
    if (rc != SQLITE_OK)
        return phx_db_error(db, rc, "open", err);
    if (tables == 0 && application == 0)
        return 0;
    if (application != PHX_SCHEMA_APPLICATION)
        return phx_err_set(err, PHX_E_FOREIGN, "cannot use %s", path);
    if (version > PHX_SCHEMA_VERSION)
        return phx_err_set(err, PHX_E_NEWER, "cannot use %s", path);
    if (version < 1 || tables < 2)
        return phx_err_set(err, PHX_E_DAMAGED, "cannot use %s", path);
    return (int)version;
}

/* Makes the schema, or adds to an older one what it lacks; all of it or nothing. */
static int bring_up_to_date(sqlite3 *db, const char *path, struct phx_err *err)
{
    /* Another run may be doing it, too: one of them waits here, and then finds it done. */
    int rc, status = phx_db_run(db, "BEGIN IMMEDIATE", "write", err);
    if (status < 0)
        return status;
    status = identify(db, path, &rc, err);
    if (status >= 0 && status < PHX_SCHEMA_VERSION) {
        char sql[128];
        snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
                 PHX_SCHEMA_APPLICATION, PHX_SCHEMA_VERSION);
        status = phx_db_run(db, status == 0 ? PHX_SCHEMA_SQL : PHX_SCHEMA_SQL_2, "write", err);
        if (status == 0)
            status = phx_db_run(db, sql, "write", err);
    }
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status < 0 ? status : 0;
}

static int open_file(sqlite3 **out, const char *name, int flags, struct phx_err *err)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(name, &db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        int status = phx_err_set(err, db ? code_of(db, rc) : -ENOMEM, "cannot open %s", name);
        sqlite3_close(db);
        return status;
    }
    sqlite3_busy_timeout(db, PATIENCE_MS);
    *out = db;
    return 0;
}

/* A path as a URI that says "this file does not change": for a directory without write permission,
 * in which SQLite cannot make the shared memory of a log. NULL when out of memory. */
static char *immutable_uri(const char *path)
{
    static const char digits[] = "0123456789abcdef", ending[] = "?immutable=1";
    char *uri = malloc(strlen(path) * 3 + sizeof "file:" + sizeof ending), *at = uri;
    if (!uri)
        return NULL;
    at = stpcpy(at, "file:");
    for (; *path; path++) {
        if (strchr("?#%", *path)) {
            *at++ = '%';
            *at++ = digits[(unsigned char)*path >> 4];
            *at++ = digits[(unsigned char)*path & 15];
        } else {
            *at++ = *path;
        }
    }
    memcpy(at, ending, sizeof ending);
    return uri;
}

static int open_to_read(sqlite3 **out, const char *path, struct phx_err *err)
{
    struct stat found;
    int rc, again;
    if (stat(path, &found) < 0)
        return phx_err_set(err, -errno, "cannot open %s", path);
    sqlite3 *db = NULL;
    int status = open_file(&db, path, SQLITE_OPEN_READONLY, err);
    if (status < 0)
        return status;
    status = identify(db, path, &rc, err);
    again = (rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_READONLY;
    if (status < 0 && again) {
        phx_db_close(db);
        db = NULL;
        char *uri = immutable_uri(path);
        status = uri ? open_file(&db, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err) : -ENOMEM;
        free(uri);
        if (status == 0)
            status = identify(db, path, &rc, err);
    }
    if (status == 0)
        status = phx_err_set(err, -ENOENT, "%s is empty", path);
    if (status < 0) {
        phx_db_close(db);
        return status;
    }
    *out = db;
    return 0;
}

static int open_to_write(sqlite3 **out, const char *path, struct phx_err *err)
{
    sqlite3 *db = NULL;
    int rc, status = open_file(&db, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (status < 0)
        return status;
    status = identify(db, path, &rc, err);
    if (status >= 0) {
        /* If the log cannot be had (a network file system, somebody else's lock), the old journal
         * does as well. Nothing waits for the disk, which takes tens of milliseconds at the end of
         * every run: a process that dies leaves a whole file all the same; what a power failure may
         * damage is set aside. */
        sqlite3_exec(db, "PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if (status < PHX_SCHEMA_VERSION)
            status = bring_up_to_date(db, path, err);
    }
    if (status < 0) {
        phx_db_close(db);
        return status;
    }
    *out = db;
    return 0;
}

int phx_db_open(sqlite3 **out, const char *path, enum phx_db_mode mode, struct phx_err *err)
{
    return mode == PHX_DB_READ ? open_to_read(out, path, err) : open_to_write(out, path, err);
}

void phx_db_close(sqlite3 *db)
{
    sqlite3_close_v2(db);
}

/* ---- damage ---- */

/* Moves path + ending to aside + ending; one that is not there is fine. */
static int move(const char *path, const char *aside, const char *ending)
{
    char *from = NULL, *to = NULL;
    int status = -ENOMEM;
    if (asprintf(&from, "%s%s", path, ending) < 0)
        from = NULL;
    if (asprintf(&to, "%s%s", aside, ending) < 0)
        to = NULL;
    if (from && to)
        status = rename(from, to) < 0 && errno != ENOENT ? -errno : 0;
    free(from);
    free(to);
    return status;
}

uint32_t phx_db_column_u32(sqlite3_stmt *row, int column)
{
    int64_t value = sqlite3_column_int64(row, column);
    return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

int phx_db_set_aside(const char *path, struct phx_err *err)
{
    struct stat mine, there;
    char *aside = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC), status = 0;
    if (fd < 0)
        return errno == ENOENT ? 0 : phx_err_set(err, -errno, "cannot set %s aside", path);
    /* Several runs may have met the damage. The first one to get here moves the file; the others
     * hold the moved one, and must leave alone what has taken its place. */
    if (flock(fd, LOCK_EX) < 0 || fstat(fd, &mine) < 0)
        status = -errno;
    else if (stat(path, &there) == 0 && there.st_dev == mine.st_dev && there.st_ino == mine.st_ino)
        status = asprintf(&aside, "%s.damaged", path) < 0 ? -ENOMEM : 1;
    if (status == 1) {
        status = move(path, aside, "-wal");
        if (status == 0)
            status = move(path, aside, "-shm");
        if (status == 0)
            status = move(path, aside, "");
        free(aside);
    }
    phx_fd_close(&fd);
    return status < 0 ? phx_err_set(err, status, "cannot set %s aside", path) : 0;
}
