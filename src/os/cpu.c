/* The count of processors: those in the affinity of this process, physical ones counted once for
 * all their hardware threads, and no more than the CPU quotas allow.
 *
 * With a `root` for tests the affinity is Cpus_allowed_list in <root>/proc/self/status if that file
 * exists, else the real one. */
#include "os/cpu.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CPUS_MAX = 1 << 16 };

/* ---- files ---- */

/* Opens <root><path…>. Returns NULL when it cannot be read. */
static FILE *open_under(const char *root, const char *directory, const char *name)
{
    char path[PATH_MAX];
    int used = snprintf(path, sizeof path, "%s%s/%s", root, directory, name);
    return used > 0 && (size_t)used < sizeof path ? fopen(path, "re") : NULL;
}

/* The first line of a file, without its end; the caller frees it. NULL when there is none. */
static char *first_line(const char *root, const char *directory, const char *name)
{
    FILE *file = open_under(root, directory, name);
    if (!file)
        return NULL;
    char *line = NULL;
    size_t capacity = 0;
    if (getline(&line, &capacity, file) < 0) {
        free(line);
        line = NULL;
    } else {
        line[strcspn(line, "\n")] = '\0';
    }
    fclose(file);
    return line;
}

/* ---- affinity and topology ---- */

/* Adds what a list such as "0-3,8" names to `set` (CPUS_MAX flags). Returns how many are new. */
static int parse_cpus(const char *list, char *set)
{
    int added = 0;
    while (*list) {
        char *end;
        long low = strtol(list, &end, 10), high = low;
        if (end == list)
            break;
        if (*end == '-')
            high = strtol(end + 1, &end, 10);
        for (long cpu = low < 0 ? 0 : low; cpu <= high && cpu < CPUS_MAX; cpu++) {
            added += !set[cpu];
            set[cpu] = 1;
        }
        if (*end != ',')
            break;
        list = end + 1;
    }
    return added;
}

static int real_affinity(char *set)
{
    /* The kernel refuses a set smaller than its own. */
    for (int size = 1024; size <= CPUS_MAX; size *= 4) {
        cpu_set_t *cpus = CPU_ALLOC((size_t)size);
        if (!cpus)
            return 0;
        int count = 0;
        int status = sched_getaffinity(0, CPU_ALLOC_SIZE((size_t)size), cpus);
        for (int cpu = 0; status == 0 && cpu < size; cpu++) {
            set[cpu] = CPU_ISSET_S((size_t)cpu, CPU_ALLOC_SIZE((size_t)size), cpus) ? 1 : 0;
            count += set[cpu];
        }
        CPU_FREE(cpus);
        if (status == 0 || errno != EINVAL)
            return count;
    }
    return 0;
}

static int affinity(const char *root, char *set)
{
    static const char key[] = "Cpus_allowed_list:";
    FILE *file = *root ? open_under(root, "/proc/self", "status") : NULL;
    if (!file)
        return real_affinity(set);
    char *line = NULL;
    size_t capacity = 0;
    int count = 0;
    while (getline(&line, &capacity, file) >= 0)
        if (strncmp(line, key, sizeof key - 1) == 0)
            count = parse_cpus(line + sizeof key - 1, set);
    free(line);
    fclose(file);
    return count;
}

/* Whether `cpu` is the first hardware thread of its core that is in `set`. Siblings and not core_id
 * tell: on arm64 a core_id is unique only within its cluster. */
static int is_first_of_core(const char *root, int cpu, const char *set)
{
    char directory[96];
    snprintf(directory, sizeof directory, "/sys/devices/system/cpu/cpu%d/topology", cpu);
    char *list = first_line(root, directory, "core_cpus_list");
    if (!list) /* the name until Linux 5.3, and for now beside the new one */
        list = first_line(root, directory, "thread_siblings_list");
    char *siblings = list ? calloc(CPUS_MAX, 1) : NULL;
    int first = 1;
    if (siblings) {
        parse_cpus(list, siblings);
        for (int other = 0; other < cpu && first; other++)
            first = !(set[other] && siblings[other]);
    }
    free(siblings);
    free(list);
    return first;
}

/* ---- quotas ---- */

