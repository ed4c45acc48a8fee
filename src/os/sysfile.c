#include "os/sysfile.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

FILE *phx_sysfile_open(const char *root, const char *directory, const char *name)
{
    char path[PATH_MAX];
    int used = snprintf(path, sizeof path, "%s%s/%s", root, directory, name);
    return used > 0 && (size_t)used < sizeof path ? fopen(path, "re") : NULL;
}

char *phx_sysfile_line(const char *root, const char *directory, const char *name)
{
    FILE *file = phx_sysfile_open(root, directory, name);
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
