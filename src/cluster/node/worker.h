/* cluster/node/worker.h - work that blocks (pulls, unpacking, the OCI runtime), each piece in a
 * forked child.
 *
 * The child has a copy of all of the node's memory, so a job needs no argument format; what it
 * found comes back as one JSON value. */
#pragma once
#include "cluster/node/reaper.h"
#include "wire/json.h"

struct worker;
/* In the child. *ret may stay NULL. Its own log goes where the node's goes. */
typedef int worker_job_fn(struct worker *worker, void *ctx, json_t **ret, struct error *err);
/* In the node, once: result (may be NULL) or err is set. */
typedef void worker_done_fn(const json_t *result, const struct error *err, void *ctx);
/* In the node, for each node_worker_tell() of the child. May be NULL. */
typedef void worker_news_fn(const char *news, void *ctx);

struct worker_options {
    struct loop *loop;
    struct reaper *reaper;
    worker_job_fn *job;
    worker_done_fn *on_done;
    worker_news_fn *on_news;
    void *ctx;
};
NODISCARD int node_worker_start(const struct worker_options *options, struct worker **ret,
                                struct error *err);
/* In the child: a word about how far it is. */
void node_worker_tell(struct worker *worker, const char *news);
/* In the node: kills it; on_done is not called. NULL is allowed. */
void node_worker_cancel(struct worker *worker);
