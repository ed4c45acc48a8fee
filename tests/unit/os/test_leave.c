#include "os/leave.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

/* Runs `leave` in a child that writes into `file`. Returns what of it was in the file at its end.
 */
static size_t written(void (*leave)(FILE *), int expected_status)
{
    int fd = memfd_create("text", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    pid_t pid = fork();
    if (pid == 0) {
        FILE *file = fdopen(fd, "w");
        fputs("words", file);
        leave(file);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == expected_status);
    off_t size = lseek(fd, 0, SEEK_END);
    close(fd);
    return (size_t)size;
}

static void note_exit(void)
{
    _exit(99);
}

static void leave_with_handler(FILE *file)
{
    (void)file;
    atexit(note_exit);
    phx_leave(3);
}

START_TEST(buffers_are_written_and_handlers_left_alone)
{
    ck_assert_uint_eq(written(leave_with_handler, 3), 5);
}
END_TEST

static pthread_barrier_t held;

static void *hold(void *file)
{
    flockfile(file);
    pthread_barrier_wait(&held);
    while (file)
        pause();
    return NULL;
}

static void leave_with_thread(FILE *file)
{
    pthread_t thread;
    pthread_barrier_init(&held, NULL, 2);
    pthread_create(&thread, NULL, hold, file);
    pthread_barrier_wait(&held);
    phx_leave(4);
}

START_TEST(a_thread_that_holds_a_stream_stops_nobody)
{
    written(leave_with_thread, 4);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, buffers_are_written_and_handlers_left_alone);
    tcase_add_test(tests, a_thread_that_holds_a_stream_stops_nobody);
}

int main(void)
{
    return harness_run("leave", 20, add);
}
