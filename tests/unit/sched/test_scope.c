#include "sched/scope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

/* The scope of a node id in a mode, as a string; "(alone)" for a unit of its own. */
static const char *scope_in(enum phx_dist dist, const char *node_id, const char *group)
{
    static char text[256];
    struct phx_scope scope = {0};
    if (!phx_scope_of(dist, node_id, strlen(node_id), group, group ? strlen(group) : 0, &scope))
        return "(alone)";
    ck_assert_uint_lt(scope.size, sizeof text);
    memcpy(text, scope.key, scope.size);
    text[scope.size] = '\0';
    return text;
}

START_TEST(modes_are_known_by_the_names_of_the_option)
{
    static const char *const names[] = {"load", "worksteal", "loadscope", "loadfile", "loadgroup"};
    for (int i = 0; i < 5; i++) {
        enum phx_dist dist = PHX_DIST_LOAD;
        ck_assert_int_eq(phx_dist_parse(names[i], &dist), 0);
        ck_assert_int_eq((int)dist, i);
        ck_assert_int_eq(phx_dist_keeps_scopes(dist), i >= 2);
    }
    enum phx_dist untouched = PHX_DIST_LOADFILE;
    ck_assert_int_eq(phx_dist_parse("each", &untouched), -EINVAL);
    ck_assert_int_eq(phx_dist_parse("", &untouched), -EINVAL);
    ck_assert_int_eq(phx_dist_parse("loadscop", &untouched), -EINVAL);
    ck_assert_int_eq((int)untouched, PHX_DIST_LOADFILE);
}
END_TEST

START_TEST(loadscope_is_the_class_else_the_module)
{
    static const char *const cases[][2] = {
        {"dir/test_a.py::test_b", "dir/test_a.py"},
        {"dir/test_a.py::TestA::test_b", "dir/test_a.py::TestA"},
        {"dir/test_a.py::TestA::TestInner::test_b", "dir/test_a.py::TestA::TestInner"},
        {"pkg/__init__.py::epsilon.epsilon", "pkg/__init__.py"},
        {"README.rst::README.rst", "README.rst"},
        /* Parameters are no scopes. */
        {"test_a.py::TestA::test_b[x::y]", "test_a.py::TestA"},
        {"test_a.py::test_b[x::y::z]", "test_a.py"},
        {"test_a.py::test_b[[x]::[y]]", "test_a.py"},
        {"test_a.py::test_b[]::]", "test_a.py"},
        {"test_a.py::test_b[::]", "test_a.py"},
        /* A path may contain brackets. */
        {"dir[1]/test_a.py::TestA::test_b", "dir[1]/test_a.py::TestA"},
        {"dir[1]/test_a.py::TestA::test_b[x::y]", "dir[1]/test_a.py::TestA"},
        {"dir[1]/test_a.py::test_b[x]", "dir[1]/test_a.py"},
        /* Nothing to cut: the test itself. */
        {"test_a.py", "test_a.py"},
        {"a:b", "a:b"},
        {"", ""},
        {":", ":"},
        {"::", ""},
        {"::test", ""},
        {"a:::b", "a:"},
        {"a::", "a"},
        {"file.yml::[x]", "file.yml"},
        /* Brackets that are not at the end are no parameters. */
        {"file.yml::case[1]::step", "file.yml::case[1]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_str_eq(scope_in(PHX_DIST_LOADSCOPE, cases[i][0], "ignored"), cases[i][1]);
}
END_TEST

START_TEST(loadfile_is_what_stands_before_the_first_separator)
{
    static const char *const cases[][2] = {
        {"dir/test_a.py::TestA::test_b[x::y]", "dir/test_a.py"},
        {"dir/a:b/test_a.py::test_b", "dir/a:b/test_a.py"},
        {"test_a.py", "test_a.py"},
        {"a:", "a:"},
        {"::", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_str_eq(scope_in(PHX_DIST_LOADFILE, cases[i][0], NULL), cases[i][1]);
}
END_TEST

START_TEST(loadgroup_is_the_group_and_all_others_are_alone)
{
    ck_assert_str_eq(scope_in(PHX_DIST_LOADGROUP, "a.py::test@db", "db"), "db");
    ck_assert_str_eq(scope_in(PHX_DIST_LOADGROUP, "a.py::test@", ""), "");
    ck_assert_str_eq(scope_in(PHX_DIST_LOADGROUP, "a.py::test", NULL), "(alone)");
    ck_assert_str_eq(scope_in(PHX_DIST_LOAD, "a.py::test@db", "db"), "(alone)");
    ck_assert_str_eq(scope_in(PHX_DIST_WORKSTEAL, "a.py::test@db", "db"), "(alone)");
}
END_TEST

START_TEST(nothing_outside_the_given_bytes_is_read)
{
    /* No NUL and exact sizes on the heap, so that the address sanitizer sees a read too far. */
    static const char *const ids[] = {"a.py::T::t[x::y]", "a.py::t]", "a::::]", "[::]"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        for (size_t size = 0; size <= strlen(ids[i]); size++) {
            char *exact = malloc(size ? size : 1);
            ck_assert_ptr_nonnull(exact);
            memcpy(exact, ids[i], size);
            for (int dist = PHX_DIST_LOADSCOPE; dist <= PHX_DIST_LOADFILE; dist++) {
                struct phx_scope scope = {0};
                int found = phx_scope_of((enum phx_dist)dist, exact, size, NULL, 0, &scope);
                ck_assert_int_eq(found, 1);
                ck_assert_ptr_eq(scope.key, exact);
                ck_assert_uint_le(scope.size, size);
            }
            free(exact);
        }
    }
}
END_TEST

START_TEST(the_test_name_is_the_last_part)
{
    static const char *const cases[][2] = {
        {"test_a.py::TestA::test_b[x::y]", "test_b[x::y]"},
        {"test_a.py::test_b", "test_b"},
        {"test_a.py", "test_a.py"},
        {"a::", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t size;
        const char *name = phx_scope_test_name(cases[i][0], strlen(cases[i][0]), &size);
        ck_assert_uint_eq(size, strlen(cases[i][1]));
        ck_assert_int_eq(strncmp(name, cases[i][1], size), 0);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, modes_are_known_by_the_names_of_the_option);
    tcase_add_test(tests, loadscope_is_the_class_else_the_module);
    tcase_add_test(tests, loadfile_is_what_stands_before_the_first_separator);
    tcase_add_test(tests, loadgroup_is_the_group_and_all_others_are_alone);
    tcase_add_test(tests, nothing_outside_the_given_bytes_is_read);
    tcase_add_test(tests, the_test_name_is_the_last_part);
}

int main(void)
{
    return harness_run("scope", 10, add);
}
