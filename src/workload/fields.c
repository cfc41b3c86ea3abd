/* workload/fields.c - the fields of a Workload, and whose each one is. Takes a parsed document,
 * gives every fault. What is functional is the developer's and checked here; what is not is the
 * platform's, and the fault names the platform file where it is said. */
#include <ctype.h>

#include "wire/field.h"
#include "workload/workload_internal.h"

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
static const char *const quantity_keys[] = {"cpu", "memory", "ephemeral-storage", NULL};

/* Unknown keys of an object, telling apart what is the platform's. */
static void check_keys(const struct fields *c, const json_t *object, const char *what,
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

static void check_metadata(const struct fields *c, const json_t *root)
{
    json_t *metadata = field_get(c, root, "metadata", JSON_OBJECT);

    if (!metadata) {
        if (!json_object_get(root, "metadata"))
            error_list_add(c->faults, ERR_INVALID, doc_place(c->doc, root),
                           "expected 'metadata' with 'name'");
        return;
    }
    check_keys(c, metadata, "metadata", metadata_keys);
    field_check_label(c, metadata, "name", field_need_text(c, metadata, "name", "metadata"));
    field_check_label(c, metadata, "namespace", field_text(c, metadata, "namespace"));
    json_t *labels = field_get(c, metadata, "labels", JSON_OBJECT);
    json_t *annotations = field_get(c, metadata, "annotations", JSON_OBJECT);
    if (labels)
        field_check_texts(c, labels, "labels");
    if (annotations)
        field_check_texts(c, annotations, "annotations");
    const char *type = json_string_value(json_object_get(labels, WORKLOAD_TYPE_LABEL));
    if (type && strcmp(type, "web") && strcmp(type, "server") && strcmp(type, "worker"))
        error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, labels, WORKLOAD_TYPE_LABEL),
                       "expected workload type web, server or worker, got '%s'", type);
}

/* Relative, and down only: it is opened beneath the source tree, and this says so early. */
static void check_sub_path(const struct fields *c, const json_t *source)
{
    const char *path = field_text(c, source, "subPath");
    struct str rest = str_of(path);
    bool is_fit = path && path[0] != '/';

    while (is_fit && rest.len)
        is_fit = !str_is(str_cut(&rest, '/'), "..");
    if (path && !is_fit)
        error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, source, "subPath"),
                       "expected a folder inside the repository in 'subPath', got '%s'", path);
}

static void check_source(const struct fields *c, const json_t *spec)
{
    json_t *source = field_get(c, spec, "source", JSON_OBJECT);

    if (!source)
        return;
    if (json_object_get(spec, "image"))
        error_list_add(c->faults, ERR_INVALID, doc_key_place(c->doc, spec, "image"),
                       "'image' and 'source' exclude each other");
    check_keys(c, source, "source", source_keys);
    json_t *git = field_get(c, source, "git", JSON_OBJECT);
    if (git) {
        check_keys(c, git, "source.git", git_keys);
        (void)field_text(c, git, "url"); /* for its fault */
        json_t *ref = field_get(c, git, "ref", JSON_OBJECT);
        if (ref) {
            check_keys(c, ref, "source.git.ref", ref_keys);
            for (size_t i = 0; ref_keys[i]; i++)
                (void)field_text(c, ref, ref_keys[i]); /* for its fault */
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

static void check_value_from(const struct fields *c, const json_t *variable)
{
    json_t *from = field_get(c, variable, "valueFrom", JSON_OBJECT);

    if (!from)
        return;
    check_keys(c, from, "valueFrom", value_from_keys);
    if (json_object_get(variable, "value"))
        error_list_add(c->faults, ERR_INVALID, doc_key_place(c->doc, variable, "valueFrom"),
                       "'value' and 'valueFrom' exclude each other");
}

static void check_env(const struct fields *c, const json_t *object, const char *what)
{
    json_t *env = field_get(c, object, "env", JSON_ARRAY);

    for (size_t i = 0; i < json_array_size(env); i++) {
        json_t *variable = field_item(c, env, i, what);
        if (!variable)
            continue;
        check_keys(c, variable, what, env_keys);
        const char *name = field_need_text(c, variable, "name", what);
        if (name && !is_env_name(name))
            error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, variable, "name"),
                           "'%s' cannot be the name of an environment variable", name);
        json_t *value = json_object_get(variable, "value");
        if (value && !json_is_string(value) && !json_is_null(value))
            error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, variable, "value"),
                           "expected text in 'value', got %s; write it in quotes",
                           field_type_name(value));
        check_value_from(c, variable);
        field_check_unique(c, env, i, what);
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

static void check_resources(const struct fields *c, const json_t *spec)
{
    json_t *resources = field_get(c, spec, "resources", JSON_OBJECT);

    if (!resources)
        return;
    check_keys(c, resources, "resources", resources_keys);
    for (size_t i = 0; resources_keys[i]; i++) {
        json_t *part = field_get(c, resources, resources_keys[i], JSON_OBJECT);
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
        if (!islower((unsigned char)name[i]) && !isdigit((unsigned char)name[i]) &&
            name[i] != '-' && name[i] != '.')
            return false;
    return true;
}

static void check_claims(const struct fields *c, const json_t *spec)
{
    json_t *claims = field_get(c, spec, "serviceClaims", JSON_ARRAY);

    if (json_array_size(claims) > WORKLOAD_CLAIMS_MAX)
        error_list_add(c->faults, ERR_LIMIT, doc_place(c->doc, claims),
                       "more than %d service claims", WORKLOAD_CLAIMS_MAX);
    for (size_t i = 0; i < json_array_size(claims); i++) {
        json_t *claim = field_item(c, claims, i, "serviceClaims");
        if (!claim)
            continue;
        check_keys(c, claim, "serviceClaims", claim_keys);
        const char *name = field_need_text(c, claim, "name", "serviceClaims");
        if (name && !is_binding_name(name))
            error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, claim, "name"),
                           "expected lower-case letters, digits, '-' and '.' in the name of a "
                           "claim, got '%s'",
                           name);
        field_check_unique(c, claims, i, "serviceClaims");
        json_t *ref = field_get(c, claim, "ref", JSON_OBJECT);
        if (!ref && !json_object_get(claim, "ref"))
            error_list_add(c->faults, ERR_INVALID, doc_place(c->doc, claim),
                           "expected 'ref' in serviceClaims");
        if (!ref)
            continue;
        check_keys(c, ref, "serviceClaims.ref", claim_ref_keys);
        (void)field_need_text(c, ref, "apiVersion", "serviceClaims.ref"); /* for its fault */
        (void)field_need_text(c, ref, "kind", "serviceClaims.ref");
        (void)field_need_text(c, ref, "name", "serviceClaims.ref");
    }
}

