/* Asking for workers: interpreters that the guard starts (a zygote, or one that becomes a worker
 * itself), forks that the zygote makes, and the requests for them that are not answered yet.
 *
 * Runs in the controller, in the loop's thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "role/controller_impl.h"
#include "wire/msg.h"

enum {
    UNLIMITED_SPARES = 1024, /* room for replacements where their number has no limit */
    RELIEFS_MAX = 256,       /* workers for late tests when all others are gone */
    /* Both ends write before they read: with more requests under way than a socket holds answers,
     * each would wait for the other. */
    REQUESTS_UNANSWERED_MAX = 32,
    FDS_PER_WORKER = 5, /* pidfd, channel, three memfds */
    FDS_OF_THE_HOST = 256,
};

/* ---- interpreters ---- */

struct phx_zygote_peer *phx_controller_peer_new(struct phx_controller *c)
{
    struct phx_zygote_peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return NULL;
    peer->controller = c;
    peer->channel.fd = -1;
    peer->watch.pidfd = -1;
    peer->number = PHX_RUNQ_NONE;
    peer->state = PHX_ZYGOTE_GONE; /* until it is asked for */
    phx_collection_init(&peer->collected);
    return peer;
}

/* Asks the guard for a program that gets `fd` as its channel. */
static int send_spawn(struct phx_controller *c, struct phx_zygote_peer *peer,
                      const struct phx_buf *spawn, int fd)
{
    int status = phx_channel_send(&c->guard, PHX_MSG_SPAWN, phx_buf_head(spawn),
                                  phx_buf_size(spawn), &fd, 1);
    if (status < 0)
        return status;
    if (c->spawn_last)
        c->spawn_last->next_spawn = peer;
    else
        c->spawn_first = peer;
    c->spawn_last = peer;
    return 0;
}

int phx_controller_spawn(struct phx_controller *c, struct phx_zygote_peer **out_peer,
                         const struct phx_buf *spawn, const struct phx_buf *setup,
                         struct phx_err *err)
{
    int pair[2] = {-1, -1};
    struct phx_zygote_peer *peer = phx_controller_peer_new(c);
    if (!peer)
        return -ENOMEM;
    peer->next = *out_peer;
    *out_peer = peer;
    int status = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ? -errno : 0;
    if (status == 0) /* takes pair[0] */
        status =
            phx_channel_open(&peer->channel, &c->loop, pair[0], phx_controller_on_zygote_bytes);
    if (status == 0)
        status = send_spawn(c, peer, spawn, pair[1]);
    phx_fd_close(&pair[1]);
    if (status == 0 && setup) {
        status = phx_channel_send(&peer->channel, PHX_MSG_SETUP, phx_buf_head(setup),
                                  phx_buf_size(setup), NULL, 0);
        if (status == -EPIPE) /* it is dead already, or could not be started: the guard tells */
            status = 0;
    }
    if (status < 0) {
        snprintf(peer->why, sizeof peer->why, "cannot start a zygote: %s", phx_err_text(status));
        return phx_err_set(err, status, "cannot start a zygote");
    }
    peer->state = setup ? PHX_ZYGOTE_WORKING : PHX_ZYGOTE_STARTING;
    return 0;
}

int phx_controller_spawn_zygote(struct phx_controller *c, struct phx_err *err)
{
    int generation = c->zygote ? c->zygote->generation + 1 : 1;
    int status =
        phx_controller_spawn(c, &c->zygote, &c->spawn, c->has_setup ? &c->setup : NULL, err);
    if (c->zygote)
        c->zygote->generation = generation;
    return status;
}

/* ---- room ---- */

/* The usual soft limit of 1,024 descriptors is for programs that use select(); it ends at 200
 * workers. */
