/* deliver/worker.h - a job in a child process: what blocks, and what parses what came from outside.
 *
 * The child is a fork of the agent with all descriptors closed but the result's pipe and one that
 * it is given. It dies with the agent. Its result is one JSON document, or an error, told on the
 * loop. */
#pragma once
#include "base/loop.h"
#include "wire/json.h"

enum { WORKER_RESULT_MAX = 64 << 20 };

/* In the child. `arg` is what the parent had at the fork. May block for as long as it takes. */
typedef int worker_job_fn(const void *arg, json_t **ret, struct error *err);
/* In the parent, once: result (borrowed) and err NULL, or err. The worker is gone by then. */
typedef void worker_done_fn(const json_t *result, const struct error *err, void *ctx);

struct worker;
/* keep_fd: a descriptor that the job uses under its own number, or -1. */
NODISCARD int worker_start(struct loop *loop, worker_job_fn *job, const void *arg, int keep_fd,
                           worker_done_fn *done, void *ctx, struct worker **ret, struct error *err);
void worker_remove(struct worker *worker); /* kills it, without `done`; NULL is allowed */
