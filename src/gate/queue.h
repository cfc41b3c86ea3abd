/* gate/queue.h - who walks when: pushes and watched commits (watch.h) wait here for a worker
 * process.
 *
 * One walk of an app at a time (the order of its commits is the order of its releases),
 * GATE_WALKS_AT_ONCE in all, in the order in which they came. */
#pragma once
#include "base/loop.h"
#include "gate/gate.h"
#include "sign/sign.h"

struct queue;

struct queue_options {
    struct loop *loop;
    const char *home;
    const char *program;
    struct signer *signer;
    int lock_fd; /* of the gate's place: closed in workers, or -1 */
};
NODISCARD int queue_new(const struct queue_options *options, struct queue **ret, struct error *err);
/* Ends running walks (their process groups get TERM, then KILL) and tells those who wait. */
void queue_free(struct queue *queue);
DEFINE_CLEANUP(queue, struct queue *, queue_free)

/* Consumes take_fd (-1: nobody listens): it gets the lines and {"exit":N}. LIMIT: the queue is
 * full. */
struct queue_item {
    char app[64];
    char ref[256];
    char commit[80];        /* "": where the ref stands by then */
    char old[80];           /* see struct gate_request; "" for none */
    char source_uri[1024];  /* of a watched remote; "" for a push */
    char objects_dir[1024]; /* see struct gate_request; "" for none */
};
NODISCARD int queue_add(struct queue *queue, const struct queue_item *item, int take_fd,
                        struct error *err);
bool queue_has(const struct queue *queue, const char *app); /* waits or walks */

/* fork(), for a worker: 0 in it, with signals as at a start, a process group of its own, and an end
 * when the gate ends. -1 with errno. */
pid_t queue_fork(struct queue *queue);
