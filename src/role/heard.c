#include "role/heard.h"

#include <errno.h>
#include <stdlib.h>

#include "wire/msg.h"

int phx_heard_init(struct phx_heard *heard, uint32_t npositions)
{
    uint8_t *bits = calloc(npositions / 8 + 1, 1);
    if (!bits)
        return -ENOMEM;
    *heard = (struct phx_heard){.bits = bits, .npositions = npositions};
    return 0;
}

void phx_heard_fini(struct phx_heard *heard)
{
    free(heard->bits);
    *heard = (struct phx_heard){0};
}

int phx_heard_note(struct phx_heard *heard, const char *body, size_t size)
{
    uint64_t position;
    if (phx_msg_get_number(body, size, &position) < 0 || position >= heard->npositions)
        return PHX_E_PROTO;
    phx_heard_set(heard, (uint32_t)position);
    return 0;
}

void phx_heard_set(struct phx_heard *heard, uint32_t position)
{
    if (position < heard->npositions)
        heard->bits[position / 8] |= (uint8_t)(1U << position % 8);
}

int phx_heard_has(const struct phx_heard *heard, uint32_t position)
{
    return position < heard->npositions && (heard->bits[position / 8] >> position % 8 & 1);
}

int phx_heard_next_lost(const struct phx_heard *heard, struct phx_runq *queue, uint32_t worker,
                        uint32_t *io_position)
{
    for (uint32_t pos = *io_position; pos < heard->npositions; pos++) {
        if (phx_heard_has(heard, pos) || !phx_runq_disown(queue, worker, pos))
            continue;
        *io_position = pos + 1;
        return 1;
    }
    *io_position = heard->npositions;
    return 0;
}
