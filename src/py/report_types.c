/* `_engine.Outcomes` and `_engine.Tally`: they read the report of every phase of every test, which
 * is why they are no Python.
 *
 *   Outcomes  what each test came to, a letter for each (store/outcomes.h), by `item_index`
 *   Tally     by node id: what each phase came to, in pytest's words, and how long all took
 *
 * Runs in the controller, and in a run without workers. */
#include <string.h>

#include "py/engine.h"
#include "store/outcomes.h"

/* ---- one report ---- */

/* The attributes that are read, as interned strings in the module's state. */
#define NAME(state, which) ((state)->report_names[PHX_PY_NAME_##which])

int phx_py_make_report_names(struct phx_py_state *state)
{
    static const char *const texts[] = {
#define X(name, text) text,
        PHX_PY_REPORT_NAMES(X)
#undef X
    };
    for (int i = 0; i < PHX_PY_NAME_COUNT; i++) {
        state->report_names[i] = PyUnicode_InternFromString(texts[i]);
        if (!state->report_names[i])
            return -1;
    }
    return 0;
}

/* An attribute, or `missing` where there is none. A new reference, or NULL with an exception. */
static PyObject *attribute(PyObject *report, PyObject *name, PyObject *missing)
{
    PyObject *value = PyObject_GetAttr(report, name);
    if (value || !PyErr_ExceptionMatches(PyExc_AttributeError))
        return value;
    PyErr_Clear();
    Py_INCREF(missing);
    return missing;
}

/* Whether it is this text; plugins may have put anything there. */
static int is(PyObject *value, const char *text)
{
    return PyUnicode_Check(value) && PyUnicode_CompareWithASCIIString(value, text) == 0;
}

/* What a phase that ended with `outcome` says of its whole test. */
static char letter_of(const struct phx_py_state *state, PyObject *report, PyObject *outcome,
                      PyObject *when)
{
    int is_call = is(when, "call");
    if (is(outcome, "passed")) {
        if (!is_call)
            return PHX_OUTCOME_UNKNOWN;
        return PyObject_HasAttr(report, NAME(state, WASXFAIL)) ? PHX_OUTCOME_XPASSED
                                                               : PHX_OUTCOME_PASSED;
    }
    if (is(outcome, "skipped"))
        return PyObject_HasAttr(report, NAME(state, WASXFAIL)) ? PHX_OUTCOME_XFAILED
                                                               : PHX_OUTCOME_SKIPPED;
    if (!is(outcome, "failed"))
        return PHX_OUTCOME_RERUN; /* what plugins call it: "rerun", "retried" */
    if (is_call)
        return PHX_OUTCOME_FAILED;
    return is(when, "setup") || is(when, "teardown") ? PHX_OUTCOME_ERROR : PHX_OUTCOME_CRASHED;
}

/* The letter, or -1 with an exception. */
static int read_letter(const struct phx_py_state *state, PyObject *report)
{
    PyObject *outcome = attribute(report, NAME(state, OUTCOME), Py_None);
    PyObject *when = outcome ? attribute(report, NAME(state, WHEN), Py_None) : NULL;
    int letter = when ? letter_of(state, report, outcome, when) : -1;
    Py_XDECREF(outcome);
    Py_XDECREF(when);
    return letter;
}

/* ---- Outcomes ---- */

struct outcomes {
    PyObject_HEAD char *letters; /* owned, [count] */
    Py_ssize_t count;
};

static int outcomes_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"tests", NULL};
    struct outcomes *outcomes = (struct outcomes *)self;
    Py_ssize_t count;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n", names, &count))
        return -1;
    count = count > 0 ? count : 0;
    char *letters = PyMem_Malloc((size_t)count + 1);
    if (!letters) {
        PyErr_NoMemory();
        return -1;
    }
    memset(letters, PHX_OUTCOME_UNKNOWN, (size_t)count);
    PyMem_Free(outcomes->letters);
    outcomes->letters = letters;
    outcomes->count = count;
    return 0;
}

static void outcomes_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyMem_Free(((struct outcomes *)self)->letters);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *outcomes_read(PyObject *self, PyObject *report)
{
    const struct phx_py_state *state = phx_py_state_of(self);
    struct outcomes *outcomes = (struct outcomes *)self;
    int letter = read_letter(state, report);
    if (letter < 0)
        return NULL;
    if (letter == PHX_OUTCOME_UNKNOWN) /* two of three reports */
        Py_RETURN_NONE;
    PyObject *index = attribute(report, NAME(state, ITEM_INDEX), Py_None);
    if (!index)
        return NULL;
    Py_ssize_t test = PyLong_Check(index) ? PyLong_AsSsize_t(index) : -1;
    Py_DECREF(index);
    if (test == -1 && PyErr_Occurred())
        PyErr_Clear(); /* somebody else's, and no place in our list */
    if (test >= 0 && test < outcomes->count)
        outcomes->letters[test] = phx_outcome_combined(outcomes->letters[test], (char)letter);
    Py_RETURN_NONE;
}

static PyObject *outcomes_letters(PyObject *self, PyObject *unused)
{
    (void)unused;
    const struct outcomes *outcomes = (const struct outcomes *)self;
    return PyBytes_FromStringAndSize(outcomes->letters, outcomes->count);
}

/* ---- Tally ---- */

