/* deliver/memory.c - what an agent must know after a kill: HOME/agents/CLUSTER/state.json.
 *
 * {"workloads":{NAME:{"highest":N, "highestDigest", "running":R, "good":[R,…newest first],
 * "refused":{"digest", "sequence","reason"}, "objects":[{"apiVersion","kind","namespace","name"}],
 * "approvals":{DIGEST:[who]}, "promoted":{DIGEST:true}, "ordersDone":[id], "pruning": refs}}}; R is
 * {"digest","sequence","commit","image","namespace", "inventory","healthySince"}. `objects` are all
 * that may be in the cluster: what is no longer wanted of them is pruned once the running release
 * is healthy. */
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "deliver/agent_internal.h"

json_t *memory_new(void)
{
    return json_pack("{s:i, s:[], s:[], s:{}, s:{}, s:[]}", "highest", 0, "good", "objects",
                     "approvals", "promoted", "ordersDone");
}

int memory_load(struct agent *agent, json_t **ret, struct error *err)
{
    CLEANUP(text) char *path = fs_join(agent->dir, "state.json");
    CLEANUP(json) json_t *root = NULL;

    if (!path)
        return error_no_memory(err);
    if (json_read_file(AT_FDCWD, path, &root, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return error_wrap(err, "loading what the agent knew");
        error_clear(err);
    }
    *ret = json_incref(json_object_get(root, "workloads"));
    if (!*ret)
        *ret = json_object();
    return *ret ? 0 : error_no_memory(err);
}

/* The loop must not wait for the disk, so a worker syncs what was written; a kill of the agent
 * alone loses nothing even before that. */
static int job_sync(const void *arg, json_t **ret, struct error *err)
{
    const struct site *site = arg;
    CLEANUP(fd) int dir_fd = -1;
    CLEANUP(fd) int fd = -1;

    if (fs_open_dir(AT_FDCWD, site->dir, &dir_fd, err) < 0 ||
        fs_open_read(dir_fd, "state.json", &fd, err) < 0)
        return -1;
    if (fsync(fd) < 0)
        return error_errno(err, "syncing the agent's state");
    *ret = json_object();
    return fs_sync_dir(dir_fd, err);
}

static void on_synced(const json_t *result, const struct error *err, void *ctx)
{
    struct agent *agent = ctx;

    agent->sync_worker = NULL;
    if (err)
        log_error("cannot keep the agent's state", log_err(err));
    if (agent->must_sync)
        memory_save(agent);
}

static void start_sync(struct agent *agent)
{
    struct error err = ERROR_INIT;

    agent->must_sync = agent->sync_worker != NULL;
    if (!agent->sync_worker && worker_start(agent->loop, job_sync, &agent->site, -1, on_synced,
                                            agent, &agent->sync_worker, &err) < 0)
        log_error("cannot keep the agent's state", log_err(&err));
}

void memory_save(struct agent *agent)
{
    CLEANUP(text) char *path = fs_join(agent->dir, "state.json");
    CLEANUP(json) json_t *workloads = json_object();
    CLEANUP(json) json_t *root = NULL;
    CLEANUP(buf) struct buf text = BUF_INIT(JSON_BYTES_MAX);
    struct error err = ERROR_INIT;

    for (size_t i = 0; i < agent->follow_count; i++)
        (void)json_object_set(workloads, agent->follows[i]->name, agent->follows[i]->memory);
    root = json_pack("{s:i, s:O}", "version", 1, "workloads", workloads);
    if (!path || !root || json_write_pretty(root, &text, &err) < 0 ||
        fs_write_quick(AT_FDCWD, path, buf_str(&text), 0600, &err) < 0)
        log_error("cannot keep the agent's state: free the disk", log_err(&err));
    else
        start_sync(agent);
}

uint64_t memory_highest(const struct follow *follow)
{
    return (uint64_t)json_int_at(follow->memory, "highest", 0);
}

void memory_accept(struct follow *follow, const json_t *release)
{
    int64_t sequence = json_int_at(release, "sequence", 0);

    if ((uint64_t)sequence < memory_highest(follow))
        return;
    (void)json_object_set_new(follow->memory, "highest", json_integer(sequence));
    (void)json_object_set(follow->memory, "highestDigest", json_object_get(release, "digest"));
    memory_save(follow->agent);
}

static bool same_ref(const json_t *ref, const json_t *object)
{
    static const char *const paths[][2] = {{"apiVersion", "apiVersion"},
                                           {"kind", "kind"},
                                           {"namespace", "metadata.namespace"},
                                           {"name", "metadata.name"}};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const char *a = json_str_at(ref, paths[i][0]);
        const char *b = json_str_at(object, paths[i][1]);
        if (strcmp(a ? a : "", b ? b : "") != 0)
            return false;
    }
    return true;
}

