#include "sched/match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

/* A list of the ids in `text`, which are separated by blanks. */
static struct phx_collection list_of(const char *text)
{
    struct phx_collection list;
    phx_collection_init(&list);
    while (*text) {
        size_t size = strcspn(text, " ");
        ck_assert_int_eq(phx_collection_add(&list, text, size, NULL, 0), 0);
        text += size + (text[size] == ' ');
    }
    return list;
}

/* Checks what phx_match says of two lists: `expected` are the places, "same" for the same order, or
 * "other" for other tests. */
static void check_match(const char *reference, const char *other, const char *expected)
{
    struct phx_collection a = list_of(reference), b = list_of(other);
    uint32_t *places = (uint32_t *)&a; /* untouched unless it says 1 */
    char text[256] = "other";
    int status = phx_match(&a, &b, &places);
    ck_assert_int_ge(status, 0);
    if (status == 0) {
        ck_assert_ptr_eq(places, &a);
    } else if (!places) {
        strcpy(text, "same");
    } else {
        size_t used = 0;
        for (uint32_t i = 0; i < phx_collection_count(&a); i++)
            used +=
                (size_t)snprintf(text + used, sizeof text - used, "%s%u", i ? " " : "", places[i]);
        free(places);
    }
    ck_assert_str_eq(text, expected);
    phx_collection_fini(&a);
    phx_collection_fini(&b);
}

START_TEST(lists_are_compared_by_id_and_occurrence)
{
    check_match("", "", "same");
    check_match("a b c", "a b c", "same");
    check_match("a b c", "c a b", "1 2 0");
    check_match("a x a b a", "a a b a x", "0 4 1 2 3"); /* equal ids keep their order */
    check_match("x a x", "a x x", "1 0 2");
    check_match("a b", "a", "other");
    check_match("a", "a b", "other");
    check_match("a b", "a c", "other");
    check_match("a a b", "a b b", "other");
    check_match("a bb", "aa b", "other");
}
END_TEST

/* Checks both: what phx_match_part says of two lists ("lacks some", or places), and what
 * phx_match_join makes of them: the list that `joined` says, and places ("-": nowhere). */
static void check_part(const char *all, const char *other, const char *part, const char *joined)
{
    struct phx_collection a = list_of(all), b = list_of(other);
    uint32_t *places = NULL;
    char text[256] = "lacks some";
    int status = phx_match_part(&a, &b, &places);
    ck_assert_int_ge(status, 0);
    for (int joining = 0; joining < 2; joining++) {
        size_t used = 0;
        for (uint32_t i = 0; places && i < phx_collection_count(&a); i++) {
            used += (size_t)snprintf(text + used, sizeof text - used, "%s", i ? " " : "");
            if (joining)
                used += (size_t)snprintf(text + used, sizeof text - used,
                                         "%s:", phx_collection_node_id(&a, i, NULL));
            used += places[i] == PHX_MATCH_NOWHERE
                        ? (size_t)snprintf(text + used, sizeof text - used, "-")
                        : (size_t)snprintf(text + used, sizeof text - used, "%u", places[i]);
        }
        free(places);
        places = NULL;
        ck_assert_str_eq(text, joining ? joined : part);
        if (!joining)
            ck_assert_int_eq(phx_match_join(&a, &b, &places), 0);
    }
    phx_collection_fini(&a);
    phx_collection_fini(&b);
}

START_TEST(lists_of_other_tests_are_joined)
{
    check_part("a b", "b", "- 0", "a:- b:0");
    check_part("a b", "b a", "1 0", "a:1 b:0");
    check_part("a b", "c b d", "lacks some", "a:- b:1 c:0 d:2");
    check_part("a x a", "a a a", "lacks some", "a:0 x:- a:1 a:2"); /* each of equal ids counts */
    check_part("a a", "a", "0 -", "a:0 a:-");
    check_part("b", "d c a", "lacks some", "b:- d:0 c:1 a:2"); /* in the order of the other list */
    check_part("a", "", "-", "a:-");
}
END_TEST

START_TEST(what_is_joined_has_its_group_and_its_limit)
{
    struct phx_collection a = list_of("a"), b = list_of("a b");
    uint32_t *places = NULL;
    ck_assert_int_eq(phx_collection_limit(&b, "db", 2, 3), 0);
    ck_assert_int_eq(phx_collection_add(&b, "c", 1, "g", 1), 0);
    ck_assert_int_eq(phx_match_join(&a, &b, &places), 0);
    ck_assert_str_eq(phx_collection_group(&a, 2, NULL), "g");
    ck_assert_ptr_null(phx_collection_group(&a, 1, NULL));
    uint32_t limit = phx_collection_limit_of(&a, 1);
    ck_assert_uint_gt(limit, 0);
    ck_assert_uint_eq(a.limits[limit - 1].permits, 3);
    ck_assert_uint_eq(phx_collection_limit_of(&a, 2), 0);
    free(places);
    phx_collection_fini(&a);
    phx_collection_fini(&b);
}
END_TEST

/* Any shuffle is undone: the oracle is the ids themselves. */
START_TEST(every_test_is_found_where_it_is)
{
    enum { COUNT = 3000 };
    static uint32_t order[COUNT];
    struct phx_collection a, b;
    char id[32];
    phx_collection_init(&a);
    phx_collection_init(&b);
    for (uint32_t i = 0; i < COUNT; i++)
        order[i] = i;
    for (uint32_t i = COUNT - 1, seed = 7; i > 0; i--) {
        seed = seed * 1664525 + 1013904223;
        uint32_t j = (seed >> 8) % (i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        size_t size = (size_t)snprintf(id, sizeof id, "test_%u", i);
        ck_assert_int_eq(phx_collection_add(&a, id, size, NULL, 0), 0);
        size = (size_t)snprintf(id, sizeof id, "test_%u", order[i]);
        ck_assert_int_eq(phx_collection_add(&b, id, size, NULL, 0), 0);
    }
    uint32_t *places = NULL;
    ck_assert_int_eq(phx_match(&a, &b, &places), 1);
    ck_assert_ptr_nonnull(places);
    for (uint32_t i = 0; i < COUNT; i++)
        ck_assert_uint_eq(order[places[i]], i);
    free(places);
    phx_collection_fini(&a);
    phx_collection_fini(&b);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, lists_are_compared_by_id_and_occurrence);
    tcase_add_test(tests, lists_of_other_tests_are_joined);
    tcase_add_test(tests, what_is_joined_has_its_group_and_its_limit);
    tcase_add_test(tests, every_test_is_found_where_it_is);
}

int main(void)
{
    return harness_run("match", 20, add);
}
