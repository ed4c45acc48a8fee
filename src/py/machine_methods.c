/* The methods of `_engine.Controller` that run workers on machines: see role/controller.h.
 *
 * Runs in the controller. */
#include "py/controller.h"

#include "role/controller.h"

PyObject *phx_py_add_machine(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = phx_py_controller_of(self);
    const char *name;
    PyObject *argv, *strings = NULL;
    if (!controller || !PyArg_ParseTuple(args, "sO", &name, &argv))
        return NULL;
    const char **array = phx_py_string_array(argv, &strings);
    if (!array)
        return NULL;
    struct phx_machine_options options = {.name = name, .argv = array};
    struct phx_err err = {0};
    uint32_t number = 0;
    int status;
    Py_BEGIN_ALLOW_THREADS status = phx_controller_add_machine(controller, &options, &number, &err);
    Py_END_ALLOW_THREADS PyMem_Free((void *)array);
    Py_DECREF(strings);
    return status < 0 ? phx_py_raise(phx_py_state_of(self), status, &err)
                      : PyLong_FromUnsignedLong(number);
}

PyObject *phx_py_setup_machine(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = phx_py_controller_of(self);
    unsigned int machine, workers;
    PyObject *value;
    struct phx_buf body = {0};
    if (!controller || !PyArg_ParseTuple(args, "IIO", &machine, &workers, &value) ||
        (value != Py_None && phx_py_encode(&body, value, NULL) < 0))
        return NULL;
    struct phx_err err = {0};
    int status = phx_controller_setup_machine(controller, machine, workers,
                                              value == Py_None ? NULL : phx_buf_head(&body),
                                              value == Py_None ? 0 : phx_buf_size(&body), &err);
    phx_buf_fini(&body);
    if (status < 0)
        return phx_py_raise(phx_py_state_of(self), status, &err);
    Py_RETURN_NONE;
}

PyObject *phx_py_ask_machine(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = phx_py_controller_of(self);
    unsigned int number, machine;
    PyObject *fork_value, *spawn_value;
    struct phx_buf fork_body, spawn_body;
    if (!controller ||
        !PyArg_ParseTuple(args, "IIOO", &number, &machine, &fork_value, &spawn_value) ||
        phx_py_encode(&fork_body, fork_value, NULL) < 0)
        return NULL;
    if (phx_py_encode(&spawn_body, spawn_value, NULL) < 0) {
        phx_buf_fini(&fork_body);
        return NULL;
    }
    struct phx_err err = {0};
    int status =
        phx_controller_ask_machine(controller, number, machine, &fork_body, &spawn_body, &err);
    phx_buf_fini(&fork_body);
    phx_buf_fini(&spawn_body);
    if (status < 0)
        return phx_py_raise(phx_py_state_of(self), status, &err);
    Py_RETURN_NONE;
}

PyObject *phx_py_spawn_on_machine(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = phx_py_controller_of(self);
    unsigned int machine;
    if (!controller || !PyArg_ParseTuple(args, "I", &machine))
        return NULL;
    phx_controller_spawn_on_machine(controller, machine);
    Py_RETURN_NONE;
}

PyObject *phx_py_set_loss(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = phx_py_controller_of(self);
    double silence_s;
    int rerun;
    if (!controller || !PyArg_ParseTuple(args, "dp", &silence_s, &rerun))
        return NULL;
    phx_controller_set_loss(controller, (phx_ns)(silence_s * (double)PHX_S), rerun);
    Py_RETURN_NONE;
}
