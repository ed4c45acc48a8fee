#include "report/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "report/outfile.h"
#include "role/controller.h"

/* The format counts in microseconds and takes fractions. */
static void put_time(FILE *out, const char *name, phx_ns value)
{
    value = value > 0 ? value : 0;
    fprintf(out, ",\"%s\":%" PRId64 ".%03d", name, value / 1000, (int)(value % 1000));
}

/* Everything is one process; a worker is a thread of it. Thread 0 sorts badly in some viewers. */
static void put_head(FILE *out, const char *phase, uint32_t worker)
{
    fprintf(out, ",\n{\"ph\":\"%s\",\"pid\":1,\"tid\":%u", phase, worker + 1);
}

static void put_worker(FILE *out, const struct phx_record *record, uint32_t number)
{
    const struct phx_record_worker *worker = &record->workers[number];
    put_head(out, "M", number);
    fprintf(out, ",\"name\":\"thread_name\",\"args\":{\"name\":\"gw%u\"}}", number);
    put_head(out, "M", number);
    fprintf(out, ",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%u}}", number);
    if (worker->crashed) {
        put_head(out, "i", number);
        put_time(out, "ts", worker->down);
        fputs(",\"s\":\"t\",\"name\":\"crash\"}", out);
    }
    if (worker->replaces >= 0) {
        put_head(out, "i", number);
        put_time(out, "ts", worker->up);
        fprintf(out, ",\"s\":\"t\",\"name\":\"replaces gw%" PRId64 "\"}", worker->replaces);
    }
}

static void put_phase(FILE *out, const struct phx_record_test *test, const char *name, phx_ns start,
                      phx_ns duration)
{
    if (duration <= 0)
        return;
    put_head(out, "X", test->worker);
    put_time(out, "ts", start);
    put_time(out, "dur", duration);
    fprintf(out, ",\"name\":\"%s\",\"cat\":\"phase\"}", name);
}

static int put_test(FILE *out, const struct phx_record_test *test,
                    const struct phx_controller *controller)
{
    size_t size = 0;
    const char *id = phx_controller_test_id(controller, test->test, &size);
    put_head(out, "X", test->worker);
    put_time(out, "ts", test->start);
    put_time(out, "dur", test->end - test->start);
    fprintf(out, ",\"cat\":\"test,%s\",\"name\":", phx_outcome_text((char)test->outcome));
    int status = phx_outfile_put_json(out, id ? id : "?", id ? size : 1);
    fprintf(out, ",\"args\":{\"outcome\":\"%s\",\"attempt\":%u}}",
            phx_outcome_text((char)test->outcome), test->attempt + 1);
    put_phase(out, test, "setup", test->start, test->setup);
    put_phase(out, test, "call", test->start + test->setup, test->call);
    put_phase(out, test, "teardown", test->start + test->setup + test->call, test->teardown);
    if (test->is_stolen) {
        put_head(out, "i", test->worker);
        put_time(out, "ts", test->start);
        fputs(",\"s\":\"t\",\"name\":\"steal\"}", out);
    }
    return status;
}

int phx_trace_write(const char *path, const struct phx_record *record,
                    const struct phx_controller *controller, struct phx_err *err)
{
    struct phx_outfile file;
    int status = phx_outfile_open(&file, path, err);
    if (status < 0)
        return status;
    fputs(
        "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{\"ph\":\"M\",\"pid\":1,\"tid\":0,\"name\":"
        "\"process_name\",\"args\":{\"name\":\"phalanx\"}}",
        file.stream);
    for (uint32_t number = 0; number < record->nworkers; number++)
        if (record->workers[number].is_there)
            put_worker(file.stream, record, number);
    for (uint32_t i = 0; i < record->ntests && status == 0; i++)
        status = put_test(file.stream, &record->tests[i], controller);
    fputs("\n]}\n", file.stream);
    return phx_outfile_close(&file, status, err);
}
