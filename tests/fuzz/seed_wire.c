/* Writes the corpus that the fuzzer starts from, one file per message, with the real encoders:
 *
 *     ninja -C build tests/fuzz/seed_wire && build/tests/fuzz/seed_wire tests/fuzz/corpus/wire
 *
 * The layout of an input is in fuzz_wire.c. Files of other names in the corpus stay. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/node_msg.h"
#include "wire/packer.h"

static const char *directory;
static const char *const argv_sent[] = {"/usr/bin/python3", "-m", "pytest", "-n2", NULL};
static const char *const environment[] = {"PATH=/usr/bin", "EMPTY=", NULL};

static void require(int good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static int seed_open(const char *name, char piece)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    require(fd >= 0, path);
    require(write(fd, &piece, 1) == 1, path);
    return fd;
}

static void seed_message(const char *name, uint16_t type, struct phx_buf *body)
{
    int fd = seed_open(name, 15);
    require(phx_frame_write(fd, type, phx_buf_head(body), phx_buf_size(body), NULL, 0) == 0, name);
    close(fd);
    phx_buf_consume(body, phx_buf_size(body));
}

/* The same bytes as a body without its frame, which the fuzzer tries as well. */
static void seed_body(const char *name, const struct phx_buf *body)
{
    int fd = seed_open(name, 0);
    size_t size = phx_buf_size(body);
    require(write(fd, phx_buf_head(body), size) == (ssize_t)size, name);
    close(fd);
}

static void seed_small(struct phx_buf *body)
{
    struct phx_msg_hello hello = {.version = 1, .pid = 4711, .role = "zygote"};
    struct phx_msg_exit reaped = {.number = -1, .pid = 70000, .status = 9};
    struct phx_msg_exit exited = {.number = 3, .pid = 300, .status = -1};
    struct phx_msg_forked forked = {.number = 1, .pid = 300};
    struct phx_msg_leftover leftover = {.pid = 5, .group = 4, .ended = 1, .command = "sleep 99"};
    struct phx_msg_text failed = {.number = -1, .text = "cannot start /bin/x: no such file"};
    struct phx_msg_text fork_failed = {.number = 2, .text = "out of memory"};
    require(phx_msg_put_hello(body, &hello) == 0, "hello");
    seed_body("hello-body", body);
    seed_message("hello", PHX_MSG_HELLO, body);
    require(phx_msg_put_exit(body, &reaped) == 0, "reaped");
    seed_message("reaped", PHX_MSG_REAPED, body);
    require(phx_msg_put_exit(body, &exited) == 0, "exited");
    seed_message("exited", PHX_MSG_EXITED, body);
    require(phx_msg_put_forked(body, &forked) == 0, "forked");
    seed_message("forked", PHX_MSG_FORKED, body);
    require(phx_msg_put_leftover(body, &leftover) == 0, "leftover");
    seed_message("leftover", PHX_MSG_LEFTOVER, body);
    require(phx_msg_put_text(body, &failed) == 0, "spawn-failed");
    seed_message("spawn-failed", PHX_MSG_SPAWN_FAILED, body);
    require(phx_msg_put_text(body, &fork_failed) == 0, "fork-failed");
    seed_message("fork-failed", PHX_MSG_FORK_FAILED, body);
    require(phx_msg_put_number(body, UINT64_MAX) == 0, "end");
    seed_message("end", PHX_MSG_END, body);
    require(phx_msg_put_fork(body, 7, "\x81\xa1k\x93\x01\xc0\xcb?\xf8\0\0\0\0\0\0", 15) == 0,
            "fork");
    seed_message("fork", PHX_MSG_FORK, body);
    static const uint32_t places[] = {2, 0, 70000, 1};
    require(phx_msg_put_queue(body, places, 4) == 0, "queue");
    seed_body("queue-body", body);
    seed_message("queue", PHX_MSG_QUEUE, body);
}

