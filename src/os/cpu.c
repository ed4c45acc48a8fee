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

#include "os/cgroup.h"
#include "os/sysfile.h"

enum { CPUS_MAX = 1 << 16 };

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
    FILE *file = *root ? phx_sysfile_open(root, "/proc/self", "status") : NULL;
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
    char *list = phx_sysfile_line(root, directory, "core_cpus_list");
    if (!list) /* the name until Linux 5.3, and for now beside the new one */
        list = phx_sysfile_line(root, directory, "thread_siblings_list");
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
    char *first = phx_sysfile_line(root, directory, v2 ? "cpu.max" : "cpu.cfs_quota_us");
    char *second = v2 ? NULL : phx_sysfile_line(root, directory, "cpu.cfs_period_us");
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

struct limits {
    const char *root;
    int least;
};

static int note_limit(void *context, const char *directory, int v2)
{
    struct limits *limits = context;
    int limit = group_limit(limits->root, directory, v2);
    if (limit < limits->least)
        limits->least = limit;
    return 0;
}

static int quota(const char *root)
{
    struct limits limits = {.root = root, .least = INT_MAX};
    phx_cgroup_each(root, "cpu", note_limit, &limits);
    return limits.least;
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
    int limit = quota(root);
    if (limit < cpus)
        cpus = limit;
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
