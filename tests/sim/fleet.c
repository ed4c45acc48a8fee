/* simulate_fleet: the controller of a run on very many machines, which are simulated.
 *
 *     simulate_fleet                         1,000 machines of 16 workers, 1,000,000 tests
 *     simulate_fleet --machines 8 --workers 4 --tests 4000 --mean-ms 50 --lists
 *     simulate_fleet --sigma 1 --known       log-normal durations, which the history knows
 *     simulate_fleet --slow 0.25 --factor 4  a quarter of the machines is four times slower
 *     simulate_fleet --check                 exit 1 when a target is missed
 *     simulate_fleet --most 1.1              exit 1 when it takes longer than so many times the
 * bound: which is the same on every machine
 *
 * What runs is the engine: connections, decoding, the ledger, planning, dealing, taking back; only
 * what would call pytest's hooks counts instead. Targets: docs/design/scheduling.md. */
#include "fleet.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "role/controller.h"
#include "role/fleet.h" /* for has_list alone */
#include "sim.h"

#define TICK (5 * PHX_MS) /* what role/step.c lets reports gather for */
#define PATIENCE (24 * 3600 * PHX_S)

enum { RATE = 50000 };

static const double most_cores = 1, most_bytes = 300;

struct run {
    struct fleet_setting setting;
    int is_known;
    struct phx_controller *c;
    int ticks; /* to the machines' process */
    struct fleet_tick told;
    uint32_t nup, ndown, nlost;
    uint64_t nevents;
    phx_ns planned_at;
    double plan_cpu, collected_cpu, run_cpu; /* seconds */
};

static void must(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "simulate_fleet: %s\n", what);
    exit(2);
}

static double cpu(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- machines ---- */

static void make_room_for_fds(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void start_machines(struct run *run)
{
    uint32_t count = run->setting.nmachines;
    int *ends = sim_alloc(2 * (size_t)count, sizeof *ends), pair[2], ticks[2];
    make_room_for_fds();
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ticks) == 0, "socketpair");
    for (uint32_t i = 0; i < count; i++) {
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0,
             "too few descriptors (ulimit -Hn)");
        must(fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0, "fcntl");
        ends[i] = pair[1];
        ends[count + i] = pair[0];
    }
    fflush(NULL);
    pid_t pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        for (uint32_t i = 0; i < count; i++)
            close(ends[count + i]);
        close(ticks[0]);
        fleet_agents_serve(&run->setting, ends, ticks[1]);
    }
    close(ticks[1]);
    run->ticks = ticks[0];
    for (uint32_t i = 0; i < count; i++) {
        static const char *const argv[] = {"machine", NULL};
        struct phx_machine_options options = {.name = "m", .argv = argv};
        uint32_t number;
        close(ends[i]);
        fleet_offer(ends[count + i]);
        must(phx_controller_add_machine(run->c, &options, &number, NULL) == 0, "add a machine");
        /* A thousand lists of a million tests are fifty gigabytes: one is enough here. */
        run->c->machines[number]->has_list = number > 0 && !run->setting.tells_lists;
    }
    free(ends);
}

static void tick(struct run *run)
{
    fleet_now += TICK;
    must(write(run->ticks, &fleet_now, sizeof fleet_now) == sizeof fleet_now &&
             read(run->ticks, &run->told, sizeof run->told) == sizeof run->told,
         "the machines' process has ended");
}

/* ---- the run, in the place of python/phalanx/session.py ---- */

static void ask(struct run *run, uint32_t number, uint32_t machine)
{
    static char nil[] = "\xc0";
    struct phx_buf value = {.data = nil, .end = 1, .capacity = 1};
    must(phx_controller_ask_machine(run->c, number, machine, &value, &value, NULL) == 0,
         "ask for a worker");
}

static void begin(struct run *run)
{
    const struct fleet_setting *setting = &run->setting;
    struct phx_err err = {0};
    uint32_t number = 0;
    if (phx_controller_recruit(run->c, setting->nmachines * setting->nworkers, -1, &err) < 0)
        must(0, err.text);
    for (uint32_t i = 0; i < setting->nmachines; i++)
        must(phx_controller_setup_machine(run->c, i, setting->nworkers, "\xc0", 1, NULL) == 0,
             "set a machine up");
    for (uint32_t i = 0; i < setting->nmachines; i++)
        for (uint32_t k = 0; k < setting->nworkers; k++)
            ask(run, number++, i);
}

static void plan(struct run *run)
{
    const struct fleet_setting *setting = &run->setting;
    struct phx_planner_options options = {.dist = PHX_DIST_LOAD,
                                          .nworkers = setting->nmachines * setting->nworkers};
    struct phx_err err = {0};
    uint32_t *costs = sim_alloc(setting->ntests, sizeof *costs);
    for (uint32_t test = 0; test < setting->ntests; test++)
        costs[test] = fleet_cost_us(setting, test);
    if (run->is_known)
        options.cost_us = costs;
    run->collected_cpu = cpu();
    if (phx_controller_plan(run->c, &options, -1, &err) < 0)
        must(0, err.text);
    run->plan_cpu = cpu();
    free(costs);
    run->planned_at = fleet_now;
}

static void take(struct run *run, const struct phx_event *event)
{
    run->nevents++;
    switch (event->kind) {
    case PHX_EVENT_MACHINE_UP:
        if (++run->nup == run->setting.nmachines)
            begin(run);
        break;
    case PHX_EVENT_GATHERED:
        plan(run);
        break;
    case PHX_EVENT_WORKER_WANTED:
        ask(run, (uint32_t)event->number, (uint32_t)event->count);
        break;
    case PHX_EVENT_WORKER_DOWN:
        run->ndown++;
        break;
    case PHX_EVENT_MACHINE_DOWN:
        fprintf(stderr, "simulate_fleet: a machine was lost: %s\n", event->text);
        run->nlost++;
        break;
    default:
        break;
    }
}

