#include "fleet_fixture.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_zygote.h"
#include "wire/msg.h"

enum { PATIENCE_S = 60, PATH_SIZE = 160 };

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    ck_assert_msg(value != NULL, "%s is not set: run this through meson test", name);
    return value;
}

uint64_t fleet_rounds(uint64_t usual)
{
    const char *asked = getenv("PHX_TEST_ROUNDS");
    return asked ? strtoull(asked, NULL, 10) : usual;
}

static void shut_gate(const struct fleet *fleet)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/gate", fleet->directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void open_gate(const struct fleet *fleet)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/gate", fleet->directory);
    unlink(path);
}

long fleet_starts_of(const struct fleet *fleet, uint32_t test)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/started-%u", fleet->directory, test);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    long count = lseek(fd, 0, SEEK_END);
    close(fd);
    return count;
}

/* ---- machines ---- */

static void add(struct fleet *fleet, uint32_t machine, const char *const *argv)
{
    struct phx_machine_options options = {.name = "m", .argv = argv};
    struct phx_err err = {0};
    uint32_t number;
    int status = phx_controller_add_machine(fleet->c, &options, &number, &err);
    ck_assert_msg(status == 0 && number == machine, "%s", err.text);
}

static void add_fake(struct fleet *fleet, uint32_t machine, uint64_t seed)
{
    char texts[3][32];
    const char *argv[6 + DEEDS_MAX] = {variable("PHX_TEST_FAKE_NODE"), texts[0], texts[1], texts[2],
                                       fleet->directory};
    snprintf(texts[0], sizeof texts[0], "%llu",
             (unsigned long long)(seed * MACHINES_MAX + machine));
    snprintf(texts[1], sizeof texts[1], "%u", fleet->ntests);
    snprintf(texts[2], sizeof texts[2], "%u", fleet->unit);
    for (int i = 0; i < DEEDS_MAX; i++)
        argv[5 + i] = fleet->deeds[machine][i];
    add(fleet, machine, argv);
}

static void copy_program(const char *from, const char *to)
{
    struct stat info;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(in >= 0 && fstat(in, &info) == 0, "%s", from);
    int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    ck_assert_int_ge(out, 0);
    for (off_t left = info.st_size; left > 0;) {
        ssize_t sent = sendfile(out, in, NULL, (size_t)left);
        ck_assert_int_gt(sent, 0);
        left -= sent;
    }
    close(in);
    close(out);
}

/* The guard is looked for beside the node's program; the gate is the run's. */
static void add_real(struct fleet *fleet, uint32_t machine)
{
    char home[PATH_SIZE], node[PATH_SIZE + 16], guard[PATH_SIZE + 16], gate[PATH_SIZE + 16];
    char set[PATH_SIZE + 32];
    snprintf(home, sizeof home, "%s/%u", fleet->directory, machine);
    snprintf(node, sizeof node, "%s/node", home);
    snprintf(guard, sizeof guard, "%s/phalanx-guard", home);
    snprintf(gate, sizeof gate, "%s/gate", home);
    snprintf(set, sizeof set, "%s=%s", FAKE_DIRECTORY, home);
    ck_assert_int_eq(mkdir(home, 0700), 0);
    copy_program(variable("PHX_TEST_NODE"), node);
    copy_program(variable("PHX_TEST_GUARD"), guard);
    ck_assert_int_eq(symlink("../gate", gate), 0);
    const char *argv[] = {"/usr/bin/env", set, node, "{}", variable("PHX_TEST_ZYGOTE"), home, NULL};
    add(fleet, machine, argv);
}

/* ---- the run ---- */

/* Where each worker is: those that are wanted later say where. */
static uint32_t machine_of[PHX_RUNQ_WORKERS_MAX];

static size_t write_script(const struct fleet *fleet, uint32_t machine, int64_t start, char *out,
                           size_t size)
{
    const char *deeds = fleet->deeds[machine][0];
    int used = snprintf(out, size, "items=%u %s", fleet->ntests, deeds ? deeds : "");
    if (start >= 0)
        used += snprintf(out + used, size - (size_t)used, " start=%d", (int)start);
    ck_assert_int_lt(used, (int)size);
    return (size_t)used;
}

static void ask(struct fleet *fleet, uint32_t number, uint32_t machine)
{
    char script[256]; /* as a value: a text with its size in one byte */
    size_t size = write_script(fleet, machine, number, script + 2, sizeof script - 2);
    script[0] = '\xd9';
    script[1] = (char)size;
    struct phx_buf forked, spawned;
    phx_buf_init(&forked);
    phx_buf_init(&spawned);
    ck_assert_int_eq(phx_buf_append(&forked, "\xa5input", 6), 0);
    ck_assert_int_eq(phx_buf_append(&spawned, script, size + 2), 0);
    machine_of[number] = machine;
    ck_assert_int_eq(phx_controller_ask_machine(fleet->c, number, machine, &forked, &spawned, NULL),
                     0);
    phx_buf_fini(&forked);
    phx_buf_fini(&spawned);
}

