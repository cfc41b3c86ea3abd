/* workload/fields.c - the fields of a Workload, and whose each one is. Takes a parsed document, gives
 * every fault. What is functional is the developer's and checked here; what is not is the platform's,
 * and the fault names the platform file where it is said. */
#include <ctype.h>

#include "workload/workload_internal.h"

struct check {
    const struct doc *doc;
    struct error_list *faults;
};

/* Fields that people write into a Workload out of habit, and the file where the platform says them.
 */
static const struct {
    const char *field;
    const char *file;
} platforms_fields[] = {
    {"replicas", "conventions"},
    {"minReplicas", "conventions"},
    {"maxReplicas", "conventions"},
    {"autoscaling", "conventions"},
    {"hpa", "conventions"},
    {"horizontalPodAutoscaler", "conventions"},
    {"securityContext", "conventions"},
    {"podSecurityContext", "conventions"},
    {"affinity", "conventions"},
    {"nodeSelector", "conventions"},
    {"nodeName", "conventions"},
    {"tolerations", "conventions"},
    {"topologySpreadConstraints", "conventions"},
    {"priorityClassName", "conventions"},
    {"runtimeClassName", "conventions"},
    {"imagePullPolicy", "conventions"},
    {"imagePullSecrets", "conventions"},
    {"podDisruptionBudget", "conventions"},
    {"strategy", "conventions"},
    {"terminationGracePeriodSeconds", "conventions"},
    {"readinessProbe", "conventions"},
    {"livenessProbe", "conventions"},
    {"startupProbe", "conventions"},
    {"hostNetwork", "conventions"},
    {"dnsPolicy", "conventions"},
    {"networkPolicy", "conventions"},
    {"networkPolicies", "conventions"},
    {"ingress", "conventions"},
    {"serviceAccount", "conventions"},
    {"serviceAccountRole", "conventions"},
    {"role", "conventions"},
    {"roleBinding", "conventions"},
    {"volumes", "conventions"},
    {"sidecars", "agents"},
    {"containers", "agents"},
    {"initContainers", "agents"},
    {"services", "services"},
    {"waivers", "waivers"},
    {"stack", "stacks"},
    {"builder", "stacks"},
    {"baseImage", "stacks"},
    {"clusters", NULL},
    {"checks", NULL},
    {"promotion", NULL},
};

static const char *const root_keys[] = {"apiVersion", "kind", "metadata", "spec", "status", NULL};
static const char *const metadata_keys[] = {
    "name",       "namespace",         "labels",        "annotations",     "uid",
    "generation", "creationTimestamp", "managedFields", "resourceVersion", NULL};
static const char *const spec_keys[] = {
    "params", "source", "image", "build", "env", "resources", "serviceClaims", "serviceAccountName",
    NULL};
static const char *const source_keys[] = {"git", "image", "subPath", NULL};
static const char *const git_keys[] = {"url", "ref", NULL};
static const char *const ref_keys[] = {"branch", "tag", "commit", NULL};
static const char *const build_keys[] = {"env", NULL};
static const char *const env_keys[] = {"name", "value", "valueFrom", NULL};
static const char *const value_from_keys[] = {"configMapKeyRef", "secretKeyRef", "fieldRef",
                                              "resourceFieldRef", NULL};
static const char *const param_keys[] = {"name", "value", NULL};
static const char *const resources_keys[] = {"limits", "requests", NULL};
static const char *const claim_keys[] = {"name", "ref", NULL};
static const char *const claim_ref_keys[] = {"apiVersion", "kind", "name", "namespace", NULL};
static const char *const port_keys[] = {"name", "port", "containerPort", "protocol", NULL};
static const char *const probes_keys[] = {"readiness", "liveness", NULL};
static const char *const probe_keys[] = {"path", "port", NULL};
static const char *const quantity_keys[] = {"cpu", "memory", "ephemeral-storage", NULL};

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "a map";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "text";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "nothing";
    }
    return "something else";
}

