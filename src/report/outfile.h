/* A file of a report: complete under its name, or not there.
 *
 * It is written beside its name and renamed in the end, so that a full disk or a killed run leaves
 * what was there before. What is no regular file (/dev/stdout, a pipe) is written as it is.
 *
 * Runs in the controller and in the phalanx command. */
#ifndef PHX_REPORT_OUTFILE_H
#define PHX_REPORT_OUTFILE_H

#include <stdio.h>

#include "base/err.h"

struct phx_outfile {
    FILE *stream; /* to write to; errors show at close */
    const char *path;
    char *temporary; /* owned; NULL: written in place */
};

/* `path` is borrowed until close. Directories above it are made. Returns 0 or a negative code with
 * *err filled. */
int phx_outfile_open(struct phx_outfile *out, const char *path, struct phx_err *err);

/* Ends it: under its name if `status` and all writes were good, else removed. Returns 0, `status`,
 * or the code of the write that failed, with *err filled. */
int phx_outfile_close(struct phx_outfile *out, int status, struct phx_err *err);

/* Puts a text as a JSON string that may stand inside HTML: ASCII, without "<". What is no UTF-8 in
 * it becomes "?". Returns 0 or -ENOMEM. */
int phx_outfile_put_json(FILE *stream, const char *text, size_t size);

#endif
