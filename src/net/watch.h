/* A watch on a process: the loop wakes within milliseconds of its death, whoever its parent is and
 * whoever still holds its sockets.
 *
 * Runs in the controller and the node agent, in the loop's thread. Memory as for net/channel.h. */
#ifndef PHX_NET_WATCH_H
#define PHX_NET_WATCH_H

#include <sys/types.h>
#include <uv.h>

struct phx_watch {
    uv_poll_t poll; /* first; its `data` is the owner's */
    pid_t pid;
    int pidfd; /* owned; -1 once closed */
    int gone;  /* the process has ended */
    void (*on_gone)(struct phx_watch *watch);
};

/* Watches `pidfd` (taken, also on failure). Returns 0 or a negative code. */
int phx_watch_open(struct phx_watch *watch, uv_loop_t *loop, pid_t pid, int pidfd,
                   void (*on_gone)(struct phx_watch *));

/* Sends a signal to the process, or with `group` to the process group it leads (to the process
 * alone when there is no such group any more). Returns 0, -ESRCH when it has ended, or -errno. */
int phx_watch_signal(struct phx_watch *watch, int signal_number, int group);

void phx_watch_close(struct phx_watch *watch, uv_close_cb on_closed);

#endif
