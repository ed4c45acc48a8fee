#include "queue/mailbox.h"

#include <assert.h>

enum { LINE = 64, MASK = PHX_MAILBOX_ROOM - 1 };

struct phx_mailbox {
    /* Written by the controller, read by the worker. */
    _Alignas(LINE) _Atomic uint32_t sent;
    _Atomic uint32_t shut;
    _Atomic uint32_t bell;
    /* Written by the worker, read by the controller. */
    _Alignas(LINE) _Atomic uint32_t taken;
    _Atomic uint32_t waiting;
    /* Set by the controller, emptied by whichever of the two swaps first. */
    _Alignas(LINE) _Atomic uint32_t entries[PHX_MAILBOX_ROOM];
};

_Static_assert(sizeof(struct phx_mailbox) == 2 * LINE + 4 * PHX_MAILBOX_ROOM, "mailbox");
_Static_assert((PHX_MAILBOX_ROOM & MASK) == 0,
               "a ring of a power of two survives the counters' wrap");

static struct phx_mailbox *box_of(const struct phx_mailboxes *m, uint32_t worker)
{
    assert(worker < m->nworkers);
    return &m->boxes[worker];
}

size_t phx_mailbox_size(uint32_t nworkers)
{
    return nworkers * sizeof(struct phx_mailbox);
}

void phx_mailbox_attach(struct phx_mailboxes *m, void *mem, uint32_t nworkers)
{
    assert((uintptr_t)mem % LINE == 0);
    *m = (struct phx_mailboxes){.boxes = mem, .nworkers = nworkers};
}

static void ring(struct phx_mailbox *box)
{
    /* Release: who sees the bell changed sees what was posted before. */
    atomic_fetch_add_explicit(&box->bell, 1, memory_order_release);
}

void phx_mailbox_ring(struct phx_mailboxes *m, uint32_t worker)
{
    ring(box_of(m, worker));
}

uint32_t phx_mailbox_post(struct phx_mailboxes *m, uint32_t worker, const uint32_t *positions,
                          uint32_t count)
{
    struct phx_mailbox *box = box_of(m, worker);
    uint32_t sent = atomic_load_explicit(&box->sent, memory_order_relaxed); /* our own */
    /* Acquire: the worker has emptied the places that it says it has passed. A worker gone wild may
     * have written anything: then there is no room. */
    uint32_t taken = atomic_load_explicit(&box->taken, memory_order_acquire);
    uint32_t used = sent - taken;
    uint32_t room = used <= PHX_MAILBOX_ROOM ? PHX_MAILBOX_ROOM - used : 0;
    uint32_t posted = count < room ? count : room;
    for (uint32_t i = 0; i < posted; i++)
        atomic_store_explicit(&box->entries[(sent + i) & MASK], positions[i] + 1,
                              memory_order_relaxed);
    if (posted > 0) {
        atomic_store_explicit(&box->sent, sent + posted, memory_order_release);
        ring(box);
    }
    return posted;
}

int phx_mailbox_withdraw(struct phx_mailboxes *m, uint32_t worker, uint32_t position)
{
    struct phx_mailbox *box = box_of(m, worker);
    uint32_t sent = atomic_load_explicit(&box->sent, memory_order_relaxed); /* our own */
    /* From the newest on: that is where schedulers steal, and where the worker is not. */
    for (uint32_t back = 1; back <= PHX_MAILBOX_ROOM && back <= sent; back++) {
        uint32_t wanted = position + 1;
        /* Relaxed: the swap is the whole of it, nothing hangs on the letter. */
        if (atomic_compare_exchange_strong_explicit(&box->entries[(sent - back) & MASK], &wanted, 0,
                                                    memory_order_relaxed, memory_order_relaxed))
            return 1;
    }
    return 0;
}

void phx_mailbox_shut(struct phx_mailboxes *m, uint32_t worker)
{
    struct phx_mailbox *box = box_of(m, worker);
    atomic_store_explicit(&box->shut, 1, memory_order_release);
    ring(box);
}

int phx_mailbox_waits(const struct phx_mailboxes *m, uint32_t worker)
{
    const struct phx_mailbox *box = box_of(m, worker);
    /* Acquire pairs with set_waiting: what the worker took before it slept counts. */
    return atomic_load_explicit(&box->waiting, memory_order_acquire) != 0 &&
           atomic_load_explicit(&box->taken, memory_order_relaxed) ==
               atomic_load_explicit(&box->sent, memory_order_relaxed) &&
           atomic_load_explicit(&box->shut, memory_order_relaxed) == 0;
}

int phx_mailbox_take(struct phx_mailboxes *m, uint32_t worker, uint32_t *out_position)
{
    struct phx_mailbox *box = box_of(m, worker);
    uint32_t taken = atomic_load_explicit(&box->taken, memory_order_relaxed); /* our own */
    /* Before `sent`: who sees it shut sees all that was ever sent. */
    int shut = atomic_load_explicit(&box->shut, memory_order_acquire) != 0;
    /* Acquire pairs with post: the places up to `sent` are filled. */
    uint32_t sent = atomic_load_explicit(&box->sent, memory_order_acquire);
    while (taken != sent) {
        uint32_t entry =
            atomic_exchange_explicit(&box->entries[taken & MASK], 0, memory_order_relaxed);
        taken++;
        /* Release: the place is empty before it counts as passed, and may be filled again. */
        atomic_store_explicit(&box->taken, taken, memory_order_release);
        if (entry != 0) {
            *out_position = entry - 1;
            return 1;
        }
    }
    return shut ? -1 : 0;
}

void phx_mailbox_set_waiting(struct phx_mailboxes *m, uint32_t worker, int waiting)
{
    atomic_store_explicit(&box_of(m, worker)->waiting, waiting != 0, memory_order_release);
}

_Atomic uint32_t *phx_mailbox_bell(const struct phx_mailboxes *m, uint32_t worker)
{
    return &box_of(m, worker)->bell;
}
