/* `_engine.Worker`: what a worker process asks of the engine. Made by Zygote.fork in the child, or
 * by Zygote.become.
 *
 * Runs in a worker, in its main thread. Its calls do not release the GIL, but for await_queue: a
 * claim takes less time than the release would, and a write waits only while the controller is
 * behind. */
#include "py/engine.h"

#include <errno.h>
#include <stdlib.h>

#define EXCLUSIVE_PAUSE (2 * (phx_ns)1000 * 1000) /* between two looks whether they are over */

struct worker {
    PyObject_HEAD struct phx_worker
        *worker; /* never freed: the engine's fork handler points at it */
};

PyObject *phx_py_worker_new(const struct phx_py_state *state, struct phx_worker **out_worker)
{
    struct worker *self = PyObject_New(struct worker, state->worker_type);
    if (!self)
        return NULL;
    self->worker = PyMem_Calloc(1, sizeof *self->worker);
    if (!self->worker) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    *out_worker = self->worker;
    return (PyObject *)self;
}

static struct phx_worker *engine(PyObject *self)
{
    return ((struct worker *)self)->worker;
}

static PyObject *none_or_raise(PyObject *self, int status)
{
    if (status < 0)
        return phx_py_raise(phx_py_state_of(self), status, NULL);
    Py_RETURN_NONE;
}

/* The places as a list; frees them. */
static PyObject *list_of(uint32_t *tests, size_t count)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *place = PyLong_FromUnsignedLong(tests[i]);
        if (place)
            PyList_SET_ITEM(list, (Py_ssize_t)i, place);
        else
            Py_CLEAR(list);
    }
    free(tests);
    return list;
}

static PyObject *await_queue(PyObject *self, PyObject *unused)
{
    (void)unused;
    uint32_t *tests = NULL;
    size_t count = 0;
    struct phx_err err = {0};
    int status;
    do {
        Py_BEGIN_ALLOW_THREADS status = phx_worker_await_queue(engine(self), &tests, &count, &err);
        Py_END_ALLOW_THREADS if (status == -EINTR && PyErr_CheckSignals() < 0) return NULL;
    } while (status == -EINTR);
    if (status < 0)
        return phx_py_raise(phx_py_state_of(self), status, &err);
    if (status == 0)
        Py_RETURN_NONE;
    return list_of(tests, count);
}

static int pause_for_others(void)
{
    Py_BEGIN_ALLOW_THREADS phx_clock_sleep(EXCLUSIVE_PAUSE);
    Py_END_ALLOW_THREADS return PyErr_CheckSignals();
}

static PyObject *claim(PyObject *self, PyObject *unused)
{
    (void)unused;
    uint32_t test;
    int status;
    /* Only a worker that has not begun ever waits: no test of this process runs meanwhile. */
    while ((status = phx_worker_claim(engine(self), &test)) == PHX_RUNQ_WAIT)
        if (pause_for_others() < 0)
            return NULL;
    if (status == 1)
        return PyLong_FromUnsignedLong(test);
    return none_or_raise(self, status);
}

/* Waits for mail in slices, without the GIL: the host's threads go on, and signals are served. */
static PyObject *take(PyObject *self, PyObject *unused)
{
    (void)unused;
    for (;;) {
        uint32_t test;
        int status;
        Py_BEGIN_ALLOW_THREADS status = phx_worker_take(engine(self), PHX_S, &test);
        Py_END_ALLOW_THREADS if (status == 1) return PyLong_FromUnsignedLong(test);
        if (status != -EAGAIN && status != -EINTR)
            return none_or_raise(self, status);
        if (PyErr_CheckSignals() < 0)
            return NULL;
    }
}

static PyObject *by_mail(PyObject *self, PyObject *unused)
{
    (void)unused;
    int status = phx_worker_by_mail(engine(self));
    return status < 0 ? phx_py_raise(phx_py_state_of(self), status, NULL) : PyBool_FromLong(status);
}

/* A worker by mail waits between two tests, without a permit. */
static PyObject *enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    int status;
    while ((status = phx_worker_enter(engine(self))) == PHX_RUNQ_WAIT)
        if (pause_for_others() < 0)
            return NULL;
    return status < 0 ? none_or_raise(self, status) : PyBool_FromLong(status);
}

static PyObject *permit(PyObject *self, PyObject *unused)
{
    (void)unused;
    int64_t found = phx_worker_permit(engine(self));
    if (found == PHX_RUNQ_NONE) /* a scope that runs alone, as its tests are of two groups */
        return PyLong_FromLong(0);
    return found < 0 ? none_or_raise(self, (int)found) : PyLong_FromLongLong(found);
}

static PyObject *start(PyObject *self, PyObject *unused)
{
    (void)unused;
    return none_or_raise(self, phx_worker_start(engine(self)));
}

