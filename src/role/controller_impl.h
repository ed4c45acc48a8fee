/* What the files of the controller share: controller.c (its life), recruit.c (asking for workers),
 * gather.c (workers that collect for themselves), step.c (waiting), events.c and from_*.c (what
 * comes in), stopping.c, late.c, figures.c. Nobody else includes it.
 *
 * Who holds what: the controller owns the loop, the guard's socket and pidfd, one zygote at a time,
 * all members, and the only writable handle on the run queue outside the workers. */
#ifndef PHX_ROLE_CONTROLLER_IMPL_H
#define PHX_ROLE_CONTROLLER_IMPL_H

#include "role/controller.h"
#include "role/heard.h"
#include "role/post.h"
#include "sched/dealer.h"

struct phx_message;
struct phx_msg_exit;
struct phx_msg_item;

enum phx_zygote_state {
    PHX_ZYGOTE_STARTING,   /* the guard was asked to start it */
    PHX_ZYGOTE_WORKING,    /* it has its set-up: it configures and collects */
    PHX_ZYGOTE_COLLECTED,  /* it waits for forks */
    PHX_ZYGOTE_FORK_POINT, /* it waits for forks before it has collected: workers do that */
    PHX_ZYGOTE_REFUSED,    /* it cannot be forked, and waits to become a worker */
    PHX_ZYGOTE_GONE,       /* dead, or a worker */
};

struct phx_zygote_peer {
    struct phx_channel channel; /* first */
    struct phx_watch watch;
    struct phx_controller *controller;
    enum phx_zygote_state state;
    int64_t number; /* the worker that it is to become, or PHX_RUNQ_NONE */
    int has_watch;  /* SPAWNED has come */
    int signal_due; /* a signal for when it comes; 0: none */
    int generation; /* 1: its collection is the run's; later ones must collect the same */
    int has_status, status;
    phx_ns status_deadline; /* of a dead one: until when the guard's word is waited for; 0 unset */
    phx_ns quiet_at;        /* since when its channel is closed, though it lives; 0: it is not */
    int stopped;            /* STOPPED came: an interrupt has reached it */
    int told_to_end;        /* END was sent */
    char why[PHX_ERR_TEXT_MAX]; /* why it is of no use, where that is known; else "" */
    struct phx_collection collected;
    struct phx_zygote_peer *next;       /* earlier ones, kept until the loop has let go of them */
    struct phx_zygote_peer *next_spawn; /* whose SPAWN comes after this one's */
};

struct phx_request { /* a fork that the zygote has not been told of, or not answered */
    uint32_t number;
    int sent;
    struct phx_buf value; /* the encoded worker input */
    struct phx_request *next;
};

struct phx_controller {
    uv_loop_t loop;
    uv_timer_t timer;
    uv_poll_t wake; /* the host's wake-up descriptor, while a step is under way */

    struct phx_channel guard;
    struct phx_watch guard_watch;
    int guard_gone;
    int guard_told; /* GUARD_DOWN was handed out */

    struct phx_zygote_peer *zygote;                   /* the newest; NULL never after open */
    struct phx_zygote_peer *starters;                 /* interpreters that become one worker each */
    struct phx_zygote_peer *spawn_first, *spawn_last; /* the guard has not answered yet, in order */
    struct phx_buf spawn;                             /* encoded SPAWN, for later zygotes */
    struct phx_buf setup;                             /* the set-up value, likewise */
    int has_setup;
    int zygote_told; /* ZYGOTE_DOWN was handed out */

    struct phx_collection
        collection; /* the run's: the zygote's, or that of the worker who was first */
    int has_collection;
    int gathered; /* GATHERED was handed out */
    struct phx_runq queue;
    struct phx_post *post; /* owned; NULL unless the run is by mail */
    void *queue_mem;
    size_t queue_size;
    int queue_fd;
    struct phx_heard heard;

    struct phx_machine **machines; /* [nmachines], owned; with any, every worker is on one */
    uint32_t nmachines;
    struct phx_machine *due_head, *due_tail; /* machines to look at */
    struct phx_dealer dealer;                /* the tests that no machine has */
    int32_t *holder;       /* [tests], owned: the machine that a test was dealt to, or -1 */
    uint32_t *position_of; /* [tests], owned: where it stands, or stood last, in the run queue */
    phx_ns test_ns;        /* how long a test takes, as those that ended lately took */
    phx_ns silence_max;    /* a machine that says nothing for so long is lost */
    phx_ns fleet_at;       /* when they were looked after last */
    phx_ns fleet_told_at;  /* when each was told that this process lives */
    int reruns_lost;       /* what ran on a lost machine runs again elsewhere */

