#include "report/metrics.h"

#include <stdio.h>
#include <string.h>

#include "harness.h"

#define ID(text) .longest_id = (text), .longest_id_size = sizeof(text) - 1

static const char *line_of(struct phx_metrics_input input)
{
    static char line[PHX_METRICS_LINE_MAX];
    size_t size = phx_metrics_format(line, sizeof line, &input);
    ck_assert_uint_eq(size, strlen(line));
    ck_assert_uint_lt(size, sizeof line - 1); /* nothing was cut */
    return line;
}

START_TEST(known_figures)
{
    static const struct phx_metrics_worker workers[] = {
        {9800 * PHX_MS, 80}, {9700 * PHX_MS, 79}, {9700 * PHX_MS, 78}, {9500 * PHX_MS, 75}};
    struct phx_metrics_input input = {.workers = workers,
                                      .nworkers = 4,
                                      .wall = 10 * PHX_S,
                                      .longest = 2300 * PHX_MS,
                                      ID("tests/test_shop.py::TestShop::test_checkout")};
    struct phx_metrics m;
    phx_metrics_compute(&m, &input);
    ck_assert_uint_eq(m.nparallel, 4);
    ck_assert_uint_eq(m.ntests, 312);
    ck_assert_int_eq(m.busy, 38700 * PHX_MS);
    ck_assert_double_eq_tol(m.speedup, 3.87, 1e-9);
    ck_assert_double_eq_tol(m.share, 0.9675, 1e-9);
    ck_assert_double_eq_tol(m.busy_min, 0.95, 1e-9);
    ck_assert_double_eq_tol(m.busy_max, 0.98, 1e-9);
    ck_assert_double_eq_tol(phx_metrics_utilisation(&input, 3), 0.95, 1e-9);
    ck_assert_str_eq(line_of(input), "4 workers, 312 tests: 3.87x of 4 (97 %), busy 98/97/97/95 %, "
                                     "longest test_checkout 2.3 s");
}
END_TEST

START_TEST(one_worker_and_one_test_are_singular)
{
    static const struct phx_metrics_worker worker = {990 * PHX_MS, 1};
    ck_assert_str_eq(line_of((struct phx_metrics_input){.workers = &worker,
                                                        .nworkers = 1,
                                                        .wall = PHX_S,
                                                        .longest = 990 * PHX_MS,
                                                        ID("a.py::test_a")}),
                     "1 worker, 1 test: 0.99x of 1 (99 %), busy 99 %, longest test_a 990 ms");
}
END_TEST

START_TEST(a_run_without_tests_or_time_has_counts_only)
{
    static const struct phx_metrics_worker idle[2] = {{0, 0}, {0, 0}}, quick[2] = {{0, 1}, {5, 2}};
    ck_assert_str_eq(
        line_of((struct phx_metrics_input){.workers = idle, .nworkers = 2, .wall = PHX_S}),
        "2 workers, 0 tests");
    ck_assert_str_eq(line_of((struct phx_metrics_input){.workers = quick, .nworkers = 2}),
                     "2 workers, 3 tests");
    ck_assert_str_eq(
        line_of((struct phx_metrics_input){.workers = quick, .nworkers = 2, .wall = -1}),
        "2 workers, 3 tests");
    ck_assert_str_eq(line_of((struct phx_metrics_input){.wall = PHX_S}), "0 workers, 0 tests");
    struct phx_metrics m;
    phx_metrics_compute(&m, &(struct phx_metrics_input){.workers = quick, .nworkers = 2});
    ck_assert_double_eq(m.speedup, 0);
    ck_assert_double_eq(m.share, 0);
    ck_assert_double_eq(m.busy_max, 0);
}
END_TEST

START_TEST(a_worker_without_work_counts_against_the_ideal)
{
    static const struct phx_metrics_worker workers[] = {{2 * PHX_S, 1}, {0, 0}};
    ck_assert_str_eq(
        line_of((struct phx_metrics_input){.workers = workers, .nworkers = 2, .wall = 2 * PHX_S}),
        "2 workers, 1 test: 1.00x of 2 (50 %), busy 100/0 %");
}
END_TEST

START_TEST(replacements_do_not_raise_the_ideal)
{
    static const struct phx_metrics_worker workers[] = {
        {PHX_S / 4, 1}, {PHX_S, 2}, {PHX_S * 3 / 4, 1}};
    ck_assert_str_eq(line_of((struct phx_metrics_input){
                         .workers = workers, .nworkers = 3, .nparallel = 2, .wall = PHX_S}),
                     "2 workers, 4 tests: 2.00x of 2 (100 %), busy 25/100/75 %");
}
END_TEST

START_TEST(odd_times_stay_in_range)
{
    /* Negative, and longer than the wall time by the skew of two clock reads. */
    static const struct phx_metrics_worker workers[] = {{-5, 1}, {PHX_S + 10 * PHX_MS, 1}};
    ck_assert_str_eq(
        line_of((struct phx_metrics_input){.workers = workers, .nworkers = 2, .wall = PHX_S}),
        "2 workers, 2 tests: 1.01x of 2 (51 %), busy 0/100 %");
}
END_TEST

