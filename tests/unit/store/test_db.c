#include "store/db.h"

#include <errno.h>
#include <sys/stat.h>

#include "harness.h"
#include "scratch.h"
#include "store/schema.h"

static struct phx_err err;
static sqlite3 *db;

static void write_new(void)
{
    scratch_make();
    ck_assert_msg(phx_db_open(&db, history_path, PHX_DB_WRITE, &err) == 0, "%s", err.text);
}

START_TEST(it_is_made_once_and_opened_then)
{
    write_new();
    ck_assert_int_eq(
        phx_db_run(db, "INSERT INTO run VALUES (1, 'u', 2, 3, 4, 5, 1)", "write", &err), 0);
    phx_db_close(db);
    ck_assert_int_ne(access(beside("-wal"), F_OK), 0); /* nothing is left open */
    ck_assert_int_eq(phx_db_open(&db, history_path, PHX_DB_WRITE, &err), 0);
    sqlite3_stmt *statement;
    ck_assert_int_eq(phx_db_prepare(&statement, db, "SELECT ended_at FROM run", &err), 0);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    ck_assert_int_eq(sqlite3_column_int(statement, 0), 2);
    sqlite3_finalize(statement);
    phx_db_close(db);
    scratch_remove();
}
END_TEST

START_TEST(there_is_none)
{
    scratch_make();
    db = NULL;
    ck_assert_int_eq(phx_db_open(&db, history_path, PHX_DB_READ, &err), -ENOENT);
    ck_assert_ptr_null(db);
    ck_assert_ptr_nonnull(strstr(err.text, history_path));
    ck_assert_int_ne(access(history_path, F_OK), 0);
    scratch_write(history_path, "", 0); /* as another run is about to make it */
    ck_assert_int_eq(phx_db_open(&db, history_path, PHX_DB_READ, &err), -ENOENT);
    ck_assert_int_eq(phx_db_open(&db, history_path, PHX_DB_WRITE, &err), 0);
    phx_db_close(db);
    ck_assert_int_eq(phx_db_open(&db, history_path, PHX_DB_READ, &err), 0);
    phx_db_close(db);
    scratch_remove();
}
END_TEST

START_TEST(a_newer_schema_is_left_alone)
{
    write_new();
    ck_assert_int_eq(phx_db_run(db, "PRAGMA user_version = 3", "write", &err), 0);
    phx_db_close(db);
    ck_assert_int_eq(phx_db_open(&db, history_path, PHX_DB_READ, &err), PHX_E_NEWER);
    ck_assert_int_eq(phx_db_open(&db, history_path, PHX_DB_WRITE, &err), PHX_E_NEWER);
    ck_assert_ptr_nonnull(strstr(err.text, "newer version"));
    scratch_remove();
}
END_TEST

/* As version 1 left it. */
static void write_version_1(void)
{
    write_new();
    ck_assert_int_eq(phx_db_run(db,
                                "DROP TABLE trial; PRAGMA user_version = 1;"
                                "INSERT INTO run VALUES (1, 'u', 2, 3, 4, 5, 1)",
                                "write", &err),
                     0);
    phx_db_close(db);
}

static int number_of(const char *sql)
{
    sqlite3_stmt *statement;
    ck_assert_msg(phx_db_prepare(&statement, db, sql, &err) == 0, "%s", err.text);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    int number = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

START_TEST(an_older_schema_is_read_as_it_is)
{
    write_version_1();
    ck_assert_int_eq(phx_db_open(&db, history_path, PHX_DB_READ, &err), 0);
    ck_assert_int_eq(number_of("PRAGMA user_version"), 1);
    ck_assert_int_eq(number_of("SELECT ended_at FROM run"), 2);
    phx_db_close(db);
    scratch_remove();
}
END_TEST

START_TEST(an_older_schema_is_brought_up_to_date_before_it_is_written)
{
    write_version_1();
    for (int i = 0; i < 2; i++) { /* twice is once */
        ck_assert_msg(phx_db_open(&db, history_path, PHX_DB_WRITE, &err) == 0, "%s", err.text);
        ck_assert_int_eq(number_of("PRAGMA user_version"), PHX_SCHEMA_VERSION);
        ck_assert_int_eq(number_of("SELECT ended_at FROM run"), 2);
        ck_assert_int_eq(number_of("SELECT count(*) FROM trial"), 0);
        phx_db_close(db);
    }
    scratch_remove();
}
END_TEST

START_TEST(another_programs_database_is_left_alone)
{
    scratch_make();
    ck_assert_int_eq(sqlite3_open(history_path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "CREATE TABLE bookmarks (a)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    ck_assert_int_eq(phx_db_open(&db, history_path, PHX_DB_READ, &err), PHX_E_FOREIGN);
    ck_assert_int_eq(phx_db_open(&db, history_path, PHX_DB_WRITE, &err), PHX_E_FOREIGN);
    ck_assert_ptr_nonnull(strstr(err.text, "another program"));
    scratch_remove();
}
END_TEST

START_TEST(bytes_that_are_no_database_are_damage)
{
    static const char text[] = "not a database, but a text of some length that is none at all, "
                               "which must be longer than the header of one: a hundred bytes.";
    scratch_make();
    scratch_write(history_path, text, sizeof text);
    ck_assert_int_eq(phx_db_open(&db, history_path, PHX_DB_READ, &err), PHX_E_DAMAGED);
    ck_assert_int_eq(phx_db_open(&db, history_path, PHX_DB_WRITE, &err), PHX_E_DAMAGED);
    ck_assert_ptr_nonnull(strstr(err.text, "damaged"));
    scratch_remove();
}
END_TEST

START_TEST(what_is_damaged_is_set_aside_once)
{
    struct stat before, after;
    scratch_make();
    scratch_write(history_path, "damaged", 7);
    ck_assert_int_eq(stat(history_path, &before), 0);
    ck_assert_int_eq(phx_db_set_aside(history_path, &err), 0);
    ck_assert_int_ne(access(history_path, F_OK), 0);
    ck_assert_int_eq(stat(beside(".damaged"), &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert_int_eq(phx_db_set_aside(history_path, &err), 0); /* somebody was faster */
    scratch_write(history_path, "again", 5);
    ck_assert_int_eq(phx_db_set_aside(history_path, &err), 0);
    ck_assert_int_eq(stat(beside(".damaged"), &after), 0);
    ck_assert_int_eq(after.st_size, 5);
    scratch_remove();
}
END_TEST

START_TEST(a_directory_in_its_place_is_an_error_with_the_path)
{
    scratch_make();
    ck_assert_int_eq(mkdir(history_path, 0700), 0);
    ck_assert_int_lt(phx_db_open(&db, history_path, PHX_DB_READ, &err), 0);
    ck_assert_int_lt(phx_db_open(&db, history_path, PHX_DB_WRITE, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, history_path));
    scratch_remove();
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, it_is_made_once_and_opened_then);
    tcase_add_test(tests, there_is_none);
    tcase_add_test(tests, a_newer_schema_is_left_alone);
    tcase_add_test(tests, an_older_schema_is_read_as_it_is);
    tcase_add_test(tests, an_older_schema_is_brought_up_to_date_before_it_is_written);
    tcase_add_test(tests, another_programs_database_is_left_alone);
    tcase_add_test(tests, bytes_that_are_no_database_are_damage);
    tcase_add_test(tests, what_is_damaged_is_set_aside_once);
    tcase_add_test(tests, a_directory_in_its_place_is_an_error_with_the_path);
}

int main(void)
{
    return harness_run("db", 60, add);
}
