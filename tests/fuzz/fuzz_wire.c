/* Any bytes at all, given to the inbox and to every decoder of the wire.
 *
 * The first byte of an input says in what pieces the rest arrives. The rest is taken as a stream of
 * frames, through memory and through a socket, which must agree; every message found, and the rest
 * as a whole, goes to every decoder. What a decoder accepts must survive being encoded and decoded
 * again, and the cursor must end where msgpack-c's reader ends.
 *
 *     CC=clang meson setup build-fuzz -Dtests=true
 *     ninja -C build-fuzz tests/fuzz/fuzz_wire
 *     mkdir found && build-fuzz/tests/fuzz/fuzz_wire -max_len=4096 found tests/fuzz/corpus/wire
 *
 * Built with PHX_FUZZ_REPLAY it is a unit test that runs the corpus once, with any compiler. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <msgpack.h>

#include "base/err.h"
#include "base/fd.h"
#include "wire/cursor.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/node_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* ---- the decoders ---- */

/* Decodes; when that succeeds, encodes the result, decodes it again, and compares. */
#define ROUND_TRIP(name)                                                                           \
    static void try_##name(const char *body, size_t size)                                          \
    {                                                                                              \
        struct phx_msg_##name msg, again;                                                          \
        int status = phx_msg_get_##name(body, size, &msg);                                         \
        CHECK(status == 0 || status == PHX_E_PROTO);                                               \
        if (status < 0)                                                                            \
            return;                                                                                \
        struct phx_buf out;                                                                        \
        phx_buf_init(&out);                                                                        \
        CHECK(phx_msg_put_##name(&out, &msg) == 0);                                                \
        CHECK(phx_msg_get_##name(phx_buf_head(&out), phx_buf_size(&out), &again) == 0);            \
        CHECK(same_##name(&msg, &again));                                                          \
        phx_buf_fini(&out);                                                                        \
    }

static int same_hello(const struct phx_msg_hello *a, const struct phx_msg_hello *b)
{
    return a->version == b->version && a->pid == b->pid && strcmp(a->role, b->role) == 0;
}

static int same_exit(const struct phx_msg_exit *a, const struct phx_msg_exit *b)
{
    return a->number == b->number && a->pid == b->pid && a->status == b->status;
}

static int same_forked(const struct phx_msg_forked *a, const struct phx_msg_forked *b)
{
    return a->number == b->number && a->pid == b->pid;
}

static int same_leftover(const struct phx_msg_leftover *a, const struct phx_msg_leftover *b)
{
    return a->pid == b->pid && a->group == b->group && a->ended == b->ended &&
           strcmp(a->command, b->command) == 0;
}

static int same_text(const struct phx_msg_text *a, const struct phx_msg_text *b)
{
    return a->number == b->number && strcmp(a->text, b->text) == 0;
}

ROUND_TRIP(hello)
ROUND_TRIP(exit)
ROUND_TRIP(forked)
ROUND_TRIP(leftover)
ROUND_TRIP(text)

static void try_number(const char *body, size_t size)
{
    uint64_t number = 7;
    int status = phx_msg_get_number(body, size, &number);
    CHECK(status == 0 || (status == PHX_E_PROTO && number == 7));
}

static void try_fork(const char *body, size_t size)
{
    uint32_t number;
    const char *value;
    size_t value_size;
    int status = phx_msg_get_fork(body, size, &number, &value, &value_size);
    CHECK(status == 0 || status == PHX_E_PROTO);
    if (status == 0)
        CHECK(value > body && value_size > 0 && value + value_size == body + size);
}

static void try_queue(const char *body, size_t size)
{
    uint32_t *tests = NULL;
    size_t count = 0;
    int status = phx_msg_get_queue(body, size, &tests, &count);
    CHECK(status == 0 || (status == PHX_E_PROTO && !tests));
    CHECK(count < size || count == 0);
    free(tests);
}

static int lies_in(const struct phx_node_bytes *part, const char *body, size_t size)
{
    return !part->bytes ||
           (part->bytes > body && part->size <= (size_t)(body + size - part->bytes));
}

static int same_bytes(const struct phx_node_bytes *a, const struct phx_node_bytes *b)
{
    return !a->bytes == !b->bytes && a->size == b->size &&
           (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

static void try_node_event(const char *body, size_t size)
{
    struct phx_node_event event, again;
    int status = phx_node_msg_get_event(body, size, &event);
    CHECK(status == 0 || status == PHX_E_PROTO);
    if (status < 0)
        return;
    CHECK(event.test >= -1 && lies_in(&event.body, body, size) && lies_in(&event.text, body, size));
    struct phx_buf out;
    phx_buf_init(&out);
    CHECK(phx_node_msg_put_event(&out, &event) == 0);
    CHECK(phx_node_msg_get_event(phx_buf_head(&out), phx_buf_size(&out), &again) == 0);
    CHECK(event.kind == again.kind && event.number == again.number && event.type == again.type);
    CHECK(event.count == again.count && event.pid == again.pid && event.test == again.test);
    CHECK(event.has_status == again.has_status && event.status == again.status);
    CHECK(event.finished == again.finished && event.phase == again.phase);
    CHECK(memcmp(event.phase_us, again.phase_us, sizeof event.phase_us) == 0);
    CHECK(event.total_us == again.total_us);
    CHECK(same_bytes(&event.body, &again.body) && same_bytes(&event.text, &again.text));
    for (int i = 0; i < PHX_NODE_WORDS; i++) {
        CHECK(lies_in(&event.words[i], body, size));
        CHECK(same_bytes(&event.words[i], &again.words[i]));
    }
    phx_buf_fini(&out);
}

static void compare_lists(const char *const *a, const char *const *b)
{
    CHECK(!a == !b);
    if (!a)
        return;
    size_t i;
    for (i = 0; a[i] && b[i]; i++)
        CHECK(strcmp(a[i], b[i]) == 0);
    CHECK(!a[i] && !b[i]);
}

static void try_spawn(const char *body, size_t size)
{
    struct phx_msg_spawn msg, again;
    void *memory, *memory_again;
    int status = phx_msg_get_spawn(body, size, &msg, &memory);
    CHECK(status == 0 || status == PHX_E_PROTO);
    if (status < 0)
        return;
    struct phx_buf out;
    phx_buf_init(&out);
    CHECK(msg.argv[0]);
    CHECK(phx_msg_put_spawn(&out, &msg) == 0);
    CHECK(phx_msg_get_spawn(phx_buf_head(&out), phx_buf_size(&out), &again, &memory_again) == 0);
    compare_lists(msg.argv, again.argv);
    compare_lists(msg.environment, again.environment);
    CHECK(!msg.directory == !again.directory);
    CHECK(!msg.directory || strcmp(msg.directory, again.directory) == 0);
    free(memory);
    free(memory_again);
    phx_buf_fini(&out);
}

static int look_at_item(void *context, const struct phx_msg_item *item)
{
    unsigned *sum = context;
    for (size_t i = 0; i < item->node_id_size; i++)
        *sum += (unsigned char)item->node_id[i];
    for (size_t i = 0; i < item->group_size; i++)
        *sum += (unsigned char)item->group[i];
    for (uint32_t i = 0; i < item->nsetups; i++)
        *sum += item->setups[i];
    for (size_t i = 0; i < item->limit_size; i++)
        *sum += (unsigned char)item->limit[i];
    return 0;
}

static void try_items(const char *body, size_t size)
{
    unsigned sum = 0;
    int status = phx_msg_each_item(body, size, look_at_item, &sum);
    CHECK(status == 0 || status == PHX_E_PROTO);
}

/* msgpack-c's reader goes 32 levels deep: what it refuses proves nothing, what it accepts must end
 * at the same byte. It is asked only when the cursor has checked what the containers claim. */
static void try_cursor(const char *body, size_t size)
{
    struct phx_cursor cursor;
    phx_cursor_init(&cursor, body, size);
    int status = phx_cursor_skip(&cursor);
    CHECK(status == 0 || status == PHX_E_PROTO);
    if (status < 0)
        return;
    size_t used = 0;
    msgpack_unpacked reference;
    msgpack_unpacked_init(&reference);
    msgpack_unpack_return result = msgpack_unpack_next(&reference, body, size, &used);
    if (result == MSGPACK_UNPACK_SUCCESS || result == MSGPACK_UNPACK_EXTRA_BYTES)
        CHECK(used == (size_t)(cursor.at - body));
    msgpack_unpacked_destroy(&reference);
}

static void try_body(const char *bytes, size_t size)
{
    char *body = malloc(size ? size : 1); /* of its own, so that a read outside is seen */
    CHECK(body);
    memcpy(body, bytes, size);
    try_cursor(body, size);
    try_hello(body, size);
    try_exit(body, size);
    try_forked(body, size);
    try_leftover(body, size);
    try_text(body, size);
    try_number(body, size);
    try_fork(body, size);
    try_queue(body, size);
    try_spawn(body, size);
    try_items(body, size);
    try_node_event(body, size);
    free(body);
}

/* ---- the inbox ---- */

struct outcome { /* of a stream: what must not depend on how it arrived */
    int messages;
    int status; /* of the last call: 0 or a negative code */
    uint64_t digest;
};

static uint64_t mix(uint64_t digest, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) /* FNV-1a */
        digest = (digest ^ (unsigned char)bytes[i]) * 1099511628211U;
    return digest;
}

static void drain(struct phx_inbox *in, struct outcome *outcome)
{
    struct phx_message message;
    while ((outcome->status = phx_inbox_next(in, &message)) == 1) {
        outcome->messages++;
        outcome->digest = mix(outcome->digest, (const char *)&message.type, sizeof message.type);
        outcome->digest = mix(outcome->digest, (const char *)&message.size, sizeof message.size);
        outcome->digest = mix(outcome->digest, message.body, message.size);
        try_body(message.body, message.size);
    }
    CHECK(outcome->status == 0 || outcome->status == PHX_E_PROTO ||
          outcome->status == PHX_E_TOOBIG);
}

static struct outcome through_memory(const char *bytes, size_t size, size_t piece)
{
    struct outcome outcome = {0};
    struct phx_inbox in;
    phx_inbox_init(&in);
    while (size > 0 && outcome.status == 0) {
        size_t now = size < piece ? size : piece;
        CHECK(phx_buf_append(&in.raw, bytes, now) == 0);
        drain(&in, &outcome);
        bytes += now;
        size -= now;
    }
    phx_inbox_fini(&in);
    return outcome;
}

static struct outcome through_socket(const char *bytes, size_t size)
{
    struct outcome outcome = {0};
    struct phx_inbox in;
    int pair[2];
    phx_inbox_init(&in);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    while (size > 0 && outcome.status == 0) {
        size_t now = size < 4096 ? size : 4096;
        CHECK(phx_fd_write_all(pair[0], bytes, now, NULL, 0) == 0);
        CHECK(phx_inbox_read(&in, pair[1]) == (int)now);
        drain(&in, &outcome);
        bytes += now;
        size -= now;
    }
    phx_fd_close(&pair[0]);
    if (outcome.status == 0)
        CHECK(phx_inbox_read(&in, pair[1]) == 0);
    phx_fd_close(&pair[1]);
    phx_inbox_fini(&in);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t piece = (size_t)data[0] + 1;
    const char *rest = (const char *)data + 1;
    size--;
    try_body(rest, size);
    struct outcome in_pieces = through_memory(rest, size, piece);
    struct outcome at_once = through_socket(rest, size);
    CHECK(in_pieces.messages == at_once.messages);
    CHECK(in_pieces.status == at_once.status);
    CHECK(in_pieces.digest == at_once.digest);
    return 0;
}

#ifdef PHX_FUZZ_REPLAY

static void replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    CHECK(file);
    struct phx_buf input;
    phx_buf_init(&input);
    size_t got;
    do {
        CHECK(phx_buf_reserve(&input, 4096) == 0);
        got = fread(input.data + input.end, 1, 4096, file);
        input.end += got;
    } while (got > 0);
    CHECK(!ferror(file));
    fclose(file);
    LLVMFuzzerTestOneInput((const uint8_t *)phx_buf_head(&input), phx_buf_size(&input));
    phx_buf_fini(&input);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    DIR *corpus = opendir(argv[1]);
    CHECK(corpus);
    int files = 0;
    struct dirent *entry;
    while ((entry = readdir(corpus))) {
        if (entry->d_name[0] == '.')
            continue;
        char path[PATH_MAX];
        CHECK(snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name) < (int)sizeof path);
        replay(path);
        files++;
    }
    closedir(corpus);
    printf("%d inputs replayed\n", files);
    CHECK(files > 0);
    return 0;
}

#endif