static void begin(struct fleet *fleet)
{
    char script[2048];
    uint32_t number = 0, total = 0;
    for (uint32_t i = 0; i < fleet->nmachines; i++)
        total += fleet->workers[i];
    ck_assert_int_eq(phx_controller_recruit(fleet->c, total, fleet->max_restarts, NULL), 0);
    phx_controller_set_loss(fleet->c, 0, fleet->reruns);
    for (uint32_t i = 0; i < fleet->nmachines; i++) {
        size_t size = write_script(fleet, i, -1, script, sizeof script);
        ck_assert_int_eq(phx_controller_setup_machine(fleet->c, i, fleet->workers[i],
                                                      fleet->spawns ? NULL : script,
                                                      fleet->spawns ? 0 : size, NULL),
                         0);
    }
    for (uint32_t i = 0; i < fleet->nmachines; i++)
        for (uint32_t k = 0; k < fleet->workers[i]; k++)
            ask(fleet, number++, i);
    for (uint32_t i = 0; i < fleet->nmachines && fleet->spawns; i++)
        phx_controller_spawn_on_machine(fleet->c, i);
}

static void plan(struct fleet *fleet)
{
    struct phx_planner_options options = {.dist = fleet->dist};
    struct phx_err err = {0};
    for (uint32_t i = 0; i < fleet->nmachines; i++)
        options.nworkers += fleet->workers[i];
    ck_assert_msg(phx_controller_plan(fleet->c, &options, fleet->max_restarts, &err) == 0, "%s",
                  err.text);
}

static void take_message(struct fleet *fleet, const struct phx_event *event)
{
    struct fake_note note;
    if (event->number < 0 || event->size != sizeof note)
        return;
    memcpy(&note, event->body, sizeof note);
    if (note.test >= fleet->ntests)
        return;
    fleet->started[note.test] += event->type == PHX_MSG_LOG_START;
    fleet->reports[note.test] += event->type == PHX_MSG_REPORT;
    fleet->ended[note.test] += event->type == PHX_MSG_LOG_FINISH;
}

static void take(struct fleet *fleet, const struct phx_event *event)
{
    if (event->kind == PHX_EVENT_MACHINE_DOWN || event->kind == PHX_EVENT_FORK_FAILED ||
        event->kind == PHX_EVENT_MACHINE_SAYS)
        snprintf(fleet->why + strlen(fleet->why), sizeof fleet->why - strlen(fleet->why), "%s; ",
                 event->text ? event->text : "");
    switch (event->kind) {
    case PHX_EVENT_MESSAGE:
        take_message(fleet, event);
        break;
    case PHX_EVENT_ZYGOTE_DOWN:
        ck_abort_msg("a zygote is down: %s; %s", event->text ? event->text : "?", fleet->why);
        break;
    case PHX_EVENT_GATHERED:
        plan(fleet);
        break;
    case PHX_EVENT_WORKER_WANTED:
        fleet->nwanted++;
        ask(fleet, (uint32_t)event->number, (uint32_t)event->count);
        break;
    case PHX_EVENT_WORKER_DOWN:
        fleet->ndown++;
        if (event->test != PHX_RUNQ_NONE)
            fleet->crashed[event->test]++;
        if (event->replacement != PHX_RUNQ_NONE)
            ask(fleet, (uint32_t)event->replacement, machine_of[event->number]);
        break;
    case PHX_EVENT_FORK_FAILED:
        fleet->nfailed++;
        break;
    case PHX_EVENT_TEST_LOST:
        fleet->nlost++;
        break;
    case PHX_EVENT_MACHINE_DOWN:
        fleet->nmachines_lost++;
        break;
    default:
        break;
    }
}

void fleet_run(struct fleet *fleet, uint32_t nwaiting)
{
    phx_ns end = phx_clock_now() + PATIENCE_S * PHX_S;
    uint32_t nup = 0;
    struct phx_event event;
    for (int is_begun = 0; !is_begun || phx_controller_active(fleet->c) > 0;) {
        struct phx_account account;
        phx_controller_step(fleet->c, 50 * PHX_MS, -1);
        while (phx_controller_next(fleet->c, &event)) {
            if (event.kind == PHX_EVENT_MACHINE_UP && ++nup == fleet->nmachines) {
                begin(fleet);
                is_begun = 1;
            }
            take(fleet, &event);
        }
        phx_controller_account(fleet->c, &account);
        if (account.ended + account.crashed + nwaiting >= fleet->ntests)
            open_gate(fleet);
        ck_assert_msg(phx_clock_now() < end,
                      "after %d s: %u tests ended, %u crashed, %u running, %u not begun",
                      PATIENCE_S, (unsigned)account.ended, (unsigned)account.crashed,
                      (unsigned)account.unaccounted, (unsigned)account.not_run);
    }
}

void fleet_open(struct fleet *fleet, uint64_t seed)
{
    struct phx_controller_options options = {.directory = "/"};
    struct phx_err err = {0};
    fleet->nwanted = fleet->ndown = fleet->nlost = fleet->nmachines_lost = fleet->nfailed = 0;
    fleet->why[0] = '\0';
    memset(fleet->crashed, 0, sizeof fleet->crashed);
    memset(fleet->started, 0, sizeof fleet->started);
    memset(fleet->reports, 0, sizeof fleet->reports);
    memset(fleet->ended, 0, sizeof fleet->ended);
    snprintf(fleet->directory, sizeof fleet->directory, "/tmp/phalanx-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(fleet->directory));
    shut_gate(fleet);
    ck_assert_msg(phx_controller_open(&fleet->c, &options, &err) == 0, "%s", err.text);
    for (uint32_t i = 0; i < fleet->nmachines; i++)
        if (fleet->is_real)
            add_real(fleet, i);
        else
            add_fake(fleet, i, seed);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

void fleet_close(struct fleet *fleet)
{
    ck_assert_int_eq(phx_controller_end(fleet->c, 100 * PHX_MS), 0);
    phx_controller_close(fleet->c);
    ck_assert_int_eq(nftw(fleet->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}
