/* Durations from JUnit XML, as pytest's --junitxml writes it.
 *
 *     <testcase classname="tests.unit.test_a.TestA" name="test_x[1]" time="0.012" />
 *
 * What pytest made of the node id has to be taken back: `tests/unit/test_a.py::TestA::test_x[1]`.
 * In `classname` the path has lost its slashes and its ".py", so where it ends is found by, in this
 * order,
 *   1. the attribute `file`, which junit_family=xunit1 has (it is the file that *defines* the test:
 *      it counts only where classname agrees);
 *   2. the files that there are: the longest beginning of classname that is one;
 *   3. the name: the first part that looks like a test file, test_*.py or *_test.py.
 * 2 and 3 go on behind the first part, if need be: junit_prefix puts something in front.
 *
 * A test that was skipped has no duration. Of a test that is there twice (a failed teardown is an
 * entry of its own) the longer time counts.
 *
 * Runs in the command. The parser is expat: it fetches nothing, and bounds the growth of entities.
 */
#include <ctype.h>
#include <errno.h>
#include <expat.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/transfer.h"

enum { PARTS_MAX = 64 };

struct entry {
    char *id; /* owned */
    size_t size;
    double seconds;
};

struct junit {
    XML_Parser parser;
    const struct phx_transfer_source *source;
    struct entry *entries; /* owned, [count] */
    size_t count, capacity;
    uint64_t unnamed;
    int depth, is_junit; /* elements around; the outermost one is of JUnit's */
    int status;
    int skipped; /* of the test case under way: */
    double seconds;
    char *id; /* owned; NULL: cannot be told */
};

/* ---- from classname and name to the node id ---- */

/* classname in parts: part[i] begins at start[i]; the last one ends at start[n] - 1. */
struct parts {
    size_t start[PARTS_MAX + 1];
    size_t n;
};

static int split(const char *classname, struct parts *out)
{
    size_t n = 0, size = strlen(classname);
    for (size_t at = 0; at <= size; at += strcspn(classname + at, ".") + 1) {
        if (n == PARTS_MAX)
            return 0;
        out->start[n++] = at;
    }
    out->start[n] = size + 1;
    out->n = n;
    return size > 0;
}

/* Parts from `first` to before `end` as a path. */
static int put_path(struct phx_buf *out, const char *classname, const struct parts *parts,
                    size_t first, size_t end)
{
    int status = 0;
    for (size_t i = first; i < end && status == 0; i++) {
        if (i > first)
            status = phx_buf_append(out, "/", 1);
        if (status == 0)
            status = phx_buf_append(out, classname + parts->start[i],
                                    parts->start[i + 1] - 1 - parts->start[i]);
    }
    return status == 0 ? phx_buf_append(out, ".py", 3) : status;
}

static int is_file(const struct phx_transfer_source *source, const char *classname,
                   const struct parts *parts, size_t first, size_t end)
{
    struct phx_buf path;
    phx_buf_init(&path);
    int found = put_path(&path, classname, parts, first, end) == 0 &&
                phx_buf_append(&path, "", 1) == 0 &&
                source->has_file(source->context, phx_buf_head(&path));
    phx_buf_fini(&path);
    return found;
}

static int looks_like_a_test_file(const char *part, size_t size)
{
    return (size > 5 && memcmp(part, "test_", 5) == 0) ||
           (size > 5 && memcmp(part + size - 5, "_test", 5) == 0);
}

/* Finds the parts that are the path: [*first, *end). Returns 1, or 0 when it cannot be told. */
static int find_path(const struct phx_transfer_source *source, const char *classname,
                     const struct parts *parts, size_t *first, size_t *end)
{
    for (*first = 0; source->has_file && *first < parts->n; ++*first)
        for (*end = parts->n; *end > *first; --*end)
            if (is_file(source, classname, parts, *first, *end))
                return 1;
    *first = 0;
    for (*end = 1; *end <= parts->n; ++*end)
        if (looks_like_a_test_file(classname + parts->start[*end - 1],
                                   parts->start[*end] - 1 - parts->start[*end - 1]))
            return 1;
    return 0;
}

