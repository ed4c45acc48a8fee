#include "wire/cursor.h"

#include <string.h>

#include "base/err.h"

void phx_cursor_init(struct phx_cursor *cursor, const char *body, size_t size)
{
    *cursor = (struct phx_cursor){.at = body, .end = body + size, .unclaimed = size};
}

static size_t left(const struct phx_cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

/* A big-endian number of 1, 2, 4 or 8 bytes. */
static int read_number(struct phx_cursor *cursor, size_t width, uint64_t *out)
{
    if (left(cursor) < width)
        return PHX_E_PROTO;
    uint64_t number = 0;
    for (size_t i = 0; i < width; i++)
        number = number << 8 | (unsigned char)cursor->at[i];
    cursor->at += width;
    *out = number;
    return 0;
}

static int read_uint(struct phx_cursor *cursor, size_t width, struct phx_token *out)
{
    out->kind = PHX_TOKEN_UINT;
    return read_number(cursor, width, &out->u);
}

static int read_int(struct phx_cursor *cursor, size_t width, struct phx_token *out)
{
    uint64_t number;
    if (read_number(cursor, width, &number) < 0)
        return PHX_E_PROTO;
    unsigned unused = (unsigned)(8 * (8 - width));
    int64_t value = (int64_t)(number << unused) >> unused; /* extends the sign */
    if (value < 0) {
        out->kind = PHX_TOKEN_INT;
        out->i = value;
    } else {
        out->kind = PHX_TOKEN_UINT;
        out->u = (uint64_t)value;
    }
    return 0;
}

static int read_float(struct phx_cursor *cursor, size_t width, struct phx_token *out)
{
    uint64_t bits;
    if (read_number(cursor, width, &bits) < 0)
        return PHX_E_PROTO;
    out->kind = PHX_TOKEN_FLOAT;
    if (width == sizeof(float)) {
        uint32_t narrow = (uint32_t)bits;
        float value;
        memcpy(&value, &narrow, sizeof value);
        out->f = (double)value;
    } else {
        memcpy(&out->f, &bits, sizeof out->f);
    }
    return 0;
}

static int read_body(struct phx_cursor *cursor, enum phx_token_kind kind, uint64_t size,
                     struct phx_token *out)
{
    if (left(cursor) < size)
        return PHX_E_PROTO;
    out->kind = kind;
    out->bytes = cursor->at;
    out->size = (size_t)size;
    cursor->at += size;
    return 0;
}

static int read_sized(struct phx_cursor *cursor, enum phx_token_kind kind, size_t width,
                      struct phx_token *out)
{
    uint64_t size;
    if (read_number(cursor, width, &size) < 0)
        return PHX_E_PROTO;
    return read_body(cursor, kind, size, out);
}

static int read_ext(struct phx_cursor *cursor, uint64_t size, struct phx_token *out)
{
    uint64_t type;
    if (read_number(cursor, 1, &type) < 0)
        return PHX_E_PROTO;
    out->ext_type = (int8_t)(uint8_t)type;
    return read_body(cursor, PHX_TOKEN_EXT, size, out);
}

static int read_sized_ext(struct phx_cursor *cursor, size_t width, struct phx_token *out)
{
    uint64_t size;
    if (read_number(cursor, width, &size) < 0)
        return PHX_E_PROTO;
    return read_ext(cursor, size, out);
}

/* Every item takes at least a byte of its own, so items that exceed the bytes are a lie, to be told
 * before anybody allocates for them. */
static int read_container(struct phx_cursor *cursor, enum phx_token_kind kind, uint64_t size,
                          struct phx_token *out)
{
    uint64_t items = kind == PHX_TOKEN_MAP ? 2 * size : size; /* size has 32 bits */
    if (items > left(cursor) || items > cursor->unclaimed)
        return PHX_E_PROTO;
    cursor->unclaimed -= (size_t)items;
    out->kind = kind;
    out->size = (size_t)size;
    return 0;
}

static int read_sized_container(struct phx_cursor *cursor, enum phx_token_kind kind, size_t width,
                                struct phx_token *out)
{
    uint64_t size;
    if (read_number(cursor, width, &size) < 0)
        return PHX_E_PROTO;
    return read_container(cursor, kind, size, out);
}

static void set_uint(enum phx_token_kind kind, uint64_t value, struct phx_token *out)
{
    out->kind = kind;
    out->u = value;
}

/* The formats with a first byte of 0xc0 to 0xdf, in the order of the specification's table. */
static int read_format(struct phx_cursor *cursor, unsigned char format, struct phx_token *out)
{
    switch (format) {
    case 0xc0:
        out->kind = PHX_TOKEN_NIL;
        return 0;
    case 0xc2:
    case 0xc3:
        set_uint(PHX_TOKEN_BOOL, format & 1, out);
        return 0;
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return read_sized(cursor, PHX_TOKEN_BIN, (size_t)1 << (format - 0xc4), out);
    case 0xc7:
    case 0xc8:
    case 0xc9:
        return read_sized_ext(cursor, (size_t)1 << (format - 0xc7), out);
    case 0xca:
    case 0xcb:
        return read_float(cursor, (size_t)4 << (format - 0xca), out);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return read_uint(cursor, (size_t)1 << (format - 0xcc), out);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return read_int(cursor, (size_t)1 << (format - 0xd0), out);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        return read_ext(cursor, (uint64_t)1 << (format - 0xd4), out);
    case 0xd9:
    case 0xda:
    case 0xdb:
        return read_sized(cursor, PHX_TOKEN_STR, (size_t)1 << (format - 0xd9), out);
    case 0xdc:
    case 0xdd:
        return read_sized_container(cursor, PHX_TOKEN_ARRAY, (size_t)2 << (format - 0xdc), out);
    case 0xde:
    case 0xdf:
        return read_sized_container(cursor, PHX_TOKEN_MAP, (size_t)2 << (format - 0xde), out);
    default: /* 0xc1 is no format */
        return PHX_E_PROTO;
    }
}

int phx_cursor_next(struct phx_cursor *cursor, struct phx_token *out)
{
    if (left(cursor) == 0)
        return PHX_E_PROTO;
    unsigned char format = (unsigned char)*cursor->at++;
    if (format < 0x80) {
        set_uint(PHX_TOKEN_UINT, format, out);
        return 0;
    }
    if (format < 0x90)
        return read_container(cursor, PHX_TOKEN_MAP, format & 0x0f, out);
    if (format < 0xa0)
        return read_container(cursor, PHX_TOKEN_ARRAY, format & 0x0f, out);
    if (format < 0xc0)
        return read_body(cursor, PHX_TOKEN_STR, format & 0x1f, out);
    if (format < 0xe0)
        return read_format(cursor, format, out);
    out->kind = PHX_TOKEN_INT;
    out->i = (int)format - 0x100;
    return 0;
}

int phx_cursor_skip(struct phx_cursor *cursor)
{
    size_t values = 1; /* cannot overflow: all items together are fewer than the bytes */
    while (values > 0) {
        struct phx_token token;
        if (phx_cursor_next(cursor, &token) < 0)
            return PHX_E_PROTO;
        values--;
        if (token.kind == PHX_TOKEN_ARRAY)
            values += token.size;
        else if (token.kind == PHX_TOKEN_MAP)
            values += 2 * token.size;
    }
    return 0;
}

int phx_cursor_array(struct phx_cursor *cursor, size_t *out_items)
{
    struct phx_token token;
    if (phx_cursor_next(cursor, &token) < 0 || token.kind != PHX_TOKEN_ARRAY)
        return PHX_E_PROTO;
    *out_items = token.size;
    return 0;
}

int phx_cursor_uint(struct phx_cursor *cursor, uint64_t max, uint64_t *out)
{
    struct phx_token token;
    if (phx_cursor_next(cursor, &token) < 0 || token.kind != PHX_TOKEN_UINT || token.u > max)
        return PHX_E_PROTO;
    *out = token.u;
    return 0;
}

int phx_cursor_int32(struct phx_cursor *cursor, int32_t *out)
{
    struct phx_token token;
    if (phx_cursor_next(cursor, &token) < 0)
        return PHX_E_PROTO;
    if (token.kind == PHX_TOKEN_UINT && token.u <= INT32_MAX)
        *out = (int32_t)token.u;
    else if (token.kind == PHX_TOKEN_INT && token.i >= INT32_MIN)
        *out = (int32_t)token.i;
    else
        return PHX_E_PROTO;
    return 0;
}

int phx_cursor_str(struct phx_cursor *cursor, const char **out_bytes, size_t *out_size)
{
    struct phx_token token;
    if (phx_cursor_next(cursor, &token) < 0 || token.kind != PHX_TOKEN_STR)
        return PHX_E_PROTO;
    *out_bytes = token.bytes;
    *out_size = token.size;
    return 0;
}
