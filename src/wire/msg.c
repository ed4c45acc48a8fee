#include "wire/msg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/cursor.h"
#include "wire/packer.h"
#include "wire/value_ext.h"

const char *phx_msg_name(uint16_t type)
{
    switch (type) {
#define X(name, number)                                                                            \
    case number:                                                                                   \
        return #name;
        PHX_MESSAGES(X)
#undef X
    default:
        return "?";
    }
}

/* ---- encoders ---- */

/* What an encoder has done so far. The first failure sticks, so that an encoder reads as the list
 * of its fields and asks once, at the end. */
struct writer {
    msgpack_packer packer;
    struct phx_buf *out;
    size_t size_before;
    int status;
};

static struct writer begin(struct phx_buf *out, size_t fields)
{
    struct writer w = {.packer = phx_packer(out), .out = out, .size_before = phx_buf_size(out)};
    w.status = msgpack_pack_array(&w.packer, fields);
    return w;
}

/* Half a body is worse than none: on failure `out` is as it was. */
static int finish(struct writer *w)
{
    if (w->status < 0)
        w->out->end = w->out->start + w->size_before;
    return w->status;
}

static void add_uint(struct writer *w, uint64_t number)
{
    if (w->status == 0)
        w->status = msgpack_pack_uint64(&w->packer, number);
}

static void add_int(struct writer *w, int64_t number)
{
    if (w->status == 0)
        w->status = msgpack_pack_int64(&w->packer, number);
}

static void add_bytes(struct writer *w, const char *text, size_t size)
{
    if (w->status == 0)
        w->status = msgpack_pack_str(&w->packer, size);
    if (w->status == 0)
        w->status = msgpack_pack_str_body(&w->packer, text, size);
}

static void add_text(struct writer *w, const char *text) /* NULL is nil */
{
    if (text)
        add_bytes(w, text, strlen(text));
    else if (w->status == 0)
        w->status = msgpack_pack_nil(&w->packer);
}

static void add_texts(struct writer *w, const char *const *texts) /* NULL is nil */
{
    if (!texts) {
        add_text(w, NULL);
        return;
    }
    size_t count = 0;
    while (texts[count])
        count++;
    if (w->status == 0)
        w->status = msgpack_pack_array(&w->packer, count);
    for (size_t i = 0; i < count; i++)
        add_text(w, texts[i]);
}

int phx_msg_put_hello(struct phx_buf *out, const struct phx_msg_hello *msg)
{
    struct writer w = begin(out, 3);
    add_uint(&w, msg->version);
    add_bytes(&w, msg->role, strnlen(msg->role, sizeof msg->role - 1));
    add_uint(&w, msg->pid);
    return finish(&w);
}

int phx_msg_put_spawn(struct phx_buf *out, const struct phx_msg_spawn *msg)
{
    struct writer w = begin(out, 3);
    add_texts(&w, msg->argv);
    add_texts(&w, msg->environment);
    add_text(&w, msg->directory);
    return finish(&w);
}

int phx_msg_put_exit(struct phx_buf *out, const struct phx_msg_exit *msg)
{
    struct writer w = begin(out, msg->number < 0 ? 2 : 3);
    if (msg->number >= 0)
        add_int(&w, msg->number);
    add_uint(&w, msg->pid);
    add_int(&w, msg->status);
    return finish(&w);
}

int phx_msg_put_forked(struct phx_buf *out, const struct phx_msg_forked *msg)
{
    struct writer w = begin(out, 2);
    add_uint(&w, msg->number);
    add_uint(&w, msg->pid);
    return finish(&w);
}

int phx_msg_put_leftover(struct phx_buf *out, const struct phx_msg_leftover *msg)
{
    struct writer w = begin(out, 4);
    add_uint(&w, msg->pid);
    add_uint(&w, msg->group);
    add_uint(&w, msg->ended != 0);
    add_bytes(&w, msg->command, strnlen(msg->command, sizeof msg->command - 1));
    return finish(&w);
}

int phx_msg_put_text(struct phx_buf *out, const struct phx_msg_text *msg)
{
    struct writer w = begin(out, msg->number < 0 ? 1 : 2);
    if (msg->number >= 0)
        add_int(&w, msg->number);
    add_bytes(&w, msg->text, strnlen(msg->text, sizeof msg->text - 1));
    return finish(&w);
}

