#include "os/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

static int make_memfd(const char *name, unsigned flags, struct phx_err *err)
{
    /* A system with vm.memfd_noexec=2 refuses memfds without this flag; an old one, those with. */
    int fd = memfd_create(name, flags | MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, flags | MFD_CLOEXEC);
    if (fd < 0)
        return phx_err_set(err, -errno, "cannot create the memfd %s", name);
    return fd;
}

/* Bytes that could still be allocated, INT64_MAX when /proc does not tell. */
static int64_t available_bytes(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    long long kib, total = 0;
    int known = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %lld", &kib) == 1 ||
            sscanf(line, "SwapFree: %lld", &kib) == 1) {
            total += kib;
            known = 1;
        }
    if (file)
        fclose(file);
    return known ? total * 1024 : INT64_MAX;
}

/* Allocates the blocks. Returns 0 or an errno. A memfd has no limit of its own: asked for more than
 * there is, fallocate would take page after page until the kernel kills somebody. */
static int allocate(int fd, size_t size)
{
    if ((int64_t)size > available_bytes())
        return ENOMEM;
    int status;
    do /* EINTR undoes what was allocated */
        status = posix_fallocate(fd, 0, (off_t)size);
    while (status == EINTR);
    return status;
}

int phx_shm_create(const char *name, size_t size, struct phx_err *err)
{
    if (size == 0 || size > INT64_MAX)
        return phx_err_set(err, -EINVAL, "shared memory %s of %zu bytes", name, size);
    int fd = make_memfd(name, MFD_ALLOW_SEALING, err);
    if (fd < 0)
        return fd;
    int status = allocate(fd, size);
    if (status == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        status = errno;
    if (status == 0)
        return fd;
    phx_fd_close(&fd);
    return phx_err_set(err, -status, "cannot allocate %zu bytes of shared memory for %s", size,
                       name);
}

int phx_shm_file(const char *name, struct phx_err *err)
{
    return make_memfd(name, 0, err);
}

int phx_shm_map(int fd, int only_here, void **out_mem, size_t *out_size, struct phx_err *err)
{
    struct stat about;
    if (fstat(fd, &about) < 0)
        return phx_err_set(err, -errno, "cannot look at shared memory (descriptor %d)", fd);
    if (about.st_size <= 0)
        return phx_err_set(err, -EINVAL, "shared memory (descriptor %d) is empty", fd);
    size_t size = (size_t)about.st_size;
    void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mem == MAP_FAILED)
        return phx_err_set(err, -errno, "cannot map %zu bytes of shared memory", size);
    if (only_here && madvise(mem, size, MADV_DONTFORK) < 0) {
        int code = phx_err_set(err, -errno, "cannot keep shared memory from children");
        munmap(mem, size);
        return code;
    }
    *out_mem = mem;
    *out_size = size;
    return 0;
}

void phx_shm_unmap(void *mem, size_t size)
{
    if (mem)
        munmap(mem, size);
}
