#include "report/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sched/scope.h"

enum {
    LISTED_MAX = 16, /* workers whose utilisation is listed one by one */
    NAME_MAX_BYTES = 60,
};

/* ---- figures ---- */

static double share_of(phx_ns part, phx_ns whole)
{
    return part > 0 && whole > 0 ? (double)part / (double)whole : 0;
}

double phx_metrics_utilisation(const struct phx_metrics_input *input, uint32_t i)
{
    double share = share_of(input->workers[i].busy, input->wall);
    return share > 1 ? 1 : share; /* the clocks are read at slightly different moments */
}

void phx_metrics_compute(struct phx_metrics *out, const struct phx_metrics_input *input)
{
    struct phx_metrics m = {.nparallel = input->nparallel ? input->nparallel : input->nworkers};
    for (uint32_t i = 0; i < input->nworkers; i++) {
        double share = phx_metrics_utilisation(input, i);
        m.ntests += input->workers[i].ntests;
        if (input->workers[i].busy > 0 &&
            __builtin_add_overflow(m.busy, input->workers[i].busy, &m.busy))
            m.busy = INT64_MAX; /* shared memory may hold anything after a crash */
        m.busy_min = i == 0 || share < m.busy_min ? share : m.busy_min;
        m.busy_max = share > m.busy_max ? share : m.busy_max;
    }
    m.speedup = share_of(m.busy, input->wall);
    m.share = m.nparallel ? m.speedup / m.nparallel : 0;
    *out = m;
}

/* ---- the line ---- */

struct line {
    char *text;
    size_t size, used;
};

__attribute__((format(printf, 2, 3))) static void put(struct line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int more = vsnprintf(line->text + line->used, line->size - line->used, format, args);
    va_end(args);
    if (more < 0)
        return;
    size_t room = line->size - line->used - 1;
    line->used += (size_t)more < room ? (size_t)more : room;
}

/* Puts value / 10^digits in decimal: "%f" would follow the locale of whatever Python loaded. */
static void put_decimal(struct line *line, uint64_t value, int digits)
{
    uint64_t unit = 1;
    for (int i = 0; i < digits; i++)
        unit *= 10;
    put(line, "%llu.%0*llu", (unsigned long long)(value / unit), digits,
        (unsigned long long)(value % unit));
}

/* share * 100 to the nearest; a share that makes no sense is cut: the conversion must be defined.
 */
static uint64_t hundredths(double share)
{
    return share < 1e12 ? (uint64_t)(share * 100 + 0.5) : (uint64_t)1e14;
}

static unsigned percent(double share)
{
    uint64_t value = hundredths(share);
    return value < UINT32_MAX ? (unsigned)value : UINT32_MAX;
}

static uint64_t rounded(phx_ns value, phx_ns unit)
{
    return ((uint64_t)value + (uint64_t)unit / 2) / (uint64_t)unit;
}

/* Three digits where they mean something: 4.2 ms, 345 ms, 12.3 s, 321 s. */
static void put_duration(struct line *line, phx_ns duration)
{
    if (rounded(duration, PHX_MS / 10) < 100) {
        put_decimal(line, rounded(duration, PHX_MS / 10), 1);
        put(line, " ms");
    } else if (rounded(duration, PHX_MS) < 1000) {
        put(line, "%llu ms", (unsigned long long)rounded(duration, PHX_MS));
    } else if (rounded(duration, PHX_S / 10) < 1000) {
        put_decimal(line, rounded(duration, PHX_S / 10), 1);
        put(line, " s");
    } else {
        put(line, "%llu s", (unsigned long long)rounded(duration, PHX_S));
    }
}

static void put_utilisation(struct line *line, const struct phx_metrics_input *input,
                            const struct phx_metrics *m)
{
    put(line, ", busy ");
    if (input->nworkers > LISTED_MAX) {
        put(line, "%u to %u", percent(m->busy_min), percent(m->busy_max));
    } else {
        for (uint32_t i = 0; i < input->nworkers; i++)
            put(line, "%s%u", i ? "/" : "", percent(phx_metrics_utilisation(input, i)));
    }
    put(line, " %%");
}

/* Puts the last part of a node id, cut between two characters of UTF-8, one line in any case. */
static void put_name(struct line *line, const char *node_id, size_t node_id_size)
{
    char name[NAME_MAX_BYTES + 1];
    size_t whole;
    const char *from = phx_scope_test_name(node_id, node_id_size, &whole);
    size_t size = whole;
    if (whole > NAME_MAX_BYTES) {
        size = NAME_MAX_BYTES - 3;
        while (size > 0 && ((unsigned char)from[size] & 0xC0) == 0x80)
            size--;
    }
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)from[i];
        name[i] = (char)(byte < ' ' || byte == 0x7F ? '?' : byte);
    }
    name[size] = '\0';
    put(line, "%s%s", name, size < whole ? "..." : "");
}

size_t phx_metrics_format(char *out, size_t size, const struct phx_metrics_input *input)
{
    if (size == 0)
        return 0;
    out[0] = '\0';
    struct line line = {.text = out, .size = size};
    struct phx_metrics m;
    phx_metrics_compute(&m, input);
    put(&line, "%u worker%s, %llu test%s", m.nparallel, m.nparallel == 1 ? "" : "s",
        (unsigned long long)m.ntests, m.ntests == 1 ? "" : "s");
    if (m.ntests == 0 || input->wall <= 0)
        return line.used;
    put(&line, ": ");
    put_decimal(&line, hundredths(m.speedup), 2);
    put(&line, "x of %u (%u %%)", m.nparallel, percent(m.share));
    put_utilisation(&line, input, &m);
    if (input->longest_id && input->longest > 0) {
        put(&line, ", longest ");
        put_name(&line, input->longest_id, input->longest_id_size);
        put(&line, " ");
        put_duration(&line, input->longest);
    }
    return line.used;
}
