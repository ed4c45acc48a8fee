/* How a program is started:
 *
 *     caller                                child (shares all memory with the caller)
 *     blocks every signal
 *     clone(VM | VFORK | PIDFD) ──────────► group, parent check, directory
 *       sleeps in the kernel                descriptors: park, mark all close-on-exec, place
 *       │                                   default handlers, empty mask
 *       │ ◄──────────────────────────────── execve, or notes the step and the errno, and ends
 *     reads the note, restores its signals
 *
 * The note is plain memory: the kernel wakes the caller only when the child has let go of that
 * memory. A pipe would say the same, and could be held open by a child that another thread of the
 * host forks at that moment.
 *
 * clone and not fork: nothing of the host's memory is copied, however large it is. clone and not
 * vfork: the child gets a stack of its own, so it cannot spoil the caller's frame, and the pidfd
 * comes with the process, so that no handler of the host can reap it first. */
#include "os/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "os/pidfd.h"

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000 /* Linux 5.2 */
#endif
#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9; CLOSE_RANGE_CLOEXEC 5.11 */
#endif

enum {
    STACK_BYTES = 64 * 1024,
    SIGNALS = 64,
    MARK_CLOEXEC = 4, /* CLOSE_RANGE_CLOEXEC */
};

enum step { STEP_NONE = 0, STEP_PARENT, STEP_GROUP, STEP_DIRECTORY, STEP_FDS, STEP_EXEC };

struct job {
    const struct phx_spawn *what;
    char *const *environment;
    pid_t parent;
    int *parked; /* [nfds], the child's scratch memory */
    /* The child's note. Written in the child, read by the caller after the kernel woke it: volatile
     * only because the compiler cannot see that clone runs the child in this memory. */
    volatile enum step step;
    volatile int code;
    volatile int fd; /* the descriptor that failed */
};

/* The child runs in the caller's memory while the caller's other threads go on. It must not touch
 * what they may hold: no allocation, no stdio, no locks, and the signal calls bypass the C library,
 * which keeps books about handlers in memory that is the caller's. Sanitizers would keep theirs. */
#define IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread")))

IN_CHILD static int failed(struct job *job, enum step step)
{
    job->code = -errno;
    job->step = step;
    return -1;
}

struct dirent_raw { /* what getdents64 writes */
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

/* Marks every descriptor above 2 close-on-exec on a kernel without close_range. Returns 0 or -1. */
IN_CHILD static int mark_by_listing(void)
{
    _Alignas(struct dirent_raw) char entries[2048];
    int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -1;
    long got;
    while ((got = syscall(SYS_getdents64, directory, entries, sizeof entries)) > 0) {
        for (long at = 0; at < got;) {
            const struct dirent_raw *entry = (const struct dirent_raw *)(entries + at);
            int fd = 0;
            for (const char *digit = entry->name; *digit >= '0' && *digit <= '9'; digit++)
                fd = 10 * fd + (*digit - '0');
            if (fd > 2)
                fcntl(fd, F_SETFD, FD_CLOEXEC);
            at += entry->size;
        }
    }
    close(directory);
    return got < 0 ? -1 : 0;
}

IN_CHILD static void mark_all(void)
{
    if (syscall(SYS_close_range, 3U, UINT_MAX, MARK_CLOEXEC) == 0 || mark_by_listing() == 0)
        return;
    struct rlimit limit; /* no /proc either: try every number there can be */
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > (1 << 20))
        limit.rlim_cur = 1 << 20;
    for (int fd = 3; fd < (int)limit.rlim_cur; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* Gives the wanted descriptors their numbers. They are parked above all wanted numbers first, so
 * that no placing overwrites a source that is still to be placed. Everything above 2 is marked, not
 * closed, before that: dup2 gives unmarked copies, and exec closes the rest. */
IN_CHILD static int place_fds(struct job *job)
{
    const struct phx_spawn *what = job->what;
    int above = 3;
    for (size_t i = 0; i < what->nfds; i++)
        if (what->fds[i].to >= above)
            above = what->fds[i].to + 1;
    for (size_t i = 0; i < what->nfds; i++) {
        job->fd = what->fds[i].from;
        job->parked[i] = fcntl(what->fds[i].from, F_DUPFD_CLOEXEC, above);
        if (job->parked[i] < 0)
            return failed(job, STEP_FDS);
    }
    mark_all();
    for (size_t i = 0; i < what->nfds; i++) {
        job->fd = what->fds[i].from;
        if (dup2(job->parked[i], what->fds[i].to) < 0)
            return failed(job, STEP_FDS);
    }
    return 0;
}

/* exec keeps ignored signals ignored, so every one is set to default; then none is blocked but the
 * interrupt that is to be held. */
IN_CHILD static void reset_signals(const struct phx_spawn *what)
{
    const uint64_t defaults[4] = {0}; /* the kernel's struct sigaction: SIG_DFL, no flags or mask */
    for (int number = 1; number <= SIGNALS; number++)
        syscall(SYS_rt_sigaction, number, defaults, NULL, SIGNALS / 8);
    const uint64_t mask = what->hold_interrupts ? UINT64_C(1) << (SIGINT - 1) : 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SIGNALS / 8);
}

/* Returns only on failure; what it returns is the exit status of a process that nobody sees. */
IN_CHILD static int child(void *context)
{
    struct job *job = context;
    const struct phx_spawn *what = job->what;
    if (what->new_group && setpgid(0, 0) < 0)
        return failed(job, STEP_GROUP);
    if (what->die_with_parent) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
            return failed(job, STEP_PARENT);
        /* The parent may have been killed before that call: then nothing would ever come. */
        if (getppid() != job->parent) {
            errno = ESRCH;
            return failed(job, STEP_PARENT);
        }
    }
    if (what->directory && chdir(what->directory) < 0)
        return failed(job, STEP_DIRECTORY);
    if (place_fds(job) < 0)
        return -1;
    reset_signals(what);
    execve(what->argv[0], (char *const *)what->argv, job->environment);
    return failed(job, STEP_EXEC);
}