int phx_controller_make_room_for_fds(uint32_t count, const char *what, uint32_t fds_each,
                                     struct phx_err *err)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)count * fds_each + FDS_OF_THE_HOST;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return 0;
    if (limit.rlim_max < wanted)
        return phx_err_set(
            err, -EMFILE, "%u %s need %llu file descriptors, the limit is %llu (ulimit -Hn)", count,
            what, (unsigned long long)wanted, (unsigned long long)limit.rlim_max);
    limit.rlim_cur = wanted;
    return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

static int check_recruits(const struct phx_controller *c, uint32_t nworkers, struct phx_err *err)
{
    if (c->members)
        return phx_err_set(err, PHX_E_STATE, "workers were asked for already");
    if (nworkers > PHX_RUNQ_WORKERS_MAX)
        return phx_err_set(err, -EINVAL, "%u workers were asked for, the most is %d", nworkers,
                           PHX_RUNQ_WORKERS_MAX);
    if (c->nmachines > 0) /* there */
        return 0;
    return phx_controller_make_room_for_fds(nworkers, "workers", FDS_PER_WORKER, err);
}

int phx_controller_recruit_numbers(struct phx_controller *c, uint32_t nworkers, uint32_t room,
                                   struct phx_err *err)
{
    int status = check_recruits(c, nworkers, err);
    if (status < 0)
        return status;
    c->members = calloc(room, sizeof *c->members);
    if (!c->members)
        return -ENOMEM;
    c->members_max = c->next_number = room; /* none is left to name a replacement by */
    c->nparallel = nworkers;
    return 0;
}

int phx_controller_recruit(struct phx_controller *c, uint32_t nworkers, int64_t max_restarts,
                           struct phx_err *err)
{
    int status = check_recruits(c, nworkers, err);
    if (status < 0)
        return status;
    int64_t spares =
        max_restarts < 0 || max_restarts > UNLIMITED_SPARES ? UNLIMITED_SPARES : max_restarts;
    uint64_t wanted = nworkers + (uint64_t)spares + RELIEFS_MAX;
    uint32_t max = wanted < PHX_RUNQ_WORKERS_MAX ? (uint32_t)wanted : PHX_RUNQ_WORKERS_MAX;
    c->members = calloc(max > 0 ? max : 1, sizeof *c->members);
    if (!c->members)
        return -ENOMEM;
    c->members_max = max;
    c->restarts_left = max_restarts;
    c->next_number = nworkers;
    c->nparallel = nworkers;
    return 0;
}

int phx_controller_add_member(struct phx_controller *c, uint32_t number, struct phx_err *err)
{
    if (number >= c->next_number || c->members[number])
        return phx_err_set(err, PHX_E_STATE, "worker gw%u cannot be asked for", number);
    c->members[number] = phx_member_new(c, number);
    if (!c->members[number])
        return -ENOMEM;
    c->nactive++;
    if (c->forked_at == 0)
        c->forked_at = phx_clock_now();
    c->eventful = 1;
    return 0;
}

/* Takes a request back that could not be made. */
static void forget_member(struct phx_controller *c, uint32_t number)
{
    phx_member_free(c->members[number]);
    c->members[number] = NULL;
    c->nactive--;
}

/* ---- forks ---- */

int phx_controller_send_requests(struct phx_controller *c)
{
    if (c->zygote->state != PHX_ZYGOTE_COLLECTED && c->zygote->state != PHX_ZYGOTE_FORK_POINT)
        return 0;
    int unanswered = 0;
    for (struct phx_request *request = c->requests; request && unanswered < REQUESTS_UNANSWERED_MAX;
         request = request->next) {
        unanswered++;
        if (request->sent)
            continue;
        struct phx_buf body;
        phx_buf_init(&body);
        int status = phx_msg_put_fork(&body, request->number, phx_buf_head(&request->value),
                                      phx_buf_size(&request->value));
        if (status == 0)
            status = phx_channel_send(&c->zygote->channel, PHX_MSG_FORK, phx_buf_head(&body),
                                      phx_buf_size(&body), NULL, 0);
        phx_buf_fini(&body);
        if (status < 0)
            return status == -EPIPE ? 0 : status; /* its death is seen elsewhere */
        request->sent = 1;
    }
    return 0;
}

