/* phalanx-node INFO PROGRAM ARGUMENT…: the node as a program (role/node.h), on standard input and
 * output. PROGRAM is the zygote's. Started by phalanx on each machine, of no use to people. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "role/node.h"

extern char **environ;

/* The guard lies beside this program. */
static int guard_beside(char *out, size_t room)
{
    static const char name[] = "phalanx-guard";
    ssize_t size = readlink("/proc/self/exe", out, room);
    while (size > 0 && out[size - 1] != '/')
        size--;
    if (size <= 0 || (size_t)size + sizeof name > room)
        return -1;
    memcpy(out + size, name, sizeof name);
    return 0;
}

/* Moves the connection away from where programs write, and read, by habit. */
static int take_connection(int *out_in, int *out_out)
{
    *out_in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
    *out_out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (*out_in < 0 || *out_out < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return -1;
    close(null);
    return 0;
}

int main(int argc, char **argv)
{
    char guard[PATH_MAX];
    struct phx_node_options options = {.guard_path = guard};
    if (argc < 3) {
        fputs("usage: phalanx-node INFO PROGRAM ARGUMENT... (phalanx starts it itself)\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* the end of the connection is an error of a write */
    int standard[3];
    phx_fd_fill_standard(standard);
    if (guard_beside(guard, sizeof guard) < 0 || take_connection(&options.in, &options.out) < 0) {
        perror("phalanx-node: cannot begin");
        return 1;
    }
    options.info = argv[1];
    options.argv = (const char *const *)argv + 2;
    options.environment = (const char *const *)environ;
    return phx_node_run(&options);
}
