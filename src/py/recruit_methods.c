/* The methods of `_engine.Controller` that set up a run, plan it, and ask for workers.
 *
 * Runs in the controller. */
#include "py/controller.h"

#include <string.h>

typedef int ask_fn(struct phx_controller *, uint32_t number, const void *value, size_t size,
                   struct phx_err *);

/* Encodes the value that goes to a worker, or to the zygote, and asks the engine. */
static PyObject *ask(PyObject *self, ask_fn *engine_call, unsigned int number, PyObject *value)
{
    struct phx_controller *controller = phx_py_controller_of(self);
    struct phx_buf body;
    if (!controller || phx_py_encode(&body, value, NULL) < 0)
        return NULL;
    struct phx_err err = {0};
    int status;
    Py_BEGIN_ALLOW_THREADS status =
        engine_call(controller, number, phx_buf_head(&body), phx_buf_size(&body), &err);
    Py_END_ALLOW_THREADS phx_buf_fini(&body);
    return phx_py_none_or_raise(self, status, &err);
}

static PyObject *ask_for(PyObject *self, ask_fn *engine_call, PyObject *args)
{
    unsigned int number;
    PyObject *value;
    if (!PyArg_ParseTuple(args, "IO", &number, &value))
        return NULL;
    return ask(self, engine_call, number, value);
}

static int set_up(struct phx_controller *controller, uint32_t number, const void *value,
                  size_t size, struct phx_err *err)
{
    (void)number;
    return phx_controller_setup(controller, value, size, err);
}

PyObject *phx_py_controller_setup(PyObject *self, PyObject *value)
{
    return ask(self, set_up, 0, value);
}

PyObject *phx_py_controller_fork(PyObject *self, PyObject *args)
{
    return ask_for(self, phx_controller_fork, args);
}

PyObject *phx_py_controller_become(PyObject *self, PyObject *args)
{
    return ask_for(self, phx_controller_become, args);
}

PyObject *phx_py_controller_plan(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"dist",         "workers",    "reorder",
                            "max_restarts", "interleave", "keep_order",
                            "max_chunk",    "explain",    NULL};
    struct phx_controller *controller = phx_py_controller_of(self);
    struct phx_planner_options options = {0};
    const char *dist;
    long long max_restarts;
    int explain = 0;
    if (!controller ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "sIpL|ppIp", names, &dist, &options.nworkers,
                                     &options.reorder, &max_restarts, &options.interleave,
                                     &options.keep_order, &options.max_chunk, &explain))
        return NULL;
    if (strcmp(dist, "mail") == 0)
        options.dist = PHX_DIST_MAIL;
    else if (phx_dist_parse(dist, &options.dist) < 0)
        return PyErr_Format(PyExc_ValueError, "--dist %s has no plan", dist);
    options.cost_us = phx_py_controller(self)->costs.cost_us;
    options.setup_us = phx_py_controller(self)->costs.setup_us;
    if (explain)
        options.out_reasons = &phx_py_controller(self)->reasons;
    struct phx_err err = {0};
    int status;
    Py_BEGIN_ALLOW_THREADS status = phx_controller_plan(controller, &options, max_restarts, &err);
    Py_END_ALLOW_THREADS return phx_py_none_or_raise(self, status, &err);
}

PyObject *phx_py_controller_ramp(PyObject *self, PyObject *duration)
{
    struct phx_controller *controller = phx_py_controller_of(self);
    double duration_s = controller ? PyFloat_AsDouble(duration) : -1;
    if (!controller || (duration_s == -1 && PyErr_Occurred()))
        return NULL;
    if (!(duration_s >= 0 && duration_s < 1e9)) /* in nanoseconds it has to fit */
        return PyErr_Format(PyExc_ValueError, "a ramp of %R seconds", duration);
    phx_controller_ramp(controller, (phx_ns)(duration_s * (double)PHX_S));
    Py_RETURN_NONE;
}

PyObject *phx_py_controller_recruit(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"workers", "max_restarts", "join", NULL};
    struct phx_controller *controller = phx_py_controller_of(self);
    unsigned int workers;
    long long max_restarts;
    int join = 0;
    if (!controller ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "IL|p", names, &workers, &max_restarts, &join))
        return NULL;
    if (join)
        phx_controller_join_collections(controller);
    struct phx_err err = {0};
    return phx_py_none_or_raise(
        self, phx_controller_recruit(controller, workers, max_restarts, &err), &err);
}

static PyObject *start_program(PyObject *self, unsigned int number, PyObject *value,
                               const struct phx_controller_program *program)
{
    struct phx_controller *controller = phx_py_controller_of(self);
    struct phx_buf body;
    if (!controller || phx_py_encode(&body, value, NULL) < 0)
        return NULL;
    struct phx_err err = {0};
    int status;
    Py_BEGIN_ALLOW_THREADS status = phx_controller_start(
        controller, number, program, phx_buf_head(&body), phx_buf_size(&body), &err);
    Py_END_ALLOW_THREADS phx_buf_fini(&body);
    return phx_py_none_or_raise(self, status, &err);
}

PyObject *phx_py_controller_start(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"number", "value", "argv", "environment", "directory", NULL};
    unsigned int number;
    PyObject *value, *argv = Py_None, *environment = Py_None, *directory = NULL;
    PyObject *argv_strings = NULL, *environment_strings = NULL, *result = NULL;
    struct phx_controller_program program = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "IO|OOO&", names, &number, &value, &argv,
                                     &environment, PyUnicode_FSConverter, &directory))
        return NULL;
    if (argv != Py_None && !(program.argv = phx_py_string_array(argv, &argv_strings)))
        goto out;
    if (environment != Py_None &&
        !(program.environment = phx_py_string_array(environment, &environment_strings)))
        goto out;
    program.directory = directory ? PyBytes_AS_STRING(directory) : NULL;
    result = start_program(self, number, value, program.argv ? &program : NULL);
out:
    PyMem_Free((void *)program.argv);
    PyMem_Free((void *)program.environment);
    Py_XDECREF(argv_strings);
    Py_XDECREF(environment_strings);
    Py_XDECREF(directory);
    return result;
}
