/* gate/watch.h - remote repositories that the gate looks at by itself (spec.sources of the
 * platform).
 *
 * Every poll_ms a worker process fetches the branch. If it stands at a commit that was not walked
 * yet, the queue gets it, as from a push, only that nobody listens. What is known is kept, so that
 * neither a restart nor a killed walk loses a commit:
 *
 *   HOME/gate/state/APP.watch   {"app","url","branch","walked","error","since"}
 *
 * `walked`: the commit whose walk came to an end last, whatever the end; `error`: why the last look
 * failed, absent if it did not. A failure is logged when it starts, when its text changes and when
 * it is over; not at each look. */
#pragma once
#include "base/loop.h"
#include "gate/queue.h"
#include "platform/platform.h"

struct watches;

NODISCARD int watches_new(struct loop *loop, const char *home, struct queue *queue,
                          struct watches **ret, struct error *err);
/* What the platform names now takes the place of what was watched; all are looked at at once. */
NODISCARD int watches_set(struct watches *watches, const struct platform *platform,
                          struct error *err);
/* Looks that go on are ended. Call it before queue_free(). */
void watches_free(struct watches *watches);
DEFINE_CLEANUP(watches, struct watches *, watches_free)

/* In a walk's worker: `commit` of the watched app need not be walked again by itself. */
NODISCARD int watch_note_walked(const char *home, const char *app, const char *commit,
                                struct error *err);
