/* How long the running test may go on: its worker says so, the controller looks.
 *
 * The two may meet: a test that ends the moment its time is over. So the deadline changes by swaps
 * only. Whoever comes first decides: either it was lifted, and there is nothing to condemn, or the
 * test is condemned, and its worker, which finds that when it wants to end the test, waits for its
 * own end. Without that the next test would be blamed, or a test would have ended and timed out.
 *
 *     0 ──set──► deadline ──set──► another, or 0               the worker
 *                deadline ──condemn──► CONDEMNED               the controller, and nothing leads
 * away
 *
 * No claim, steal or burial looks at this. Runs in a worker (set) and in the controller. */
#include "queue/runq_region.h"

#define CONDEMNED UINT64_MAX

int phx_runq_set_deadline(struct phx_runq *q, uint32_t worker,
                          const struct phx_runq_deadline *deadline)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    uint64_t wanted = deadline->at > 0 ? (uint64_t)deadline->at : 0;
    if (wanted > 0) { /* before the swap: who sees the deadline sees what goes with it */
        note_store(&slot->timeout, (uint64_t)deadline->timeout);
        note_store(&slot->stack_signal, (uint32_t)deadline->stack_signal);
    }
    uint64_t had = shared_load(&slot->deadline, memory_order_relaxed);
    do
        if (had == CONDEMNED)
            return 0;
    while (!shared_swap(&slot->deadline, &had, wanted));
    return 1;
}

int phx_runq_condemn(struct phx_runq *q, uint32_t worker, phx_ns now, struct phx_runq_deadline *out)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    /* Acquire pairs with the swap of set_deadline. */
    uint64_t deadline = shared_load(&slot->deadline, memory_order_acquire);
    if (deadline == 0 || (deadline != CONDEMNED && deadline > (uint64_t)now))
        return 0;
    if (!shared_swap(&slot->deadline, &deadline, CONDEMNED))
        return 0; /* its test has just ended */
    out->timeout = (phx_ns)note_load(&slot->timeout);
    out->stack_signal = (int)note_load(&slot->stack_signal);
    return 1;
}

void phx_runq_extend(struct phx_runq *q, uint32_t worker, phx_ns duration)
{
    struct phx_runq_slot *slot = runq_slot(q, worker);
    uint64_t deadline = shared_load(&slot->deadline, memory_order_relaxed);
    if (deadline != 0 && deadline < (uint64_t)(INT64_MAX - duration))
        (void)shared_swap(&slot->deadline, &deadline, deadline + (uint64_t)duration);
}
