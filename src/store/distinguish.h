/* What tells the failures of a flaky test apart from its passes.
 *
 * Each trial has a worker, a predecessor on that worker, a duration and, with --count, a
 * repetition. For each of these four, the value is looked for whose trials failed most
 * conspicuously often, and named only if chance would hardly bring that about: Fisher's exact test,
 * one-sided, the probability multiplied by the number of values that were tried (Bonferroni), below
 * 5 %. So a test that fails at random has, as a rule, no sign at all, and a sign says where to
 * look, not why.
 *
 * Durations have no values in common: they are cut once, so that the slow (or the fast) side holds
 * as many trials as there are failures, and count only where that side is 0.1 s away from the
 * middle of the other one.
 *
 * Runs in the command; pure functions. */
#ifndef PHX_STORE_DISTINGUISH_H
#define PHX_STORE_DISTINGUISH_H

#include <stddef.h>
#include <stdint.h>

#include "store/trials.h"

enum phx_sign_kind {
    PHX_SIGN_WORKER,
    PHX_SIGN_AFTER, /* the predecessor */
    PHX_SIGN_SLOWER,
    PHX_SIGN_FASTER,
    PHX_SIGN_REPETITION,
    PHX_SIGN_KINDS
};

struct phx_sign {
    enum phx_sign_kind kind;
    struct phx_trial example;    /* one that has it: its worker, predecessor or repetition */
    uint32_t limit_us;           /* SLOWER: these took at least so long; FASTER: at most */
    size_t with, bad_with;       /* trials that have it, and how many of them failed */
    size_t without, bad_without; /* the others */
    double probability;          /* that chance alone does it, corrected as said above */
};

/* Looks for signs among trials, which are reordered.
 * out      [PHX_SIGN_KINDS], the most certain one first
 * Returns  how many there are. */
int phx_distinguish(struct phx_sign *out, struct phx_trial *trials, size_t count);

/* The probability that of `drawn` trials out of `total`, of which `bad` failed, `hit` or more are
 * among the failed ones, if all are as likely to fail. */
double phx_distinguish_chance(size_t total, size_t bad, size_t drawn, size_t hit);

#endif
