/* cluster/api/cells_pod.c - the columns of pods and nodes. */
#include "base/clock.h"
#include "cluster/api/cells.h"

static const char *text_at(const json_t *object, const char *path)
{
    const char *text = json_str_at(object, path);
    return text ? text : "";
}

struct pod_summary {
    size_t ready, total;
    int64_t restarts;
    const char
        *last_restart; /* borrowed; the newest finishedAt of a restarted container, or NULL */
    char status[128];
};

static void note_restart(struct pod_summary *sum, const json_t *status)
{
    const char *at = json_str_at(status, "lastState.terminated.finishedAt");

    sum->restarts += json_int_at(status, "restartCount", 0);
    if (at && (!sum->last_restart || strcmp(at, sum->last_restart) > 0))
        sum->last_restart = at; /* RFC 3339 in UTC sorts as text */
}

static void set_terminated(struct pod_summary *sum, const char *prefix, const json_t *terminated)
{
    const char *reason = text_at(terminated, "reason");
    int64_t signal = json_int_at(terminated, "signal", 0);

    if (*reason)
        (void)snprintf(sum->status, sizeof(sum->status), "%s%s", prefix, reason);
    else if (signal != 0)
        (void)snprintf(sum->status, sizeof(sum->status), "%sSignal:%lld", prefix,
                       (long long)signal);
    else
        (void)snprintf(sum->status, sizeof(sum->status), "%sExitCode:%lld", prefix,
                       (long long)json_int_at(terminated, "exitCode", 0));
}

static bool init_is_sidecar(const json_t *object, const char *name)
{
    const json_t *inits = json_at(object, "spec.initContainers");

    for (size_t i = 0; i < json_array_size(inits); i++) {
        const json_t *container = json_array_get(inits, i);
        if (strcmp(text_at(container, "name"), name) == 0)
            return strcmp(text_at(container, "restartPolicy"), "Always") == 0;
    }
    return false;
}

/* True while the init containers are what the pod waits for. */
static bool summarise_inits(struct pod_summary *sum, const json_t *object)
{
    const json_t *statuses = json_at(object, "status.initContainerStatuses");
    size_t total = json_array_size(json_at(object, "spec.initContainers"));

    for (size_t i = 0; i < json_array_size(statuses); i++) {
        const json_t *status = json_array_get(statuses, i);
        const json_t *terminated = json_at(status, "state.terminated");
        bool is_sidecar = init_is_sidecar(object, text_at(status, "name"));
        note_restart(sum, status);
        if (is_sidecar && json_bool_at(status, "started", false)) {
            sum->total++;
            sum->ready += json_bool_at(status, "ready", false);
            continue;
        }
        if (terminated && json_int_at(terminated, "exitCode", -1) == 0)
            continue;
        const char *waiting = text_at(status, "state.waiting.reason");
        if (terminated)
            set_terminated(sum, "Init:", terminated);
        else if (*waiting && strcmp(waiting, "PodInitializing") != 0)
            (void)snprintf(sum->status, sizeof(sum->status), "Init:%s", waiting);
        else
            (void)snprintf(sum->status, sizeof(sum->status), "Init:%zu/%zu", i, total);
        return true;
    }
    return false;
}

static void summarise_containers(struct pod_summary *sum, const json_t *object)
{
    const json_t *statuses = json_at(object, "status.containerStatuses");
    bool has_running = false;

    for (size_t i = json_array_size(statuses); i-- > 0;) {
        const json_t *status = json_array_get(statuses, i);
        const json_t *terminated = json_at(status, "state.terminated");
        const char *waiting = text_at(status, "state.waiting.reason");
        note_restart(sum, status);
        if (*waiting) {
            (void)snprintf(sum->status, sizeof(sum->status), "%s", waiting);
        } else if (terminated) {
            set_terminated(sum, "", terminated);
        } else if (json_bool_at(status, "ready", false) && json_at(status, "state.running")) {
            has_running = true;
            sum->ready++;
        }
    }
    if (has_running && strcmp(sum->status, "Completed") == 0)
        (void)snprintf(sum->status, sizeof(sum->status), "Running");
}

static void summarise_pod(struct pod_summary *sum, const json_t *object)
{
    const char *reason = text_at(object, "status.reason");

    *sum = (struct pod_summary){.total = json_array_size(json_at(object, "spec.containers"))};
    (void)snprintf(sum->status, sizeof(sum->status), "%s",
                   *reason ? reason : text_at(object, "status.phase"));
    if (!summarise_inits(sum, object))
        summarise_containers(sum, object);
    if (json_str_at(object, "metadata.deletionTimestamp"))
        (void)snprintf(sum->status, sizeof(sum->status), "%s",
                       strcmp(reason, "NodeLost") == 0 ? "Unknown" : "Terminating");
}

static void add_gates(json_t *cells, const json_t *object)
{
    const json_t *gates = json_at(object, "spec.readinessGates");
    const json_t *conditions = json_at(object, "status.conditions");
    char text[48];
    size_t ready = 0;

    for (size_t i = 0; i < json_array_size(gates); i++) {
        const char *type = text_at(json_array_get(gates, i), "conditionType");
        for (size_t j = 0; j < json_array_size(conditions); j++) {
            const json_t *condition = json_array_get(conditions, j);
            ready += strcmp(text_at(condition, "type"), type) == 0 &&
                     strcmp(text_at(condition, "status"), "True") == 0;
        }
    }
    (void)snprintf(text, sizeof(text), "%zu/%zu", ready, json_array_size(gates));
    cells_add_text(cells, json_array_size(gates) ? text : "<none>");
}

