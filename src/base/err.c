#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *phx_err_text(int code)
{
    switch (code) {
#define X(name, value, text)                                                                       \
    case value:                                                                                    \
        return text;
        PHX_ERR_CODES(X)
#undef X
    default:
        /* Constant texts in glibc since 2.32 and in musl, for every code the system has. */
        return strerror(-code); // NOLINT(concurrency-mt-unsafe)
    }
}

int phx_err_set(struct phx_err *err, int code, const char *format, ...)
{
    if (!err)
        return code;
    va_list args;
    va_start(args, format);
    int used = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    err->code = code;
    if (used >= 0 && (size_t)used < sizeof err->text)
        snprintf(err->text + used, sizeof err->text - (size_t)used, ": %s", phx_err_text(code));
    return code;
}