void phx_controller_drop_request(struct phx_controller *c, uint32_t number)
{
    for (struct phx_request **at = &c->requests; *at; at = &(*at)->next) {
        struct phx_request *request = *at;
        if (request->number != number)
            continue;
        *at = request->next;
        phx_buf_fini(&request->value);
        free(request);
        return;
    }
}

int phx_controller_fork(struct phx_controller *c, uint32_t number, const void *value, size_t size,
                        struct phx_err *err)
{
    struct phx_request *request = calloc(1, sizeof *request);
    int status = request ? phx_buf_append(&request->value, value, size) : -ENOMEM;
    if (status == 0)
        status = phx_controller_add_member(c, number, err);
    if (status < 0) {
        if (request)
            phx_buf_fini(&request->value);
        free(request);
        return status;
    }
    request->number = number;
    struct phx_request **tail = &c->requests;
    while (*tail)
        tail = &(*tail)->next;
    *tail = request;
    if (c->zygote->state == PHX_ZYGOTE_GONE && phx_controller_spawn_zygote(c, NULL) < 0)
        return 0; /* FORK_FAILED tells */
    status = phx_controller_send_requests(c);
    if (status < 0) {
        phx_controller_drop_request(c, number);
        forget_member(c, number);
        return phx_err_set(err, status, "cannot ask for worker gw%u", number);
    }
    return 0;
}

/* ---- starts ---- */

int phx_controller_start(struct phx_controller *c, uint32_t number,
                         const struct phx_controller_program *program, const void *value,
                         size_t size, struct phx_err *err)
{
    struct phx_buf spawn, setup;
    phx_buf_init(&spawn);
    phx_buf_init(&setup);
    int status = phx_buf_append(&setup, value, size);
    if (status == 0 && program) {
        struct phx_msg_spawn msg = {.argv = program->argv,
                                    .environment = program->environment,
                                    .directory = program->directory};
        status = phx_msg_put_spawn(&spawn, &msg);
    }
    if (status == 0)
        status = phx_controller_add_member(c, number, err);
    if (status == 0) {
        const struct phx_zygote_peer *before = c->starters;
        status = phx_controller_spawn(c, &c->starters, program ? &spawn : &c->spawn, &setup, err);
        if (c->starters != before)
            c->starters->number = number;
        if (status < 0)
            forget_member(c, number);
    }
    phx_buf_fini(&spawn);
    phx_buf_fini(&setup);
    return status;
}

int phx_controller_become(struct phx_controller *c, uint32_t number, const void *value, size_t size,
                          struct phx_err *err)
{
    struct phx_zygote_peer *zygote = c->zygote;
    struct phx_buf body;
    if ((zygote->state != PHX_ZYGOTE_REFUSED && zygote->state != PHX_ZYGOTE_STARTING) ||
        zygote->number != PHX_RUNQ_NONE)
        return phx_err_set(err, PHX_E_STATE, "the zygote cannot become worker gw%u", number);
    int status = phx_controller_add_member(c, number, err);
    if (status < 0)
        return status;
    phx_buf_init(&body);
    if (zygote->state == PHX_ZYGOTE_STARTING) {
        status = phx_channel_send(&zygote->channel, PHX_MSG_SETUP, value, size, NULL, 0);
        zygote->state = PHX_ZYGOTE_WORKING;
    } else {
        status = phx_msg_put_fork(&body, number, value, size);
        if (status == 0)
            status = phx_channel_send(&zygote->channel, PHX_MSG_BECOME, phx_buf_head(&body),
                                      phx_buf_size(&body), NULL, 0);
    }
    phx_buf_fini(&body);
    zygote->number = number;
    /* A dead zygote is told by FORK_FAILED, with its status. */
    return status == -EPIPE ? 0 : status;
}