int phx_msg_put_number(struct phx_buf *out, uint64_t number)
{
    struct writer w = begin(out, 1);
    add_uint(&w, number);
    return finish(&w);
}

int phx_msg_put_fork(struct phx_buf *out, uint32_t number, const void *value, size_t size)
{
    struct writer w = begin(out, 2);
    add_uint(&w, number);
    if (w.status == 0)
        w.status = phx_buf_append(out, value, size);
    return finish(&w);
}

int phx_msg_put_queue(struct phx_buf *out, const uint32_t *tests, size_t count)
{
    struct writer w = begin(out, count);
    for (size_t i = 0; i < count; i++)
        add_uint(&w, tests[i]);
    return finish(&w);
}

/* ---- decoders ---- */

/* A body under the cursor. Like the writer: the first failure sticks, and what is read after it is
 * zero. */
struct reader {
    struct phx_cursor cursor;
    size_t fields; /* that the body has */
    int status;
};

static struct reader open_body(const char *body, size_t size)
{
    struct reader r = {0};
    phx_cursor_init(&r.cursor, body, size);
    r.status = phx_cursor_array(&r.cursor, &r.fields);
    return r;
}

static void expect_fields(struct reader *r, size_t fields)
{
    if (r->status == 0 && r->fields != fields)
        r->status = PHX_E_PROTO;
}

static int close_body(struct reader *r)
{
    if (r->status == 0 && r->cursor.at != r->cursor.end)
        r->status = PHX_E_PROTO;
    return r->status;
}

static uint64_t take_uint(struct reader *r, uint64_t max)
{
    uint64_t number = 0;
    if (r->status == 0)
        r->status = phx_cursor_uint(&r->cursor, max, &number);
    return number;
}

static uint32_t take_uint32(struct reader *r)
{
    return (uint32_t)take_uint(r, UINT32_MAX);
}

static int32_t take_int32(struct reader *r)
{
    int32_t number = 0;
    if (r->status == 0)
        r->status = phx_cursor_int32(&r->cursor, &number);
    return number;
}

/* A string that has to fit into out[room] with its NUL, and to hold no other. */
static void take_text(struct reader *r, char *out, size_t room)
{
    const char *text;
    size_t size;
    if (r->status == 0)
        r->status = phx_cursor_str(&r->cursor, &text, &size);
    if (r->status != 0)
        return;
    if (size >= room || memchr(text, '\0', size)) {
        r->status = PHX_E_PROTO;
        return;
    }
    memcpy(out, text, size);
    out[size] = '\0';
}

int phx_msg_get_hello(const char *body, size_t size, struct phx_msg_hello *out)
{
    struct phx_msg_hello msg = {0};
    struct reader r = open_body(body, size);
    expect_fields(&r, 3);
    msg.version = take_uint32(&r);
    take_text(&r, msg.role, sizeof msg.role);
    msg.pid = take_uint32(&r);
    if (close_body(&r) == 0)
        *out = msg;
    return r.status;
}

int phx_msg_get_exit(const char *body, size_t size, struct phx_msg_exit *out)
{
    struct phx_msg_exit msg = {.number = -1};
    struct reader r = open_body(body, size);
    if (r.fields != 2) {
        expect_fields(&r, 3);
        msg.number = (int32_t)take_uint(&r, INT32_MAX);
    }
    msg.pid = take_uint32(&r);
    msg.status = take_int32(&r);
    if (close_body(&r) == 0)
        *out = msg;
    return r.status;
}

int phx_msg_get_forked(const char *body, size_t size, struct phx_msg_forked *out)
{
    struct phx_msg_forked msg = {0};
    struct reader r = open_body(body, size);
    expect_fields(&r, 2);
    msg.number = take_uint32(&r);
    msg.pid = take_uint32(&r);
    if (close_body(&r) == 0)
        *out = msg;
    return r.status;
}

int phx_msg_get_leftover(const char *body, size_t size, struct phx_msg_leftover *out)
{
    struct phx_msg_leftover msg = {0};
    struct reader r = open_body(body, size);
    expect_fields(&r, 4);
    msg.pid = take_uint32(&r);
    msg.group = take_uint32(&r);
    msg.ended = (int)take_uint(&r, 1);
    take_text(&r, msg.command, sizeof msg.command);
    if (close_body(&r) == 0)
        *out = msg;
    return r.status;
}

