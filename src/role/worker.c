#include "role/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "os/bell.h"
#include "os/shm.h"
#include "wire/frame.h"
#include "wire/msg.h"

/* A steal takes a microsecond; one of a thief that was preempted, some milliseconds; one of a dead
 * thief, until the controller has time to break its lock, which a slow hook may keep from it. */
#define CLAIM_PATIENCE (10 * PHX_S)
#define CLAIM_PAUSE (50 * (phx_ns)1000)

static struct phx_worker *armed_worker; /* of this process; for the fork handler */

/* Runs in every child of a worker, between fork and whatever comes next: async-signal-safe. */
static void disarm_in_child(void)
{
    if (!armed_worker)
        return;
    armed_worker->armed = 0;
    armed_worker->mem = NULL; /* MADV_DONTFORK: it is not mapped here */
    phx_fd_close(&armed_worker->channel);
    armed_worker = NULL;
}

static int tell_number(int channel, uint16_t type, uint64_t number)
{
    struct phx_buf body;
    phx_buf_init(&body);
    int status = phx_msg_put_number(&body, number);
    if (status == 0)
        status = phx_frame_write(channel, type, phx_buf_head(&body), phx_buf_size(&body), NULL, 0);
    phx_buf_fini(&body);
    return status;
}

static int say_hello(int channel, uint32_t number)
{
    struct phx_msg_hello hello = {.version = PHX_PROTOCOL_VERSION, .pid = (uint32_t)getpid()};
    snprintf(hello.role, sizeof hello.role, "gw%u", number);
    struct phx_buf body;
    phx_buf_init(&body);
    int status = phx_msg_put_hello(&body, &hello);
    if (status == 0)
        status = phx_frame_write(channel, PHX_MSG_HELLO, phx_buf_head(&body), phx_buf_size(&body),
                                 NULL, 0);
    phx_buf_fini(&body);
    return status;
}

int phx_worker_arm(struct phx_worker *worker, uint32_t number, int channel, struct phx_inbox *in,
                   struct phx_err *err)
{
    static int handler_registered;
    char role[16];
    snprintf(role, sizeof role, "gw%u", number);
    phx_log_role(role);
    if (!handler_registered) {
        int status = pthread_atfork(NULL, NULL, disarm_in_child);
        if (status != 0)
            return phx_err_set(err, -status, "cannot register a fork handler");
        handler_registered = 1;
    }
    int status = say_hello(channel, number);
    if (status < 0)
        return status;
    *worker = (struct phx_worker){.number = number,
                                  .armed = 1,
                                  .channel = channel,
                                  .claimed = PHX_RUNQ_NONE,
                                  .running = PHX_RUNQ_NONE};
    phx_inbox_init(&worker->in);
    if (in)
        worker->in = *in;
    armed_worker = worker;
    return 0;
}

int phx_worker_join(struct phx_worker *worker, int queue_fd, struct phx_err *err)
{
    void *mem;
    size_t size;
    struct phx_runq queue;
    if (!worker->armed)
        return PHX_E_STRAY;
    if (worker->mem)
        return PHX_E_STATE;
    int status = phx_shm_map(queue_fd, 1, &mem, &size, err);
    if (status < 0)
        return status;
    status = phx_runq_attach(&queue, mem, size, err);
    if (status == 0 && queue.by_mail &&
        size < phx_runq_bytes(&queue) + phx_mailbox_size(queue.nworkers))
        status = phx_err_set(err, PHX_E_CORRUPT, "%zu bytes have no room for mailboxes", size);
    if (status == 0 && worker->number >= queue.nworkers)
        status =
            phx_err_set(err, -EINVAL, "the run queue has no slot for worker gw%u", worker->number);
    if (status < 0) {
        phx_shm_unmap(mem, size);
        return status;
    }
    worker->queue = queue;
    worker->mem = mem;
    worker->mem_size = size;
    if (queue.by_mail)
        phx_mailbox_attach(&worker->boxes, (char *)mem + phx_runq_bytes(&queue), queue.nworkers);
    phx_runq_join(&worker->queue, worker->number);
    phx_log(PHX_LOG_INFO, "event=join");
    return 0;
}

