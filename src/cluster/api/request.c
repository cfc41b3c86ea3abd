/* cluster/api/request.c - reading queries and bodies. */
#include "cluster/api/server_internal.h"
#include "wire/doc.h"

void filter_done(struct filter *filter)
{
    selector_done(&filter->labels);
    selector_done(&filter->fields);
}

static bool is_field_label(const struct resource *res, const char *key)
{
    struct str rest = str_of(res->field_labels);

    if (strcmp(key, "metadata.name") == 0 || strcmp(key, "metadata.namespace") == 0)
        return true;
    for (struct str word = str_word(&rest); word.len > 0; word = str_word(&rest)) {
        if (str_is(word, key))
            return true;
    }
    return false;
}

int request_filter(const struct request *rq, struct filter *ret, struct status *status)
{
    const char *labels = http_request_query(rq->http, "labelSelector");
    const char *fields = http_request_query(rq->http, "fieldSelector");
    struct error err = ERROR_INIT;

    if (labels && selector_parse_labels(str_of(labels), &ret->labels, &err) < 0)
        return status_bad_request(status, "unable to parse label selector: %s", err.text);
    if (fields && selector_parse_fields(str_of(fields), &ret->fields, &err) < 0)
        return status_bad_request(status, "%s", err.text);
    for (size_t i = 0; i < ret->fields.count; i++) {
        if (!is_field_label(rq->res, ret->fields.items[i].key))
            return status_bad_request(status, "field label not supported: %s",
                                      ret->fields.items[i].key);
    }
    return 0;
}

bool filter_matches(const struct filter *filter, const struct object *object)
{
    if (filter->labels.count == 0 && filter->fields.count == 0)
        return true;
    const json_t *root = object_root(object);
    const json_t *labels = json_object_get(json_object_get(root, "metadata"), "labels");
    return selector_matches_labels(&filter->labels, labels) &&
           selector_matches_fields(&filter->fields, root);
}

bool request_flag(const struct request *rq, const char *name)
{
    const char *value = http_request_query(rq->http, name);
    return value && (strcmp(value, "true") == 0 || strcmp(value, "1") == 0);
}

/* Without fieldManager: the client's name, up to the first slash. */
static const char *default_manager(const struct request *rq, char out[REQUEST_AGENT_MAX])
{
    const char *agent = http_request_header(rq->http, "User-Agent");
    size_t len = agent ? strcspn(agent, "/") : 0;

    (void)snprintf(out, REQUEST_AGENT_MAX, "%.*s", len ? (int)len : 7, len ? agent : "unknown");
    return out;
}

static int read_options(struct request *rq, struct verb *v, struct status *status)
{
    const char *dry_run = http_request_query(rq->http, "dryRun");
    const char *validation = http_request_query(rq->http, "fieldValidation");
    CLEANUP(causes) struct causes causes = CAUSES_INIT;

    v->validation = FIELDS_WARN;
    if (dry_run && strcmp(dry_run, "All") == 0) {
        v->dry_run = true;
    } else if (dry_run && *dry_run) {
        static const char *const supported[] = {"All", NULL};
        CLEANUP(json) json_t *value = json_string(dry_run);
        causes_unsupported(&causes, "dryRun", value, supported);
        return status_invalid(status, rq->res, rq->route.name, &causes);
    }
    if (validation && strcmp(validation, "Strict") == 0)
        v->validation = FIELDS_STRICT;
    else if (validation && strcmp(validation, "Ignore") == 0)
        v->validation = FIELDS_IGNORE;
    v->force = request_flag(rq, "force");
    return 0;
}

int request_verb(struct request *rq, struct verb *ret, struct status *status)
{
    const char *manager = http_request_query(rq->http, "fieldManager");

    *ret = (struct verb){.api = rq->api,
                         .res = rq->res,
                         .api_version = rq->api_version,
                         .namespace_name = rq->route.namespace_name,
                         .name = rq->route.name,
                         .manager = manager && *manager ? manager : default_manager(rq, rq->agent),
                         .warnings = &rq->warnings};
    if (strcmp(rq->route.subresource, "status") == 0)
        ret->sub = SUB_STATUS;
    return read_options(rq, ret, status);
}

static int parse_yaml(struct str text, json_t **ret, struct error *err)
{
    CLEANUP(doc) struct doc *doc = NULL;

    if (yaml_parse_one("body", text, &doc, err) < 0)
        return -1;
    *ret = json_deep_copy(doc_root(doc));
    return *ret ? 0 : error_no_memory(err);
}

int request_body(const struct request *rq, json_t **ret, struct status *status)
{
    const char *type = http_request_header(rq->http, "Content-Type");
    struct str body = str_trim(http_request_body(rq->http));
    struct error err = ERROR_INIT;
    bool is_yaml = type && strstr(type, "yaml") != NULL;

    if (type && !is_yaml && !strstr(type, "json") && !str_starts(str_of(type), STR("*/*")))
        return status_set(status, 415, "UnsupportedMediaType",
                          "the body of the request was in an unknown format - accepted media types"
                          " include: application/json, application/yaml");
    /* JSON is YAML, but ours is stricter and much faster. */
    int rc = is_yaml && !str_starts(body, STR("{")) ? parse_yaml(body, ret, &err)
                                                    : json_parse("body", body, ret, &err);
    if (rc < 0)
        return status_bad_request(status, "couldn't get version/kind; json parse error: %s%s%s",
                                  err.place, *err.place ? ": " : "", err.text);
    if (json_is_object(*ret) || json_is_array(*ret))
        return 0;
    json_decref(TAKE(*ret));
    return status_bad_request(status, "the body must be an object");
}
