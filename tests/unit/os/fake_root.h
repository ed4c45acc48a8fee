/* A directory that stands for / where a test makes up /proc and /sys. */
#ifndef PHX_TEST_FAKE_ROOT_H
#define PHX_TEST_FAKE_ROOT_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[64];

static inline void make_fake_root(void)
{
    strcpy(root, "/tmp/phx-root-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static inline void remove_fake_root(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", root);
    ck_assert_int_eq(system(command), 0);
}

/* Writes <root><path>, with the directories it needs. */
static inline void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(full, 0755);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

/* One group of the unified hierarchy, mounted from `mounted_root` on. */
static inline void put_v2(const char *mounted_root, const char *group)
{
    char text[512];
    put("/proc/self/cgroup", group);
    snprintf(text, sizeof text,
             "23 1 0:5 / /proc rw - proc proc rw\n"
             "30 23 0:26 %s /sys/fs/cgroup rw,nosuid shared:4 master:2 - cgroup2 cgroup2 rw\n",
             mounted_root);
    put("/proc/self/mountinfo", text);
}

#endif
