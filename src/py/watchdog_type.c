/* `_engine.Watchdog`: role/watchdog.h for Python. Its thread never touches the interpreter.
 *
 * Runs in the controller, every call in the thread that is watched. */
#include "py/engine.h"
#include "role/watchdog.h"

struct watchdog {
    PyObject_HEAD struct phx_watchdog *dog; /* owned; NULL once stopped */
};

static struct watchdog *cast(PyObject *self)
{
    return (struct watchdog *)self;
}

static int init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"patience", "stack_signal", "fd", NULL};
    double patience_s;
    int stack_signal, fd;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "dii", names, &patience_s, &stack_signal, &fd))
        return -1;
    phx_watchdog_stop(cast(self)->dog);
    cast(self)->dog = NULL;
    int status = phx_watchdog_start(&cast(self)->dog, (phx_ns)(patience_s * (double)PHX_S),
                                    stack_signal, fd);
    if (status < 0)
        phx_py_raise(phx_py_state_of(self), status, NULL);
    return status < 0 ? -1 : 0;
}

static PyObject *busy(PyObject *self, PyObject *args)
{
    const char *event;
    int number;
    if (!PyArg_ParseTuple(args, "si", &event, &number))
        return NULL;
    if (cast(self)->dog)
        phx_watchdog_busy(cast(self)->dog, event, number);
    Py_RETURN_NONE;
}

static PyObject *idle(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (cast(self)->dog)
        phx_watchdog_idle(cast(self)->dog);
    Py_RETURN_NONE;
}

static PyObject *stop(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct phx_watchdog *dog = cast(self)->dog;
    cast(self)->dog = NULL;
    phx_watchdog_stop(dog);
    Py_RETURN_NONE;
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    phx_watchdog_stop(cast(self)->dog);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"busy", busy, METH_VARARGS, "busy(event, number)\n\nThe thread works on this from now on."},
    {"idle", idle, METH_NOARGS, "idle()\n\nIt waits, for as long as it likes."},
    {"stop", stop, METH_NOARGS, "stop()\n\nEnds the thread that looks on."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_init, init},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, "Watchdog(patience, stack_signal, fd)\n\nTells when an event takes too long."},
    {0, NULL},
};

static PyType_Spec spec = {.name = "phalanx._engine.Watchdog",
                           .basicsize = sizeof(struct watchdog),
                           .flags = Py_TPFLAGS_DEFAULT,
                           .slots = slots};

int phx_py_add_watchdog(PyObject *module)
{
    return phx_py_add_type(module, &spec);
}
