#include "cli/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"

#define PLACE ".pytest_cache/d/phalanx/history.sqlite"

/* The nearest history of the working directory and those above it, malloc'd; NULL: none. */
static char *search(void)
{
    char *folder = getcwd(NULL, 0), *path = NULL;
    while (folder && asprintf(&path, "%s/" PLACE, folder) > 0) {
        if (access(path, F_OK) == 0) {
            free(folder);
            return path;
        }
        free(path);
        char *slash = strrchr(folder, '/');
        if (!slash || slash[1] == '\0')
            break;
        slash[slash == folder] = '\0'; /* of /a: / */
    }
    free(folder);
    return NULL;
}

int phx_cli_open_history(struct phx_history *out, const char *program, const char *asked,
                         enum phx_db_mode mode, char **out_path)
{
    struct phx_err err = {0};
    char *path = asked ? strdup(asked) : search();
    if (!path)
        return phx_cli_complain(PHX_CLI_FAILED, program,
                                "no history here: there is no " PLACE
                                " in this directory or one above. 'pytest -n auto' makes one; "
                                "--history=PATH names one elsewhere");
    if (phx_history_open(out, path, mode, &err) < 0) {
        free(path);
        return phx_cli_complain(PHX_CLI_FAILED, program, "%s", err.text);
    }
    if (out_path)
        *out_path = path;
    else
        free(path);
    return 0;
}

/* Makes .pytest_cache and the folders in it, as pytest does: what is in there is for no repository.
 */
static int make_folders(void)
{
    static const char *const folders[] = {".pytest_cache", ".pytest_cache/d",
                                          ".pytest_cache/d/phalanx"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (mkdir(folders[i], 0777) < 0) {
            if (errno != EEXIST)
                return -errno;
        } else if (i == 0) {
            FILE *ignore = fopen(".pytest_cache/.gitignore", "wxe");
            if (ignore) {
                fputs("# Created by phalanx, as pytest does.\n*\n", ignore);
                fclose(ignore);
            }
        }
    }
    return 0;
}

int phx_cli_make_history(struct phx_history *out, const char *program, const char *asked)
{
    struct phx_err err = {0};
    char *found = asked ? NULL : search();
    int status = 0;
    if (!asked && !found)
        status = make_folders();
    if (status < 0)
        return phx_cli_complain(PHX_CLI_FAILED, program, "cannot make " PLACE ": %s",
                                strerror(-status));
    status = phx_history_open(out, asked ? asked : found ? found : PLACE, PHX_DB_WRITE, &err);
    free(found);
    return status < 0 ? phx_cli_complain(PHX_CLI_FAILED, program, "%s", err.text) : 0;
}
