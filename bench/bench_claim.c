/* How long 8 processes take to claim 1,000,000 units of one test. Prints one line; the run queue's
 * promise is less than 0.5 s on 2 cores. `bench_claim [workers] [tests]`. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/runq.h"

static _Noreturn void work(struct phx_runq *q, uint32_t worker)
{
    uint32_t pos, count = 0;
    int got;
    phx_runq_join(q, worker);
    while ((got = phx_runq_claim(q, worker, &pos)) != 0) {
        if (got == -EAGAIN) {
            sched_yield();
            continue;
        }
        if (got < 0)
            _exit(1);
        phx_runq_start(q, worker, pos, 0);
        phx_runq_end(q, worker, pos, 0);
        count++;
    }
    _exit(count > 0 ? 0 : 2);
}

static int make_plan(struct phx_plan *plan, uint32_t ntests, uint32_t nspans)
{
    *plan = (struct phx_plan){.ntests = ntests, .nspans = nspans};
    plan->order = calloc(ntests, sizeof *plan->order);
    plan->unit = calloc(ntests, sizeof *plan->unit);
    plan->cost_us = calloc(ntests, sizeof *plan->cost_us);
    plan->spans = calloc(nspans, sizeof *plan->spans);
    if (!plan->order || !plan->unit || !plan->cost_us || !plan->spans)
        return -ENOMEM;
    for (uint32_t i = 0; i < ntests; i++) {
        plan->order[i] = plan->unit[i] = i;
        plan->cost_us[i] = 1000;
    }
    for (uint32_t i = 0; i < nspans; i++) {
        plan->spans[i].lo = (uint32_t)((uint64_t)ntests * i / nspans);
        plan->spans[i].hi = (uint32_t)((uint64_t)ntests * (i + 1) / nspans);
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint32_t nworkers = argc > 1 ? (uint32_t)atoi(argv[1]) : 8;
    uint32_t ntests = argc > 2 ? (uint32_t)atoi(argv[2]) : 1000000;
    struct phx_plan plan;
    struct phx_runq q;
    if (nworkers < 1 || ntests < 1 || make_plan(&plan, ntests, nworkers) != 0)
        return 2;
    size_t size = phx_runq_size(&plan, nworkers, 0);
    void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED || phx_runq_init(&q, mem, size, &plan, nworkers, 0) != 0)
        return 2;
    phx_ns began = phx_clock_now();
    for (uint32_t i = 0; i < nworkers; i++) {
        pid_t pid = fork();
        if (pid < 0)
            return 2;
        if (pid == 0)
            work(&q, i);
    }
    int failed = 0, status;
    while (wait(&status) > 0)
        failed |= status != 0 && WEXITSTATUS(status) != 2;
    phx_ns took = phx_clock_now() - began;
    uint32_t ended = 0;
    for (uint32_t pos = 0; pos < ntests; pos++)
        ended += phx_runq_state(&q, pos) == PHX_RUNQ_ENDED;
    printf("%u workers claimed, started and ended %u of %u tests in %.3f s (%.0f ns each)\n",
           nworkers, ended, ntests, (double)took / 1e9, (double)took / (double)ntests);
    phx_plan_fini(&plan);
    return failed || ended != ntests;
}
