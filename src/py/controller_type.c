/* `_engine.Controller`: the engine's side of the pytest process that the user started.
 *
 * Runs in the controller; every call in the thread that made the object. poll releases the GIL,
 * wakes on signals by the interpreter's wake-up descriptor (libuv goes back to sleep on EINTR, so
 * without it Ctrl-C would wait for the next event), and runs Python's signal handlers before it
 * takes an event, so that an exception from a handler loses none. */
#include "py/controller.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "py/history.h"
#include "py/reports.h"

struct phx_controller *phx_py_controller_of(PyObject *self)
{
    struct phx_py_controller *controller = phx_py_controller(self);
    if (controller->engine && controller->owner == getpid())
        return controller->engine;
    PyErr_SetString(phx_py_state_of(self)->error, "the run is over, or belongs to another process");
    return NULL;
}

PyObject *phx_py_none_or_raise(PyObject *self, int status, const struct phx_err *err)
{
    if (status < 0)
        return phx_py_raise(phx_py_state_of(self), status, err);
    Py_RETURN_NONE;
}

const char **phx_py_string_array(PyObject *list, PyObject **out_encoded)
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

static int open_controller(struct phx_py_controller *self, const char *guard, PyObject *argv,
                           PyObject *environment, const char *directory, phx_ns exit_patience)
{
    struct phx_err err = {0};
    int status = -1;
    PyObject *argv_strings = NULL, *environment_strings = NULL;
    const char **argv_array = phx_py_string_array(argv, &argv_strings);
    const char **environment_array =
        argv_array ? phx_py_string_array(environment, &environment_strings) : NULL;
    if (!environment_array)
        goto out;
    struct phx_controller_options options = {.guard_path = guard[0] ? guard : NULL,
                                             .argv = argv_array,
                                             .environment = environment_array,
                                             .directory = directory,
                                             .exit_patience = exit_patience};
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
    static char *names[] = {"guard",          "argv",          "environment", "directory",
                            "serves_signals", "exit_patience", NULL};
    struct phx_py_controller *self = phx_py_controller(op);
    PyObject *guard = NULL, *argv, *environment, *directory = NULL;
    int serves_signals;
    double exit_patience_s = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&OOO&p|d", names, PyUnicode_FSConverter,
                                     &guard, &argv, &environment, PyUnicode_FSConverter, &directory,
                                     &serves_signals, &exit_patience_s)) {
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
                                 PyBytes_AS_STRING(directory),
                                 (phx_ns)(exit_patience_s * (double)PHX_S));
    for (int i = 0; i < 3; i++)
        phx_fd_close(&standard[i]);
    Py_DECREF(guard);
    Py_DECREF(directory);
    return status;
}

static PyObject *new (PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct phx_py_controller *self =
        (struct phx_py_controller *)PyType_GenericNew(type, args, kwargs);
    if (self)
        self->wake[0] = self->wake[1] = -1;
    return (PyObject *)self;
}

static void close_engine(struct phx_py_controller *self)
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
    close_engine(phx_py_controller(self));
    Py_RETURN_NONE;
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    close_engine(phx_py_controller(self));
    phx_keep_costs_fini(&phx_py_controller(self)->costs);
    phx_reasons_fini(&phx_py_controller(self)->reasons);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *read_history(PyObject *self, PyObject *path)
{
    struct phx_controller *controller = phx_py_controller_of(self);
    return controller ? phx_py_history_read(controller, path, &phx_py_controller(self)->costs)
                      : NULL;
}

