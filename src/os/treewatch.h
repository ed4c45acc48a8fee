/* Folders and all that is below them, watched for changes (inotify).
 *
 * Hidden files and folders, caches of byte code and backups of editors are not looked at: nobody
 * runs a test for their sake.
 *
 * Runs in any process; not after a fork. */
#ifndef PHX_OS_TREEWATCH_H
#define PHX_OS_TREEWATCH_H

#include <stddef.h>

#include "base/clock.h"
#include "base/err.h"

struct phx_treewatch;

/* Watches nothing yet. Returns 0 with *out_watch to free, or a negative code. */
int phx_treewatch_new(struct phx_treewatch **out_watch, struct phx_err *err);
void phx_treewatch_free(struct phx_treewatch *watch);

/* Watches `root`, a folder, and every folder below it, those that are made later too. Links are not
 * followed. Returns 0 or a negative code, -ENOSPC where the system allows no more folders. */
int phx_treewatch_add(struct phx_treewatch *watch, const char *root, struct phx_err *err);

/* Waits up to `timeout` for the next change: a file was written, moved or deleted, a folder made.
 * out_path  of what has changed, set on 1 only; "" when changes came faster than they were taken,
 *           and nobody knows which
 * Returns   1, 0 when the time is over, -EINTR when a signal came, or another code. Blocks. */
int phx_treewatch_next(struct phx_treewatch *watch, phx_ns timeout, char *out_path, size_t max);

#endif