/* Where in classname the classes begin, if it holds the path `file`; 0 if it does not. */
static size_t behind_file(const char *classname, const char *file)
{
    size_t size = strlen(file);
    if (size > 3 && strcmp(file + size - 3, ".py") == 0)
        size -= 3;
    for (const char *at = classname; *at; at++) {
        size_t i = 0;
        while (i < size && at[i] && at[i] == (file[i] == '/' ? '.' : file[i]))
            i++;
        if (i == size && (at == classname || at[-1] == '.') && (at[i] == '.' || at[i] == '\0'))
            return (size_t)(at - classname) + size;
    }
    return 0;
}

/* `::` and what is left of classname, `::` and the name. */
static int put_names(struct phx_buf *out, const char *classes, const char *name)
{
    int status = 0;
    while (*classes == '.' && status == 0) {
        size_t size = strcspn(classes + 1, ".");
        status = phx_buf_append(out, "::", 2);
        if (status == 0)
            status = phx_buf_append(out, classes + 1, size);
        classes += 1 + size;
    }
    if (status == 0)
        status = phx_buf_append(out, "::", 2);
    return status == 0 ? phx_buf_append(out, name, strlen(name) + 1) : status;
}

/* The node id, malloc'd and NUL-terminated. NULL when it cannot be told; with -ENOMEM in *status.
 */
static char *node_id_of(const struct phx_transfer_source *source, const char *file,
                        const char *classname, const char *name, int *status)
{
    struct parts parts;
    struct phx_buf out;
    size_t first, end, behind = file ? behind_file(classname, file) : 0;
    char *id = NULL;
    phx_buf_init(&out);
    if (behind > 0) {
        *status = phx_buf_append(&out, file, strlen(file));
    } else if (split(classname, &parts) && find_path(source, classname, &parts, &first, &end)) {
        *status = put_path(&out, classname, &parts, first, end);
        behind = parts.start[end] - 1;
    } else {
        return NULL;
    }
    if (*status == 0)
        *status = put_names(&out, classname + behind, name);
    if (*status == 0 && !(id = strdup(phx_buf_head(&out))))
        *status = -ENOMEM;
    phx_buf_fini(&out);
    return id;
}

/* ---- the parser's events ---- */

static const char *attribute(const XML_Char **attributes, const char *name)
{
    for (; *attributes; attributes += 2)
        if (strcmp(attributes[0], name) == 0)
            return attributes[1];
    return NULL;
}

static void begin_case(struct junit *junit, const XML_Char **attributes)
{
    const char *time = attribute(attributes, "time"), *name = attribute(attributes, "name");
    const char *classname = attribute(attributes, "classname");
    char *end = NULL;
    free(junit->id);
    junit->id = NULL;
    junit->skipped = 0;
    junit->seconds = time ? strtod(time, &end) : -1;
    if (!time || end == time || *end != '\0' || !isfinite(junit->seconds))
        junit->seconds = -1;
    if (name && *name && classname)
        junit->id = node_id_of(junit->source, attribute(attributes, "file"), classname, name,
                               &junit->status);
}

static void end_case(struct junit *junit)
{
    if (junit->skipped)
        return;
    if (!junit->id || junit->seconds < 0) {
        junit->unnamed++;
        return;
    }
    if (junit->count == junit->capacity) {
        size_t capacity = junit->capacity ? junit->capacity * 2 : 256;
        struct entry *entries = realloc(junit->entries, capacity * sizeof *entries);
        if (!entries) {
            junit->status = -ENOMEM;
            return;
        }
        junit->entries = entries;
        junit->capacity = capacity;
    }
    junit->entries[junit->count++] =
        (struct entry){.id = junit->id, .size = strlen(junit->id), .seconds = junit->seconds};
    junit->id = NULL;
}

