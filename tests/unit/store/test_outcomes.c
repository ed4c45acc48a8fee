#include "store/outcomes.h"

#include <errno.h>
#include <string.h>

#include "harness.h"

static struct phx_outcomes list;

static int parse(const char *text)
{
    return phx_outcomes_parse(&list, text, strlen(text));
}

static const char *format(void)
{
    static char text[PHX_OUTCOMES_TEXT_MAX];
    ck_assert_uint_eq(phx_outcomes_format(&list, text), strlen(text));
    return text;
}

START_TEST(the_newest_is_in_front_and_the_oldest_falls_out)
{
    list.count = 0;
    for (int run = 1; run <= PHX_OUTCOMES_MAX + 5; run++)
        phx_outcomes_push(&list, run % 2 ? '.' : 'F', run);
    ck_assert_uint_eq(list.count, PHX_OUTCOMES_MAX);
    ck_assert_int_eq(list.run[0], PHX_OUTCOMES_MAX + 5);
    ck_assert_int_eq(list.letter[0], '.');
    ck_assert_int_eq(list.run[PHX_OUTCOMES_MAX - 1], 6);
    phx_outcomes_push(&list, 'C', 10); /* a run is in there once */
    ck_assert_uint_eq(list.count, PHX_OUTCOMES_MAX);
    ck_assert_int_eq(list.run[0], 10);
    ck_assert_int_eq(list.letter[0], 'C');
    for (uint32_t i = 1; i < list.count; i++)
        ck_assert_int_ne(list.run[i], 10);
}
END_TEST

START_TEST(text_and_back)
{
    static const char *const texts[] = {"", ".1", ".412 F409 .408 R12 C11 s9 x8 X7 E6",
                                        ".9223372036854775807"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_assert_int_eq(parse(texts[i]), 0);
        ck_assert_str_eq(format(), texts[i]);
    }
    list.count = 0;
    for (int i = 0; i < PHX_OUTCOMES_MAX; i++)
        phx_outcomes_push(&list, 'F', INT64_MAX - i);
    char longest[PHX_OUTCOMES_TEXT_MAX];
    strcpy(longest, format());
    ck_assert_int_eq(parse(longest), 0);
    ck_assert_uint_eq(list.count, PHX_OUTCOMES_MAX);
}
END_TEST

START_TEST(every_outcome_has_a_letter_and_a_place_of_its_own)
{
    int i = 0;
    for (char letter; (letter = phx_outcome_at(i)) != '\0'; i++) {
        ck_assert_int_eq(phx_outcome_index(letter), i);
        int is_kept = letter != PHX_OUTCOME_UNKNOWN && letter != PHX_OUTCOME_RERUN;
        ck_assert_int_eq(phx_outcome_valid(letter), is_kept);
    }
    ck_assert_int_eq(i, 10);
    ck_assert_int_eq(phx_outcome_at(-1), 0);
    ck_assert_str_eq(phx_outcome_text('R'), "flaky");
    ck_assert_str_eq(phx_outcome_text('q'), "unknown");
    ck_assert_int_eq(phx_outcome_index('q'), 0);
    ck_assert_int_eq(phx_outcome_valid('q'), 0);
}
END_TEST

START_TEST(a_failure_is_what_remains_of_a_test)
{
    static const char *const reports[] = {/* three phases, and what remains of them */
                                          " . .", "E  E", " .EE", " FEF", "s  s", " ECC", " FCF",
                                          "rr.R", "rrFF", "r. R", "rrss", "r.EE", " x x", " X X"};
    for (size_t i = 0; i < sizeof reports / sizeof *reports; i++) {
        char letter = PHX_OUTCOME_UNKNOWN;
        for (int phase = 0; phase < 3; phase++)
            letter = phx_outcome_combined(letter, reports[i][phase]);
        ck_assert_msg(letter == reports[i][3], "%s: %c", reports[i], letter);
    }
    ck_assert_int_eq(phx_outcome_combined('R', '.'), 'R');
}
END_TEST

START_TEST(other_text_is_refused)
{
    static const char *const texts[] = {
        " ",
        ".",
        "1",
        ".0",
        ".1 ",
        ".1  .2",
        " .1",
        "?1",
        ".1.2",
        ".-1",
        ".99999999999999999999",
        ".1 .2 .3 .4 .5 .6 .7 .8 .9 .10 .11 .12 .13 .14 .15 .16 .17 .18 .19 .20 .21"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_assert_msg(parse(texts[i]) == -EINVAL, "'%s' was taken", texts[i]);
        ck_assert_uint_eq(list.count, 0);
    }
}
END_TEST

static uint32_t changes(const char *text, int64_t since)
{
    ck_assert_int_eq(parse(text), 0);
    return phx_outcomes_changes(&list, since);
}

START_TEST(changes_are_what_makes_a_test_flaky)
{
    ck_assert_uint_eq(changes("", 0), 0);
    ck_assert_uint_eq(changes(".3 .2 .1", 0), 0);
    ck_assert_uint_eq(changes("F3 C2 E1", 0), 0); /* broken, not flaky */
    ck_assert_uint_eq(changes(".3 F2 F1", 0), 1); /* repaired */
    ck_assert_uint_eq(changes(".3 F2 .1", 0), 2);
    ck_assert_uint_eq(changes(".4 s3 x2 X1", 0), 0);
    ck_assert_uint_eq(changes("F4 s3 s2 F1", 0), 0); /* a skip says nothing */
    ck_assert_uint_eq(changes(".4 F3 .2 F1", 3), 1); /* of the last two runs */
    ck_assert_int_eq(parse(".3 F2 .1"), 0);
    ck_assert(phx_outcomes_flaky(&list, 0));
    ck_assert(!phx_outcomes_flaky(&list, 2));
    ck_assert_int_eq(parse(".3 R2 .1"), 0);
    ck_assert(phx_outcomes_flaky(&list, 2));
    ck_assert(!phx_outcomes_flaky(&list, 3));
    ck_assert_int_eq(parse("F2 .1"), 0);
    ck_assert(!phx_outcomes_flaky(&list, 0));
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, the_newest_is_in_front_and_the_oldest_falls_out);
    tcase_add_test(tests, text_and_back);
    tcase_add_test(tests, every_outcome_has_a_letter_and_a_place_of_its_own);
    tcase_add_test(tests, a_failure_is_what_remains_of_a_test);
    tcase_add_test(tests, other_text_is_refused);
    tcase_add_test(tests, changes_are_what_makes_a_test_flaky);
}

int main(void)
{
    return harness_run("outcomes", 10, add);
}
