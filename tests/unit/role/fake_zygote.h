/* What the fake zygote's workers write into their messages, and the script that it plays.
 *
 * The set-up value is a text of tokens separated by blanks:
 *
 *     items=N              tests to collect (generation 1 and all others)
 *     start=N              it becomes worker N at once, by no fork
 *     z=GENERATION:WHEN:DEED
 *                          of a zygote; WHEN is start, items (sent), collected (sent), fork (a
 *                          request came), forked (and is settled); here:fork forks before it
 *                          collects, here:refuse says that it cannot be forked
 *     t=TEST:WHEN:DEED     of the worker that runs TEST; WHEN is setup, call, or teardown, where
 *                          the next test is claimed already
 *     w=NUMBER:WHEN:DEED   of a worker; WHEN is armed, items and collected (of one that collects
 *                          for itself), finished (FINISHED is sent), or turn, before it turns from
 *                          an interpreter into this worker
 *
 * Deeds of a test: dueN (its deadline is in N ms; then the worker survives the signal for its
 * stacks, and writes "stacks" for them), lift (of that deadline). Deeds of any: napN (N ms), sigN,
 * exitN, stop (by SIGSTOP), pause (for ever), gate (until the file is gone), garbage (on the
 * channel, then pause). The others stand where they are done. */
#ifndef PHX_TEST_FAKE_ZYGOTE_H
#define PHX_TEST_FAKE_ZYGOTE_H

#include <stdint.h>

/* Files in the directory that this variable names: `count` has a byte for each zygote so far,
 * `gate` closes the gate. */
#define FAKE_DIRECTORY "PHX_TEST_DIRECTORY"

#define FAKE_GARBAGE "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

struct fake_note {       /* body of a worker's messages */
    uint32_t seq;        /* counts this worker's messages */
    uint32_t test;       /* UINT32_MAX: none */
    uint32_t pid, phase; /* of REPORT */
};

#endif
