#include "store/outcomes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    char letter;
    const char *text;
} outcomes[] = {
#define X(name, letter, text) {letter, text},
    PHX_OUTCOMES(X)
#undef X
};

enum { NOUTCOMES = sizeof outcomes / sizeof *outcomes };

int phx_outcome_index(char letter)
{
    for (int i = 0; i < NOUTCOMES; i++)
        if (outcomes[i].letter == letter)
            return i;
    return 0;
}

char phx_outcome_at(int index)
{
    return (char)(index >= 0 && index < NOUTCOMES ? outcomes[index].letter : '\0');
}

int phx_outcome_valid(char letter)
{
    return phx_outcome_index(letter) > 0 && letter != PHX_OUTCOME_RERUN;
}

enum phx_outcome_kind phx_outcome_kind(char letter)
{
    switch (letter) {
    case PHX_OUTCOME_PASSED:
    case PHX_OUTCOME_XFAILED:
    case PHX_OUTCOME_XPASSED:
        return PHX_OUTCOME_GOOD;
    case PHX_OUTCOME_FAILED:
    case PHX_OUTCOME_ERROR:
    case PHX_OUTCOME_FLAKY:
    case PHX_OUTCOME_CRASHED:
        return PHX_OUTCOME_BAD;
    default:
        return PHX_OUTCOME_NONE;
    }
}

const char *phx_outcome_text(char letter)
{
    return outcomes[phx_outcome_index(letter)].text;
}

char phx_outcome_combined(char earlier, char later)
{
    int is_settled = earlier == PHX_OUTCOME_FAILED || earlier == PHX_OUTCOME_CRASHED ||
                     (earlier == PHX_OUTCOME_ERROR && later != PHX_OUTCOME_CRASHED);
    if (later == PHX_OUTCOME_UNKNOWN || is_settled)
        return earlier;
    if ((earlier == PHX_OUTCOME_RERUN || earlier == PHX_OUTCOME_FLAKY) &&
        later == PHX_OUTCOME_PASSED)
        return PHX_OUTCOME_FLAKY;
    return later;
}

static void drop(struct phx_outcomes *list, uint32_t at)
{
    uint32_t behind = list->count - at - 1;
    memmove(list->letter + at, list->letter + at + 1, behind);
    memmove(list->run + at, list->run + at + 1, behind * sizeof *list->run);
    list->count--;
}

void phx_outcomes_push(struct phx_outcomes *list, char letter, int64_t run)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->run[i] == run) {
            drop(list, i);
            break;
        }
    }
    if (list->count == PHX_OUTCOMES_MAX)
        list->count--;
    memmove(list->letter + 1, list->letter, list->count);
    memmove(list->run + 1, list->run, list->count * sizeof *list->run);
    list->letter[0] = letter;
    list->run[0] = run;
    list->count++;
}

/* The number at *at, moved behind it; 0 when there is none that fits. */
static int64_t number(const char *text, size_t size, size_t *at)
{
    int64_t value = 0;
    while (*at < size && text[*at] >= '0' && text[*at] <= '9') {
        int digit = text[(*at)++] - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return 0;
    }
    return value;
}

int phx_outcomes_parse(struct phx_outcomes *out, const char *text, size_t size)
{
    struct phx_outcomes list = {0};
    out->count = 0;
    for (size_t at = 0; at < size;) {
        if (list.count == PHX_OUTCOMES_MAX || !phx_outcome_valid(text[at]))
            return -EINVAL;
        list.letter[list.count] = text[at++];
        list.run[list.count] = number(text, size, &at);
        if (list.run[list.count++] == 0)
            return -EINVAL;
        if (at == size)
            break;
        if (text[at++] != ' ' || at == size)
            return -EINVAL;
    }
    *out = list;
    return 0;
}

size_t phx_outcomes_format(const struct phx_outcomes *list, char *out)
{
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < list->count; i++)
        used += (size_t)snprintf(out + used, PHX_OUTCOMES_TEXT_MAX - used, "%s%c%lld", i ? " " : "",
                                 list->letter[i], (long long)list->run[i]);
    return used;
}

uint32_t phx_outcomes_changes(const struct phx_outcomes *list, int64_t since)
{
    uint32_t changes = 0;
    enum phx_outcome_kind last = PHX_OUTCOME_NONE;
    for (uint32_t i = 0; i < list->count && list->run[i] >= since; i++) {
        enum phx_outcome_kind kind = phx_outcome_kind(list->letter[i]);
        if (kind == PHX_OUTCOME_NONE)
            continue;
        changes += last != PHX_OUTCOME_NONE && kind != last;
        last = kind;
    }
    return changes;
}

int phx_outcomes_any_bad(const struct phx_outcomes *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (phx_outcome_kind(list->letter[i]) == PHX_OUTCOME_BAD)
            return 1;
    return 0;
}

int phx_outcomes_flaky(const struct phx_outcomes *list, int64_t since)
{
    for (uint32_t i = 0; i < list->count && list->run[i] >= since; i++)
        if (list->letter[i] == PHX_OUTCOME_FLAKY)
            return 1;
    return phx_outcomes_changes(list, since) > 1;
}
