#include "role/post.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "os/bell.h"

enum { SPARE_POSITIONS = 4096, NOBODY = -1 };
#define NO_POSITION UINT32_MAX

struct sender {             /* of one worker */
    struct phx_buf backlog; /* positions, u32 each, that its box had no room for */
    int shut;               /* nothing more will be sent */
    int gone;
};

struct phx_post {
    struct phx_runq *queue; /* borrowed */
    struct phx_mailboxes boxes;
    struct sender *senders; /* [nworkers] */
    int32_t *holder;        /* [capacity]: the worker a position was sent to, or NOBODY */
    uint32_t *next;         /* [capacity]: the next position of the same test */
};

uint32_t phx_post_spare_positions(uint32_t ntests, uint32_t nparallel)
{
    uint64_t spare = (uint64_t)ntests * (nparallel - 1) + SPARE_POSITIONS;
    return spare < PHX_PLAN_TESTS_MAX ? (uint32_t)spare : PHX_PLAN_TESTS_MAX;
}

int phx_post_new(struct phx_post **out_post, struct phx_runq *queue, void *boxes)
{
    struct phx_post *post = calloc(1, sizeof *post);
    if (!post)
        return -ENOMEM;
    post->queue = queue;
    phx_mailbox_attach(&post->boxes, boxes, queue->nworkers);
    post->senders = calloc(queue->nworkers, sizeof *post->senders);
    post->holder = malloc(queue->capacity * sizeof *post->holder);
    post->next = malloc(queue->capacity * sizeof *post->next);
    if (!post->senders || !post->holder || !post->next) {
        phx_post_free(post);
        return -ENOMEM;
    }
    for (uint32_t pos = 0; pos < queue->capacity; pos++) {
        post->holder[pos] = NOBODY;
        post->next[pos] = NO_POSITION;
    }
    *out_post = post;
    return 0;
}

void phx_post_free(struct phx_post *post)
{
    if (!post)
        return;
    for (uint32_t i = 0; post->senders && i < post->queue->nworkers; i++)
        phx_buf_fini(&post->senders[i].backlog);
    free(post->senders);
    free(post->holder);
    free(post->next);
    free(post);
}

/* ---- positions ---- */

/* A position of the test that nobody has and nobody has begun; a new one if there is none.
 * Returns it or a negative code. */
static int64_t free_position(struct phx_post *post, uint32_t test)
{
    uint32_t last = test; /* by mail a test's first position is its index */
    for (uint32_t pos = test; pos != NO_POSITION; pos = post->next[pos]) {
        if (post->holder[pos] == NOBODY && phx_runq_state(post->queue, pos) == PHX_RUNQ_QUEUED)
            return pos;
        last = pos;
    }
    int64_t added = phx_runq_add_position(post->queue, test);
    if (added >= 0)
        post->next[last] = (uint32_t)added;
    return added;
}

/* ---- letters ---- */

static void deliver(struct phx_post *post, uint32_t worker)
{
    struct sender *sender = &post->senders[worker];
    size_t count = phx_buf_size(&sender->backlog) / sizeof(uint32_t);
    uint32_t letters[PHX_MAILBOX_ROOM];
    if (count > PHX_MAILBOX_ROOM)
        count = PHX_MAILBOX_ROOM;
    if (count > 0) {
        memcpy(letters, phx_buf_head(&sender->backlog), count * sizeof letters[0]);
        uint32_t posted = phx_mailbox_post(&post->boxes, worker, letters, (uint32_t)count);
        phx_buf_consume(&sender->backlog, posted * sizeof letters[0]);
    }
    if (sender->shut && phx_buf_size(&sender->backlog) == 0)
        phx_mailbox_shut(&post->boxes, worker);
    phx_bell_wake(phx_mailbox_bell(&post->boxes, worker));
}

