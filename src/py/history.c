#include "py/history.h"

#include "role/controller.h"
#include "store/history.h"
#include "store/keep.h"

static PyObject *text_or_none(const struct phx_err *warning)
{
    if (warning->code == 0)
        Py_RETURN_NONE;
    return PyUnicode_DecodeFSDefault(warning->text);
}

PyObject *phx_py_history_read(const struct phx_controller *controller, PyObject *path,
                              struct phx_keep_costs *io_costs)
{
    PyObject *name;
    if (!PyUnicode_FSConverter(path, &name))
        return NULL;
    const char *file = PyBytes_AS_STRING(name);
    const struct phx_collection *tests = phx_controller_collection(controller);
    struct phx_err warning = {0};
    struct phx_keep_costs costs;
    Py_BEGIN_ALLOW_THREADS phx_keep_read(file, tests, &costs, &warning);
    Py_END_ALLOW_THREADS Py_DECREF(name);
    phx_keep_costs_fini(io_costs);
    *io_costs = costs;
    return Py_BuildValue("(kN)", (unsigned long)costs.nknown, text_or_none(&warning));
}

PyObject *phx_py_history_write(const struct phx_controller *controller, PyObject *args)
{
    PyObject *path;
    Py_buffer outcomes;
    Py_ssize_t nrepetitions;
    struct phx_keep_run run = {0};
    struct phx_flakiness flakiness;
    struct phx_err warning = {0};
    if (!PyArg_ParseTuple(args, "O&sy*z#pp", PyUnicode_FSConverter, &path, &run.uid, &outcomes,
                          &run.repetitions, &nrepetitions, &run.complete, &run.optional))
        return NULL;
    const char *file = PyBytes_AS_STRING(path);
    run.outcomes = outcomes.buf;
    run.noutcomes = (size_t)outcomes.len;
    if (nrepetitions != outcomes.len)
        run.repetitions = NULL;
    Py_BEGIN_ALLOW_THREADS phx_keep_run(file, controller, &run, &flakiness, &warning);
    Py_END_ALLOW_THREADS PyBuffer_Release(&outcomes);
    Py_DECREF(path);
    return Py_BuildValue("(NkKK)", text_or_none(&warning), (unsigned long)flakiness.nruns,
                         (unsigned long long)flakiness.ntests,
                         (unsigned long long)flakiness.nflaky);
}
