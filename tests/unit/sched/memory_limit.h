/* A ceiling on what a test may allocate. Each test is a process of its own, so it ends with it. */
#ifndef PHX_TEST_MEMORY_LIMIT_H
#define PHX_TEST_MEMORY_LIMIT_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_LIMIT_WORKS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MEMORY_LIMIT_WORKS 0
#endif
#endif
#ifndef MEMORY_LIMIT_WORKS
#define MEMORY_LIMIT_WORKS 1
#endif

/* Lets the process map `bytes` more than it has now. Returns 0 where that cannot be told:
 * sanitizers reserve terabytes. */
static inline int memory_limit(unsigned long long bytes)
{
    unsigned long long pages = 0;
    FILE *file = MEMORY_LIMIT_WORKS ? fopen("/proc/self/statm", "r") : NULL;
    if (!file)
        return 0;
    int found = fscanf(file, "%llu", &pages);
    fclose(file);
    if (found != 1)
        return 0;
    rlim_t most = (rlim_t)(pages * (unsigned long long)sysconf(_SC_PAGESIZE) + bytes);
    struct rlimit limit = {.rlim_cur = most, .rlim_max = RLIM_INFINITY};
    return setrlimit(RLIMIT_AS, &limit) == 0;
}

#endif
