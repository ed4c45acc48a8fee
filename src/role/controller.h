/* The controller's side of the engine: it starts guard and zygote, fills the run queue, asks for
 * workers, gathers what they say, sees them die, and keeps the account.
 *
 * Its user (the binding; a test) drives it:
 *
 *     open → setup → step/next … COLLECTED → plan → fork × N → step/next … → end → close
 *
 * or, where workers collect for themselves,
 *
 *     open → setup → step/next … FORK_HERE → recruit → fork × N ─┐
 *     open → setup → step/next … REFUSED → recruit → become 0 ───┼─ step/next … GATHERED → plan → …
 *     open → recruit → become 0, start × N-1 ────────────────────┘  (also after REFUSED)
 *
 * phx_controller_step waits and only gathers bytes; phx_controller_next hands out one event at a
 * time, in the order in which each process caused them. No callback runs the user's code.
 *
 * Runs in the controller, always in the same thread, which need not be the main one. Installs no
 * signal handler, uses no SIGCHLD, never waits for a child that is not its own. */
#ifndef PHX_ROLE_CONTROLLER_H
#define PHX_ROLE_CONTROLLER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "queue/runq.h"
#include "role/member.h"
#include "sched/planner.h"

struct phx_controller;
struct phx_post;

struct phx_machine_options {
    const char *name;        /* for people; copied */
    const char *const *argv; /* the command that starts a node and is its standard input and output,
                                NULL-terminated; argv[0] is a path */
};

enum phx_event_kind {
    PHX_EVENT_MESSAGE =
        1,               /* `type` with an encoded value, from worker `number` or the zygote (-1) */
    PHX_EVENT_COLLECTED, /* `count` tests, by the zygote (-1), which waits for forks, or by worker
                            `number`; `status` 1: they are not those of the others */
    PHX_EVENT_GATHERED,  /* every worker that is alive has collected; `count` tests */
    PHX_EVENT_ZYGOTE_DOWN, /* before COLLECTED: there will be no run. `status` if `has_status` */
    PHX_EVENT_WORKER_UP,   /* `number` is there, as `pid` */
    PHX_EVENT_WORKER_DOWN, /* `number` is gone; everything it wrote was handed out before this */
    PHX_EVENT_TEST_LOST,   /* after WORKER_DOWN: `number` ended `test`, and nobody heard how: `text`
                            */
    PHX_EVENT_FORK_FAILED, /* `number` could not be made: `text` */
    PHX_EVENT_GUARD_DOWN,  /* orphans cannot be prevented any more; running workers go on */
    PHX_EVENT_LEFTOVER,    /* `pid` `text` was still there at the end; `status` 1: it was ended */
    PHX_EVENT_TEST_STARTED, /* on a node only: `number` starts `test`, or has ended it, at position
                             */
    PHX_EVENT_TEST_ENDED,   /* `count` of the node's run queue */
    PHX_EVENT_MACHINE_UP,   /* machine `number` answers; `text`: what it tells of itself */
    PHX_EVENT_MACHINE_DOWN, /* machine `number` is lost, with its workers; `text`: why */
    PHX_EVENT_MACHINE_SAYS, /* `text` is a line that came from machine `number` on standard error */
    PHX_EVENT_WORKER_WANTED, /* `number` is to be asked for, on the machine `count` */
};

struct phx_event {
    enum phx_event_kind kind;
    int32_t number;   /* of a worker, or -1 */
    uint16_t type;    /* MESSAGE: enum phx_message_type */
    const char *body; /* MESSAGE: borrowed until the next call on the controller */
    size_t size;
    uint64_t count;            /* COLLECTED */
    int32_t pid;               /* WORKER_UP, LEFTOVER */
    int has_status;            /* ZYGOTE_DOWN, WORKER_DOWN, TEST_LOST: somebody could reap it */
    int status;                /* as of waitpid; LEFTOVER: see there */
    int finished;              /* WORKER_DOWN: its session had ended in good order */
    int64_t test;              /* WORKER_DOWN: the test it was running, or NONE; TEST_LOST */
    enum phx_runq_phase phase; /* WORKER_DOWN: of that test */
    int64_t replacement;       /* WORKER_DOWN: the number to fork in its place, or PHX_RUNQ_NONE */
    const char *text;          /* a sentence, or NULL; borrowed likewise */
};