static void seed_spawn(struct phx_buf *body)
{
    struct phx_msg_spawn spawn = {argv_sent, environment, "/tmp"};
    struct phx_msg_spawn bare = {argv_sent, NULL, NULL};
    require(phx_msg_put_spawn(body, &spawn) == 0, "spawn");
    seed_body("spawn-body", body);
    seed_message("spawn", PHX_MSG_SPAWN, body);
    require(phx_msg_put_spawn(body, &bare) == 0, "spawn-bare");
    seed_message("spawn-bare", PHX_MSG_SPAWN, body);
}

/* As Python sends them. */
static void seed_items(struct phx_buf *body)
{
    msgpack_packer packer = phx_packer(body);
    msgpack_pack_array(&packer, 2);
    for (int i = 0; i < 2; i++) {
        msgpack_pack_array(&packer, 4);
        msgpack_pack_str_with_body(&packer, "t.py::test_a", 12);
        if (i == 0)
            msgpack_pack_nil(&packer);
        else
            msgpack_pack_str_with_body(&packer, "group", 5);
        msgpack_pack_array(&packer, 2);
        msgpack_pack_uint32(&packer, 7);
        msgpack_pack_uint32(&packer, 100000);
        msgpack_pack_array(&packer, 2);
        msgpack_pack_str_with_body(&packer, "db", 2);
        msgpack_pack_uint32(&packer, 2);
    }
    seed_body("items-body", body);
    seed_message("items", PHX_MSG_ITEMS, body);
}

static void seed_node(struct phx_buf *body)
{
    static const uint32_t portion[] = {2, 5, 1000, 6, 2000, 1, 9, 70000};
    struct phx_node_event down = {.kind = 7,
                                  .number = 3,
                                  .type = PHX_MSG_REPORT,
                                  .body = {"\x81\xa1k\xc0", 4},
                                  .count = 70000,
                                  .pid = 4711,
                                  .has_status = 1,
                                  .status = 9,
                                  .test = 12,
                                  .phase = 2,
                                  .phase_us = {1, 200, 70000},
                                  .total_us = 70201,
                                  .text = {"it died", 7},
                                  .words = {{"out", 3}, {"", 0}}};
    require(phx_node_msg_put_event(body, &down) == 0, "node-event");
    seed_body("node-event-body", body);
    seed_message("node-event", PHX_MSG_NODE_EVENT, body);
    require(phx_msg_put_queue(body, portion, 8) == 0, "node-deal");
    seed_message("node-deal", PHX_MSG_NODE_DEAL, body);
    require(phx_msg_put_number(body, PHX_NODE_END) == 0, "node-do");
    seed_message("node-do", PHX_MSG_NODE_DO, body);
}

static void seed_streams(struct phx_buf *body)
{
    static const char joined[] = "\x02\0\0\0\x05\0\x01\0\x91\xa3" /* a message of three frames */
                                 "\0\0\0\0\x05\0\x01\0"
                                 "\x03\0\0\0\x05\0\0\0abc"
                                 "\x01\0\0\0\x20\0\0\0\xc0"; /* and one more */
    int fd = seed_open("joined", 2);
    require(write(fd, joined, sizeof joined - 1) == sizeof joined - 1, "joined");
    close(fd);
    fd = seed_open("many", 3);
    for (uint16_t type = 1; type < 8; type++) {
        require(phx_msg_put_number(body, type * 1000U) == 0, "many");
        require(phx_frame_write(fd, type, phx_buf_head(body), phx_buf_size(body), NULL, 0) == 0,
                "many");
        phx_buf_consume(body, phx_buf_size(body));
    }
    close(fd);
}

int main(int argc, char **argv)
{
    require(argc == 2, "usage: seed_wire DIRECTORY");
    directory = argv[1];
    struct phx_buf body;
    phx_buf_init(&body);
    seed_small(&body);
    seed_spawn(&body);
    seed_items(&body);
    seed_node(&body);
    seed_streams(&body);
    phx_buf_fini(&body);
    return 0;
}