START_TEST(many_workers_are_a_range)
{
    struct phx_metrics_worker workers[4096];
    for (uint32_t i = 0; i < 4096; i++)
        workers[i] = (struct phx_metrics_worker){(91 + i % 8) * 10 * PHX_MS, 3};
    struct phx_metrics_input input = {.workers = workers, .nworkers = 16, .wall = PHX_S};
    ck_assert_str_eq(line_of(input), "16 workers, 48 tests: 15.12x of 16 (95 %), busy 91/92/93/94/"
                                     "95/96/97/98/91/92/93/94/95/96/97/98 %");
    input.nworkers = 17;
    ck_assert_str_eq(line_of(input), "17 workers, 51 tests: 16.03x of 17 (94 %), busy 91 to 98 %");
    input.nworkers = 4096;
    ck_assert_str_eq(line_of(input),
                     "4096 workers, 12288 tests: 3870.72x of 4096 (95 %), busy 91 to 98 %");
}
END_TEST

START_TEST(durations_have_three_digits_at_most)
{
    static const struct {
        phx_ns duration;
        const char *text;
    } cases[] = {
        {1, "0.0 ms"},
        {4200 * 1000, "4.2 ms"},
        {9940 * 1000, "9.9 ms"},
        {9960 * 1000, "10 ms"},
        {345 * PHX_MS, "345 ms"},
        {999 * PHX_MS + 400000, "999 ms"},
        {999 * PHX_MS + 600000, "1.0 s"},
        {12340 * PHX_MS, "12.3 s"},
        {99940 * PHX_MS, "99.9 s"},
        {99960 * PHX_MS, "100 s"},
        {3600 * PHX_S, "3600 s"},
    };
    static const struct phx_metrics_worker worker = {PHX_S, 1};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *line = line_of((struct phx_metrics_input){.workers = &worker,
                                                              .nworkers = 1,
                                                              .wall = PHX_S,
                                                              .longest = cases[i].duration,
                                                              ID("t")});
        ck_assert_str_eq(strstr(line, "longest t ") + strlen("longest t "), cases[i].text);
    }
}
END_TEST

START_TEST(a_name_is_one_short_piece_of_a_line)
{
    static const struct phx_metrics_worker worker = {PHX_S, 1};
    struct phx_metrics_input input = {.workers = &worker,
                                      .nworkers = 1,
                                      .wall = PHX_S,
                                      .longest = PHX_S,
                                      ID("a.py::test_b[x::y\n\t\x7f]")};
    ck_assert_ptr_nonnull(strstr(line_of(input), "longest test_b[x::y???] 1.0 s"));

    char id[256];
    int size = snprintf(id, sizeof id, "a.py::%s", "");
    for (int i = 0; i < 40; i++) /* 80 bytes: the cut after 57 would halve the 29th */
        size += snprintf(id + size, sizeof id - (size_t)size, "ä");
    input.longest_id = id;
    input.longest_id_size = (size_t)size;
    char expected[128] = "longest ";
    for (int i = 0; i < 28; i++)
        strcat(expected, "ä");
    strcat(expected, "... 1.0 s");
    ck_assert_ptr_nonnull(strstr(line_of(input), expected));

    /* Nothing but continuation bytes: not UTF-8 at all. */
    memset(id, 0x80, sizeof id);
    input.longest_id_size = sizeof id;
    ck_assert_ptr_nonnull(strstr(line_of(input), "longest ... 1.0 s"));
}
END_TEST

START_TEST(a_small_buffer_cuts_and_never_overflows)
{
    static const struct phx_metrics_worker workers[] = {{PHX_S, 1}, {PHX_S, 1}};
    struct phx_metrics_input input = {
        .workers = workers, .nworkers = 2, .wall = PHX_S, .longest = PHX_S, ID("a.py::test_b")};
    char whole[PHX_METRICS_LINE_MAX], line[PHX_METRICS_LINE_MAX];
    size_t full = phx_metrics_format(whole, sizeof whole, &input);
    for (size_t size = 0; size <= full + 1; size++) {
        memset(line, '#', sizeof line);
        size_t used = phx_metrics_format(line, size, &input);
        ck_assert_uint_eq(used, size == 0 ? 0 : size - 1);
        ck_assert_int_eq(strncmp(line, whole, used), 0);
        if (size > 0)
            ck_assert_int_eq(line[used], '\0');
        ck_assert_int_eq(line[size], '#');
    }
}
END_TEST

START_TEST(the_longest_line_fits)
{
    struct phx_metrics_worker workers[16];
    for (int i = 0; i < 16; i++)
        workers[i] = (struct phx_metrics_worker){INT64_MAX, UINT32_MAX};
    struct phx_metrics_input input = {.workers = workers,
                                      .nworkers = 16,
                                      .nparallel = UINT32_MAX,
                                      .wall = 1,
                                      .longest = INT64_MAX,
                                      ID("a.py::test_with_a_name_that_is_longer_than_anybody_would_"
                                         "ever_want_to_see_in_one_line_of_figures")};
    ck_assert_ptr_nonnull(strstr(line_of(input), "... 9223372037 s"));
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, known_figures);
    tcase_add_test(tests, one_worker_and_one_test_are_singular);
    tcase_add_test(tests, a_run_without_tests_or_time_has_counts_only);
    tcase_add_test(tests, a_worker_without_work_counts_against_the_ideal);
    tcase_add_test(tests, replacements_do_not_raise_the_ideal);
    tcase_add_test(tests, odd_times_stay_in_range);
    tcase_add_test(tests, many_workers_are_a_range);
    tcase_add_test(tests, durations_have_three_digits_at_most);
    tcase_add_test(tests, a_name_is_one_short_piece_of_a_line);
    tcase_add_test(tests, a_small_buffer_cuts_and_never_overflows);
    tcase_add_test(tests, the_longest_line_fits);
}

int main(void)
{
    return harness_run("metrics", 10, add);
}
