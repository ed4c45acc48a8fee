/* A zygote without Python: the engine's own zygote and worker functions, played by a script
 * (fake_zygote.h) with every way to die or misbehave that the tests ask for. Started by the real
 * guard, with the channel as descriptor 3. */
#include "fake_zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "role/zygote.h"
#include "wire/msg.h"
#include "wire/packer.h"

enum { CHANNEL = 3, DEEDS_MAX = 64, BATCH = 1000 };

struct deed {
    char who; /* z, t, w */
    uint32_t number;
    char when[12], what[24];
};

static struct deed deeds[DEEDS_MAX];
static size_t ndeeds;
static uint32_t nitems, generation;
static int64_t own_number = -1; /* started to be this worker */
static int is_reversed;         /* this worker's own list */
static struct phx_zygote zygote;
static struct phx_worker worker;
static struct phx_birth birth;
static uint32_t seq;

static void must(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fake zygote: %s: %s\n", what, strerror(errno));
    _exit(99);
}

/* ---- the script ---- */

static void parse(const char *value, size_t size)
{
    char text[4096];
    must(size < sizeof text, "script too long");
    if (size > 2 && (unsigned char)value[0] == 0xd9) { /* it came as a value, a short text */
        value += 2;
        size -= 2;
    }
    memcpy(text, value, size);
    text[size] = '\0';
    for (char *token = strtok(text, " "); token; token = strtok(NULL, " ")) {
        struct deed *deed = &deeds[ndeeds];
        unsigned number;
        if (sscanf(token, "items=%u", &nitems) == 1)
            continue;
        if (sscanf(token, "start=%u", &number) == 1) {
            own_number = number;
            continue;
        }
        must(ndeeds < DEEDS_MAX && sscanf(token, "%c=%u:%11[^:]:%23s", &deed->who, &deed->number,
                                          deed->when, deed->what) == 4,
             token);
        ndeeds++;
    }
}

static const char *file(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv(FAKE_DIRECTORY), name);
    return path;
}

/* How many zygotes there have been, this one included. */
static uint32_t count_generation(void)
{
    struct stat info;
    int fd = open(file("count"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, "z", 1) == 1 && fstat(fd, &info) == 0, "count");
    close(fd);
    return (uint32_t)info.st_size;
}

static int asked(char who, uint32_t number, const char *when, const char *what)
{
    for (size_t i = 0; i < ndeeds; i++)
        if (deeds[i].who == who && deeds[i].number == number && strcmp(deeds[i].when, when) == 0 &&
            strcmp(deeds[i].what, what) == 0)
            return 1;
    return 0;
}

/* ---- deeds ---- */

_Noreturn static void sleep_forever(void)
{
    for (;;)
        pause();
}

static void die_of(int number)
{
    signal(number, SIG_DFL); /* a sanitizer may have it */
    raise(number);
    must(0, "still alive");
}

static void note_signal(int number)
{
    (void)number;
    must(write(birth.faults, "stacks\n", 7) == 7, "stacks");
}

/* A child that the fork handlers do not see: it keeps the channel, as one by vfork and a program
 * that clears CLOEXEC would. */
static void keep_channel(int talk)
{
    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    must(child >= 0, "clone");
    if (child > 0)
        return;
    const struct fake_note note = {.seq = UINT32_MAX};
    while (talk &&
           phx_frame_write(worker.channel, PHX_MSG_REPORT, &note, sizeof note, NULL, 0) == 0)
        continue;
    sleep_forever();
}

static void start_child(int is_daemon)
{
    int ready[2];
    char byte;
    must(pipe(ready) == 0, "pipe");
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        if (is_daemon)
            setsid();
        must(write(ready[1], "r", 1) == 1, "ready");
        sleep_forever();
    }
    must(read(ready[0], &byte, 1) == 1, "ready");
}

static void do_deed(const char *what, int channel)
{
    int number;
    if (sscanf(what, "sig%d", &number) == 1) {
        die_of(number);
    } else if (sscanf(what, "exit%d", &number) == 1) {
        _exit(number);
    } else if (strcmp(what, "stop") == 0) {
        raise(SIGSTOP);
    } else if (strcmp(what, "pause") == 0) {
        sleep_forever();
    } else if (sscanf(what, "nap%d", &number) == 1) {
        phx_clock_sleep(number * PHX_MS);
    } else if (sscanf(what, "due%d", &number) == 1) { /* with a signal that it survives */
        signal(SIGRTMIN + 1, note_signal);
        const struct phx_runq_deadline deadline = {.at = phx_clock_now() + number * PHX_MS,
                                                   .timeout = number * PHX_MS,
                                                   .stack_signal = SIGRTMIN + 1};
        must(phx_worker_set_deadline(&worker, &deadline) == 0, "deadline");
    } else if (strcmp(what, "lift") == 0) {
        must(phx_worker_set_deadline(&worker, &(struct phx_runq_deadline){0}) == 0, "lift");
    } else if (strcmp(what, "gate") == 0) {
        while (access(file("gate"), F_OK) == 0)
            phx_clock_sleep(2 * PHX_MS);
    } else if (strcmp(what, "garbage") == 0) {
        phx_fd_write_all(channel, FAKE_GARBAGE, sizeof FAKE_GARBAGE - 1, NULL, 0);
        sleep_forever();
    } else if (strcmp(what, "close") == 0) { /* of the channel: nobody hears this worker again */
        phx_fd_close(&worker.channel);
    } else if (strcmp(what, "badtype") == 0) {
        phx_worker_send(&worker, PHX_MSG_COLLECTED, "\x01", 1);
    } else if (strcmp(what, "bad") == 0) { /* a body that the test does not understand */
        phx_worker_send(&worker, PHX_MSG_REPORT, "?", 1);
    } else if (strcmp(what, "keep") == 0) {
        keep_channel(0);
    } else if (strcmp(what, "talk") == 0) {
        keep_channel(1);
    } else if (strcmp(what, "child") == 0) {
        start_child(0);
    } else if (strcmp(what, "daemon") == 0) {
        start_child(1);
    } else if (strcmp(what, "regroup") == 0) {
        must(setpgid(0, getpgid(getppid())) == 0, "setpgid");
    } else if (strcmp(what, "words") == 0) {
        must(write(birth.out, "last out\n", 9) == 9 &&
                 write(birth.faults, "last fault\n", 11) == 11,
             "words");
    }
}