int phx_msg_get_text(const char *body, size_t size, struct phx_msg_text *out)
{
    struct phx_msg_text msg = {.number = -1};
    struct reader r = open_body(body, size);
    if (r.fields != 1) {
        expect_fields(&r, 2);
        msg.number = (int32_t)take_uint(&r, INT32_MAX);
    }
    take_text(&r, msg.text, sizeof msg.text);
    if (close_body(&r) == 0)
        *out = msg;
    return r.status;
}

int phx_msg_get_number(const char *body, size_t size, uint64_t *out)
{
    struct reader r = open_body(body, size);
    expect_fields(&r, 1);
    uint64_t number = take_uint(&r, UINT64_MAX);
    if (close_body(&r) == 0)
        *out = number;
    return r.status;
}

int phx_msg_get_fork(const char *body, size_t size, uint32_t *out_number, const char **out_value,
                     size_t *out_size)
{
    struct reader r = open_body(body, size);
    expect_fields(&r, 2);
    uint32_t number = take_uint32(&r);
    const char *value = r.cursor.at;
    if (r.status == 0)
        r.status = phx_cursor_skip(&r.cursor);
    if (close_body(&r) < 0)
        return r.status;
    *out_number = number;
    *out_value = value;
    *out_size = (size_t)(r.cursor.end - value);
    return 0;
}

int phx_msg_get_queue(const char *body, size_t size, uint32_t **out_tests, size_t *out_count)
{
    struct reader r = open_body(body, size);
    if (r.status < 0)
        return r.status;
    uint32_t *tests = NULL;
    if (r.fields > 0) { /* the cursor has checked that there are as many bytes at least */
        tests = calloc(r.fields, sizeof *tests);
        if (!tests)
            return -ENOMEM;
    }
    for (size_t i = 0; i < r.fields; i++)
        tests[i] = take_uint32(&r);
    if (close_body(&r) < 0) {
        free(tests);
        return r.status;
    }
    *out_tests = tests;
    *out_count = r.fields;
    return 0;
}

/* ---- SPAWN: strings into memory of the receiver ----
 *
 *     [ argv pointers, NULL | environment pointers, NULL | the strings with their NULs ]
 */

/* Where the next pointer and the next string go. While `pointers` is NULL nothing is written, and
 * the counts tell what memory a second pass will need. */
struct strings {
    const char **pointers;
    char *bytes;
    size_t npointers;
    size_t nbytes;
};

