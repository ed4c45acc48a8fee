/* A directory of its own for each test, and files in it. */
#ifndef PHX_TEST_SCRATCH_H
#define PHX_TEST_SCRATCH_H

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch[64];      /* the directory */
static char history_path[96]; /* in it */

static inline void scratch_make(void)
{
    strcpy(scratch, "/tmp/phx-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(scratch));
    snprintf(history_path, sizeof history_path, "%s/h?%%#.sqlite", scratch);
}

static inline void scratch_remove(void)
{
    char command[192];
    snprintf(command, sizeof command, "chmod -R u+w %s; rm -rf %s", scratch, scratch);
    ck_assert_int_eq(system(command), 0);
}

static inline void scratch_write(const char *path, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

static inline const char *beside(const char *ending)
{
    static char path[128];
    snprintf(path, sizeof path, "%s%s", history_path, ending);
    return path;
}

#endif
