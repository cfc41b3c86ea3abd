/* cluster/api/verb_patch.c - see verb_patch.h. */
#include "cluster/api/verb_patch.h"

#include "cluster/api/apply.h"
#include "cluster/api/patch.h"
#include "cluster/api/strategic.h"

bool patch_kind_read(const char *content_type, enum patch_kind *ret)
{
    static const struct {
        const char *type;
        enum patch_kind kind;
    } kinds[] = {
        {"application/json-patch+json", PATCH_JSON},
        {"application/merge-patch+json", PATCH_MERGE},
        {"application/strategic-merge-patch+json", PATCH_STRATEGIC},
        {"application/apply-patch+yaml", PATCH_APPLY},
        {"application/apply-patch+json", PATCH_APPLY},
    };
    struct str type = str_of(content_type ? content_type : "");

    type = str_trim(str_cut(&type, ';'));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (str_is(type, kinds[i].type)) {
            *ret = kinds[i].kind;
            return true;
        }
    }
    return false;
}

static int patched_tree(const struct verb *v, enum patch_kind kind, const json_t *old,
                        const json_t *body, json_t **ret, struct status *status)
{
    struct error err = ERROR_INIT;

    if (kind == PATCH_JSON) {
        if (patch_json(old, body, ret, &err) == 0)
            return 0;
        if (err.kind != ERR_CONFLICT)
            return status_from_error(status, &err);
        (void)status_set(status, 422, "Invalid",
                         "the server rejected our request due to an error in our request");
        status->details = json_pack("{s:[{s:s, s:s}]}", "causes", "reason",
                                    "UnexpectedServerResponse", "message", err.text);
        return -1;
    }
    if (!json_is_object(body))
        return status_bad_request(status, "the patch must be an object");
    if (kind == PATCH_STRATEGIC) {
        if (strategic_merge(v->api->types[v->res->id], old, body, ret, &err) < 0)
            return status_from_error(status, &err);
        return 0;
    }
    *ret = patch_merge(old, body);
    return *ret ? 0 : status_no_memory(status);
}

/* --- apply --- */

struct conflicts {
    json_t *causes; /* [{"reason","message","field"}] */
    struct buf text;
    size_t count;
    struct strv fields; /* of the manager at hand */
};

static void note_field(const char *path, void *ctx)
{
    struct conflicts *conflicts = ctx;
    strv_add(&conflicts->fields, path);
}

static void manager_text(const json_t *entry, struct buf *out)
{
    const char *manager = json_string_value(json_object_get(entry, "manager"));
    const char *operation = json_string_value(json_object_get(entry, "operation"));
    const char *version = json_string_value(json_object_get(entry, "apiVersion"));
    const char *time = json_string_value(json_object_get(entry, "time"));
    const char *sub = json_string_value(json_object_get(entry, "subresource"));

    json_add_quoted(out, str_of(manager ? manager : ""));
    if (sub && *sub)
        buf_addf(out, " with subresource \"%s\"", sub);
    if (operation && strcmp(operation, "Update") == 0)
        buf_addf(out, " using %s at %s", version ? version : "", time ? time : "");
}

static void on_conflict(const json_t *entry, const json_t *fields, void *ctx)
{
    struct conflicts *conflicts = ctx;
    CLEANUP(buf) struct buf manager = BUF_INIT(4096);
    CLEANUP(buf) struct buf message = BUF_INIT(4096);

    manager_text(entry, &manager);
    buf_addf(&message, "conflict with %s", buf_text(&manager));
    strv_done(&conflicts->fields);
    fields_each(fields, note_field, conflicts);
    strv_sort(&conflicts->fields);
    buf_addf(&conflicts->text, "%sconflicts with %s:", conflicts->text.len ? "\n" : "",
             buf_text(&manager));
    for (size_t i = 0; i < conflicts->fields.count; i++) {
        const char *path = conflicts->fields.items[i];
        buf_addf(&conflicts->text, "\n- %s", path);
        (void)json_array_append_new(conflicts->causes,
                                    json_pack("{s:s, s:s, s:s}", "reason", "FieldManagerConflict",
                                              "message", buf_text(&message), "field", path));
        conflicts->count++;
    }
}