static void do_deeds(char who, uint32_t number, const char *when, int channel)
{
    for (size_t i = 0; i < ndeeds; i++)
        if (deeds[i].who == who && deeds[i].number == number && strcmp(deeds[i].when, when) == 0)
            do_deed(deeds[i].what, channel);
}

/* ---- a worker ---- */

static void say(uint16_t type, uint32_t test, uint32_t phase)
{
    const struct fake_note note = {seq++, test, (uint32_t)getpid(), phase};
    int status = phx_worker_send(&worker, type, &note, sizeof note);
    /* As Python would: without a channel there is no point in going on. */
    if (status < 0 && asked('t', test, "call", "close"))
        sleep_forever();
    if (status < 0)
        _exit(98);
}

/* One test, and the claim of the next. Returns whether there is one. */
static int run_test(uint32_t test, uint32_t *out_next)
{
    must(phx_worker_start(&worker) == 0, "start");
    say(PHX_MSG_LOG_START, test, 0);
    must(phx_worker_phase(&worker, PHX_PHASE_SETUP, -1) == 0, "phase");
    do_deeds('t', test, "setup", worker.channel);
    say(PHX_MSG_REPORT, test, PHX_PHASE_SETUP);
    must(phx_worker_phase(&worker, PHX_PHASE_CALL, -1) == 0, "phase");
    do_deeds('t', test, "call", worker.channel);
    say(PHX_MSG_REPORT, test, PHX_PHASE_CALL);
    must(phx_worker_phase(&worker, PHX_PHASE_TEARDOWN, -1) == 0, "phase");
    int more = phx_worker_claim(&worker, out_next);
    must(more >= 0, "claim");
    do_deeds('t', test, "teardown", worker.channel);
    say(PHX_MSG_REPORT, test, PHX_PHASE_TEARDOWN);
    say(PHX_MSG_LOG_FINISH, test, 0);
    must(phx_worker_end(&worker) == 0, "end");
    return more;
}

static void write_message(uint16_t type, const struct phx_buf *body)
{
    int status = worker.armed
                     ? phx_worker_send(&worker, type, phx_buf_head(body), phx_buf_size(body))
                     : phx_zygote_send(&zygote, type, phx_buf_head(body), phx_buf_size(body));
    must(status == 0, "send");
}

static void send_number(uint16_t type, uint64_t number)
{
    struct phx_buf body;
    phx_buf_init(&body);
    must(phx_msg_put_number(&body, number) == 0, "encode");
    write_message(type, &body);
    phx_buf_fini(&body);
}

static void send_items(uint32_t from, uint32_t to, const char *name)
{
    struct phx_buf body;
    phx_buf_init(&body);
    msgpack_packer packer = phx_packer(&body);
    msgpack_pack_array(&packer, to - from);
    for (uint32_t i = from; i < to; i++) {
        char id[64];
        int size =
            snprintf(id, sizeof id, "test_a.py::%s_%u", name, is_reversed ? nitems - 1 - i : i);
        msgpack_pack_array(&packer, 4);
        msgpack_pack_str_with_body(&packer, id, (size_t)size);
        msgpack_pack_nil(&packer);
        msgpack_pack_nil(&packer);
        msgpack_pack_nil(&packer);
    }
    write_message(PHX_MSG_ITEMS, &body);
    phx_buf_fini(&body);
}

static void send_collection(char who, uint32_t number, int channel)
{
    const char *name = asked(who, number, "items", "other") ? "other" : "test";
    is_reversed = asked(who, number, "items", "reversed");
    uint32_t count = nitems - (asked(who, number, "items", "fewer") ? 1 : 0);
    for (uint32_t from = 0; from < count; from += BATCH)
        send_items(from, from + BATCH < count ? from + BATCH : count, name);
    do_deeds(who, number, "items", channel);
    send_number(PHX_MSG_COLLECTED, asked(who, number, "items", "lie") ? count + 1 : count);
    if (asked(who, number, "collected", "twice"))
        send_number(PHX_MSG_COLLECTED, 0);
    if (asked(who, number, "collected", "more"))
        send_items(0, 1, "late");
    do_deeds(who, number, "collected", channel);
}

