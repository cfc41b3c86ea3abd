/* kube/rollout.c - is a Deployment rolled out, and if not, what is the matter. */
#include "kube/rollout.h"

#include "kube/kube_internal.h"

static const json_t *condition_of(const json_t *object, const char *type)
{
    const json_t *conditions = json_at(object, "status.conditions");
    size_t i;
    const json_t *item;

    json_array_foreach(conditions, i, item)
    {
        const char *item_type = json_str_at(item, "type");
        if (item_type && strcmp(item_type, type) == 0)
            return item;
    }
    return NULL;
}

enum kube_rollout kube_rollout_of(const json_t *deployment, char text[KUBE_ROLLOUT_TEXT])
{
    int64_t desired = json_int_at(deployment, "spec.replicas", 1);
    int64_t updated = json_int_at(deployment, "status.updatedReplicas", 0);
    int64_t total = json_int_at(deployment, "status.replicas", 0);
    int64_t available = json_int_at(deployment, "status.availableReplicas", 0);
    const json_t *progressing = condition_of(deployment, "Progressing");
    const char *reason = json_str_at(progressing, "reason");

    text[0] = '\0';
    if (json_int_at(deployment, "metadata.generation", 0) >
        json_int_at(deployment, "status.observedGeneration", 0)) {
        (void)snprintf(text, KUBE_ROLLOUT_TEXT, "the new spec is not observed yet");
        return KUBE_ROLLOUT_GOING;
    }
    if (reason && strcmp(reason, "ProgressDeadlineExceeded") == 0) {
        (void)snprintf(text, KUBE_ROLLOUT_TEXT, "the rollout exceeded its progress deadline");
        return KUBE_ROLLOUT_FAILED;
    }
    if (updated < desired) {
        (void)snprintf(text, KUBE_ROLLOUT_TEXT, "%lld of %lld new replicas are updated",
                       (long long)updated, (long long)desired);
        return KUBE_ROLLOUT_GOING;
    }
    if (total > updated) {
        (void)snprintf(text, KUBE_ROLLOUT_TEXT, "%lld old replicas are pending termination",
                       (long long)(total - updated));
        return KUBE_ROLLOUT_GOING;
    }
    if (available < updated) {
        (void)snprintf(text, KUBE_ROLLOUT_TEXT, "%lld of %lld updated replicas are available",
                       (long long)available, (long long)updated);
        return KUBE_ROLLOUT_GOING;
    }
    return KUBE_ROLLOUT_DONE;
}

/* A running loop that waits for one thing, with a deadline: behind the blocking calls that watch.
 */
struct waiting {
    struct loop *loop;
    struct error *err;
    kube_rollout_fn *on_text;
    void *ctx;
    char text[KUBE_ROLLOUT_TEXT];
    const char *name;
    bool seen;
    bool timed_out;
    int result;
    bool finished;
};

static void waiting_finish(struct waiting *w, int result)
{
    w->result = result;
    w->finished = true;
    loop_stop(w->loop);
}

static void on_rollout_event(struct kube_watch *watch, enum kube_event event, const json_t *object,
                             void *ctx)
{
    struct waiting *w = ctx;
    char text[KUBE_ROLLOUT_TEXT];

    if (w->finished || event == KUBE_SYNCED) {
        if (!w->finished && !w->seen) {
            (void)snprintf(w->text, sizeof w->text, "deployment '%s' does not exist", w->name);
        }
        return;
    }
    if (event == KUBE_DELETED) {
        waiting_finish(w, error_set(w->err, ERR_NOT_FOUND, "deployment '%s' was deleted", w->name));
        return;
    }
    w->seen = true;
    enum kube_rollout state = kube_rollout_of(object, text);
    if (strcmp(text, w->text) != 0 && *text && w->on_text)
        w->on_text(text, w->ctx);
    memcpy(w->text, text, sizeof w->text);
    if (state == KUBE_ROLLOUT_DONE)
        waiting_finish(w, 0);
    else if (state == KUBE_ROLLOUT_FAILED)
        waiting_finish(w, error_set(w->err, ERR_UNAVAILABLE, "deployment '%s': %s", w->name, text));
}

static void on_watch_state(struct kube_watch *watch, const struct error *err, void *ctx)
{
    struct waiting *w = ctx;

    if (err && !w->finished)
        (void)snprintf(w->text, sizeof w->text, "%.200s", err->text);
}

static void on_deadline(struct loop *loop, void *ctx)
{
    struct waiting *w = ctx;

    if (!w->finished) {
        w->timed_out = true;
        waiting_finish(w, -1);
    }
}

