/* `_engine.Controller`: the engine's side of the pytest process that the user started.
 *
 * Runs in the controller; every call in the thread that made the object. poll releases the GIL,
 * wakes on signals by the interpreter's wake-up descriptor (libuv goes back to sleep on EINTR, so
 * without it Ctrl-C would wait for the next event), and runs Python's signal handlers before it
 * takes an event, so that an exception from a handler loses none. */
#include "py/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "py/history.h"
#include "py/reports.h"
#include "py/value.h"
#include "role/controller.h"
#include "store/keep.h"
#include "wire/msg.h"

enum {
    EVENTS_MAX = 512,      /* per poll: keeps the host's own loop and signals responsive */
    LAST_WORDS_MAX = 65536 /* bytes of a dead worker's output that are read back */
};

struct controller {
    PyObject_HEAD struct phx_controller *engine; /* owned; NULL once closed */
    pid_t owner;        /* a child of the host that inherits the object leaves the run alone */
    int serves_signals; /* made in the main thread */
    int wake[2];        /* pipe for the wake-up descriptor */
    struct phx_keep_costs costs; /* owned: what the history tells */
};

static struct controller *cast(PyObject *self)
{
    return (struct controller *)self;
}

/* The engine, or NULL with an exception when it is closed or not ours. */
static struct phx_controller *engine(PyObject *self)
{
    struct controller *controller = cast(self);
    if (controller->engine && controller->owner == getpid())
        return controller->engine;
    PyErr_SetString(phx_py_state_of(self)->error, "the run is over, or belongs to another process");
    return NULL;
}

struct phx_controller *phx_py_controller_of(PyObject *self)
{
    return engine(self);
}

static PyObject *none_or_raise(PyObject *self, int status, const struct phx_err *err)
{
    if (status < 0)
        return phx_py_raise(phx_py_state_of(self), status, err);
    Py_RETURN_NONE;
}

/* A list of str or bytes as a NULL-terminated array; the strings live as long as *out_encoded. */
static const char **string_array(PyObject *list, PyObject **out_encoded)
{
    PyObject *sequence = PySequence_List(list);
    if (!sequence)
        return NULL;
    Py_ssize_t count = PyList_GET_SIZE(sequence);
    const char **strings = PyMem_Calloc((size_t)count + 1, sizeof *strings);
    if (!strings) {
        Py_DECREF(sequence);
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *encoded;
        if (!PyUnicode_FSConverter(PyList_GET_ITEM(sequence, i), &encoded)) {
            PyMem_Free(strings);
            Py_DECREF(sequence);
            return NULL;
        }
        PyList_SetItem(sequence, i, encoded);
        strings[i] = PyBytes_AS_STRING(encoded);
    }
    *out_encoded = sequence;
    return strings;
}

static int open_controller(struct controller *self, const char *guard, PyObject *argv,
                           PyObject *environment, const char *directory)
{
    struct phx_err err = {0};
    int status = -1;
    PyObject *argv_strings = NULL, *environment_strings = NULL;
    const char **argv_array = string_array(argv, &argv_strings);
    const char **environment_array =
        argv_array ? string_array(environment, &environment_strings) : NULL;
    if (!environment_array)
        goto out;
    struct phx_controller_options options = {.guard_path = guard,
                                             .argv = argv_array,
                                             .environment = environment_array,
                                             .directory = directory};
    Py_BEGIN_ALLOW_THREADS status = phx_controller_open(&self->engine, &options, &err);
    Py_END_ALLOW_THREADS if (status < 0)
        phx_py_raise(phx_py_state_of((PyObject *)self), status, &err);
out:
    PyMem_Free((void *)argv_array);
    PyMem_Free((void *)environment_array);
    Py_XDECREF(argv_strings);
    Py_XDECREF(environment_strings);
    return status < 0 ? -1 : 0;
}

