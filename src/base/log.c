#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024 }; /* well under PIPE_BUF: one write is one line */

static struct {
    enum phx_log_level level;
    char role[16];
} state = {.level = PHX_LOG_NONE, .role = "?"};

static enum phx_log_level parse_level(const char *text, size_t size)
{
    if (size == 5 && strncmp(text, "debug", 5) == 0)
        return PHX_LOG_DEBUG;
    if (size == 4 && strncmp(text, "info", 4) == 0)
        return PHX_LOG_INFO;
    return PHX_LOG_NONE;
}

void phx_log_role(const char *role)
{
    snprintf(state.role, sizeof state.role, "%s", role);
    const char *kind = strncmp(role, "gw", 2) == 0 ? "worker" : role;
    state.level = PHX_LOG_NONE;
    /* Read once, as the role begins. */
    const char *at = getenv("PHX_LOG"); // NOLINT(concurrency-mt-unsafe)
    while (at && *at) {
        size_t size = strcspn(at, ",");
        const char *colon = memchr(at, ':', size);
        if (!colon)
            state.level = parse_level(at, size);
        else if ((size_t)(colon - at) == strlen(kind) && strncmp(at, kind, strlen(kind)) == 0)
            state.level = parse_level(colon + 1, size - (size_t)(colon - at) - 1);
        at += size;
        at += *at == ',';
    }
}

void phx_log(enum phx_log_level level, const char *format, ...)
{
    if (level > state.level)
        return;
    char line[LINE_MAX_BYTES];
    int used = snprintf(line, sizeof line, "role=%s pid=%d ", state.role, (int)getpid());
    va_list args;
    va_start(args, format);
    int more = vsnprintf(line + used, sizeof line - (size_t)used - 1, format, args);
    va_end(args);
    if (more < 0)
        return;
    size_t size = strlen(line);
    line[size++] = '\n';
    if (write(STDERR_FILENO, line, size) < 0)
        return; /* a log that cannot be written changes nothing */
}
