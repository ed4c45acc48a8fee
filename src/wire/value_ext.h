/* The MessagePack extension types in which Python values cross that MessagePack itself cannot
 * carry. src/py/value.c writes and reads them; the engine looks only into node ids.
 *
 *     code  name       payload
 *     1     BIGINT     ASCII, as Python's hex(): "-0x1f…"; for what 64 bits cannot hold
 *     2     COMPLEX    real and imaginary part, IEEE 754 binary64, big-endian
 *     3     SURROGATE  a str with lone surrogates: UTF-8 in which they are encoded like any other
 *                      code point (Python's "surrogatepass")
 *     4     TUPLE      a MessagePack array
 *     5     SET        a MessagePack array, in no order
 *     6     FROZENSET  likewise
 *
 * Negative codes belong to the MessagePack specification. The numbers never change: add new ones.
 */
#ifndef PHX_WIRE_VALUE_EXT_H
#define PHX_WIRE_VALUE_EXT_H

enum phx_value_ext {
    PHX_EXT_BIGINT = 1,
    PHX_EXT_COMPLEX = 2,
    PHX_EXT_SURROGATE = 3,
    PHX_EXT_TUPLE = 4,
    PHX_EXT_SET = 5,
    PHX_EXT_FROZENSET = 6,
};

#endif
