/* A plan: in what order the tests of a run are handed out, cut into units and spans.
 *
 * src/sched makes it from what was collected; the run queue is filled from it. A *position* is an
 * index into `order`; a *test* is an index into the collected list.
 *
 * Runs in the controller; plain memory. */
#ifndef PHX_QUEUE_PLAN_H
#define PHX_QUEUE_PLAN_H

#include <stdint.h>

struct phx_plan_span {
    uint32_t lo,
        hi; /* positions [lo, hi); a span begins and ends at unit boundaries; may be empty */
};

/* Tests that may not run beside others. Group 0, if there are groups, is of exclusive tests, which
 * run alone: its permits are 0. Of another one no more run at a time than it has permits. */
struct phx_plan_group {
    uint32_t lo, hi; /* positions; the groups lie one behind the other, from 0, before all spans */
    uint32_t permits;
};

struct phx_plan {
    uint32_t ntests;   /* 0 to PHX_PLAN_TESTS_MAX */
    uint32_t nspans;   /* one per first worker */
    uint32_t *order;   /* owned, [ntests]: position -> test, a permutation */
    uint32_t *unit;    /* owned, [ntests]: position -> unit number; equal numbers are adjacent */
    uint32_t *cost_us; /* owned, [ntests]: position -> estimated microseconds, >= 1 */
    uint32_t *seam_us; /* owned, [ntests] or NULL: what a cut before this position would cost in
                          set-ups made twice */
    struct phx_plan_span *spans; /* owned, [nspans]: with the groups, they hold every position once;
                                    all empty with by_mail and is_dealt */
    struct phx_plan_group *groups; /* owned, [ngroups] or NULL */
    uint32_t ngroups;              /* at most PHX_PLAN_GROUPS_MAX */
    uint16_t *mail_group; /* owned, [ntests] or NULL; by mail groups hold no positions: 0, or one
                             more than the number of a test's group */
    int is_dealt; /* no position is in a span: tests come later (phx_runq_add_unit), from elsewhere,
                     where each start is to be known (a node: role/node.h) */
    int by_mail;  /* no position is in a span: mailboxes say who runs what (mailbox.h) */
    int keep_first_unit; /* each worker's first unit may not be stolen before its first claim */
};

enum {
    PHX_PLAN_TESTS_MAX = 16 * 1024 * 1024,
    PHX_PLAN_GROUPS_MAX = 1024,
};

/* The plan of a run by mail: position and test are the same.
 * out      set on success only; the caller ends it with phx_plan_fini
 * Returns  0 or -ENOMEM. */
int phx_plan_by_mail(struct phx_plan *out, uint32_t ntests, uint32_t nworkers);

/* The plan of a run whose tests are dealt to it while it runs. Likewise. */
int phx_plan_dealt(struct phx_plan *out, uint32_t ntests, uint32_t nworkers);

/* Frees what the plan owns and empties it; the struct itself is the caller's. */
void phx_plan_fini(struct phx_plan *plan);

#endif