struct phx_controller_options {
    const char *guard_path;         /* the guard's executable; copied, as are the next three; NULL:
                                       no guard and no zygote, as all workers are on machines */
    const char *const *argv;        /* the zygote's program, NULL-terminated */
    const char *const *environment; /* "NAME=value", NULL-terminated */
    const char *directory;          /* its working directory */
    phx_ns exit_patience; /* for a worker that ended its session, or its channel; 0: 10 s */
};

/* Starts the guard, and through it the zygote. out_controller is set on success only; the caller
 * ends it with phx_controller_close. Returns 0 or a negative code with *err filled. */
int phx_controller_open(struct phx_controller **out_controller,
                        const struct phx_controller_options *options, struct phx_err *err);

/* Kills whatever of the run is left, waits for the guard, frees everything. NULL is fine. */
void phx_controller_close(struct phx_controller *controller);

/* Sends the zygote its set-up: an encoded Python value, copied (a later zygote gets it again). */
int phx_controller_setup(struct phx_controller *controller, const void *value, size_t size,
                         struct phx_err *err);

/* Makes room for `nworkers` workers and their replacements (`max_restarts` < 0: no limit), before
 * the first of them is asked for. Once. Returns 0 or a negative code. */
int phx_controller_recruit(struct phx_controller *controller, uint32_t nworkers,
                           int64_t max_restarts, struct phx_err *err);

/* The same on a node, whose controller elsewhere names the workers: any number below `room` - 1,
 * and no replacement of its own. `room` is 2 at least. */
int phx_controller_recruit_numbers(struct phx_controller *controller, uint32_t nworkers,
                                   uint32_t room, struct phx_err *err);

/* Makes the plan and the run queue for what was collected, recruits if that was not done, and sends
 * the run queue to the workers that are there. Returns 0 or a negative code. */
int phx_controller_plan(struct phx_controller *controller,
                        const struct phx_planner_options *options, int64_t max_restarts,
                        struct phx_err *err);

/* With --dist each: workers that collect for themselves may find different tests. The run is of all
 * of them: the first one's list, and behind it what each other one has that is not there yet, as
 * they come. A worker gets positions of its own tests only. Called before there are workers. */
void phx_controller_join_collections(struct phx_controller *controller);

/* Workers get the run queue one after the other, spread over `duration` from phx_controller_plan
 * on, before which this is called: of N workers the one with number i after i/N of it. Once nothing
 * is left to run those that wait for their time get it at once. Replacements do not wait. */
void phx_controller_ramp(struct phx_controller *controller, phx_ns duration);

/* Asks for worker `number` (0, 1, …, or the replacement an event named); `value` goes to it as its
 * input. If the zygote has died a new one is started and collects again first.
 * Returns 0 or a negative code; later failures are FORK_FAILED events. */
int phx_controller_fork(struct phx_controller *controller, uint32_t number, const void *value,
                        size_t size, struct phx_err *err);

struct phx_controller_program {     /* an interpreter to start; all borrowed */
    const char *const *argv;        /* NULL-terminated, as is the next */
    const char *const *environment; /* "NAME=value"; NULL: the guard's */
    const char *directory;          /* NULL: the guard's */
};

/* Starts worker `number` from scratch: a fresh interpreter that becomes exactly this worker.
 * program  NULL: the one that the zygote runs
 * value    its set-up, which says that it is this worker
 * Returns  as phx_controller_fork */
int phx_controller_start(struct phx_controller *controller, uint32_t number,
                         const struct phx_controller_program *program, const void *value,
                         size_t size, struct phx_err *err);

/* The zygote, which has said REFUSED, or has no set-up yet, becomes worker `number` itself: `value`
 * is that worker's input, or its set-up. Returns as phx_controller_fork. */
int phx_controller_become(struct phx_controller *controller, uint32_t number, const void *value,
                          size_t size, struct phx_err *err);

/* ---- machines: all workers of such a run are on one; role/node.h is the other end ----
 *
 *     open (without a guard) → add_machine × M → step/next … MACHINE_UP × M → recruit →
 *     setup_machine × M, ask_machine × N → step/next … GATHERED → plan → step/next … → end → close
 *
 * Events of a machine, and of its zygote, have the number -2 - machine. */

/* Starts the command that leads to a machine. Returns 0 with *out_number, or a negative code. */
int phx_controller_add_machine(struct phx_controller *controller,
                               const struct phx_machine_options *options, uint32_t *out_number,
                               struct phx_err *err);

/* How many workers it is to have, and the set-up of its zygote, an encoded Python value (NULL: see
 * phx_controller_spawn_on_machine). Returns 0 or a negative code. */
