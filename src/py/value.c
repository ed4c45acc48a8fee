#include "py/value.h"

#include <stdint.h>
#include <string.h>

#include "wire/cursor.h"
#include "wire/packer.h"
#include "wire/value_ext.h"

/* ---- encoding ---- */

struct encoder {
    msgpack_packer packer;
    struct phx_buf *out;
    size_t start; /* readable bytes of `out` before this value */
    int lossy;
};

/* A container that is being encoded, and those it lies in. */
struct level {
    PyObject *container; /* borrowed */
    const struct level *up;
    int depth;
    int hashed; /* what is encoded below must hash where it arrives: a key, an element of a set */
};

static int encode(struct encoder *e, PyObject *value, const struct level *up);

static int packed(int status)
{
    if (status == 0)
        return 0;
    PyErr_NoMemory();
    return -1;
}

static size_t encoded_bytes(const struct encoder *e)
{
    return phx_buf_size(e->out) - e->start;
}

static int fits(const struct encoder *e, Py_ssize_t size)
{
    size_t used = encoded_bytes(e);
    return used < PHX_VALUE_MAX && (size_t)size < PHX_VALUE_MAX - used;
}

static int encode_marker(struct encoder *e, const char *text)
{
    e->lossy++;
    return packed(msgpack_pack_str_with_body(&e->packer, text, strlen(text)));
}

static int encode_surrogates(struct encoder *e, PyObject *value)
{
    PyObject *bytes = PyUnicode_AsEncodedString(value, "utf-8", "surrogatepass");
    if (!bytes)
        return -1;
    int status = packed(msgpack_pack_ext_with_body(
        &e->packer, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes), PHX_EXT_SURROGATE));
    Py_DECREF(bytes);
    return status;
}

static int encode_str(struct encoder *e, PyObject *value)
{
    if (!fits(e, PyUnicode_GET_LENGTH(value)))
        return encode_marker(e, "[...]");
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);
    if (!text) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
            return -1;
        PyErr_Clear();
        return encode_surrogates(e, value);
    }
    if (!fits(e, size))
        return encode_marker(e, "[...]");
    return packed(msgpack_pack_str_with_body(&e->packer, text, (size_t)size));
}

static int encode_bytes(struct encoder *e, const char *bytes, Py_ssize_t size)
{
    if (!fits(e, size))
        return encode_marker(e, "[...]");
    return packed(msgpack_pack_bin_with_body(&e->packer, bytes, (size_t)size));
}

static int encode_bigint(struct encoder *e, PyObject *value)
{
    if (!fits(e, 0))
        return encode_marker(e, "[...]");
    PyObject *hex = PyNumber_ToBase(value, 16);
    if (!hex)
        return -1;
    int status = -1;
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(hex, &size);
    if (text && !fits(e, size))
        status = encode_marker(e, "[...]");
    else if (text)
        status = packed(msgpack_pack_ext_with_body(&e->packer, text, (size_t)size, PHX_EXT_BIGINT));
    Py_DECREF(hex);
    return status;
}

static int encode_int(struct encoder *e, PyObject *value)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow == 0) {
        if (number == -1 && PyErr_Occurred())
            return -1;
        return packed(msgpack_pack_int64(&e->packer, number));
    }
    if (overflow > 0) {
        unsigned long long positive = PyLong_AsUnsignedLongLong(value);
        if (positive != (unsigned long long)-1 || !PyErr_Occurred())
            return packed(msgpack_pack_uint64(&e->packer, positive));
        PyErr_Clear();
    }
    return encode_bigint(e, value);
}

static void put_big_endian(char *at, uint64_t number, int width)
{
    for (int i = 0; i < width; i++)
        at[i] = (char)(unsigned char)(number >> 8 * (width - 1 - i));
}

static int encode_complex(struct encoder *e, PyObject *value)
{
    Py_complex number = PyComplex_AsCComplex(value);
    if (PyErr_Occurred())
        return -1;
    uint64_t bits[2];
    memcpy(&bits[0], &number.real, sizeof bits[0]);
    memcpy(&bits[1], &number.imag, sizeof bits[1]);
    char payload[16];
    put_big_endian(payload, bits[0], 8);
    put_big_endian(payload + 8, bits[1], 8);
    return packed(msgpack_pack_ext_with_body(&e->packer, payload, sizeof payload, PHX_EXT_COMPLEX));
}

