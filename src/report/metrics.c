#include "report/metrics.h"

#include "report/line.h"
#include "sched/scope.h"

enum {
    LISTED_MAX = 16, /* workers whose utilisation is listed one by one */
    NAME_MAX_BYTES = 60,
};

/* ---- figures ---- */

static double share_of(phx_ns part, phx_ns whole)
{
    return part > 0 && whole > 0 ? (double)part / (double)whole : 0;
}

double phx_metrics_utilisation(const struct phx_metrics_input *input, uint32_t i)
{
    double share = share_of(input->workers[i].busy, input->wall);
    return share > 1 ? 1 : share; /* the clocks are read at slightly different moments */
}

void phx_metrics_compute(struct phx_metrics *out, const struct phx_metrics_input *input)
{
    struct phx_metrics m = {.nparallel = input->nparallel ? input->nparallel : input->nworkers};
    for (uint32_t i = 0; i < input->nworkers; i++) {
        double share = phx_metrics_utilisation(input, i);
        m.ntests += input->workers[i].ntests;
        if (input->workers[i].busy > 0 &&
            __builtin_add_overflow(m.busy, input->workers[i].busy, &m.busy))
            m.busy = INT64_MAX; /* shared memory may hold anything after a crash */
        m.busy_min = i == 0 || share < m.busy_min ? share : m.busy_min;
        m.busy_max = share > m.busy_max ? share : m.busy_max;
    }
    if (input->ntests > 0)
        m.ntests = input->ntests;
    m.speedup = share_of(m.busy, input->wall);
    m.share = m.nparallel ? m.speedup / m.nparallel : 0;
    *out = m;
}

/* ---- the line ---- */

static void put_utilisation(struct phx_line *line, const struct phx_metrics_input *input,
                            const struct phx_metrics *m)
{
    phx_line_put(line, ", busy ");
    if (input->nworkers > LISTED_MAX) {
        phx_line_put(line, "%u to %u", phx_line_percent(m->busy_min),
                     phx_line_percent(m->busy_max));
    } else {
        for (uint32_t i = 0; i < input->nworkers; i++)
            phx_line_put(line, "%s%u", i ? "/" : "",
                         phx_line_percent(phx_metrics_utilisation(input, i)));
    }
    phx_line_put(line, " %%");
}

/* Puts the last part of a node id. */
static void put_test_name(struct phx_line *line, const char *node_id, size_t node_id_size)
{
    size_t size;
    const char *name = phx_scope_test_name(node_id, node_id_size, &size);
    phx_line_put_name(line, name, size, NAME_MAX_BYTES);
}

size_t phx_metrics_format(char *out, size_t size, const struct phx_metrics_input *input)
{
    if (size == 0)
        return 0;
    struct phx_line line = phx_line_in(out, size);
    struct phx_metrics m;
    phx_metrics_compute(&m, input);
    phx_line_put(&line, "%u worker%s, %llu test%s", m.nparallel, m.nparallel == 1 ? "" : "s",
                 (unsigned long long)m.ntests, m.ntests == 1 ? "" : "s");
    if (m.ntests == 0 || input->wall <= 0)
        return line.used;
    phx_line_put(&line, ": ");
    phx_line_put_decimal(&line, phx_line_hundredths(m.speedup), 2);
    phx_line_put(&line, "x of %u (%u %%)", m.nparallel, phx_line_percent(m.share));
    put_utilisation(&line, input, &m);
    if (input->longest_id && input->longest > 0) {
        phx_line_put(&line, ", longest ");
        put_test_name(&line, input->longest_id, input->longest_id_size);
        phx_line_put(&line, " ");
        phx_line_put_duration(&line, input->longest);
    }
    return line.used;
}
