/* The test plays the controller, itself or in a child that it kills. What a run starts is marked by
 * an environment variable, so that /proc shows what is left of it. */
#include "role/guard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "harness.h"
#include "os/pidfd.h"
#include "os/procfs.h"
#include "os/spawn.h"
#include "wire/frame.h"
#include "wire/msg.h"

enum { ROUNDS = 50 };

/* ---- a run (static in the tests: what it owns lives until the test's process ends) ---- */

struct run {
    char mark[64]; /* "PHX_TEST_MARK=…" */
    int socket;    /* to the guard */
    int channel;   /* to the program that the guard started last */
    pid_t guard;
    int guard_pidfd;
    struct phx_inbox in;
    struct phx_message message; /* received last */
};

static struct phx_buf body; /* scratch for encoding */

static void must(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "test_guard: %s: %s\n", what, strerror(errno));
    abort(); /* not a check: this also runs in the child that plays the controller */
}

static void start_guard(struct run *run)
{
    static unsigned number;
    *run = (struct run){.channel = -1};
    /* The time too: pids come back, and what a broken guard left behind may still be there. */
    snprintf(run->mark, sizeof run->mark, "PHX_TEST_MARK=%d-%u-%lld;", (int)getpid(), number++,
             (long long)phx_clock_now());
    int pair[2], self = phx_pidfd_open(getpid(), NULL);
    must(self >= 0, "pidfd");
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
    const char *argv[] = {getenv("PHX_TEST_GUARD"), "5", "7", NULL};
    const char *environment[] = {run->mark, getenv("PHX_LOG") ? "PHX_LOG=guard:debug" : NULL, NULL};
    const struct phx_spawn_fd fds[] = {{pair[1], 5}, {self, 7}};
    struct phx_spawn what = {
        .argv = argv, .environment = environment, .fds = fds, .nfds = 2, .new_group = 1};
    must(argv[0] != NULL, "PHX_TEST_GUARD is not set");
    must(phx_spawn(&what, &run->guard, &run->guard_pidfd, NULL) == 0, "spawn");
    phx_fd_close(&pair[1]);
    phx_fd_close(&self);
    run->socket = pair[0];
    phx_inbox_init(&run->in);
}

static void send_body(struct run *run, uint16_t type, int fd)
{
    must(phx_frame_write(run->socket, type, phx_buf_head(&body), phx_buf_size(&body), &fd,
                         fd >= 0) == 0,
         "send");
    phx_buf_consume(&body, phx_buf_size(&body));
}

static void send_number(struct run *run, uint16_t type, uint64_t number)
{
    phx_msg_put_number(&body, number);
    send_body(run, type, -1);
}

static void put_spawn(struct run *run, const char *const *argv, const char *directory)
{
    const char *environment[] = {run->mark, "PATH=/usr/bin:/bin:/usr/sbin:/sbin", NULL};
    struct phx_msg_spawn spawn = {.argv = argv, .environment = environment, .directory = directory};
    must(phx_msg_put_spawn(&body, &spawn) == 0, "encode");
}

static void send_script(struct run *run, const char *script)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
    put_spawn(run, argv, "/tmp");
    send_body(run, PHX_MSG_SPAWN, pair[1]);
    phx_fd_close(&pair[1]);
    phx_fd_close(&run->channel);
    run->channel = pair[0];
}

/* Receives the next message into run->message. Returns its type; 0 at the end of file. */
static uint16_t receive(struct run *run)
{
    int status;
    while ((status = phx_inbox_next(&run->in, &run->message)) == 0) {
        struct pollfd readable = {.fd = run->socket, .events = POLLIN};
        must(poll(&readable, 1, 60000) == 1, "the guard says nothing");
        if (phx_inbox_read(&run->in, run->socket) <= 0)
            return 0;
    }
    must(status == 1, "the guard's bytes are no message");
    return run->message.type;
}

/* The same, without the ends of processes. */
static uint16_t receive_other(struct run *run)
{
    uint16_t type;
    while ((type = receive(run)) == PHX_MSG_REAPED)
        continue;
    return type;
}

