#include "report/timeline.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "report/outfile.h"
#include "report/timeline_page.h" /* made of timeline.html */

#include "role/controller.h"

#define US ((phx_ns)1000)
#define MARKER "PHALANX_DATA" /* in the page, where the data goes */

static int put_worker(FILE *out, const struct phx_record *record, uint32_t number)
{
    const struct phx_record_worker *worker = &record->workers[number];
    const char *host = worker->host ? worker->host : "";
    fprintf(out, "[%u,%d,%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%u,%u,%" PRId64, number,
            worker->crashed, worker->replaces, worker->up / US, worker->down / US,
            worker->busy / US, worker->ntests, worker->nsteals, worker->cpu / US);
    fprintf(out, ",%" PRId64 ",", worker->machine);
    int status = phx_outfile_put_json(out, host, strlen(host));
    fputc(']', out);
    return status;
}

/* [worker, start, end, setup, call, teardown, outcome, stolen, attempt, id]; microseconds. */
static int put_test(FILE *out, const struct phx_record_test *test, const struct phx_record *record,
                    const struct phx_controller *controller)
{
    size_t size = 0;
    const char *id = phx_controller_test_id(controller, test->test, &size);
    fprintf(out, "%s[%u,%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%d,%d,%u,",
            test == record->tests ? "" : ",\n", test->worker, test->start / US, test->end / US,
            test->setup / US, test->call / US, test->teardown / US,
            phx_outcome_index((char)test->outcome), test->is_stolen, test->attempt);
    int status = phx_outfile_put_json(out, id ? id : "?", id ? size : 1);
    fputc(']', out);
    return status;
}

static int put_data(FILE *out, const char *title, const struct phx_record *record,
                    const struct phx_controller *controller)
{
    fputs("{\"title\":", out);
    int status = phx_outfile_put_json(out, title, strlen(title));
    fprintf(out,
            ",\"parallel\":%u,\"cores\":%u,\"collected\":%u,\"ran\":%u,\"startup\":%" PRId64
            ",\"forked\":%" PRId64 ",\"ended\":%" PRId64 ",\n\"outcomes\":[",
            record->nparallel, record->ncores, record->ncollected, record->ndistinct,
            record->startup / US, record->forked / US, record->ended / US);
    for (int i = 0; phx_outcome_at(i); i++)
        fprintf(out, "%s\"%s\"", i ? "," : "", phx_outcome_text(phx_outcome_at(i)));
    fputs("],\n\"workers\":[", out);
    int first = 1;
    for (uint32_t number = 0; number < record->nworkers && status == 0; number++) {
        if (!record->workers[number].is_there)
            continue;
        if (!first)
            fputc(',', out);
        first = 0;
        status = put_worker(out, record, number);
    }
    fputs("],\n\"tests\":[\n", out);
    for (uint32_t i = 0; i < record->ntests && status == 0; i++)
        status = put_test(out, &record->tests[i], record, controller);
    fputs("\n]}\n", out);
    return status;
}

int phx_timeline_write(const char *path, const char *title, const struct phx_record *record,
                       const struct phx_controller *controller, struct phx_err *err)
{
    struct phx_outfile file;
    int status = phx_outfile_open(&file, path, err);
    if (status < 0)
        return status;
    const char *marker = strstr(phx_timeline_page, MARKER);
    fwrite(phx_timeline_page, 1, (size_t)(marker - phx_timeline_page), file.stream);
    status = put_data(file.stream, title, record, controller);
    fputs(marker + strlen(MARKER), file.stream);
    return phx_outfile_close(&file, status, err);
}
