/* One pass lists what is below the caller and kills it. A process that forks and ends faster than
 * it can be listed would escape every pass, so whole groups are killed where that is safe: the
 * kernel lets no fork slip past a signal to a group.
 *
 * Between listing and killing a process may end and its number go to a stranger. So its start time
 * is looked at again while a pidfd is held on it; for a group, one member is looked at. */
#include "os/sweep.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "os/pidfd.h"
#include "os/procfs.h"

enum { REFUSED_PASSES_MAX = 20 };

static const phx_ns PAUSE_MIN = 1 * PHX_MS, PAUSE_MAX = 50 * PHX_MS;

/* Whether the group of list[at] has only processes from below the caller. A session other than the
 * caller's was made below it, and nobody joins a session from outside; in the caller's own session,
 * a group belongs to us if its leader does. */
static int group_is_ours(const struct phx_process *list, int count, int at)
{
    pid_t group = list[at].group;
    if (group <= 1 || group == getpgrp())
        return 0;
    if (list[at].session != getsid(0))
        return 1;
    for (int i = 0; i < count; i++)
        if (list[i].pid == group)
            return 1;
    return 0;
}

static int is_still(const struct phx_process *process)
{
    struct phx_process now;
    return phx_procfs_look(process->pid, &now) == 0 && now.start_time == process->start_time;
}

static int is_still_in_group(const struct phx_process *process)
{
    struct phx_process now;
    return phx_procfs_look(process->pid, &now) == 0 && now.start_time == process->start_time &&
           now.group == process->group;
}

/* Kills one process. Returns 0, or -EPERM. */
static int kill_one(const struct phx_process *process)
{
    int status = 0;
    int pidfd = phx_pidfd_open(process->pid, NULL);
    if (pidfd >= 0 && is_still(process))
        status = phx_pidfd_signal(pidfd, SIGKILL);
    else if (pidfd < 0 && is_still(process)) /* no descriptor or memory left: better than not */
        status = kill(process->pid, SIGKILL) < 0 ? -errno : 0;
    phx_fd_close(&pidfd);
    return status == -EPERM ? -EPERM : 0;
}

/* Kills what is below the caller now. Returns how many were tried and not refused; out_refused: how
 * many were refused; or -errno. */
static int kill_pass(int *out_refused)
{
    struct phx_process *list = NULL;
    int killed = 0, refused = 0;
    int count = phx_procfs_descendants(getpid(), &list);
    if (count < 0)
        return count;
    for (int i = 0; i < count; i++) {
        pid_t group = list[i].group;
        if (group == 0) /* its group has been killed */
            continue;
        int status;
        if (group_is_ours(list, count, i) && is_still_in_group(&list[i])) {
            status = kill(-group, SIGKILL) < 0 ? -errno : 0;
            for (int j = i + 1; j < count; j++)
                if (list[j].group == group)
                    list[j].group = 0;
        } else {
            status = kill_one(&list[i]);
        }
        if (status == -EPERM)
            refused++;
        else
            killed++;
    }
    free(list);
    *out_refused = refused;
    return killed;
}

/* Reaps what has ended. Returns 1 while there are children, 0 when there are none. */
static int reap_pass(void)
{
    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG | __WALL);
        if (pid == 0)
            return 1;
        if (pid < 0 && errno != EINTR)
            return 0;
    }
}

int phx_sweep(void)
{
    phx_ns pause = PAUSE_MIN;
    int refused_passes = 0;
    while (reap_pass()) {
        int refused = 0;
        int killed = kill_pass(&refused);
        if (killed == -ENOENT || killed == -EACCES)
            return killed;
        refused_passes = killed == 0 && refused > 0 ? refused_passes + 1 : 0;
        if (refused_passes == REFUSED_PASSES_MAX)
            return -EPERM;
        if (!reap_pass())
            break;
        phx_clock_sleep(pause);
        pause = 2 * pause < PAUSE_MAX ? 2 * pause : PAUSE_MAX;
    }
    return 0;
}