static PyObject *write_history(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = phx_py_controller_of(self);
    return controller ? phx_py_history_write(controller, args) : NULL;
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

/* One turn of the engine's loop. With -1 a Python exception is set; else `out_status` is 0 or the
 * engine's error.
 *
 * A signal that came before our descriptor was set has left no byte in the pipe. Either its Python
 * handler has run, and has called wake; or there is only the interpreter's flag, and the handler
 * runs here. Without both, the wait would last until the next event, however far that is. */
static int step(struct phx_py_controller *self, phx_ns timeout, int *out_status)
{
    int earlier = -1;
    if (self->serves_signals) {
        earlier = set_wakeup_fd(self->wake[1]);
        if (PyErr_CheckSignals() < 0) {
            PyObject *type, *value, *traceback;
            PyErr_Fetch(&type, &value, &traceback); /* set_wakeup_fd clears what it finds */
            set_wakeup_fd(earlier);
            PyErr_Restore(type, value, traceback);
            return -1;
        }
    }
    Py_BEGIN_ALLOW_THREADS *out_status =
        phx_controller_step(self->engine, timeout, self->serves_signals ? self->wake[0] : -1);
    Py_END_ALLOW_THREADS if (self->serves_signals)
    {
        set_wakeup_fd(earlier);
        pass_signals_on(self->wake[0], earlier);
    }
    return 0;
}

static PyObject *wake(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (!phx_py_controller_of(self))
        return NULL;
    /* A full pipe wakes as well. Whom a 0 is passed on to knows that it is no signal. */
    while (write(phx_py_controller(self)->wake[1], "", 1) < 0 && errno == EINTR)
        ;
    Py_RETURN_NONE;
}

static PyObject *poll_method(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = phx_py_controller_of(self);
    double timeout_s = -1;
    if (!controller || !PyArg_ParseTuple(args, "|d", &timeout_s))
        return NULL;
    phx_ns timeout = timeout_s < 0 ? -1 : (phx_ns)(timeout_s * (double)PHX_S);
    int status = 0;
    if (step(phx_py_controller(self), timeout, &status) < 0)
        return NULL;
    if (status < 0)
        return phx_py_none_or_raise(self, status, NULL);
    if (PyErr_CheckSignals() < 0)
        return NULL;
    PyObject *list = PyList_New(0);
    if (list && phx_py_take_events(self, controller, list) < 0)
        Py_CLEAR(list);
    return list;
}

/* ---- stopping ---- */

#define SIMPLE(name)                                                                               \
    static PyObject *name##_method(PyObject *self, PyObject *unused)                               \
    {                                                                                              \
        (void)unused;                                                                              \
        struct phx_controller *controller = phx_py_controller_of(self);                            \
        if (!controller)                                                                           \
            return NULL;                                                                           \
        phx_controller_##name(controller);                                                         \
        Py_RETURN_NONE;                                                                            \
    }

SIMPLE(heed_timeouts)
SIMPLE(stop)
SIMPLE(interrupt)
SIMPLE(kill)
SIMPLE(suspend)
SIMPLE(resume)

static PyObject *end_zygote(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = phx_py_controller_of(self);
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
    struct phx_controller *controller = phx_py_controller_of(self);
    double grace_s;
    if (!controller || !PyArg_ParseTuple(args, "d", &grace_s))
        return NULL;
    int status;
    Py_BEGIN_ALLOW_THREADS status =
        phx_controller_end(controller, (phx_ns)(grace_s * (double)PHX_S));
    Py_END_ALLOW_THREADS return phx_py_none_or_raise(self, status, NULL);
}

/* ---- the table ---- */

/* The rest is in py/reports.c. */
#define REPORT(name)                                                                               \
    static PyObject *name##_method(PyObject *self, PyObject *args)                                 \
    {                                                                                              \
        struct phx_controller *controller = phx_py_controller_of(self);                            \
        return controller ? phx_py_##name(phx_py_state_of(self), controller, args) : NULL;         \
    }

REPORT(summary)
REPORT(figures)
REPORT(progress)
REPORT(write_timeline)
REPORT(write_trace)

static PyObject *explain(PyObject *self, PyObject *args)
{
    struct phx_controller *controller = phx_py_controller_of(self);
    return controller ? phx_py_explain(phx_py_state_of(self), controller,
                                       &phx_py_controller(self)->reasons, args)
                      : NULL;
}

static PyMethodDef methods[] = {
    {"setup", phx_py_controller_setup, METH_O,
     "setup(value)\n\nSends the zygote what it needs to configure."},
    {"plan", (PyCFunction)(void (*)(void))phx_py_controller_plan, METH_VARARGS | METH_KEYWORDS,
     "plan(dist, workers, reorder, max_restarts, interleave=False, keep_order=False, max_chunk=0, "
     "explain=False)\n\nMakes the run queue for what was collected."},
    {"read_history", read_history, METH_O,
     "read_history(path) -> (known, warning)\n\nThe plan then knows how long tests take."},
    {"write_history", write_history, METH_VARARGS,
     "write_history(path, uid, outcomes, complete, optional) -> warning\n\nAdds the run: outcomes "
     "has one "
     "letter for each test."},
    {"ramp", phx_py_controller_ramp, METH_O,
     "ramp(duration)\n\nWorkers will begin one after the other, spread over so many seconds."},
    {"recruit", (PyCFunction)(void (*)(void))phx_py_controller_recruit,
     METH_VARARGS | METH_KEYWORDS,
     "recruit(workers, max_restarts, join=False)\n\nMakes room for workers that collect for "
     "themselves; join: they may find different tests, and the run is of all."},
    {"fork", phx_py_controller_fork, METH_VARARGS, "fork(number, value)\n\nAsks for a worker."},
    {"start", (PyCFunction)(void (*)(void))phx_py_controller_start, METH_VARARGS | METH_KEYWORDS,
     "start(number, value, argv=None, environment=None, directory=None)\n\nStarts a worker from "
     "scratch; without argv by the program of the zygote."},
    {"become", phx_py_controller_become, METH_VARARGS,
     "become(number, value)\n\nThe zygote, which cannot be forked or has no set-up, is this "
     "worker."},
    {"poll", poll_method, METH_VARARGS,
     "poll(timeout=-1.0) -> [(event, number, payload)]\n\nWaits for events, in seconds; runs "
     "signal "
     "handlers."},
    {"wake", wake, METH_NOARGS,
     "wake()\n\nThe poll under way, or the next one, does not wait. For signal handlers."},
    {"add_late", phx_py_controller_add_late, METH_VARARGS,
     "add_late(test, elsewhere=-1) -> bool\n\nHands out a test once more, to another worker than "
     "`elsewhere` if there is one; False when no more can be handed out."},
    {"relieve", phx_py_controller_relieve, METH_NOARGS,
     "relieve() -> [number]\n\nWorkers to fork for late tests when all others are gone."},
    {"post", phx_py_post_send, METH_VARARGS,
     "post(number, tests)\n\nBy mail: sends tests to a worker."},
    {"steal", phx_py_post_steal, METH_VARARGS,
     "steal(number, tests) -> tests\n\nBy mail: takes back those that it has not looked at."},
    {"shut", phx_py_post_shut, METH_VARARGS,
     "shut(number)\n\nBy mail: a worker runs what it has, and ends."},
    {"stalled", phx_py_post_stalled, METH_NOARGS,
     "stalled() -> bool\n\nBy mail: every worker waits, and nothing is under way."},
    {"add_machine", phx_py_add_machine, METH_VARARGS,
     "add_machine(name, argv) -> machine\n\nStarts the command that leads to a machine."},
    {"setup_machine", phx_py_setup_machine, METH_VARARGS,
     "setup_machine(machine, workers, value)\n\nSends its zygote what it needs; None: workers will "
     "be spawned."},
    {"ask_machine", phx_py_ask_machine, METH_VARARGS,
     "ask_machine(number, machine, fork_value, spawn_value)\n\nAsks for a worker there."},
    {"spawn_on_machine", phx_py_spawn_on_machine, METH_VARARGS,
     "spawn_on_machine(machine)\n\nEvery worker that was asked for there starts afresh."},
    {"set_loss", phx_py_set_loss, METH_VARARGS,
     "set_loss(silence, rerun)\n\nAfter how many seconds of silence a machine is lost; whether "
     "what "
     "ran there runs again."},
    {"active", phx_py_controller_active, METH_NOARGS,
     "active() -> int\n\nWorkers asked for and not yet down."},
    {"stop", stop_method, METH_NOARGS, "stop()\n\nNobody claims any more; no replacements."},
    {"interrupt", interrupt_method, METH_NOARGS,
     "interrupt()\n\nstop, and SIGINT to every worker's group."},
    {"kill", kill_method, METH_NOARGS, "kill()\n\nstop, and SIGKILL to every worker's group."},
    {"heed_timeouts", heed_timeouts_method, METH_NOARGS,
     "heed_timeouts()\n\nWorkers whose tests run past their deadlines are ended."},
    {"suspend", suspend_method, METH_NOARGS, "suspend()\n\nSIGSTOP to every group of the run."},
    {"resume", resume_method, METH_NOARGS, "resume()\n\nSIGCONT to every group of the run."},
    {"end_zygote", end_zygote, METH_VARARGS,
     "end_zygote(patience) -> bool\n\nTells the zygote to end; is it gone?"},
    {"end", end, METH_VARARGS, "end(grace)\n\nThe orderly end; `leftover` events follow."},
    {"account", phx_py_controller_account, METH_NOARGS,
     "account() -> {ended, crashed, unaccounted, not_run}\n\nWhat became of every test."},
    {"tests_in_state", phx_py_controller_tests_in_state, METH_VARARGS,
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
    {"explain", explain, METH_VARARGS,
     "explain(path=None)\n\nWhy each test ran where it did, after plan(explain=True): as text, or "
     "into a file."},
    {"close", close_method, METH_NOARGS, "close()\n\nKills what is left of the run."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, new},
    {Py_tp_init, init},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc,
     "Controller(guard, argv, environment, directory, serves_signals, exit_patience=10.0)\n\n"
     "Starts guard and zygote."},
    {0, NULL},
};

static PyType_Spec spec = {.name = "phalanx._engine.Controller",
                           .basicsize = sizeof(struct phx_py_controller),
                           .flags = Py_TPFLAGS_DEFAULT,
                           .slots = slots};

int phx_py_add_controller(PyObject *module)
{
    return phx_py_add_type(module, &spec);
}
