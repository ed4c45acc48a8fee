/* The schema of the history, version 2. `sqlite3 history.sqlite .schema` shows it with its
 * comments.
 *
 * Times are in UTC, as seconds since 1970; durations and their variances in microseconds. The
 * estimates are exponentially weighted (store/estimate.h).
 *
 *   version 1  run, test
 *   version 2  trial; a file of version 1 gets it when it is next opened to be written */
#ifndef PHX_STORE_SCHEMA_H
#define PHX_STORE_SCHEMA_H

enum {
    PHX_SCHEMA_APPLICATION = 0x50484c58, /* "PHLX": application_id of the file */
    PHX_SCHEMA_VERSION = 2,              /* user_version; a change that an older phalanx would
                                            misread raises it */
};

/* clang-format off */
#define PHX_SCHEMA_SQL                                                                             \
    "CREATE TABLE run (\n"                                                                         \
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order in which they came; never used twice\n" \
    "  uid TEXT NOT NULL UNIQUE,             -- the same in every copy of this history\n"          \
    "  ended_at INTEGER NOT NULL,            -- seconds since 1970, UTC\n"                         \
    "  wall_ms INTEGER NOT NULL,             -- from the first worker's start to the last one's end\n" \
    "  workers INTEGER NOT NULL,             -- at one time\n"                                     \
    "  tests INTEGER NOT NULL,               -- with an outcome\n"                                 \
    "  complete INTEGER NOT NULL             -- 0: stopped before every test had run\n"            \
    ");\n"                                                                                         \
    "CREATE TABLE test (\n"                                                                        \
    "  node_id TEXT PRIMARY KEY NOT NULL,    -- UTF-8; lone surrogates as if they were characters\n" \
    "  measured INTEGER NOT NULL,            -- measurements behind the estimates; 0: none\n"      \
    "  measured_at INTEGER NOT NULL,         -- when the last one was made\n"                      \
    "  seen_at INTEGER NOT NULL,             -- when a run had this test last\n"                   \
    "  setup_us REAL NOT NULL,               -- exponentially weighted mean, in microseconds\n"    \
    "  setup_variance REAL NOT NULL,         -- and variance\n"                                    \
    "  call_us REAL NOT NULL,\n"                                                                   \
    "  call_variance REAL NOT NULL,\n"                                                             \
    "  teardown_us REAL NOT NULL,\n"                                                               \
    "  teardown_variance REAL NOT NULL,\n"                                                         \
    "  outcomes TEXT NOT NULL                -- letter and run.id, newest first, 20 at most: '.412 F409'\n" \
    ") WITHOUT ROWID;\n"                                                                           \
    PHX_SCHEMA_SQL_2

/* What version 2 added. */
#define PHX_SCHEMA_SQL_2                                                                           \
    "CREATE TABLE trial (                   -- each time a test was run; of tests that failed of late\n" \
    "  node_id TEXT NOT NULL,                -- of a repetition (test_x[3-10]): without its number\n" \
    "  run INTEGER NOT NULL,                 -- run.id\n"                                          \
    "  number INTEGER NOT NULL,              -- 1, 2, ...: which time in this run\n"               \
    "  repetition INTEGER NOT NULL,          -- of --count, from 1 on; 0: it was none\n"           \
    "  outcome TEXT NOT NULL,                -- a letter as in test.outcomes\n"                    \
    "  worker INTEGER NOT NULL,              -- who ran it: 1 is gw1\n"                            \
    "  after TEXT,                           -- which test that worker had run before; NULL: none\n" \
    "  took_us INTEGER NOT NULL,             -- all phases\n"                                      \
    "  PRIMARY KEY (node_id, run, number)\n"                                                       \
    ") WITHOUT ROWID;\n"
/* clang-format on */

#endif
