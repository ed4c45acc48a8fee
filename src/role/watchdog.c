#include "role/watchdog.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOOKS = 4 }; /* that find the same event, in one patience */

struct phx_watchdog {
    pthread_t thread, watched;
    pthread_mutex_t mutex; /* of what follows, up to the blank line */
    pthread_cond_t over;
    int is_over;
    uint64_t event_count; /* 0: idle since the start */
    int is_busy;
    char event[32];
    int32_t number;

    phx_ns patience;
    int stack_signal, fd;
};

/* With the mutex held: the other thread may stand still meanwhile, it is stuck anyway. */
static void tell(const struct phx_watchdog *dog)
{
    char whose[16] = "the zygote", line[320];
    if (dog->number >= 0)
        snprintf(whose, sizeof whose, "gw%d", dog->number);
    int size = snprintf(line, sizeof line,
                        "\nphalanx: no progress for %lld s: the controller is busy with an event "
                        "'%s' of %s, and results wait. Where it is (--watchdog=0 turns this "
                        "off):\n",
                        (long long)(dog->patience / PHX_S), dog->event, whose);
    if (write(dog->fd, line, (size_t)size) == size && dog->stack_signal != 0)
        pthread_kill(dog->watched, dog->stack_signal);
}

/* Until the next look. Counting looks, not time, leaves out what the process was stopped for. */
static void wait_a_look(struct phx_watchdog *dog)
{
    struct timespec until;
    phx_ns end = phx_clock_now() + dog->patience / LOOKS;
    until.tv_sec = (time_t)(end / PHX_S);
    until.tv_nsec = (long)(end % PHX_S);
    while (!dog->is_over && pthread_cond_timedwait(&dog->over, &dog->mutex, &until) != ETIMEDOUT)
        continue;
}

static void *look_on(void *argument)
{
    struct phx_watchdog *dog = argument;
    uint64_t seen = 0;
    int looks = 0;
    pthread_mutex_lock(&dog->mutex);
    while (!dog->is_over) {
        wait_a_look(dog);
        if (!dog->is_busy || dog->event_count != seen)
            looks = 0;
        else if (++looks == LOOKS && !dog->is_over)
            tell(dog);
        seen = dog->event_count;
    }
    pthread_mutex_unlock(&dog->mutex);
    return NULL;
}

/* Signals are for the threads of the host. */
static int start_thread(struct phx_watchdog *dog)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&dog->thread, NULL, look_on, dog);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -status;
}

int phx_watchdog_start(struct phx_watchdog **out_dog, phx_ns patience, int stack_signal, int fd)
{
    struct phx_watchdog *dog = calloc(1, sizeof *dog);
    if (!dog)
        return -ENOMEM;
    dog->watched = pthread_self();
    dog->patience = patience;
    dog->stack_signal = stack_signal;
    dog->fd = fd;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&dog->over, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&dog->mutex, NULL);
    int status = start_thread(dog);
    if (status < 0) {
        pthread_cond_destroy(&dog->over);
        pthread_mutex_destroy(&dog->mutex);
        free(dog);
        return status;
    }
    *out_dog = dog;
    return 0;
}

void phx_watchdog_busy(struct phx_watchdog *dog, const char *event, int32_t number)
{
    pthread_mutex_lock(&dog->mutex);
    dog->event_count++;
    dog->is_busy = 1;
    snprintf(dog->event, sizeof dog->event, "%s", event);
    dog->number = number;
    pthread_mutex_unlock(&dog->mutex);
}

void phx_watchdog_idle(struct phx_watchdog *dog)
{
    pthread_mutex_lock(&dog->mutex);
    dog->is_busy = 0;
    pthread_mutex_unlock(&dog->mutex);
}

void phx_watchdog_stop(struct phx_watchdog *dog)
{
    if (!dog)
        return;
    pthread_mutex_lock(&dog->mutex);
    dog->is_over = 1;
    pthread_cond_signal(&dog->over);
    pthread_mutex_unlock(&dog->mutex);
    pthread_join(dog->thread, NULL);
    pthread_cond_destroy(&dog->over);
    pthread_mutex_destroy(&dog->mutex);
    free(dog);
}
