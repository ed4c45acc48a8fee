/* The engine's events as the tuples that Controller.poll returns.
 *
 * Runs in the controller. */
#include "py/controller.h"

#include <string.h>

#include "py/value.h"
#include "wire/msg.h"

enum {
    EVENTS_MAX = 512,      /* per poll: keeps the host's own loop and signals responsive */
    LAST_WORDS_MAX = 65536 /* bytes of a dead worker's output that are read back */
};

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

/* What another machine's programs wrote: any bytes. */
static PyObject *lenient_text(const char *text)
{
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
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
    case PHX_EVENT_TEST_STARTED:
    case PHX_EVENT_TEST_ENDED: /* of a node, which has no Python */
        Py_RETURN_NONE;
    case PHX_EVENT_MACHINE_UP:
        return Py_BuildValue("(siN)", "machine_up", number, lenient_text(event->text));
    case PHX_EVENT_MACHINE_DOWN:
        return Py_BuildValue("(siN)", "machine_down", number, lenient_text(event->text));
    case PHX_EVENT_MACHINE_SAYS:
        return Py_BuildValue("(siN)", "machine_says", number, lenient_text(event->text));
    case PHX_EVENT_WORKER_WANTED:
        return Py_BuildValue("(siK)", "worker_wanted", number, (unsigned long long)event->count);
    case PHX_EVENT_LEFTOVER:
        return Py_BuildValue("(si(izO))", "leftover", number, (int)event->pid, event->text,
                             event->status ? Py_True : Py_False);
    }
    Py_UNREACHABLE();
}

int phx_py_take_events(PyObject *self, struct phx_controller *controller, PyObject *list)
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