static int init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"guard", "argv", "environment", "directory", "serves_signals", NULL};
    struct controller *self = cast(op);
    PyObject *guard = NULL, *argv, *environment, *directory = NULL;
    int serves_signals;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&OOO&p", names, PyUnicode_FSConverter, &guard,
                                     &argv, &environment, PyUnicode_FSConverter, &directory,
                                     &serves_signals)) {
        Py_XDECREF(guard);
        Py_XDECREF(directory);
        return -1;
    }
    self->owner = getpid();
    self->serves_signals = serves_signals;
    int status = -1;
    int standard[3];
    phx_fd_fill_standard(standard);
    if (pipe2(self->wake, O_CLOEXEC | O_NONBLOCK) < 0)
        PyErr_SetFromErrno(PyExc_OSError);
    else
        status = open_controller(self, PyBytes_AS_STRING(guard), argv, environment,
                                 PyBytes_AS_STRING(directory));
    for (int i = 0; i < 3; i++)
        phx_fd_close(&standard[i]);
    Py_DECREF(guard);
    Py_DECREF(directory);
    return status;
}

static PyObject *new (PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct controller *self = (struct controller *)PyType_GenericNew(type, args, kwargs);
    if (self)
        self->wake[0] = self->wake[1] = -1;
    return (PyObject *)self;
}

static void close_engine(struct controller *self)
{
    if (self->engine && self->owner == getpid()) {
        struct phx_controller *controller = self->engine;
        self->engine = NULL;
        Py_BEGIN_ALLOW_THREADS phx_controller_close(controller);
        Py_END_ALLOW_THREADS
    }
    phx_fd_close(&self->wake[0]);
    phx_fd_close(&self->wake[1]);
}

static PyObject *close_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    close_engine(cast(self));
    Py_RETURN_NONE;
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    close_engine(cast(self));
    phx_keep_costs_fini(&cast(self)->costs);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* ---- the run ---- */

static PyObject *setup(PyObject *self, PyObject *value)
{
    struct phx_controller *controller = engine(self);
    struct phx_buf body;
    if (!controller || phx_py_encode(&body, value, NULL) < 0)
        return NULL;
    struct phx_err err = {0};
    int status;
    Py_BEGIN_ALLOW_THREADS status =
        phx_controller_setup(controller, phx_buf_head(&body), phx_buf_size(&body), &err);
    Py_END_ALLOW_THREADS phx_buf_fini(&body);
    return none_or_raise(self, status, &err);
}

static PyObject *plan(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"dist",       "workers",    "reorder",   "max_restarts",
                            "interleave", "keep_order", "max_chunk", NULL};
    struct phx_controller *controller = engine(self);
    struct phx_planner_options options = {0};
    const char *dist;
    long long max_restarts;
    if (!controller ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "sIpL|ppI", names, &dist, &options.nworkers,
                                     &options.reorder, &max_restarts, &options.interleave,
                                     &options.keep_order, &options.max_chunk))
        return NULL;
    if (strcmp(dist, "mail") == 0)
        options.dist = PHX_DIST_MAIL;
    else if (phx_dist_parse(dist, &options.dist) < 0)
        return PyErr_Format(PyExc_ValueError, "--dist %s has no plan", dist);
    options.cost_us = cast(self)->costs.cost_us;
    options.setup_us = cast(self)->costs.setup_us;
    struct phx_err err = {0};
    int status;
    Py_BEGIN_ALLOW_THREADS status = phx_controller_plan(controller, &options, max_restarts, &err);
    Py_END_ALLOW_THREADS return none_or_raise(self, status, &err);
}

static PyObject *read_history(PyObject *self, PyObject *path)
{
    struct phx_controller *controller = engine(self);
    return controller ? phx_py_history_read(controller, path, &cast(self)->costs) : NULL;
}

static PyObject *write_history(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = engine(self);
    return controller ? phx_py_history_write(controller, args) : NULL;
}

