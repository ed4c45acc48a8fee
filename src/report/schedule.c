#include "report/schedule.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "report/line.h"
#include "report/outfile.h"
#include "role/controller.h"

#define US ((phx_ns)1000)

enum { NAME_MAX_BYTES = 400, LINE_MAX_BYTES = 2048 };

struct unit { /* what stays together */
    uint32_t ntests;
    uint64_t cost_us;
};

struct writer {
    const struct phx_record *record;
    const struct phx_controller *controller;
    const struct phx_reasons *reasons;
    struct unit *units; /* owned, by the number of a unit */
};

/* ---- the columns ---- */

static void put_cell(struct phx_line *line, int width, const char *text)
{
    phx_line_put(line, "%*s  ", width, text);
}

static void put_time(struct phx_line *line, int width, phx_ns duration)
{
    char text[32];
    struct phx_line cell = phx_line_in(text, sizeof text);
    phx_line_put_duration(&cell, duration);
    put_cell(line, width, text);
}

static const char *text_of_source(const struct phx_reason *reason)
{
    switch (reason ? (enum phx_cost_from)reason->from : PHX_COST_NONE) {
    case PHX_COST_HISTORY:
        return "history";
    case PHX_COST_FILE:
        return "its file";
    case PHX_COST_SUITE:
        return "the suite";
    case PHX_COST_NONE:
        break;
    }
    return "-";
}

static void put_columns(struct phx_line *line, const struct phx_record_test *test,
                        const struct phx_reason *reason)
{
    char worker[16];
    snprintf(worker, sizeof worker, "gw%" PRIu32, test->worker);
    put_time(line, 9, test->start);
    phx_line_put(line, "%-7s  ", worker);
    put_time(line, 8, test->end - test->start);
    if (reason && reason->from != PHX_COST_NONE)
        put_time(line, 8, reason->cost_us * US);
    else
        put_cell(line, 8, "-");
    phx_line_put(line, "%-9s  ", text_of_source(reason));
}

/* ---- the reasons ---- */

static void put_unit(struct phx_line *line, const struct writer *writer,
                     const struct phx_record_test *test, const struct phx_reason *reason)
{
    const struct unit *unit = &writer->units[reason->unit];
    struct phx_scope scope;
    if (!phx_controller_scope(writer->controller, test->test, &scope)) {
        phx_line_put(line, "a unit of its own");
        return;
    }
    phx_line_put_name(line, scope.key, scope.size, NAME_MAX_BYTES);
    phx_line_put(line, " (%" PRIu32 " test%s", unit->ntests, unit->ntests == 1 ? "" : "s");
    if (reason->from != PHX_COST_NONE) {
        phx_line_put(line, ", ");
        phx_line_put_duration(line, (phx_ns)unit->cost_us * US);
    }
    phx_line_put(line, ") stays together");
}

static void put_limit(struct phx_line *line, const struct writer *writer, uint32_t test)
{
    const struct phx_collection *tests = phx_controller_collection(writer->controller);
    uint32_t number = phx_collection_limit_of(tests, test);
    if (number == 0) {
        phx_line_put(line, "stays with tests of a limited group");
    } else {
        const struct phx_collection_limit *limit = &tests->limits[number - 1];
        phx_line_put(line, "of the limited group ");
        phx_line_put_name(line, limit->name, limit->size, NAME_MAX_BYTES);
        phx_line_put(line, ", %" PRIu32 " at a time", limit->permits);
    }
    phx_line_put(line, ": tried before all others");
}

static void put_exclusive(struct phx_line *line, const struct writer *writer, uint32_t test)
{
    const struct phx_collection *tests = phx_controller_collection(writer->controller);
    if (phx_collection_limit_of(tests, test) == 1)
        phx_line_put(line, "exclusive");
    else
        phx_line_put(line, "stays with tests whose limits let nothing run beside it");
    phx_line_put(line, ": before all others, in one worker");
}

static void put_why(struct phx_line *line, const struct writer *writer,
                    const struct phx_record_test *test, const struct phx_reason *reason)
{
    switch ((enum phx_reason_why)reason->why) {
    case PHX_REASON_PIECE:
        phx_line_put(line, "in collection order");
        break;
    case PHX_REASON_LONG:
        phx_line_put(line, "long: the dearest tests come first");
        break;
    case PHX_REASON_DEAREST:
        put_unit(line, writer, test, reason);
        phx_line_put(line, ": the dearest units come first");
        break;
    case PHX_REASON_COLLECTED:
        put_unit(line, writer, test, reason);
        phx_line_put(line, ": units in collection order");
        break;
    case PHX_REASON_TURN:
        phx_line_put(line, "few tests: in turn, in collection order");
        break;
    case PHX_REASON_ROW:
        phx_line_put(line, "in a row of neighbours (--maxschedchunk)");
        break;
    case PHX_REASON_REPEATED:
        phx_line_put(line, "a repetition: away from the others");
        break;
    case PHX_REASON_EXCLUSIVE:
        put_exclusive(line, writer, test->test);
        break;
    case PHX_REASON_LIMITED:
        put_limit(line, writer, test->test);
        break;
    }
    if (reason->setup_us > 0 && reason->from != PHX_COST_NONE) {
        phx_line_put(line, "; opens set-ups of ");
        phx_line_put_duration(line, reason->setup_us * US);
    }
}

