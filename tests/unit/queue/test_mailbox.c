#include "queue/mailbox.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

enum { NWORKERS = 2 };

static struct phx_mailboxes boxes;
static void *mem;

static void start(void)
{
    size_t size = phx_mailbox_size(NWORKERS);
    mem = aligned_alloc(64, size);
    ck_assert_ptr_nonnull(mem);
    memset(mem, 0, size);
    phx_mailbox_attach(&boxes, mem, NWORKERS);
}

static void post(uint32_t worker, uint32_t position)
{
    ck_assert_uint_eq(phx_mailbox_post(&boxes, worker, &position, 1), 1);
}

static void takes(uint32_t worker, uint32_t expected)
{
    uint32_t position = UINT32_MAX;
    ck_assert_int_eq(phx_mailbox_take(&boxes, worker, &position), 1);
    ck_assert_uint_eq(position, expected);
}

START_TEST(letters_come_in_order_to_their_worker)
{
    uint32_t letters[] = {7, 0, 9}, position;
    start();
    ck_assert_int_eq(phx_mailbox_take(&boxes, 0, &position), 0);
    ck_assert_uint_eq(phx_mailbox_post(&boxes, 0, letters, 3), 3);
    post(1, 5);
    takes(0, 7);
    takes(0, 0);
    takes(1, 5);
    takes(0, 9);
    ck_assert_int_eq(phx_mailbox_take(&boxes, 0, &position), 0);
    ck_assert_int_eq(phx_mailbox_take(&boxes, 1, &position), 0);
    free(mem);
}
END_TEST

START_TEST(a_box_has_room_for_so_many_and_for_more_once_they_are_taken)
{
    uint32_t letters[PHX_MAILBOX_ROOM + 3];
    start();
    for (uint32_t i = 0; i < PHX_MAILBOX_ROOM + 3; i++)
        letters[i] = 100 + i;
    ck_assert_uint_eq(phx_mailbox_post(&boxes, 0, letters, PHX_MAILBOX_ROOM + 3), PHX_MAILBOX_ROOM);
    ck_assert_uint_eq(phx_mailbox_post(&boxes, 0, letters, 1), 0);
    takes(0, 100);
    takes(0, 101);
    ck_assert_uint_eq(phx_mailbox_post(&boxes, 0, letters + PHX_MAILBOX_ROOM, 3), 2);
    for (uint32_t i = 2; i < PHX_MAILBOX_ROOM + 2; i++)
        takes(0, 100 + i);
    free(mem);
}
END_TEST

START_TEST(a_letter_is_withdrawn_or_taken_never_both)
{
    uint32_t letters[] = {1, 2, 3, 4}, position;
    start();
    phx_mailbox_post(&boxes, 0, letters, 4);
    takes(0, 1);
    ck_assert_int_eq(phx_mailbox_withdraw(&boxes, 0, 1), 0); /* taken */
    ck_assert_int_eq(phx_mailbox_withdraw(&boxes, 0, 3), 1);
    ck_assert_int_eq(phx_mailbox_withdraw(&boxes, 0, 3), 0); /* withdrawn already */
    ck_assert_int_eq(phx_mailbox_withdraw(&boxes, 0, 8), 0); /* never sent */
    ck_assert_int_eq(phx_mailbox_withdraw(&boxes, 1, 4), 0); /* to somebody else */
    takes(0, 2);
    takes(0, 4);
    ck_assert_int_eq(phx_mailbox_take(&boxes, 0, &position), 0);
    free(mem);
}
END_TEST

START_TEST(shut_counts_after_the_last_letter)
{
    uint32_t position;
    start();
    post(0, 6);
    phx_mailbox_shut(&boxes, 0);
    takes(0, 6);
    ck_assert_int_eq(phx_mailbox_take(&boxes, 0, &position), -1);
    ck_assert_int_eq(phx_mailbox_take(&boxes, 1, &position), 0);
    free(mem);
}
END_TEST