const struct table_column columns_pod[] = {
    {"Name", "string", "name", 0, "Name must be unique within a namespace."},
    {"Ready", "string", "", 0, "The containers that are ready, of all."},
    {"Status", "string", "", 0, "What the pod is doing."},
    {"Restarts", "string", "", 0, "How often its containers were started again."},
    {"Age", "string", "", 0, "Time since the pod was made."},
    {"IP", "string", "", 1, "Its address."},
    {"Node", "string", "", 1, "Where it runs."},
    {"Nominated Node", "string", "", 1, "Where it may run once others have made room."},
    {"Readiness Gates", "string", "", 1, "Conditions beside the containers' that make it ready."},
    {NULL, NULL, NULL, 0, NULL}};

void cells_pod(const json_t *object, json_t *cells)
{
    struct pod_summary sum;
    char text[96], age[CLOCK_TEXT_SIZE];
    const char *ip = text_at(object, "status.podIP");
    const char *node = text_at(object, "spec.nodeName");
    int64_t then_s;

    summarise_pod(&sum, object);
    cells_add_text(cells, text_at(object, "metadata.name"));
    (void)snprintf(text, sizeof(text), "%zu/%zu", sum.ready, sum.total);
    cells_add_text(cells, text);
    cells_add_text(cells, sum.status);
    if (sum.restarts > 0 && sum.last_restart &&
        clock_parse_rfc3339(str_of(sum.last_restart), &then_s)) {
        int64_t age_s = clock_now_s() - then_s;
        (void)snprintf(text, sizeof(text), "%lld (%s ago)", (long long)sum.restarts,
                       clock_age(age_s < 0 ? 0 : age_s, age));
    } else {
        (void)snprintf(text, sizeof(text), "%lld", (long long)sum.restarts);
    }
    cells_add_text(cells, text);
    cells_add_created(cells, object);
    cells_add_text(cells, *ip ? ip : "<none>");
    cells_add_text(cells, *node ? node : "<none>");
    const char *nominated = text_at(object, "status.nominatedNodeName");
    cells_add_text(cells, *nominated ? nominated : "<none>");
    add_gates(cells, object);
}

const struct table_column columns_node[] = {{"Name", "string", "name", 0, "Name must be unique."},
                                            {"Status", "string", "", 0, "Whether it is ready."},
                                            {"Roles", "string", "", 0, "From its labels."},
                                            {"Age", "string", "", 0, "Time since it joined."},
                                            {"Version", "string", "", 0, "Of its kubelet."},
                                            {"Internal-IP", "string", "", 1, ""},
                                            {"External-IP", "string", "", 1, ""},
                                            {"OS-Image", "string", "", 1, ""},
                                            {"Kernel-Version", "string", "", 1, ""},
                                            {"Container-Runtime", "string", "", 1, ""},
                                            {NULL, NULL, NULL, 0, NULL}};

static const char *node_address(const json_t *object, const char *type)
{
    const json_t *addresses = json_at(object, "status.addresses");

    for (size_t i = 0; i < json_array_size(addresses); i++) {
        const json_t *address = json_array_get(addresses, i);
        if (strcmp(text_at(address, "type"), type) == 0)
            return text_at(address, "address");
    }
    return "<none>";
}

static void add_roles(json_t *cells, const json_t *object)
{
    static const char prefix[] = "node-role.kubernetes.io/";
    json_t *labels = json_at(object, "metadata.labels"), *value;
    struct buf out = BUF_INIT(1024);
    const char *key;

    json_object_foreach(labels, key, value)
    {
        if (strncmp(key, prefix, strlen(prefix)) == 0)
            buf_addf(&out, "%s%s", out.len ? "," : "", key + strlen(prefix));
    }
    cells_add_text(cells, out.len ? buf_text(&out) : "<none>");
    buf_done(&out);
}

void cells_node(const json_t *object, json_t *cells)
{
    const json_t *conditions = json_at(object, "status.conditions");
    const char *status = "Unknown";
    char text[64];

    for (size_t i = 0; i < json_array_size(conditions); i++) {
        const json_t *condition = json_array_get(conditions, i);
        if (strcmp(text_at(condition, "type"), "Ready") == 0)
            status = strcmp(text_at(condition, "status"), "True") == 0 ? "Ready" : "NotReady";
    }
    cells_add_text(cells, text_at(object, "metadata.name"));
    (void)snprintf(text, sizeof(text), "%s%s", status,
                   json_bool_at(object, "spec.unschedulable", false) ? ",SchedulingDisabled" : "");
    cells_add_text(cells, text);
    add_roles(cells, object);
    cells_add_created(cells, object);
    cells_add_text(cells, text_at(object, "status.nodeInfo.kubeletVersion"));
    cells_add_text(cells, node_address(object, "InternalIP"));
    cells_add_text(cells, node_address(object, "ExternalIP"));
    cells_add_text(cells, text_at(object, "status.nodeInfo.osImage"));
    cells_add_text(cells, text_at(object, "status.nodeInfo.kernelVersion"));
    cells_add_text(cells, text_at(object, "status.nodeInfo.containerRuntimeVersion"));
}
