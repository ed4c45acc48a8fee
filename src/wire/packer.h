/* msgpack-c's packer, writing into a phx_buf. Its functions then return 0 or -ENOMEM.
 *
 *     msgpack_packer packer = phx_packer(out);
 *     int status = msgpack_pack_uint32(&packer, 7);
 *
 * Runs in any process. */
#ifndef PHX_WIRE_PACKER_H
#define PHX_WIRE_PACKER_H

#include <msgpack/pack.h>

#include "base/buf.h"

static inline int phx_packer_append(void *out, const char *bytes, size_t size)
{
    return phx_buf_append(out, bytes, size);
}

static inline msgpack_packer phx_packer(struct phx_buf *out)
{
    return (msgpack_packer){.data = out, .callback = phx_packer_append};
}

#endif
