/* What the files of the binding share. */
#ifndef PHX_PY_ENGINE_H
#define PHX_PY_ENGINE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/buf.h"
#include "base/err.h"
#include "role/worker.h"
#include "role/zygote.h"

/* What is read of a report (report_types.c), as it is called there. */
#define PHX_PY_REPORT_NAMES(X)                                                                     \
    X(NODEID, "nodeid")                                                                            \
    X(WHEN, "when")                                                                                \
    X(OUTCOME, "outcome")                                                                          \
    X(DURATION, "duration")                                                                        \
    X(WASXFAIL, "wasxfail")                                                                        \
    X(ITEM_INDEX, "item_index")                                                                    \
    X(FLAKY_TRIES, "flaky_tries")

enum phx_py_report_name {
#define X(name, text) PHX_PY_NAME_##name,
    PHX_PY_REPORT_NAMES(X)
#undef X
        PHX_PY_NAME_COUNT
};

struct phx_py_state {      /* of the module; all owned */
    PyObject *error;       /* EngineError */
    PyObject *stray_error; /* StrayProcess, a kind of EngineError */
    PyTypeObject *worker_type;
    PyObject *message_names;                   /* dict: message number -> its name in lower case */
    PyObject *report_names[PHX_PY_NAME_COUNT]; /* str */
    PyObject *no_duration;                     /* 0.0 */
};

/* The state, from an instance of one of the module's types. */
struct phx_py_state *phx_py_state_of(PyObject *self);

/* The one place where codes become exceptions. Returns NULL. */
PyObject *phx_py_raise(const struct phx_py_state *state, int code, const struct phx_err *err);

/* Encodes `value` into `out` (initialised here, ended by the caller). Returns 0, or -1 with an
 * exception. */
int phx_py_encode(struct phx_buf *out, PyObject *value, int *out_lossy);

/* Adds a type to the module. Returns 0 or -1 with an exception. */
int phx_py_add_type(PyObject *module, PyType_Spec *spec);

/* Adds the type of a role, likewise. */
int phx_py_add_controller(PyObject *module);
int phx_py_add_zygote(PyObject *module);
int phx_py_add_worker(PyObject *module);
int phx_py_add_watchdog(PyObject *module);
int phx_py_add_treewatch(PyObject *module);

/* Adds the types that read reports, likewise; and what they look for, to the state. */
int phx_py_add_report_types(PyObject *module);
int phx_py_make_report_names(struct phx_py_state *state);

/* A Worker around a struct that is still to be armed. NULL with an exception. */
PyObject *phx_py_worker_new(const struct phx_py_state *state, struct phx_worker **out_worker);

#endif