static const char *take_string(struct reader *r, struct strings *to)
{
    const char *text;
    size_t size;
    if (r->status == 0)
        r->status = phx_cursor_str(&r->cursor, &text, &size);
    if (r->status == 0 && memchr(text, '\0', size))
        r->status = PHX_E_PROTO;
    if (r->status != 0)
        return NULL;
    char *copy = NULL;
    if (to->pointers) {
        copy = to->bytes + to->nbytes;
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    to->nbytes += size + 1;
    return copy;
}

static int take_nil(struct reader *r)
{
    if (r->status < 0 || r->cursor.at == r->cursor.end || (unsigned char)*r->cursor.at != 0xc0)
        return 0;
    r->cursor.at++;
    return 1;
}

static const char *const *take_strings(struct reader *r, struct strings *to)
{
    size_t count = 0;
    if (r->status == 0)
        r->status = phx_cursor_array(&r->cursor, &count);
    const char **list = to->pointers ? to->pointers + to->npointers : NULL;
    for (size_t i = 0; i < count && r->status == 0; i++) {
        const char *copy = take_string(r, to);
        if (list)
            list[i] = copy;
    }
    if (list)
        list[count] = NULL;
    to->npointers += count + 1;
    return list;
}

static int read_spawn(const char *body, size_t size, struct strings *to, struct phx_msg_spawn *out)
{
    struct reader r = open_body(body, size);
    expect_fields(&r, 3);
    size_t before = to->npointers;
    out->argv = take_strings(&r, to);
    if (r.status == 0 && to->npointers == before + 1)
        r.status = PHX_E_PROTO; /* no program to run */
    out->environment = take_nil(&r) ? NULL : take_strings(&r, to);
    out->directory = take_nil(&r) ? NULL : take_string(&r, to);
    return close_body(&r);
}

int phx_msg_get_spawn(const char *body, size_t size, struct phx_msg_spawn *out, void **out_memory)
{
    struct phx_msg_spawn msg;
    struct strings count = {0};
    int status = read_spawn(body, size, &count, &msg);
    if (status < 0)
        return status;
    char *memory = malloc(count.npointers * sizeof(char *) + count.nbytes);
    if (!memory)
        return -ENOMEM;
    struct strings to = {.pointers = (const char **)(void *)memory,
                         .bytes = memory + count.npointers * sizeof(char *)};
    status = read_spawn(body, size, &to, &msg);
    if (status < 0) {
        free(memory);
        return status;
    }
    *out = msg;
    *out_memory = memory;
    return 0;
}

/* ---- ITEMS ---- */

/* A str of Python's: plain, or with surrogates, as a file name that is no UTF-8 puts them into a
 * node id. */
static int is_text(const struct phx_token *token)
{
    return token->kind == PHX_TOKEN_STR ||
           (token->kind == PHX_TOKEN_EXT && token->ext_type == PHX_EXT_SURROGATE);
}

/* nil or an array of numbers. */
static int read_setups(struct phx_cursor *cursor, struct phx_msg_item *item)
{
    struct phx_token token;
    if (phx_cursor_next(cursor, &token) < 0)
        return PHX_E_PROTO;
    item->nsetups = 0;
    if (token.kind == PHX_TOKEN_NIL)
        return 0;
    if (token.kind != PHX_TOKEN_ARRAY)
        return PHX_E_PROTO;
    for (size_t i = 0; i < token.size; i++) {
        uint64_t setup;
        if (phx_cursor_uint(cursor, UINT32_MAX, &setup) < 0)
            return PHX_E_PROTO;
        if (item->nsetups < PHX_MSG_SETUPS_MAX)
            item->setups[item->nsetups++] = (uint32_t)setup;
    }
    return 0;
}

/* nil, or [name, permits], or [nil, 0] for an exclusive test. */
static int read_limit(struct phx_cursor *cursor, struct phx_msg_item *item)
{
    struct phx_token token;
    uint64_t permits;
    item->limit = NULL;
    item->limit_size = item->permits = 0;
    item->exclusive = 0;
    if (phx_cursor_next(cursor, &token) < 0)
        return PHX_E_PROTO;
    if (token.kind == PHX_TOKEN_NIL)
        return 0;
    if (token.kind != PHX_TOKEN_ARRAY || token.size != 2 || phx_cursor_next(cursor, &token) < 0)
        return PHX_E_PROTO;
    item->exclusive = token.kind == PHX_TOKEN_NIL;
    if (!item->exclusive && !is_text(&token))
        return PHX_E_PROTO;
    if (phx_cursor_uint(cursor, UINT32_MAX, &permits) < 0 || (permits == 0) != item->exclusive)
        return PHX_E_PROTO;
    if (!item->exclusive) {
        item->limit = token.bytes;
        item->limit_size = token.size;
        item->permits = (uint32_t)permits;
    }
    return 0;
}

static int read_item(struct phx_cursor *cursor, struct phx_msg_item *item)
{
    size_t fields;
    struct phx_token text;
    if (phx_cursor_array(cursor, &fields) < 0 || fields != 4)
        return PHX_E_PROTO;
    if (phx_cursor_next(cursor, &text) < 0 || !is_text(&text))
        return PHX_E_PROTO;
    item->node_id = text.bytes;
    item->node_id_size = text.size;
    if (phx_cursor_next(cursor, &text) < 0)
        return PHX_E_PROTO;
    int has_group = text.kind != PHX_TOKEN_NIL;
    if (has_group && !is_text(&text))
        return PHX_E_PROTO;
    item->group = has_group ? text.bytes : NULL;
    item->group_size = has_group ? text.size : 0;
    int status = read_setups(cursor, item);
    return status < 0 ? status : read_limit(cursor, item);
}

int phx_msg_each_item(const char *body, size_t size,
                      int (*each)(void *context, const struct phx_msg_item *item), void *context)
{
    struct reader r = open_body(body, size);
    struct phx_msg_item item;
    for (size_t i = 0; i < r.fields && r.status == 0; i++) {
        r.status = read_item(&r.cursor, &item);
        if (r.status == 0)
            r.status = each(context, &item);
        if (r.status > 0)
            r.status = 0;
    }
    return close_body(&r);
}
