/* Machines, as the files of the controller see them: fleet.c (connections), fleet_events.c (what
 * nodes tell), fleet_deal.c (who gets which tests), fleet_ledger.c (what became of them). Nobody
 * else includes it.
 *
 * A machine is a connection to a node (role/node.h). Workers there are members like all others,
 * with numbers of the same run; the controller's run queue is for them a ledger only: tests stand
 * in no word (as by mail), and what the node tells of a test is written into it here. So whoever
 * reads the ledger, the account first of all, need not know where a worker is.
 *
 *     a test:   in the dealer ──deal──► dealt (holder) ──STARTED──► in a worker's slot ──► ended
 *                     ▲                      │                            │
 *                     └──────RETURNED────────┴─────── the machine is lost ┘ crashed, or again
 *
 * Runs in the controller, in the loop's thread. */
#ifndef PHX_ROLE_FLEET_H
#define PHX_ROLE_FLEET_H

#include "net/command.h"
#include "role/controller_impl.h"
#include "role/outbox.h"
#include "wire/node_msg.h"

enum { PHX_NOBODY = -1 }; /* holder of a test that the dealer has, or that has ended */

enum phx_machine_state {
    PHX_MACHINE_CONNECTING,
    PHX_MACHINE_UP,   /* its node has said hello */
    PHX_MACHINE_LEFT, /* its node has ended in good order */
    PHX_MACHINE_LOST, /* no more is heard of it; MACHINE_DOWN follows the end of its workers */
    PHX_MACHINE_GONE, /* that was told */
};

struct phx_machine {
    struct phx_command command; /* first */
    struct phx_controller *controller;
    uint32_t number;
    char *name; /* owned */
    enum phx_machine_state state;
    int has_greeted; /* HELLO came; NODE_INFO follows */
    struct phx_outbox out;
    struct phx_collection collected; /* what its zygote, or its first worker, has told so far */
    int has_list;                    /* that was compared with the run's */
    int is_ready;                    /* all who collect there have */
    uint32_t nworkers;               /* planned */
    uint32_t room;      /* workers it may have at a time: less those that were not replaced */
    uint32_t alive;     /* members asked for or up */
    uint32_t wanted;    /* members that events have asked for, and nobody has */
    int has_portion;    /* tests were dealt to it, or nothing was: its workers may begin */
    uint32_t unstarted; /* tests it was dealt, and has not begun or given back */
    uint32_t running;   /* tests that its workers have begun and not ended */
    phx_ns moved_at;    /* when it began a test last, or was dealt some */
    uint32_t dying;     /* workers whose end was told, and lost tests may yet be */
    int is_asked;       /* to give tests back */
    uint32_t asked_for; /* the machine that they are for */
    uint32_t asked;     /* so many */
    uint32_t promised;  /* tests that others were asked for, on its behalf, and have not given */
    phx_ns promised_at; /* when the last of them was */
    phx_ns ask_again_at;
    phx_ns given_at; /* when it was dealt what another one had given back */
    uint64_t done;   /* bit by bit, orders that it has carried out */
    phx_ns heard_at; /* when bytes came last */
    size_t heard_bytes;
    char why[PHX_ERR_TEXT_MAX]; /* it is lost */
    uint32_t told_until;        /* members whose end was told */
    int is_due;                 /* in the controller's list of machines to look at */
    struct phx_machine *next_due;
    struct phx_machine *next_giver; /* while a pump looks for one that gives */
};

/* Events of a machine, or of its zygote: a number below those of workers and of the own zygote. */
static inline int32_t phx_machine_code(const struct phx_machine *machine)
{
    return -2 - (int32_t)machine->number;
}

static inline int phx_machine_lives(const struct phx_machine *machine)
{
    return machine->state == PHX_MACHINE_UP;
}

/* Puts it on the list of machines to look at: something came, or it has changed otherwise. */
void phx_machine_mark_due(struct phx_machine *machine);

/* Queues a message. One that cannot be queued is the end of the connection. */
void phx_machine_send(struct phx_machine *machine, uint16_t type, const struct phx_buf *body);
void phx_machine_send_number(struct phx_machine *machine, uint16_t type, uint64_t number);

/* No more is heard of it, for this reason. */
void phx_machine_lose(struct phx_machine *machine, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Takes one message. Returns 1 with an event, 0 without, or a negative code for what is no
 * protocol.
 */
int phx_machine_message(struct phx_machine *machine, const struct phx_message *msg,
                        struct phx_event *out);

/* Tells of the end of a lost machine's workers, then of its own. Returns 1 with an event, or 0. */
int phx_machine_mourn(struct phx_machine *machine, struct phx_event *out);

/* ---- fleet_deal.c ---- */

int phx_fleet_returned(struct phx_machine *machine, const struct phx_message *msg);

/* What a lost machine had not begun is for others. */
void phx_fleet_reclaim(struct phx_machine *machine);

/* Deals what machines have room for, and asks for tests back for those that have nothing left. */
void phx_fleet_pump(struct phx_controller *c);

/* ---- fleet_ledger.c ---- */

/* What a node tells of a test of this member. Return 0, or PHX_E_PROTO for what cannot be. */
int phx_fleet_started(struct phx_member *member, int64_t test);
int phx_fleet_ended(struct phx_member *member, const struct phx_node_event *told);
int phx_fleet_lost(struct phx_member *member, int64_t test);

/* Whether its node has told the end of this test. */
int phx_fleet_has_ended(const struct phx_member *member, int64_t test);

/* The member is gone. Returns the test that it was running, as the ledger says now, or NONE. */
int64_t phx_fleet_bury(struct phx_member *member, enum phx_runq_phase *out_phase);

/* A machine with tests and too few workers. Returns 1 with the event that asks for one, or 0. */
int phx_fleet_wants(struct phx_machine *machine, struct phx_event *out);

#endif
