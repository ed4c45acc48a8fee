/* Repetitions: the same test many times over, as --count and pytest-repeat make it.
 *
 * A repetition is known by the end of its node id: `test_a.py::test_x[3-10]` is the third of ten,
 * `test_a.py::test_x[param-3-10]` as well. Repetitions expose races when they run at the same time,
 * so they are dealt to the workers like cards; other tests keep the neighbours they had.
 *
 * Runs in the controller; pure functions. */
#ifndef PHX_SCHED_REPEAT_H
#define PHX_SCHED_REPEAT_H

#include <stddef.h>
#include <stdint.h>

#include "sched/collection.h"
#include "sched/units.h"

struct phx_repeat {
    size_t base_size; /* bytes of the node id before `[3-10]` or `-3-10]` */
    uint32_t index;   /* 1 to total */
    uint32_t total;   /* >= 2 */
};

/* Reads the end of a node id. Returns 1 with *out, or 0 when it names no repetition. */
int phx_repeat_of(const char *node_id, size_t size, struct phx_repeat *out);

/* Writes the node id of the test that `node_id` repeats: `test_x[a]` for `test_x[a-3-10]`, of which
 * phx_repeat_of has said `repeat`. At most `max` bytes of it, without a zero behind them; a node id
 * is never shorter. Returns how many. */
size_t phx_repeat_base(char *out, size_t max, const char *node_id, const struct phx_repeat *repeat);

/* Deals units of one test each. Repetitions come first: those that stand side by side (scope
 * function) go to one span after the other; where whole classes, modules or sessions are repeated,
 * repetition k goes to span k modulo nspans, so that the same tests meet there too. The rest
 * follows in contiguous parts of about equal cost.
 *
 * sequence  [units->nunits]: units in the order of dealing
 * owner     [units->nunits]: the span of the unit at that place in `sequence`
 * Returns   1, or 0 (nothing set) when there is no repetition among the tests. */
int phx_repeat_deal(uint32_t *sequence, uint32_t *owner, const struct phx_units *units,
                    const struct phx_collection *tests, uint32_t nspans);

#endif
