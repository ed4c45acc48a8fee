/* `_engine.Controller`: what its files share. controller_type.c has the object and its life; the
 * methods are there and in *_methods.c, reports.c. */
#ifndef PHX_PY_CONTROLLER_H
#define PHX_PY_CONTROLLER_H

#include "py/engine.h"
#include "role/controller.h"
#include "sched/reason.h"
#include "store/keep.h"

struct phx_py_controller {
    PyObject_HEAD struct phx_controller *engine; /* owned; NULL once closed */
    pid_t owner;        /* a child of the host that inherits the object leaves the run alone */
    int serves_signals; /* made in the main thread */
    int wake[2];        /* pipe for the wake-up descriptor */
    struct phx_keep_costs costs; /* owned: what the history tells */
    struct phx_reasons reasons;  /* owned: of the plan, if it was asked to explain itself */
};

static inline struct phx_py_controller *phx_py_controller(PyObject *self)
{
    return (struct phx_py_controller *)self;
}

/* The engine, or NULL with an exception when it is closed or another process's. */
struct phx_controller *phx_py_controller_of(PyObject *self);

/* None, or the exception of a negative status. */
PyObject *phx_py_none_or_raise(PyObject *self, int status, const struct phx_err *err);

/* A list of str or bytes as a NULL-terminated array, freed with PyMem_Free; the strings live as
 * long as *out_encoded. NULL with an exception. */
const char **phx_py_string_array(PyObject *list, PyObject **out_encoded);

/* Appends the events there are. Returns 0 or -1. */
int phx_py_take_events(PyObject *self, struct phx_controller *controller, PyObject *list);

/* recruit_methods.c */
PyObject *phx_py_controller_setup(PyObject *self, PyObject *value);
PyObject *phx_py_controller_plan(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *phx_py_controller_ramp(PyObject *self, PyObject *duration);
PyObject *phx_py_controller_recruit(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *phx_py_controller_become(PyObject *self, PyObject *args);
PyObject *phx_py_controller_start(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *phx_py_controller_fork(PyObject *self, PyObject *args);

/* account_methods.c */
PyObject *phx_py_controller_active(PyObject *self, PyObject *unused);
PyObject *phx_py_controller_add_late(PyObject *self, PyObject *args);
PyObject *phx_py_controller_relieve(PyObject *self, PyObject *unused);
PyObject *phx_py_controller_account(PyObject *self, PyObject *unused);
PyObject *phx_py_controller_tests_in_state(PyObject *self, PyObject *args);

/* machine_methods.c */
PyObject *phx_py_add_machine(PyObject *self, PyObject *args);
PyObject *phx_py_setup_machine(PyObject *self, PyObject *args);
PyObject *phx_py_ask_machine(PyObject *self, PyObject *args);
PyObject *phx_py_spawn_on_machine(PyObject *self, PyObject *args);
PyObject *phx_py_set_loss(PyObject *self, PyObject *args);

/* post_methods.c */
PyObject *phx_py_post_send(PyObject *self, PyObject *args);
PyObject *phx_py_post_steal(PyObject *self, PyObject *args);
PyObject *phx_py_post_shut(PyObject *self, PyObject *args);
PyObject *phx_py_post_stalled(PyObject *self, PyObject *unused);

#endif
