#include "os/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

/* Reads the start of /proc/<pid>/<name>, NUL-terminated. Returns the bytes read, -ESRCH when the
 * process is gone, or -errno. */
static ssize_t read_file(pid_t pid, const char *name, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    size_t used = 0;
    ssize_t got;
    while ((got = read(fd, out + used, size - 1 - used)) > 0)
        used += (size_t)got;
    int code = -errno;
    phx_fd_close(&fd);
    if (got < 0)
        return code;
    out[used] = '\0';
    return (ssize_t)used;
}

int phx_procfs_look(pid_t pid, struct phx_process *out)
{
    char text[1024];
    ssize_t size = read_file(pid, "stat", text, sizeof text);
    if (size < 0)
        return (int)size;
    /* PID (NAME) STATE PPID PGRP SESSION …: the name may hold anything, parentheses too. */
    char *rest = strrchr(text, ')');
    struct phx_process found = {.pid = pid};
    if (!rest ||
        sscanf(rest,
               ") %c %d %d %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
               "%*s %llu",
               &found.state, &found.parent, &found.group, &found.session, &found.start_time) != 5)
        return -EIO;
    *out = found;
    return 0;
}

struct table {
    struct phx_process *rows;
    size_t count, capacity;
};

static int add_row(struct table *table, const struct phx_process *row)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity ? 2 * table->capacity : 256;
        struct phx_process *rows = realloc(table->rows, capacity * sizeof *rows);
        if (!rows)
            return -ENOMEM;
        table->rows = rows;
        table->capacity = capacity;
    }
    table->rows[table->count++] = *row;
    return 0;
}

static int read_all(struct table *table)
{
    DIR *proc = opendir("/proc");
    if (!proc)
        return -errno;
    int status = 0;
    struct dirent *entry;
    /* A stream of this call's own. */
    while (status == 0 && (entry = readdir(proc))) { // NOLINT(concurrency-mt-unsafe)
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        struct phx_process row;
        if (*end != '\0' || pid <= 0)
            continue;
        status = phx_procfs_look((pid_t)pid, &row);
        if (status == 0)
            status = add_row(table, &row);
        else if (status != -EMFILE && status != -ENFILE && status != -ENOMEM)
            status = 0; /* it ended meanwhile, or is not ours to see */
    }
    closedir(proc);
    return status;
}

static int by_parent(const void *left, const void *right)
{
    const struct phx_process *a = left, *b = right;
    return a->parent != b->parent ? (a->parent > b->parent) - (a->parent < b->parent)
                                  : (a->pid > b->pid) - (a->pid < b->pid);
}

/* Moves the children of `parent` from the table (sorted by parent) to `found`. A row is moved once:
 * a pid that was recycled during the reading cannot make a loop. */
static int move_children(struct table *table, pid_t parent, struct table *found)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->rows[middle].parent < parent)
            low = middle + 1;
        else
            high = middle;
    }
    int status = 0;
    for (; status == 0 && low < table->count && table->rows[low].parent == parent; low++) {
        if (table->rows[low].pid == 0)
            continue;
        status = add_row(found, &table->rows[low]);
        table->rows[low].pid = 0;
    }
    return status;
}

int phx_procfs_descendants(pid_t root, struct phx_process **out_list)
{
    struct table all = {0}, found = {0};
    int status = read_all(&all);
    if (status < 0)
        goto out;
    for (size_t i = 0; i < all.count; i++)
        if (all.rows[i].pid == root)
            all.rows[i].pid = 0;
    if (all.count > 0)
        qsort(all.rows, all.count, sizeof *all.rows, by_parent);
    status = move_children(&all, root, &found);
    for (size_t i = 0; status == 0 && i < found.count; i++)
        status = move_children(&all, found.rows[i].pid, &found);
    if (status < 0)
        goto out;
    *out_list = found.rows;
    found.rows = NULL;
    status = (int)found.count;
out:
    free(all.rows);
    free(found.rows);
    return status;
}

int phx_procfs_command(pid_t pid, char *out, size_t size)
{
    char name[64];
    if (size == 0)
        return -EINVAL;
    ssize_t used = read_file(pid, "cmdline", out, size);
    if (used < 0)
        return (int)used;
    while (used > 0 && out[used - 1] == '\0') /* the last one's end; setproctitle leaves more */
        used--;
    if (used == 0) {
        ssize_t got = read_file(pid, "comm", name, sizeof name);
        if (got < 0)
            return (int)got;
        name[strcspn(name, "\n")] = '\0';
        used = snprintf(out, size, "[%s]", name);
        if ((size_t)used >= size)
            used = (ssize_t)size - 1;
    }
    for (ssize_t i = 0; i < used; i++) {
        unsigned char byte = (unsigned char)out[i];
        if (byte == '\0')
            out[i] = ' ';
        else if (byte < 0x20 || byte > 0x7e)
            out[i] = '?';
    }
    out[used] = '\0';
    return 0;
}
