/* Preloaded into every process of a test run: a call that talks to another process, waits for one
 * or asks the time sleeps now and then before it is made, and some processes sleep far more often
 * than others. What happens in which order between processes is then another thing in every run, as
 * on a machine that others use, at no cost in CPU time.
 *
 *   JITTER_SEED=N    decides, with the process id, when who sleeps; 0 or absent: nobody does
 *
 * A delay may only ever change the order in which things happen. A test that fails under it hopes
 * for an order that nothing grants. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { US = 1000, MS = 1000 * US };

static uint64_t g_seed;
/* Of the process for which `g_pid` stands: how many of 1,000 calls sleep. */
static int g_pid;
static int g_often;

static long (*g_syscall)(long number, ...);

static uint64_t mixed(uint64_t x) /* splitmix64, Steele, Lea and Flood 2014 */
{
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

/* Not a generator with a state: a handler, a thread and a child that shares our memory may come at
 * any time. */
static uint64_t draw(void)
{
    struct timespec now;
    g_syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return mixed(g_seed ^ mixed((uint64_t)now.tv_nsec ^ (uint64_t)g_syscall(SYS_gettid) << 32));
}

__attribute__((constructor)) static void begin(void)
{
    const char *seed = getenv("JITTER_SEED");
    g_syscall = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    g_seed = seed ? strtoull(seed, NULL, 10) : 0;
}

/* `weight` of 1,000: how likely the call is to sleep, beside others. */
static void jitter(unsigned weight)
{
    static const int often[] = {5, 20, 20, 60, 60, 200, 200, 500};
    if (!g_seed)
        return;
    const int saved = errno;
    const int pid = (int)g_syscall(SYS_getpid);
    if (pid != g_pid) {
        g_pid = pid;
        g_often = often[mixed(g_seed + (uint64_t)pid) % (sizeof often / sizeof *often)];
    }
    const uint64_t drawn = draw();
    if (drawn % 1000000 < (uint64_t)g_often * weight) {
        const uint64_t kind = (drawn >> 32) % 16;
        /* Mostly as long as a message takes, at times as long as a test, seldom as a busy machine's
         * turn. */
        const long longest = kind < 10 ? MS : kind < 15 ? 15 * MS : 150 * MS;
        struct timespec pause = {.tv_nsec = (long)((drawn >> 40) % (uint64_t)longest)};
        g_syscall(SYS_nanosleep, &pause, NULL);
    }
    errno = saved;
}

static int is_channel(int fd)
{
    struct stat status;
    const int saved = errno;
    const int found = g_seed && fstat(fd, &status) == 0 && !S_ISREG(status.st_mode) &&
                      !S_ISDIR(status.st_mode) && !S_ISCHR(status.st_mode);
    errno = saved;
    return found;
}

#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (!real)                                                                                     \
    real = (__typeof__(real))dlsym(RTLD_NEXT, #name)

ssize_t read(int fd, void *into, size_t size)
{
    REAL(read);
    if (is_channel(fd))
        jitter(1000);
    return real(fd, into, size);
}

ssize_t write(int fd, const void *from, size_t size)
{
    REAL(write);
    if (is_channel(fd))
        jitter(1000);
    return real(fd, from, size);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    REAL(sendmsg);
    jitter(1000);
    return real(fd, message, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    REAL(recvmsg);
    jitter(1000);
    return real(fd, message, flags);
}

int poll(struct pollfd *polled, nfds_t count, int timeout)
{
    REAL(poll);
    jitter(1000);
    return real(polled, count, timeout);
}

int ppoll(struct pollfd *polled, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    REAL(ppoll);
    jitter(1000);
    return real(polled, count, timeout, mask);
}

int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout)
{
    REAL(epoll_wait);
    jitter(1000);
    return real(epoll, events, count, timeout);
}

pid_t fork(void)
{
    REAL(fork);
    jitter(1000);
    const pid_t pid = real();
    jitter(1000);
    return pid;
}

pid_t waitpid(pid_t pid, int *status, int options)
{
    REAL(waitpid);
    jitter(1000);
    return real(pid, status, options);
}

int waitid(idtype_t kind, id_t id, siginfo_t *info, int options)
{
    REAL(waitid);
    jitter(1000);
    return real(kind, id, info, options);
}

int kill(pid_t pid, int number)
{
    REAL(kill);
    jitter(1000);
    return real(pid, number);
}

/* Tests ask the time at their beginning and end: between two claims of the run queue there may be
 * no other call. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    REAL(clock_gettime);
    jitter(300);
    return real(clock, now);
}

long syscall(long number, ...)
{
    long arguments[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_futex || number == SYS_pidfd_send_signal || number == SYS_pidfd_open)
        jitter(1000);
    return g_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                     arguments[5]);
}