/* Unknown keys of an object, telling apart what is the platform's. */
static void check_keys(const struct check *c, const json_t *object, const char *what,
                       const char *const *known)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        size_t i = 0;
        while (i < ARRAY_LEN(platforms_fields) && strcmp(platforms_fields[i].field, key) != 0)
            i++;
        bool is_known = false;
        for (size_t k = 0; known[k]; k++)
            is_known = is_known || strcmp(known[k], key) == 0;
        if (is_known)
            continue;
        if (i == ARRAY_LEN(platforms_fields))
            doc_check_key(c->doc, object, key, what, known, c->faults);
        else if (platforms_fields[i].file)
            error_list_add(c->faults, ERR_INVALID, doc_key_place(c->doc, object, key),
                           "'%s' is the platform's: platform/%s/*.yaml", key,
                           platforms_fields[i].file);
        else
            error_list_add(c->faults, ERR_INVALID, doc_key_place(c->doc, object, key),
                           "'%s' is the platform's: platform/platform.yaml", key);
    }
}

static void wrong_type(const struct check *c, struct place place, const char *key,
                       const char *wanted, const json_t *found)
{
    error_list_add(c->faults, ERR_INVALID, place, "expected %s in '%s', got %s", wanted, key,
                   type_name(found));
}

/* The object, array or text under `key`, or NULL: absent (an empty value counts as absent), or a
 * fault was added. */
static json_t *get(const struct check *c, const json_t *object, const char *key, json_type type)
{
    json_t *value = json_object_get(object, key);
    const char *wanted = type == JSON_OBJECT ? "a map" : type == JSON_ARRAY ? "a list" : "text";

    if (!value || json_is_null(value))
        return NULL;
    if (json_typeof(value) != type) {
        wrong_type(c, doc_place_key(c->doc, object, key), key, wanted, value);
        return NULL;
    }
    return value;
}

static const char *get_text(const struct check *c, const json_t *object, const char *key)
{
    return json_string_value(get(c, object, key, JSON_STRING));
}

static const char *need_text(const struct check *c, const json_t *object, const char *key,
                             const char *what)
{
    if (!json_object_get(object, key)) {
        error_list_add(c->faults, ERR_INVALID, doc_place(c->doc, object), "expected '%s' in %s",
                       key, what);
        return NULL;
    }
    return get_text(c, object, key);
}

/* Item `i` of an array if it is an object. */
static json_t *item(const struct check *c, const json_t *array, size_t i, const char *what)
{
    json_t *value = json_array_get(array, i);

    if (json_is_object(value))
        return value;
    error_list_add(c->faults, ERR_INVALID, doc_place_item(c->doc, array, i),
                   "expected a map as an item of %s, got %s", what, type_name(value));
    return NULL;
}

static bool is_lower_or_digit(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9');
}

bool fields_is_label(struct str s)
{
    if (s.len == 0 || s.len > 63 || !is_lower_or_digit(s.ptr[0]) ||
        !is_lower_or_digit(s.ptr[s.len - 1]))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_lower_or_digit(s.ptr[i]) && s.ptr[i] != '-')
            return false;
    return true;
}

static void check_label(const struct check *c, const json_t *object, const char *key,
                        const char *text)
{
    if (text && !fields_is_label(str_of(text)))
        error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, object, key),
                       "expected a name of at most 63 lower-case letters, digits and '-' in "
                       "'%s', got '%s'",
                       key, text);
}

/* A name is used once in a list: `key` of item `index` against those before it. */
static void check_unique(const struct check *c, const json_t *array, size_t index, const char *what)
{
    const char *name = json_str_at(json_array_get(array, index), "name");

    for (size_t i = 0; name && i < index; i++) {
        const char *earlier = json_str_at(json_array_get(array, i), "name");
        if (!earlier || strcmp(earlier, name) != 0)
            continue;
        error_list_add(c->faults, ERR_INVALID,
                       doc_place_key(c->doc, json_array_get(array, index), "name"),
                       "'%s' stands twice in %s", name, what);
        return;
    }
}

static void check_text_map(const struct check *c, const json_t *map, const char *what)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)map, key, value)
    {
        if (!json_is_string(value))
            error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, map, key),
                           "expected text for '%s' in %s, got %s; write it in quotes", key, what,
                           type_name(value));
    }
}

