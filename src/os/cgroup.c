#include "os/cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/sysfile.h"

struct search {
    const char *root, *controller;
    const char *path; /* of this process's group in the hierarchy */
    int v2;
    phx_cgroup_each_fn *each;
    void *context;
};

/* Whether the comma-separated `list` holds `word`. */
static int has_word(const char *list, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += size)
        if ((at == list || at[-1] == ',') && (at[size] == '\0' || at[size] == ','))
            return 1;
    return 0;
}

/* The path of this process's control group as /proc/self/cgroup tells, of the unified hierarchy
 * (v2) or of `controller`; the caller frees it. NULL: none. */
static char *own_group(const char *root, const char *controller, int v2)
{
    FILE *file = phx_sysfile_open(root, "/proc/self", "cgroup");
    if (!file)
        return NULL;
    char *line = NULL, *path = NULL;
    size_t capacity = 0;
    while (!path && getline(&line, &capacity, file) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'); /* NUMBER:CONTROLLERS:PATH */
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        if (v2 ? strncmp(line, "0:", 2) == 0 : has_word(controllers + 1, controller))
            path = strdup(group);
    }
    free(line);
    fclose(file);
    return path;
}

/* Blanks and backslashes in mount points are written \ooo. In place. */
static void unescape(char *text)
{
    char *out = text;
    for (const char *in = text; *in; out++) {
        unsigned value;
        if (in[0] == '\\' && sscanf(in + 1, "%3o", &value) == 1) {
            *out = (char)value;
            in += 4;
        } else {
            *out = *in++;
        }
    }
    *out = '\0';
}

/* The group at <mount><path> and those that contain it, up to the mount. */
static void climb(const struct search *search, const char *mount, const char *path)
{
    char directory[PATH_MAX];
    int used = snprintf(directory, sizeof directory, "%s%s", mount, path);
    if (used < 0 || (size_t)used >= sizeof directory)
        return;
    while (search->each(search->context, directory, search->v2) == 0) {
        char *slash = strrchr(directory, '/');
        if (!slash || strlen(directory) <= strlen(mount))
            return;
        *slash = '\0';
    }
}

/* One line of mountinfo: ID PARENT DEVICE ROOT POINT OPTIONS … - TYPE SOURCE SUPER. Climbs if it is
 * a mount of the hierarchy that is searched. */
static void climb_in_mount(const struct search *search, char *line)
{
    char *tail = strstr(line, " - ");
    if (!tail)
        return;
    *tail = '\0';
    char *save, *words[5], *type, *super;
    words[0] = strtok_r(line, " ", &save);
    for (int i = 1; i < 5; i++)
        words[i] = words[i - 1] ? strtok_r(NULL, " ", &save) : NULL;
    type = strtok_r(tail + 3, " ", &save);
    super = type && strtok_r(NULL, " ", &save) ? strtok_r(NULL, " \n", &save) : NULL;
    if (!words[4] || !super || strcmp(type, search->v2 ? "cgroup2" : "cgroup") != 0)
        return;
    if (!search->v2 && !has_word(super, search->controller))
        return;
    unescape(words[3]);
    unescape(words[4]);
    /* In a container the mount may show only a subtree, which begins at ROOT; a group outside it
     * cannot be seen, and the mount point is the nearest that can. */
    const char *path = search->path;
    size_t size = strcmp(words[3], "/") == 0 ? 0 : strlen(words[3]);
    int inside = strncmp(path, words[3], size) == 0 && (path[size] == '/' || path[size] == '\0') &&
                 strncmp(path, "/..", 3) != 0;
    climb(search, words[4], inside && strcmp(path + size, "/") != 0 ? path + size : "");
}

static void search_mounts(struct search *search)
{
    char *path = own_group(search->root, search->controller, search->v2);
    FILE *file = path ? phx_sysfile_open(search->root, "/proc/self", "mountinfo") : NULL;
    char *line = NULL;
    size_t capacity = 0;
    search->path = path;
    while (file && getline(&line, &capacity, file) >= 0)
        climb_in_mount(search, line);
    free(line);
    free(path);
    if (file)
        fclose(file);
}

void phx_cgroup_each(const char *root, const char *controller, phx_cgroup_each_fn *each,
                     void *context)
{
    for (int v2 = 0; v2 <= 1; v2++) {
        struct search search = {root, controller, NULL, v2, each, context};
        search_mounts(&search);
    }
}
