/* Python values as MessagePack, and back.
 *
 * Carried exactly, value and type: None, bool, int, float, complex, str (lone surrogates too),
 * bytes, list, dict (in order; keys of any carried type that hashes), tuple, set, frozenset: what
 * execnet carries. int beyond 64 bits, complex, surrogates, tuple, set and frozenset are extension
 * types, listed in wire/value_ext.h.
 *
 * Nothing else may fail a test, so everything else crosses as something near it:
 *
 *     an instance of a subclass       as the base value it equals (IntEnum as int, OrderedDict as
 *                                     dict, namedtuple as tuple); its own attributes are lost
 *     os.PathLike                     as its path                            counted as lossy
 *     bytearray                       as bytes                               counted
 *     anything else                   as its repr                            counted
 *     a repr that raises              "<unrepresentable TypeName>"           counted
 *     a container within itself, or   "[...]", "(...)" or "{...}"            counted
 *     deeper than PHX_VALUE_DEPTH_MAX
 *     what exceeds PHX_VALUE_MAX      a marker; rest of its container cut    counted
 *
 * Runs in controller, zygote and worker, with the GIL. Keeps no state. */
#ifndef PHX_PY_VALUE_H
#define PHX_PY_VALUE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stddef.h>

#include "base/buf.h"
#include "wire/frame.h"

enum {
    PHX_VALUE_DEPTH_MAX = 1000, /* containers within each other */
    /* Bytes of one value: whatever is encoded fits into a message, beside a few fields. */
    PHX_VALUE_MAX = PHX_MESSAGE_MAX - (1 << 20),
};

/* Appends one value. May call the value's __repr__ or __fspath__.
 * out_lossy  set on success only: how many objects inside are not what will arrive
 * Returns    0, or -1 with a Python exception set and `out` as it was: MemoryError, or a
 *            KeyboardInterrupt or SystemExit that came while a repr ran. */
int phx_value_encode(struct phx_buf *out, PyObject *value, int *out_lossy);

/* Makes the value that exactly these bytes encode; any bytes may be given.
 * Returns a new reference, or NULL with ValueError (or MemoryError) set. */
PyObject *phx_value_decode(const char *body, size_t size);

#endif