    struct phx_member **members; /* [members_max], by number; owned */
    uint32_t members_max, nactive, next_number;
    uint32_t nparallel; /* workers planned for */
    enum phx_dist dist; /* likewise */
    int has_costs;      /* the plan's costs are the history's */
    phx_ns opened_at;
    phx_ns forked_at, ended_at;   /* the first request for a worker; the last worker's end */
    uint64_t oom_kills;           /* of the control group: those that explain no death to come */
    phx_ns suspended_at;          /* when phx_controller_suspend was called last */
    int64_t restarts_left;        /* < 0: no limit */
    int is_short;                 /* a worker could not be made, or a dead one not replaced */
    struct phx_request *requests; /* in order of asking */
    struct phx_member *ready_head, *ready_tail;
    struct phx_member *told; /* its DOWN was handed out last: its memfds may go */
    uint32_t lost_from;      /* until where its tests were looked through for lost ones */
    int stopping;            /* no replacements any more */
    phx_ns interrupt_at;     /* when to interrupt those again whom it has not reached; 0: never */
    int eventful;            /* there may be events without waiting for any */
    phx_ns looked_at;        /* when a step ended last */
    int heeds_timeouts;      /* of tests */
    phx_ns heeded_at;        /* when it looked for them last; 0: never */
    int flooded;             /* much came in one read: its sender may be waiting for room */
    int joins;               /* lists of other tests: the run is of all that anybody has */
    phx_ns ramp;             /* over which the workers planned for begin; 0: at once */
    phx_ns planned_at;       /* when the run queue was made */
    phx_ns exit_patience;    /* for a worker that has nothing more to say to leave */
    char text[PHX_ERR_TEXT_MAX]; /* of the event handed out last */
};

/* ---- recruit.c ---- */

/* A peer that is not there: GONE. NULL when out of memory. */
struct phx_zygote_peer *phx_controller_peer_new(struct phx_controller *c);

/* Has the guard start a program that speaks as a zygote: `spawn` is an encoded SPAWN, `setup` its
 * set-up or NULL. *out_peer is set, and its `next`, also on failure: then it is GONE and says why;
 * NULL only when out of memory. */
int phx_controller_spawn(struct phx_controller *c, struct phx_zygote_peer **out_peer,
                         const struct phx_buf *spawn, const struct phx_buf *setup,
                         struct phx_err *err);

/* Starts the next zygote. On failure there is none that lives: the newest one is GONE and says
 * why. */
int phx_controller_spawn_zygote(struct phx_controller *c, struct phx_err *err);

/* Sends the requests that the zygote has not seen, if it can take them. */
int phx_controller_send_requests(struct phx_controller *c);

/* Forgets the request for `number`, once it is answered. */
void phx_controller_drop_request(struct phx_controller *c, uint32_t number);

/* A member that was asked for cannot be: its share is anyone's. c->text says why. Returns 1, with
 * the event. */
int phx_controller_fork_failed(struct phx_member *member, struct phx_event *out);

/* Raises the soft limit of descriptors so that `count` things of that name, of `fds_each`, have
 * room beside the host's own. Returns 0, -EMFILE or another negative code. */
int phx_controller_make_room_for_fds(uint32_t count, const char *what, uint32_t fds_each,
                                     struct phx_err *err);

/* Makes the member for a worker that is asked for. Returns 0 or a negative code. */
int phx_controller_add_member(struct phx_controller *c, uint32_t number, struct phx_err *err);

/* ---- fleet.c, fleet_events.c, fleet_deal.c ---- */

/* Hands out the next event of a machine. Returns 1, or 0 when there is none for now. */
int phx_fleet_next(struct phx_controller *c, struct phx_event *out);

/* After every wait: writes what waits, looks for machines that have fallen silent. */
void phx_fleet_tick(struct phx_controller *c);

/* How long a wait may be for the machines' sake; < 0: for ever. */
phx_ns phx_fleet_patience(const struct phx_controller *c);

/* An order (enum phx_node_order) to every machine. */
void phx_fleet_do(struct phx_controller *c, uint64_t order);

/* Whether every living machine has carried the order out; waits are the caller's. */
int phx_fleet_has_done(const struct phx_controller *c, uint64_t order);

/* Whether all machines that live have collected, for the first time. */
int phx_fleet_gathered(struct phx_controller *c);

/* What a worker may say beside HELLO, STARTED and ENDED; anything else is no worker of ours. */
int phx_controller_may_say(const struct phx_member *member, uint16_t type);

/* A value of worker or zygote `number` cannot be decoded: its machine is lost. Returns 1, or 0 when
 * it is on no machine. */
int phx_fleet_reject(struct phx_controller *c, int32_t number);

/* The run stops: workers that are only asked for, where no test was dealt, will never be there. */
void phx_fleet_dismiss(struct phx_controller *c);

/* Deals for the first time. Takes over *plan. Returns 0 or a negative code. */
int phx_fleet_begin(struct phx_controller *c, struct phx_plan *plan);

/* Whether there are tests that some machine can still run, or will tell of. */
int phx_fleet_is_busy(const struct phx_controller *c);

/* Hands `test` out once more. Returns 0, -ENOSPC or -ENOMEM. */
int phx_fleet_again(struct phx_controller *c, uint32_t test);

