/* What every C test shares: one suite per program, TAP for Meson.
 *
 * A failed assertion in a forked child does not fail the test by itself: let the child _exit with a
 * status and assert on that in the parent. */
#ifndef PHX_TEST_HARNESS_H
#define PHX_TEST_HARNESS_H

#include <check.h>

/* So much longer may a test take on a machine that is busy with others. */
#define HARNESS_PATIENCE 4

/* Runs the suite of one test case, each test in a process of its own with a timeout in seconds, for
 * a machine of its own, and returns main's exit status. `add` registers the tests on the case. */
static inline int harness_run(const char *name, double timeout_s, void (*add)(TCase *))
{
    Suite *suite = suite_create(name);
    TCase *tests = tcase_create(name);
    tcase_set_timeout(tests, HARNESS_PATIENCE * timeout_s);
    add(tests);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}

#endif
