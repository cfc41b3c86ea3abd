/* cluster/node/reaper.h - every end of a process below the node, also of those that come to it as
 * the subreaper. */
#pragma once
#include "base/loop.h"

struct reaper;
typedef void reaper_fn(pid_t pid, int status, void *ctx); /* status as of waitpid */

/* Makes this process the subreaper. One for a process. */
NODISCARD int reaper_new(struct loop *loop, struct reaper **ret, struct error *err);
void reaper_free(struct reaper *reaper);
DEFINE_CLEANUP(reaper, struct reaper *, reaper_free)
/* Once, when the child ends; in the next turn if it has ended and nobody had asked for it yet. */
NODISCARD int reaper_watch(struct reaper *reaper, pid_t pid, reaper_fn *fn, void *ctx,
                           struct error *err);
void reaper_forget(struct reaper *reaper, pid_t pid); /* it is still reaped */
