#include "store/json_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_MAX_BYTES = 32 };

static void name_hex(char *out, const char *name)
{
    snprintf(out, NAME_MAX_BYTES, "%s_hex", name);
}

static json_t *hex_of(const char *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    char *text = malloc(size * 2 + 1);
    if (!text)
        return NULL;
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[(unsigned char)bytes[i] >> 4];
        text[2 * i + 1] = digits[(unsigned char)bytes[i] & 15];
    }
    json_t *string = json_stringn(text, size * 2);
    free(text);
    return string;
}

int phx_json_put_text(json_t *object, const char *name, const char *bytes, size_t size)
{
    char other[NAME_MAX_BYTES];
    json_t *string = json_stringn(bytes, size);
    if (!string) { /* no UTF-8 */
        name_hex(other, name);
        name = other;
        string = hex_of(bytes, size);
    }
    return json_object_set_new(object, name, string) == 0 ? 0 : -ENOMEM;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int bytes_of(struct phx_json_text *out, const char *hex, size_t size)
{
    if (size % 2 != 0)
        return -EINVAL;
    char *bytes = malloc(size / 2 + 1);
    if (!bytes)
        return -ENOMEM;
    for (size_t i = 0; i < size / 2; i++) {
        int high = digit_of(hex[2 * i]), low = digit_of(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            free(bytes);
            return -EINVAL;
        }
        bytes[i] = (char)(high << 4 | low);
    }
    *out = (struct phx_json_text){.bytes = bytes, .size = size / 2, .owned = bytes};
    return 1;
}

int phx_json_get_text(struct phx_json_text *out, const json_t *object, const char *name)
{
    char other[NAME_MAX_BYTES];
    name_hex(other, name);
    const json_t *text = json_object_get(object, name), *hex = json_object_get(object, other);
    if (json_is_string(text)) {
        *out = (struct phx_json_text){.bytes = json_string_value(text),
                                      .size = json_string_length(text)};
        return 1;
    }
    if (json_is_string(hex))
        return bytes_of(out, json_string_value(hex), json_string_length(hex));
    return text || hex ? -EINVAL : 0;
}
