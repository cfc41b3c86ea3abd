/* cluster/node/pod_status.c - a pod's status, in the words that kubectl prints. */
#include <stdio.h>

#include "base/clock.h"
#include "cluster/node/node_internal.h"

static bool has_init_to_do(const struct pod *pod)
{
    for (size_t i = 0; i < pod->container_count; i++) {
        const struct container *c = &pod->containers[i];
        if (!c->is_init)
            break;
        if (c->is_sidecar ? !c->is_started : c->phase != CONTAINER_EXITED || c->exit_code != 0)
            return true;
    }
    return false;
}

bool pod_is_all_ready(const struct pod *pod)
{
    for (size_t i = 0; i < pod->container_count; i++) {
        const struct container *c = &pod->containers[i];
        if ((!c->is_init || c->is_sidecar) && !c->is_ready)
            return false;
    }
    return true;
}

static const char *phase_of(const struct pod *pod)
{
    bool all_ended = true, any_failed = false, any_started = false;

    for (size_t i = 0; i < pod->container_count; i++) {
        const struct container *c = &pod->containers[i];
        if (c->is_init) {
            if (!c->is_sidecar && c->phase == CONTAINER_EXITED && c->exit_code != 0 &&
                pod->phase == POD_DONE)
                return "Failed";
            continue;
        }
        all_ended = all_ended && c->phase == CONTAINER_EXITED;
        any_failed = any_failed || c->exit_code != 0;
        any_started = any_started || c->phase == CONTAINER_RUNNING || c->started_s != 0;
    }
    if (all_ended && any_started && pod->phase != POD_RUNNING)
        return any_failed ? "Failed" : "Succeeded";
    return any_started && !has_init_to_do(pod) ? "Running" : "Pending";
}

static json_t *state_of(const struct container *c)
{
    char started[CLOCK_TEXT_SIZE], finished[CLOCK_TEXT_SIZE];
    json_t *inner;

    clock_rfc3339(c->started_s, started);
    if (c->phase == CONTAINER_RUNNING)
        return json_pack("{s:{s:s}}", "running", "startedAt", started);
    if (c->phase == CONTAINER_EXITED && c->started_s) {
        inner =
            json_pack("{s:i,s:s,s:s,s:s}", "exitCode", c->exit_code, "reason", c->exit_reason,
                      "startedAt", started, "finishedAt", clock_rfc3339(c->finished_s, finished));
        if (c->exit_message)
            (void)json_object_set_new(inner, "message",
                                      json_string(c->exit_message)); /* only a text */
        return json_pack("{s:o}", "terminated", inner);
    }
    bool waits_for_init = !c->is_init && !c->reason[0] && has_init_to_do(c->pod);
    inner = json_pack("{s:s}", "reason",
                      c->reason[0]                  ? c->reason
                      : waits_for_init              ? "PodInitializing"
                      : c->is_init && c->number > 0 ? "PodInitializing"
                                                    : "ContainerCreating");
    if (c->message[0])
        (void)json_object_set_new(inner, "message", json_string(c->message)); /* only a text */
    return json_pack("{s:o}", "waiting", inner);
}

static json_t *container_status(const struct container *c)
{
    const char *image = json_str_at(container_spec(c), "image");
    char id[128] = "";
    bool is_done_init =
        c->is_init && !c->is_sidecar && c->phase == CONTAINER_EXITED && c->exit_code == 0;

    if (c->started_s)
        (void)snprintf(id, sizeof(id), "crun://%.40s-%zu-%u", c->pod->uid, c->number, c->attempt);
    return json_pack("{s:s,s:o,s:o,s:b,s:b,s:i,s:s,s:s,s:s}", "name", c->name, "state", state_of(c),
                     "lastState", c->last_state ? json_incref(c->last_state) : json_object(),
                     "ready", c->is_ready || is_done_init, "started",
                     c->phase == CONTAINER_RUNNING && c->is_started, "restartCount",
                     (int)c->restarts, "image", image ? image : "", "imageID",
                     c->image_id ? c->image_id : "", "containerID", id);
}

/* [type, True|False, since, reason, message]; the time stays while the value stays. */
static int add_condition(struct pod *pod, json_t *list, const char *type, bool value,
                         const char *reason, const char *message)
{
    const json_t *had = json_object_get(pod->conditions_since, type);
    const char *word = value ? "True" : "False",
               *before = json_string_value(json_array_get(had, 0));
    char now[CLOCK_TEXT_SIZE];

    if (!before || strcmp(before, word) != 0) {
        json_t *entry = json_pack("[s,s]", word, clock_rfc3339(clock_now_s(), now));
        if (json_object_set_new(pod->conditions_since, type, entry) < 0)
            return -1;
        had = entry;
    }
    json_t *condition = json_pack("{s:s,s:s,s:n,s:O}", "type", type, "status", word,
                                  "lastProbeTime", "lastTransitionTime", json_array_get(had, 1));
    if (reason && (json_object_set_new(condition, "reason", json_string(reason)) < 0 ||
                   json_object_set_new(condition, "message", json_string(message)) < 0)) {
        json_decref(condition);
        return -1;
    }
    return json_array_append_new(list, condition);
}