struct tally {
    PyObject_HEAD PyObject *outcomes; /* owned: dict, node id -> list of words */
    PyObject *durations;              /* owned: dict, node id -> seconds */
};

static int tally_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    struct tally *tally = (struct tally *)self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", names))
        return -1;
    Py_XSETREF(tally->outcomes, PyDict_New());
    Py_XSETREF(tally->durations, PyDict_New());
    return tally->outcomes && tally->durations ? 0 : -1;
}

static void tally_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(((struct tally *)self)->outcomes);
    Py_XDECREF(((struct tally *)self)->durations);
    PyObject_Free(self);
    Py_DECREF(type);
}

static int add_duration(const struct tally *tally, PyObject *node_id, PyObject *duration)
{
    PyObject *had = PyDict_GetItemWithError(tally->durations, node_id);
    if (!had)
        return PyErr_Occurred() ? -1 : PyDict_SetItem(tally->durations, node_id, duration);
    PyObject *sum = PyNumber_Add(had, duration);
    int status = sum ? PyDict_SetItem(tally->durations, node_id, sum) : -1;
    Py_XDECREF(sum);
    return status;
}

static int add_word(const struct tally *tally, PyObject *node_id, const char *word)
{
    PyObject *list = PyDict_GetItemWithError(tally->outcomes, node_id);
    if (!list && PyErr_Occurred())
        return -1;
    Py_XINCREF(list);
    if (!list) {
        list = PyList_New(0);
        if (list && PyDict_SetItem(tally->outcomes, node_id, list) < 0)
            Py_CLEAR(list);
    }
    PyObject *text = list ? PyUnicode_InternFromString(word) : NULL;
    int status = text ? PyList_Append(list, text) : -1;
    Py_XDECREF(text);
    Py_XDECREF(list);
    return status;
}

/* The word for a letter of this report: without workers a crash would have ended pytest, and a
 * report of one is a failure. */
static const char *word_of(const struct phx_py_state *state, PyObject *report, char letter)
{
    if (letter == PHX_OUTCOME_CRASHED)
        letter = PHX_OUTCOME_FAILED;
    if ((letter == PHX_OUTCOME_PASSED || letter == PHX_OUTCOME_XPASSED) &&
        PyObject_HasAttr(report, NAME(state, FLAKY_TRIES)))
        letter = PHX_OUTCOME_FLAKY;
    return phx_outcome_text(letter);
}

static PyObject *tally_read(PyObject *self, PyObject *report)
{
    const struct phx_py_state *state = phx_py_state_of(self);
    const struct tally *tally = (const struct tally *)self;
    PyObject *node_id = PyObject_GetAttr(report, NAME(state, NODEID));
    PyObject *duration =
        node_id ? attribute(report, NAME(state, DURATION), state->no_duration) : NULL;
    int status = duration ? add_duration(tally, node_id, duration) : -1;
    int letter = status == 0 ? read_letter(state, report) : -1;
    if (letter > 0 && letter != PHX_OUTCOME_UNKNOWN)
        status = add_word(tally, node_id, word_of(state, report, (char)letter));
    Py_XDECREF(node_id);
    Py_XDECREF(duration);
    if (status < 0 || letter < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *tally_outcomes(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *outcomes = ((struct tally *)self)->outcomes;
    Py_INCREF(outcomes);
    return outcomes;
}

static PyObject *tally_durations(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *durations = ((struct tally *)self)->durations;
    Py_INCREF(durations);
    return durations;
}

/* ---- the tables ---- */

#define READ_DOC "read(report)\n\nReads the report of a phase."

static PyMethodDef outcomes_methods[] = {
    {"read", outcomes_read, METH_O, READ_DOC},
    {"letters", outcomes_letters, METH_NOARGS,
     "letters() -> bytes\n\nOf each test, in the order of the collection."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef tally_methods[] = {
    {"read", tally_read, METH_O, READ_DOC},
    {"outcomes", tally_outcomes, METH_NOARGS, "outcomes() -> {node id: [words]}"},
    {"durations", tally_durations, METH_NOARGS, "durations() -> {node id: seconds}"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot outcomes_slots[] = {
    {Py_tp_init, outcomes_init},
    {Py_tp_dealloc, outcomes_dealloc},
    {Py_tp_methods, outcomes_methods},
    {Py_tp_doc, "Outcomes(tests)\n\nWhat each of so many tests came to."},
    {0, NULL},
};

static PyType_Slot tally_slots[] = {
    {Py_tp_init, tally_init},
    {Py_tp_dealloc, tally_dealloc},
    {Py_tp_methods, tally_methods},
    {Py_tp_doc, "Tally()\n\nOutcomes and durations by node id."},
    {0, NULL},
};

static PyType_Spec outcomes_spec = {.name = "phalanx._engine.Outcomes",
                                    .basicsize = sizeof(struct outcomes),
                                    .flags = Py_TPFLAGS_DEFAULT,
                                    .slots = outcomes_slots};

static PyType_Spec tally_spec = {.name = "phalanx._engine.Tally",
                                 .basicsize = sizeof(struct tally),
                                 .flags = Py_TPFLAGS_DEFAULT,
                                 .slots = tally_slots};

int phx_py_add_report_types(PyObject *module)
{
    return phx_py_add_type(module, &outcomes_spec) < 0 ? -1 : phx_py_add_type(module, &tally_spec);
}
