#include "os/leave.h"

#include <dirent.h>
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The list of what is counted: libgcov's, in each library that it is linked into, and visible
 * whatever the library does with its own names (gcc 4.9 to 15). */
static const char GCOV_SYMBOL[] = "__gcov_master";

static int counts_for_gcov(void)
{
    void *self = dlopen(NULL, RTLD_LAZY);
    struct link_map *map = NULL; /* of every object in the process, the program first */
    if (!self || dlinfo(self, RTLD_DI_LINKMAP, &map) != 0)
        return 0;
    int found = 0;
    for (; map && !found; map = map->l_next) {
        void *handle = dlopen(map->l_name[0] ? map->l_name : NULL, RTLD_LAZY | RTLD_NOLOAD);
        if (!handle)
            continue; /* the vDSO, which is no file */
        found = dlsym(handle, GCOV_SYMBOL) != NULL;
        dlclose(handle);
    }
    dlclose(self);
    return found;
}

static int has_one_thread(void)
{
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks)
        return 0;
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(tasks));) // NOLINT(concurrency-mt-unsafe)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count == 1;
}

void phx_leave(int status)
{
    if (has_one_thread())
        fflush(NULL);
    if (counts_for_gcov())
        exit(status); // NOLINT(concurrency-mt-unsafe): its handlers are asked for
    _exit(status);
}
