/* Where the tests of one collection stand in another one.
 *
 * Workers that collect for themselves may find the same tests in another order (a set, a directory
 * listing). Tests are the same by node id and occurrence: the second `test_a[x]` of one list is the
 * second one of the other.
 *
 * With --dist each the lists may be of different tests: then all that is in any of them is one list
 * more, and each worker's is a part of it.
 *
 * Runs in the controller; pure functions. */
#ifndef PHX_SCHED_MATCH_H
#define PHX_SCHED_MATCH_H

#include <stdint.h>

#include "sched/collection.h"

/* Whether both lists have the same node ids in the same order. */
int phx_match_in_order(const struct phx_collection *a, const struct phx_collection *b);

/* Compares `other` with `reference`.
 * out_places  set when the result is 1: NULL if the lists are the same in order too, else for each
 *             test of the reference its place in the other list; the caller frees it
 * Returns     1 the same tests; 0 not the same; -ENOMEM */
int phx_match(const struct phx_collection *reference, const struct phx_collection *other,
              uint32_t **out_places);

#define PHX_MATCH_NOWHERE UINT32_MAX /* the place of a test that the list has not */

/* Compares `other` with `all`, which may have more tests.
 * out_places  set when the result is 1: for each test of `all` its place in the other list, or
 *             PHX_MATCH_NOWHERE; the caller frees it
 * Returns     1 all tests of the other list are in `all`; 0 not all; -ENOMEM */
int phx_match_part(const struct phx_collection *all, const struct phx_collection *other,
                   uint32_t **out_places);

/* Appends to `all` what it lacks of the other list, in the order of that; then as phx_match_part.
 * Returns 0, -ENOMEM, or PHX_E_TOOBIG: then `all` may have some of it. */
int phx_match_join(struct phx_collection *all, const struct phx_collection *other,
                   uint32_t **out_places);

#endif
