/* A whole run to test the controller with: the real guard, the fake zygote (fake_zygote.h), and
 * what was seen of each worker and test. Every event is checked when it is taken: a worker's
 * messages come in order, none twice, none lost, none after its WORKER_DOWN. */
#ifndef PHX_TEST_RUN_FIXTURE_H
#define PHX_TEST_RUN_FIXTURE_H

#include <stdint.h>

#include "fake_zygote.h"
#include "role/controller.h"

enum { RUN_WORKERS_MAX = 512, RUN_PATIENCE_S = 120 };

struct run_worker {
    int asked, up, down, failed; /* times */
    int collected, differs;
    pid_t pid;
    uint32_t seq;         /* of the next message */
    int finished;         /* FINISHED came */
    struct phx_event end; /* WORKER_DOWN; `text` points to the one below */
    char text[PHX_ERR_TEXT_MAX];
    char out[64], faults[64]; /* last words, NUL-terminated */
};

struct run {
    /* set by the test before run_open; 0 is a good default */
    uint32_t ntests, nworkers;
    const char *script; /* without items= */
    int64_t max_restarts;
    phx_ns exit_patience;
    const char *guard;
    int no_plan;  /* COLLECTED only counts */
    int no_forks; /* no worker is asked for, nor replaced */

    /* seen so far */
    struct phx_controller *c;
    int guard_killed; /* by the test */
    int collected, guard_down, zygote_down, nleftovers;
    int gathered, spawns; /* GATHERED came; workers are started, not forked */
    struct phx_event zygote_end;
    struct phx_event leftovers[8];
    char zygote_text[PHX_ERR_TEXT_MAX];
    struct run_worker workers[RUN_WORKERS_MAX];
    int *started, *ended, *lost; /* [ntests]: messages, messages, events */
    uint32_t nreports, ndown, nfailed, nup;

    char directory[64], mark[64];
    int fds_before;
    int (*until)(const struct run *run);
};

/* Starts guard and zygote, and sends the script. */
void run_open(struct run *run);

/* The same without the test's death when the engine refuses; returns what it said. */
int run_try_open(struct run *run, struct phx_err *err);

/* Asks for a worker, by a fork or, in a run that spawns, by a start. */
void run_fork(struct run *run, uint32_t number);

/* Takes events until `until` says 1; the test fails when that takes RUN_PATIENCE_S. */
void run_until(struct run *run, int (*until)(const struct run *run));

/* Takes events for `duration`. */
void run_for(struct run *run, phx_ns duration);

/* Takes the events that there are, without waiting. */
void run_take_all(struct run *run);

/* ---- conditions for run_until ---- */

int run_is_collected(const struct run *run);
int run_is_over(const struct run *run); /* collected, and no worker is active */
int run_is_gathered(const struct run *run);
int run_has_nobody(const struct run *run); /* workers were asked for, and none is active */
int run_all_up(const struct run *run);     /* the first workers */
int run_has_down(const struct run *run);   /* one worker */
int run_zygote_is_down(const struct run *run);
int run_guard_is_down(const struct run *run);

/* ---- checks ---- */

/* What the ledger says, and that the messages say the same: each test not crashed and run ended
 * exactly once, nobody's twice. */
void run_check_account(struct run *run, uint64_t ended, uint64_t crashed, uint64_t not_run);

/* The controller is closed: nothing of the run is left, no descriptor either. (Of a run whose guard
 * was killed, nothing a moment later: what the controller was not told of it cannot wait for.) */
void run_close(struct run *run);

/* ---- the world ---- */

void run_shut_gate(struct run *run);
void run_open_gate(struct run *run);
pid_t run_guard_pid(void);
pid_t run_zygote_pid(const struct run *run); /* the newest; 0 when there is none */
uint32_t run_generations(const struct run *run);
int run_count_marked(const struct run *run); /* live processes of the run, without the guard */
int run_count_fds(void);
void run_wait_for_state(pid_t pid, char state); /* as in /proc: 'T' stopped …; 0: it is reaped */

#endif
