/* What the files of the guard share; nobody else includes this. */
#ifndef PHX_ROLE_GUARD_IMPL_H
#define PHX_ROLE_GUARD_IMPL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/clock.h"
#include "role/outbox.h"
#include "wire/frame.h"

enum phx_guard_phase {
    PHX_GUARD_PHASE_SERVING = 0, /* until END */
    PHX_GUARD_PHASE_SETTLING,    /* END came: wait a moment for what is about to end */
    PHX_GUARD_PHASE_ENDING,      /* leftovers have SIGTERM, and the grace to obey it */
    PHX_GUARD_PHASE_KILLING,     /* and SIGKILL */
    PHX_GUARD_PHASE_LEAVING,     /* only messages are left */
    PHX_GUARD_PHASE_OVER,
};

struct phx_pids { /* a set */
    pid_t *at;    /* owned */
    size_t count, capacity;
};

struct phx_guard {
    int control, controller, signals, null; /* owned descriptors */
    struct phx_inbox in;
    struct phx_outbox out;
    struct phx_buf body;    /* scratch: the message being encoded */
    struct phx_pids groups; /* of zygotes and workers, dead ones too: their group may live */
    struct phx_pids named;  /* processes a LEFTOVER was sent for */
    enum phx_guard_phase phase;
    phx_ns deadline; /* of the phase; none in SERVING */
    phx_ns grace;
    const char *doom; /* why everything must be killed; NULL: it need not */
};

int phx_pids_hold(const struct phx_pids *pids, pid_t pid);
int phx_pids_add(struct phx_pids *pids, pid_t pid); /* 0 or -ENOMEM */

/* From now on the guard's only aim is to kill everything. `why` is a literal, or lives as long. */
void phx_guard_doom(struct phx_guard *g, const char *why);

/* Queues the message whose body is in g->body, if `encoded`, the encoder's result, is good; dooms
 * the guard if not. fd is taken; -1: none. */
void phx_guard_post(struct phx_guard *g, uint16_t type, int encoded, int fd);

/* ---- guard_end.c ---- */

/* END came (again): a second one may shorten the grace of the first. */
void phx_guard_begin_end(struct phx_guard *g, phx_ns grace);

/* Takes the orderly end as far as it can go now. Called in the phases between SERVING and LEAVING,
 * a hundred times a second at least; goes on to LEAVING when it is done. */
void phx_guard_step_end(struct phx_guard *g);

#endif
