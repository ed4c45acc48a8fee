#include "base/clock.h"

#include <time.h>

phx_ns phx_clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (phx_ns)now.tv_sec * PHX_S + now.tv_nsec;
}

void phx_clock_sleep(phx_ns duration)
{
    struct timespec pause = {.tv_sec = duration / PHX_S, .tv_nsec = duration % PHX_S};
    nanosleep(&pause, NULL);
}