START_TEST(the_bell_changes_with_every_posting_and_with_shut)
{
    start();
    uint32_t before = atomic_load(phx_mailbox_bell(&boxes, 0));
    post(0, 1);
    uint32_t after = atomic_load(phx_mailbox_bell(&boxes, 0));
    ck_assert_uint_ne(before, after);
    phx_mailbox_shut(&boxes, 0);
    ck_assert_uint_ne(after, atomic_load(phx_mailbox_bell(&boxes, 0)));
    ck_assert_uint_eq(atomic_load(phx_mailbox_bell(&boxes, 1)), 0);
    free(mem);
}
END_TEST

START_TEST(a_worker_waits_only_over_an_empty_open_box)
{
    start();
    ck_assert_int_eq(phx_mailbox_waits(&boxes, 0), 0);
    phx_mailbox_set_waiting(&boxes, 0, 1);
    ck_assert_int_eq(phx_mailbox_waits(&boxes, 0), 1);
    post(0, 1); /* it has not woken yet */
    ck_assert_int_eq(phx_mailbox_waits(&boxes, 0), 0);
    takes(0, 1);
    ck_assert_int_eq(phx_mailbox_waits(&boxes, 0), 1);
    phx_mailbox_shut(&boxes, 0);
    ck_assert_int_eq(phx_mailbox_waits(&boxes, 0), 0);
    free(mem);
}
END_TEST

/* A worker that has written nonsense over its counters gets no letters, and nobody leaves the box.
 */
START_TEST(damaged_counters_mean_no_room)
{
    start();
    post(0, 1);
    memset((char *)mem + 64, 0xa5, 4); /* taken */
    uint32_t letter = 2;
    ck_assert_uint_eq(phx_mailbox_post(&boxes, 0, &letter, 1), 0);
    free(mem);
}
END_TEST

enum { LETTERS = 200000 };
static unsigned char got[LETTERS];

static void *work(void *unused)
{
    uint32_t position;
    int status;
    while ((status = phx_mailbox_take(&boxes, 0, &position)) != -1)
        if (status == 1)
            got[position]++;
    return unused;
}

START_TEST(every_letter_arrives_once_whoever_is_faster)
{
    pthread_t thread;
    start();
    memset(got, 0, sizeof got);
    ck_assert_int_eq(pthread_create(&thread, NULL, work, NULL), 0);
    uint32_t withdrawn = 0;
    for (uint32_t letter = 0; letter < LETTERS; letter++) {
        while (phx_mailbox_post(&boxes, 0, &letter, 1) == 0) {
        }
        if (letter % 3 == 0 && phx_mailbox_withdraw(&boxes, 0, letter)) {
            withdrawn++;
            got[letter] += 100;
        }
    }
    phx_mailbox_shut(&boxes, 0);
    pthread_join(thread, NULL);
    uint32_t taken = 0;
    for (uint32_t letter = 0; letter < LETTERS; letter++) {
        ck_assert_msg(got[letter] == 1 || got[letter] == 100, "letter %u: %u", letter, got[letter]);
        taken += got[letter] == 1;
    }
    ck_assert_uint_eq(taken + withdrawn, LETTERS);
    free(mem);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, letters_come_in_order_to_their_worker);
    tcase_add_test(tests, a_box_has_room_for_so_many_and_for_more_once_they_are_taken);
    tcase_add_test(tests, a_letter_is_withdrawn_or_taken_never_both);
    tcase_add_test(tests, shut_counts_after_the_last_letter);
    tcase_add_test(tests, the_bell_changes_with_every_posting_and_with_shut);
    tcase_add_test(tests, a_worker_waits_only_over_an_empty_open_box);
    tcase_add_test(tests, damaged_counters_mean_no_room);
    tcase_add_test(tests, every_letter_arrives_once_whoever_is_faster);
}

int main(void)
{
    return harness_run("mailbox", 60, add);
}
