/* cluster/api/discovery.c - what the server serves: /, /api, /apis, /api/v1, /apis/G/V, /version,
 * /healthz. */
#include "cluster/api/server_internal.h"

/* The groups in the order in which clients prefer them; core is not in the list. */
static const char *const GROUPS[] = {
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
};

/* Kinds that are asked, not stored. */
static const struct {
    const char *group, *plural, *kind;
} REVIEWS[] = {
    {"authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"},
    {"authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview"},
    {"authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"},
};

static bool serves(const struct resource *res, const char *group, const char *version)
{
    return strcmp(res->group, group) == 0 &&
           (strcmp(res->version, version) == 0 ||
            (res->other_version && strcmp(res->other_version, version) == 0));
}

static bool group_has_version(const char *group, const char *version)
{
    for (size_t i = 0; i < RES_COUNT; i++) {
        if (serves(resource_get((enum resource_id)i), group, version))
            return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(REVIEWS); i++) {
        if (strcmp(REVIEWS[i].group, group) == 0 && strcmp(version, "v1") == 0)
            return true;
    }
    return false;
}

static json_t *words_json(const char *words)
{
    json_t *list = json_array();
    struct str rest = str_of(words);

    for (struct str word = str_word(&rest); word.len > 0; word = str_word(&rest))
        (void)json_array_append_new(list, json_stringn(word.ptr, word.len));
    return list;
}

static json_t *group_json(const char *group)
{
    static const char *const versions[] = {"v1", "v1beta1"};
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        if (!group_has_version(group, versions[i]))
            continue;
        CLEANUP(text) char *full = str_format("%s/%s", group, versions[i]);
        (void)json_array_append_new(list, json_pack("{s:s, s:s}", "groupVersion", full ? full : "",
                                                    "version", versions[i]));
    }
    if (json_array_size(list) == 0) {
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:O}", "name", group, "versions", list, "preferredVersion",
                     json_array_get(list, 0));
}

static void answer_groups(struct request *rq)
{
    json_t *groups = json_array();

    for (size_t i = 0; i < ARRAY_LEN(GROUPS); i++) {
        json_t *group = group_json(GROUPS[i]);
        if (group)
            (void)json_array_append_new(groups, group);
    }
    answer_json(
        rq, 200,
        json_pack("{s:s, s:s, s:o}", "kind", "APIGroupList", "apiVersion", "v1", "groups", groups));
}

static void answer_group(struct request *rq)
{
    json_t *group = group_json(rq->route.group);

    if (!group) {
        answer_not_found(rq);
        return;
    }
    (void)json_object_set_new(group, "kind", json_string("APIGroup"));
    (void)json_object_set_new(group, "apiVersion", json_string("v1"));
    answer_json(rq, 200, group);
}

/* --- the resources of a version --- */

static json_t *resource_json(const struct resource *res)
{
    json_t *item =
        json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", res->plural, "singularName", res->singular,
                  "namespaced", resource_is_namespaced(res), "kind", res->kind, "verbs",
                  words_json("create delete deletecollection get list patch update watch"));
    if (*res->short_names)
        (void)json_object_set_new(item, "shortNames", words_json(res->short_names));
    if (res->flags & RESOURCE_IN_ALL)
        (void)json_object_set_new(item, "categories", words_json("all"));
    return item;
}

static void add_subresource(json_t *list, const struct resource *res, const char *sub,
                            const char *kind, const char *verbs, const char *group,
                            const char *version)
{
    CLEANUP(text) char *name = str_format("%s/%s", res->plural, sub);
    json_t *item = json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", name ? name : "", "singularName",
                             "", "namespaced", resource_is_namespaced(res), "kind", kind, "verbs",
                             words_json(verbs));

    if (group) {
        (void)json_object_set_new(item, "group", json_string(group));
        (void)json_object_set_new(item, "version", json_string(version));
    }
    (void)json_array_append_new(list, item);
}

static void add_resource(json_t *list, const struct resource *res)
{
    (void)json_array_append_new(list, resource_json(res));
    if (res->id == RES_PODS) {
        add_subresource(list, res, "eviction", "Eviction", "create", "policy", "v1");
        add_subresource(list, res, "log", "Pod", "get", NULL, NULL);
    }
    if (res->flags & RESOURCE_HAS_SCALE)
        add_subresource(list, res, "scale", "Scale", "get patch update", "autoscaling", "v1");
    if (res->flags & RESOURCE_HAS_STATUS)
        add_subresource(list, res, "status", res->kind, "get patch update", NULL, NULL);
}

static void answer_version(struct request *rq)
{
    const struct route *route = &rq->route;
    json_t *list = json_array();
    char full[API_VERSION_SIZE];

    for (size_t i = 0; i < RES_COUNT; i++) {
        if (serves(resource_get((enum resource_id)i), route->group, route->version))
            add_resource(list, resource_get((enum resource_id)i));
    }
    for (size_t i = 0; i < ARRAY_LEN(REVIEWS); i++) {
        if (strcmp(REVIEWS[i].group, route->group) == 0 && strcmp(route->version, "v1") == 0)
            (void)json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s, s:[s]}", "name",
                                                        REVIEWS[i].plural, "singularName", "",
                                                        "namespaced", 0, "kind", REVIEWS[i].kind,
                                                        "verbs", "create"));
    }
    if (json_array_size(list) == 0) {
        json_decref(list);
        answer_not_found(rq);
        return;
    }
    (void)snprintf(full, sizeof(full), "%.60s%s%.60s", route->group, *route->group ? "/" : "",
                   route->version);
    answer_json(rq, 200,
                json_pack("{s:s, s:s, s:s, s:o}", "kind", "APIResourceList", "apiVersion", "v1",
                          "groupVersion", full, "resources", list));
}

static void answer_root(struct request *rq)
{
    answer_json(rq, 200,
                json_pack("{s:[s, s, s, s, s, s, s, s, s]}", "paths", "/api", "/api/v1", "/apis",
                          "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz",
                          "/version"));
}

static void answer_version_info(struct request *rq)
{
    answer_json(rq, 200,
                json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "major", "1", "minor",
                          "30", "gitVersion", "v1.30.0+monban", "gitCommit", "", "gitTreeState",
                          "clean", "buildDate", "1970-01-01T00:00:00Z", "goVersion", "", "compiler",
                          "c17", "platform", "linux/amd64"));
}

void discovery_handle(struct request *rq)
{
    const char *method = http_request_method(rq->http);

    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        CLEANUP(status) struct status status = STATUS_INIT;
        (void)status_set(&status, 405, "MethodNotAllowed",
                         "the server does not allow this method on the requested resource");
        answer_status(rq, &status);
        return;
    }
    switch (rq->route.kind) {
    case ROUTE_HEALTH:
        answer_text(rq, 200, "text/plain; charset=utf-8", STR("ok"));
        break;
    case ROUTE_INFO:
        answer_version_info(rq);
        break;
    case ROUTE_API:
        answer_json(rq, 200,
                    json_pack("{s:s, s:[s], s:[]}", "kind", "APIVersions", "versions", "v1",
                              "serverAddressByClientCIDRs"));
        break;
    case ROUTE_APIS:
        answer_groups(rq);
        break;
    case ROUTE_GROUP:
        answer_group(rq);
        break;
    case ROUTE_VERSION:
        answer_version(rq);
        break;
    default:
        answer_root(rq);
        break;
    }
}
