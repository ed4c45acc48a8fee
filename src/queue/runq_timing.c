/* How long each position took, phase by phase: what history and timeline are made from.
 *
 * Notes beside the ledger: no claim, steal or burial looks at them, so that whatever they hold, no
 * test is lost by it. The controller reads them when the worker that wrote them may be dead, in the
 * middle of a store or gone wild, and checks what can be checked.
 *
 * Writers run in the worker, the reader in the controller. */
#include "queue/runq_region.h"

#define US ((phx_ns)1000)

/* What a damaged note or a clock that stood still would make of it is cut to what a field holds. */
static uint32_t microseconds(phx_ns from, phx_ns to)
{
    phx_ns took;
    if (__builtin_sub_overflow(to, from, &took) || took < 0)
        return 0;
    return took / US < UINT32_MAX ? (uint32_t)(took / US) : UINT32_MAX;
}

void phx_runq_time_start(const struct phx_runq *q, uint32_t pos, phx_ns now)
{
    /* Before the ledger says STARTED, whose release publishes it. */
    note_store(&runq_times(q, pos)->started, (uint64_t)now - (uint64_t)q->epoch);
}

void phx_runq_time_phase(const struct phx_runq *q, uint32_t worker, uint32_t pos, phx_ns took,
                         phx_ns now)
{
    const struct phx_runq_slot *slot = runq_slot(q, worker);
    uint32_t phase = note_load(&slot->phase);
    if (pos >= q->capacity || phase < PHX_PHASE_SETUP || phase > PHX_PHASE_TEARDOWN)
        return;
    _Atomic uint32_t *at = &runq_times(q, pos)->phase_us[phase - PHX_PHASE_SETUP];
    uint32_t passed = microseconds((phx_ns)note_load(&slot->since), now);
    uint32_t own = took < 0 ? passed : microseconds(0, took);
    uint32_t more = own < passed ? own : passed;
    uint32_t had = note_load(at);
    note_store(at, more < UINT32_MAX - had ? had + more : UINT32_MAX);
}

void phx_runq_time_end(const struct phx_runq *q, uint32_t worker, uint32_t pos, phx_ns now)
{
    phx_runq_time_phase(q, worker, pos, -1,
                        now); /* a protocol that made no report of its last phase */
    uint32_t took = microseconds((phx_ns)note_load(&runq_slot(q, worker)->started), now);
    note_store(&runq_times(q, pos)->total_us, took > 0 ? took : 1);
}

int phx_runq_timing(const struct phx_runq *q, uint32_t pos, struct phx_runq_timing *out)
{
    if (pos >= q->capacity)
        return 0;
    /* Acquire: pairs with the release of STARTED and ENDED, behind which the times stand. */
    uint32_t entry = shared_load(runq_ledger(q, pos), memory_order_acquire);
    uint32_t state = runq_entry_state(entry);
    if (state < PHX_RUNQ_STARTED)
        return 0;
    const struct runq_times *times = runq_times(q, pos);
    struct phx_runq_timing timing = {.worker = entry >> 8,
                                     .started = (phx_ns)note_load(&times->started)};
    uint64_t phases = 0;
    for (int phase = PHX_PHASE_SETUP; phase <= PHX_PHASE_TEARDOWN; phase++) {
        timing.phase_us[phase] = note_load(&times->phase_us[phase - PHX_PHASE_SETUP]);
        phases += timing.phase_us[phase];
    }
    if (state == PHX_RUNQ_ENDED)
        timing.total_us = note_load(&times->total_us);
    if (state > PHX_RUNQ_CRASHED || timing.worker >= q->nworkers || timing.started < 0)
        return PHX_E_CORRUPT;
    if (state == PHX_RUNQ_ENDED && (timing.total_us == 0 || phases > timing.total_us) &&
        timing.total_us != UINT32_MAX)
        return PHX_E_CORRUPT;
    *out = timing;
    return 1;
}
