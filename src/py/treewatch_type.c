/* `_engine.TreeWatch`: os/treewatch.h for Python.
 *
 * Runs in the process of --looponfail, which runs no tests itself. */
#include <errno.h>
#include <limits.h>

#include "os/treewatch.h"
#include "py/engine.h"

struct treewatch {
    PyObject_HEAD struct phx_treewatch *watch; /* owned */
};

static struct treewatch *cast(PyObject *self)
{
    return (struct treewatch *)self;
}

static int add_root(PyObject *self, PyObject *root)
{
    PyObject *path = NULL;
    if (!PyUnicode_FSConverter(root, &path))
        return -1;
    struct phx_err err = {0};
    int status = phx_treewatch_add(cast(self)->watch, PyBytes_AS_STRING(path), &err);
    Py_DECREF(path);
    if (status < 0)
        phx_py_raise(phx_py_state_of(self), status, &err);
    return status < 0 ? -1 : 0;
}

static int init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"roots", NULL};
    PyObject *roots;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!", names, &PyList_Type, &roots))
        return -1;
    phx_treewatch_free(cast(self)->watch);
    cast(self)->watch = NULL;
    struct phx_err err = {0};
    int status = phx_treewatch_new(&cast(self)->watch, &err);
    if (status < 0) {
        phx_py_raise(phx_py_state_of(self), status, &err);
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(roots); i++)
        if (add_root(self, PyList_GET_ITEM(roots, i)) < 0)
            return -1;
    return 0;
}

static PyObject *next(PyObject *self, PyObject *args)
{
    double timeout_s;
    char path[PATH_MAX];
    if (!PyArg_ParseTuple(args, "d", &timeout_s))
        return NULL;
    struct phx_treewatch *watch = cast(self)->watch;
    int status = PHX_E_STATE;
    if (watch) {
        phx_ns timeout = (phx_ns)(timeout_s * (double)PHX_S);
        Py_BEGIN_ALLOW_THREADS status = phx_treewatch_next(watch, timeout, path, sizeof path);
        Py_END_ALLOW_THREADS
    }
    if (status == 1)
        return PyUnicode_DecodeFSDefault(path);
    if (status < 0 && status != -EINTR)
        return phx_py_raise(phx_py_state_of(self), status, NULL);
    if (PyErr_CheckSignals() < 0)
        return NULL;
    Py_RETURN_NONE;
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    phx_treewatch_free(cast(self)->watch);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"next", next, METH_VARARGS,
     "next(timeout) -> path | None\n\nThe next change; '' when it is not known which. None when "
     "the "
     "time is over, or a signal came."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_init, init},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, "TreeWatch(roots)\n\nTells what changes below these folders."},
    {0, NULL},
};

static PyType_Spec spec = {.name = "phalanx._engine.TreeWatch",
                           .basicsize = sizeof(struct treewatch),
                           .flags = Py_TPFLAGS_DEFAULT,
                           .slots = slots};

int phx_py_add_treewatch(PyObject *module)
{
    return phx_py_add_type(module, &spec);
}
