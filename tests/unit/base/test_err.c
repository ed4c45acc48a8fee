#include "base/err.h"

#include <errno.h>
#include <string.h>

#include "harness.h"

START_TEST(every_code_has_a_sentence)
{
    ck_assert_str_eq(phx_err_text(-ENOENT), "No such file or directory");
    ck_assert_ptr_nonnull(strstr(phx_err_text(PHX_E_STRAY), "not a worker"));
}
END_TEST

START_TEST(set_appends_the_text_of_the_code)
{
    struct phx_err err;
    ck_assert_int_eq(phx_err_set(&err, -ENOENT, "cannot open %s", "x.sqlite"), -ENOENT);
    ck_assert_int_eq(err.code, -ENOENT);
    ck_assert_str_eq(err.text, "cannot open x.sqlite: No such file or directory");
    ck_assert_int_eq(phx_err_set(NULL, -EPIPE, "nobody listens"), -EPIPE);
}
END_TEST

START_TEST(a_long_sentence_is_cut_and_terminated)
{
    struct phx_err err;
    char long_path[2 * PHX_ERR_TEXT_MAX];
    memset(long_path, 'a', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    phx_err_set(&err, -EPIPE, "%s", long_path);
    ck_assert_uint_eq(strlen(err.text), PHX_ERR_TEXT_MAX - 1);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, every_code_has_a_sentence);
    tcase_add_test(tests, set_appends_the_text_of_the_code);
    tcase_add_test(tests, a_long_sentence_is_cut_and_terminated);
}

int main(void)
{
    return harness_run("err", 10, add);
}
