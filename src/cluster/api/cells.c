/* cluster/api/cells.c - columns of the kinds other than pods and nodes, which are in cells_pod.c.
 */
#include "cluster/api/cells.h"

#include "base/clock.h"
#include "cluster/api/selector.h"

enum { CELL_MAX = 1 << 14 };

#define NAME_COLUMN                                                                                \
    {                                                                                              \
        "Name", "string", "name", 0, "Name must be unique within a namespace."                     \
    }
#define AGE_COLUMN                                                                                 \
    {                                                                                              \
        "Age", "string", "", 0, "Time since the object was made."                                  \
    }
#define TEXT(name, priority)                                                                       \
    {                                                                                              \
        name, "string", "", priority, ""                                                           \
    }
#define COUNT(name)                                                                                \
    {                                                                                              \
        name, "integer", "", 0, ""                                                                 \
    }
#define END_OF_COLUMNS                                                                             \
    {                                                                                              \
        NULL, NULL, NULL, 0, NULL                                                                  \
    }

static const char *text_at(const json_t *object, const char *path)
{
    const char *text = json_str_at(object, path);
    return text ? text : "";
}

void cells_add_text(json_t *cells, const char *text)
{
    (void)json_array_append_new(cells, json_string(text)); /* a lost cell shows as an empty one */
}

static void add_count(json_t *cells, const json_t *object, const char *path)
{
    (void)json_array_append_new(cells, json_integer(json_int_at(object, path, 0)));
}

static void add_name(json_t *cells, const json_t *object)
{
    cells_add_text(cells, text_at(object, "metadata.name"));
}

void cells_add_age(json_t *cells, const char *timestamp)
{
    char text[CLOCK_TEXT_SIZE];
    int64_t then_s;

    if (!timestamp || !clock_parse_rfc3339(str_of(timestamp), &then_s)) {
        cells_add_text(cells, "<unknown>");
        return;
    }
    int64_t age_s = clock_now_s() - then_s;
    cells_add_text(cells, clock_age(age_s < 0 ? 0 : age_s, text));
}

void cells_add_created(json_t *cells, const json_t *object)
{
    cells_add_age(cells, json_str_at(object, "metadata.creationTimestamp"));
}

static void add_buf(json_t *cells, struct buf *text)
{
    cells_add_text(cells, text->len > 0 ? buf_text(text) : "<none>");
    buf_done(text);
}

/* The names (or images) of a template's containers, joined. */
static void add_containers(json_t *cells, const json_t *object, const char *key)
{
    const json_t *containers = json_at(object, "spec.template.spec.containers");
    struct buf out = BUF_INIT(CELL_MAX);

    for (size_t i = 0; i < json_array_size(containers); i++)
        buf_addf(&out, "%s%s", i ? "," : "", text_at(json_array_get(containers, i), key));
    add_buf(cells, &out);
}

static void add_selector(json_t *cells, const json_t *selector)
{
    struct buf out = BUF_INIT(CELL_MAX);
    selector_object_text(selector, &out);
    add_buf(cells, &out);
}

static void add_workload(json_t *cells, const json_t *object)
{
    cells_add_created(cells, object);
    add_containers(cells, object, "name");
    add_containers(cells, object, "image");
    add_selector(cells, json_at(object, "spec.selector"));
}

const struct table_column columns_default[] = {
    NAME_COLUMN, {"Created At", "date", "", 0, "When the object was made."}, END_OF_COLUMNS};
void cells_default(const json_t *object, json_t *cells)
{
    add_name(cells, object);
    cells_add_text(cells, text_at(object, "metadata.creationTimestamp"));
}

const struct table_column columns_namespace[] = {NAME_COLUMN, TEXT("Status", 0), AGE_COLUMN,
                                                 END_OF_COLUMNS};
void cells_namespace(const json_t *object, json_t *cells)
{
    add_name(cells, object);
    cells_add_text(cells, text_at(object, "status.phase"));
    cells_add_created(cells, object);
}