static int take_queue(struct phx_worker *worker, const struct phx_message *msg,
                      uint32_t **out_tests, size_t *out_count, struct phx_err *err)
{
    uint32_t *tests = NULL;
    size_t count;
    int fd = -1;
    int status = phx_msg_get_queue(msg->body, msg->size, &tests, &count);
    if (status == 0)
        status = phx_inbox_take_fds(&worker->in, &fd, 1);
    if (status == 0)
        status = phx_worker_join(worker, fd, err);
    phx_fd_close(&fd);
    if (status < 0) {
        free(tests);
        return status;
    }
    *out_tests = tests;
    *out_count = count;
    return 1;
}

int phx_worker_await_queue(struct phx_worker *worker, uint32_t **out_tests, size_t *out_count,
                           struct phx_err *err)
{
    struct phx_message msg;
    int status;
    if (!worker->armed)
        return PHX_E_STRAY;
    while ((status = phx_inbox_next(&worker->in, &msg)) == 0) {
        int got = phx_inbox_read(&worker->in, worker->channel);
        if (got <= 0)
            return got == -ECONNRESET ? 0 : got;
    }
    if (status < 0)
        return status;
    if (msg.type == PHX_MSG_END)
        return 0;
    return msg.type == PHX_MSG_QUEUE ? take_queue(worker, &msg, out_tests, out_count, err)
                                     : PHX_E_PROTO;
}

