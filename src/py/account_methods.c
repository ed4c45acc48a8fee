/* The methods of `_engine.Controller` about what became of the tests, and those handed out again.
 *
 * Runs in the controller. */
#include "py/controller.h"

#include <errno.h>
#include <string.h>

PyObject *phx_py_controller_active(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct phx_controller *controller = phx_py_controller_of(self);
    return controller ? PyLong_FromUnsignedLong(phx_controller_active(controller)) : NULL;
}

PyObject *phx_py_controller_add_late(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = phx_py_controller_of(self);
    unsigned int test;
    long long elsewhere = PHX_RUNQ_NONE;
    if (!controller || !PyArg_ParseTuple(args, "I|L", &test, &elsewhere))
        return NULL;
    int status = phx_controller_add_late(controller, test, elsewhere);
    if (status < 0 && status != -ENOSPC)
        return phx_py_none_or_raise(self, status, NULL);
    return PyBool_FromLong(status == 0);
}

PyObject *phx_py_controller_relieve(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct phx_controller *controller = phx_py_controller_of(self);
    if (!controller)
        return NULL;
    uint32_t first = 0, count = phx_controller_relieve(controller, &first);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (uint32_t i = 0; list && i < count; i++) {
        PyObject *number = PyLong_FromUnsignedLong(first + i);
        if (!number)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, number);
    }
    return list;
}

PyObject *phx_py_controller_account(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct phx_controller *controller = phx_py_controller_of(self);
    if (!controller)
        return NULL;
    struct phx_account account;
    phx_controller_account(controller, &account);
    return Py_BuildValue("{sKsKsKsK}", "ended", account.ended, "crashed", account.crashed,
                         "unaccounted", account.unaccounted, "not_run", account.not_run);
}

PyObject *phx_py_controller_tests_in_state(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = phx_py_controller_of(self);
    const char *name;
    if (!controller || !PyArg_ParseTuple(args, "s", &name))
        return NULL;
    static const enum phx_runq_state not_run[] = {PHX_RUNQ_QUEUED, PHX_RUNQ_CLAIMED};
    static const enum phx_runq_state unaccounted[] = {PHX_RUNQ_STARTED, PHX_RUNQ_STARTED};
    const enum phx_runq_state *states = strcmp(name, "not_run") == 0 ? not_run : unaccounted;
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < 2; i++) {
        uint32_t position = 0;
        int64_t test;
        while (list &&
               (test = phx_controller_find(controller, states[i], &position)) != PHX_RUNQ_NONE) {
            PyObject *index = PyLong_FromLongLong(test);
            if (!index || PyList_Append(list, index) < 0)
                Py_CLEAR(list);
            Py_XDECREF(index);
        }
        if (states[0] == states[1])
            break;
    }
    return list;
}
