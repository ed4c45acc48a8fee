/* The CPython binding `phalanx._engine`: arguments in, lock released, engine called, results out.
 * It holds no policy. One type per role: Controller, Zygote, Worker, each in a file of its own.
 *
 * Runs in the controller, the zygote and the workers, with the GIL but for the calls that block. */
#include "py/engine.h"

#include <ctype.h>

#include "os/cpu.h"
#include "os/leave.h"
#include "py/value.h"
#include "wire/msg.h"

struct phx_py_state *phx_py_state_of(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

PyObject *phx_py_raise(const struct phx_py_state *state, int code, const struct phx_err *err)
{
    if (code == -ENOMEM)
        return PyErr_NoMemory();
    const char *text = err && err->code == code && err->text[0] ? err->text : phx_err_text(code);
    PyErr_SetString(code == PHX_E_STRAY ? state->stray_error : state->error, text);
    return NULL;
}

int phx_py_add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (!type)
        return -1;
    int status = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return status;
}

int phx_py_encode(struct phx_buf *out, PyObject *value, int *out_lossy)
{
    int lossy = 0;
    phx_buf_init(out);
    if (phx_value_encode(out, value, &lossy) < 0) {
        phx_buf_fini(out);
        return -1;
    }
    if (out_lossy)
        *out_lossy = lossy;
    return 0;
}

static PyObject *encode(PyObject *module, PyObject *value)
{
    (void)module;
    struct phx_buf out;
    int lossy;
    if (phx_py_encode(&out, value, &lossy) < 0)
        return NULL;
    PyObject *result =
        Py_BuildValue("(y#i)", phx_buf_head(&out), (Py_ssize_t)phx_buf_size(&out), lossy);
    phx_buf_fini(&out);
    return result;
}

static PyObject *decode(PyObject *module, PyObject *bytes)
{
    (void)module;
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(bytes, &data, &size) < 0)
        return NULL;
    return phx_value_decode(data, (size_t)size);
}

static PyObject *cpu_count(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    static char *names[] = {"logical", NULL};
    int logical = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$p", names, &logical))
        return NULL;
    return PyLong_FromLong(logical ? phx_cpu_logical("") : phx_cpu_physical(""));
}

static PyObject *leave(PyObject *module, PyObject *status)
{
    (void)module;
    long value = PyLong_AsLong(status);
    if (value == -1 && PyErr_Occurred())
        return NULL;
    phx_leave((int)value);
}

static PyMethodDef functions[] = {
    {"encode", encode, METH_O,
     "encode(value) -> (bytes, lossy)\n\nThe wire form of a value; lossy counts the objects that "
     "crossed as their repr."},
    {"decode", decode, METH_O, "decode(bytes) -> value\n\nRaises ValueError for other bytes."},
    {"cpu_count", (PyCFunction)(void (*)(void))cpu_count, METH_VARARGS | METH_KEYWORDS,
     "cpu_count(*, logical=False) -> int\n\nCores (or hardware threads) within CPU affinity and "
     "the "
     "quota of the control group."},
    {"leave", leave, METH_O,
     "leave(status)\n\nEnds the process without handlers of the exit; C's buffers are written."},
    {NULL, NULL, 0, NULL},
};

static PyObject *lower_name(const char *name)
{
    char lower[32];
    size_t size = 0;
    for (; size < sizeof lower - 1 && name[size]; size++)
        lower[size] = (char)tolower((unsigned char)name[size]);
    return PyUnicode_FromStringAndSize(lower, (Py_ssize_t)size);
}

/* MSG_REPORT = 32 … in the module, and the way back from number to name. */
static int add_messages(PyObject *module, struct phx_py_state *state)
{
    static const struct {
        const char *constant, *name;
        int number;
    } messages[] = {
#define X(name, number) {"MSG_" #name, #name, number},
        PHX_MESSAGES(X)
#undef X
    };
    state->message_names = PyDict_New();
    if (!state->message_names)
        return -1;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        PyObject *number = PyLong_FromLong(messages[i].number);
        PyObject *name = lower_name(messages[i].name);
        int status = number && name ? PyDict_SetItem(state->message_names, number, name) : -1;
        Py_XDECREF(number);
        Py_XDECREF(name);
        if (status < 0 ||
            PyModule_AddIntConstant(module, messages[i].constant, messages[i].number) < 0)
            return -1;
    }
    return 0;
}

static int add_object(PyObject *module, const char *name, PyObject *object)
{
    if (!object)
        return -1;
    Py_INCREF(object); /* PyModule_AddObject takes one on success; the state keeps the other */
    if (PyModule_AddObject(module, name, object) < 0) {
        Py_DECREF(object);
        return -1;
    }
    return 0;
}

static int module_exec(PyObject *module)
{
    struct phx_py_state *state = PyModule_GetState(module);
    state->error = PyErr_NewExceptionWithDoc("phalanx._engine.EngineError",
                                             "The engine could not do what it was asked to.",
                                             PyExc_RuntimeError, NULL);
    if (add_object(module, "EngineError", state->error) < 0)
        return -1;
    state->stray_error = PyErr_NewExceptionWithDoc(
        "phalanx._engine.StrayProcess",
        "This process is a child of a worker that came back into the worker's loop.", state->error,
        NULL);
    if (add_object(module, "StrayProcess", state->stray_error) < 0)
        return -1;
    if (add_messages(module, state) < 0 || phx_py_add_worker(module) < 0 ||
        phx_py_add_zygote(module) < 0 || phx_py_add_controller(module) < 0 ||
        phx_py_add_watchdog(module) < 0 || phx_py_add_treewatch(module) < 0 ||
        phx_py_add_report_types(module) < 0 || phx_py_make_report_names(state) < 0)
        return -1;
    state->no_duration = PyFloat_FromDouble(0);
    return state->no_duration ? 0 : -1;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct phx_py_state *state = PyModule_GetState(module);
    Py_VISIT(state->error);
    Py_VISIT(state->stray_error);
    Py_VISIT(state->worker_type);
    Py_VISIT(state->message_names);
    return 0;
}

static int module_clear(PyObject *module)
{
    struct phx_py_state *state = PyModule_GetState(module);
    Py_CLEAR(state->error);
    Py_CLEAR(state->stray_error);
    Py_CLEAR(state->worker_type);
    Py_CLEAR(state->message_names);
    for (int i = 0; i < PHX_PY_NAME_COUNT; i++)
        Py_CLEAR(state->report_names[i]);
    Py_CLEAR(state->no_duration);
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static PyModuleDef module_def = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "phalanx._engine",
    .m_doc = "The engine of phalanx: see python/phalanx/_engine.pyi.",
    .m_size = sizeof(struct phx_py_state),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__engine(void);

PyMODINIT_FUNC PyInit__engine(void)
{
    return PyModuleDef_Init(&module_def);
}