static void go(struct run *run)
{
    struct phx_event event;
    while (run->planned_at == 0 || phx_controller_active(run->c) > 0) {
        tick(run);
        must(fleet_now < PATIENCE && run->nlost == 0, "the run does not end");
        phx_controller_step(run->c, 0, -1);
        while (phx_controller_next(run->c, &event))
            take(run, &event);
    }
    run->run_cpu = cpu();
}

/* ---- figures ---- */

static double bound_us(const struct fleet_setting *setting)
{
    double total = 0, longest = 0, speed = 0, fastest = 0;
    for (uint32_t test = 0; test < setting->ntests; test++) {
        double cost = fleet_cost_us(setting, test);
        total += cost;
        longest = cost > longest ? cost : longest;
    }
    for (uint32_t i = 0; i < setting->nmachines; i++) {
        double one = 1 / fleet_slowness(setting, i);
        speed += one * setting->nworkers;
        fastest = one > fastest ? one : fastest;
    }
    return total / speed > longest / fastest ? total / speed : longest / fastest;
}

/* Prints the figures. Returns how many targets are missed. */
static int report(struct run *run, double bytes, int checks, double most_makespan)
{
    const struct fleet_setting *setting = &run->setting;
    struct phx_account account;
    phx_controller_account(run->c, &account);
    /* The last result is known here half a round trip later. */
    double took = (double)(run->told.last_end + setting->round_trip / 2 - run->planned_at) / 1e9;
    double makespan = took / (bound_us(setting) / 1e6), tests = setting->ntests;
    double run_cpu = run->run_cpu - run->plan_cpu, cores = run_cpu / tests * RATE;
    printf("%u machines of %u workers, %u tests, %lld ms round trip\n", setting->nmachines,
           setting->nworkers, setting->ntests, (long long)(setting->round_trip / PHX_MS));
    printf("  %.2f s, %.3f of the bound; %.0f tests a second\n", took, makespan, tests / took);
    printf("  processor time: %.2f s collected, %.2f s planned, %.2f s run\n", run->collected_cpu,
           run->plan_cpu - run->collected_cpu, run_cpu);
    printf("  %.2f us a test while it runs: %.2f cores at %d tests a second\n",
           run_cpu / tests * 1e6, cores, RATE);
    printf("  %.0f bytes a test, %llu events, %u workers ended\n", bytes / tests,
           (unsigned long long)run->nevents, run->ndown);
    printf("  accounted for: %llu ended, %llu crashed, %llu not run, %u not begun exactly once\n",
           (unsigned long long)account.ended, (unsigned long long)account.crashed,
           (unsigned long long)account.not_run, run->told.nstarts_wrong);
    int misses = account.ended != setting->ntests || run->told.nstarts_wrong > 0;
    misses += most_makespan > 0 && makespan > most_makespan;
    misses += checks && cores > most_cores;
    misses += checks && bytes / tests > most_bytes;
    return misses;
}

static double peak_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024;
}

int main(int argc, char **argv)
{
    struct run run = {.setting = {.nmachines = 1000,
                                  .nworkers = 16,
                                  .ntests = 1000000,
                                  .round_trip = 50 * PHX_MS,
                                  .slow_factor = 4,
                                  .report_size = 400}};
    struct fleet_setting *setting = &run.setting;
    int checks = 0;
    double most_makespan = 0;
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--check") == 0) {
            checks = 1;
            most_makespan = 1.05;
        } else if (strcmp(name, "--known") == 0)
            run.is_known = 1;
        else if (strcmp(name, "--lists") == 0)
            setting->tells_lists = 1;
        else if (i++, strcmp(name, "--machines") == 0)
            setting->nmachines = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(name, "--workers") == 0)
            setting->nworkers = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(name, "--tests") == 0)
            setting->ntests = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(name, "--round-trip-ms") == 0)
            setting->round_trip = (phx_ns)strtoul(value, NULL, 10) * PHX_MS;
        else if (strcmp(name, "--mean-ms") == 0)
            setting->mean_us = strtod(value, NULL) * 1000;
        else if (strcmp(name, "--sigma") == 0)
            setting->sigma = strtod(value, NULL);
        else if (strcmp(name, "--slow") == 0)
            setting->slow_share = strtod(value, NULL);
        else if (strcmp(name, "--most") == 0)
            most_makespan = strtod(value, NULL);
        else if (strcmp(name, "--factor") == 0)
            setting->slow_factor = strtod(value, NULL);
        else
            return fprintf(stderr, "simulate_fleet: unknown argument %s\n", name), 2;
    }
    must(setting->nmachines > 0 && setting->nworkers > 0 && setting->ntests > 0,
         "at least one machine, worker and test");
    if (setting->mean_us <= 0) /* so that all of them end RATE tests a second */
        setting->mean_us = 1e6 * setting->nmachines * setting->nworkers / RATE;
    struct phx_controller_options options = {.directory = "/"};
    must(phx_controller_open(&run.c, &options, NULL) == 0, "open the controller");
    start_machines(&run);
    double began = cpu(), before = peak_bytes();
    go(&run);
    run.collected_cpu -= began;
    run.plan_cpu -= began;
    run.run_cpu -= began;
    int misses = report(&run, peak_bytes() - before, checks, most_makespan);
    phx_controller_close(run.c);
    close(run.ticks);
    while (wait(NULL) > 0) {
    }
    return misses > 0;
}