/* A duration of a report, which a plugin may have made: what is no time is unknown. */
static phx_ns duration_of(PyObject *duration)
{
    double seconds = PyFloat_Check(duration) ? PyFloat_AS_DOUBLE(duration) : -1;
    return seconds >= 0 && seconds < 1e9 ? (phx_ns)(seconds * (double)PHX_S) : -1;
}

static PyObject *phase(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2)
        return PyErr_Format(PyExc_TypeError, "phase() takes 2 arguments (%zd given)", nargs);
    long value = PyLong_AsLong(args[0]);
    if (value == -1 && PyErr_Occurred())
        return NULL;
    if (value < PHX_PHASE_NONE || value > PHX_PHASE_TEARDOWN)
        return PyErr_Format(PyExc_ValueError, "%ld is no phase", value);
    return none_or_raise(
        self, phx_worker_phase(engine(self), (enum phx_runq_phase)value, duration_of(args[1])));
}

static PyObject *end(PyObject *self, PyObject *unused)
{
    (void)unused;
    return none_or_raise(self, phx_worker_end(engine(self)));
}

static PyObject *set_deadline(PyObject *self, PyObject *args)
{
    double rest_s, timeout_s;
    int stack_signal;
    if (!PyArg_ParseTuple(args, "ddi", &rest_s, &timeout_s, &stack_signal))
        return NULL;
    struct phx_runq_deadline deadline = {.timeout = (phx_ns)(timeout_s * (double)PHX_S),
                                         .stack_signal = stack_signal};
    if (timeout_s > 0) /* 0: it is lifted */
        deadline.at = phx_clock_now() + (rest_s > 0 ? (phx_ns)(rest_s * (double)PHX_S) : 0);
    return none_or_raise(self, phx_worker_set_deadline(engine(self), &deadline));
}

static PyObject *unclaim(PyObject *self, PyObject *unused)
{
    (void)unused;
    return none_or_raise(self, phx_worker_unclaim(engine(self)));
}

static PyObject *close_queue(PyObject *self, PyObject *unused)
{
    (void)unused;
    return none_or_raise(self, phx_worker_close_queue(engine(self)));
}

static PyObject *send(PyObject *self, PyObject *args)
{
    int type, lossy;
    PyObject *value;
    if (!PyArg_ParseTuple(args, "iO", &type, &value))
        return NULL;
    struct phx_buf body;
    if (phx_py_encode(&body, value, &lossy) < 0)
        return NULL;
    int status =
        phx_worker_send(engine(self), (uint16_t)type, phx_buf_head(&body), phx_buf_size(&body));
    phx_buf_fini(&body);
    if (status < 0)
        return phx_py_raise(phx_py_state_of(self), status, NULL);
    return PyLong_FromLong(lossy);
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"await_queue", await_queue, METH_NOARGS,
     "await_queue() -> [place] | None\n\nWaits for the run queue: for each test of the run its "
     "place "
     "in this worker's list (none: they are the same); None when nothing is to run."},
    {"claim", claim, METH_NOARGS, "The next test's index, or None when this worker should end."},
    {"by_mail", by_mail, METH_NOARGS, "Whether tests come by mail in this run."},
    {"take", take, METH_NOARGS,
     "By mail: waits for the next test's index; None when no more will come."},
    {"enter", enter, METH_NOARGS,
     "By mail: waits until the next test may run beside the others; False when the run is "
     "stopped."},
    {"permit", permit, METH_NOARGS, "Which of its group's permits the running test has."},
    {"start", start, METH_NOARGS, "The claimed test starts."},
    {"phase", (PyCFunction)(void (*)(void))phase, METH_FASTCALL,
     "phase(number, duration)\n\nIt enters phase 1 (setup), 2 (call) or 3 (teardown), or none (0), "
     "after one that took so many seconds."},
    {"end", end, METH_NOARGS, "It has ended; its reports were sent."},
    {"set_deadline", set_deadline, METH_VARARGS,
     "set_deadline(rest, timeout, stack_signal)\n\nThe running test may go on for `rest` seconds; "
     "`timeout` is what its user has said, 0: it may go on for ever."},
    {"unclaim", unclaim, METH_NOARGS, "Gives back a claimed test that will not be started."},
    {"close_queue", close_queue, METH_NOARGS, "Nobody claims any more."},
    {"send", send, METH_VARARGS,
     "send(type, value) -> lossy\n\nWrites a message to the controller."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, "The engine's side of a worker process."},
    {0, NULL},
};

static PyType_Spec spec = {.name = "phalanx._engine.Worker",
                           .basicsize = sizeof(struct worker),
                           .flags = Py_TPFLAGS_DEFAULT,
                           .slots = slots};

int phx_py_add_worker(PyObject *module)
{
    struct phx_py_state *state = PyModule_GetState(module);
    state->worker_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (!state->worker_type)
        return -1;
    /* Only Zygote.fork and Zygote.become make one: no constructor. */
    state->worker_type->tp_new = NULL;
    return PyModule_AddType(module, state->worker_type);
}