static void check_metadata(const struct check *c, const json_t *root)
{
    json_t *metadata = get(c, root, "metadata", JSON_OBJECT);

    if (!metadata) {
        if (!json_object_get(root, "metadata"))
            error_list_add(c->faults, ERR_INVALID, doc_place(c->doc, root),
                           "expected 'metadata' with 'name'");
        return;
    }
    check_keys(c, metadata, "metadata", metadata_keys);
    check_label(c, metadata, "name", need_text(c, metadata, "name", "metadata"));
    check_label(c, metadata, "namespace", get_text(c, metadata, "namespace"));
    json_t *labels = get(c, metadata, "labels", JSON_OBJECT);
    json_t *annotations = get(c, metadata, "annotations", JSON_OBJECT);
    if (labels)
        check_text_map(c, labels, "labels");
    if (annotations)
        check_text_map(c, annotations, "annotations");
    const char *type = json_string_value(json_object_get(labels, WORKLOAD_TYPE_LABEL));
    if (type && strcmp(type, "web") && strcmp(type, "server") && strcmp(type, "worker"))
        error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, labels, WORKLOAD_TYPE_LABEL),
                       "expected workload type web, server or worker, got '%s'", type);
}

/* Relative, and down only: it is opened beneath the source tree, and this says so early. */
static void check_sub_path(const struct check *c, const json_t *source)
{
    const char *path = get_text(c, source, "subPath");
    struct str rest = str_of(path);
    bool is_fit = path && path[0] != '/';

    while (is_fit && rest.len)
        is_fit = !str_is(str_cut(&rest, '/'), "..");
    if (path && !is_fit)
        error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, source, "subPath"),
                       "expected a folder inside the repository in 'subPath', got '%s'", path);
}

static void check_source(const struct check *c, const json_t *spec)
{
    json_t *source = get(c, spec, "source", JSON_OBJECT);

    if (!source)
        return;
    if (json_object_get(spec, "image"))
        error_list_add(c->faults, ERR_INVALID, doc_key_place(c->doc, spec, "image"),
                       "'image' and 'source' exclude each other");
    check_keys(c, source, "source", source_keys);
    json_t *git = get(c, source, "git", JSON_OBJECT);
    if (git) {
        check_keys(c, git, "source.git", git_keys);
        (void)get_text(c, git, "url"); /* for its fault */
        json_t *ref = get(c, git, "ref", JSON_OBJECT);
        if (ref) {
            check_keys(c, ref, "source.git.ref", ref_keys);
            for (size_t i = 0; ref_keys[i]; i++)
                (void)get_text(c, ref, ref_keys[i]); /* for its fault */
        }
    }
    check_sub_path(c, source);
}

static bool is_env_name(const char *name)
{
    if (!*name || isdigit((unsigned char)*name))
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("_.-", *name))
            return false;
    return true;
}

static void check_value_from(const struct check *c, const json_t *variable)
{
    json_t *from = get(c, variable, "valueFrom", JSON_OBJECT);

    if (!from)
        return;
    check_keys(c, from, "valueFrom", value_from_keys);
    if (json_object_get(variable, "value"))
        error_list_add(c->faults, ERR_INVALID, doc_key_place(c->doc, variable, "valueFrom"),
                       "'value' and 'valueFrom' exclude each other");
}

static void check_env(const struct check *c, const json_t *object, const char *what)
{
    json_t *env = get(c, object, "env", JSON_ARRAY);

    for (size_t i = 0; i < json_array_size(env); i++) {
        json_t *variable = item(c, env, i, what);
        if (!variable)
            continue;
        check_keys(c, variable, what, env_keys);
        const char *name = need_text(c, variable, "name", what);
        if (name && !is_env_name(name))
            error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, variable, "name"),
                           "'%s' cannot be the name of an environment variable", name);
        json_t *value = json_object_get(variable, "value");
        if (value && !json_is_string(value) && !json_is_null(value))
            error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, variable, "value"),
                           "expected text in 'value', got %s; write it in quotes",
                           type_name(value));
        check_value_from(c, variable);
        check_unique(c, env, i, what);
    }
}

