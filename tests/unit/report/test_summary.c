/* A controller that is none stands in for the real one, whose figures no test could foresee: its
 * functions are defined here, and the linker takes them. */
#include "report/summary.h"

#include <errno.h>
#include <string.h>

#include "harness.h"
#include "report/metrics.h"
#include "role/controller.h"

static struct phx_controller_figures figures;
static struct {
    int is_there;
    struct phx_runq_view view;
} workers[8];
static const char *ids[] = {"a.py::test_zero", "a.py::test_one", "b.py::test_two"};

void phx_controller_figures(const struct phx_controller *controller,
                            struct phx_controller_figures *out)
{
    ck_assert_ptr_null(controller);
    *out = figures;
}

int phx_controller_look(const struct phx_controller *controller, uint32_t number,
                        struct phx_runq_view *out)
{
    ck_assert_ptr_null(controller);
    ck_assert_uint_lt(number, figures.nworkers);
    if (!workers[number].is_there)
        return -ENOENT;
    *out = workers[number].view;
    return 0;
}

const char *phx_controller_node_id(const struct phx_controller *controller, uint32_t position,
                                   size_t *out_size)
{
    ck_assert_ptr_null(controller);
    if (position >= sizeof ids / sizeof *ids)
        return NULL;
    *out_size = strlen(ids[position]);
    return ids[position];
}

static const char *line(void)
{
    static char text[PHX_METRICS_LINE_MAX];
    int size = phx_summary_format(NULL, text, sizeof text);
    ck_assert_int_eq(size, (int)strlen(text));
    return text;
}

static void set_worker(int number, phx_ns busy, uint32_t nended, phx_ns longest, uint32_t position)
{
    workers[number].is_there = 1;
    workers[number].view = (struct phx_runq_view){
        .busy = busy, .nended = nended, .longest = longest, .longest_position = position};
}

START_TEST(every_workers_figures_are_in_it)
{
    figures = (struct phx_controller_figures){.nparallel = 2, .nworkers = 2, .wall = 10 * PHX_S};
    set_worker(0, 10 * PHX_S, 3, 2 * PHX_S, 1);
    set_worker(1, 8 * PHX_S, 4, 3 * PHX_S, 2);
    ck_assert_str_eq(line(), "2 workers, 7 tests: 1.80x of 2 (90 %), busy 100/80 %, "
                             "longest test_two 3.0 s");
}
END_TEST

/* Replacements add their work, but are no more parallel. One that was never asked for, or whose
 * fork failed, has no figures. */
START_TEST(replacements_and_gaps)
{
    figures = (struct phx_controller_figures){.nparallel = 2, .nworkers = 4, .wall = 10 * PHX_S};
    set_worker(0, 4 * PHX_S, 3, 2 * PHX_S, 0);
    set_worker(1, 8 * PHX_S, 4, PHX_S, 2);
    set_worker(3, 6 * PHX_S, 1, PHX_S, 1);
    const char *text = line();
    ck_assert_ptr_nonnull(strstr(text, "8 tests: 1.80x of 2 (90 %)"));
    ck_assert_ptr_nonnull(strstr(text, "busy 40/80/60 %"));
    ck_assert_ptr_nonnull(strstr(text, "longest test_zero 2.0 s"));
}
END_TEST

START_TEST(a_run_in_which_nothing_ended)
{
    figures = (struct phx_controller_figures){.nparallel = 2, .nworkers = 2, .wall = -PHX_S};
    set_worker(0, 0, 0, 0, 0);
    const char *text = line();
    ck_assert_ptr_nonnull(strstr(text, "0 tests"));
    ck_assert_ptr_null(strstr(text, "longest"));
    figures.nworkers = 0;
    ck_assert_ptr_nonnull(strstr(line(), "0 tests"));
}
END_TEST

/* A damaged region may name any position. */
START_TEST(a_longest_test_without_name)
{
    figures = (struct phx_controller_figures){.nparallel = 1, .nworkers = 1, .wall = 2 * PHX_S};
    set_worker(0, PHX_S, 1, PHX_S, UINT32_MAX);
    ck_assert_ptr_null(strstr(line(), "test_"));
    char small[8];
    memset(small, '#', sizeof small);
    ck_assert_int_eq(phx_summary_format(NULL, small, 4), 3);
    ck_assert_str_eq(small, "1 w");
    ck_assert_int_eq(small[4], '#');
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, every_workers_figures_are_in_it);
    tcase_add_test(tests, replacements_and_gaps);
    tcase_add_test(tests, a_run_in_which_nothing_ended);
    tcase_add_test(tests, a_longest_test_without_name);
}

int main(void)
{
    return harness_run("summary", 10, add);
}