/* Whether to go into a container: not if it lies within itself, too deep, or past the limit of
 * size. That last keeps [x, x] with x = [y, y] with … from filling the memory. */
static int enter(const struct encoder *e, PyObject *value, const struct level *up,
                 struct level *here)
{
    *here = (struct level){.container = value, .up = up, .depth = up ? up->depth + 1 : 1};
    if (here->depth > PHX_VALUE_DEPTH_MAX || !fits(e, 0))
        return 0;
    for (; up; up = up->up)
        if (up->container == value)
            return 0;
    return 1;
}

enum { EXT_HEADER = 6 };

/* An extension whose size is not known yet. *out_mark: where its header is. */
static int begin_ext(struct encoder *e, enum phx_value_ext type, size_t *out_mark)
{
    char header[EXT_HEADER] = {(char)0xc9, 0, 0, 0, 0, (char)type};
    *out_mark = phx_buf_size(e->out);
    return packed(phx_buf_append(e->out, header, sizeof header));
}

static void end_ext(struct encoder *e, size_t mark)
{
    size_t size = phx_buf_size(e->out) - mark - EXT_HEADER;
    put_big_endian(phx_buf_head(e->out) + mark + 1, size, 4);
}

/* The header at `mark` promised more items than came: a repr changed the container while it was
 * walked, or the value became too large. */
static void cut_container(struct encoder *e, size_t mark, size_t items)
{
    char *header = phx_buf_head(e->out) + mark;
    unsigned char format = (unsigned char)*header;
    e->lossy++;
    if (format < 0xa0)
        *header = (char)(unsigned char)((format & 0xf0) | items);
    else if (format == 0xdc || format == 0xde)
        put_big_endian(header + 1, items, 2);
    else
        put_big_endian(header + 1, items, 4);
}

static size_t promised(Py_ssize_t items)
{
    return items < PHX_VALUE_MAX ? (size_t)items : PHX_VALUE_MAX;
}

/* The items of a list or tuple. Calls may run Python code, which may do anything to the list. */
static int encode_items(struct encoder *e, PyObject *value, const struct level *here)
{
    size_t mark = phx_buf_size(e->out), n = promised(PySequence_Fast_GET_SIZE(value)), i;
    if (packed(msgpack_pack_array(&e->packer, n)) < 0)
        return -1;
    for (i = 0; i < n; i++) {
        if (i >= (size_t)PySequence_Fast_GET_SIZE(value) || !fits(e, 0))
            break;
        PyObject *item = PySequence_Fast_GET_ITEM(value, (Py_ssize_t)i);
        Py_INCREF(item);
        int status = encode(e, item, here);
        Py_DECREF(item);
        if (status < 0)
            return -1;
    }
    if (i < n)
        cut_container(e, mark, i);
    return 0;
}

static int encode_list(struct encoder *e, PyObject *value, const struct level *up)
{
    struct level here;
    if (!enter(e, value, up, &here))
        return encode_marker(e, "[...]");
    return encode_items(e, value, &here);
}

static int encode_tuple(struct encoder *e, PyObject *value, const struct level *up)
{
    struct level here;
    if (!enter(e, value, up, &here))
        return encode_marker(e, "(...)");
    here.hashed = up && up->hashed;
    size_t mark;
    if (begin_ext(e, PHX_EXT_TUPLE, &mark) < 0 || encode_items(e, value, &here) < 0)
        return -1;
    end_ext(e, mark);
    return 0;
}

static int encode_pair(struct encoder *e, PyObject *key, PyObject *value, struct level *here)
{
    Py_INCREF(key);
    Py_INCREF(value);
    here->hashed = 1;
    int status = encode(e, key, here);
    here->hashed = 0;
    if (status == 0)
        status = encode(e, value, here);
    Py_DECREF(key);
    Py_DECREF(value);
    return status;
}

