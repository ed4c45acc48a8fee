/* The methods of `_engine.Controller` that carry a plugin's scheduler: see role/post.h.
 *
 * Runs in the controller. */
#include "py/controller.h"

#include "role/post.h"

/* The mailboxes, or NULL with an exception. */
static struct phx_post *post_of(PyObject *self)
{
    struct phx_controller *controller = phx_py_controller_of(self);
    if (!controller)
        return NULL;
    struct phx_post *post = phx_controller_post(controller);
    if (!post)
        PyErr_SetString(phx_py_state_of(self)->error, "the plan of this run is not by mail");
    return post;
}

/* A sequence of test indices as an array, freed by the caller. Returns 0 or -1 with an exception.
 */
static int test_array(PyObject *sequence, uint32_t **out_tests, size_t *out_count)
{
    PyObject *fast = PySequence_Fast(sequence, "takes a sequence of test indices");
    if (!fast)
        return -1;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(fast);
    uint32_t *tests = PyMem_Calloc((size_t)count + 1, sizeof *tests);
    if (!tests) {
        Py_DECREF(fast);
        PyErr_NoMemory();
        return -1;
    }
    int status = 0;
    for (Py_ssize_t i = 0; status == 0 && i < count; i++) {
        /* An index below 0 or beyond 32 bits becomes one that no test has, which the engine says.
         */
        long long index = PyLong_AsLongLong(PySequence_Fast_GET_ITEM(fast, i));
        if (index == -1 && PyErr_Occurred())
            status = -1;
        tests[i] = index >= 0 && index < UINT32_MAX ? (uint32_t)index : UINT32_MAX;
    }
    Py_DECREF(fast);
    if (status < 0) {
        PyMem_Free(tests);
        return -1;
    }
    *out_tests = tests;
    *out_count = (size_t)count;
    return 0;
}

PyObject *phx_py_post_send(PyObject *self, PyObject *args)
{
    unsigned int number;
    PyObject *sequence;
    uint32_t *tests;
    size_t count;
    struct phx_post *post = post_of(self);
    if (!post || !PyArg_ParseTuple(args, "IO", &number, &sequence) ||
        test_array(sequence, &tests, &count) < 0)
        return NULL;
    struct phx_err err = {0};
    int status = phx_post_send(post, number, tests, count, &err);
    PyMem_Free(tests);
    if (status < 0)
        return phx_py_raise(phx_py_state_of(self), status, &err);
    Py_RETURN_NONE;
}

PyObject *phx_py_post_steal(PyObject *self, PyObject *args)
{
    unsigned int number;
    PyObject *sequence;
    uint32_t *tests;
    size_t count;
    struct phx_post *post = post_of(self);
    if (!post || !PyArg_ParseTuple(args, "IO", &number, &sequence) ||
        test_array(sequence, &tests, &count) < 0)
        return NULL;
    /* In place: what is written never overtakes what is read. */
    size_t stolen = phx_post_steal(post, number, tests, count, tests);
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list && i < stolen; i++) {
        PyObject *index = PyLong_FromUnsignedLong(tests[i]);
        if (!index || PyList_Append(list, index) < 0)
            Py_CLEAR(list);
        Py_XDECREF(index);
    }
    PyMem_Free(tests);
    return list;
}

PyObject *phx_py_post_shut(PyObject *self, PyObject *args)
{
    unsigned int number;
    struct phx_post *post = post_of(self);
    if (!post || !PyArg_ParseTuple(args, "I", &number))
        return NULL;
    phx_post_shut(post, number);
    Py_RETURN_NONE;
}

PyObject *phx_py_post_stalled(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct phx_controller *controller = phx_py_controller_of(self);
    return controller ? PyBool_FromLong(phx_controller_stalled(controller)) : NULL;
}
