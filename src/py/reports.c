#include "py/reports.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "report/metrics.h"
#include "report/record.h"
#include "report/schedule.h"
#include "report/summary.h"
#include "report/timeline.h"
#include "report/trace.h"
#include "report/waste.h"

enum {
    ROW_MAX = 128, /* bytes of a worker's line in the table */
    RUNNING_MAX = 8,
};

PyObject *phx_py_summary(const struct phx_py_state *state, struct phx_controller *controller,
                         PyObject *args)
{
    struct phx_record record;
    char line[PHX_METRICS_LINE_MAX], advice[PHX_WASTE_LINE_MAX];
    if (!PyArg_ParseTuple(args, ""))
        return NULL;
    int status = phx_record_make(&record, controller, NULL, 0);
    if (status < 0)
        return phx_py_raise(state, status, NULL);
    size_t table_size = (record.nworkers + (size_t)2) * ROW_MAX;
    char *table = PyMem_Malloc(table_size);
    PyObject *result = NULL;
    if (!table) {
        PyErr_NoMemory();
        goto out;
    }
    int line_size = phx_summary_line(&record, controller, line, sizeof line);
    int advice_size = phx_summary_advice(&record, controller, advice, sizeof advice);
    int rows_size = phx_summary_table(&record, table, table_size);
    if (line_size < 0 || advice_size < 0)
        PyErr_NoMemory();
    else
        result = Py_BuildValue("(NNN)", PyUnicode_DecodeUTF8(line, line_size, "replace"),
                               PyUnicode_DecodeUTF8(advice, advice_size, "replace"),
                               PyUnicode_DecodeUTF8(table, rows_size, "replace"));
out:
    PyMem_Free(table);
    phx_record_fini(&record);
    return result;
}

/* ---- figures ---- */

static double seconds(phx_ns duration)
{
    return (double)duration / (double)PHX_S;
}

static PyObject *worker_figures(const struct phx_record *record)
{
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; list && i < record->nworkers; i++) {
        const struct phx_record_worker *worker = &record->workers[i];
        if (!worker->is_there)
            continue;
        char name[16];
        snprintf(name, sizeof name, "gw%u", i);
        PyObject *entry =
            Py_BuildValue("{sssIsdsdsIsO}", "worker", name, "tests", worker->ntests, "busy_s",
                          seconds(worker->busy), "cpu_s", seconds(worker->cpu), "steals",
                          worker->nsteals, "crashed", worker->crashed ? Py_True : Py_False);
        if (!entry || PyList_Append(list, entry) < 0)
            Py_CLEAR(list);
        Py_XDECREF(entry);
    }
    return list;
}

PyObject *phx_py_figures(const struct phx_py_state *state, struct phx_controller *controller,
                         PyObject *args)
{
    struct phx_record record;
    char advice[PHX_WASTE_LINE_MAX] = "";
    const char *outcomes = NULL;
    Py_ssize_t noutcomes = 0;
    if (!PyArg_ParseTuple(args, "|z#", &outcomes, &noutcomes))
        return NULL;
    int status = phx_record_make(&record, controller, outcomes, (size_t)noutcomes);
    if (status < 0)
        return phx_py_raise(state, status, NULL);
    phx_ns busy = 0;
    for (uint32_t i = 0; i < record.nworkers; i++)
        if (__builtin_add_overflow(busy, record.workers[i].busy, &busy))
            busy = INT64_MAX;
    phx_summary_advice(&record, controller, advice, sizeof advice);
    PyObject *result = Py_BuildValue("{sIsIsIsdsdsdsssN}", "workers_at_a_time", record.nparallel,
                                     "cores", record.ncores, "tests_run", record.ndistinct,
                                     "startup_s", seconds(record.startup), "wall_s",
                                     seconds(record.ended - record.forked), "busy_s", seconds(busy),
                                     "advice", advice, "workers", worker_figures(&record));
    phx_record_fini(&record);
    return result;
}

/* ---- progress ---- */

struct running {
    uint32_t worker, position;
    phx_ns age;
};

/* Keeps the oldest, in order. */
static void insert(struct running *list, int *count, struct running entry)
{
    if (*count == RUNNING_MAX && list[RUNNING_MAX - 1].age >= entry.age)
        return;
    int at = *count < RUNNING_MAX ? (*count)++ : RUNNING_MAX - 1;
    for (; at > 0 && list[at - 1].age < entry.age; at--)
        list[at] = list[at - 1];
    list[at] = entry;
}