int phx_post_send(struct phx_post *post, uint32_t worker, const uint32_t *tests, size_t count,
                  struct phx_err *err)
{
    if (worker >= post->queue->nworkers || post->senders[worker].shut)
        return phx_err_set(err, -ESRCH, "worker gw%u takes no more tests", worker);
    if (post->senders[worker].gone)
        return 0;
    struct sender *sender = &post->senders[worker];
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++) {
        if (tests[i] >= post->queue->ntests) {
            status = phx_err_set(err, -EINVAL, "there is no test %u, only %u were collected",
                                 tests[i], post->queue->ntests);
            break;
        }
        int64_t position = free_position(post, tests[i]);
        if (position < 0) {
            status = phx_err_set(err, (int)position,
                                 "too many tests are sent more than once: the run queue is full");
            break;
        }
        uint32_t letter = (uint32_t)position;
        status = phx_buf_append(&sender->backlog, &letter, sizeof letter);
        if (status == 0)
            post->holder[letter] = (int32_t)worker;
    }
    deliver(post, worker);
    return status;
}

/* Takes a letter out of what its box had no room for. Returns 1 or 0. */
static int withdraw_from_backlog(struct sender *sender, uint32_t position)
{
    size_t count = phx_buf_size(&sender->backlog) / sizeof position;
    char *letters = phx_buf_head(&sender->backlog);
    for (size_t i = count; i-- > 0;) {
        if (memcmp(letters + i * sizeof position, &position, sizeof position) != 0)
            continue;
        memmove(letters + i * sizeof position, letters + (i + 1) * sizeof position,
                (count - i - 1) * sizeof position);
        sender->backlog.end -= sizeof position;
        return 1;
    }
    return 0;
}

static int withdraw(struct phx_post *post, uint32_t worker, uint32_t test)
{
    for (uint32_t pos = test; pos != NO_POSITION; pos = post->next[pos]) {
        if (post->holder[pos] != (int32_t)worker)
            continue;
        if (withdraw_from_backlog(&post->senders[worker], pos) ||
            phx_mailbox_withdraw(&post->boxes, worker, pos)) {
            post->holder[pos] = NOBODY;
            return 1;
        }
    }
    return 0;
}

size_t phx_post_steal(struct phx_post *post, uint32_t worker, const uint32_t *tests, size_t count,
                      uint32_t *out_tests)
{
    size_t stolen = 0;
    if (worker >= post->queue->nworkers)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (tests[i] < post->queue->ntests && withdraw(post, worker, tests[i]))
            out_tests[stolen++] = tests[i];
    return stolen;
}

void phx_post_shut(struct phx_post *post, uint32_t worker)
{
    if (worker >= post->queue->nworkers)
        return;
    post->senders[worker].shut = 1;
    deliver(post, worker);
}

void phx_post_refill(struct phx_post *post, uint32_t worker)
{
    if (phx_buf_size(&post->senders[worker].backlog) > 0)
        deliver(post, worker);
}

void phx_post_bury(struct phx_post *post, uint32_t worker)
{
    struct sender *sender = &post->senders[worker];
    sender->gone = 1;
    phx_buf_fini(&sender->backlog);
    uint32_t positions = phx_runq_positions(post->queue);
    for (uint32_t pos = 0; pos < positions; pos++)
        if (post->holder[pos] == (int32_t)worker)
            post->holder[pos] = NOBODY; /* what it has run is no longer QUEUED */
}

void phx_post_wake_all(struct phx_post *post)
{
    for (uint32_t worker = 0; worker < post->queue->nworkers; worker++)
        phx_mailbox_ring(&post->boxes, worker);
    for (uint32_t worker = 0; worker < post->queue->nworkers; worker++)
        phx_bell_wake(phx_mailbox_bell(&post->boxes, worker));
}

int phx_post_waits(const struct phx_post *post, uint32_t worker)
{
    return worker < post->queue->nworkers && !post->senders[worker].gone &&
           phx_buf_size(&post->senders[worker].backlog) == 0 &&
           phx_mailbox_waits(&post->boxes, worker);
}