/* Whoever is armed, until its end. */
_Noreturn static void work(int collects)
{
    struct phx_err err;
    uint32_t number = worker.number, *places = NULL;
    size_t nplaces;
    do_deeds('w', number, "armed", worker.channel);
    if (collects)
        send_collection('w', number, worker.channel);
    int more = phx_worker_await_queue(&worker, &places, &nplaces, &err);
    must(more >= 0, "queue");
    uint32_t test;
    if (more == 1) {
        say(PHX_MSG_READY, UINT32_MAX, 0);
        more = phx_worker_claim(&worker, &test);
    }
    while (more == 1) {
        uint32_t place = places ? places[test] : test;
        more = run_test(is_reversed ? nitems - 1 - place : place, &test);
    }
    must(more == 0, "claim");
    free(places);
    say(PHX_MSG_FINISHED, UINT32_MAX, 0);
    do_deeds('w', number, "finished", worker.channel);
    _exit(0);
}

_Noreturn static void be_worker(int collects)
{
    struct phx_err err;
    if (phx_zygote_become_worker(&zygote, &worker, &birth, &err) < 0)
        _exit(97);
    work(collects);
}

/* Without a fork. */
_Noreturn static void turn_worker(uint32_t number)
{
    struct phx_err err;
    do_deeds('w', number, "turn", zygote.channel);
    must(phx_zygote_prepare(&zygote, number, &err) == 0, "prepare");
    if (phx_zygote_turn_worker(&zygote, &worker, &birth, &err) < 0)
        _exit(97);
    work(1);
}

/* ---- the zygote ---- */

/* Leaves room for `room` descriptors more. */
static void limit_fds(int room)
{
    int next = dup(CHANNEL);
    must(next >= 0, "dup");
    close(next);
    struct rlimit limit = {.rlim_cur = (rlim_t)(next + room), .rlim_max = (rlim_t)(next + room)};
    must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
}

/* FORKED with descriptors that are none of a worker's. */
static void send_wrong_fds(uint32_t number)
{
    struct phx_msg_forked msg = {.number = number, .pid = (uint32_t)getpid()};
    int file_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fds[5] = {file_fd, file_fd, file_fd, file_fd, file_fd};
    struct phx_buf body;
    phx_buf_init(&body);
    phx_msg_put_forked(&body, &msg);
    phx_frame_write(zygote.channel, PHX_MSG_FORKED, phx_buf_head(&body), phx_buf_size(&body), fds,
                    5);
    phx_buf_fini(&body);
    close(file_fd);
}

static int fork_worker(uint32_t number, int collects)
{
    struct phx_err err = {0};
    do_deeds('z', generation, "fork", zygote.channel);
    if (number == 0 && asked('z', generation, "fork", "wrongfds")) {
        send_wrong_fds(number);
        return 0;
    }
    if (asked('z', generation, "fork", "limit0"))
        limit_fds(0);
    if (asked('z', generation, "fork", "limit5"))
        limit_fds(5);
    if (phx_zygote_prepare(&zygote, number, &err) < 0)
        return phx_zygote_report_failure(&zygote, number, err.text);
    pid_t pid = fork();
    if (pid == 0 && asked('w', number, "born", "stop"))
        raise(SIGSTOP);
    if (pid == 0)
        be_worker(collects);
    siginfo_t info;
    if (pid > 0 && asked('w', number, "born", "stop"))
        must(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT) == 0, "a stopped worker");
    int status = phx_zygote_settle(&zygote, pid < 0 ? -errno : pid);
    do_deeds('z', generation, "forked", zygote.channel);
    return status;
}

int main(void)
{
    struct phx_zygote_request request;
    struct phx_err err;
    must(phx_zygote_open(&zygote, CHANNEL, &err) == 0, "open");
    must(phx_zygote_serve(&zygote, &request) == 0, "serve");
    if (request.type != PHX_MSG_SETUP)
        _exit(0);
    parse(request.value, request.size);
    if (own_number >= 0)
        turn_worker((uint32_t)own_number);
    generation = count_generation();
    do_deeds('z', generation, "start", zygote.channel);
    int collects = asked('z', generation, "here", "fork");
    if (asked('z', generation, "here", "refuse"))
        phx_zygote_send(&zygote, PHX_MSG_REFUSED, "\xc0", 1);
    else if (collects)
        phx_zygote_send(&zygote, PHX_MSG_FORK_HERE, "\xc0", 1);
    else
        send_collection('z', generation, zygote.channel);
    while (phx_zygote_serve(&zygote, &request) == 0) {
        if (request.type == PHX_MSG_END)
            _exit(0);
        if (request.type == PHX_MSG_BECOME)
            turn_worker(request.number);
        if (fork_worker(request.number, collects) < 0)
            break;
    }
    _exit(96);
}
