#include "report/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes the directories above `path`. A failure shows when the file is opened. */
static void make_directories(const char *path)
{
    char *copy = strdup(path);
    for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(copy, 0777);
        *slash = '/';
    }
    free(copy);
}

static int is_no_regular_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

/* As fopen would make it: mkstemp leaves the group and others out. */
static void set_usual_mode(int fd)
{
    mode_t mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask);
}

int phx_outfile_open(struct phx_outfile *out, const char *path, struct phx_err *err)
{
    *out = (struct phx_outfile){.path = path};
    if (is_no_regular_file(path)) {
        out->stream = fopen(path, "we");
        return out->stream ? 0 : phx_err_set(err, -errno, "cannot write %s", path);
    }
    make_directories(path);
    if (asprintf(&out->temporary, "%s.XXXXXX", path) < 0) {
        out->temporary = NULL;
        return -ENOMEM;
    }
    int fd = mkostemp(out->temporary, O_CLOEXEC);
    if (fd >= 0) {
        set_usual_mode(fd);
        out->stream = fdopen(fd, "w");
    }
    if (!out->stream) {
        int status = phx_err_set(err, -errno, "cannot write %s", path);
        if (fd >= 0) {
            close(fd);
            unlink(out->temporary);
        }
        free(out->temporary);
        out->temporary = NULL;
        return status;
    }
    return 0;
}

int phx_outfile_close(struct phx_outfile *out, int status, struct phx_err *err)
{
    errno = EIO; /* of an error in the past nobody knows the cause any more */
    int bad = ferror(out->stream) | fflush(out->stream);
    int cause = errno;
    if (fclose(out->stream) != 0 && !bad) {
        bad = 1;
        cause = errno;
    }
    if (status == 0 && bad)
        status = phx_err_set(err, -cause, "cannot write %s", out->path);
    if (status == 0 && out->temporary && rename(out->temporary, out->path) < 0)
        status = phx_err_set(err, -errno, "cannot write %s", out->path);
    if (status < 0 && out->temporary)
        unlink(out->temporary);
    free(out->temporary);
    *out = (struct phx_outfile){0};
    return status;
}

static json_t *string_of(const char *text, size_t size)
{
    json_t *string = json_stringn(text, size);
    if (string)
        return string;
    char *ascii = malloc(size + 1);
    if (!ascii)
        return NULL;
    for (size_t i = 0; i < size; i++)
        ascii[i] = (char)((unsigned char)text[i] < 0x80 ? text[i] : '?');
    string = json_stringn(ascii, size);
    free(ascii);
    return string;
}

int phx_outfile_put_json(FILE *stream, const char *text, size_t size)
{
    json_t *string = string_of(text, size);
    char *encoded = string ? json_dumps(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    json_decref(string);
    if (!encoded)
        return -ENOMEM;
    for (const char *at = encoded; *at; at++) {
        if (*at == '<') /* "</script>" and "<!--" would end, or comment out, what it stands in */
            fputs("\\u003c", stream);
        else
            fputc(*at, stream);
    }
    free(encoded);
    return 0;
}
