/* Lines of text with figures in them, independent of the locale, cut where they do not fit.
 *
 * Runs in any process; pure functions. */
#ifndef PHX_REPORT_LINE_H
#define PHX_REPORT_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

struct phx_line {
    char *text; /* borrowed; always ends with a NUL */
    size_t size, used;
};

/* An empty line in `text` (`size` >= 1). */
struct phx_line phx_line_in(char *text, size_t size);

__attribute__((format(printf, 2, 3))) void phx_line_put(struct phx_line *line, const char *format,
                                                        ...);

/* value / 10^digits in decimal: "%f" would follow the locale of whatever Python loaded. */
void phx_line_put_decimal(struct phx_line *line, uint64_t value, int digits);

/* Three digits where they mean something: 4.2 ms, 345 ms, 12.3 s, 321 s. Negative counts as 0. */
void phx_line_put_duration(struct phx_line *line, phx_ns duration);

/* A text of somebody else's, on one line in any case, cut between two characters of UTF-8 after at
 * most `most` bytes. */
void phx_line_put_name(struct phx_line *line, const char *name, size_t size, size_t most);

/* share * 100, and * 10000, to the nearest; defined for every share. */
unsigned phx_line_percent(double share);
uint64_t phx_line_hundredths(double share);

#endif