/* Kubernetes' quantity: "100m", "1.5", "512Mi", 2. */
static bool is_quantity(const json_t *value)
{
    static const char *const suffixes[] = {"",   "m",  "k",  "M",  "G",  "T", "P",
                                           "Ki", "Mi", "Gi", "Ti", "Pi", NULL};
    const char *at = json_string_value(value);

    if (json_is_number(value))
        return json_number_value(value) >= 0;
    if (!at || !isdigit((unsigned char)*at))
        return false;
    while (isdigit((unsigned char)*at))
        at++;
    if (*at == '.' && isdigit((unsigned char)at[1])) {
        at++;
        while (isdigit((unsigned char)*at))
            at++;
    }
    for (size_t i = 0; suffixes[i]; i++)
        if (strcmp(at, suffixes[i]) == 0)
            return true;
    return false;
}

static void check_resources(const struct check *c, const json_t *spec)
{
    json_t *resources = get(c, spec, "resources", JSON_OBJECT);

    if (!resources)
        return;
    check_keys(c, resources, "resources", resources_keys);
    for (size_t i = 0; resources_keys[i]; i++) {
        json_t *part = get(c, resources, resources_keys[i], JSON_OBJECT);
        const char *key;
        json_t *value;
        if (part)
            check_keys(c, part, resources_keys[i], quantity_keys);
        json_object_foreach(part, key, value)
        {
            if (!is_quantity(value))
                error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, part, key),
                               "expected a quantity such as 500m or 256Mi in '%s'", key);
        }
    }
}

static bool is_binding_name(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > 253 || name[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_lower_or_digit(name[i]) && name[i] != '-' && name[i] != '.')
            return false;
    return true;
}

static void check_claims(const struct check *c, const json_t *spec)
{
    json_t *claims = get(c, spec, "serviceClaims", JSON_ARRAY);

    if (json_array_size(claims) > WORKLOAD_CLAIMS_MAX)
        error_list_add(c->faults, ERR_LIMIT, doc_place(c->doc, claims),
                       "more than %d service claims", WORKLOAD_CLAIMS_MAX);
    for (size_t i = 0; i < json_array_size(claims); i++) {
        json_t *claim = item(c, claims, i, "serviceClaims");
        if (!claim)
            continue;
        check_keys(c, claim, "serviceClaims", claim_keys);
        const char *name = need_text(c, claim, "name", "serviceClaims");
        if (name && !is_binding_name(name))
            error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, claim, "name"),
                           "expected lower-case letters, digits, '-' and '.' in the name of a "
                           "claim, got '%s'",
                           name);
        check_unique(c, claims, i, "serviceClaims");
        json_t *ref = get(c, claim, "ref", JSON_OBJECT);
        if (!ref && !json_object_get(claim, "ref"))
            error_list_add(c->faults, ERR_INVALID, doc_place(c->doc, claim),
                           "expected 'ref' in serviceClaims");
        if (!ref)
            continue;
        check_keys(c, ref, "serviceClaims.ref", claim_ref_keys);
        (void)need_text(c, ref, "apiVersion", "serviceClaims.ref"); /* for its fault */
        (void)need_text(c, ref, "kind", "serviceClaims.ref");
        (void)need_text(c, ref, "name", "serviceClaims.ref");
    }
}

static void check_port(const struct check *c, const json_t *object, const char *key, bool is_needed)
{
    json_t *value = json_object_get(object, key);

    if (!value && is_needed)
        error_list_add(c->faults, ERR_INVALID, doc_place(c->doc, object), "expected '%s' in ports",
                       key);
    else if (value && (!json_is_integer(value) || json_integer_value(value) < 1 ||
                       json_integer_value(value) > 65535))
        error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, object, key),
                       "expected a port from 1 to 65535 in '%s'", key);
}

