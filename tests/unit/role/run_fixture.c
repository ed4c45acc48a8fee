#include "run_fixture.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "os/procfs.h"
#include "wire/msg.h"

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    ck_assert_msg(value != NULL, "%s is not set: run this through meson test", name);
    return value;
}

/* ---- starting ---- */

/* libuv opens a pipe for signals with the first loop of a process, and keeps it. */
static void warm_up(void)
{
    uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

int run_try_open(struct run *run, struct phx_err *err)
{
    static int number;
    char directory_variable[128], log_variable[128];
    ck_assert_uint_le(run->nworkers, RUN_WORKERS_MAX);
    run->started = calloc(run->ntests + 1, sizeof *run->started);
    run->ended = calloc(run->ntests + 1, sizeof *run->ended);
    run->lost = calloc(run->ntests + 1, sizeof *run->lost);
    snprintf(run->directory, sizeof run->directory, "/tmp/phalanx-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(run->directory));
    snprintf(run->mark, sizeof run->mark, "PHX_TEST_MARK=%d-%d;", (int)getpid(), number++);
    snprintf(directory_variable, sizeof directory_variable, "%s=%s", FAKE_DIRECTORY,
             run->directory);
    snprintf(log_variable, sizeof log_variable, "PHX_LOG=%s",
             getenv("PHX_LOG") ? getenv("PHX_LOG") : "");
    const char *argv[] = {variable("PHX_TEST_ZYGOTE"), run->directory, NULL};
    const char *environment[] = {run->mark, directory_variable, log_variable, NULL};
    struct phx_controller_options options = {.guard_path = run->guard ? run->guard
                                                                      : variable("PHX_TEST_GUARD"),
                                             .argv = argv,
                                             .environment = environment,
                                             .directory = "/",
                                             .exit_patience = run->exit_patience};
    warm_up();
    run->fds_before = run_count_fds();
    return phx_controller_open(&run->c, &options, err);
}

static size_t write_setup(const struct run *run, int64_t start, char *out, size_t size)
{
    int used = snprintf(out, size, "items=%u %s", run->ntests, run->script ? run->script : "");
    if (start >= 0)
        used += snprintf(out + used, size - (size_t)used, " start=%d", (int)start);
    ck_assert_int_lt(used, (int)size);
    return (size_t)used;
}

void run_open(struct run *run)
{
    struct phx_err err = {0};
    ck_assert_msg(run_try_open(run, &err) == 0, "%s", err.text);
    char setup[4096];
    size_t size = write_setup(run, -1, setup, sizeof setup);
    ck_assert_msg(phx_controller_setup(run->c, setup, size, &err) == 0, "%s", err.text);
}

void run_fork(struct run *run, uint32_t number)
{
    struct phx_err err = {0};
    char setup[4096];
    int status;
    if (run->spawns) {
        size_t size = write_setup(run, number, setup, sizeof setup);
        status = phx_controller_start(run->c, number, NULL, setup, size, &err);
    } else {
        status = phx_controller_fork(run->c, number, "\xa5input", 6, &err);
    }
    ck_assert_msg(status == 0, "%s", err.text);
    ck_assert_uint_lt(number, RUN_WORKERS_MAX);
    run->workers[number].asked++;
}

/* ---- events ---- */

static void plan(struct run *run)
{
    struct phx_err err = {0};
    struct phx_planner_options options = {.dist = PHX_DIST_LOAD, .nworkers = run->nworkers};
    ck_assert_msg(phx_controller_plan(run->c, &options, run->max_restarts, &err) == 0, "%s",
                  err.text);
}

static void recruit(struct run *run)
{
    struct phx_err err = {0};
    ck_assert_msg(phx_controller_recruit(run->c, run->nworkers, run->max_restarts, &err) == 0, "%s",
                  err.text);
}

static void on_fork_here(struct run *run)
{
    recruit(run);
    for (uint32_t i = 0; i < run->nworkers; i++)
        run_fork(run, i);
}

static void on_refused(struct run *run)
{
    struct phx_err err = {0};
    recruit(run);
    run->spawns = 1;
    ck_assert_msg(phx_controller_become(run->c, 0, "\xa5input", 6, &err) == 0, "%s", err.text);
    run->workers[0].asked++;
    for (uint32_t i = 1; i < run->nworkers; i++)
        run_fork(run, i);
}

static void on_gathered(struct run *run, const struct phx_event *event)
{
    ck_assert_int_eq(run->gathered++, 0);
    ck_assert_uint_eq(event->count, run->ntests);
    run->collected = 1;
    if (!run->no_plan)
        plan(run);
}

static void on_collected(struct run *run, const struct phx_event *event)
{
    if (event->number >= 0) {
        ck_assert_int_eq(run->workers[event->number].collected++, 0);
        run->workers[event->number].differs = event->status;
        return;
    }
    ck_assert_uint_eq(event->count, run->ntests);
    ck_assert_int_eq(run->collected++, 0);
    if (run->no_plan)
        return;
    plan(run);
    for (uint32_t i = 0; i < run->nworkers && !run->no_forks; i++)
        run_fork(run, i);
}

static void on_message(struct run *run, const struct phx_event *event)
{
    struct fake_note note;
    if (event->number < 0 && event->type == PHX_MSG_FORK_HERE) {
        on_fork_here(run);
        return;
    }
    if (event->number < 0 && event->type == PHX_MSG_REFUSED) {
        on_refused(run);
        return;
    }
    if (event->type == PHX_MSG_ITEMS)
        return;
    ck_assert_int_ge(event->number, 0);
    struct run_worker *worker = &run->workers[event->number];
    ck_assert_msg(worker->up == 1 && worker->down == 0,
                  "gw%d speaks before it is up or after it "
                  "is down",
                  event->number);
    if (event->size != sizeof note) {
        phx_controller_reject(run->c, event->number);
        return;
    }
    memcpy(&note, event->body, sizeof note);
    if (note.seq == UINT32_MAX)
        return; /* a child that kept the channel */
    ck_assert_uint_eq(note.seq, worker->seq);
    ck_assert_int_eq((int)note.pid, worker->pid);
    worker->seq++;
    if (note.test < run->ntests) {
        run->started[note.test] += event->type == PHX_MSG_LOG_START;
        run->ended[note.test] += event->type == PHX_MSG_LOG_FINISH;
    }
    run->nreports += event->type == PHX_MSG_REPORT;
    worker->finished += event->type == PHX_MSG_FINISHED;
}

static void on_worker_down(struct run *run, const struct phx_event *event)
{
    struct run_worker *worker = &run->workers[event->number];
    ck_assert_int_eq(worker->up, 1);
    ck_assert_int_eq(worker->down++, 0);
    ck_assert_int_eq(event->finished, worker->finished);
    worker->end = *event;
    snprintf(worker->text, sizeof worker->text, "%s", event->text ? event->text : "");
    worker->end.text = worker->text;
    phx_controller_last_words(run->c, (uint32_t)event->number, PHX_TEXT_OUT, worker->out,
                              sizeof worker->out - 1);
    phx_controller_last_words(run->c, (uint32_t)event->number, PHX_TEXT_FAULTS, worker->faults,
                              sizeof worker->faults - 1);
    run->ndown++;
    if (event->replacement != PHX_RUNQ_NONE && !run->no_forks)
        run_fork(run, (uint32_t)event->replacement);
}

static void take(struct run *run, const struct phx_event *event)
{
    struct run_worker *worker = event->number >= 0 ? &run->workers[event->number] : NULL;
    ck_assert_int_lt(event->number, RUN_WORKERS_MAX);
    switch (event->kind) {
    case PHX_EVENT_MESSAGE:
        on_message(run, event);
        break;
    case PHX_EVENT_COLLECTED:
        on_collected(run, event);
        break;
    case PHX_EVENT_GATHERED:
        on_gathered(run, event);
        break;
    case PHX_EVENT_ZYGOTE_DOWN:
        ck_assert_int_eq(run->zygote_down++, 0);
        run->zygote_end = *event;
        snprintf(run->zygote_text, sizeof run->zygote_text, "%s", event->text ? event->text : "");
        break;
    case PHX_EVENT_WORKER_UP:
        ck_assert_int_eq(worker->asked, 1);
        ck_assert_int_eq(worker->up++, 0);
        worker->pid = event->pid;
        run->nup++;
        break;
    case PHX_EVENT_WORKER_DOWN:
        on_worker_down(run, event);
        break;
    case PHX_EVENT_TEST_LOST:
        ck_assert_int_eq(worker->down, 1);
        ck_assert_int_ge(event->test, 0);
        ck_assert_int_lt(event->test, run->ntests);
        run->lost[event->test]++;
        break;
    case PHX_EVENT_FORK_FAILED:
        ck_assert_int_eq(worker->up, 0);
        ck_assert_int_eq(worker->failed++, 0);
        snprintf(worker->text, sizeof worker->text, "%s", event->text ? event->text : "");
        run->nfailed++;
        break;
    case PHX_EVENT_GUARD_DOWN:
        ck_assert_int_eq(run->guard_down++, 0);
        break;
    case PHX_EVENT_LEFTOVER:
        ck_assert_int_lt(run->nleftovers, 8);
        run->leftovers[run->nleftovers++] = *event;
        break;
    case PHX_EVENT_TEST_STARTED:
    case PHX_EVENT_TEST_ENDED:
    case PHX_EVENT_MACHINE_UP:
    case PHX_EVENT_MACHINE_DOWN:
    case PHX_EVENT_MACHINE_SAYS:
    case PHX_EVENT_WORKER_WANTED:
        ck_abort_msg("an event of machines (%d) in a run without any", (int)event->kind);
    }
}

void run_take_all(struct run *run)
{
    struct phx_event event;
    while (phx_controller_next(run->c, &event))
        take(run, &event);
}

static void describe(const struct run *run, char *out, size_t size)
{
    snprintf(out, size,
             "collected %d, up %u, down %u, failed %u, active %u, zygote down %d, guard down %d",
             run->collected, run->nup, run->ndown, run->nfailed, phx_controller_active(run->c),
             run->zygote_down, run->guard_down);
}

void run_until(struct run *run, int (*until)(const struct run *run))
{
    phx_ns deadline = phx_clock_now() + RUN_PATIENCE_S * PHX_S;
    struct phx_event event;
    char text[256];
    while (!until(run)) {
        while (!until(run) && phx_controller_next(run->c, &event))
            take(run, &event);
        if (until(run))
            return;
        describe(run, text, sizeof text);
        ck_assert_msg(phx_clock_now() < deadline, "it hangs: %s", text);
        ck_assert_int_eq(phx_controller_step(run->c, PHX_S, -1), 0);
    }
}

void run_for(struct run *run, phx_ns duration)
{
    phx_ns deadline = phx_clock_now() + duration;
    do {
        run_take_all(run);
        phx_controller_step(run->c, 20 * PHX_MS, -1);
    } while (phx_clock_now() < deadline);
    run_take_all(run);
}

/* ---- conditions ---- */

int run_is_collected(const struct run *run)
{
    return run->collected;
}

int run_is_over(const struct run *run)
{
    return run->collected && phx_controller_active(run->c) == 0;
}

int run_is_gathered(const struct run *run)
{
    return run->gathered;
}

int run_has_nobody(const struct run *run)
{
    return run->workers[0].asked && phx_controller_active(run->c) == 0;
}

int run_all_up(const struct run *run)
{
    return run->nup + run->nfailed >= run->nworkers;
}

int run_has_down(const struct run *run)
{
    return run->ndown > 0;
}

int run_zygote_is_down(const struct run *run)
{
    return run->zygote_down;
}

int run_guard_is_down(const struct run *run)
{
    return run->guard_down;
}

/* ---- checks ---- */

void run_check_account(struct run *run, uint64_t ended, uint64_t crashed, uint64_t not_run)
{
    struct phx_account account;
    uint64_t nstarted = 0, nended = 0;
    phx_controller_account(run->c, &account);
    ck_assert_uint_eq(account.unaccounted, 0);
    ck_assert_uint_eq(account.ended, ended);
    ck_assert_uint_eq(account.crashed, crashed);
    ck_assert_uint_eq(account.not_run, not_run);
    for (uint32_t i = 0; i < run->ntests; i++) {
        ck_assert_msg(run->started[i] <= 1, "test %u was started %d times", i, run->started[i]);
        ck_assert_msg(run->ended[i] <= run->started[i], "test %u ended, and never started", i);
        ck_assert_msg(run->ended[i] + run->lost[i] <= 1, "test %u ended, and was lost", i);
        nstarted += (uint64_t)(run->started[i] | run->lost[i]); /* the start may be lost as well */
        nended += (uint64_t)run->ended[i];
    }
    for (uint32_t i = 0; i < RUN_WORKERS_MAX; i++) { /* a worker that is killed says it no more */
        int64_t test = run->workers[i].down ? run->workers[i].end.test : -1;
        nstarted += test >= 0 && !run->started[test] && !run->lost[test];
    }
    ck_assert_uint_eq(nended, ended);
    ck_assert_uint_eq(nstarted, ended + crashed);
}

static void remove_directory(struct run *run)
{
    static const char *const names[] = {"gate", "count"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", run->directory, names[i]);
        unlink(path);
    }
    rmdir(run->directory);
}

void run_close(struct run *run)
{
    phx_controller_close(run->c);
    run->c = NULL;
    int left = run_count_marked(run);
    for (int i = 0; i < 12000 && left > 0 && run->guard_killed; i++) {
        phx_clock_sleep(5 * PHX_MS);
        left = run_count_marked(run);
    }
    ck_assert_msg(left == 0, "%d processes are left", left);
    ck_assert_int_eq(run_guard_pid(), 0);
    ck_assert_int_eq(run_count_fds(), run->fds_before);
    remove_directory(run);
    free(run->started);
    free(run->ended);
    free(run->lost);
}

/* ---- the world ---- */

void run_shut_gate(struct run *run)
{
    char path[128];
    snprintf(path, sizeof path, "%s/gate", run->directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    phx_fd_close(&fd);
}

void run_open_gate(struct run *run)
{
    char path[128];
    snprintf(path, sizeof path, "%s/gate", run->directory);
    ck_assert_int_eq(unlink(path), 0);
}

uint32_t run_generations(const struct run *run)
{
    char path[128];
    struct stat info;
    snprintf(path, sizeof path, "%s/count", run->directory);
    return stat(path, &info) < 0 ? 0 : (uint32_t)info.st_size;
}

/* The newest child of `parent` that is no zombie and, if `name` is not NULL, was started as that.
 */
static pid_t find_child(pid_t parent, const char *name)
{
    struct phx_process *list = NULL;
    int count = phx_procfs_descendants(parent, &list);
    unsigned long long newest = 0;
    pid_t found = 0;
    for (int i = 0; i < count; i++) {
        char command[256];
        if (list[i].parent != parent || list[i].state == 'Z' || list[i].start_time < newest ||
            phx_procfs_command(list[i].pid, command, sizeof command) < 0 ||
            (name && strncmp(command, name, strlen(name)) != 0))
            continue;
        newest = list[i].start_time;
        found = list[i].pid;
    }
    free(list);
    return found;
}

pid_t run_guard_pid(void)
{
    return find_child(getpid(), NULL);
}

pid_t run_zygote_pid(const struct run *run)
{
    (void)run;
    pid_t guard = run_guard_pid();
    return guard ? find_child(guard, variable("PHX_TEST_ZYGOTE")) : 0;
}

static int is_marked(const char *pid, const char *mark)
{
    char path[300], text[8192];
    snprintf(path, sizeof path, "/proc/%s/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    phx_fd_close(&fd);
    return got > 0 && memmem(text, (size_t)got, mark, strlen(mark)) != NULL;
}

int run_count_marked(const struct run *run)
{
    int count = 0;
    DIR *proc = opendir("/proc");
    ck_assert_ptr_nonnull(proc);
    struct dirent *entry;
    while ((entry = readdir(proc)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            count += is_marked(entry->d_name, run->mark);
    closedir(proc);
    return count;
}

int run_count_fds(void)
{
    int count = 0;
    DIR *fds = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(fds);
    while (readdir(fds))
        count++;
    closedir(fds);
    return count - 3; /* ".", "..", and this directory's own */
}

void run_wait_for_state(pid_t pid, char state)
{
    struct phx_process process = {0};
    for (int i = 0; i < 12000; i++) {
        process.state = 0;
        if (phx_procfs_look(pid, &process) < 0 && state != 0)
            ck_abort_msg("process %d is gone", (int)pid);
        if (process.state == state)
            return;
        phx_clock_sleep(5 * PHX_MS);
    }
    ck_abort_msg("process %d is in state %c, not %c", (int)pid, process.state, state ? state : '-');
}
