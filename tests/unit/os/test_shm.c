#include "os/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

START_TEST(memory_is_zeroed_shared_and_of_a_fixed_size)
{
    enum { SIZE = 3 * 4096 + 100 };
    struct phx_err err = {0};
    int fd = phx_shm_create("test", SIZE, &err);
    ck_assert_msg(fd >= 0, "%s", err.text);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(ftruncate(fd, 10), -1);
    ck_assert_int_eq(ftruncate(fd, 2 * SIZE), -1);
    struct stat about;
    ck_assert_int_eq(fstat(fd, &about), 0);
    ck_assert_int_eq(about.st_size, SIZE);
    ck_assert_int_ge(about.st_blocks * 512, SIZE); /* allocated, not sparse */

    void *one, *two;
    size_t one_size, two_size;
    ck_assert_int_eq(phx_shm_map(fd, 0, &one, &one_size, &err), 0);
    ck_assert_int_eq(phx_shm_map(fd, 0, &two, &two_size, &err), 0);
    ck_assert_uint_eq(one_size, SIZE);
    for (size_t i = 0; i < SIZE; i++)
        ck_assert_int_eq(((char *)one)[i], 0);
    memcpy(one, "hello", 6);
    ck_assert_str_eq(two, "hello");
    pid_t child = fork();
    if (child == 0) {
        memcpy(one, "world", 6);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_str_eq(two, "world");
    phx_shm_unmap(one, one_size);
    phx_shm_unmap(two, two_size);
    phx_shm_unmap(NULL, 0);
    close(fd);
}
END_TEST

/* Whether the page of `mem` is mapped, asked without touching it. */
static int is_mapped(void *mem)
{
    unsigned char in_core;
    return mincore(mem, 1, &in_core) == 0;
}

START_TEST(a_child_does_not_get_what_is_only_here)
{
    for (int only_here = 0; only_here <= 1; only_here++) {
        int fd = phx_shm_create("test", 4096, NULL), status = -1;
        void *mem;
        size_t size;
        ck_assert_int_eq(phx_shm_map(fd, only_here, &mem, &size, NULL), 0);
        pid_t child = fork();
        if (child == 0)
            _exit(is_mapped(mem) ? 1 : 2);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(WEXITSTATUS(status), only_here ? 2 : 1);
        ck_assert(is_mapped(mem));
        phx_shm_unmap(mem, size);
        ck_assert(!is_mapped(mem));
        close(fd);
    }
}
END_TEST

START_TEST(what_does_not_fit_is_an_error_now)
{
    struct phx_err err = {0};
    int spare = dup(0);
    close(spare);
    int code = phx_shm_create("huge", (size_t)1 << 50, &err);
    ck_assert_int_lt(code, 0);
    ck_assert_int_eq(code, err.code);
    ck_assert_ptr_nonnull(strstr(err.text, "huge"));
    ck_assert_int_eq(phx_shm_create("none", 0, &err), -EINVAL);
    ck_assert_int_eq(phx_shm_create("absurd", (size_t)-1, &err), -EINVAL);
    ck_assert_int_eq(dup(0), spare); /* nothing leaked */
}
END_TEST

START_TEST(a_file_grows_and_is_mapped_when_it_has_something)
{
    struct phx_err err = {0};
    void *mem = (void *)7;
    size_t size = 7;
    int fd = phx_shm_file("output", &err);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(phx_shm_map(fd, 0, &mem, &size, &err), -EINVAL);
    ck_assert_ptr_eq(mem, (void *)7);
    ck_assert_uint_eq(size, 7);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(write(fd, "0123456789", 10), 10);
    ck_assert_int_eq(phx_shm_map(fd, 0, &mem, &size, &err), 0);
    ck_assert_uint_eq(size, 10000);
    ck_assert_int_eq(memcmp((char *)mem + 9990, "0123456789", 10), 0);
    ck_assert_int_eq(phx_shm_map(-1, 0, &mem, &size, &err), -EBADF);
    ck_assert_int_eq(phx_shm_map(0, 0, &mem, &size, NULL) < 0, 1);
    phx_shm_unmap(mem, size);
    close(fd);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, memory_is_zeroed_shared_and_of_a_fixed_size);
    tcase_add_test(tests, a_child_does_not_get_what_is_only_here);
    tcase_add_test(tests, what_does_not_fit_is_an_error_now);
    tcase_add_test(tests, a_file_grows_and_is_mapped_when_it_has_something);
}

int main(void)
{
    return harness_run("shm", 20, add);
}
