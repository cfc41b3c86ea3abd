/* cluster/api/write.c - create, update, patch and delete over HTTP. */
#include "cluster/api/server_internal.h"
#include "cluster/api/verb_patch.h"

/* Answers with the object or with what went wrong; consumes the reference. */
static void answer_write(struct request *rq, int rc, int code, struct object *take_object,
                         const struct verb *v, const struct status *status)
{
    CLEANUP(object) struct object *object = take_object;

    rq->has_written = !v->dry_run;
    if (rc < 0)
        answer_status(rq, status);
    else
        answer_object(rq, code, object);
}

void write_create(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    struct object *object = NULL;
    json_t *body = NULL;
    struct verb v = {.dry_run = true};
    int rc = request_verb(rq, &v, &status);

    if (rc == 0)
        rc = request_body(rq, &body, &status);
    if (rc == 0)
        rc = verb_create(&v, body, &object, &status);
    answer_write(rq, rc, 201, object, &v, &status);
}

/* PUT creates what is not there, unless the body says which one it means. */
static int put_object(const struct verb *v, json_t *take_body, struct object **ret_object,
                      int *ret_code, struct status *status)
{
    const char *revision = json_str_at(take_body, "metadata.resourceVersion");
    const char *uid = json_str_at(take_body, "metadata.uid");
    bool exists = store_get(v->api->store, v->res, v->namespace_name, v->name) != NULL;
    bool may_create = v->sub == SUB_NONE && v->res->id == RES_LEASES;

    *ret_code = 200;
    if (exists || !may_create || (revision && *revision) || (uid && *uid))
        return verb_update(v, take_body, ret_object, status);
    *ret_code = 201;
    return verb_create(v, take_body, ret_object, status);
}

void write_update(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    struct object *object = NULL;
    json_t *body = NULL;
    struct verb v = {.dry_run = true};
    int code = 200;
    int rc = request_verb(rq, &v, &status);

    if (rc == 0)
        rc = request_body(rq, &body, &status);
    if (rc == 0 && !json_str_at(body, "metadata.name")) {
        rc = status_bad_request(&status,
                                "the name of the object (based on URL) was undeterminable: name"
                                " must be provided");
        json_decref(body);
    } else if (rc == 0) {
        rc = put_object(&v, body, &object, &code, &status);
    }
    answer_write(rq, rc, code, object, &v, &status);
}

static int refuse_patch_type(struct status *status)
{
    return status_set(
        status, 415, "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include:"
        " application/json-patch+json, application/merge-patch+json,"
        " application/strategic-merge-patch+json, application/apply-patch+yaml");
}

void write_patch(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    CLEANUP(json) json_t *body = NULL;
    struct object *object = NULL;
    struct verb v = {.dry_run = true};
    enum patch_kind kind;
    bool is_created = false;
    int rc = request_verb(rq, &v, &status);

    if (rc == 0 && !patch_kind_read(http_request_header(rq->http, "Content-Type"), &kind))
        rc = refuse_patch_type(&status);
    if (rc == 0 && kind == PATCH_APPLY && !http_request_query(rq->http, "fieldManager")) {
        CLEANUP(causes) struct causes causes = CAUSES_INIT;
        causes_required(&causes, "fieldManager", "is required for apply patch");
        rc = status_invalid(&status, rq->res, rq->route.name, &causes);
    }
    if (rc == 0)
        rc = request_body(rq, &body, &status);
    if (rc == 0)
        rc = verb_patch(&v, kind, body, &object, &is_created, &status);
    answer_write(rq, rc, is_created ? 201 : 200, object, &v, &status);
}

/* --- delete --- */

struct delete_options {
    struct delete_request request;
    json_t *body; /* owned; the texts of `request` are borrowed from it, or from the query */
};

static const char *option_text(const struct request *rq, const struct delete_options *options,
                               const char *path, const char *query)
{
    const char *text = json_str_at(options->body, path);
    return text ? text : http_request_query(rq->http, query);
}

static int read_delete_options(struct request *rq, struct verb *v, struct delete_options *options,
                               struct status *status)
{
    const char *grace = http_request_query(rq->http, "gracePeriodSeconds");

    if (http_request_body(rq->http).len > 0 && request_body(rq, &options->body, status) < 0)
        return -1;
    options->request.grace_s = -1;
    if (grace && !str_to_i64(str_of(grace), &options->request.grace_s))
        return status_bad_request(status, "gracePeriodSeconds: expected a number, got '%s'", grace);
    options->request.grace_s =
        json_int_at(options->body, "gracePeriodSeconds", options->request.grace_s);
    options->request.propagation =
        option_text(rq, options, "propagationPolicy", "propagationPolicy");
    if (json_bool_at(options->body, "orphanDependents", false))
        options->request.propagation = "Orphan";
    options->request.uid = json_str_at(options->body, "preconditions.uid");
    options->request.revision = json_str_at(options->body, "preconditions.resourceVersion");
    if (json_array_size(json_at(options->body, "dryRun")) > 0)
        v->dry_run = true;
    return 0;
}

void write_delete(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    CLEANUP(object) struct object *object = NULL;
    struct delete_options options = {0};
    struct verb v = {.dry_run = true};
    bool is_gone = false;
    int rc = request_verb(rq, &v, &status);

    if (rc == 0)
        rc = read_delete_options(rq, &v, &options, &status);
    if (rc == 0)
        rc = verb_delete(&v, &options.request, &object, &is_gone, &status);
    rq->has_written = !v.dry_run;
    if (rc < 0)
        answer_status(rq, &status);
    else if (is_gone && rq->res->id != RES_PODS)
        answer_json(rq, 200, status_success_json(rq->res, object_name(object), object_uid(object)));
    else
        answer_object(rq, 200, object);
    json_decref(options.body);
}

static int delete_all(struct request *rq, const struct verb *v,
                      const struct delete_options *options, const struct filter *filter,
                      struct object_set *all, struct status *status)
{
    for (size_t i = 0; i < all->count; i++) {
        CLEANUP(object) struct object *last = NULL;
        CLEANUP(status) struct status one = STATUS_INIT;
        struct verb each = *v;
        bool is_gone;
        if (!filter_matches(filter, all->items[i]))
            continue;
        each.name = object_name(all->items[i]);
        each.namespace_name = object_namespace(all->items[i]);
        if (verb_delete(&each, &options->request, &last, &is_gone, &one) < 0 && one.code != 404) {
            *status = one;
            one = (struct status)STATUS_INIT;
            return -1;
        }
    }
    return 0;
}

void write_delete_collection(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    CLEANUP(filter) struct filter filter = FILTER_INIT;
    CLEANUP(object_set) struct object_set all = {0};
    struct delete_options options = {0};
    struct verb v = {.dry_run = true};
    struct error err = ERROR_INIT;
    const char *namespace_name = *rq->route.namespace_name ? rq->route.namespace_name : NULL;
    int rc = request_verb(rq, &v, &status);

    if (rc == 0)
        rc = read_delete_options(rq, &v, &options, &status);
    if (rc == 0)
        rc = request_filter(rq, &filter, &status);
    if (rc == 0 && store_list_copy(rq->api->store, rq->res, namespace_name, &all, &err) < 0)
        rc = status_from_error(&status, &err);
    if (rc == 0)
        rc = delete_all(rq, &v, &options, &filter, &all, &status);
    rq->has_written = !v.dry_run;
    if (rc < 0)
        answer_status(rq, &status);
    else
        answer_json(rq, 200, status_success_json(rq->res, "", ""));
    json_decref(options.body);
}
