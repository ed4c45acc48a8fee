/* Mailboxes: how a scheduler that is not ours hands out tests, one box for each worker.
 *
 * With a scheduler from a plugin nobody claims from words: the scheduler names the worker of every
 * test. A letter is a position of the run queue. The controller posts it; its worker takes it, in
 * order; until then the controller may withdraw it. Which of the two got a letter is settled by one
 * swap on its place in the box, so both may try at any time and no answer is waited for. The ledger
 * goes on as ever (phx_runq_take): who dies with a letter in hand loses no test.
 *
 *     box   sent: letters posted so far       entries [PHX_MAILBOX_ROOM], a ring: position + 1,
 *           taken: places its worker has        or 0 where nothing is or was withdrawn
 *           passed so far
 *           shut: no more will come
 *           bell: changes with every posting; the worker sleeps on it (os/bell.h)
 *
 * Boxes lie behind the run queue in the same shared memory. Pure memory: no system calls.
 *
 * Runs in the controller (post, withdraw, shut) and in workers (take). */
#ifndef PHX_QUEUE_MAILBOX_H
#define PHX_QUEUE_MAILBOX_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { PHX_MAILBOX_ROOM = 1024 }; /* letters that lie in a box; a power of two */

struct phx_mailbox; /* one worker's, in shared memory */

struct phx_mailboxes { /* a handle; copying it is fine */
    struct phx_mailbox *boxes;
    uint32_t nworkers;
};

/* Bytes for `nworkers` boxes. */
size_t phx_mailbox_size(uint32_t nworkers);

/* Makes a handle on zeroed memory (which is empty boxes), or on boxes in use; aligned to 64. */
void phx_mailbox_attach(struct phx_mailboxes *m, void *mem, uint32_t nworkers);

/* ---- what the controller calls ---- */

/* Puts as many of the positions into the box as there is room for. Returns their number. */
uint32_t phx_mailbox_post(struct phx_mailboxes *m, uint32_t worker, const uint32_t *positions,
                          uint32_t count);

/* Takes a letter back. Returns 1, or 0 when its worker has it, or it is not there. */
int phx_mailbox_withdraw(struct phx_mailboxes *m, uint32_t worker, uint32_t position);

/* Nothing more will be posted: a worker that has taken everything ends. */
void phx_mailbox_shut(struct phx_mailboxes *m, uint32_t worker);

/* Changes the bell: who sleeps on it looks again once it is woken. */
void phx_mailbox_ring(struct phx_mailboxes *m, uint32_t worker);

/* Whether its worker sleeps over an empty box that is not shut. */
int phx_mailbox_waits(const struct phx_mailboxes *m, uint32_t worker);

/* ---- what a worker calls ---- */

/* Takes the next letter. Returns 1 with *out_position (as read from shared memory: check it), 0
 * when there is none and there may be one later, -1 when there will be none. */
int phx_mailbox_take(struct phx_mailboxes *m, uint32_t worker, uint32_t *out_position);

/* Says whether the worker sleeps now. */
void phx_mailbox_set_waiting(struct phx_mailboxes *m, uint32_t worker, int waiting);

/* What to sleep on: read it before a take that finds nothing, and sleep while it is the same. */
_Atomic uint32_t *phx_mailbox_bell(const struct phx_mailboxes *m, uint32_t worker);

#endif