static int explain(const struct job *job, struct phx_err *err)
{
    const struct phx_spawn *what = job->what;
    switch (job->step) {
    case STEP_DIRECTORY:
        return phx_err_set(err, job->code, "cannot enter the directory %s", what->directory);
    case STEP_FDS:
        return phx_err_set(err, job->code, "cannot hand descriptor %d to %s", job->fd,
                           what->argv[0]);
    case STEP_PARENT:
        return phx_err_set(err, job->code, "cannot tie %s to its parent", what->argv[0]);
    case STEP_GROUP:
        return phx_err_set(err, job->code, "cannot give %s a process group", what->argv[0]);
    default:
        return phx_err_set(err, job->code, "cannot run %s", what->argv[0]);
    }
}

/* Runs the job in a child on the stack given. Returns the pid, or -errno. */
static pid_t clone_child(struct job *job, char *stack, int *out_pidfd)
{
    uint64_t all = UINT64_MAX, before;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, SIGNALS / 8);
    pid_t pid = clone(child, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
                      job, out_pidfd);
    int code = -errno;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, SIGNALS / 8);
    return pid < 0 ? code : pid;
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

int phx_spawn(const struct phx_spawn *what, pid_t *out_pid, int *out_pidfd, struct phx_err *err)
{
    if (!what->argv || !what->argv[0])
        return phx_err_set(err, -EINVAL, "no program to start");
    for (size_t i = 0; i < what->nfds; i++)
        if (what->fds[i].to < 0 || what->fds[i].to == INT_MAX)
            return phx_err_set(err, -EBADF, "cannot hand over a descriptor as %d", what->fds[i].to);

    struct job job = {.what = what,
                      .environment = what->environment ? (char *const *)what->environment : environ,
                      .parent = getpid(),
                      .parked = calloc(what->nfds + 1, sizeof *job.parked)};
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    int status, pidfd = -1;
    if (!job.parked || stack == MAP_FAILED) {
        status = phx_err_set(err, -ENOMEM, "cannot start %s", what->argv[0]);
        goto out;
    }
    pid_t pid = clone_child(&job, stack, &pidfd);
    if (pid < 0) {
        status = phx_err_set(err, pid, "cannot make a process for %s", what->argv[0]);
        goto out;
    }
    if (job.step != STEP_NONE) {
        reap(pid);
        status = explain(&job, err);
        goto out;
    }
    if (pidfd < 0) { /* an older kernel takes the flag and ignores it */
        kill(pid, SIGKILL);
        reap(pid);
        status = phx_err_set(err, PHX_E_PLATFORM, "no pidfd came with a process (Linux 5.4)");
        goto out;
    }
    *out_pid = pid;
    *out_pidfd = pidfd;
    pidfd = -1;
    status = 0;
out:
    phx_fd_close(&pidfd);
    free(job.parked);
    if (stack != MAP_FAILED)
        munmap(stack, STACK_BYTES);
    return status;
}
