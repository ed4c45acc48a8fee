/* inotify watches folders, not trees: each folder has a watch of its own, told by a number. A
 * folder that is made gets one when its making is read. Files may lie in it by then, whose writing
 * nobody told: so the folder itself is told as a change. */
#include "os/treewatch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

enum {
    CHANGES = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO,
    BYTES_MAX = 16 * 1024, /* of events, read at once */
};

struct phx_treewatch {
    int fd;
    char **folders; /* by the number of its watch; owned, NULL where there is none */
    size_t nfolders;
    size_t size, at; /* of what was read, and how much of it was taken */
    alignas(struct inotify_event) char bytes[BYTES_MAX];
};

int phx_treewatch_new(struct phx_treewatch **out_watch, struct phx_err *err)
{
    struct phx_treewatch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return -ENOMEM;
    watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->fd < 0) {
        int status = phx_err_set(err, -errno, "cannot watch files");
        free(watch);
        return status;
    }
    *out_watch = watch;
    return 0;
}

void phx_treewatch_free(struct phx_treewatch *watch)
{
    if (!watch)
        return;
    phx_fd_close(&watch->fd);
    for (size_t i = 0; i < watch->nfolders; i++)
        free(watch->folders[i]);
    free(watch->folders);
    free(watch);
}

static int ends_with(const char *name, const char *end)
{
    size_t size = strlen(name), end_size = strlen(end);
    return size >= end_size && strcmp(name + size - end_size, end) == 0;
}

static int is_ignored(const char *name)
{
    return name[0] == '.' || strcmp(name, "__pycache__") == 0 || ends_with(name, ".pyc") ||
           ends_with(name, "~");
}

static int remember(struct phx_treewatch *watch, size_t number, const char *path)
{
    if (number >= watch->nfolders) {
        size_t n = number + 1 + watch->nfolders;
        char **grown = realloc(watch->folders, n * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        memset(grown + watch->nfolders, 0, (n - watch->nfolders) * sizeof *grown);
        watch->folders = grown;
        watch->nfolders = n;
    }
    char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    free(watch->folders[number]); /* it was watched before, by another path */
    watch->folders[number] = copy;
    return 0;
}

static int is_folder(const char *path, const struct dirent *entry)
{
    struct stat status;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static int add_folder(struct phx_treewatch *watch, const char *path);

/* As deep as folders are nested, which PATH_MAX bounds. */
static int add_below(struct phx_treewatch *watch, const char *path)
{
    DIR *folder = opendir(path);
    int status = 0;
    if (!folder)
        return 0; /* gone meanwhile, or not ours to read */
    struct dirent *entry;
    while (status == 0 && (entry = readdir(folder))) { // NOLINT(concurrency-mt-unsafe)
        char below[PATH_MAX];
        if (is_ignored(entry->d_name) ||
            snprintf(below, sizeof below, "%s/%s", path, entry->d_name) >= (int)sizeof below ||
            !is_folder(below, entry))
            continue;
        status = add_folder(watch, below);
        if (status == -ENOENT || status == -ENOTDIR || status == -EACCES)
            status = 0;
    }
    closedir(folder);
    return status;
}

static int add_folder(struct phx_treewatch *watch, const char *path)
{
    int number =
        inotify_add_watch(watch->fd, path, CHANGES | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK);
    if (number < 0)
        return -errno;
    int status = remember(watch, (size_t)number, path);
    /* Watched first, listed then: what is made between the two is told, not missed. */
    return status < 0 ? status : add_below(watch, path);
}

int phx_treewatch_add(struct phx_treewatch *watch, const char *root, struct phx_err *err)
{
    char path[PATH_MAX];
    if (!realpath(root, path))
        return phx_err_set(err, -errno, "cannot watch %s", root);
    int status = add_folder(watch, path);
    if (status == -ENOSPC)
        return phx_err_set(err, status,
                           "cannot watch %s: it has more folders than "
                           "/proc/sys/fs/inotify/max_user_watches allows",
                           root);
    return status < 0 ? phx_err_set(err, status, "cannot watch %s", root) : 0;
}

/* The change that an event tells. Returns 1 with its path, or 0 when nobody cares for it. */
static int take(struct phx_treewatch *watch, const struct inotify_event *event, char *out_path,
                size_t max)
{
    if (event->mask & IN_Q_OVERFLOW) {
        out_path[0] = '\0';
        return 1;
    }
    size_t number = (size_t)event->wd;
    if (event->wd < 0 || number >= watch->nfolders || !watch->folders[number])
        return 0;
    if (event->mask & IN_IGNORED) { /* the folder is gone */
        free(watch->folders[number]);
        watch->folders[number] = NULL;
        return 0;
    }
    char path[PATH_MAX];
    int is_dir = (event->mask & IN_ISDIR) != 0;
    int size = event->len > 0
                   ? snprintf(path, sizeof path, "%s/%s", watch->folders[number], event->name)
                   : 0;
    if (size <= 0 || size >= (int)sizeof path || (size_t)size >= max || is_ignored(event->name))
        return 0;
    if (is_dir && event->mask & (IN_CREATE | IN_MOVED_TO))
        (void)add_folder(watch, path); /* best effort: it may be gone again */
    else if (event->mask & IN_CREATE)
        return 0; /* a file without content: its writing is told too */
    memcpy(out_path, path, (size_t)size + 1);
    return 1;
}

static int wait_for_events(struct phx_treewatch *watch, phx_ns timeout)
{
    struct pollfd readable = {.fd = watch->fd, .events = POLLIN};
    int milliseconds = timeout < 0 ? 0 : (int)(timeout / PHX_MS);
    if (poll(&readable, 1, milliseconds) < 0)
        return -errno;
    ssize_t got = read(watch->fd, watch->bytes, sizeof watch->bytes);
    if (got < 0)
        return errno == EAGAIN ? 0 : -errno;
    watch->at = 0;
    watch->size = (size_t)got;
    return got > 0;
}

int phx_treewatch_next(struct phx_treewatch *watch, phx_ns timeout, char *out_path, size_t max)
{
    phx_ns deadline = phx_clock_now() + timeout;
    for (;;) {
        while (watch->at < watch->size) {
            const struct inotify_event *event = (const void *)(watch->bytes + watch->at);
            watch->at += sizeof *event + event->len;
            if (take(watch, event, out_path, max))
                return 1;
        }
        phx_ns left = deadline - phx_clock_now();
        int status = wait_for_events(watch, left);
        if (status < 0 || (status == 0 && left <= 0))
            return status;
    }
}