static int encode_dict(struct encoder *e, PyObject *value, const struct level *up)
{
    struct level here;
    if (!enter(e, value, up, &here))
        return encode_marker(e, "{...}");
    size_t mark = phx_buf_size(e->out), n = promised(PyDict_GET_SIZE(value)), i;
    if (packed(msgpack_pack_map(&e->packer, n)) < 0)
        return -1;
    Py_ssize_t position = 0;
    PyObject *key, *item;
    for (i = 0; i < n; i++) {
        if (!fits(e, 0) || !PyDict_Next(value, &position, &key, &item))
            break;
        if (encode_pair(e, key, item, &here) < 0)
            return -1;
    }
    if (i < n)
        cut_container(e, mark, i);
    return 0;
}

static int encode_elements(struct encoder *e, PyObject *value, PyObject *iterator,
                           const struct level *here)
{
    size_t mark = phx_buf_size(e->out), n = promised(PySet_GET_SIZE(value)), i;
    if (packed(msgpack_pack_array(&e->packer, n)) < 0)
        return -1;
    for (i = 0; i < n && fits(e, 0); i++) {
        PyObject *item = PyIter_Next(iterator);
        if (!item)
            break;
        int status = encode(e, item, here);
        Py_DECREF(item);
        if (status < 0)
            return -1;
    }
    if (PyErr_Occurred()) { /* the set changed its size meanwhile */
        if (!PyErr_ExceptionMatches(PyExc_RuntimeError))
            return -1;
        PyErr_Clear();
    }
    if (i < n)
        cut_container(e, mark, i);
    return 0;
}

static int encode_set(struct encoder *e, PyObject *value, const struct level *up)
{
    struct level here;
    if (!enter(e, value, up, &here))
        return encode_marker(e, "{...}");
    here.hashed = 1;
    /* Not PyObject_GetIter: a subclass may have an __iter__ of its own. */
    PyObject *iterator = PySet_Type.tp_iter(value);
    if (!iterator)
        return -1;
    size_t mark;
    int status = begin_ext(e, PyFrozenSet_Check(value) ? PHX_EXT_FROZENSET : PHX_EXT_SET, &mark);
    if (status == 0)
        status = encode_elements(e, value, iterator, &here);
    Py_DECREF(iterator);
    if (status == 0)
        end_ext(e, mark);
    return status;
}

/* After a call of user code failed: whether somebody wants to end the run. Any other exception is
 * cleared: it must not fail the test whose report this is. */
static int wants_out(void)
{
    if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) || PyErr_ExceptionMatches(PyExc_SystemExit))
        return 1;
    PyErr_Clear();
    return 0;
}

/* What crosses in place of a value that cannot: a new str or bytes. */
static PyObject *substitute(PyObject *value)
{
    PyObject *result = PyOS_FSPath(value);
    if (result || wants_out())
        return result;
    result = PyObject_Repr(value);
    if (result || wants_out())
        return result;
    return PyUnicode_FromFormat("<unrepresentable %.200s>", Py_TYPE(value)->tp_name);
}

static int encode_other(struct encoder *e, PyObject *value)
{
    if (PyByteArray_Check(value)) {
        e->lossy++;
        return encode_bytes(e, PyByteArray_AS_STRING(value), PyByteArray_GET_SIZE(value));
    }
    PyObject *instead = substitute(value);
    if (!instead)
        return -1;
    e->lossy++;
    int status = PyUnicode_Check(instead)
                     ? encode_str(e, instead)
                     : encode_bytes(e, PyBytes_AS_STRING(instead), PyBytes_GET_SIZE(instead));
    Py_DECREF(instead);
    return status;
}

/* The most frequent types of a report first. The checks accept subclasses, whose base value is then
 * read without any of their methods. A list, dict or set that must hash is of a subclass that
 * hashes, which its base value would not. */