PyObject *phx_py_progress(const struct phx_py_state *state, struct phx_controller *controller,
                          PyObject *args)
{
    (void)state;
    if (!PyArg_ParseTuple(args, ""))
        return NULL;
    struct phx_controller_figures figures;
    phx_controller_figures(controller, &figures);
    struct running running[RUNNING_MAX];
    int count = 0;
    unsigned long long ended = 0;
    phx_ns now = phx_clock_now();
    for (uint32_t number = 0; number < figures.nworkers; number++) {
        struct phx_runq_view view;
        if (phx_controller_look(controller, number, &view) < 0)
            continue;
        ended += view.nended;
        if (view.running != PHX_RUNQ_NONE)
            insert(running, &count,
                   (struct running){number, (uint32_t)view.running, now - view.started});
    }
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < count; i++) {
        size_t size = 0;
        const char *id = phx_controller_node_id(controller, running[i].position, &size);
        PyObject *entry =
            Py_BuildValue("(INd)", running[i].worker,
                          PyUnicode_DecodeUTF8(id ? id : "?", id ? (Py_ssize_t)size : 1, "replace"),
                          seconds(running[i].age));
        if (!entry || PyList_Append(list, entry) < 0)
            Py_CLEAR(list);
        Py_XDECREF(entry);
    }
    if (!list)
        return NULL;
    phx_ns left = phx_controller_left(controller);
    return Py_BuildValue("(KIdN)", ended, phx_controller_positions(controller),
                         left < 0 ? -1.0 : seconds(left), list);
}

/* ---- files ---- */

static PyObject *written(const struct phx_py_state *state, int status, const struct phx_err *err)
{
    if (status < 0)
        return phx_py_raise(state, status, err);
    Py_RETURN_NONE;
}

PyObject *phx_py_write_timeline(const struct phx_py_state *state, struct phx_controller *controller,
                                PyObject *args)
{
    PyObject *path = NULL;
    const char *title, *outcomes;
    Py_ssize_t noutcomes;
    if (!PyArg_ParseTuple(args, "O&sy#", PyUnicode_FSConverter, &path, &title, &outcomes,
                          &noutcomes))
        return NULL;
    struct phx_err err = {0};
    struct phx_record record;
    int status = phx_record_make(&record, controller, outcomes, (size_t)noutcomes);
    if (status == 0) {
        Py_BEGIN_ALLOW_THREADS status =
            phx_timeline_write(PyBytes_AS_STRING(path), title, &record, controller, &err);
        Py_END_ALLOW_THREADS phx_record_fini(&record);
    }
    Py_DECREF(path);
    return written(state, status, &err);
}

PyObject *phx_py_write_trace(const struct phx_py_state *state, struct phx_controller *controller,
                             PyObject *args)
{
    PyObject *path = NULL;
    const char *outcomes;
    Py_ssize_t noutcomes;
    if (!PyArg_ParseTuple(args, "O&y#", PyUnicode_FSConverter, &path, &outcomes, &noutcomes))
        return NULL;
    struct phx_err err = {0};
    struct phx_record record;
    int status = phx_record_make(&record, controller, outcomes, (size_t)noutcomes);
    if (status == 0) {
        Py_BEGIN_ALLOW_THREADS status =
            phx_trace_write(PyBytes_AS_STRING(path), &record, controller, &err);
        Py_END_ALLOW_THREADS phx_record_fini(&record);
    }
    Py_DECREF(path);
    return written(state, status, &err);
}

static PyObject *explained(const struct phx_py_state *state, const struct phx_record *record,
                           struct phx_controller *controller, const struct phx_reasons *reasons)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    int status = stream ? phx_schedule_put(stream, record, controller, reasons) : -ENOMEM;
    if (stream && fclose(stream) != 0 && status == 0)
        status = -ENOMEM;
    PyObject *result = status < 0 ? phx_py_raise(state, status, NULL)
                                  : PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, "replace");
    free(text);
    return result;
}

PyObject *phx_py_explain(const struct phx_py_state *state, struct phx_controller *controller,
                         const struct phx_reasons *reasons, PyObject *args)
{
    PyObject *path = NULL, *result;
    struct phx_record record = {0};
    struct phx_err err = {0};
    if (!PyArg_ParseTuple(args, "|O&", PyUnicode_FSConverter, &path))
        return NULL;
    int status = phx_record_make(&record, controller, NULL, 0);
    if (status == 0 && path)
        status = phx_schedule_write(PyBytes_AS_STRING(path), &record, controller, reasons, &err);
    if (status < 0 || path)
        result = written(state, status, &err);
    else
        result = explained(state, &record, controller, reasons);
    phx_record_fini(&record);
    Py_XDECREF(path);
    return result;
}
