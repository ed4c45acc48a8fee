/* Which tests stay together: the scope of a test under each --dist mode.
 *
 * pytest-xdist cuts a node id at its last "::". That "::" may be part of a parametrized value
 * (`test_a.py::test_b[x::y]`), where it would tear one class or module into many scopes; here the
 * text in brackets is never looked into.
 *
 * Runs in any process; pure functions. */
#ifndef PHX_SCHED_SCOPE_H
#define PHX_SCHED_SCOPE_H

#include <stddef.h>

enum phx_dist {
    PHX_DIST_LOAD,      /* every test for itself */
    PHX_DIST_WORKSTEAL, /* the same: in phalanx every mode steals */
    PHX_DIST_LOADSCOPE, /* a class, else a module */
    PHX_DIST_LOADFILE,  /* a file */
    PHX_DIST_LOADGROUP, /* an xdist_group; a test without one for itself */
    PHX_DIST_MAIL,      /* a scheduler that is not ours decides: nothing is planned (mailbox.h) */
    PHX_DIST_DEALT,     /* a controller elsewhere deals the tests to this machine as they are run */
};

/* The mode that --dist calls `name`. Returns 0, or -EINVAL for any other name (`no` and `each` need
 * no plan). */
int phx_dist_parse(const char *name, enum phx_dist *out);

/* Whether tests of one scope must run on one worker in this mode. */
int phx_dist_keeps_scopes(enum phx_dist dist);

struct phx_scope {
    const char *key; /* borrowed from the node id or the group; not NUL-terminated */
    size_t size;
};

/* The scope of a test: tests with equal keys belong to one unit.
 * node_id, group  borrowed; any bytes; group is NULL for a test without one ("" is a group)
 * out             set when 1 is returned
 * Returns         1, or 0 when the test is a unit of its own. */
int phx_scope_of(enum phx_dist dist, const char *node_id, size_t node_id_size, const char *group,
                 size_t group_size, struct phx_scope *out);

/* The last part of a node id: `test_b[x::y]` of `test_a.py::TestA::test_b[x::y]`; all of it when it
 * has one part only. Borrowed from node_id. */
const char *phx_scope_test_name(const char *node_id, size_t size, size_t *out_size);

#endif