static json_t *ref_of(const json_t *object)
{
    const char *ns = json_str_at(object, "metadata.namespace");

    return json_pack("{s:s, s:s, s:s, s:s}", "apiVersion", json_str_at(object, "apiVersion"),
                     "kind", json_str_at(object, "kind"), "namespace", ns ? ns : "", "name",
                     json_str_at(object, "metadata.name"));
}

/* All that is in the cluster, or soon will be. */
static void add_refs(json_t *refs, const json_t *objects)
{
    size_t i;
    const json_t *object;

    json_array_foreach(objects, i, object)
    {
        bool is_there = false;
        size_t j;
        const json_t *ref;
        json_array_foreach(refs, j, ref) is_there = is_there || same_ref(ref, object);
        if (!is_there)
            (void)json_array_append_new(refs, ref_of(object));
    }
}

void memory_run(struct follow *follow, const json_t *release, const json_t *objects)
{
    const json_t *before = memory_running(follow);
    const char *digest = json_str_at(release, "digest");
    const char *before_digest = json_str_at(before, "digest");
    bool is_same = digest && before_digest && strcmp(digest, before_digest) == 0;
    json_t *running = json_deep_copy(release);

    if (is_same)
        (void)json_object_set(running, "healthySince", json_object_get(before, "healthySince"));
    (void)json_object_set_new(follow->memory, "running", running);
    add_refs(json_object_get(follow->memory, "objects"), objects);
    memory_save(follow->agent);
}

void memory_settle(struct follow *follow, int64_t healthy_since_s, const json_t *objects)
{
    json_t *running = json_object_get(follow->memory, "running");
    json_t *good = json_object_get(follow->memory, "good");
    const char *digest = json_str_at(running, "digest");
    size_t i;
    json_t *item;

    (void)json_object_set_new(running, "healthySince", json_integer(healthy_since_s));
    json_array_foreach(good, i, item)
    {
        const char *other = json_str_at(item, "digest");
        if (digest && other && strcmp(digest, other) == 0) {
            (void)json_array_remove(good, i);
            break;
        }
    }
    (void)json_array_insert_new(good, 0, json_deep_copy(running));
    while (json_array_size(good) > AGENT_GOOD_MAX)
        (void)json_array_remove(good, json_array_size(good) - 1);
    if (objects) {
        json_t *refs = json_array();
        add_refs(refs, objects);
        (void)json_object_set(follow->memory, "pruning",
                              json_object_get(follow->memory, "objects"));
        (void)json_object_set_new(follow->memory, "objects", refs);
    }
    memory_save(follow->agent);
}

void memory_refuse(struct follow *follow, const char *digest, uint64_t sequence, const char *reason)
{
    json_t *refused = json_pack("{s:s, s:I, s:s}", "digest", digest, "sequence",
                                (json_int_t)sequence, "reason", reason);

    (void)json_object_set_new(follow->memory, "refused", refused);
    memory_save(follow->agent);
}

const json_t *memory_running(const struct follow *follow)
{
    return json_object_get(follow->memory, "running");
}

const json_t *memory_good(const struct follow *follow, const char *not_digest, uint64_t sequence)
{
    size_t i;
    const json_t *item;

    json_array_foreach(json_object_get(follow->memory, "good"), i, item)
    {
        const char *digest = json_str_at(item, "digest");
        if (sequence && (uint64_t)json_int_at(item, "sequence", 0) != sequence)
            continue;
        if (!not_digest || !digest || strcmp(digest, not_digest) != 0)
            return item;
    }
    return NULL;
}

bool memory_is_good(const struct follow *follow, const char *digest)
{
    size_t i;
    const json_t *item;

    json_array_foreach(json_object_get(follow->memory, "good"), i, item)
    {
        const char *other = json_str_at(item, "digest");
        if (other && strcmp(digest, other) == 0)
            return true;
    }
    return false;
}

bool memory_is_refused(const struct follow *follow, const char *digest)
{
    const char *refused = json_str_at(follow->memory, "refused.digest");

    return refused && strcmp(refused, digest) == 0;
}
