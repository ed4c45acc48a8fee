#include "os/treewatch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

static struct phx_treewatch *watch;
static char root[PATH_MAX];

static const char *below(const char *name)
{
    static char path[PATH_MAX];
    ck_assert_int_lt(snprintf(path, sizeof path, "%s/%s", root, name), (int)sizeof path);
    return path;
}

static void make(const char *name)
{
    ck_assert_int_eq(mkdir(below(name), 0700), 0);
}

static void write_file(const char *name)
{
    int fd = open(below(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "x", 1), 1);
    ck_assert_int_eq(close(fd), 0);
}

static void start(void)
{
    char made[] = "/tmp/phalanx-treewatch-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(made));
    ck_assert_ptr_nonnull(realpath(made, root));
    ck_assert_int_eq(phx_treewatch_new(&watch, NULL), 0);
}

static void add(void)
{
    struct phx_err err = {0};
    ck_assert_msg(phx_treewatch_add(watch, root, &err) == 0, "%s", err.text);
}

static void finish(void)
{
    phx_treewatch_free(watch);
    char command[PATH_MAX + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    ck_assert_int_eq(system(command), 0);
}

static void tells(const char *name)
{
    char path[PATH_MAX] = "";
    ck_assert_int_eq(phx_treewatch_next(watch, 30 * PHX_S, path, sizeof path), 1);
    ck_assert_str_eq(path, below(name));
}

static void is_silent(void)
{
    char path[PATH_MAX] = "";
    int status = phx_treewatch_next(watch, 0, path, sizeof path);
    ck_assert_msg(status == 0, "%d %s", status, path);
}

START_TEST(what_is_written_moved_or_deleted_is_told)
{
    start();
    make("a");
    make("a/b");
    write_file("a/b/old.py");
    add();
    is_silent();
    write_file("top.py");
    tells("top.py");
    write_file("a/b/old.py");
    tells("a/b/old.py");
    char from[PATH_MAX];
    snprintf(from, sizeof from, "%s", below("top.py"));
    ck_assert_int_eq(rename(from, below("a/new.py")), 0);
    tells("top.py");
    tells("a/new.py");
    ck_assert_int_eq(unlink(below("a/new.py")), 0);
    tells("a/new.py");
    is_silent();
    finish();
}
END_TEST

START_TEST(folders_that_are_made_are_watched_too)
{
    start();
    add();
    make("later");
    tells("later");
    write_file("later/x.py");
    tells("later/x.py");
    is_silent();
    finish();
}
END_TEST

START_TEST(a_folder_that_came_with_files_is_told_itself)
{
    start();
    make("sub");
    add();
    make("sub/one");
    make("sub/one/two"); /* before the making of `one` was read */
    write_file("sub/one/two/x.py");
    tells("sub/one");
    write_file("sub/one/two/y.py");
    char path[PATH_MAX] = "";
    while (strcmp(path, below("sub/one/two/y.py")) != 0)
        ck_assert_int_eq(phx_treewatch_next(watch, 30 * PHX_S, path, sizeof path), 1);
    finish();
}
END_TEST

START_TEST(what_nobody_runs_tests_for_is_not_told)
{
    start();
    make(".git");
    make("__pycache__");
    add();
    write_file(".git/index");
    write_file("__pycache__/x.pyc");
    write_file(".coverage");
    write_file("x.pyc");
    write_file("x.py~");
    is_silent();
    finish();
}
END_TEST

START_TEST(a_folder_that_is_gone_is_forgotten)
{
    start();
    make("a");
    add();
    ck_assert_int_eq(rmdir(below("a")), 0);
    tells("a");
    make("a");
    tells("a");
    write_file("a/x.py");
    tells("a/x.py");
    finish();
}
END_TEST

START_TEST(links_are_not_followed)
{
    start();
    make("a");
    ck_assert_int_eq(symlink("..", below("a/loop")), 0);
    add(); /* comes to an end */
    write_file("a/x.py");
    tells("a/x.py");
    is_silent();
    finish();
}
END_TEST

START_TEST(what_is_no_folder_is_refused)
{
    struct phx_err err = {0};
    start();
    ck_assert_int_eq(phx_treewatch_add(watch, below("nowhere"), &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "nowhere"));
    write_file("file");
    ck_assert_int_eq(phx_treewatch_add(watch, below("file"), &err), -ENOTDIR);
    finish();
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, what_is_written_moved_or_deleted_is_told);
    tcase_add_test(tests, folders_that_are_made_are_watched_too);
    tcase_add_test(tests, a_folder_that_came_with_files_is_told_itself);
    tcase_add_test(tests, what_nobody_runs_tests_for_is_not_told);
    tcase_add_test(tests, a_folder_that_is_gone_is_forgotten);
    tcase_add_test(tests, links_are_not_followed);
    tcase_add_test(tests, what_is_no_folder_is_refused);
}

int main(void)
{
    return harness_run("treewatch", 60, add_tests);
}
