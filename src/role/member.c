#include "role/member.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "os/pidfd.h"
#include "queue/runq.h"

struct phx_member *phx_member_new(struct phx_controller *controller, uint32_t number)
{
    struct phx_member *member = calloc(1, sizeof *member);
    if (!member)
        return NULL;
    member->controller = controller;
    member->number = number;
    member->state = PHX_MEMBER_ASKED;
    phx_collection_init(&member->collected);
    member->channel.fd = -1;
    member->watch.pidfd = -1;
    member->replacement = PHX_RUNQ_NONE;
    for (int i = 0; i < PHX_TEXT_COUNT; i++)
        member->texts[i] = -1;
    return member;
}

int phx_member_up(struct phx_member *member, uv_loop_t *loop, pid_t pid, const int fds[5],
                  void (*on_bytes)(struct phx_channel *), void (*on_gone)(struct phx_watch *))
{
    int pidfd = fds[0], channel = fds[1];
    for (int i = 0; i < PHX_TEXT_COUNT; i++)
        member->texts[i] = fds[2 + i];
    int status = phx_channel_open(&member->channel, loop, channel, on_bytes);
    if (status < 0) {
        phx_pidfd_signal(pidfd, SIGKILL);
        phx_fd_close(&pidfd);
        return status;
    }
    status = phx_watch_open(&member->watch, loop, pid, pidfd, on_gone);
    if (status < 0) { /* the closed channel ends it */
        phx_channel_close(&member->channel, NULL);
        return status;
    }
    member->state = PHX_MEMBER_UP;
    member->up_at = phx_clock_now();
    return 0;
}

void phx_member_down(struct phx_member *member)
{
    if (member->state == PHX_MEMBER_UP && !member->machine) {
        phx_channel_close(&member->channel, NULL);
        phx_watch_close(&member->watch, NULL);
    }
    member->state = PHX_MEMBER_DOWN;
}

size_t phx_member_last_words(const struct phx_member *member, enum phx_member_text which, char *out,
                             size_t max)
{
    struct stat info;
    int fd = member->texts[which];
    if (member->machine) {
        size_t size = phx_buf_size(&member->words[which]), kept = size < max ? size : max;
        if (kept > 0)
            memcpy(out, phx_buf_head(&member->words[which]) + size - kept, kept);
        return kept;
    }
    if (fd < 0 || fstat(fd, &info) < 0 || info.st_size <= 0)
        return 0;
    off_t start = info.st_size > (off_t)max ? info.st_size - (off_t)max : 0;
    size_t used = 0;
    while (used < max) {
        ssize_t got = pread(fd, out + used, max - used, start + (off_t)used);
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    return used;
}

void phx_member_free(struct phx_member *member)
{
    if (!member)
        return;
    for (int i = 0; i < PHX_TEXT_COUNT; i++) {
        phx_fd_close(&member->texts[i]);
        phx_buf_fini(&member->words[i]);
    }
    phx_collection_fini(&member->collected);
    free(member->places);
    free(member);
}
