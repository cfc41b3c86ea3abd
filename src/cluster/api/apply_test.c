/* cluster/api/apply_test.c - server-side apply and managedFields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/api/verb_patch.h"

static json_t *parse(const char *text)
{
    json_error_t fault;
    json_t *root = json_loads(text, 0, &fault);
    if (!root)
        fail_msg("%s: %s", fault.text, text);
    return root;
}

static struct api *new_api(void)
{
    struct error err = ERROR_INIT;
    struct api *api = NULL;
    struct api_options options = {.cluster_index = 1};
    if (api_new(&options, &api, &err) < 0)
        fail_msg("%s", err.text);
    return api;
}

static struct verb verb(struct api *api, const char *manager, bool force)
{
    return (struct verb){.api = api,
                         .res = resource_get(RES_CONFIGMAPS),
                         .api_version = "v1",
                         .namespace_name = "default",
                         .name = "x",
                         .manager = manager,
                         .force = force};
}

#define CONFIGMAP(data)                                                                            \
    "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"x\"},\"data\":" data "}"

/* Gives the object, or NULL and the status. */
static struct object *apply(struct api *api, const char *manager, bool force, const char *text,
                            struct status *status)
{
    struct verb v = verb(api, manager, force);
    CLEANUP(json) json_t *body = parse(text);
    struct object *object = NULL;
    bool is_created;
    return verb_patch(&v, PATCH_APPLY, body, &object, &is_created, status) == 0 ? object : NULL;
}

static void assert_data(const struct object *object, const char *want)
{
    CLEANUP(json) json_t *wanted = parse(want);
    assert_non_null(object);
    if (!json_equal(json_object_get(object_root(object), "data"), wanted))
        fail_msg("got %s", object_text(object).ptr);
}

static const json_t *managed_by(const struct object *object, const char *manager)
{
    const json_t *all = json_at(object_root(object), "metadata.managedFields");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *entry = json_array_get(all, i);
        if (strcmp(json_str_at(entry, "manager"), manager) == 0)
            return entry;
    }
    return NULL;
}

static void apply_creates_and_records_who_owns_what(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    CLEANUP(status) struct status status = STATUS_INIT;
    CLEANUP(object)
    struct object *object = apply(api, "a", false, CONFIGMAP("{\"k\":\"1\"}"), &status);
    assert_data(object, "{\"k\":\"1\"}");
    const json_t *entry = managed_by(object, "a");
    CLEANUP(json) json_t *want = parse("{\"f:data\":{\"f:k\":{}}}");
    assert_string_equal(json_str_at(entry, "operation"), "Apply");
    CLEANUP(text) char *got = json_dumps(json_object_get(entry, "fieldsV1"), 0);
    if (!json_equal(json_object_get(entry, "fieldsV1"), want))
        fail_msg("%s", got);
}

static void what_the_intent_no_longer_holds_is_removed(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    CLEANUP(status) struct status status = STATUS_INIT;
    CLEANUP(object)
    struct object *first =
        apply(api, "a", false, CONFIGMAP("{\"k\":\"1\",\"gone\":\"2\"}"), &status);
    CLEANUP(object)
    struct object *other = apply(api, "b", false, CONFIGMAP("{\"own\":\"3\"}"), &status);
    assert_data(other, "{\"k\":\"1\",\"gone\":\"2\",\"own\":\"3\"}");
    CLEANUP(object)
    struct object *second = apply(api, "a", false, CONFIGMAP("{\"k\":\"1\"}"), &status);
    assert_data(second, "{\"k\":\"1\",\"own\":\"3\"}");
    CLEANUP(object)
    struct object *again = apply(api, "a", false, CONFIGMAP("{\"k\":\"1\"}"), &status);
    assert_int_equal(object_revision(again), object_revision(second));
}

static void shared_field_stays_until_its_last_owner_leaves(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    CLEANUP(status) struct status status = STATUS_INIT;
    CLEANUP(object)
    struct object *a = apply(api, "a", false, CONFIGMAP("{\"k\":\"1\",\"x\":\"1\"}"), &status);
    CLEANUP(object) struct object *b = apply(api, "b", false, CONFIGMAP("{\"k\":\"1\"}"), &status);
    CLEANUP(object) struct object *c = apply(api, "a", false, CONFIGMAP("{\"x\":\"1\"}"), &status);
    assert_data(c, "{\"k\":\"1\",\"x\":\"1\"}");
    CLEANUP(object) struct object *d = apply(api, "b", false, CONFIGMAP("{}"), &status);
    assert_data(d, "{\"x\":\"1\"}");
}

static void another_value_of_anothers_field_is_a_conflict(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    CLEANUP(status) struct status status = STATUS_INIT;
    CLEANUP(object)
    struct object *a = apply(api, "a", false, CONFIGMAP("{\"k\":\"1\",\"l\":\"1\"}"), &status);
    assert_null(apply(api, "b", false, CONFIGMAP("{\"k\":\"2\"}"), &status));
    assert_int_equal(status.code, 409);
    assert_string_equal(status.message,
                        "Apply failed with 1 conflict: conflict with \"a\": .data.k");
    assert_string_equal(json_str_at(status.details, "causes[0].reason"), "FieldManagerConflict");
    assert_string_equal(json_str_at(status.details, "causes[0].field"), ".data.k");
    assert_null(apply(api, "b", false, CONFIGMAP("{\"k\":\"2\",\"l\":\"2\"}"), &status));
    assert_string_equal(
        status.message,
        "Apply failed with 2 conflicts: conflicts with \"a\":\n- .data.k\n- .data.l");
    CLEANUP(object) struct object *b = apply(api, "b", true, CONFIGMAP("{\"k\":\"2\"}"), &status);
    assert_data(b, "{\"k\":\"2\",\"l\":\"1\"}");
    CLEANUP(json) json_t *left = parse("{\"f:data\":{\"f:l\":{}}}");
    assert_true(json_equal(json_object_get(managed_by(b, "a"), "fieldsV1"), left));
}