/* pytest writes a test that failed as it was expected to as a skipped one; but it ran. */
static int is_xfail(const XML_Char **attributes)
{
    const char *type = attribute(attributes, "type");
    return type && strcmp(type, "pytest.xfail") == 0;
}

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct junit *junit = context;
    if (junit->depth++ == 0)
        junit->is_junit = strcmp(name, "testsuites") == 0 || strcmp(name, "testsuite") == 0;
    if (strcmp(name, "testcase") == 0)
        begin_case(junit, attributes);
    else if (strcmp(name, "skipped") == 0)
        junit->skipped = !is_xfail(attributes);
    if (junit->status < 0 || !junit->is_junit)
        XML_StopParser(junit->parser, XML_FALSE);
}

static void XMLCALL on_end(void *context, const XML_Char *name)
{
    struct junit *junit = context;
    junit->depth--;
    if (strcmp(name, "testcase") == 0)
        end_case(junit);
    if (junit->status < 0)
        XML_StopParser(junit->parser, XML_FALSE);
}

/* ---- the file ---- */

static int by_id(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->id, y->id);
    return order ? order : (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static int merge_entries(struct phx_history *history, const struct junit *junit,
                         struct phx_merge_counts *counts, struct phx_err *err)
{
    const struct phx_transfer_source *source = junit->source;
    int status = 0;
    if (junit->count > 0)
        qsort(junit->entries, junit->count, sizeof *junit->entries, by_id);
    for (size_t i = 0; i < junit->count && status == 0; i++) {
        const struct entry *entry = &junit->entries[i];
        if (i > 0 && strcmp(entry->id, entry[-1].id) == 0)
            continue; /* the longer one is in front */
        status =
            phx_merge_duration(history, entry->id, entry->size, entry->seconds, source->measured_at,
                               source->now, source->overwrite, counts, err);
    }
    counts->unnamed += junit->unnamed;
    return status;
}

static int parse(struct junit *junit, struct phx_err *err)
{
    const struct phx_transfer_source *source = junit->source;
    for (size_t at = 0;;) { /* its sizes are ints */
        size_t rest = source->size - at, size = rest < (1 << 20) ? rest : 1 << 20;
        enum XML_Status status =
            XML_Parse(junit->parser, source->bytes + at, (int)size, size == rest);
        if (junit->status < 0)
            return junit->status;
        if (status != XML_STATUS_OK &&
            XML_GetErrorCode(junit->parser) == XML_ERROR_ABORTED) /* by on_start */
            return phx_err_set(err, PHX_E_FORMAT, "%s: XML, but not of JUnit", source->name);
        if (status != XML_STATUS_OK)
            return phx_err_set(err, PHX_E_FORMAT, "%s: line %lu, column %lu: %s", source->name,
                               (unsigned long)XML_GetCurrentLineNumber(junit->parser),
                               (unsigned long)XML_GetCurrentColumnNumber(junit->parser) + 1,
                               XML_ErrorString(XML_GetErrorCode(junit->parser)));
        at += size;
        if (at == source->size)
            return 0;
    }
}

int phx_junit_import(struct phx_history *history, const struct phx_transfer_source *source,
                     struct phx_merge_counts *counts, struct phx_err *err)
{
    struct junit junit = {.parser = XML_ParserCreate(NULL), .source = source};
    if (!junit.parser)
        return -ENOMEM;
    XML_SetUserData(junit.parser, &junit);
    XML_SetElementHandler(junit.parser, on_start, on_end);
    int status = parse(&junit, err);
    if (status == 0)
        status = merge_entries(history, &junit, counts, err);
    XML_ParserFree(junit.parser);
    for (size_t i = 0; i < junit.count; i++)
        free(junit.entries[i].id);
    free(junit.entries);
    free(junit.id);
    return status;
}
