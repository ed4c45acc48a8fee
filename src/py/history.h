/* The history (store/keep.h) as `_engine.Controller` offers it. Runs in the controller. */
#ifndef PHX_PY_HISTORY_H
#define PHX_PY_HISTORY_H

#include "py/engine.h"

struct phx_controller;
struct phx_keep_costs;

/* read_history(path) -> (known, warning or None)
 * io_costs  replaced by what the history tells */
PyObject *phx_py_history_read(const struct phx_controller *controller, PyObject *path,
                              struct phx_keep_costs *io_costs);

/* write_history(path, uid, outcomes, repetitions, complete, optional)
 *     -> (warning or None, runs, tests in them, flaky ones of these) */
PyObject *phx_py_history_write(const struct phx_controller *controller, PyObject *args);

#endif
