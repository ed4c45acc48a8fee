/* Files of /proc and /sys, below a `root` that is "" for this machine, or a directory that stands
 * for / in tests. */
#ifndef PHX_OS_SYSFILE_H
#define PHX_OS_SYSFILE_H

#include <stdio.h>

/* Opens <root><directory>/<name> to read. Returns NULL when it cannot be read. */
FILE *phx_sysfile_open(const char *root, const char *directory, const char *name);

/* The first line of a file, without its end; the caller frees it. NULL when there is none. */
char *phx_sysfile_line(const char *root, const char *directory, const char *name);

#endif