static PyObject *recruit(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"workers", "max_restarts", NULL};
    struct phx_controller *controller = engine(self);
    unsigned int workers;
    long long max_restarts;
    if (!controller ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "IL", names, &workers, &max_restarts))
        return NULL;
    struct phx_err err = {0};
    return none_or_raise(self, phx_controller_recruit(controller, workers, max_restarts, &err),
                         &err);
}

static PyObject *become(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = engine(self);
    unsigned int number;
    PyObject *value;
    struct phx_buf body;
    if (!controller || !PyArg_ParseTuple(args, "IO", &number, &value) ||
        phx_py_encode(&body, value, NULL) < 0)
        return NULL;
    struct phx_err err = {0};
    int status;
    Py_BEGIN_ALLOW_THREADS status =
        phx_controller_become(controller, number, phx_buf_head(&body), phx_buf_size(&body), &err);
    Py_END_ALLOW_THREADS phx_buf_fini(&body);
    return none_or_raise(self, status, &err);
}

static PyObject *start_program(PyObject *self, unsigned int number, PyObject *value,
                               const struct phx_controller_program *program)
{
    struct phx_controller *controller = engine(self);
    struct phx_buf body;
    if (!controller || phx_py_encode(&body, value, NULL) < 0)
        return NULL;
    struct phx_err err = {0};
    int status;
    Py_BEGIN_ALLOW_THREADS status = phx_controller_start(
        controller, number, program, phx_buf_head(&body), phx_buf_size(&body), &err);
    Py_END_ALLOW_THREADS phx_buf_fini(&body);
    return none_or_raise(self, status, &err);
}

static PyObject *start(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"number", "value", "argv", "environment", "directory", NULL};
    unsigned int number;
    PyObject *value, *argv = Py_None, *environment = Py_None, *directory = NULL;
    PyObject *argv_strings = NULL, *environment_strings = NULL, *result = NULL;
    struct phx_controller_program program = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "IO|OOO&", names, &number, &value, &argv,
                                     &environment, PyUnicode_FSConverter, &directory))
        return NULL;
    if (argv != Py_None && !(program.argv = string_array(argv, &argv_strings)))
        goto out;
    if (environment != Py_None &&
        !(program.environment = string_array(environment, &environment_strings)))
        goto out;
    program.directory = directory ? PyBytes_AS_STRING(directory) : NULL;
    result = start_program(self, number, value, program.argv ? &program : NULL);
out:
    PyMem_Free((void *)program.argv);
    PyMem_Free((void *)program.environment);
    Py_XDECREF(argv_strings);
    Py_XDECREF(environment_strings);
    Py_XDECREF(directory);
    return result;
}

static PyObject *fork_method(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = engine(self);
    unsigned int number;
    PyObject *value;
    struct phx_buf body;
    if (!controller || !PyArg_ParseTuple(args, "IO", &number, &value) ||
        phx_py_encode(&body, value, NULL) < 0)
        return NULL;
    struct phx_err err = {0};
    int status;
    Py_BEGIN_ALLOW_THREADS status =
        phx_controller_fork(controller, number, phx_buf_head(&body), phx_buf_size(&body), &err);
    Py_END_ALLOW_THREADS phx_buf_fini(&body);
    return none_or_raise(self, status, &err);
}

/* ---- events ---- */

static PyObject *exit_status(const struct phx_event *event)
{
    if (!event->has_status)
        Py_RETURN_NONE;
    return PyLong_FromLong(event->status);
}

static PyObject *index_or_none(int64_t index)
{
    if (index == PHX_RUNQ_NONE)
        Py_RETURN_NONE;
    return PyLong_FromLongLong(index);
}

static PyObject *last_words(struct phx_controller *controller, int32_t number)
{
    static const enum phx_member_text order[] = {PHX_TEXT_OUT, PHX_TEXT_ERR, PHX_TEXT_FAULTS};
    PyObject *texts = PyTuple_New(3);
    char *buffer = PyMem_Malloc(LAST_WORDS_MAX);
    if (!texts || !buffer) {
        Py_XDECREF(texts);
        PyMem_Free(buffer);
        return PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; i < 3; i++) {
        size_t size = phx_controller_last_words(controller, (uint32_t)number, order[i], buffer,
                                                LAST_WORDS_MAX);
        PyObject *text = PyUnicode_DecodeUTF8(buffer, (Py_ssize_t)size, "replace");
        if (!text) {
            Py_CLEAR(texts);
            break;
        }
        PyTuple_SET_ITEM(texts, i, text);
    }
    PyMem_Free(buffer);
    return texts;
}