/* Whether every connection has ended. */
int phx_fleet_has_left(const struct phx_controller *c);

/* Ends all connections and frees what belongs to machines. The first half before the loop's last
 * turns, the second behind them. */
void phx_fleet_close(struct phx_controller *c);
void phx_fleet_free(struct phx_controller *c);

/* ---- gather.c ---- */

/* Adds one item of ITEMS to a struct phx_collection: for phx_msg_each_item. */
int phx_controller_add_item(void *collection, const struct phx_msg_item *item);

/* Takes ITEMS and COLLECTED of a member. Return 0 or a negative code for what is no protocol. */
int phx_controller_take_items(struct phx_member *member, const struct phx_message *msg);
int phx_controller_take_collected(struct phx_member *member, const struct phx_message *msg);

/* Gives a member the run queue, or its dismissal, as soon as there is one of the two for it. */
void phx_controller_settle(struct phx_controller *c, struct phx_member *member);

/* Whether it is to get the run queue when its time of the ramp comes. */
int phx_controller_is_ramped(const struct phx_controller *c, const struct phx_member *member);

/* Whether all workers that will ever collect have, for the first time. */
int phx_controller_gathered(struct phx_controller *c);

/* ---- stopping.c ---- */

/* SIGINT to the zygote while it collects, and to every worker, unless they have said that they
 * stop. */
void phx_controller_send_interrupts(struct phx_controller *c);

/* ---- step.c ---- */

/* Runs the loop until *flag is set or `patience` is over; events stay for phx_controller_next. */
void phx_controller_run_until(struct phx_controller *c, const int *flag, phx_ns patience);

/* The same until every node has left. */
void phx_controller_run_nodes_out(struct phx_controller *c, phx_ns patience);

/* ---- timeouts.c ---- */

/* Ends the workers whose tests have run past their deadlines: they are asked for their stacks
 * first. Nothing, unless timeouts are heeded. */
void phx_controller_end_overtime(struct phx_controller *c);

/* ---- callbacks of the loop: they only note ---- */

void phx_controller_on_guard_bytes(struct phx_channel *channel);
void phx_controller_on_guard_gone(struct phx_watch *watch);
void phx_controller_on_zygote_bytes(struct phx_channel *channel);
void phx_controller_on_zygote_gone(struct phx_watch *watch);
void phx_controller_on_member_bytes(struct phx_channel *channel);
void phx_controller_on_member_gone(struct phx_watch *watch);

/* ---- from_guard.c, from_zygote.c, from_worker.c ---- */

/* Each takes what has come from its peers until there is an event. Returns 1 with *out, or 0:
 * nothing for now. */
int phx_controller_guard_next(struct phx_controller *c, struct phx_event *out);
int phx_controller_zygote_next(struct phx_controller *c, struct phx_event *out);
int phx_controller_starters_next(struct phx_controller *c, struct phx_event *out);
int phx_controller_member_next(struct phx_controller *c, struct phx_member *member,
                               struct phx_event *out);

/* A zygote or starter is dead, or could not be started. Returns likewise. */
int phx_controller_peer_down(struct phx_controller *c, struct phx_zygote_peer *peer,
                             struct phx_event *out);

/* The tests that the worker whose death was handed out last has ended unheard, one by one; then its
 * last words may go. */
int phx_controller_next_lost(struct phx_controller *c, struct phx_event *out);
void phx_controller_release_told(struct phx_controller *c);

/* Whether to wait no longer for the exit status of a dead member. */
int phx_controller_status_is_due(const struct phx_controller *c, const struct phx_member *member,
                                 phx_ns now);

/* Puts a member on the list of those to look at. */
void phx_controller_mark_ready(struct phx_member *member);

/* ---- events.c: what they share ---- */

#define PHX_STATUS_PATIENCE (5 * PHX_S) /* for the exit status of who is known to be dead */

void phx_event_of_message(struct phx_event *out, int32_t number, const struct phx_message *msg);

/* Returns 0 for a HELLO of our version, PHX_E_PROTO or PHX_E_VERSION. */
int phx_controller_check_hello(const struct phx_message *msg);

/* A peer that does not speak the protocol is treated as if it had crashed, and made to. Nothing
 * that it has said beside is heard: a lost report must not be followed by a FINISHED. */
void phx_controller_outlaw(struct phx_channel *channel, struct phx_watch *watch, int error);

/* The exit status of a process of the run, from whoever has reaped it. */
void phx_controller_note_status(struct phx_controller *c, const struct phx_msg_exit *msg);

/* A sentence if the OOM killer may have caused this death, else NULL. Each of its kills explains
 * one; those that were followed by a death of another kind were of somebody else. */
const char *phx_controller_oom_cause(struct phx_controller *c, int has_status, int status);

/* Whether somebody is dead whose exit status may still come, or done and not leaving: look again
 * soon. */
int phx_controller_has_deadlines(const struct phx_controller *c);

#endif
