/* One run of pytest for `phalanx verify`: started, waited for, its reports read. */
#ifndef PHX_CLI_VERIFY_RUN_H
#define PHX_CLI_VERIFY_RUN_H

#include <jansson.h>

#include "base/clock.h"

struct phx_verify_run {
    const char *name; /* of its files in the directory: "sequential" */
    json_t *report;   /* owned: what --report-json wrote; NULL when there is none */
    json_t *cases;    /* owned: of the JUnit file, an array of texts, sorted; NULL likewise */
    int exit_code;    /* of pytest, or 128 + the signal that ended it */
    phx_ns wall;
    char log[512]; /* where its output is */
};

/* What the run's report says of its tests: {node id: [outcomes]}. Borrowed; NULL: no report. */
json_t *phx_verify_tests(const struct phx_verify_run *run);

/* Runs `python -m pytest ARGS EXTRA…`, output into `directory`/NAME.log.
 * args, extra  NULL-terminated
 * Returns 0, or a negative code when pytest could not be started (a line on stderr says why). A run
 * without a report is no error of this function. */
int phx_verify_run(struct phx_verify_run *run, const char *name, const char *directory,
                   const char *python, char *const *args, const char *const *extra);

void phx_verify_run_fini(struct phx_verify_run *run);

/* The python beside this program, or "python3". Into `out`. */
void phx_verify_python(char *out, size_t size);

#endif