int phx_controller_setup_machine(struct phx_controller *controller, uint32_t machine,
                                 uint32_t nworkers, const void *value, size_t size,
                                 struct phx_err *err);

/* Asks for worker `number` there. Which of the two values it gets, the one of phx_controller_fork
 * or the one of phx_controller_start, its node decides. Returns as phx_controller_fork. */
int phx_controller_ask_machine(struct phx_controller *controller, uint32_t number, uint32_t machine,
                               const struct phx_buf *fork_value, const struct phx_buf *spawn_value,
                               struct phx_err *err);

/* Every worker there starts afresh; instead of a set-up, after all were asked for. */
void phx_controller_spawn_on_machine(struct phx_controller *controller, uint32_t machine);

/* After how long a silence a machine that has answered is lost (0: 30 s), and whether what ran
 * there runs again. */
void phx_controller_set_loss(struct phx_controller *controller, phx_ns silence_max, int reruns);

/* Waits until something may have happened, at most `timeout` (< 0: for ever). `wake_fd` (or -1)
 * ends the wait when it becomes readable. Returns 0 or a negative code. May block; takes no Python
 * lock. */
int phx_controller_step(struct phx_controller *controller, phx_ns timeout, int wake_fd);

/* Takes the next event. Returns 1, or 0 when there is none for now. */
int phx_controller_next(struct phx_controller *controller, struct phx_event *out);

/* The value of the message that worker `number` (-1: the zygote) sent last cannot be decoded:
 * treats it as if it had crashed, and ends it. */
void phx_controller_reject(struct phx_controller *controller, int32_t number);

/* Workers asked for and not yet down. */
uint32_t phx_controller_active(const struct phx_controller *controller);

/* Hands out `test` once more, to whoever asks next; but to worker `elsewhere` (or PHX_RUNQ_NONE)
 * only if there is no other. Returns 0, -ENOSPC, or another negative. */
int phx_controller_add_late(struct phx_controller *controller, uint32_t test, int64_t elsewhere);

/* On a node (PHX_DIST_DEALT): puts a unit into the run queue. Returns 0, -ENOSPC, or another
 * negative code. */
int phx_controller_add_unit(struct phx_controller *controller, const uint32_t *tests,
                            const uint32_t *costs_us, uint32_t count);

/* On a node: hands the run queue to the workers that wait for it, once tests were added: who finds
 * nothing leaves, so phx_controller_plan does not. Elsewhere it has been done. */
void phx_controller_settle_all(struct phx_controller *controller);

/* On a node: takes units back that nobody has begun, until `count` tests are appended to `out`
 * (u32 each) or none is left. Returns 0 or -ENOMEM. */
int phx_controller_take_back(struct phx_controller *controller, uint32_t count,
                             struct phx_buf *out);

/* When all workers are gone and late tests are left: how many workers to fork for them, with
 * numbers from *out_first on, as for a replacement. 0 when none is needed, or none may be: the run
 * stops, a dead worker was not replaced, a worker could not be made. Not counted as restarts. */
uint32_t phx_controller_relieve(struct phx_controller *controller, uint32_t *out_first);

/* The mailboxes of a run whose plan was made by_mail, else NULL. Borrowed; see role/post.h. */
struct phx_post *phx_controller_post(struct phx_controller *controller);

/* Whether every worker there is waits for mail, and none is under way: with no event left to hand
 * out, a scheduler that sends nothing now never will. */
int phx_controller_stalled(const struct phx_controller *controller);

/* From now on a worker is ended when its test has run past the deadline that it has set. */
void phx_controller_heed_timeouts(struct phx_controller *controller);

/* Nobody claims any more, and who has no run queue yet gets none. With SIGINT to every worker's
 * group, or during collection to the zygote's. */
void phx_controller_stop(struct phx_controller *controller);
void phx_controller_interrupt(struct phx_controller *controller);

/* SIGKILL to every worker's group and to the zygote. */
void phx_controller_kill(struct phx_controller *controller);

/* SIGSTOP and SIGCONT to the zygote and every worker's group, around the controller's own stop. */
void phx_controller_suspend(struct phx_controller *controller);
void phx_controller_resume(struct phx_controller *controller);

/* Tells the zygote to end, once, and waits for `patience` at most. The messages that it sends
 * meanwhile come from phx_controller_next afterwards. Returns 1 when it is gone, or nobody could
 * tell it; 0 when it needs more time. No worker is active any more. */
int phx_controller_end_zygote(struct phx_controller *controller, phx_ns patience);