static void check_port(const struct fields *c, const json_t *object, const char *key,
                       bool is_needed)
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

static void check_ports(const struct fields *c, const json_t *param)
{
    json_t *ports = field_get(c, param, "value", JSON_ARRAY);

    if (json_array_size(ports) > WORKLOAD_PORTS_MAX)
        error_list_add(c->faults, ERR_LIMIT, doc_place(c->doc, ports), "more than %d ports",
                       WORKLOAD_PORTS_MAX);
    for (size_t i = 0; i < json_array_size(ports); i++) {
        json_t *port = field_item(c, ports, i, "ports");
        if (!port)
            continue;
        check_keys(c, port, "ports", port_keys);
        check_port(c, port, "port", true);
        check_port(c, port, "containerPort", false);
        const char *name = field_text(c, port, "name");
        /* RFC 6335 service name, as the names of container ports must be. */
        if (name && (!field_is_label(str_of(name)) || strlen(name) > 15))
            error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, port, "name"),
                           "expected at most 15 lower-case letters, digits and '-' as the name "
                           "of a port, got '%s'",
                           name);
        field_check_unique(c, ports, i, "ports");
    }
}

static void check_probe_path(const struct fields *c, const json_t *probes, const char *which)
{
    const char *path = field_text(c, probes, which);

    if (path && path[0] != '/')
        error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, probes, which),
                       "expected a path such as /readyz in '%s', got '%s'", which, path);
}

/* {"readiness": "/readyz", "liveness": "/healthz"}: paths that answer 200 on the first port. */
static void check_probes(const struct fields *c, const json_t *param)
{
    json_t *probes = field_get(c, param, "value", JSON_OBJECT);

    if (!probes)
        return;
    check_keys(c, probes, "probes", probes_keys);
    for (size_t i = 0; probes_keys[i]; i++)
        check_probe_path(c, probes, probes_keys[i]);
}

static void check_params(const struct fields *c, const json_t *spec)
{
    json_t *params = field_get(c, spec, "params", JSON_ARRAY);

    for (size_t i = 0; i < json_array_size(params); i++) {
        json_t *param = field_item(c, params, i, "params");
        if (!param)
            continue;
        check_keys(c, param, "params", param_keys);
        const char *name = field_need_text(c, param, "name", "params");
        if (!json_object_get(param, "value"))
            error_list_add(c->faults, ERR_INVALID, doc_place(c->doc, param),
                           "expected 'value' in params");
        field_check_unique(c, params, i, "params");
        if (name && strcmp(name, "ports") == 0)
            check_ports(c, param);
        if (name && strcmp(name, "probes") == 0)
            check_probes(c, param);
    }
}

static void check_spec(const struct fields *c, const json_t *root)
{
    json_t *spec = field_get(c, root, "spec", JSON_OBJECT);

    if (!spec)
        return;
    check_keys(c, spec, "spec", spec_keys);
    check_params(c, spec);
    check_source(c, spec);
    (void)field_text(c, spec, "image");              /* for its fault */
    (void)field_text(c, spec, "serviceAccountName"); /* Cartographer's; the platform sets ours */
    json_t *build = field_get(c, spec, "build", JSON_OBJECT);
    if (build) {
        check_keys(c, build, "build", build_keys);
        check_env(c, build, "build.env");
    }
    check_env(c, spec, "env");
    check_resources(c, spec);
    check_claims(c, spec);
}

static void check_is(const struct fields *c, const json_t *root, const char *key,
                     const char *wanted)
{
    const char *found = field_need_text(c, root, key, "a Workload");

    if (found && strcmp(found, wanted) != 0)
        error_list_add(c->faults, ERR_INVALID, doc_place_key(c->doc, root, key),
                       "expected %s: %s, got '%s'", key, wanted, found);
}

void fields_check(const struct doc *doc, struct error_list *faults)
{
    const struct fields c = {doc, faults};
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
