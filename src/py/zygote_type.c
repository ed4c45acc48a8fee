/* `_engine.Zygote`: what the zygote process asks of the engine, and the fork itself.
 *
 * Runs in the zygote, in its only thread. */
#include "py/engine.h"

#include <stdio.h>

#include "py/value.h"
#include "wire/msg.h"

struct zygote {
    PyObject_HEAD struct phx_zygote zygote;
};

static struct phx_zygote *engine(PyObject *self)
{
    return &((struct zygote *)self)->zygote;
}

static int init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"channel", NULL};
    int channel;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i", names, &channel))
        return -1;
    struct phx_err err = {0};
    int status = phx_zygote_open(engine(self), channel, &err);
    if (status < 0) {
        phx_py_raise(phx_py_state_of(self), status, &err);
        return -1;
    }
    return 0;
}

static PyObject *send(PyObject *self, PyObject *args)
{
    int type, lossy;
    PyObject *value;
    if (!PyArg_ParseTuple(args, "iO", &type, &value))
        return NULL;
    struct phx_buf body;
    if (phx_py_encode(&body, value, &lossy) < 0)
        return NULL;
    int status;
    Py_BEGIN_ALLOW_THREADS status =
        phx_zygote_send(engine(self), (uint16_t)type, phx_buf_head(&body), phx_buf_size(&body));
    Py_END_ALLOW_THREADS phx_buf_fini(&body);
    if (status < 0)
        return phx_py_raise(phx_py_state_of(self), status, NULL);
    return PyLong_FromLong(lossy);
}

/* A request as (name, worker number, value). */
static PyObject *request_tuple(const struct phx_zygote_request *request)
{
    switch (request->type) {
    case PHX_MSG_SETUP:
        return Py_BuildValue("(siN)", "setup", -1, phx_value_decode(request->value, request->size));
    case PHX_MSG_FORK:
    case PHX_MSG_BECOME:
        return Py_BuildValue("(sIN)", request->type == PHX_MSG_FORK ? "fork" : "become",
                             request->number, phx_value_decode(request->value, request->size));
    default:
        return Py_BuildValue("(siO)", "end", -1, Py_None);
    }
}

static PyObject *serve(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct phx_zygote_request request;
    int status;
    Py_BEGIN_ALLOW_THREADS status = phx_zygote_serve(engine(self), &request);
    Py_END_ALLOW_THREADS if (status < 0) return phx_py_raise(phx_py_state_of(self), status, NULL);
    return request_tuple(&request);
}

/* Makes this process the worker that was prepared: a child of the zygote's, or the zygote itself.
 */
static PyObject *begin_worker(PyObject *self, int is_child)
{
    const struct phx_py_state *state = phx_py_state_of(self);
    struct phx_err err = {0};
    struct phx_birth birth;
    struct phx_worker *worker;
    PyObject *wrapper = phx_py_worker_new(state, &worker);
    if (!wrapper)
        return NULL;
    int status;
    Py_BEGIN_ALLOW_THREADS status =
        is_child ? phx_zygote_become_worker(engine(self), worker, &birth, &err)
                 : phx_zygote_turn_worker(engine(self), worker, &birth, &err);
    Py_END_ALLOW_THREADS if (status < 0)
    {
        Py_DECREF(wrapper);
        return phx_py_raise(state, status, &err);
    }
    return Py_BuildValue("(Niii)", wrapper, birth.out, birth.err, birth.faults);
}

static PyObject *fork_worker(PyObject *self, PyObject *number)
{
    const struct phx_py_state *state = phx_py_state_of(self);
    unsigned long value = PyLong_AsUnsignedLong(number);
    if (value == (unsigned long)-1 && PyErr_Occurred())
        return NULL;
    struct phx_err err = {0};
    int status = phx_zygote_prepare(engine(self), (uint32_t)value, &err);
    if (status < 0) {
        status = phx_zygote_report_failure(engine(self), (uint32_t)value,
                                           err.text[0] ? err.text : phx_err_text(status));
        if (status < 0)
            return phx_py_raise(state, status, NULL);
        Py_RETURN_NONE;
    }
    fflush(NULL); /* what C wrote before must not be written by every worker */
    PyOS_BeforeFork();
    pid_t pid = fork();
    int fork_errno = errno;
    if (pid == 0) {
        PyOS_AfterFork_Child();
        return begin_worker(self, 1);
    }
    PyOS_AfterFork_Parent();
    status = phx_zygote_settle(engine(self), pid < 0 ? -fork_errno : pid);
    if (status < 0)
        return phx_py_raise(state, status, NULL);
    Py_RETURN_NONE;
}

static PyObject *become(PyObject *self, PyObject *number)
{
    const struct phx_py_state *state = phx_py_state_of(self);
    unsigned long value = PyLong_AsUnsignedLong(number);
    if (value == (unsigned long)-1 && PyErr_Occurred())
        return NULL;
    struct phx_err err = {0};
    int status = phx_zygote_prepare(engine(self), (uint32_t)value, &err);
    if (status < 0)
        return phx_py_raise(state, status, &err);
    return begin_worker(self, 0);
}

static void dealloc(PyObject *self)
{
    /* The descriptors live as long as the process: the zygote leaves by _exit. */
    PyTypeObject *type = Py_TYPE(self);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"send", send, METH_VARARGS,
     "send(type, value) -> lossy\n\nWrites a message to the controller."},
    {"serve", serve, METH_NOARGS,
     "serve() -> (request, number, value)\n\nWaits for \"setup\", \"fork\", \"become\" or "
     "\"end\"; reaps workers meanwhile."},
    {"fork", fork_worker, METH_O,
     "fork(number) -> None in the zygote; (Worker, stdout, stderr, faults) in the worker, the last "
     "three being descriptors of memfds."},
    {"become", become, METH_O,
     "become(number) -> (Worker, stdout, stderr, faults)\n\nThe same without a fork: this process "
     "is "
     "that worker from now on."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_init, init},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, "Zygote(channel)\n\nThe engine's side of the zygote process."},
    {0, NULL},
};

static PyType_Spec spec = {.name = "phalanx._engine.Zygote",
                           .basicsize = sizeof(struct zygote),
                           .flags = Py_TPFLAGS_DEFAULT,
                           .slots = slots};

int phx_py_add_zygote(PyObject *module)
{
    return phx_py_add_type(module, &spec);
}