const struct table_column columns_deployment[] = {
    NAME_COLUMN,           TEXT("Ready", 0),  COUNT("Up-to-date"), COUNT("Available"), AGE_COLUMN,
    TEXT("Containers", 1), TEXT("Images", 1), TEXT("Selector", 1), END_OF_COLUMNS};
void cells_deployment(const json_t *object, json_t *cells)
{
    char ready[48];

    add_name(cells, object);
    (void)snprintf(ready, sizeof(ready), "%lld/%lld",
                   (long long)json_int_at(object, "status.readyReplicas", 0),
                   (long long)json_int_at(object, "spec.replicas", 0));
    cells_add_text(cells, ready);
    add_count(cells, object, "status.updatedReplicas");
    add_count(cells, object, "status.availableReplicas");
    add_workload(cells, object);
}

const struct table_column columns_replicaset[] = {
    NAME_COLUMN,           COUNT("Desired"),  COUNT("Current"),    COUNT("Ready"), AGE_COLUMN,
    TEXT("Containers", 1), TEXT("Images", 1), TEXT("Selector", 1), END_OF_COLUMNS};
void cells_replicaset(const json_t *object, json_t *cells)
{
    add_name(cells, object);
    add_count(cells, object, "spec.replicas");
    add_count(cells, object, "status.replicas");
    add_count(cells, object, "status.readyReplicas");
    add_workload(cells, object);
}

/* --- services and endpoints --- */

static void add_service_ports(json_t *cells, const json_t *object)
{
    const json_t *ports = json_at(object, "spec.ports");
    struct buf out = BUF_INIT(CELL_MAX);

    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *port = json_array_get(ports, i);
        int64_t node_port = json_int_at(port, "nodePort", 0);
        buf_addf(&out, "%s%lld", i ? "," : "", (long long)json_int_at(port, "port", 0));
        if (node_port > 0)
            buf_addf(&out, ":%lld", (long long)node_port);
        buf_addf(&out, "/%s", text_at(port, "protocol"));
    }
    add_buf(cells, &out);
}

static void add_external(json_t *cells, const json_t *object)
{
    const char *type = text_at(object, "spec.type");
    const json_t *external = json_at(object, "spec.externalIPs");
    const json_t *ingress = json_at(object, "status.loadBalancer.ingress");
    struct buf out = BUF_INIT(CELL_MAX);

    if (strcmp(type, "ExternalName") == 0)
        buf_add_text(&out, text_at(object, "spec.externalName"));
    for (size_t i = 0; i < json_array_size(ingress); i++) {
        const json_t *point = json_array_get(ingress, i);
        const char *ip = json_str_at(point, "ip");
        buf_addf(&out, "%s%s", out.len ? "," : "", ip ? ip : text_at(point, "hostname"));
    }
    for (size_t i = 0; i < json_array_size(external); i++)
        buf_addf(&out, "%s%s", out.len ? "," : "", json_string_value(json_array_get(external, i)));
    if (out.len == 0 && strcmp(type, "LoadBalancer") == 0)
        buf_add_text(&out, "<pending>");
    add_buf(cells, &out);
}

const struct table_column columns_service[] = {
    NAME_COLUMN,        TEXT("Type", 0), TEXT("Cluster-IP", 0), TEXT("External-IP", 0),
    TEXT("Port(s)", 0), AGE_COLUMN,      TEXT("Selector", 1),   END_OF_COLUMNS};
void cells_service(const json_t *object, json_t *cells)
{
    CLEANUP(json) json_t *selector = NULL;
    const char *address = text_at(object, "spec.clusterIP");

    add_name(cells, object);
    cells_add_text(cells, text_at(object, "spec.type"));
    cells_add_text(cells, *address ? address : "<none>");
    add_external(cells, object);
    add_service_ports(cells, object);
    cells_add_created(cells, object);
    json_t *labels = json_at(object, "spec.selector");
    selector = labels ? json_pack("{s:O}", "matchLabels", labels) : json_object();
    add_selector(cells, selector);
}

