/* Any bytes at all, given to `phalanx history import`: a history of ours, durations of
 * pytest-split, JUnit XML. What is taken over must come out again, and taken over a second time
 * change nothing.
 *
 *     CC=clang meson setup build-fuzz -Dtests=true
 *     ninja -C build-fuzz tests/fuzz/fuzz_transfer
 *     mkdir found && build-fuzz/tests/fuzz/fuzz_transfer -max_len=4096 found
 * tests/fuzz/corpus/transfer
 *
 * Built with PHX_FUZZ_REPLAY it is a unit test that runs the corpus once, with any compiler. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/transfer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Some paths are files: by their length. */
static int has_file(void *context, const char *path)
{
    (void)context;
    return strlen(path) % 3 == 0;
}

static int import(struct phx_history *history, const void *bytes, size_t size,
                  struct phx_merge_counts *counts)
{
    struct phx_err err = {0};
    struct phx_transfer_source source = {.name = "input",
                                         .bytes = bytes,
                                         .size = size,
                                         .measured_at = 1000,
                                         .now = 2000,
                                         .has_file = has_file};
    int status = phx_transfer_import(history, &source, counts, &err);
    CHECK(status == 0 || status == PHX_E_FORMAT || status == PHX_E_NEWER);
    CHECK(status == 0 || err.code == status);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct phx_history first, second;
    struct phx_merge_counts counts = {0}, again = {0}, copied = {0};
    CHECK(phx_history_open(&first, ":memory:", PHX_DB_WRITE, NULL) == 0);
    if (import(&first, data, size, &counts) == 0) {
        CHECK(import(&first, data, size, &again) == 0);
        CHECK(again.added == 0 && again.runs == 0);
        CHECK(again.updated == 0);
        char *text = NULL;
        size_t length = 0;
        FILE *out = open_memstream(&text, &length);
        CHECK(out && phx_transfer_export(&first, out, NULL) == 0);
        fclose(out);
        CHECK(phx_history_open(&second, ":memory:", PHX_DB_WRITE, NULL) == 0);
        CHECK(import(&second, text, length, &copied) == 0);
        CHECK(copied.added == counts.added);
        CHECK(copied.runs == counts.runs);
        phx_history_close(&second);
        free(text);
    }
    phx_history_close(&first);
    return 0;
}

#ifdef PHX_FUZZ_REPLAY
static void replay(const char *path)
{
    FILE *file = fopen(path, "rbe");
    CHECK(file);
    static uint8_t bytes[1 << 20];
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, size);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    DIR *folder = opendir(argv[1]);
    CHECK(folder);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) { // NOLINT(concurrency-mt-unsafe)
        char path[PATH_MAX];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        replay(path);
        count++;
    }
    closedir(folder);
    printf("%d inputs\n", count);
    CHECK(count > 0);
    return 0;
}
#endif