/* Whether a message's value is of the type that its readers rely on. */
static int has_shape(uint16_t type, PyObject *value)
{
    switch (type) {
    case PHX_MSG_REPORT:
    case PHX_MSG_FINISHED:
    case PHX_MSG_STOPPED:
    case PHX_MSG_WARNING:
    case PHX_MSG_XML_RECORD:
    case PHX_MSG_SHARED:
    case PHX_MSG_READY:
    case PHX_MSG_COLLECT_REPORT:
    case PHX_MSG_SESSION_DONE:
    case PHX_MSG_FORK_HERE:
        return PyDict_CheckExact(value);
    case PHX_MSG_ITEMS:
    case PHX_MSG_DESELECTED:
        return PyList_CheckExact(value);
    case PHX_MSG_LOG_START:
    case PHX_MSG_LOG_FINISH:
        return PyTuple_CheckExact(value);
    case PHX_MSG_TEST_COMPLETE:
        return PyTuple_CheckExact(value) && PyTuple_GET_SIZE(value) == 2 &&
               PyLong_CheckExact(PyTuple_GET_ITEM(value, 0)) &&
               PyFloat_CheckExact(PyTuple_GET_ITEM(value, 1));
    case PHX_MSG_INTERNAL_ERROR:
    case PHX_MSG_COLLECTING:
    case PHX_MSG_EARLY_CLAIMS:
    case PHX_MSG_REFUSED:
        return PyUnicode_CheckExact(value);
    default:
        return 1;
    }
}

static PyObject *message_tuple(PyObject *self, struct phx_controller *controller,
                               const struct phx_event *event)
{
    PyObject *value = phx_value_decode(event->body, event->size);
    if (value ? !has_shape(event->type, value) : PyErr_ExceptionMatches(PyExc_ValueError)) {
        Py_CLEAR(value);
        PyErr_Clear();
        phx_controller_reject(controller, event->number);
        Py_RETURN_NONE;
    }
    PyObject *type = value ? PyLong_FromLong(event->type) : NULL;
    if (!type) {
        Py_XDECREF(value);
        return NULL;
    }
    PyObject *name = PyDict_GetItemWithError(phx_py_state_of(self)->message_names, type);
    Py_DECREF(type);
    return Py_BuildValue("(OiN)", name ? name : Py_None, (int)event->number, value);
}

/* An event as (name, worker number, payload), or None for one that nobody needs to see. */
static PyObject *event_tuple(PyObject *self, struct phx_controller *controller,
                             const struct phx_event *event)
{
    int number = event->number;
    switch (event->kind) {
    case PHX_EVENT_MESSAGE:
        return message_tuple(self, controller, event);
    case PHX_EVENT_COLLECTED:
        return Py_BuildValue("(si(KO))", "collected", number, (unsigned long long)event->count,
                             event->status ? Py_True : Py_False);
    case PHX_EVENT_GATHERED:
        return Py_BuildValue("(siK)", "gathered", number, (unsigned long long)event->count);
    case PHX_EVENT_ZYGOTE_DOWN:
        return Py_BuildValue("(si(Nz))", "zygote_down", number, exit_status(event), event->text);
    case PHX_EVENT_WORKER_UP:
        return Py_BuildValue("(sii)", "worker_up", number, (int)event->pid);
    case PHX_EVENT_WORKER_DOWN:
        return Py_BuildValue("(si{sNsOsNsisNszsN})", "worker_down", number, "status",
                             exit_status(event), "finished", event->finished ? Py_True : Py_False,
                             "test", index_or_none(event->test), "phase", (int)event->phase,
                             "replacement", index_or_none(event->replacement), "text", event->text,
                             "last_words", last_words(controller, event->number));
    case PHX_EVENT_TEST_LOST:
        return Py_BuildValue("(si{sNsNsz})", "test_lost", number, "status", exit_status(event),
                             "test", index_or_none(event->test), "text", event->text);
    case PHX_EVENT_FORK_FAILED:
        return Py_BuildValue("(siz)", "fork_failed", number, event->text);
    case PHX_EVENT_GUARD_DOWN:
        return Py_BuildValue("(siO)", "guard_down", number, Py_None);
    case PHX_EVENT_LEFTOVER:
        return Py_BuildValue("(si(izO))", "leftover", number, (int)event->pid, event->text,
                             event->status ? Py_True : Py_False);
    }
    Py_UNREACHABLE();
}

