#include "wire/node_msg.h"

#include "base/err.h"
#include "wire/cursor.h"
#include "wire/packer.h"

/*  kind, number, type, body, count, pid, has_status, status, finished, test, phase, times, text,
 * words */
enum { FIELDS = 14, TIMES = 4 };

static int put_bytes(msgpack_packer *packer, const struct phx_node_bytes *bytes)
{
    if (!bytes->bytes)
        return msgpack_pack_nil(packer);
    int status = msgpack_pack_bin(packer, bytes->size);
    return status == 0 ? msgpack_pack_bin_body(packer, bytes->bytes, bytes->size) : status;
}

int phx_node_msg_put_event(struct phx_buf *out, const struct phx_node_event *event)
{
    size_t before = phx_buf_size(out);
    msgpack_packer packer = phx_packer(out);
    int64_t numbers[] = {event->pid,      event->has_status, event->status,
                         event->finished, event->test,       event->phase};
    int status = msgpack_pack_array(&packer, FIELDS);
    if (status == 0)
        status = msgpack_pack_int32(&packer, event->kind);
    if (status == 0)
        status = msgpack_pack_int32(&packer, event->number);
    if (status == 0)
        status = msgpack_pack_uint16(&packer, event->type);
    if (status == 0)
        status = put_bytes(&packer, &event->body);
    if (status == 0)
        status = msgpack_pack_uint64(&packer, event->count);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && status == 0; i++)
        status = msgpack_pack_int64(&packer, numbers[i]);
    if (status == 0)
        status = msgpack_pack_array(&packer, TIMES);
    for (size_t i = 0; i < TIMES && status == 0; i++)
        status = msgpack_pack_uint32(&packer, i < TIMES - 1 ? event->phase_us[i] : event->total_us);
    if (status == 0)
        status = put_bytes(&packer, &event->text);
    if (status == 0)
        status = msgpack_pack_array(&packer, PHX_NODE_WORDS);
    for (size_t i = 0; i < PHX_NODE_WORDS && status == 0; i++)
        status = put_bytes(&packer, &event->words[i]);
    if (status != 0)
        out->end = out->start + before;
    return status;
}

static int get_bytes(struct phx_cursor *cursor, struct phx_node_bytes *out)
{
    struct phx_token token;
    if (phx_cursor_next(cursor, &token) < 0 ||
        (token.kind != PHX_TOKEN_BIN && token.kind != PHX_TOKEN_NIL))
        return PHX_E_PROTO;
    *out = (struct phx_node_bytes){0};
    if (token.kind == PHX_TOKEN_BIN)
        *out = (struct phx_node_bytes){token.bytes, token.size};
    return 0;
}

static int get_array(struct phx_cursor *cursor, size_t items)
{
    size_t got;
    return phx_cursor_array(cursor, &got) == 0 && got == items ? 0 : PHX_E_PROTO;
}

static int get_flag(struct phx_cursor *cursor, int *out)
{
    uint64_t flag;
    if (phx_cursor_uint(cursor, 1, &flag) < 0)
        return PHX_E_PROTO;
    *out = (int)flag;
    return 0;
}

static int get_uint32(struct phx_cursor *cursor, uint32_t *out)
{
    uint64_t number;
    if (phx_cursor_uint(cursor, UINT32_MAX, &number) < 0)
        return PHX_E_PROTO;
    *out = (uint32_t)number;
    return 0;
}

/* A test, or -1. */
static int get_test(struct phx_cursor *cursor, int64_t *out)
{
    int32_t number;
    if (phx_cursor_int32(cursor, &number) < 0 || number < -1)
        return PHX_E_PROTO;
    *out = number;
    return 0;
}

static int get_head(struct phx_cursor *cursor, struct phx_node_event *event)
{
    uint64_t type;
    if (phx_cursor_int32(cursor, &event->kind) < 0 ||
        phx_cursor_int32(cursor, &event->number) < 0 ||
        phx_cursor_uint(cursor, UINT16_MAX, &type) < 0 || get_bytes(cursor, &event->body) < 0 ||
        phx_cursor_uint(cursor, UINT64_MAX, &event->count) < 0)
        return PHX_E_PROTO;
    event->type = (uint16_t)type;
    return 0;
}

static int get_tail(struct phx_cursor *cursor, struct phx_node_event *event)
{
    if (get_array(cursor, TIMES) < 0)
        return PHX_E_PROTO;
    for (size_t i = 0; i < TIMES; i++)
        if (get_uint32(cursor, i < TIMES - 1 ? &event->phase_us[i] : &event->total_us) < 0)
            return PHX_E_PROTO;
    if (get_bytes(cursor, &event->text) < 0 || get_array(cursor, PHX_NODE_WORDS) < 0)
        return PHX_E_PROTO;
    for (size_t i = 0; i < PHX_NODE_WORDS; i++)
        if (get_bytes(cursor, &event->words[i]) < 0)
            return PHX_E_PROTO;
    return 0;
}

int phx_node_msg_get_event(const char *body, size_t size, struct phx_node_event *out)
{
    struct phx_cursor cursor;
    struct phx_node_event event = {0};
    phx_cursor_init(&cursor, body, size);
    if (get_array(&cursor, FIELDS) < 0 || get_head(&cursor, &event) < 0 ||
        phx_cursor_int32(&cursor, &event.pid) < 0 || get_flag(&cursor, &event.has_status) < 0 ||
        phx_cursor_int32(&cursor, &event.status) < 0 || get_flag(&cursor, &event.finished) < 0 ||
        get_test(&cursor, &event.test) < 0 || get_uint32(&cursor, &event.phase) < 0 ||
        get_tail(&cursor, &event) < 0 || cursor.at != cursor.end)
        return PHX_E_PROTO;
    *out = event;
    return 0;
}