static int encode(struct encoder *e, PyObject *value, const struct level *up)
{
    int hashed = up && up->hashed;
    if (PyUnicode_Check(value))
        return encode_str(e, value);
    if (value == Py_None)
        return packed(msgpack_pack_nil(&e->packer));
    if (value == Py_True)
        return packed(msgpack_pack_true(&e->packer));
    if (value == Py_False)
        return packed(msgpack_pack_false(&e->packer));
    if (PyLong_Check(value))
        return encode_int(e, value);
    if (PyFloat_Check(value))
        return packed(msgpack_pack_double(&e->packer, PyFloat_AS_DOUBLE(value)));
    if (PyTuple_Check(value))
        return encode_tuple(e, value, up);
    if (PyList_Check(value) && !hashed)
        return encode_list(e, value, up);
    if (PyDict_Check(value) && !hashed)
        return encode_dict(e, value, up);
    if (PyBytes_Check(value))
        return encode_bytes(e, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    if (PyFrozenSet_Check(value) || (PySet_Check(value) && !hashed))
        return encode_set(e, value, up);
    if (PyComplex_Check(value))
        return encode_complex(e, value);
    return encode_other(e, value);
}

int phx_value_encode(struct phx_buf *out, PyObject *value, int *out_lossy)
{
    struct encoder e = {.packer = phx_packer(out), .out = out, .start = phx_buf_size(out)};
    if (encode(&e, value, NULL) < 0) {
        out->end = out->start + e.start;
        return -1;
    }
    *out_lossy = e.lossy;
    return 0;
}

/* ---- decoding ---- */

struct decoder {
    struct phx_cursor cursor;
    int depth;
};

static PyObject *decode(struct decoder *d);

static PyObject *malformed(const char *what)
{
    PyErr_Format(PyExc_ValueError, "not an encoded value: %s", what);
    return NULL;
}

static PyObject *decode_bigint(const struct phx_token *token)
{
    const char *at = token->bytes, *end = token->bytes + token->size;
    if (at < end && *at == '-')
        at++;
    if (end - at < 3 || at[0] != '0' || at[1] != 'x')
        return malformed("a number is not hexadecimal");
    for (at += 2; at < end; at++)
        if (!Py_ISXDIGIT(Py_CHARMASK(*at))) /* underscores and spaces would pass below */
            return malformed("a number is not hexadecimal");
    char *text = PyMem_Malloc(token->size + 1);
    if (!text)
        return PyErr_NoMemory();
    memcpy(text, token->bytes, token->size);
    text[token->size] = '\0';
    PyObject *number = PyLong_FromString(text, NULL, 16);
    PyMem_Free(text);
    return number;
}

static double get_double(const char *at)
{
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | (unsigned char)at[i];
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static PyObject *decode_complex(const struct phx_token *token)
{
    if (token->size != 16)
        return malformed("a complex number is not 16 bytes");
    return PyComplex_FromDoubles(get_double(token->bytes), get_double(token->bytes + 8));
}

/* The cursor has checked all these sizes against the bytes there are, so allocating for them in
 * advance cannot be made to take more than a multiple of those. */
static PyObject *decode_list(struct decoder *d, size_t size)
{
    PyObject *list = PyList_New((Py_ssize_t)size);
    for (size_t i = 0; list && i < size; i++) {
        PyObject *item = decode(d);
        if (item)
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        else
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *decode_tuple(struct decoder *d, size_t size)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)size);
    for (size_t i = 0; tuple && i < size; i++) {
        PyObject *item = decode(d);
        if (item)
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, item);
        else
            Py_CLEAR(tuple);
    }
    return tuple;
}

/* A key or element could not be put in: it does not hash, or comparing it went too deep. */
static void blame_hash(void)
{
    if (PyErr_ExceptionMatches(PyExc_MemoryError))
        return;
    PyErr_Clear();
    malformed("a key or an element of a set does not hash");
}

static PyObject *decode_set(struct decoder *d, size_t size, int frozen)
{
    PyObject *set = frozen ? PyFrozenSet_New(NULL) : PySet_New(NULL);
    for (size_t i = 0; set && i < size; i++) {
        PyObject *item = decode(d);
        int status = -1;
        if (item) {
            status = PySet_Add(set, item);
            if (status < 0)
                blame_hash();
            Py_DECREF(item);
        }
        if (status < 0)
            Py_CLEAR(set);
    }
    return set;
}

