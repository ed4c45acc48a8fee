#include "os/oom.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/cgroup.h"
#include "os/sysfile.h"

struct kills {
    const char *root;
    uint64_t most;
};

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Only the group itself: those that contain it count other groups' deaths too. */
static int add_kills(void *context, const char *directory, int v2)
{
    static const char key[] = "oom_kill ";
    struct kills *kills = context;
    FILE *file =
        phx_sysfile_open(kills->root, directory, v2 ? "memory.events" : "memory.oom_control");
    char *line = NULL;
    size_t capacity = 0;
    while (file && getline(&line, &capacity, file) >= 0)
        if (strncmp(line, key, sizeof key - 1) == 0)
            kills->most = larger(kills->most, strtoull(line + sizeof key - 1, NULL, 10));
    free(line);
    if (file)
        fclose(file);
    return 1;
}

uint64_t phx_oom_kills(const char *root)
{
    struct kills kills = {.root = root};
    phx_cgroup_each(root, "memory", add_kills, &kills);
    return kills.most;
}
