/* Preloaded under valgrind, which does not know pidfd_open and pidfd_send_signal before 3.22: a
 * helper outside valgrind makes the calls, and passes the descriptor back over a Unix socket.
 *
 * Runs in every process of a measured run (controller, guard, zygote, workers). PHX_PIDFD_HELPER
 * names the helper's abstract socket. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

struct request {
    int32_t number; /* of the system call */
    int32_t arg;    /* pid or signal */
};

union control {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static int connect_to_helper(void)
{
    const char *name = getenv("PHX_PIDFD_HELPER");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!name || strlen(name) + 2 > sizeof address.sun_path)
        return -1;
    strcpy(address.sun_path + 1, name); /* after a zero byte: an abstract name */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, size) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int send_request(int helper, struct request request, int passed)
{
    struct iovec bytes = {&request, sizeof request};
    union control control = {{0}};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (passed >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        control.head = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), &passed, sizeof passed);
    }
    return sendmsg(helper, &message, MSG_NOSIGNAL) == sizeof request ? 0 : -1;
}

/* The helper's answer: 0 or an errno, and for pidfd_open the descriptor. */
static long receive_answer(int helper, int wants_fd)
{
    int32_t error;
    int fd;
    struct iovec bytes = {&error, sizeof error};
    union control control;
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    if (recvmsg(helper, &message, MSG_CMSG_CLOEXEC) != sizeof error)
        error = EIO;
    if (error) {
        errno = error;
        return -1;
    }
    if (!wants_fd)
        return 0;
    if (message.msg_controllen < sizeof control.bytes) {
        errno = EIO;
        return -1;
    }
    memcpy(&fd, CMSG_DATA(&control.head), sizeof fd);
    return fd;
}

static long ask(struct request request, int passed)
{
    int helper = connect_to_helper();
    long answer = -1;
    if (helper >= 0 && send_request(helper, request, passed) == 0)
        answer = receive_answer(helper, passed < 0);
    else
        errno = ENOSYS;
    int error = errno;
    if (helper >= 0)
        close(helper);
    errno = error;
    return answer;
}

/* In place of the C library's. All callers of the other numbers pass at most six words. */
long syscall(long number, ...)
{
    va_list args;
    long arg[6];
    va_start(args, number);
    for (int i = 0; i < 6; i++)
        arg[i] = va_arg(args, long);
    va_end(args);
    if (number == SYS_pidfd_open)
        return ask((struct request){SYS_pidfd_open, (int32_t)arg[0]}, -1);
    if (number == SYS_pidfd_send_signal)
        return ask((struct request){SYS_pidfd_send_signal, (int32_t)arg[1]}, (int)arg[0]);
    long result;
#if defined(__x86_64__)
    register long r10 __asm__("r10") = arg[3];
    register long r8 __asm__("r8") = arg[4];
    register long r9 __asm__("r9") = arg[5];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(arg[0]), "S"(arg[1]), "d"(arg[2]), "r"(r10), "r"(r8),
                       "r"(r9)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = arg[0];
    register long x1 __asm__("x1") = arg[1];
    register long x2 __asm__("x2") = arg[2];
    register long x3 __asm__("x3") = arg[3];
    register long x4 __asm__("x4") = arg[4];
    register long x5 __asm__("x5") = arg[5];
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    result = x0;
#else
#error "this shim knows x86-64 and arm64"
#endif
    if (result < 0 && result > -4096) {
        errno = (int)-result;
        return -1;
    }
    return result;
}