/* Appends what there is. Returns 0 or -1. */
static int take_events(PyObject *self, struct phx_controller *controller, PyObject *list)
{
    struct phx_event event;
    while (PyList_GET_SIZE(list) < EVENTS_MAX && phx_controller_next(controller, &event)) {
        PyObject *tuple = event_tuple(self, controller, &event);
        if (!tuple)
            return -1;
        int status = tuple == Py_None ? 0 : PyList_Append(list, tuple);
        Py_DECREF(tuple);
        if (status < 0)
            return -1;
    }
    return 0;
}

/* Empties our wake-up pipe and passes its bytes on to the descriptor that was there before. */
static void pass_signals_on(int from, int earlier)
{
    char bytes[64];
    ssize_t got;
    while ((got = read(from, bytes, sizeof bytes)) > 0) {
        if (earlier >= 0 && write(earlier, bytes, (size_t)got) < 0)
            continue; /* full: its owner is awake already */
    }
}

/* signal.set_wakeup_fd: its C form is not exported before Python 3.13. Returns the descriptor that
 * was there before; a failure (it was closed meanwhile) leaves none. */
static int set_wakeup_fd(int fd)
{
    int earlier = -1;
    PyObject *module = PyImport_ImportModule("signal");
    PyObject *result = module ? PyObject_CallMethod(module, "set_wakeup_fd", "i", fd) : NULL;
    if (result)
        earlier = (int)PyLong_AsLong(result);
    Py_XDECREF(result);
    Py_XDECREF(module);
    PyErr_Clear();
    return earlier;
}

static int step(struct controller *self, phx_ns timeout)
{
    int status, earlier = -1;
    if (self->serves_signals)
        earlier = set_wakeup_fd(self->wake[1]);
    Py_BEGIN_ALLOW_THREADS status =
        phx_controller_step(self->engine, timeout, self->serves_signals ? self->wake[0] : -1);
    Py_END_ALLOW_THREADS if (self->serves_signals)
    {
        set_wakeup_fd(earlier);
        pass_signals_on(self->wake[0], earlier);
    }
    return status;
}

static PyObject *poll_method(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = engine(self);
    double timeout_s = -1;
    if (!controller || !PyArg_ParseTuple(args, "|d", &timeout_s))
        return NULL;
    phx_ns timeout = timeout_s < 0 ? -1 : (phx_ns)(timeout_s * (double)PHX_S);
    int status = step(cast(self), timeout);
    if (status < 0)
        return none_or_raise(self, status, NULL);
    if (PyErr_CheckSignals() < 0)
        return NULL;
    PyObject *list = PyList_New(0);
    if (list && take_events(self, controller, list) < 0)
        Py_CLEAR(list);
    return list;
}

/* ---- stopping and figures ---- */

#define SIMPLE(name)                                                                               \
    static PyObject *name##_method(PyObject *self, PyObject *unused)                               \
    {                                                                                              \
        (void)unused;                                                                              \
        struct phx_controller *controller = engine(self);                                          \
        if (!controller)                                                                           \
            return NULL;                                                                           \
        phx_controller_##name(controller);                                                         \
        Py_RETURN_NONE;                                                                            \
    }