/* Whose it was in the plan, and why another worker ran it. */
static void put_owner(struct phx_line *line, const struct writer *writer,
                      const struct phx_record_test *test, const struct phx_reason *reason)
{
    if (reason->span == PHX_REASON_NO_SPAN)
        return;
    phx_line_put(line, "; planned for gw%" PRIu32, reason->span);
    if (reason->span == test->worker)
        return;
    const struct phx_record *record = writer->record;
    const struct phx_record_worker *owner =
        reason->span < record->nworkers ? &record->workers[reason->span] : NULL;
    if (!owner || !owner->is_there || owner->up == 0)
        phx_line_put(line, ", which never came");
    else if (owner->crashed && owner->down <= test->start)
        phx_line_put(line, ", which had crashed");
    else
        phx_line_put(line, ", stolen by gw%" PRIu32 ", which had nothing left", test->worker);
}

static void put_reason(struct phx_line *line, const struct writer *writer,
                       const struct phx_record_test *test, const struct phx_reason *reason)
{
    if (reason) {
        put_why(line, writer, test, reason);
        put_owner(line, writer, test, reason);
    } else if (test->attempt > 0 || writer->reasons->of) {
        phx_line_put(line, "once more, for whoever asked first");
    } else {
        phx_line_put(line, "sent there by a scheduler that is not phalanx's");
    }
}

/* ---- all of it ---- */

static const struct phx_reason *reason_of(const struct writer *writer,
                                          const struct phx_record_test *test)
{
    const struct phx_reasons *reasons = writer->reasons;
    return reasons->of && test->position < reasons->count ? &reasons->of[test->position] : NULL;
}

static void put_test(FILE *out, const struct writer *writer, const struct phx_record_test *test)
{
    char text[LINE_MAX_BYTES];
    struct phx_line line = phx_line_in(text, sizeof text);
    const struct phx_reason *reason = reason_of(writer, test);
    size_t size = 0;
    const char *id = phx_controller_test_id(writer->controller, test->test, &size);
    if (!id)
        return; /* the ledger was damaged here */
    put_columns(&line, test, reason);
    phx_line_put_name(&line, id, size, NAME_MAX_BYTES);
    phx_line_put(&line, "  ");
    put_reason(&line, writer, test, reason);
    fprintf(out, "%s\n", text);
}

static void put_head(FILE *out, const struct writer *writer)
{
    const struct phx_record *record = writer->record;
    uint32_t known = 0;
    for (uint32_t i = 0; writer->reasons->of && i < writer->reasons->count; i++)
        known += writer->reasons->of[i].from == PHX_COST_HISTORY;
    fprintf(out,
            "%" PRIu32 " workers, %" PRIu32 " tests, of which the history knows %" PRIu32
            "; each run of a test, in the order of their starts:\n",
            record->nparallel, record->ncollected, known);
    fprintf(out, "%9s  %-7s  %8s  %8s  %-9s  test  why there\n", "start", "worker", "took",
            "estimate", "known by");
}

static int gather_units(struct writer *writer)
{
    const struct phx_reasons *reasons = writer->reasons;
    writer->units = calloc(reasons->count + (size_t)1, sizeof *writer->units);
    if (!writer->units)
        return -ENOMEM;
    for (uint32_t i = 0; reasons->of && i < reasons->count; i++) {
        struct unit *unit = &writer->units[reasons->of[i].unit];
        unit->ntests++;
        unit->cost_us += reasons->of[i].cost_us;
    }
    return 0;
}

int phx_schedule_put(FILE *out, const struct phx_record *record,
                     const struct phx_controller *controller, const struct phx_reasons *reasons)
{
    struct writer writer = {.record = record, .controller = controller, .reasons = reasons};
    int status = gather_units(&writer);
    if (status < 0)
        return status;
    put_head(out, &writer);
    for (uint32_t i = 0; i < record->ntests; i++)
        put_test(out, &writer, &record->tests[i]);
    if (record->ndistinct < record->ncollected)
        fprintf(out, "%" PRIu32 " tests were not run\n", record->ncollected - record->ndistinct);
    free(writer.units);
    return 0;
}

int phx_schedule_write(const char *path, const struct phx_record *record,
                       const struct phx_controller *controller, const struct phx_reasons *reasons,
                       struct phx_err *err)
{
    struct phx_outfile file;
    int status = phx_outfile_open(&file, path, err);
    if (status < 0)
        return status;
    status = phx_schedule_put(file.stream, record, controller, reasons);
    return phx_outfile_close(&file, status, err);
}