/* Processors that one control group allows, rounded up; INT_MAX without a limit. */
static int group_limit(const char *root, const char *directory, int v2)
{
    long long quota = -1, period = 0;
    char *first = first_line(root, directory, v2 ? "cpu.max" : "cpu.cfs_quota_us");
    char *second = v2 ? NULL : first_line(root, directory, "cpu.cfs_period_us");
    if (v2 && first && sscanf(first, "%lld %lld", &quota, &period) != 2)
        quota = -1; /* "max 100000" */
    if (!v2 && first && second) {
        quota = strtoll(first, NULL, 10); /* -1: no limit */
        period = strtoll(second, NULL, 10);
    }
    free(first);
    free(second);
    if (quota <= 0 || period <= 0)
        return INT_MAX;
    long long whole = quota / period + (quota % period != 0);
    return whole > INT_MAX ? INT_MAX : (int)whole;
}

/* The least limit of the group at <mount><path> and of those that contain it, up to the mount. */
static int least_limit(const char *root, const char *mount, const char *path, int v2)
{
    char directory[PATH_MAX];
    int used = snprintf(directory, sizeof directory, "%s%s", mount, path);
    if (used < 0 || (size_t)used >= sizeof directory)
        return INT_MAX;
    int least = INT_MAX;
    for (;;) {
        int limit = group_limit(root, directory, v2);
        if (limit < least)
            least = limit;
        char *slash = strrchr(directory, '/');
        if (!slash || strlen(directory) <= strlen(mount))
            return least;
        *slash = '\0';
    }
}

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
 * (v2) or of the cpu controller; the caller frees it. NULL: none. */
static char *own_group(const char *root, int v2)
{
    FILE *file = open_under(root, "/proc/self", "cgroup");
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
        if (v2 ? strncmp(line, "0:", 2) == 0 : has_word(controllers + 1, "cpu"))
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

/* One line of mountinfo: ID PARENT DEVICE ROOT POINT OPTIONS … - TYPE SOURCE SUPER. Returns the
 * limit of the group `path` if the line is a mount of its hierarchy, else INT_MAX. */
static int limit_in_mount(const char *root, char *line, const char *path, int v2)
{
    char *tail = strstr(line, " - ");
    if (!tail)
        return INT_MAX;
    *tail = '\0';
    char *save, *words[5], *type, *super;
    words[0] = strtok_r(line, " ", &save);
    for (int i = 1; i < 5; i++)
        words[i] = words[i - 1] ? strtok_r(NULL, " ", &save) : NULL;
    type = strtok_r(tail + 3, " ", &save);
    super = type && strtok_r(NULL, " ", &save) ? strtok_r(NULL, " \n", &save) : NULL;
    if (!words[4] || !super || strcmp(type, v2 ? "cgroup2" : "cgroup") != 0)
        return INT_MAX;
    if (!v2 && !has_word(super, "cpu"))
        return INT_MAX;
    unescape(words[3]);
    unescape(words[4]);
    /* In a container the mount may show only a subtree, which begins at ROOT; a group outside it
     * cannot be seen, and the mount point is the nearest that can. */
    size_t size = strcmp(words[3], "/") == 0 ? 0 : strlen(words[3]);
    int inside = strncmp(path, words[3], size) == 0 && (path[size] == '/' || path[size] == '\0') &&
                 strncmp(path, "/..", 3) != 0;
    const char *below = inside && strcmp(path + size, "/") != 0 ? path + size : "";
    return least_limit(root, words[4], below, v2);
}

static int quota(const char *root, int v2)
{
    int least = INT_MAX;
    char *path = own_group(root, v2);
    FILE *file = path ? open_under(root, "/proc/self", "mountinfo") : NULL;
    char *line = NULL;
    size_t capacity = 0;
    while (file && getline(&line, &capacity, file) >= 0) {
        int limit = limit_in_mount(root, line, path, v2);
        if (limit < least)
            least = limit;
    }
    free(line);
    free(path);
    if (file)
        fclose(file);
    return least;
}

/* ---- the answer ---- */

static int count(const char *root, int physical)
{
    char *set = calloc(CPUS_MAX, 1);
    if (!set)
        return 1;
    int cpus = affinity(root, set);
    if (physical)
        for (int cpu = CPUS_MAX - 1; cpu > 0; cpu--)
            if (set[cpu] && !is_first_of_core(root, cpu, set))
                cpus--;
    free(set);
    for (int v2 = 0; v2 <= 1; v2++) {
        int limit = quota(root, v2);
        if (limit < cpus)
            cpus = limit;
    }
    return cpus < 1 ? 1 : cpus;
}

int phx_cpu_logical(const char *root)
{
    return count(root, 0);
}

int phx_cpu_physical(const char *root)
{
    return count(root, 1);
}