/* CPU time of this process and of its children that it has waited for. */
static phx_ns cpu_time(void)
{
    struct rusage usage;
    phx_ns sum = 0;
    static const int whose[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
    for (int i = 0; i < 2; i++) {
        if (getrusage(whose[i], &usage) < 0)
            continue;
        sum += (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * PHX_S +
               (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * (phx_ns)1000;
    }
    return sum;
}

int phx_worker_claim(struct phx_worker *worker, uint32_t *out_test)
{
    if (!worker->armed)
        return PHX_E_STRAY;
    if (!worker->mem || worker->claimed != PHX_RUNQ_NONE)
        return PHX_E_STATE;
    uint32_t pos;
    phx_ns start = 0;
    int status;
    while ((status = phx_runq_claim(&worker->queue, worker->number, &pos)) == -EAGAIN) {
        phx_ns now = phx_clock_now();
        if (start == 0)
            start = now;
        else if (now - start > CLAIM_PATIENCE)
            return 0;
        phx_clock_sleep(CLAIM_PAUSE);
    }
    if (status == 0)
        phx_runq_note_cpu(&worker->queue, worker->number, cpu_time());
    if (status != 1)
        return status;
    uint32_t test = phx_runq_test(&worker->queue, pos);
    if (test >= worker->queue.ntests)
        return PHX_E_CORRUPT;
    worker->claimed = pos;
    *out_test = test;
    phx_log(PHX_LOG_DEBUG, "event=claim position=%u test=%u", pos, test);
    return 1;
}

/* Sleeps until the bell rings. What is to be looked at is in the box, not in how this ends. */
static int wait_for_mail(struct phx_worker *worker, uint32_t seen, phx_ns timeout)
{
    phx_mailbox_set_waiting(&worker->boxes, worker->number, 1);
    int status = phx_bell_wait(phx_mailbox_bell(&worker->boxes, worker->number), seen, timeout);
    phx_mailbox_set_waiting(&worker->boxes, worker->number, 0);
    return status == -EINTR ? -EINTR : -EAGAIN;
}

int phx_worker_by_mail(const struct phx_worker *worker)
{
    return worker->mem ? worker->queue.by_mail != 0 : PHX_E_STATE;
}

int phx_worker_take(struct phx_worker *worker, phx_ns timeout, uint32_t *out_test)
{
    if (!worker->armed)
        return PHX_E_STRAY;
    if (!worker->queue.by_mail || worker->ntaken == 2)
        return PHX_E_STATE;
    uint32_t position;
    /* Acquire pairs with the ring of a posting: an unchanged bell means that take saw all there is.
     */
    uint32_t seen = atomic_load_explicit(phx_mailbox_bell(&worker->boxes, worker->number),
                                         memory_order_acquire);
    if (phx_runq_closed(&worker->queue))
        return 0;
    int got = phx_mailbox_take(&worker->boxes, worker->number, &position);
    if (got < 0)
        return 0;
    if (got == 0)
        return wait_for_mail(worker, seen, timeout);
    uint32_t test = phx_runq_test(&worker->queue, position);
    if (test >= worker->queue.ntests)
        return PHX_E_CORRUPT;
    worker->taken[worker->ntaken++] = position;
    *out_test = test;
    return 1;
}

int phx_worker_enter(struct phx_worker *worker)
{
    if (!worker->armed)
        return PHX_E_STRAY;
    if (worker->ntaken == 0 || worker->running != PHX_RUNQ_NONE)
        return PHX_E_STATE;
    if (phx_runq_closed(&worker->queue))
        return 0;
    return phx_runq_enter(&worker->queue, worker->number, worker->taken[0]);
}

/* The test that was taken first becomes the claimed one. */
static int claim_taken(struct phx_worker *worker)
{
    if (worker->ntaken == 0)
        return PHX_E_STATE;
    uint32_t position = worker->taken[0];
    worker->taken[0] = worker->taken[1];
    worker->ntaken--;
    int status = phx_runq_take(&worker->queue, worker->number, position);
    if (status == 0)
        worker->claimed = position;
    return status;
}

int64_t phx_worker_permit(const struct phx_worker *worker)
{
    if (!worker->armed)
        return PHX_E_STRAY;
    if (worker->running == PHX_RUNQ_NONE)
        return PHX_E_STATE;
    return phx_runq_permit(&worker->queue, worker->number, (uint32_t)worker->running);
}

int phx_worker_start(struct phx_worker *worker)
{
    if (!worker->armed)
        return PHX_E_STRAY;
    if (worker->queue.by_mail && worker->running == PHX_RUNQ_NONE) {
        int status = claim_taken(worker);
        if (status < 0)
            return status;
    }
    if (worker->claimed == PHX_RUNQ_NONE || worker->running != PHX_RUNQ_NONE)
        return PHX_E_STATE;
    phx_runq_start(&worker->queue, worker->number, (uint32_t)worker->claimed, phx_clock_now());
    worker->running = worker->claimed;
    worker->claimed = PHX_RUNQ_NONE;
    if (!worker->queue.tells_starts)
        return 0;
    int status = tell_number(worker->channel, PHX_MSG_STARTED, (uint64_t)worker->running);
    return status == -EPIPE ? 0 : status; /* its end will not be heard either */
}

int phx_worker_phase(struct phx_worker *worker, enum phx_runq_phase phase, phx_ns took)
{
    if (!worker->armed)
        return PHX_E_STRAY;
    if (!worker->mem)
        return PHX_E_STATE;
    phx_runq_phase(&worker->queue, worker->number, phase, took, phx_clock_now());
    return 0;
}

int phx_worker_end(struct phx_worker *worker)
{
    if (!worker->armed)
        return PHX_E_STRAY;
    if (worker->running == PHX_RUNQ_NONE)
        return PHX_E_STATE;
    int status = tell_number(worker->channel, PHX_MSG_ENDED, (uint64_t)worker->running);
    if (status < 0)
        return status; /* nobody hears it: not a test that ended */
    phx_runq_end(&worker->queue, worker->number, (uint32_t)worker->running, phx_clock_now());
    worker->running = PHX_RUNQ_NONE;
    return 0;
}

int phx_worker_set_deadline(struct phx_worker *worker, const struct phx_runq_deadline *deadline)
{
    if (!worker->armed)
        return PHX_E_STRAY;
    if (worker->running == PHX_RUNQ_NONE)
        return PHX_E_STATE;
    while (!phx_runq_set_deadline(&worker->queue, worker->number, deadline))
        phx_clock_sleep(PHX_S);
    return 0;
}

int phx_worker_unclaim(struct phx_worker *worker)
{
    if (!worker->armed)
        return PHX_E_STRAY;
    if (worker->claimed != PHX_RUNQ_NONE)
        phx_runq_unclaim(&worker->queue, worker->number, (uint32_t)worker->claimed);
    worker->claimed = PHX_RUNQ_NONE;
    return 0;
}

int phx_worker_send(struct phx_worker *worker, uint16_t type, const void *body, size_t size)
{
    if (!worker->armed)
        return PHX_E_STRAY;
    return phx_frame_write(worker->channel, type, body, size, NULL, 0);
}

int phx_worker_close_queue(struct phx_worker *worker)
{
    if (!worker->armed)
        return PHX_E_STRAY;
    if (!worker->mem)
        return 0;
    phx_runq_close(&worker->queue);
    for (uint32_t i = 0; worker->queue.by_mail && i < worker->queue.nworkers; i++) {
        phx_mailbox_ring(&worker->boxes, i);
        phx_bell_wake(phx_mailbox_bell(&worker->boxes, i));
    }
    return 0;
}
