#include "sched/repeat.h"

#include <string.h>

/* Reads the decimal number that ends before `end`. Returns where its digits begin, or `end` when
 * there are none, or more than a count of tests can have. */
static size_t number_before(const char *text, size_t end, uint32_t *out)
{
    uint32_t value = 0, unit = 1;
    size_t at = end;
    while (at > 0 && text[at - 1] >= '0' && text[at - 1] <= '9') {
        if (end - at == 8)
            return end;
        value += unit * (uint32_t)(text[--at] - '0');
        unit *= 10;
    }
    *out = value;
    return at;
}

int phx_repeat_of(const char *node_id, size_t size, struct phx_repeat *out)
{
    uint32_t index, total;
    if (size == 0 || node_id[size - 1] != ']')
        return 0;
    size_t total_at = number_before(node_id, size - 1, &total);
    if (total_at == size - 1 || total_at == 0 || node_id[total_at - 1] != '-')
        return 0;
    size_t index_at = number_before(node_id, total_at - 1, &index);
    if (index_at == total_at - 1 || index_at == 0)
        return 0;
    char before = node_id[index_at - 1];
    if ((before != '[' && before != '-') || index < 1 || total < 2 || index > total)
        return 0;
    *out = (struct phx_repeat){.base_size = index_at - 1, .index = index, .total = total};
    return 1;
}

size_t phx_repeat_base(char *out, size_t max, const char *node_id, const struct phx_repeat *repeat)
{
    size_t size = repeat->base_size < max ? repeat->base_size : max;
    memcpy(out, node_id, size);
    if (node_id[repeat->base_size] == '-' && size < max) /* parameters: `[a-3-10]` */
        out[size++] = ']';
    return size;
}

/* ---- dealing ---- */

static int repeat_of_unit(const struct phx_units *units, const struct phx_collection *tests,
                          uint32_t unit, const char **out_node_id, struct phx_repeat *out)
{
    size_t size;
    *out_node_id = phx_collection_node_id(tests, units->tests[units->start[unit]], &size);
    return phx_repeat_of(*out_node_id, size, out);
}

/* Whether unit and the one after it are repetitions of one test. */
static int are_side_by_side(const struct phx_units *units, const struct phx_collection *tests,
                            uint32_t unit)
{
    const char *id, *next_id;
    struct phx_repeat repeat, next;
    return unit + 1 < units->nunits && repeat_of_unit(units, tests, unit, &id, &repeat) &&
           repeat_of_unit(units, tests, unit + 1, &next_id, &next) &&
           repeat.base_size == next.base_size && repeat.total == next.total &&
           memcmp(id, next_id, repeat.base_size) == 0;
}

/* Deals the repetitions. Returns how many there are. */
static uint32_t deal_repetitions(uint32_t *sequence, uint32_t *owner, const struct phx_units *units,
                                 const struct phx_collection *tests, uint32_t nspans)
{
    uint32_t dealt = 0, turn = 0;
    int before = 0;
    for (uint32_t unit = 0; unit < units->nunits; unit++) {
        const char *id;
        struct phx_repeat repeat;
        int after = are_side_by_side(units, tests, unit);
        if (repeat_of_unit(units, tests, unit, &id, &repeat)) {
            sequence[dealt] = unit;
            owner[dealt++] = (before || after ? turn++ : repeat.index - 1) % nspans;
        }
        before = after;
    }
    return dealt;
}

/* Deals all others, in collection order: each span takes units until it has a fair share. */
static void deal_rest(uint32_t *sequence, uint32_t *owner, const struct phx_units *units,
                      const struct phx_collection *tests, uint32_t nspans, uint32_t dealt)
{
    uint64_t left = 0, load = 0;
    uint32_t first = dealt, span = 0;
    for (uint32_t unit = 0; unit < units->nunits; unit++) {
        const char *id;
        struct phx_repeat repeat;
        if (repeat_of_unit(units, tests, unit, &id, &repeat))
            continue;
        sequence[dealt++] = unit;
        left += units->cost[unit];
    }
    for (uint32_t i = first; i < dealt; i++) {
        uint64_t share = left / (nspans - span);
        owner[i] = span;
        load += units->cost[sequence[i]];
        if (load >= share && span + 1 < nspans) {
            left -= load;
            load = 0;
            span++;
        }
    }
}

int phx_repeat_deal(uint32_t *sequence, uint32_t *owner, const struct phx_units *units,
                    const struct phx_collection *tests, uint32_t nspans)
{
    uint32_t dealt = deal_repetitions(sequence, owner, units, tests, nspans);
    if (dealt == 0)
        return 0;
    deal_rest(sequence, owner, units, tests, nspans, dealt);
    return 1;
}
