/* Text of any bytes in JSON, which knows UTF-8 only: under its name, or, if it is no UTF-8, under
 * the name with `_hex` behind it, two hexadecimal digits for a byte.
 *
 * Runs in the command. What is read may come from anywhere. */
#ifndef PHX_STORE_JSON_TEXT_H
#define PHX_STORE_JSON_TEXT_H

#include <jansson.h>
#include <stddef.h>

/* Puts it into an object. Returns 0 or -ENOMEM. */
int phx_json_put_text(json_t *object, const char *name, const char *bytes, size_t size);

struct phx_json_text {
    const char *bytes; /* borrowed from the object, or `owned` */
    size_t size;
    char *owned; /* for free(), or NULL */
};

/* Takes it out. *out is set when 1 is returned. Returns 1; 0 when there is none; -EINVAL, -ENOMEM.
 */
int phx_json_get_text(struct phx_json_text *out, const json_t *object, const char *name);

#endif
