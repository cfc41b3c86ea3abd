/* cluster/node/pod_state.c - FOLDER/state.json: enough to find a pod's processes again after kill
 * -9. */
#include <fcntl.h>
#include <stdio.h>

#include "base/log.h"
#include "cluster/files.h"
#include "cluster/node/node_internal.h"

bool process_start(pid_t pid, uint64_t *ret_ticks)
{
    uint64_t ticks = pid > 0 ? cluster_process_start(pid) : 0;

    if (ticks == 0)
        return false;
    *ret_ticks = ticks;
    return true;
}

static json_t *container_state_new(const struct container *c)
{
    return json_pack("{s:s,s:i,s:i,s:i,s:i,s:I,s:I,s:I,s:i,s:s,s:s?,s:s?,s:i,s:I,s:b,s:b,s:O?}",
                     "name", c->name, "phase", (int)c->phase, "attempt", (int)c->attempt,
                     "restarts", (int)c->restarts, "pid", (int)c->pid, "pidStart",
                     (json_int_t)c->pid_start, "startedAt", (json_int_t)c->started_s, "finishedAt",
                     (json_int_t)c->finished_s, "exitCode", c->exit_code, "exitReason",
                     c->exit_reason, "exitMessage", c->exit_message, "imageID", c->image_id,
                     "stopSignal", c->stop_signal, "backoff", (json_int_t)c->backoff_ms, "ready",
                     (int)c->is_ready, "started", (int)c->is_started, "lastState", c->last_state);
}

void pod_save(struct pod *pod)
{
    CLEANUP(text) char *path = fs_join(pod->folder, "state.json");
    CLEANUP(buf) struct buf text = BUF_INIT(4 << 20);
    json_t *list = json_array();
    struct error err = ERROR_INIT;

    for (size_t i = 0; i < pod->container_count; i++)
        (void)json_array_append_new(
            list, container_state_new(&pod->containers[i])); /* checked as a whole */
    CLEANUP(json)
    json_t *state = json_pack("{s:O,s:i,s:I,s:O,s:o}", "object", pod->object, "host",
                              (int)pod->host, "startedAt", (json_int_t)pod->started_s, "conditions",
                              pod->conditions_since, "containers", list);
    if (!path || !state || json_write(state, false, &text, &err) < 0 ||
        fs_write_quick(AT_FDCWD, path, buf_str(&text), 0600, &err) < 0)
        log_error("a pod would not be found again after a crash", log_str("pod", pod->name),
                  log_err(&err));
}

static char *text_at(const json_t *state, const char *key)
{
    const char *text = json_str_at(state, key);
    return text ? str_dup(str_of(text)) : NULL;
}

static void load_container(struct container *c, const json_t *state)
{
    const char *reason = json_str_at(state, "exitReason");

    c->phase = (enum container_phase)json_int_at(state, "phase", CONTAINER_WAITING);
    c->attempt = (unsigned)json_int_at(state, "attempt", 0);
    c->restarts = (unsigned)json_int_at(state, "restarts", 0);
    c->pid = (pid_t)json_int_at(state, "pid", 0);
    c->pid_start = (uint64_t)json_int_at(state, "pidStart", 0);
    c->started_s = json_int_at(state, "startedAt", 0);
    c->finished_s = json_int_at(state, "finishedAt", 0);
    c->exit_code = (int)json_int_at(state, "exitCode", 0);
    (void)snprintf(c->exit_reason, sizeof(c->exit_reason), "%s", reason ? reason : "");
    c->exit_message = text_at(state, "exitMessage");
    c->image_id = text_at(state, "imageID");
    c->stop_signal = (int)json_int_at(state, "stopSignal", 15);
    c->backoff_ms = json_int_at(state, "backoff", 0);
    c->is_ready = json_bool_at(state, "ready", false);
    c->is_started = json_bool_at(state, "started", false);
    c->last_state = json_incref(json_object_get(state, "lastState"));
    if (json_is_null(c->last_state)) {
        json_decref(c->last_state);
        c->last_state = NULL;
    }
}

/* A pod from its state file, with all that it had; its processes are looked for by
 * container_adopt(). */
static int load_pod(struct node *node, const char *uid, struct pod **ret, struct error *err)
{
    CLEANUP(text) char *path = str_format("%s/pods/%s/state.json", node->folder, uid);
    CLEANUP(json) json_t *state = NULL;
    struct pod *pod;
    size_t i;
    json_t *item;

    if (!path)
        return error_no_memory(err);
    if (json_read_file(AT_FDCWD, path, &state, err) < 0 ||
        pod_new(node, json_object_get(state, "object"), &pod, err) < 0)
        return -1;
    if (strcmp(pod->uid, uid) != 0) {
        pod_free(pod);
        return error_set(err, ERR_INVALID, "'%s' is not the state of pod %s", path, uid);
    }
    pod->host = (unsigned)json_int_at(state, "host", 0) & 255;
    pod->started_s = json_int_at(state, "startedAt", 0);
    if (json_object_get(state, "conditions")) {
        json_decref(pod->conditions_since);
        pod->conditions_since = json_incref(json_object_get(state, "conditions"));
    }
    json_array_foreach(json_object_get(state, "containers"), i, item)
    {
        const char *name = json_str_at(item, "name");
        for (size_t c = 0; name && c < pod->container_count; c++)
            if (strcmp(pod->containers[c].name, name) == 0)
                load_container(&pod->containers[c], item);
    }
    *ret = pod;
    return 0;
}

static void adopt(struct node *node, struct pod *pod)
{
    const json_t *now = node_find(node, MIRROR_PODS, pod->ns, pod->name);
    const char *uid = json_str_at(now, "metadata.uid");
    bool is_wanted = uid && strcmp(uid, pod->uid) == 0;

    pod->next = node->pods;
    node->pods = pod;
    pod->is_gone_there = !is_wanted;
    if (pod->host)
        node->by_host[pod->host] = pod;
    pod->phase = pod->host ? POD_RUNNING : POD_NEW;
    for (size_t i = 0; i < pod->container_count; i++)
        container_adopt(&pod->containers[i]);
    if (is_wanted)
        pod_update(pod, now);
    else
        pod_end(pod, 0); /* the server has forgotten it while we were not there */
}

void pod_load_all(struct node *node)
{
    CLEANUP(text) char *folder = fs_join(node->folder, "pods");
    CLEANUP(strv) struct strv names = STRV_INIT;
    struct error err = ERROR_INIT;

    if (!folder || fs_list(AT_FDCWD, folder, &names, &err) < 0)
        return; /* no folder: no pods */
    for (size_t i = 0; i < names.count; i++) {
        struct pod *pod;
        if (names.items[i][0] == '.')
            continue; /* the runtime's */
        error_clear(&err);
        if (load_pod(node, names.items[i], &pod, &err) == 0) {
            adopt(node, pod);
            continue;
        }
        CLEANUP(text) char *path = fs_join(folder, names.items[i]); /* it had not begun */
        if (path && fs_remove_tree(AT_FDCWD, path, &err) < 0)
            log_warn("a pod's folder cannot be read nor removed", log_str("path", path),
                     log_err(&err));
    }
}