static void check_ports(const struct check *c, const json_t *param)
{
    json_t *ports = get(c, param, "value", JSON_ARRAY);

    if (json_array_size(ports) > WORKLOAD_PORTS_MAX)
        error_list_add(c->faults, ERR_LIMIT, doc_place(c->doc, ports), "more than %d ports",
                       WORKLOAD_PORTS_MAX);
    for (size_t i = 0; i < json_array_size(ports); i++) {
        json_t *port = item(c, ports, i, "ports");
        if (!port)
            continue;
        check_keys(c, port, "ports", port_keys);
        check_port(c, port, "port", true);
        check_port(c, port, "containerPort", false);
        const char *name = get_text(c, port, "name");
        /* RFC 6335 service name, as the names of container ports must be. */
        if (name && (!fields_is_label(str_of(name)) || strlen(name) > 15))
            error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, port, "name"),
                           "expected at most 15 lower-case letters, digits and '-' as the name "
                           "of a port, got '%s'",
                           name);
        check_unique(c, ports, i, "ports");
    }
}

/* {"readiness": {"path": "/ready", "port": 8081}, "liveness": false} */
static void check_probes(const struct check *c, const json_t *param)
{
    json_t *probes = get(c, param, "value", JSON_OBJECT);

    if (!probes)
        return;
    check_keys(c, probes, "probes", probes_keys);
    for (size_t i = 0; probes_keys[i]; i++) {
        if (json_is_false(json_object_get(probes, probes_keys[i])))
            continue;
        json_t *probe = get(c, probes, probes_keys[i], JSON_OBJECT);
        if (!probe)
            continue;
        check_keys(c, probe, probes_keys[i], probe_keys);
        check_port(c, probe, "port", false);
        const char *path = get_text(c, probe, "path");
        if (path && path[0] != '/')
            error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, probe, "path"),
                           "expected a path that starts with '/', got '%s'", path);
    }
}

static void check_params(const struct check *c, const json_t *spec)
{
    json_t *params = get(c, spec, "params", JSON_ARRAY);

    for (size_t i = 0; i < json_array_size(params); i++) {
        json_t *param = item(c, params, i, "params");
        if (!param)
            continue;
        check_keys(c, param, "params", param_keys);
        const char *name = need_text(c, param, "name", "params");
        if (!json_object_get(param, "value"))
            error_list_add(c->faults, ERR_INVALID, doc_place(c->doc, param),
                           "expected 'value' in params");
        check_unique(c, params, i, "params");
        if (name && strcmp(name, "ports") == 0)
            check_ports(c, param);
        if (name && strcmp(name, "probes") == 0)
            check_probes(c, param);
    }
}

static void check_spec(const struct check *c, const json_t *root)
{
    json_t *spec = get(c, root, "spec", JSON_OBJECT);

    if (!spec)
        return;
    check_keys(c, spec, "spec", spec_keys);
    check_params(c, spec);
    check_source(c, spec);
    (void)get_text(c, spec, "image");              /* for its fault */
    (void)get_text(c, spec, "serviceAccountName"); /* Cartographer's; the platform sets ours */
    json_t *build = get(c, spec, "build", JSON_OBJECT);
    if (build) {
        check_keys(c, build, "build", build_keys);
        check_env(c, build, "build.env");
    }
    check_env(c, spec, "env");
    check_resources(c, spec);
    check_claims(c, spec);
}

static void check_is(const struct check *c, const json_t *root, const char *key, const char *wanted)
{
    const char *found = need_text(c, root, key, "a Workload");

    if (found && strcmp(found, wanted) != 0)
        error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, root, key),
                       "expected %s: %s, got '%s'", key, wanted, found);
}

void fields_check(const struct doc *doc, struct error_list *faults)
{
    const struct check c = {doc, faults};
    const json_t *root = doc_root(doc);

    if (!json_is_object(root)) {
        error_list_add(faults, ERR_INVALID, (struct place){doc_file(doc), 1, 1},
                       "expected a Workload (apiVersion: carto.run/v1alpha1, kind: Workload)");
        return;
    }
    check_is(&c, root, "apiVersion", "carto.run/v1alpha1");
    check_is(&c, root, "kind", "Workload");
    check_keys(&c, root, "a Workload", root_keys);
    check_metadata(&c, root);
    check_spec(&c, root);
}
