/* The zygote's side of the engine: the process that collected once and forks workers on demand.
 *
 * Runs in the zygote, in its only thread. The fork itself is the caller's (the binding calls it
 * between the interpreter's own before- and after-fork functions):
 *
 *     phx_zygote_prepare ── fork ──┬─ parent: phx_zygote_settle(pid)      FORKED goes to the
 * controller └─ child:  phx_zygote_become_worker()  descriptors of the zygote go
 *
 * It is the parent of its workers, so it alone learns how they ended; while it serves it reaps each
 * by pidfd, never waitpid(-1): user code may have children of its own. */
#ifndef PHX_ROLE_ZYGOTE_H
#define PHX_ROLE_ZYGOTE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "role/worker.h"
#include "wire/frame.h"

struct phx_birth { /* what is made before a fork, for the worker about to be */
    uint32_t number;
    int channel[2];       /* [0] goes to the controller, [1] to the worker */
    int out, err, faults; /* memfds for captured fd 1 and 2 and for faulthandler; both keep them */
};

struct phx_zygote_child {
    uint32_t number;
    pid_t pid;
    int pidfd; /* owned */
};

struct phx_zygote {
    int channel; /* owned */
    struct phx_inbox in;
    struct phx_zygote_child *children; /* owned, living ones only */
    size_t nchildren;
    struct phx_birth birth; /* between prepare and settle/become; descriptors are -1 otherwise */
};

/* Lets SIGINT through, for which a handler is set by now, and says hello on `channel` (taken on
 * success). Returns 0 or a negative code. */
int phx_zygote_open(struct phx_zygote *zygote, int channel, struct phx_err *err);

/* Writes a message to the controller, waiting for it. */
int phx_zygote_send(struct phx_zygote *zygote, uint16_t type, const void *body, size_t size);

struct phx_zygote_request {
    uint16_t type;   /* PHX_MSG_SETUP, _FORK, _BECOME, or _END (also when the controller is gone) */
    uint32_t number; /* FORK, BECOME: the worker wanted */
    const char
        *value; /* SETUP, FORK, BECOME: an encoded Python value, borrowed until the next call */
    size_t size;
};

/* Waits for the controller's next request, reaping and reporting children meanwhile. Goes on after
 * signals. Returns 0 or a negative code. */
int phx_zygote_serve(struct phx_zygote *zygote, struct phx_zygote_request *out);

/* Makes the descriptors of worker `number`. Returns 0 or a negative code. */
int phx_zygote_prepare(struct phx_zygote *zygote, uint32_t number, struct phx_err *err);

/* In the zygote after the fork: `pid` is the child, or -errno of a failed fork. Tells the
 * controller. Returns 0 or a negative code. */
int phx_zygote_settle(struct phx_zygote *zygote, pid_t pid);

/* Tells the controller that worker `number` could not be made. */
int phx_zygote_report_failure(struct phx_zygote *zygote, uint32_t number, const char *why);

/* In the child after the fork: own process group, the zygote's descriptors closed, the worker
 * armed. Waits for the controller's GO: a worker that it does not know of must claim nothing.
 * out_birth   its memfds (owned by the caller now); the other descriptors are -1
 * Returns     0 or a negative code, with *err filled (PHX_E_CLOSED: nobody knows of it, and
 *             nobody will); the child can then only leave */
int phx_zygote_become_worker(struct phx_zygote *zygote, struct phx_worker *worker,
                             struct phx_birth *out_birth, struct phx_err *err);

/* The same without a fork: this process, which has no workers, is the worker that was prepared. It
 * tells the controller of itself and goes on, a child of the guard, which reaps it. */
int phx_zygote_turn_worker(struct phx_zygote *zygote, struct phx_worker *worker,
                           struct phx_birth *out_birth, struct phx_err *err);

#endif