static void update_takes_the_fields_that_it_changes(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    CLEANUP(status) struct status status = STATUS_INIT;
    CLEANUP(object)
    struct object *a = apply(api, "a", false, CONFIGMAP("{\"k\":\"1\",\"l\":\"1\"}"), &status);
    struct verb v = verb(api, "editor", false);
    CLEANUP(json) json_t *patch = parse("{\"data\":{\"k\":\"9\"}}");
    CLEANUP(object) struct object *edited = NULL;
    bool is_created;
    assert_int_equal(verb_patch(&v, PATCH_MERGE, patch, &edited, &is_created, &status), 0);
    const json_t *entry = managed_by(edited, "editor");
    CLEANUP(json) json_t *want = parse("{\"f:data\":{\"f:k\":{}}}");
    assert_string_equal(json_str_at(entry, "operation"), "Update");
    assert_true(json_equal(json_object_get(entry, "fieldsV1"), want));
    assert_null(apply(api, "a", false, CONFIGMAP("{\"k\":\"1\",\"l\":\"1\"}"), &status));
    CLEANUP(text)
    char *message =
        str_format("Apply failed with 1 conflict: conflict with \"editor\" using v1 at %s: .data.k",
                   json_str_at(entry, "time"));
    assert_string_equal(status.message, message);
}

static void lists_merge_by_the_keys_of_apply(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    CLEANUP(status) struct status status = STATUS_INIT;
    struct verb v = verb(api, "a", false);
    v.res = resource_get(RES_SERVICES);
    CLEANUP(json)
    json_t *body = parse(
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"ports\":["
        "{\"name\":\"a\",\"port\":53,\"protocol\":\"UDP\"},{\"name\":\"b\",\"port\":53}]}}");
    CLEANUP(object) struct object *object = NULL, *second = NULL;
    bool is_created;
    assert_int_equal(verb_patch(&v, PATCH_APPLY, body, &object, &is_created, &status), 0);
    assert_true(is_created);
    assert_int_equal(json_array_size(json_at(object_root(object), "spec.ports")), 2);
    CLEANUP(json)
    json_t *fewer = parse(
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"ports\":"
        "[{\"name\":\"b\",\"port\":53,\"targetPort\":5353}]}}");
    assert_int_equal(verb_patch(&v, PATCH_APPLY, fewer, &second, &is_created, &status), 0);
    const json_t *ports = json_at(object_root(second), "spec.ports");
    assert_int_equal(json_array_size(ports), 1);
    assert_string_equal(json_str_at(json_array_get(ports, 0), "name"), "b");
    assert_int_equal(json_int_at(json_array_get(ports, 0), "targetPort", 0), 5353);
    assert_string_equal(json_str_at(object_root(second), "spec.clusterIP"), "10.96.1.2");
}

static void dry_run_stores_nothing(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    CLEANUP(status) struct status status = STATUS_INIT;
    struct verb v = verb(api, "a", false);
    CLEANUP(json) json_t *body = parse(CONFIGMAP("{\"k\":\"1\"}"));
    CLEANUP(object) struct object *object = NULL;
    bool is_created;
    int64_t before = store_revision(api_store(api));
    v.dry_run = true;
    assert_int_equal(verb_patch(&v, PATCH_APPLY, body, &object, &is_created, &status), 0);
    assert_data(object, "{\"k\":\"1\"}");
    assert_true(*object_uid(object) != '\0');
    assert_int_equal(store_revision(api_store(api)), before);
    assert_null(api_get(api, RES_CONFIGMAPS, "default", "x"));
}

static void unknown_field_is_refused_if_strict_and_a_warning_else(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    CLEANUP(status) struct status status = STATUS_INIT;
    CLEANUP(strv) struct strv warnings = STRV_INIT;
    CLEANUP(object) struct object *object = NULL;
    struct verb v = verb(api, "a", false);
    v.name = "";
    v.validation = FIELDS_STRICT;
    v.warnings = &warnings;
    const char *text = "{\"metadata\":{\"name\":\"x\"},\"foo\":1}";
    assert_int_equal(verb_create(&v, parse(text), &object, &status), -1);
    assert_int_equal(status.code, 400);
    assert_string_equal(
        status.message,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding"
        " error: unknown field \"foo\"");
    v.validation = FIELDS_WARN;
    assert_int_equal(verb_create(&v, parse(text), &object, &status), 0);
    assert_int_equal(warnings.count, 1);
    assert_string_equal(warnings.items[0], "unknown field \"foo\"");
    assert_null(json_at(object_root(object), "foo"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(apply_creates_and_records_who_owns_what),
        cmocka_unit_test(what_the_intent_no_longer_holds_is_removed),
        cmocka_unit_test(shared_field_stays_until_its_last_owner_leaves),
        cmocka_unit_test(another_value_of_anothers_field_is_a_conflict),
        cmocka_unit_test(update_takes_the_fields_that_it_changes),
        cmocka_unit_test(lists_merge_by_the_keys_of_apply),
        cmocka_unit_test(dry_run_stores_nothing),
        cmocka_unit_test(unknown_field_is_refused_if_strict_and_a_warning_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