SIMPLE(stop)
SIMPLE(interrupt)
SIMPLE(kill)
SIMPLE(suspend)
SIMPLE(resume)

static PyObject *active(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct phx_controller *controller = engine(self);
    return controller ? PyLong_FromUnsignedLong(phx_controller_active(controller)) : NULL;
}

static PyObject *add_late(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = engine(self);
    unsigned int test;
    long long elsewhere = PHX_RUNQ_NONE;
    if (!controller || !PyArg_ParseTuple(args, "I|L", &test, &elsewhere))
        return NULL;
    int status = phx_controller_add_late(controller, test, elsewhere);
    if (status < 0 && status != -ENOSPC)
        return none_or_raise(self, status, NULL);
    return PyBool_FromLong(status == 0);
}

static PyObject *relieve(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct phx_controller *controller = engine(self);
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

static PyObject *end_zygote(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = engine(self);
    double patience_s;
    if (!controller || !PyArg_ParseTuple(args, "d", &patience_s))
        return NULL;
    int gone;
    Py_BEGIN_ALLOW_THREADS gone =
        phx_controller_end_zygote(controller, (phx_ns)(patience_s * (double)PHX_S));
    Py_END_ALLOW_THREADS return PyBool_FromLong(gone);
}

static PyObject *end(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = engine(self);
    double grace_s;
    if (!controller || !PyArg_ParseTuple(args, "d", &grace_s))
        return NULL;
    int status;
    Py_BEGIN_ALLOW_THREADS status =
        phx_controller_end(controller, (phx_ns)(grace_s * (double)PHX_S));
    Py_END_ALLOW_THREADS return none_or_raise(self, status, NULL);
}

static PyObject *account(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct phx_controller *controller = engine(self);
    if (!controller)
        return NULL;
    struct phx_account account;
    phx_controller_account(controller, &account);
    return Py_BuildValue("{sKsKsKsK}", "ended", account.ended, "crashed", account.crashed,
                         "unaccounted", account.unaccounted, "not_run", account.not_run);
}

static PyObject *tests_in_state(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = engine(self);
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

/* The rest is in py/reports.c. */
#define REPORT(name)                                                                               \
    static PyObject *name##_method(PyObject *self, PyObject *args)                                 \
    {                                                                                              \
        struct phx_controller *controller = engine(self);                                          \
        return controller ? phx_py_##name(phx_py_state_of(self), controller, args) : NULL;         \
    }

REPORT(summary)
REPORT(figures)
REPORT(progress)
REPORT(write_timeline)
REPORT(write_trace)

static PyMethodDef methods[] = {
    {"setup", setup, METH_O, "setup(value)\n\nSends the zygote what it needs to configure."},
    {"plan", (PyCFunction)(void (*)(void))plan, METH_VARARGS | METH_KEYWORDS,
     "plan(dist, workers, reorder, max_restarts, interleave=False)\n\nMakes the run queue for what "
     "was collected."},
    {"read_history", read_history, METH_O,
     "read_history(path) -> (known, warning)\n\nThe plan then knows how long tests take."},
    {"write_history", write_history, METH_VARARGS,
     "write_history(path, uid, outcomes, complete, optional) -> warning\n\nAdds the run: outcomes "
     "has one "
     "letter for each test."},
    {"recruit", (PyCFunction)(void (*)(void))recruit, METH_VARARGS | METH_KEYWORDS,
     "recruit(workers, max_restarts)\n\nMakes room for workers that collect for themselves."},
    {"fork", fork_method, METH_VARARGS, "fork(number, value)\n\nAsks for a worker."},
    {"start", (PyCFunction)(void (*)(void))start, METH_VARARGS | METH_KEYWORDS,
     "start(number, value, argv=None, environment=None, directory=None)\n\nStarts a worker from "
     "scratch; without argv by the program of the zygote."},
    {"become", become, METH_VARARGS,
     "become(number, value)\n\nThe zygote, which cannot be forked or has no set-up, is this "
     "worker."},
    {"poll", poll_method, METH_VARARGS,
     "poll(timeout=-1.0) -> [(event, number, payload)]\n\nWaits for events, in seconds; runs "
     "signal "
     "handlers."},
    {"add_late", add_late, METH_VARARGS,
     "add_late(test, elsewhere=-1) -> bool\n\nHands out a test once more, to another worker than "
     "`elsewhere` if there is one; False when no more can be handed out."},
    {"relieve", relieve, METH_NOARGS,
     "relieve() -> [number]\n\nWorkers to fork for late tests when all others are gone."},
    {"post", phx_py_post_send, METH_VARARGS,
     "post(number, tests)\n\nBy mail: sends tests to a worker."},
    {"steal", phx_py_post_steal, METH_VARARGS,
     "steal(number, tests) -> tests\n\nBy mail: takes back those that it has not looked at."},
    {"shut", phx_py_post_shut, METH_VARARGS,
     "shut(number)\n\nBy mail: a worker runs what it has, and ends."},
    {"stalled", phx_py_post_stalled, METH_NOARGS,
     "stalled() -> bool\n\nBy mail: every worker waits, and nothing is under way."},
    {"active", active, METH_NOARGS, "active() -> int\n\nWorkers asked for and not yet down."},
    {"stop", stop_method, METH_NOARGS, "stop()\n\nNobody claims any more; no replacements."},
    {"interrupt", interrupt_method, METH_NOARGS,
     "interrupt()\n\nstop, and SIGINT to every worker's group."},
    {"kill", kill_method, METH_NOARGS, "kill()\n\nstop, and SIGKILL to every worker's group."},
    {"suspend", suspend_method, METH_NOARGS, "suspend()\n\nSIGSTOP to every group of the run."},
    {"resume", resume_method, METH_NOARGS, "resume()\n\nSIGCONT to every group of the run."},
    {"end_zygote", end_zygote, METH_VARARGS,
     "end_zygote(patience) -> bool\n\nTells the zygote to end; is it gone?"},
    {"end", end, METH_VARARGS, "end(grace)\n\nThe orderly end; `leftover` events follow."},
    {"account", account, METH_NOARGS,
     "account() -> {ended, crashed, unaccounted, not_run}\n\nWhat became of every test."},
    {"tests_in_state", tests_in_state, METH_VARARGS,
     "tests_in_state(\"not_run\" | \"unaccounted\") -> [test]\n\nIndices into the collected list."},
    {"summary", summary_method, METH_VARARGS,
     "summary() -> (line, advice, table)\n\nThe run in one line; what wasted time; each worker."},
    {"figures", figures_method, METH_VARARGS,
     "figures(outcomes) -> {...}\n\nWhat the summary is made of, for a program."},
    {"progress", progress_method, METH_VARARGS,
     "progress() -> (ended, tests, seconds left or -1, [(worker, node id, seconds)])\n\nHow far "
     "the "
     "run is, and what runs, the oldest first."},
    {"write_timeline", write_timeline_method, METH_VARARGS,
     "write_timeline(path, title, outcomes)\n\nThe run as a page."},
    {"write_trace", write_trace_method, METH_VARARGS,
     "write_trace(path, outcomes)\n\nThe run as a Chrome trace."},
    {"close", close_method, METH_NOARGS, "close()\n\nKills what is left of the run."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, new},
    {Py_tp_init, init},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc,
     "Controller(guard, argv, environment, directory, serves_signals)\n\nStarts guard and "
     "zygote."},
    {0, NULL},
};

static PyType_Spec spec = {.name = "phalanx._engine.Controller",
                           .basicsize = sizeof(struct controller),
                           .flags = Py_TPFLAGS_DEFAULT,
                           .slots = slots};

int phx_py_add_controller(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    if (!type)
        return -1;
    int status = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return status;
}
