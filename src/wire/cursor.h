/* A cursor over MessagePack: reads one token after the other, in place.
 *
 * msgpack-c, which writes all we send, reads by building a tree on the heap: it allocates what an
 * array's header claims before it has seen the items (4 billion in five bytes), ends at 32 levels,
 * and cannot say where a value begins and ends. A peer's bytes may be anything, and most of them
 * are only looked through or handed on; so they are read without a tree. The tests and the fuzzer
 * hold the cursor against msgpack-c's own reader.
 *
 * Allocates nothing, never reads outside, and bounds what its callers may allocate: all containers
 * together hold no more items than there are bytes, so whoever allocates for the claimed number
 * of items stays within a fixed multiple of the size received.
 *
 * Runs in any process. */
#ifndef PHX_WIRE_CURSOR_H
#define PHX_WIRE_CURSOR_H

#include <stddef.h>
#include <stdint.h>

struct phx_cursor {
    const char *at; /* borrowed: next byte to read */
    const char *end;
    size_t unclaimed; /* items that further containers may still claim */
};

enum phx_token_kind {
    PHX_TOKEN_NIL,
    PHX_TOKEN_BOOL,
    PHX_TOKEN_UINT,
    PHX_TOKEN_INT, /* below zero only */
    PHX_TOKEN_FLOAT,
    PHX_TOKEN_STR,
    PHX_TOKEN_BIN,
    PHX_TOKEN_EXT,
    PHX_TOKEN_ARRAY, /* its items follow as tokens */
    PHX_TOKEN_MAP,   /* key, value, key, value … follow */
};

struct phx_token {
    enum phx_token_kind kind;
    int8_t ext_type;   /* EXT */
    const char *bytes; /* STR, BIN, EXT: borrowed from the body, not NUL-terminated */
    size_t size;       /* STR, BIN, EXT: bytes; ARRAY: items; MAP: pairs */
    union {
        uint64_t u; /* UINT; BOOL as 0 or 1 */
        int64_t i;  /* INT */
        double f;   /* FLOAT */
    };
};

void phx_cursor_init(struct phx_cursor *cursor, const char *body, size_t size);

/* Reads one token. Returns 0, or PHX_E_PROTO for bytes that are none; the cursor is then of no
 * further use. */
int phx_cursor_next(struct phx_cursor *cursor, struct phx_token *out);

/* Passes over one whole value, however deep. Returns 0 or PHX_E_PROTO. */
int phx_cursor_skip(struct phx_cursor *cursor);

/* Read one token that must be of a certain kind and range. Return 0 or PHX_E_PROTO. */
int phx_cursor_array(struct phx_cursor *cursor, size_t *out_items);
int phx_cursor_uint(struct phx_cursor *cursor, uint64_t max, uint64_t *out);
int phx_cursor_int32(struct phx_cursor *cursor, int32_t *out);
int phx_cursor_str(struct phx_cursor *cursor, const char **out_bytes, size_t *out_size);

#endif
