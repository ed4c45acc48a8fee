/* phalanx-guard CONTROL_FD CONTROLLER_PIDFD: the guard as a program (role/guard.h). Started by
 * phalanx, of no use to people. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "role/guard.h"

/* The descriptor that `text` names, or -1. */
static int parse_fd(const char *text)
{
    char *end;
    long fd = strtol(text, &end, 10);
    if (end == text || *end != '\0' || fd < 0 || fd > INT_MAX || fcntl((int)fd, F_GETFD) < 0)
        return -1;
    return (int)fd;
}

int main(int argc, char **argv)
{
    int control = argc == 3 ? parse_fd(argv[1]) : -1;
    int controller = argc == 3 ? parse_fd(argv[2]) : -1;
    if (control < 0 || controller < 0) {
        fputs("usage: phalanx-guard CONTROL_FD CONTROLLER_PIDFD (phalanx starts it itself)\n",
              stderr);
        return PHX_GUARD_REFUSED;
    }
    phx_log_role("guard");
    return phx_guard_run(control, controller);
}
