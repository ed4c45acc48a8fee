#include "report/outfile.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

static char home[] = "/tmp/phalanx-outfile-XXXXXX";

static const char *in_home(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", home, name);
    return path;
}

static void check_content(const char *path, const char *expected)
{
    char text[64] = "";
    FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    fread(text, 1, sizeof text - 1, file);
    fclose(file);
    ck_assert_str_eq(text, expected);
}

static int count_files(void)
{
    DIR *dir = opendir(home);
    int count = -2; /* . and .. */
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

START_TEST(a_file_appears_when_it_is_complete)
{
    ck_assert_ptr_nonnull(mkdtemp(home));
    struct phx_outfile file;
    struct phx_err err = {0};
    char path[256];
    snprintf(path, sizeof path, "%s", in_home("deep/er/run.html"));
    ck_assert_int_eq(phx_outfile_open(&file, path, &err), 0);
    fputs("whole", file.stream);
    ck_assert_int_eq(access(path, F_OK), -1);
    ck_assert_int_eq(phx_outfile_close(&file, 0, &err), 0);
    check_content(path, "whole");
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    mode_t mask = umask(0);
    ck_assert_uint_eq(status.st_mode & 0777, 0666 & ~mask);
}
END_TEST

START_TEST(a_failure_leaves_what_was_there)
{
    ck_assert_ptr_nonnull(mkdtemp(home));
    struct phx_outfile file;
    struct phx_err err = {0};
    char path[256];
    snprintf(path, sizeof path, "%s", in_home("run.html"));
    ck_assert_int_eq(phx_outfile_open(&file, path, &err), 0);
    fputs("old", file.stream);
    ck_assert_int_eq(phx_outfile_close(&file, 0, &err), 0);
    ck_assert_int_eq(phx_outfile_open(&file, path, &err), 0);
    fputs("new", file.stream);
    ck_assert_int_eq(phx_outfile_close(&file, -ENOMEM, &err), -ENOMEM);
    check_content(path, "old");
    ck_assert_int_eq(count_files(), 1);
}
END_TEST

START_TEST(a_full_disk_is_told)
{
    struct phx_outfile file;
    struct phx_err err = {0};
    ck_assert_int_eq(phx_outfile_open(&file, "/dev/full", &err), 0);
    fputs("anything", file.stream);
    ck_assert_int_eq(phx_outfile_close(&file, 0, &err), -ENOSPC);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot write /dev/full"));
}
END_TEST

START_TEST(a_path_that_cannot_be_is_told)
{
    ck_assert_ptr_nonnull(mkdtemp(home));
    struct phx_outfile file;
    struct phx_err err = {0};
    ck_assert_int_lt(phx_outfile_open(&file, "/proc/phalanx/run.html", &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot write /proc/phalanx/run.html"));
    char path[256]; /* a directory is in the way */
    snprintf(path, sizeof path, "%s", in_home("run.html"));
    ck_assert_int_eq(mkdir(path, 0777), 0);
    ck_assert_int_eq(phx_outfile_open(&file, path, &err), 0);
    ck_assert_int_lt(phx_outfile_close(&file, 0, &err), 0);
    ck_assert_int_eq(count_files(), 1);
}
END_TEST

static void check_json(const char *text, size_t size, const char *expected)
{
    char *out = NULL;
    size_t out_size = 0;
    FILE *stream = open_memstream(&out, &out_size);
    ck_assert_int_eq(phx_outfile_put_json(stream, text, size), 0);
    fclose(stream);
    ck_assert_str_eq(out, expected);
    free(out);
}

START_TEST(texts_are_json_that_html_leaves_alone)
{
    check_json("a\"b\\c\n", 6, "\"a\\\"b\\\\c\\n\"");
    check_json("t[</script>]", 12, "\"t[\\u003c/script>]\"");
    check_json("\xc3\xa4", 2, "\"\\u00E4\"");
    check_json("x\xff\xfey", 4, "\"x??y\"");
    check_json("\xed\xa0\x80", 3, "\"???\""); /* half of a surrogate pair */
    check_json("", 0, "\"\"");
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_file_appears_when_it_is_complete);
    tcase_add_test(tests, a_failure_leaves_what_was_there);
    tcase_add_test(tests, a_full_disk_is_told);
    tcase_add_test(tests, a_path_that_cannot_be_is_told);
    tcase_add_test(tests, texts_are_json_that_html_leaves_alone);
}

int main(void)
{
    return harness_run("outfile", 10, add);
}
