/* gate/queue.h - who walks when: pushes and watched repositories wait here for a worker process.
 *
 * One walk of an app at a time (the order of its commits is the order of its releases),
 * GATE_WALKS_AT_ONCE in all. A newer push of an app takes the place of one that still waits: the
 * older one is told so. */
#pragma once
#include "base/loop.h"
#include "gate/gate.h"
#include "platform/platform.h"
#include "sign/sign.h"

struct queue;

struct queue_options {
    struct loop *loop;
    const char *home;
    const char *program;
    struct signer *signer;
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
    char commit[80];
    char source_uri[1024];  /* of a watched remote; "" for a push */
    char objects_dir[1024]; /* see struct gate_request; "" for none */
};
NODISCARD int queue_add(struct queue *queue, const struct queue_item *item, int take_fd,
                        struct error *err);
/* Watch a remote: fetched every poll_ms in a worker, walked if its branch moved. */
NODISCARD int queue_watch(struct queue *queue, const struct platform_source *source,
                          struct error *err);