static void expect_hello(struct run *run)
{
    struct phx_msg_hello hello;
    must(receive(run) == PHX_MSG_HELLO, "hello");
    must(phx_msg_get_hello(run->message.body, run->message.size, &hello) == 0, "hello");
    must(hello.version == PHX_PROTOCOL_VERSION && strcmp(hello.role, "guard") == 0, "hello");
    must(hello.pid == (uint32_t)run->guard, "hello's pid");
}

static pid_t expect_spawned(struct run *run)
{
    uint64_t pid;
    int pidfd;
    must(receive_other(run) == PHX_MSG_SPAWNED, "spawned");
    must(phx_msg_get_number(run->message.body, run->message.size, &pid) == 0, "spawned");
    must(phx_inbox_take_fds(&run->in, &pidfd, 1) == 0, "no pidfd came");
    int status = phx_pidfd_signal(pidfd, 0);
    must(status == 0 || status == -ESRCH, "the pidfd is of no use");
    phx_fd_close(&pidfd);
    return (pid_t)pid;
}

/* The wait status of `pid`, as told by the guard; ends of others may be told before. */
static int expect_reaped(struct run *run, pid_t pid)
{
    struct phx_msg_exit reaped;
    do {
        must(receive(run) == PHX_MSG_REAPED, "reaped");
        must(phx_msg_get_exit(run->message.body, run->message.size, &reaped) == 0, "reaped");
        must(reaped.number == -1, "reaped");
    } while (reaped.pid != (uint32_t)pid);
    return reaped.status;
}

/* Reads a line of words from the program's channel. */
static const char *read_line(struct run *run)
{
    static char line[256];
    size_t used = 0;
    struct pollfd readable = {.fd = run->channel, .events = POLLIN};
    while (used < sizeof line - 1 && poll(&readable, 1, 60000) == 1 &&
           read(run->channel, line + used, 1) == 1 && line[used] != '\n')
        used++;
    line[used] = '\0';
    return line;
}

static pid_t read_pid(struct run *run)
{
    return (pid_t)strtol(read_line(run), NULL, 10);
}

/* ---- what is left of a run ---- */

static int is_marked(const char *pid, const char *mark)
{
    char path[300], text[16384];
    snprintf(path, sizeof path, "/proc/%s/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    phx_fd_close(&fd);
    return got > 0 && memmem(text, (size_t)got, mark, strlen(mark)) != NULL;
}

/* Live processes of the run, the guard included. The command of the last one goes to `command`. */
static int look_for_marked(const char *mark, char *command, size_t size)
{
    int count = 0;
    DIR *proc = opendir("/proc");
    must(proc != NULL, "/proc");
    struct dirent *entry;
    while ((entry = readdir(proc))) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || !is_marked(entry->d_name, mark))
            continue;
        if (phx_procfs_command((pid_t)strtol(entry->d_name, NULL, 10), command, size) == 0)
            count++;
    }
    closedir(proc);
    return count;
}

static int count_marked(const char *mark)
{
    char command[64];
    return look_for_marked(mark, command, sizeof command);
}

/* The limit is for a guard that does not do it at all; how soon it does, the storm looks at, which
 * knows how long the machine was busy with others. */
static void assert_gone(const char *mark)
{
    phx_ns deadline = phx_clock_now() + 60 * PHX_S;
    char command[128];
    int count;
    while ((count = look_for_marked(mark, command, sizeof command)) > 0) {
        ck_assert_msg(phx_clock_now() < deadline, "%d processes are left, one of them %s", count,
                      command);
        phx_clock_sleep(5 * PHX_MS);
    }
}

/* Waits, for a process in the middle of an exec has no environment to be known by; and a shell that
 * is about to end may have been counted in its place. */
static void wait_for_marked(const char *mark, int count)
{
    int found = 0;
    for (int i = 0; i < 6000 && (found = count_marked(mark)) < count; i++)
        phx_clock_sleep(10 * PHX_MS);
    ck_assert_int_ge(found, count);
}