/* The orderly end: the zygote leaves, the guard ends what is left in the workers' groups after
 * `grace` and tells (LEFTOVER events come from phx_controller_next afterwards). Blocks for at most
 * about 2 × grace. No worker is active any more. */
int phx_controller_end(struct phx_controller *controller, phx_ns grace);

/* Reads the last bytes of a worker's captured output or fault text; see phx_member_last_words. */
size_t phx_controller_last_words(const struct phx_controller *controller, uint32_t number,
                                 enum phx_member_text which, char *out, size_t max);

struct phx_account {      /* of the ledger; tests handed out twice (late) count twice */
    uint64_t ended;       /* their protocol ended */
    uint64_t crashed;     /* their worker died while running them */
    uint64_t unaccounted; /* started, and neither, or ended unheard by a worker that ended in good
                             order: a defect of ours unless workers were killed */
    uint64_t not_run;     /* never started */
};

/* Counts the ledger. Exact when no worker is active. */
void phx_controller_account(const struct phx_controller *controller, struct phx_account *out);

/* The first test at or after position *io_position whose state is `state`: returns its index and
 * moves *io_position behind it, or returns PHX_RUNQ_NONE. */
int64_t phx_controller_find(const struct phx_controller *controller, enum phx_runq_state state,
                            uint32_t *io_position);

struct phx_controller_figures {
    uint32_t nparallel; /* workers at one time, as planned */
    uint32_t nworkers;  /* numbers in use, replacements included */
    uint32_t ntests;    /* collected */
    phx_ns startup;     /* from phx_controller_open to the first fork that was asked for */
    phx_ns forked;      /* when that was, since the epoch of phx_controller_timing */
    phx_ns wall;        /* from then to the last worker's end */
};

void phx_controller_figures(const struct phx_controller *controller,
                            struct phx_controller_figures *out);

/* The node id at a position of the run queue, or NULL. Borrowed; out_size may be NULL. */
const char *phx_controller_node_id(const struct phx_controller *controller, uint32_t position,
                                   size_t *out_size);

/* The index, in collection order, of the test at a position of the run queue, or PHX_RUNQ_NONE. */
int64_t phx_controller_test(const struct phx_controller *controller, uint32_t position);

/* What was collected. Borrowed; valid from PHX_EVENT_COLLECTED until close. */
const struct phx_collection *phx_controller_collection(const struct phx_controller *controller);

/* What became of a position, and how many there are (late ones included; 0 before the plan). */
enum phx_runq_state phx_controller_state(const struct phx_controller *controller,
                                         uint32_t position);
uint32_t phx_controller_positions(const struct phx_controller *controller);

/* How long a position took; see phx_runq_timing. The epoch is the moment of phx_controller_plan. */
int phx_controller_timing(const struct phx_controller *controller, uint32_t position,
                          struct phx_runq_timing *out);

/* The time since that epoch. */
phx_ns phx_controller_since_epoch(const struct phx_controller *controller);

/* The node id of a test, or NULL. Borrowed; out_size may be NULL. */
const char *phx_controller_test_id(const struct phx_controller *controller, uint32_t test,
                                   size_t *out_size);

/* The scope that keeps a test together with others in this run: see sched/scope.h. Returns 1 with
 * *out, or 0 when the test is a unit of its own. */
int phx_controller_scope(const struct phx_controller *controller, uint32_t test,
                         struct phx_scope *out);

struct phx_controller_life { /* of a worker; times since the epoch, 0: it was never up, is not down
                              */
    phx_ns up, down;
    int crashed;         /* gone before its session had ended */
    int64_t replacement; /* who came in its place, or PHX_RUNQ_NONE */
};

/* Returns 0, or -ENOENT for a number that was never a worker's. */
int phx_controller_life(const struct phx_controller *controller, uint32_t number,
                        struct phx_controller_life *out);

/* The machine that a worker was asked for on: its name, borrowed until close, and its number. NULL
 * (*out_machine is NONE) on this one, or for a number that was never a worker's. */
const char *phx_controller_host(const struct phx_controller *controller, uint32_t number,
                                int64_t *out_machine);

/* How long the tests that nobody has claimed will take all workers together, by the history; -1
 * when there is none. */
phx_ns phx_controller_left(const struct phx_controller *controller);

/* What one worker has done so far. Returns 0 or -ENOENT for a number that was never a worker's. */
int phx_controller_look(const struct phx_controller *controller, uint32_t number,
                        struct phx_runq_view *out);

#endif
