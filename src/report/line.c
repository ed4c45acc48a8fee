#include "report/line.h"

#include <stdarg.h>
#include <stdio.h>

struct phx_line phx_line_in(char *text, size_t size)
{
    text[0] = '\0';
    return (struct phx_line){.text = text, .size = size};
}

void phx_line_put(struct phx_line *line, const char *format, ...)
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

void phx_line_put_decimal(struct phx_line *line, uint64_t value, int digits)
{
    uint64_t unit = 1;
    for (int i = 0; i < digits; i++)
        unit *= 10;
    phx_line_put(line, "%llu.%0*llu", (unsigned long long)(value / unit), digits,
                 (unsigned long long)(value % unit));
}

/* A share that makes no sense is cut: the conversion must be defined. */
uint64_t phx_line_hundredths(double share)
{
    return share < 1e12 ? (uint64_t)(share * 100 + 0.5) : (uint64_t)1e14;
}

unsigned phx_line_percent(double share)
{
    uint64_t value = phx_line_hundredths(share);
    return value < UINT32_MAX ? (unsigned)value : UINT32_MAX;
}

static uint64_t rounded(phx_ns value, phx_ns unit)
{
    return value > 0 ? ((uint64_t)value + (uint64_t)unit / 2) / (uint64_t)unit : 0;
}

void phx_line_put_duration(struct phx_line *line, phx_ns duration)
{
    if (rounded(duration, PHX_MS / 10) < 100) {
        phx_line_put_decimal(line, rounded(duration, PHX_MS / 10), 1);
        phx_line_put(line, " ms");
    } else if (rounded(duration, PHX_MS) < 1000) {
        phx_line_put(line, "%llu ms", (unsigned long long)rounded(duration, PHX_MS));
    } else if (rounded(duration, PHX_S / 10) < 1000) {
        phx_line_put_decimal(line, rounded(duration, PHX_S / 10), 1);
        phx_line_put(line, " s");
    } else {
        phx_line_put(line, "%llu s", (unsigned long long)rounded(duration, PHX_S));
    }
}

void phx_line_put_name(struct phx_line *line, const char *name, size_t whole, size_t most)
{
    size_t size = whole;
    if (whole > most) {
        size = most - 3;
        while (size > 0 && ((unsigned char)name[size] & 0xC0) == 0x80)
            size--;
    }
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)name[i];
        phx_line_put(line, "%c", byte < ' ' || byte == 0x7F ? '?' : byte);
    }
    if (size < whole)
        phx_line_put(line, "...");
}
