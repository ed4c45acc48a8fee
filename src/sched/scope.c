#include "sched/scope.h"

#include <errno.h>
#include <string.h>

int phx_dist_parse(const char *name, enum phx_dist *out)
{
    static const struct {
        const char *name;
        enum phx_dist dist;
    } modes[] = {
        {"load", PHX_DIST_LOAD},           {"worksteal", PHX_DIST_WORKSTEAL},
        {"loadscope", PHX_DIST_LOADSCOPE}, {"loadfile", PHX_DIST_LOADFILE},
        {"loadgroup", PHX_DIST_LOADGROUP},
    };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(name, modes[i].name) == 0) {
            *out = modes[i].dist;
            return 0;
        }
    }
    return -EINVAL;
}

int phx_dist_keeps_scopes(enum phx_dist dist)
{
    return dist == PHX_DIST_LOADSCOPE || dist == PHX_DIST_LOADFILE || dist == PHX_DIST_LOADGROUP;
}

/* Bytes before the first "::" at or after `from`, or `size` when there is none. */
static size_t first_separator(const char *text, size_t from, size_t size)
{
    while (from + 1 < size) {
        const char *colon = memchr(text + from, ':', size - from - 1);
        if (!colon)
            break;
        if (colon[1] == ':')
            return (size_t)(colon - text);
        from = (size_t)(colon - text) + 1;
    }
    return size;
}

/* Bytes of `text` before its last "::", or `size` when there is none. */
static size_t last_separator(const char *text, size_t size)
{
    for (size_t end = size; end >= 2; end--)
        if (text[end - 1] == ':' && text[end - 2] == ':')
            return end - 2;
    return size;
}

/* Bytes of a node id before "::" and its last part, or `size` when it has one part only.
 *
 *     dir[1]/test_a.py::TestA::test_b[x::y[0]]
 *                     │      │       └ the first '[' after the path begins the parameters: classes
 *                     │      │         and functions are identifiers, a path is anything
 *                     │      └ the last "::" before that is the cut
 *                     └ the first "::" ends the path */
static size_t scope_size(const char *node_id, size_t size)
{
    size_t path = first_separator(node_id, 0, size);
    size_t names = size;
    if (path < size && node_id[size - 1] == ']') {
        const char *bracket = memchr(node_id + path, '[', size - path);
        if (bracket)
            names = (size_t)(bracket - node_id);
    }
    size_t cut = last_separator(node_id, names);
    return cut == names ? size : cut;
}

int phx_scope_of(enum phx_dist dist, const char *node_id, size_t node_id_size, const char *group,
                 size_t group_size, struct phx_scope *out)
{
    switch (dist) {
    case PHX_DIST_LOADSCOPE:
        *out = (struct phx_scope){node_id, scope_size(node_id, node_id_size)};
        return 1;
    case PHX_DIST_LOADFILE:
        *out = (struct phx_scope){node_id, first_separator(node_id, 0, node_id_size)};
        return 1;
    case PHX_DIST_LOADGROUP:
        if (!group)
            return 0;
        *out = (struct phx_scope){group, group_size};
        return 1;
    case PHX_DIST_LOAD:
    case PHX_DIST_WORKSTEAL:
    case PHX_DIST_MAIL:
    case PHX_DIST_DEALT:
        break;
    }
    return 0;
}

const char *phx_scope_test_name(const char *node_id, size_t size, size_t *out_size)
{
    size_t cut = scope_size(node_id, size);
    size_t skip = cut == size ? 0 : cut + 2;
    *out_size = size - skip;
    return node_id + skip;
}