static int refuse_conflicts(struct conflicts *conflicts, struct status *status)
{
    const json_t *first = json_array_get(conflicts->causes, 0);

    if (conflicts->count == 1)
        (void)status_set(status, 409, "Conflict", "Apply failed with 1 conflict: %s: %s",
                         json_string_value(json_object_get(first, "message")),
                         json_string_value(json_object_get(first, "field")));
    else
        (void)status_set(status, 409, "Conflict", "Apply failed with %zu conflicts: %s",
                         conflicts->count, buf_text(&conflicts->text));
    json_decref(status->details);
    status->details = json_pack("{s:O}", "causes", conflicts->causes);
    return -1;
}

static int check_intent(const struct verb *v, const json_t *body, struct status *status)
{
    const char *name = json_str_at(body, "metadata.name");
    const char *namespace_name = json_str_at(body, "metadata.namespace");

    if (!json_is_object(body) || !json_str_at(body, "kind") || !json_str_at(body, "apiVersion"))
        return status_bad_request(status, "apply needs the object's apiVersion and kind");
    if (json_array_size(json_at(body, "metadata.managedFields")) > 0)
        return status_bad_request(status, "metadata.managedFields must be nil");
    if (name && strcmp(name, v->name) != 0)
        return status_bad_request(
            status, "the name of the object (%s) does not match the name on the URL (%s)", name,
            v->name);
    if (namespace_name && *v->namespace_name && strcmp(namespace_name, v->namespace_name) != 0)
        return status_bad_request(status, "the namespace of the provided object does not match the"
                                          " namespace sent on the request");
    return 0;
}

static int run_apply(const struct verb *v, const json_t *old, const json_t *intent, json_t **ret,
                     struct status *status)
{
    struct conflicts conflicts = {.causes = json_array(), .text = BUF_INIT(1 << 16)};
    struct error err = ERROR_INIT;
    struct apply apply = {
        .type = v->api->types[v->res->id],
        .writer = {v->manager, v->api_version, v->sub == SUB_STATUS ? "status" : "", true},
        .force = v->force,
        .on_conflict = on_conflict,
        .ctx = &conflicts};

    int rc = apply_intent(&apply, old, intent, ret, &err);
    if (rc < 0)
        rc = err.kind == ERR_CONFLICT ? refuse_conflicts(&conflicts, status)
                                      : status_from_error(status, &err);
    json_decref(conflicts.causes);
    buf_done(&conflicts.text);
    strv_done(&conflicts.fields);
    return rc;
}

static int apply_new(const struct verb *v, json_t *take_tree, struct object **ret_object,
                     struct status *status)
{
    struct verb create = *v;

    if (json_object_set_new(json_object_get(take_tree, "metadata"), "name", json_string(v->name)) <
        0) {
        json_decref(take_tree);
        return status_no_memory(status);
    }
    create.is_apply = true;
    return verb_create(&create, take_tree, ret_object, status);
}

static int verb_apply(const struct verb *v, const json_t *body, struct object **ret_object,
                      bool *ret_created, struct status *status)
{
    const struct object *old = store_get(v->api->store, v->res, v->namespace_name, v->name);
    CLEANUP(json) json_t *intent = json_deep_copy(body);
    json_t *tree = NULL;

    if (check_intent(v, body, status) < 0 || verb_decode(v, intent, status) < 0)
        return -1;
    json_t *metadata = json_object_get(intent, "metadata");
    (void)json_object_del(metadata, "managedFields"); /* may be absent */
    if (!metadata && json_object_set_new(intent, "metadata", json_object()) < 0)
        return status_no_memory(status);
    if (!old && v->sub != SUB_NONE)
        return status_not_found(status, v->res, v->name);
    if (run_apply(v, old ? object_root(old) : NULL, intent, &tree, status) < 0)
        return -1;
    *ret_created = old == NULL;
    if (!old)
        return apply_new(v, tree, ret_object, status);
    struct verb replace = *v;
    replace.is_apply = true;
    return verb_replace(&replace, old, tree, ret_object, status);
}

int verb_patch(const struct verb *v, enum patch_kind kind, const json_t *body,
               struct object **ret_object, bool *ret_created, struct status *status)
{
    json_t *tree = NULL;

    *ret_created = false;
    if (kind == PATCH_APPLY)
        return verb_apply(v, body, ret_object, ret_created, status);
    const struct object *old = verb_find(v, status);
    if (!old || patched_tree(v, kind, object_root(old), body, &tree, status) < 0)
        return -1;
    return verb_replace(v, old, tree, ret_object, status);
}