static int wait_by_watch(struct kube_client *client, const struct kube_ref *ref,
                         kube_watch_fn *on_event, int64_t timeout_ms, struct waiting *w,
                         struct error *err)
{
    CLEANUP(loop) struct loop *loop = NULL;
    /* A connection of its own: one connection's flows are of one loop, and this one is gone after.
     */
    CLEANUP(kube_client) struct kube_client *own = NULL;
    struct kube_watch *watch = NULL;
    struct error loop_err = ERROR_INIT;

    if (loop_new(&loop, err) < 0 || kube_client_new(&client->config, &own, err) < 0)
        return -1;
    w->loop = loop;
    w->err = err;
    struct kube_watch_options options = {
        .ref = *ref, .on_event = on_event, .on_state = on_watch_state, .ctx = w};
    if (kube_watch_start(own, loop, &options, &watch, err) < 0)
        return -1;
    int result = loop_add_timer(loop, timeout_ms, on_deadline, w, NULL, err);
    if (result == 0 && loop_run(loop, &loop_err) < 0) {
        *err = loop_err;
        result = -1;
    }
    kube_watch_remove(watch);
    if (result == 0 && w->timed_out)
        return error_set(err, ERR_TIMEOUT, "'%s' is not ready after %lld s: %s", w->name,
                         (long long)(timeout_ms / 1000), w->text);
    return result < 0 ? -1 : w->result;
}

int kube_wait_rollout(struct kube_client *client, const char *ns, const char *name,
                      int64_t timeout_ms, kube_rollout_fn *on_text, void *ctx, struct error *err)
{
    struct waiting w = {.on_text = on_text, .ctx = ctx, .name = name};
    struct kube_ref ref = {"apps/v1", "Deployment", ns, name};

    return wait_by_watch(client, &ref, on_rollout_event, timeout_ms, &w, err);
}

static void on_gone_event(struct kube_watch *watch, enum kube_event event, const json_t *object,
                          void *ctx)
{
    struct waiting *w = ctx;

    if (w->finished)
        return;
    if (event == KUBE_DELETED || (event == KUBE_SYNCED && !w->seen)) {
        waiting_finish(w, 0);
        return;
    }
    w->seen = true;
    (void)snprintf(w->text, sizeof w->text, "it is still being deleted");
}

int kube_delete(struct kube_client *client, const struct kube_ref *ref, bool wait,
                struct error *err)
{
    struct waiting w = {.name = ref->name};

    if (kube_delete_start(client, ref, err) < 0)
        return -1;
    return wait ? wait_by_watch(client, ref, on_gone_event, 2 * KUBE_TIMEOUT_MS, &w, err) : 0;
}

static bool container_trouble(const char *pod, const json_t *status, char *out, size_t out_size)
{
    const char *name = json_str_at(status, "name");
    const char *waiting = json_str_at(status, "state.waiting.reason");
    const char *message = json_str_at(status, "state.waiting.message");
    const json_t *ended = json_at(status, "state.terminated");

    if (!ended)
        ended = json_at(status, "lastState.terminated");
    if (ended && !json_bool_at(status, "ready", false)) {
        (void)snprintf(out, out_size, "container '%s' of pod '%s' exited %lld%s%s%s", name, pod,
                       (long long)json_int_at(ended, "exitCode", -1), waiting ? " (" : "",
                       waiting ? waiting : "", waiting ? ")" : "");
        return true;
    }
    if (waiting && strcmp(waiting, "ContainerCreating") != 0 &&
        strcmp(waiting, "PodInitializing") != 0) {
        (void)snprintf(out, out_size, "container '%s' of pod '%s' waits: %s%s%s", name, pod,
                       waiting, message ? ": " : "", message ? message : "");
        return true;
    }
    return false;
}

void kube_pods_trouble(const json_t *pod_list, char *out, size_t out_size)
{
    const json_t *pods = json_object_get(pod_list, "items");
    size_t i;
    const json_t *pod;

    out[0] = '\0';
    json_array_foreach(pods, i, pod)
    {
        const char *name = json_str_at(pod, "metadata.name");
        size_t j;
        const json_t *status;
        if (json_at(pod, "metadata.deletionTimestamp"))
            continue;
        json_array_foreach(json_at(pod, "status.containerStatuses"), j, status)
        {
            if (container_trouble(name, status, out, out_size))
                return;
        }
    }
    json_array_foreach(pods, i, pod)
    {
        const json_t *ready = condition_of(pod, "Ready");
        const char *message = json_str_at(ready, "message");
        if (json_at(pod, "metadata.deletionTimestamp") ||
            strcmp(json_str_at(ready, "status") ? json_str_at(ready, "status") : "", "True") == 0)
            continue;
        (void)snprintf(out, out_size, "pod '%s' is not ready%s%s",
                       json_str_at(pod, "metadata.name"), message ? ": " : "",
                       message ? message : "");
        return;
    }
}
