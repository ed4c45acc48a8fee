#include "os/bell.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int phx_bell_wait(_Atomic uint32_t *bell, uint32_t seen, phx_ns timeout)
{
    struct timespec limit = {.tv_sec = timeout / PHX_S, .tv_nsec = timeout % PHX_S};
    /* Not FUTEX_PRIVATE_FLAG: the other side is another process. */
    if (syscall(SYS_futex, bell, FUTEX_WAIT, seen, &limit, NULL, 0) == 0 || errno == EAGAIN)
        return 0;
    return -errno;
}

void phx_bell_wake(_Atomic uint32_t *bell)
{
    syscall(SYS_futex, bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