static void unready_message(const struct pod *pod, char *out, size_t size)
{
    size_t len = (size_t)snprintf(out, size, "containers with unready status: [");

    for (size_t i = 0; i < pod->container_count; i++) {
        const struct container *c = &pod->containers[i];
        if (c->is_init || c->is_ready || len + strlen(c->name) + 3 > size)
            continue;
        len += (size_t)snprintf(out + len, size - len, "%s%s", out[len - 1] == '[' ? "" : " ",
                                c->name);
    }
    (void)snprintf(out + len, size - len, "]");
}

static json_t *conditions_of(struct pod *pod, const char *phase)
{
    json_t *list = json_array();
    bool is_done = strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
    bool is_initialized = !has_init_to_do(pod),
         is_ready = !is_done && is_initialized && pod_is_all_ready(pod);
    const char *reason = is_ready ? NULL : is_done ? "PodCompleted" : "ContainersNotReady";
    char message[600] = "";

    if (!is_ready && !is_done)
        unready_message(pod, message, sizeof(message));
    if (add_condition(pod, list, "PodReadyToStartContainers", pod->host != 0 && !is_done, NULL,
                      NULL) < 0 ||
        add_condition(pod, list, "Initialized", is_initialized,
                      is_initialized ? NULL : "ContainersNotInitialized",
                      "init containers are not complete") < 0 ||
        add_condition(pod, list, "Ready", is_ready, reason, message) < 0 ||
        add_condition(pod, list, "ContainersReady", is_ready, reason, message) < 0 ||
        add_condition(pod, list, "PodScheduled", true, NULL, NULL) < 0) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static bool is_same_quantity(const char *a, const char *b)
{
    int64_t x, y;
    return quantity_parse_milli(a, &x) && quantity_parse_milli(b, &y) && x == y;
}

static const char *qos_of(const struct pod *pod)
{
    bool any = false, all_equal = true;

    for (size_t i = 0; i < pod->container_count; i++) {
        const json_t *resources = json_object_get(container_spec(&pod->containers[i]), "resources");
        const char *const kinds[] = {"cpu", "memory"};
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
            const char *limit =
                json_string_value(json_object_get(json_object_get(resources, "limits"), kinds[k]));
            const char *request = json_string_value(
                json_object_get(json_object_get(resources, "requests"), kinds[k]));
            any = any || limit || request;
            all_equal = all_equal && limit && (!request || is_same_quantity(limit, request));
        }
    }
    return !any ? "BestEffort" : all_equal ? "Guaranteed" : "Burstable";
}

static json_t *status_new(struct pod *pod)
{
    const char *phase = phase_of(pod);
    json_t *status = json_pack("{s:s,s:o?,s:s}", "phase", phase, "conditions",
                               conditions_of(pod, phase), "qosClass", qos_of(pod));
    json_t *init = json_array(), *containers = json_array();
    char node[NET_ADDRESS_SIZE], address[NET_ADDRESS_SIZE], started[CLOCK_TEXT_SIZE];

    for (size_t i = 0; i < pod->container_count; i++)
        (void)json_array_append_new(
            pod->containers[i].is_init ? init : containers,
            container_status(&pod->containers[i])); /* without memory: next time */
    net_node_address(pod->node->index, node);
    (void)json_object_set_new(status, "hostIP", json_string(node));
    (void)json_object_set_new(status, "hostIPs", json_pack("[{s:s}]", "ip", node));
    if (pod_address(pod, address)[0]) {
        (void)json_object_set_new(status, "podIP", json_string(address));
        (void)json_object_set_new(status, "podIPs", json_pack("[{s:s}]", "ip", address));
    }
    (void)json_object_set_new(status, "startTime",
                              json_string(clock_rfc3339(pod->started_s, started)));
    if (json_array_size(init))
        (void)json_object_set(status, "initContainerStatuses", init);
    (void)json_object_set(status, "containerStatuses", containers);
    json_decref(init);
    json_decref(containers);
    return status;
}

void pod_report(struct pod *pod)
{
    CLEANUP(json) json_t *status = status_new(pod);
    CLEANUP(buf) struct buf text = BUF_INIT(2 << 20);
    struct error ignored = ERROR_INIT; /* without memory: with the next change */

    if (pod->is_gone_there || !status || json_write(status, false, &text, &ignored) < 0)
        return;
    if (pod->sent_status && strcmp(pod->sent_status, buf_text(&text)) == 0)
        return;
    free(pod->sent_status);
    pod->sent_status = buf_take(&text);
    peer_send(pod->node->peer,
              json_pack("{s:s,s:s,s:s,s:s,s:O}", "type", "status", "namespace", pod->ns, "name",
                        pod->name, "uid", pod->uid, "status", status));
}
