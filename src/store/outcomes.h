/* How a test ended in the last runs: a short list, newest first, and what can be told from it.
 *
 * In the database it is a text that a person can read, too: a letter and the number of the run,
 *
 *     ".412 F409 .408"        passed in run 412, failed in 409 (411 and 410 did not run it)
 *
 * Runs in any process; pure functions. */
#ifndef PHX_STORE_OUTCOMES_H
#define PHX_STORE_OUTCOMES_H

#include <stddef.h>
#include <stdint.h>

/* name, letter, what people call it. The letters are pytest's where it has one. This is the one
 * list of what a test can come to. UNKNOWN and RERUN are never in a history. */
#define PHX_OUTCOMES(X)                                                                            \
    X(UNKNOWN, ' ', "unknown") /* no report has said */                                            \
    X(PASSED, '.', "passed")                                                                       \
    X(FAILED, 'F', "failed")                                                                       \
    X(ERROR, 'E', "error")                                                                         \
    X(SKIPPED, 's', "skipped")                                                                     \
    X(XFAILED, 'x', "xfailed")                                                                     \
    X(XPASSED, 'X', "xpassed")                                                                     \
    X(FLAKY, 'R', "flaky") /* it failed and passed in one run */                                   \
    X(RERUN, 'r', "rerun") /* one run of a test that another one followed */                       \
    X(CRASHED, 'C', "crashed")

enum phx_outcome {
#define X(name, letter, text) PHX_OUTCOME_##name = (letter),
    PHX_OUTCOMES(X)
#undef X
};

/* What an outcome tells about a test's time and its health. */
enum phx_outcome_kind {
    PHX_OUTCOME_GOOD, /* passed, xfailed, xpassed */
    PHX_OUTCOME_BAD,  /* failed, error, crashed, and those that passed as well: FLAKY */
    PHX_OUTCOME_NONE, /* skipped, or unknown: it says nothing */
};

enum { PHX_OUTCOMES_MAX = 20, PHX_OUTCOMES_TEXT_MAX = PHX_OUTCOMES_MAX * 22 };

struct phx_outcomes { /* newest first */
    uint32_t count;
    char letter[PHX_OUTCOMES_MAX]; /* enum phx_outcome */
    int64_t run[PHX_OUTCOMES_MAX]; /* the run's number, > 0 */
};

/* Whether a byte is a letter that a history may hold. */
int phx_outcome_valid(char letter);

/* Its place in the list above, from 0; 0 for what is no letter. */
int phx_outcome_index(char letter);
enum phx_outcome_kind phx_outcome_kind(char letter);
const char *phx_outcome_text(char letter); /* never NULL */

/* What a test came to, of which one phase said `later` after others had said `earlier`: a failure
 * is what remains, whatever else it reports; passing after a try that failed is told apart. */
char phx_outcome_combined(char earlier, char later);

/* The letter at a place, or 0 behind the last one. */
char phx_outcome_at(int index);

/* Puts an outcome in front; the oldest one falls out. A run that is there already is replaced. */
void phx_outcomes_push(struct phx_outcomes *list, char letter, int64_t run);

/* Reads the text. Returns 0, or -EINVAL for a text that is none (*out is then empty). */
int phx_outcomes_parse(struct phx_outcomes *out, const char *text, size_t size);

/* Writes the text into `out` of PHX_OUTCOMES_TEXT_MAX bytes. Returns its length, without NUL. */
size_t phx_outcomes_format(const struct phx_outcomes *list, char *out);

/* How often a test changed between good and bad in its outcomes of runs >= `since`, skips left
 * aside: once is a defect or its repair, more often is what people call flaky. */
uint32_t phx_outcomes_changes(const struct phx_outcomes *list, int64_t since);

/* Whether one of all its outcomes is a bad one. */
int phx_outcomes_any_bad(const struct phx_outcomes *list);

/* Whether a test is flaky by the runs >= `since`: it changed more than once, or failed and passed
 * in one of them (it was run again, or repeated). */
int phx_outcomes_flaky(const struct phx_outcomes *list, int64_t since);

#endif
