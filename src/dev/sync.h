/* dev/sync.h - changed files → the live-update agent of a running container (launcher/live.h), on
 * the loop. */
#pragma once
#include "base/loop.h"
#include "dev/tree.h"
#include "wire/json.h"

struct sync;
struct sync_options {
    const char *root; /* the source tree */
    const char *host; /* of the agent's port */
    uint16_t port;
    const char *token;
    /* The agent is there, or is gone (and is tried again). */
    void (*on_connected)(bool connected, const char *why, void *ctx);
    /* The end of a commit: the agent's R, and the time from save to ready. */
    void (*on_commit)(const json_t *report, int64_t took_ms, void *ctx);
    void *ctx;
};
NODISCARD int sync_start(struct loop *loop, const struct sync_options *options, struct sync **ret,
                         struct error *err);
/* Sends the files and commits. Files that cannot be read (or are larger than SYNC_FILE_MAX) are
 * left out. */
enum { SYNC_FILE_MAX = 256 << 20 };
NODISCARD int sync_send(struct sync *sync, const struct tree_change *changes, size_t count,
                        int64_t since_ms, struct error *err);
bool sync_is_connected(const struct sync *sync);
void sync_free(struct sync *sync);
DEFINE_CLEANUP(sync, struct sync *, sync_free)
