/* cluster/api/scale.c - /scale of Deployments and ReplicaSets (autoscaling/v1 Scale). */
#include "cluster/api/patch.h"
#include "cluster/api/server_internal.h"
#include "cluster/api/verb_patch.h"

static json_t *scale_of(const struct object *object)
{
    const json_t *root = object_root(object);
    CLEANUP(buf) struct buf selector = BUF_INIT(1 << 16);
    json_t *metadata = json_object();
    static const char *const kept[] = {"name", "namespace", "uid", "resourceVersion",
                                       "creationTimestamp"};

    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        json_t *value = json_object_get(json_object_get(root, "metadata"), kept[i]);
        if (value)
            (void)json_object_set(metadata, kept[i], value);
    }
    selector_object_text(json_at(root, "spec.selector"), &selector);
    return json_pack("{s:s, s:s, s:o, s:{s:I}, s:{s:I, s:s}}", "kind", "Scale", "apiVersion",
                     "autoscaling/v1", "metadata", metadata, "spec", "replicas",
                     (json_int_t)json_int_at(root, "spec.replicas", 0), "status", "replicas",
                     (json_int_t)json_int_at(root, "status.replicas", 0), "selector",
                     buf_text(&selector));
}

/* The Scale that the request asks for: the body itself, or the patch on the present one. */
static int wanted_scale(struct request *rq, const struct object *object, json_t **ret,
                        struct status *status)
{
    CLEANUP(json) json_t *body = NULL;
    CLEANUP(json) json_t *now = scale_of(object);
    struct error err = ERROR_INIT;
    enum patch_kind kind;

    if (request_body(rq, &body, status) < 0)
        return -1;
    if (strcmp(http_request_method(rq->http), "PUT") == 0) {
        *ret = TAKE(body);
        return 0;
    }
    if (!patch_kind_read(http_request_header(rq->http, "Content-Type"), &kind))
        return status_set(status, 415, "UnsupportedMediaType", "unknown patch type");
    if (kind == PATCH_JSON)
        return patch_json(now, body, ret, &err) < 0 ? status_from_error(status, &err) : 0;
    *ret = patch_merge(now, body);
    return *ret ? 0 : status_no_memory(status);
}

static int set_scale(struct request *rq, struct verb *v, const struct object *object,
                     struct object **ret_object, struct status *status)
{
    CLEANUP(json) json_t *scale = NULL;
    CLEANUP(causes) struct causes causes = CAUSES_INIT;

    if (wanted_scale(rq, object, &scale, status) < 0)
        return -1;
    const json_t *replicas = json_at(scale, "spec.replicas");
    const char *revision = json_str_at(scale, "metadata.resourceVersion");
    if (replicas && !json_is_integer(replicas))
        return status_bad_request(status,
                                  "Scale in version \"v1\" cannot be handled as a Scale: json:"
                                  " cannot unmarshal spec.replicas of type int32");
    if (json_integer_value(replicas) < 0) {
        causes_invalid(&causes, "spec.replicas", replicas, "must be greater than or equal to 0");
        (void)status_invalid(status, rq->res, rq->route.name, &causes);
        return -1;
    }
    CLEANUP(json)
    json_t *patch =
        json_pack("{s:{s:I}}", "spec", "replicas", (json_int_t)json_integer_value(replicas));
    if (revision && *revision)
        (void)json_object_set_new(patch, "metadata",
                                  json_pack("{s:s}", "resourceVersion", revision));
    json_t *tree = patch_merge(object_root(object), patch);
    if (!tree)
        return status_no_memory(status);
    v->sub = SUB_SCALE;
    return verb_replace(v, object, tree, ret_object, status);
}

void scale_handle(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    CLEANUP(object) struct object *result = NULL;
    struct verb v;
    int rc = request_verb(rq, &v, &status);
    const struct object *object = rc == 0 ? verb_find(&v, &status) : NULL;

    if (object && strcmp(http_request_method(rq->http), "GET") == 0) {
        answer_json(rq, 200, scale_of(object));
        return;
    }
    if (!object || set_scale(rq, &v, object, &result, &status) < 0) {
        answer_status(rq, &status);
        return;
    }
    rq->has_written = !v.dry_run;
    answer_json(rq, 200, scale_of(result));
}