static int guard_status(struct run *run)
{
    int status = -1;
    ck_assert_int_eq(phx_pidfd_wait(run->guard_pidfd, 60 * PHX_S), 1);
    ck_assert_int_eq(phx_pidfd_reap(run->guard_pidfd, &status), 0);
    ck_assert_msg(WIFEXITED(status), "the guard died of signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

/* Everything a test can start that outlives it: in its group, in a session of its own, a daemon
 * whose parent is gone, stopped, deaf. With the shell itself and the guard: */
enum { UNRULY = 9 };
static const char unruly[] = "sleep 1000 &\n"
                             "setsid sleep 1001 &\n"
                             "(setsid sh -c 'sleep 1002 & :' &)\n"
                             "sh -c 'kill -STOP $$; sleep 1003' &\n"
                             "setsid sh -c 'kill -STOP $$; sleep 1004' &\n"
                             "sh -c \"trap '' TERM INT HUP QUIT; sleep 1005; sleep 1005\" &\n"
                             "echo up >&3\n"
                             "wait; sleep 1006";

/* ---- programs and their ends ---- */

START_TEST(a_program_starts_as_agreed)
{
    static struct run run;
    start_guard(&run);
    expect_hello(&run);
    send_script(&run, "echo $$ >&3\n"
                      "readlink /proc/$$/fd/0 /proc/$$/fd/1 | cat >&3\n"
                      "pwd >&3; echo /proc/$$/fd/* >&3\n"
                      "cut -d' ' -f5 /proc/$$/stat >&3\n"
                      "exit 42");
    pid_t pid = expect_spawned(&run);
    ck_assert_int_eq(read_pid(&run), pid);
    ck_assert_str_eq(read_line(&run), "/dev/null");
    ck_assert_str_eq(read_line(&run), "/dev/null");
    ck_assert_str_eq(read_line(&run), "/tmp");
    const char *fds = read_line(&run); /* the shell's own, to list them, may be among them */
    ck_assert_ptr_nonnull(strstr(fds, "/fd/0 "));
    ck_assert_ptr_nonnull(strstr(fds, "/fd/3"));
    ck_assert_ptr_null(strstr(fds, "/fd/5"));
    ck_assert_ptr_null(strstr(fds, "/fd/7"));
    ck_assert_int_eq(read_pid(&run), pid); /* it leads a group */
    ck_assert_int_eq(expect_reaped(&run, pid), 42 << 8);

    send_script(&run, "kill -9 $$");
    pid = expect_spawned(&run);
    ck_assert_int_eq(expect_reaped(&run, pid), SIGKILL);
    phx_fd_close(&run.socket);
    ck_assert_int_eq(guard_status(&run), PHX_GUARD_KILLED);
}
END_TEST

START_TEST(a_program_that_cannot_start_is_told)
{
    static struct run run;
    start_guard(&run);
    expect_hello(&run);
    const char *missing[] = {"/no/such/python", "-m", "pytest", NULL};
    put_spawn(&run, missing, "/tmp");
    send_body(&run, PHX_MSG_SPAWN, 0);
    struct phx_msg_text text;
    ck_assert_int_eq(receive(&run), PHX_MSG_SPAWN_FAILED);
    ck_assert_int_eq(phx_msg_get_text(run.message.body, run.message.size, &text), 0);
    ck_assert_int_eq(text.number, -1);
    ck_assert_ptr_nonnull(strstr(text.text, "/no/such/python"));

    const char *there[] = {"/bin/true", NULL};
    put_spawn(&run, there, "/no/such/directory");
    send_body(&run, PHX_MSG_SPAWN, 0);
    ck_assert_int_eq(receive(&run), PHX_MSG_SPAWN_FAILED);
    ck_assert_int_eq(phx_msg_get_text(run.message.body, run.message.size, &text), 0);
    ck_assert_ptr_nonnull(strstr(text.text, "/no/such/directory"));

    send_script(&run, "exit 0"); /* it goes on after that */
    pid_t pid = expect_spawned(&run);
    ck_assert_int_eq(expect_reaped(&run, pid), 0);
}
END_TEST

START_TEST(orphans_are_adopted_and_their_status_is_told)
{
    static struct run run;
    start_guard(&run);
    expect_hello(&run);
    send_script(&run, "setsid sh -c 'echo $$ >&3; read x <&3; exit 7' &\n"
                      "sleep 0.2; kill -9 $$");
    pid_t zygote = expect_spawned(&run), worker = read_pid(&run);
    ck_assert_int_gt(worker, 1);
    ck_assert_int_eq(expect_reaped(&run, zygote), SIGKILL);
    ck_assert_int_eq(write(run.channel, "go\n", 3), 3);
    ck_assert_int_eq(expect_reaped(&run, worker), 7 << 8);
}
END_TEST

/* ---- the controller goes ---- */

/* Plays the controller in this process until it is killed. */
_Noreturn static void play_controller(const char *script, int ready)
{
    static struct run run;
    start_guard(&run);
    must(write(ready, run.mark, sizeof run.mark) == sizeof run.mark, "ready");
    expect_hello(&run);
    send_script(&run, script);
    expect_spawned(&run);
    must(strcmp(read_line(&run), "up") == 0, "up");
    must(write(ready, "u", 1) == 1, "ready");
    for (;;)
        receive(&run);
}

/* Kills a controller `delay` after its run is up, or (early) after its guard was started. */
static void kill_a_controller(const char *script, int early, phx_ns delay)
{
    char mark[sizeof((struct run *)0)->mark], up;
    int ready[2];
    ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
    pid_t controller = fork();
    if (controller == 0)
        play_controller(script, ready[1]);
    phx_fd_close(&ready[1]);
    ck_assert_int_eq(read(ready[0], mark, sizeof mark), sizeof mark);
    if (!early) {
        ck_assert_int_eq(read(ready[0], &up, 1), 1);
        if (script == unruly)
            wait_for_marked(mark, UNRULY);
    }
    phx_clock_sleep(delay);
    kill(controller, SIGKILL);
    ck_assert_int_eq(waitpid(controller, NULL, 0), controller);
    assert_gone(mark);
    phx_fd_close(&ready[0]);
}

START_TEST(nothing_outlives_a_killed_controller)
{
    srand((unsigned)getpid());
    for (int round = 0; round < ROUNDS; round++)
        kill_a_controller(unruly, 0, rand() % 20 * PHX_MS);
}
END_TEST

START_TEST(nothing_outlives_a_controller_killed_early)
{
    srand((unsigned)getpid());
    for (int round = 0; round < ROUNDS; round++)
        kill_a_controller(unruly, 1, rand() % 100 * PHX_MS);
}
END_TEST

/* A shell that always starts something new, in groups of their own too. */
START_TEST(nothing_outlives_it_that_keeps_forking)
{
    static const char busy[] = "f() { sleep 0.01; (setsid sleep 1000 &); }\n"
                               "(for i in `seq 2000`; do sleep 0.001 & wait; done) &\n"
                               "echo up >&3\n"
                               "i=0; while [ $i -lt 300 ]; do f; i=$((i + 1)); done; wait";
    for (int round = 0; round < 5; round++)
        kill_a_controller(busy, 0, 100 * PHX_MS);
}
END_TEST

/* Starts the unruly program and waits until all of it is there. */
static void start_unruly(struct run *run)
{
    start_guard(run);
    expect_hello(run);
    send_script(run, unruly);
    expect_spawned(run);
    ck_assert_str_eq(read_line(run), "up");
    wait_for_marked(run->mark, UNRULY);
}

START_TEST(the_end_of_the_socket_is_the_end_of_the_controller)
{
    static struct run run;
    start_unruly(&run);
    if (_i)
        ck_assert_int_eq(shutdown(run.socket, SHUT_WR), 0);
    else
        phx_fd_close(&run.socket);
    assert_gone(run.mark);
    ck_assert_int_eq(guard_status(&run), PHX_GUARD_KILLED);
}
END_TEST

static void send_raw(struct run *run, const void *bytes, size_t size)
{
    ck_assert_int_eq(phx_fd_write_all(run->socket, bytes, size, NULL, 0), 0);
}

START_TEST(nonsense_on_the_socket_ends_everything)
{
    static struct run run;
    start_unruly(&run);
    switch (_i) {
    case 0:
        send_raw(&run, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 35);
        break;
    case 1: /* a frame that is too large */
        send_raw(&run, "\xff\xff\xff\xff\x02\0\0\0", 8);
        break;
    case 2: /* a message that is none of the guard's */
        send_number(&run, PHX_MSG_COLLECTED, 3);
        break;
    case 3: /* SPAWN without a descriptor */ {
        const char *argv[] = {"/bin/true", NULL};
        put_spawn(&run, argv, "/tmp");
        send_body(&run, PHX_MSG_SPAWN, -1);
        break;
    }
    case 4: /* SPAWN whose body is none */
        phx_msg_put_number(&body, 3);
        send_body(&run, PHX_MSG_SPAWN, 0);
        break;
    case 5: /* groups that cannot be */
        send_number(&run, PHX_MSG_GROUP, 1);
        break;
    case 6:
        send_number(&run, PHX_MSG_GROUP, (uint64_t)run.guard);
        break;
    case 7:
        send_number(&run, PHX_MSG_GROUP, UINT64_MAX);
        break;
    default: /* half a message, and the end */
        send_raw(&run, "\x02\0\0\0\x06\0\0\0\x91", 9);
        phx_fd_close(&run.socket);
    }
    assert_gone(run.mark);
    ck_assert_int_eq(guard_status(&run), PHX_GUARD_KILLED);
}
END_TEST

START_TEST(sigterm_ends_everything_and_a_terminal_nothing)
{
    static struct run run;
    start_unruly(&run);
    static const int from_a_terminal[] = {SIGINT,  SIGQUIT, SIGHUP,  SIGPIPE,
                                          SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1};
    for (size_t i = 0; i < sizeof from_a_terminal / sizeof *from_a_terminal; i++)
        ck_assert_int_eq(kill(run.guard, from_a_terminal[i]), 0);
    send_script(&run, "exit 5");
    pid_t pid = expect_spawned(&run);
    ck_assert_int_eq(expect_reaped(&run, pid), 5 << 8);
    wait_for_marked(run.mark, UNRULY);
    ck_assert_int_eq(kill(run.guard, SIGTERM), 0);
    assert_gone(run.mark);
    ck_assert_int_eq(guard_status(&run), PHX_GUARD_KILLED);
}
END_TEST

/* ---- a controller that does not read ---- */

/* Sends SPAWNs of a program that does not exist until the guard takes no more, and says how many.
 * A socket alone holds some hundred of them. */
static int fill(struct run *run)
{
    char path[400];
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    const char *argv[] = {path, NULL};
    int sent = 0;
    struct pollfd writable = {.fd = run->socket, .events = POLLOUT};
    while (sent < 20000 && poll(&writable, 1, sent > 1000 ? 1000 : 60000) == 1) {
        put_spawn(run, argv, "/tmp");
        send_body(run, PHX_MSG_SPAWN, 0);
        sent++;
    }
    ck_assert_int_gt(sent, 1000);
    ck_assert_int_lt(sent, 20000); /* it stopped reading: its memory has a bound */
    return sent;
}

START_TEST(a_controller_that_reads_late_loses_nothing)
{
    static struct run run;
    start_unruly(&run);
    int sent = fill(&run);
    for (int i = 0; i < sent; i++)
        ck_assert_int_eq(receive_other(&run), PHX_MSG_SPAWN_FAILED);
    send_script(&run, "exit 9");
    pid_t pid = expect_spawned(&run);
    ck_assert_int_eq(expect_reaped(&run, pid), 9 << 8);
    phx_fd_close(&run.socket);
    assert_gone(run.mark);
}
END_TEST

START_TEST(a_controller_that_never_reads_is_outlived_by_nothing)
{
    static struct run run;
    start_unruly(&run);
    fill(&run);
    if (_i)
        kill(run.guard, SIGTERM);
    else
        phx_fd_close(&run.socket);
    assert_gone(run.mark);
    ck_assert_int_eq(guard_status(&run), PHX_GUARD_KILLED);
}
END_TEST

/* ---- the orderly end ---- */

/* A run with a worker in a group of its own, which has a child in that group (`in_group`, a script)
 * and one in a session of its own. */
struct scene {
    struct run run;
    pid_t worker, inside, outside;
};

static void set_scene(struct scene *s, const char *in_group)
{
    char script[1024];
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* to inherit what is left alone */
    start_guard(&s->run);
    expect_hello(&s->run);
    snprintf(script, sizeof script,
             "setsid sh -c 'echo worker $$ >&3; %s & echo inside $! >&3\n"
             "              setsid sleep 1000 & echo outside $! >&3; wait; sleep 1001' &\n"
             "wait; sleep 1002",
             in_group);
    send_script(&s->run, script);
    expect_spawned(&s->run);
    for (int ready = 0; !s->worker || !s->inside || !s->outside || !ready;) {
        const char *line = read_line(&s->run);
        ck_assert_msg(*line, "the scene is not set");
        sscanf(line, "worker %d", &s->worker);
        sscanf(line, "inside %d", &s->inside);
        sscanf(line, "outside %d", &s->outside);
        ready = ready || strcmp(line, "ready") == 0; /* the child has got to its point */
    }
    for (int i = 0; i < 6000 && getpgid(s->outside) != s->outside; i++)
        phx_clock_sleep(10 * PHX_MS);
    ck_assert_int_eq(getpgid(s->inside), s->worker);
    ck_assert_int_eq(getpgid(s->outside), s->outside);
    send_number(&s->run, PHX_MSG_GROUP, (uint64_t)s->worker);
}

/* Reads until the end of the run. Asserts that both leftovers are named rightly, and once. */
static void expect_leftovers(struct scene *s, const char *command)
{
    int inside = 0, outside = 0;
    uint16_t type;
    while ((type = receive(&s->run)) != 0) {
        struct phx_msg_leftover msg;
        if (type == PHX_MSG_REAPED)
            continue;
        ck_assert_int_eq(type, PHX_MSG_LEFTOVER);
        ck_assert_int_eq(phx_msg_get_leftover(s->run.message.body, s->run.message.size, &msg), 0);
        if (msg.pid == (uint32_t)s->inside) {
            ck_assert_int_eq(msg.ended, 1);
            ck_assert_int_eq(msg.group, s->worker);
            ck_assert_ptr_nonnull(strstr(msg.command, command));
            inside++;
        } else if (msg.pid == (uint32_t)s->outside) {
            ck_assert_int_eq(msg.ended, 0);
            ck_assert_int_eq(msg.group, s->outside);
            ck_assert_str_eq(msg.command, "sleep 1000");
            outside++;
        } else {
            ck_assert_int_ne(msg.pid, s->worker);
        }
    }
    ck_assert_int_eq(inside, 1);
    ck_assert_int_eq(outside, 1);
    ck_assert_int_eq(guard_status(&s->run), PHX_GUARD_ENDED);
}

static void assert_only_outside_is_left(struct scene *s)
{
    ck_assert_int_eq(count_marked(s->run.mark), 1);
    ck_assert_int_eq(kill(s->outside, SIGKILL), 0);
    ck_assert_int_eq(waitpid(s->outside, NULL, 0), s->outside);
}

START_TEST(an_end_with_nothing_left_is_quick)
{
    static struct run run;
    start_guard(&run);
    expect_hello(&run);
    send_script(&run, "exit 3");
    pid_t pid = expect_spawned(&run);
    ck_assert_int_eq(expect_reaped(&run, pid), 3 << 8);
    send_number(&run, PHX_MSG_END, 60000); /* longer than anything here waits */
    ck_assert_int_eq(receive(&run), 0);
    ck_assert_int_eq(guard_status(&run), PHX_GUARD_ENDED);
}
END_TEST

/* The guard stands still meanwhile, so that it finds both at once: the end, and who has just ended.
 */
START_TEST(a_process_that_is_just_ending_is_not_named)
{
    static struct run run;
    start_guard(&run);
    expect_hello(&run);
    send_script(&run, "read line <&3; exit 4");
    pid_t pid = expect_spawned(&run);
    ck_assert_int_eq(kill(run.guard, SIGSTOP), 0);
    ck_assert_int_eq(write(run.channel, "go\n", 3), 3);
    struct phx_process process = {0};
    while (process.state != 'Z')
        ck_assert_int_eq(phx_procfs_look(pid, &process), 0);
    send_number(&run, PHX_MSG_END, 5000);
    ck_assert_int_eq(kill(run.guard, SIGCONT), 0);
    ck_assert_int_eq(expect_reaped(&run, pid), 4 << 8);
    ck_assert_int_eq(receive(&run), 0);
    ck_assert_int_eq(guard_status(&run), PHX_GUARD_ENDED);
}
END_TEST

START_TEST(leftovers_in_a_workers_group_are_ended_and_others_left_alone)
{
    static struct scene s;
    set_scene(&s, "sh -c \"echo ready >&3; exec sleep 1003\"");
    send_number(&s.run, PHX_MSG_END, 60000); /* SIGTERM is enough: nothing here waits so long */
    expect_leftovers(&s, "sleep 1003");
    assert_only_outside_is_left(&s);
}
END_TEST

START_TEST(a_leftover_is_ended_though_its_worker_is_dead)
{
    static struct scene s;
    set_scene(&s, "sh -c \"echo ready >&3; exec sleep 1003\"");
    kill(s.worker, SIGKILL);
    send_number(&s.run, PHX_MSG_END, 1000);
    expect_leftovers(&s, "sleep 1003");
    assert_only_outside_is_left(&s);
}
END_TEST

START_TEST(a_stopped_leftover_gets_its_chance)
{
    static struct scene s;
    set_scene(&s, "sh -c \"trap \\\"echo term >&3; exit\\\" TERM; echo ready >&3; kill -STOP "
                  "\\$\\$; sleep 1003\"");
    send_number(&s.run, PHX_MSG_END, 5000);
    ck_assert_str_eq(read_line(&s.run), "term");
    expect_leftovers(&s, "trap");
    assert_only_outside_is_left(&s);
}
END_TEST

START_TEST(a_deaf_leftover_is_killed_after_the_grace)
{
    static struct scene s;
    set_scene(&s, "sh -c \"trap : TERM; echo ready >&3; sleep 20; sleep 20; sleep 20\"");
    phx_ns before = phx_clock_now();
    send_number(&s.run, PHX_MSG_END, 600);
    expect_leftovers(&s, "trap :");
    ck_assert_int_ge(phx_clock_now() - before, 700 * PHX_MS); /* what settles by itself has 100 */
    assert_only_outside_is_left(&s);
}
END_TEST

START_TEST(a_second_end_is_the_end)
{
    static struct scene s;
    set_scene(&s, "sh -c \"trap : TERM; echo ready >&3; sleep 20; sleep 20; sleep 20\"");
    send_number(&s.run, PHX_MSG_END, 60000);
    phx_clock_sleep(_i ? 300 * PHX_MS : 0); /* in either part of the end */
    send_number(&s.run, PHX_MSG_END, 0);
    expect_leftovers(&s, "trap :");
    assert_only_outside_is_left(&s);
}
END_TEST

START_TEST(a_controller_that_dies_during_the_grace_is_outlived_by_nothing)
{
    static struct scene s;
    set_scene(&s, "sh -c \"trap : TERM; echo ready >&3; sleep 20; sleep 20; sleep 20\"");
    send_number(&s.run, PHX_MSG_END, 60000);
    phx_clock_sleep(200 * PHX_MS);
    wait_for_marked(s.run.mark, 3);
    phx_fd_close(&s.run.socket);
    assert_gone(s.run.mark);
    ck_assert_int_eq(guard_status(&s.run), PHX_GUARD_KILLED);
}
END_TEST

START_TEST(an_end_nobody_listens_to_is_an_end)
{
    static struct run run;
    start_guard(&run);
    expect_hello(&run);
    int sent = fill(&run);
    /* The guard reads again only when it was read from a little. */
    for (int i = 0; i < sent / 2; i++)
        ck_assert_int_eq(receive(&run), PHX_MSG_SPAWN_FAILED);
    send_number(&run, PHX_MSG_END, 0);
    assert_gone(run.mark);
    ck_assert_int_eq(guard_status(&run), PHX_GUARD_ENDED);
}
END_TEST

START_TEST(the_program_refuses_what_it_cannot_use)
{
    static const char *const bad[][4] = {{NULL, NULL, NULL, NULL},
                                         {NULL, "3", NULL, NULL},
                                         {NULL, "800", "801", NULL},
                                         {NULL, "x", "0", NULL},
                                         {NULL, "-1", "0", NULL}};
    const char *argv[5] = {getenv("PHX_TEST_GUARD")};
    for (int i = 1; i < 4; i++)
        argv[i] = bad[_i][i];
    pid_t pid;
    int pidfd, status = -1;
    ck_assert_int_eq(phx_spawn(&(struct phx_spawn){.argv = argv}, &pid, &pidfd, NULL), 0);
    ck_assert_int_eq(phx_pidfd_wait(pidfd, 60 * PHX_S), 1);
    ck_assert_int_eq(phx_pidfd_reap(pidfd, &status), 0);
    ck_assert_int_eq(status, PHX_GUARD_REFUSED << 8);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_program_starts_as_agreed);
    tcase_add_test(tests, a_program_that_cannot_start_is_told);
    tcase_add_test(tests, orphans_are_adopted_and_their_status_is_told);
    tcase_add_test(tests, nothing_outlives_a_killed_controller);
    tcase_add_test(tests, nothing_outlives_a_controller_killed_early);
    tcase_add_test(tests, nothing_outlives_it_that_keeps_forking);
    tcase_add_loop_test(tests, the_end_of_the_socket_is_the_end_of_the_controller, 0, 2);
    tcase_add_loop_test(tests, nonsense_on_the_socket_ends_everything, 0, 9);
    tcase_add_test(tests, sigterm_ends_everything_and_a_terminal_nothing);
    tcase_add_test(tests, a_controller_that_reads_late_loses_nothing);
    tcase_add_loop_test(tests, a_controller_that_never_reads_is_outlived_by_nothing, 0, 2);
    tcase_add_test(tests, an_end_with_nothing_left_is_quick);
    tcase_add_test(tests, a_process_that_is_just_ending_is_not_named);
    tcase_add_test(tests, leftovers_in_a_workers_group_are_ended_and_others_left_alone);
    tcase_add_test(tests, a_leftover_is_ended_though_its_worker_is_dead);
    tcase_add_test(tests, a_stopped_leftover_gets_its_chance);
    tcase_add_test(tests, a_deaf_leftover_is_killed_after_the_grace);
    tcase_add_loop_test(tests, a_second_end_is_the_end, 0, 2);
    tcase_add_test(tests, a_controller_that_dies_during_the_grace_is_outlived_by_nothing);
    tcase_add_test(tests, an_end_nobody_listens_to_is_an_end);
    tcase_add_loop_test(tests, the_program_refuses_what_it_cannot_use, 0, 5);
}

int main(void)
{
    return harness_run("guard", 120, add);
}
