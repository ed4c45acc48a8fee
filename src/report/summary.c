#include "report/summary.h"

#include <errno.h>
#include <stdlib.h>

#include "report/metrics.h"
#include "role/controller.h"

int phx_summary_format(const struct phx_controller *controller, char *out, size_t size)
{
    struct phx_controller_figures figures;
    phx_controller_figures(controller, &figures);
    struct phx_metrics_worker *workers = calloc(figures.nworkers + 1, sizeof *workers);
    if (!workers)
        return -ENOMEM;
    struct phx_metrics_input input = {
        .workers = workers, .nparallel = figures.nparallel, .wall = figures.wall};
    for (uint32_t number = 0; number < figures.nworkers; number++) {
        struct phx_runq_view view;
        if (phx_controller_look(controller, number, &view) < 0)
            continue;
        workers[input.nworkers++] =
            (struct phx_metrics_worker){.busy = view.busy, .ntests = view.nended};
        if (view.longest > input.longest) {
            input.longest = view.longest;
            input.longest_id =
                phx_controller_node_id(controller, view.longest_position, &input.longest_id_size);
        }
    }
    size_t used = phx_metrics_format(out, size, &input);
    free(workers);
    return (int)used;
}