static void add_endpoints_of_subset(struct buf *out, const json_t *subset, size_t *count)
{
    const json_t *addresses = json_object_get(subset, "addresses");
    const json_t *ports = json_object_get(subset, "ports");

    for (size_t i = 0; i < json_array_size(addresses); i++) {
        const char *ip = text_at(json_array_get(addresses, i), "ip");
        for (size_t j = 0; j == 0 || j < json_array_size(ports); j++) {
            int64_t port = json_int_at(json_array_get(ports, j), "port", 0);
            if ((*count)++ >= 3)
                continue;
            buf_addf(out, "%s%s", out->len ? "," : "", ip);
            if (port > 0)
                buf_addf(out, ":%lld", (long long)port);
        }
    }
}

const struct table_column columns_endpoints[] = {NAME_COLUMN, TEXT("Endpoints", 0), AGE_COLUMN,
                                                 END_OF_COLUMNS};
void cells_endpoints(const json_t *object, json_t *cells)
{
    const json_t *subsets = json_object_get(object, "subsets");
    struct buf out = BUF_INIT(CELL_MAX);
    size_t count = 0;

    add_name(cells, object);
    for (size_t i = 0; i < json_array_size(subsets); i++)
        add_endpoints_of_subset(&out, json_array_get(subsets, i), &count);
    if (count > 3)
        buf_addf(&out, " + %zu more...", count - 3);
    add_buf(cells, &out);
    cells_add_created(cells, object);
}

const struct table_column columns_endpointslice[] = {NAME_COLUMN,      TEXT("AddressType", 0),
                                                     TEXT("Ports", 0), TEXT("Endpoints", 0),
                                                     AGE_COLUMN,       END_OF_COLUMNS};
void cells_endpointslice(const json_t *object, json_t *cells)
{
    const json_t *ports = json_object_get(object, "ports");
    const json_t *endpoints = json_object_get(object, "endpoints");
    struct buf numbers = BUF_INIT(CELL_MAX), addresses = BUF_INIT(CELL_MAX);

    add_name(cells, object);
    cells_add_text(cells, text_at(object, "addressType"));
    for (size_t i = 0; i < json_array_size(ports); i++)
        buf_addf(&numbers, "%s%lld", i ? "," : "",
                 (long long)json_int_at(json_array_get(ports, i), "port", 0));
    add_buf(cells, &numbers);
    for (size_t i = 0; i < json_array_size(endpoints) && i < 3; i++)
        buf_addf(&addresses, "%s%s", i ? "," : "",
                 text_at(json_array_get(endpoints, i), "addresses[0]"));
    add_buf(cells, &addresses);
    cells_add_created(cells, object);
}

/* --- data --- */

const struct table_column columns_configmap[] = {NAME_COLUMN, TEXT("Data", 0), AGE_COLUMN,
                                                 END_OF_COLUMNS};
void cells_configmap(const json_t *object, json_t *cells)
{
    add_name(cells, object);
    size_t count = json_object_size(json_object_get(object, "data")) +
                   json_object_size(json_object_get(object, "binaryData"));
    (void)json_array_append_new(cells, json_integer((json_int_t)count));
    cells_add_created(cells, object);
}

const struct table_column columns_secret[] = {NAME_COLUMN, TEXT("Type", 0), COUNT("Data"),
                                              AGE_COLUMN, END_OF_COLUMNS};
void cells_secret(const json_t *object, json_t *cells)
{
    add_name(cells, object);
    cells_add_text(cells, text_at(object, "type"));
    size_t count = json_object_size(json_object_get(object, "data"));
    (void)json_array_append_new(cells, json_integer((json_int_t)count));
    cells_add_created(cells, object);
}

const struct table_column columns_serviceaccount[] = {NAME_COLUMN, COUNT("Secrets"), AGE_COLUMN,
                                                      END_OF_COLUMNS};
void cells_serviceaccount(const json_t *object, json_t *cells)
{
    add_name(cells, object);
    size_t count = json_array_size(json_object_get(object, "secrets"));
    (void)json_array_append_new(cells, json_integer((json_int_t)count));
    cells_add_created(cells, object);
}

