/* Methods of `_engine.Controller` that report on a run. */
#ifndef PHX_PY_REPORTS_H
#define PHX_PY_REPORTS_H

#include "py/engine.h"
#include "role/controller.h"
#include "sched/reason.h"

/* Each takes the arguments of the Python call. Returns a new reference, or NULL with an exception.
 */
PyObject *phx_py_summary(const struct phx_py_state *state, struct phx_controller *controller,
                         PyObject *args);
PyObject *phx_py_figures(const struct phx_py_state *state, struct phx_controller *controller,
                         PyObject *args);
PyObject *phx_py_progress(const struct phx_py_state *state, struct phx_controller *controller,
                          PyObject *args);
PyObject *phx_py_write_timeline(const struct phx_py_state *state, struct phx_controller *controller,
                                PyObject *args);
PyObject *phx_py_write_trace(const struct phx_py_state *state, struct phx_controller *controller,
                             PyObject *args);
PyObject *phx_py_explain(const struct phx_py_state *state, struct phx_controller *controller,
                         const struct phx_reasons *reasons, PyObject *args);

#endif
