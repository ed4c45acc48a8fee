/* A worker as its controller sees it: a channel, a watch, the memfds with its last words, and what
 * is known about its end. Used by the controller's files only.
 *
 * Runs in the controller, in the loop's thread. */
#ifndef PHX_ROLE_MEMBER_H
#define PHX_ROLE_MEMBER_H

#include <stdint.h>

#include "base/clock.h"
#include "net/channel.h"
#include "net/watch.h"
#include "sched/collection.h"

enum phx_member_state {
    PHX_MEMBER_ASKED, /* a fork or a start was asked for */
    PHX_MEMBER_UP,    /* it is there; channel and watch are open */
    PHX_MEMBER_DOWN,  /* gone, its channel drained, its estate settled */
};

enum phx_member_text { PHX_TEXT_OUT, PHX_TEXT_ERR, PHX_TEXT_FAULTS, PHX_TEXT_COUNT };

struct phx_machine;

struct phx_member {
    struct phx_channel channel; /* first: the loop's callbacks hand it back */
    struct phx_watch watch;
    struct phx_controller *controller; /* borrowed */
    uint32_t number;
    enum phx_member_state state;
    struct phx_collection collected; /* what it has told so far, while it collects for itself */
    int has_collected;               /* it did, or its zygote had before the fork */
    uint32_t *places;    /* of the run's tests in its list, owned; NULL: the lists are the same */
    uint32_t nplaces;    /* with --dist each: of the first so many tests, the run has more by now */
    uint32_t ncollected; /* tests in its list, when it has collected for itself */
    int differs;         /* it collected other tests than the run's: it runs none */
    int has_queue;       /* QUEUE was sent */
    int dismissed;       /* END was sent instead: it ends its session without a test */
    int has_status;      /* `status` is known */
    int status;          /* as of waitpid */
    int finished;        /* its session ended in good order: FINISHED came */
    int stopped;         /* STOPPED came: an interrupt has reached it */
    phx_ns timeout;      /* of its test, which has run for longer; or 0 */
    phx_ns condemned_at; /* when that was found, and it was asked for its stacks; or 0 */
    int overdue;         /* it had nothing more to say, did not leave, and was ended */
    phx_ns quiet_at; /* since when it says nothing more: FINISHED, or its channel closed; or 0 */
    phx_ns up_at;    /* when FORKED told of it; 0 before */
    phx_ns gone_at;  /* when its watch fired; 0 while it lives */
    int64_t replacement; /* the number of the worker that came in its place, or PHX_RUNQ_NONE */
    int texts[PHX_TEXT_COUNT];   /* memfds, owned; -1 when closed */
    int is_dying;                /* on a machine: its end was told, and lost tests may yet be */
    struct phx_machine *machine; /* borrowed: where it runs; NULL: here, with all above */
    struct phx_buf
        words[PHX_TEXT_COUNT]; /* on a machine: what the memfds there held at its death */
    int is_ready;              /* in the controller's list of members to look at */
    struct phx_member *next_ready;
};

/* A new member in state ASKED. NULL when out of memory. */
struct phx_member *phx_member_new(struct phx_controller *controller, uint32_t number);

/* Takes over what FORKED brought: pidfd, channel and three memfds (all taken, also on failure).
 * Returns 0, or a negative code: then the worker is ended, for nobody would see it die. */
int phx_member_up(struct phx_member *member, uv_loop_t *loop, pid_t pid, const int fds[5],
                  void (*on_bytes)(struct phx_channel *), void (*on_gone)(struct phx_watch *));

/* Closes channel and watch; the memfds stay readable until phx_member_free. */
void phx_member_down(struct phx_member *member);

/* Reads the last `max` bytes of a memfd. Returns their number (0 when there is nothing to read),
 * the bytes in `out`. */
size_t phx_member_last_words(const struct phx_member *member, enum phx_member_text which, char *out,
                             size_t max);

/* Frees the memory and the memfds; the loop has closed its handles, or never opened them. */
void phx_member_free(struct phx_member *member);

#endif