const struct table_column columns_event[] = {
    TEXT("Last Seen", 0), TEXT("Type", 0),
    TEXT("Reason", 0),    TEXT("Object", 0),
    TEXT("Subobject", 1), TEXT("Source", 1),
    TEXT("Message", 0),   TEXT("First Seen", 1),
    TEXT("Count", 1),     {"Name", "string", "name", 1, ""},
    END_OF_COLUMNS};
void cells_event(const json_t *object, json_t *cells)
{
    const char *last = json_str_at(object, "lastTimestamp");
    const char *first = json_str_at(object, "firstTimestamp");
    const char *kind = text_at(object, "involvedObject.kind");
    const char *component = text_at(object, "source.component");
    char lower[128];
    size_t i;

    for (i = 0; kind[i] && i + 1 < sizeof(lower); i++)
        lower[i] = (char)(kind[i] >= 'A' && kind[i] <= 'Z' ? kind[i] + 32 : kind[i]);
    lower[i] = '\0';
    CLEANUP(text) char *about = str_format("%s/%s", lower, text_at(object, "involvedObject.name"));
    cells_add_age(cells, last ? last : json_str_at(object, "eventTime"));
    cells_add_text(cells, text_at(object, "type"));
    cells_add_text(cells, text_at(object, "reason"));
    cells_add_text(cells, about ? about : "");
    cells_add_text(cells, text_at(object, "involvedObject.fieldPath"));
    cells_add_text(cells, *component ? component : text_at(object, "reportingComponent"));
    cells_add_text(cells, text_at(object, "message"));
    cells_add_age(cells, first ? first : json_str_at(object, "eventTime"));
    add_count(cells, object, "count");
    add_name(cells, object);
}

/* --- policies, leases, bindings --- */

const struct table_column columns_networkpolicy[] = {NAME_COLUMN, TEXT("Pod-Selector", 0),
                                                     AGE_COLUMN, END_OF_COLUMNS};
void cells_networkpolicy(const json_t *object, json_t *cells)
{
    add_name(cells, object);
    add_selector(cells, json_at(object, "spec.podSelector"));
    cells_add_created(cells, object);
}

static void add_share(json_t *cells, const json_t *value)
{
    char number[24];

    if (json_is_string(value)) {
        cells_add_text(cells, json_string_value(value));
    } else if (json_is_integer(value)) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        cells_add_text(cells, number);
    } else {
        cells_add_text(cells, "N/A");
    }
}

const struct table_column columns_poddisruptionbudget[] = {NAME_COLUMN,
                                                           TEXT("Min Available", 0),
                                                           TEXT("Max Unavailable", 0),
                                                           COUNT("Allowed Disruptions"),
                                                           AGE_COLUMN,
                                                           END_OF_COLUMNS};
void cells_poddisruptionbudget(const json_t *object, json_t *cells)
{
    add_name(cells, object);
    add_share(cells, json_at(object, "spec.minAvailable"));
    add_share(cells, json_at(object, "spec.maxUnavailable"));
    add_count(cells, object, "status.disruptionsAllowed");
    cells_add_created(cells, object);
}

const struct table_column columns_lease[] = {NAME_COLUMN, TEXT("Holder", 0), AGE_COLUMN,
                                             END_OF_COLUMNS};
void cells_lease(const json_t *object, json_t *cells)
{
    add_name(cells, object);
    cells_add_text(cells, text_at(object, "spec.holderIdentity"));
    cells_add_created(cells, object);
}

const struct table_column columns_rolebinding[] = {NAME_COLUMN, TEXT("Role", 0), AGE_COLUMN,
                                                   END_OF_COLUMNS};
void cells_rolebinding(const json_t *object, json_t *cells)
{
    CLEANUP(text)
    char *role =
        str_format("%s/%s", text_at(object, "roleRef.kind"), text_at(object, "roleRef.name"));
    add_name(cells, object);
    cells_add_text(cells, role ? role : "");
    cells_add_created(cells, object);
}
