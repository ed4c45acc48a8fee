/* The end of a process that was forked from another one, or stands in its place. */
#ifndef PHX_OS_LEAVE_H
#define PHX_OS_LEAVE_H

/* Ends the process as _exit does: what others registered for its exit (atexit, destructors) is not
 * run, as most of it belongs to the process it was forked from. Before that, what stdio has
 * buffered is written, unless another thread could hold a stream's lock for ever.
 *
 * With a library in the process that counts for gcov it ends as exit does, for that is how the
 * counts are written: a build of that kind is there for them.
 *
 * Runs in the zygote and in workers, when nothing of theirs runs any more; may block on a full pipe
 * behind a stream. */
_Noreturn void phx_leave(int status);

#endif
