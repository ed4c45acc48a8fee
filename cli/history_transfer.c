/* `phalanx history export` and `import`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "cli/command.h"
#include "cli/history_command.h"
#include "cli/options.h"
#include "cli/place.h"
#include "store/transfer.h"

/* ---- export ---- */

static const char export_help[] =
    "phalanx history export [FILE]\n"
    "\n"
    "Writes the history as JSON, to FILE or standard output: for another job, which imports it.\n"
    "\n"
    "      --history=PATH  the history's file\n"
    "\n"
    "For example, at the end of each CI job, and at the beginning of the next:\n"
    "\n"
    "  phalanx history export history-$JOB.json\n"
    "  phalanx history import history-*.json\n";

/* Writes to a file beside it first, so that a reader never sees half of it. */
static int export_to_file(struct phx_history *history, const char *path, struct phx_err *err)
{
    char *part = NULL;
    if (asprintf(&part, "%s.part", path) < 0)
        return -ENOMEM;
    FILE *out = fopen(part, "we");
    int status = out ? phx_transfer_export(history, out, err)
                     : phx_err_set(err, -errno, "cannot write %s", part);
    if (out && fclose(out) != 0 && status == 0)
        status = phx_err_set(err, -errno, "cannot write %s", part);
    if (status == 0 && rename(part, path) < 0)
        status = phx_err_set(err, -errno, "cannot write %s", path);
    if (status < 0 && out)
        unlink(part);
    free(part);
    return status;
}

int phx_cli_history_export(int argc, char **argv)
{
    const char *asked = NULL;
    int first, result;
    const struct phx_cli_option options[] = {{"history", 0, PHX_CLI_TEXT, &asked}, {0}};
    if (!phx_cli_read_options(options, export_help, argc, argv, &first, &result))
        return result;
    if (argc - first > 1)
        return phx_cli_complain(PHX_CLI_USAGE, argv[0], "takes one FILE: see --help");
    struct phx_history history;
    struct phx_err err = {0};
    int status = phx_cli_open_history(&history, argv[0], asked, PHX_DB_READ, NULL);
    if (status != 0)
        return status;
    if (first < argc && strcmp(argv[first], "-") != 0)
        status = export_to_file(&history, argv[first], &err);
    else
        status = phx_transfer_export(&history, stdout, &err);
    phx_history_close(&history);
    return status < 0 ? phx_cli_complain(PHX_CLI_FAILED, argv[0], "%s", err.text) : PHX_CLI_DONE;
}

/* ---- import ---- */

static const char import_help[] =
    "phalanx history import [--overwrite] [--root=DIR] FILE...\n"
    "\n"
    "Takes over what FILE holds ('-': standard input); where there is no history it makes one, in\n"
    ".pytest_cache of this directory. FILE is one of\n"
    "\n"
    "  a history that 'phalanx history export' wrote: of a test that both know, the estimate\n"
    "    measured later stays, and of all outcomes the newest 20; the same twice changes nothing\n"
    "  .test_durations of pytest-split\n"
    "  JUnit XML of pytest ('pytest --junitxml=FILE'): in the directory that is pytest's rootdir,\n"
    "    or with --root, as it names modules and not files\n"
    "\n"
    "Durations of the last two fill in what was never measured.\n"
    "\n"
    "      --overwrite     durations replace what is known\n"
    "      --root=DIR      pytest's rootdir (default: this directory)\n"
    "      --history=PATH  the history's file\n"
    "\n"
    "A file that cannot be read as one of these is left out as a whole, with exit status 1.\n";

static int has_file(void *context, const char *path)
{
    const int *root = context;
    struct stat found;
    return fstatat(*root, path, &found, 0) == 0 && S_ISREG(found.st_mode);
}

static int read_all(const char *path, struct phx_buf *out, int64_t *out_time, struct phx_err *err)
{
    int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                    : open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) < 0) {
        int code = -errno;
        phx_fd_close(&fd);
        return phx_err_set(err, code, "cannot read %s", path);
    }
    *out_time = S_ISREG(info.st_mode) ? (int64_t)info.st_mtime : (int64_t)time(NULL);
    ssize_t got = 1;
    int status = 0;
    while (status == 0 && got > 0) {
        status = phx_buf_reserve(out, 1 << 16);
        got = status < 0 ? 0 : read(fd, out->data + out->end, 1 << 16);
        if (got > 0)
            out->end += (size_t)got;
        else if (got < 0 && errno == EINTR)
            got = 1;
        else if (got < 0)
            status = -errno;
    }
    phx_fd_close(&fd);
    return status < 0 ? phx_err_set(err, status, "cannot read %s", path) : 0;
}

static void say(const char *name, const struct phx_merge_counts *counts)
{
    printf("%s: %llu tests are new, %llu are known better, %llu were known", name,
           (unsigned long long)counts->added, (unsigned long long)counts->updated,
           (unsigned long long)counts->kept);
    if (counts->runs > 0)
        printf("; %llu new runs", (unsigned long long)counts->runs);
    if (counts->unnamed > 0)
        printf("; %llu entries left out, as they have no time or do not tell which test they are",
               (unsigned long long)counts->unnamed);
    putchar('\n');
}

static int import_one(struct phx_history *history, const char *path, int *root, int overwrite,
                      struct phx_err *err)
{
    struct phx_buf bytes;
    struct phx_merge_counts counts = {0};
    struct phx_transfer_source source = {.name = path,
                                         .now = (int64_t)time(NULL),
                                         .overwrite = overwrite,
                                         .has_file = has_file,
                                         .context = root};
    phx_buf_init(&bytes);
    int status = read_all(path, &bytes, &source.measured_at, err);
    source.bytes = phx_buf_head(&bytes);
    source.size = phx_buf_size(&bytes);
    if (status == 0)
        status = phx_transfer_import(history, &source, &counts, err);
    phx_buf_fini(&bytes);
    if (status == 0)
        say(path, &counts);
    else if (err->code == 0)
        phx_err_set(err, status, "cannot import %s", path);
    return status;
}

static int import_all(const char *program, const char *asked, const char *root_path, int overwrite,
                      char **paths)
{
    struct phx_history history;
    int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return phx_cli_complain(PHX_CLI_FAILED, program, "--root=%s: %s", root_path,
                                strerror(errno));
    int result = phx_cli_make_history(&history, program, asked);
    if (result == 0) {
        for (; *paths; paths++) {
            struct phx_err err = {0};
            if (import_one(&history, *paths, &root, overwrite, &err) < 0)
                result = phx_cli_complain(PHX_CLI_FAILED, program, "%s", err.text);
        }
        phx_history_close(&history);
    }
    phx_fd_close(&root);
    return result;
}

int phx_cli_history_import(int argc, char **argv)
{
    const char *asked = NULL, *root = ".";
    int overwrite = 0, first, result;
    const struct phx_cli_option options[] = {{"overwrite", 0, PHX_CLI_FLAG, &overwrite},
                                             {"root", 0, PHX_CLI_TEXT, &root},
                                             {"history", 0, PHX_CLI_TEXT, &asked},
                                             {0}};
    if (!phx_cli_read_options(options, import_help, argc, argv, &first, &result))
        return result;
    if (first == argc)
        return phx_cli_complain(PHX_CLI_USAGE, argv[0], "takes at least one FILE: see --help");
    return import_all(argv[0], asked, root, overwrite, argv + first);
}