static PyObject *decode_dict(struct decoder *d, size_t size)
{
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict && i < size; i++) {
        PyObject *key = decode(d);
        /* The attributes of reports: one string for all of them, and lookups by identity. */
        if (key && PyUnicode_CheckExact(key))
            PyUnicode_InternInPlace(&key);
        PyObject *value = key ? decode(d) : NULL;
        int status = -1;
        if (value) {
            status = PyDict_SetItem(dict, key, value);
            if (status < 0)
                blame_hash();
        }
        Py_XDECREF(key);
        Py_XDECREF(value);
        if (status < 0)
            Py_CLEAR(dict);
    }
    return dict;
}

/* An extension whose payload is one array: the cursor is led into the payload and out again. */
static PyObject *decode_payload(struct decoder *d, const struct phx_token *token)
{
    struct phx_cursor *cursor = &d->cursor;
    const char *after = cursor->at, *outer_end = cursor->end;
    cursor->at = token->bytes;
    cursor->end = after;
    size_t size;
    if (phx_cursor_array(cursor, &size) < 0)
        return malformed("an extension does not hold an array");
    PyObject *result = token->ext_type == PHX_EXT_TUPLE
                           ? decode_tuple(d, size)
                           : decode_set(d, size, token->ext_type == PHX_EXT_FROZENSET);
    if (result && cursor->at != after) {
        Py_DECREF(result);
        return malformed("an extension holds more than an array");
    }
    cursor->end = outer_end;
    return result;
}

static PyObject *decode_container(struct decoder *d, const struct phx_token *token)
{
    if (d->depth >= PHX_VALUE_DEPTH_MAX)
        return malformed("it is nested too deeply");
    d->depth++;
    PyObject *result;
    if (token->kind == PHX_TOKEN_ARRAY)
        result = decode_list(d, token->size);
    else if (token->kind == PHX_TOKEN_MAP)
        result = decode_dict(d, token->size);
    else
        result = decode_payload(d, token);
    d->depth--;
    return result;
}

static PyObject *decode_ext(struct decoder *d, const struct phx_token *token)
{
    switch (token->ext_type) {
    case PHX_EXT_BIGINT:
        return decode_bigint(token);
    case PHX_EXT_COMPLEX:
        return decode_complex(token);
    case PHX_EXT_SURROGATE:
        return PyUnicode_DecodeUTF8(token->bytes, (Py_ssize_t)token->size, "surrogatepass");
    case PHX_EXT_TUPLE:
    case PHX_EXT_SET:
    case PHX_EXT_FROZENSET:
        return decode_container(d, token);
    default:
        return malformed("an extension of unknown type");
    }
}

static PyObject *decode(struct decoder *d)
{
    struct phx_token token;
    if (phx_cursor_next(&d->cursor, &token) < 0)
        return malformed("it is cut short, or no MessagePack");
    switch (token.kind) {
    case PHX_TOKEN_NIL:
        Py_RETURN_NONE;
    case PHX_TOKEN_BOOL:
        return PyBool_FromLong((long)token.u);
    case PHX_TOKEN_UINT:
        return PyLong_FromUnsignedLongLong(token.u);
    case PHX_TOKEN_INT:
        return PyLong_FromLongLong(token.i);
    case PHX_TOKEN_FLOAT:
        return PyFloat_FromDouble(token.f);
    case PHX_TOKEN_STR:
        return PyUnicode_DecodeUTF8(token.bytes, (Py_ssize_t)token.size, NULL);
    case PHX_TOKEN_BIN:
        return PyBytes_FromStringAndSize(token.bytes, (Py_ssize_t)token.size);
    case PHX_TOKEN_ARRAY:
    case PHX_TOKEN_MAP:
        return decode_container(d, &token);
    case PHX_TOKEN_EXT:
        return decode_ext(d, &token);
    }
    Py_UNREACHABLE();
}

PyObject *phx_value_decode(const char *body, size_t size)
{
    struct decoder d = {0};
    phx_cursor_init(&d.cursor, body, size);
    PyObject *value = decode(&d);
    if (value && d.cursor.at != d.cursor.end) {
        Py_DECREF(value);
        return malformed("bytes follow it");
    }
    return value;
}
