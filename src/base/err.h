/* Errors: one law for the whole engine.
 *
 * A function that can fail returns int: >= 0 is good; -errno for what the system said; one of our
 * own codes (below -4096, so that the two never meet) for the rest. Where a person must be told
 * more, the last parameter is a `struct phx_err *` that may be NULL; the lowest level that knows
 * the path, the process or the frame fills it. Outputs are untouched on failure.
 *
 * Runs in any process. */
#ifndef PHX_BASE_ERR_H
#define PHX_BASE_ERR_H

/* name, value, text */
#define PHX_ERR_CODES(X)                                                                           \
    X(PROTO, -5001, "the peer sent bytes that are not phalanx's protocol")                         \
    X(VERSION, -5002, "the peer speaks another version of phalanx's protocol")                     \
    X(TOOBIG, -5003, "a message is larger than the protocol allows")                               \
    X(CORRUPT, -5004, "the run queue in shared memory is damaged")                                 \
    X(STRAY, -5005, "this process is not a worker of the run")                                     \
    X(CLOSED, -5006, "the other end of the channel is closed")                                     \
    X(STATE, -5007, "called at a moment when this is not possible")                                \
    X(PLATFORM, -5008, "this system lacks something phalanx needs")                                \
    X(DAMAGED, -5009, "the file is damaged")                                                       \
    X(NEWER, -5010, "a newer version of phalanx wrote it")                                         \
    X(FOREIGN, -5011, "it is a database of another program")                                       \
    X(FORMAT, -5012, "the file is not in a format that phalanx reads")                             \
    X(APART, -5013, "limits are not kept between machines")

enum phx_err_code {
#define X(name, value, text) PHX_E_##name = (value),
    PHX_ERR_CODES(X)
#undef X
};

enum { PHX_ERR_TEXT_MAX = 512 };

struct phx_err {
    int code;                    /* what the failing function returned */
    char text[PHX_ERR_TEXT_MAX]; /* one sentence for a person, NUL-terminated */
};

/* Fills *err (may be NULL) with a sentence and returns `code`, so that a failing function can end
 * with `return phx_err_set(err, -errno, "cannot open %s", path);`. The text of the code is
 * appended. */
int phx_err_set(struct phx_err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The sentence of a code. Never NULL; valid until the next call in the same thread. */
const char *phx_err_text(int code);

#endif
