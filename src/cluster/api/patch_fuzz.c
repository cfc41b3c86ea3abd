/* cluster/api/patch_fuzz.c - patches of every kind. Input: one JSON document
 * {"kind","type","object","patch"}; kind names a type of the schema. What comes out must be a tree
 * that can be written. */
#include <assert.h>

#include "cluster/api/apply.h"
#include "cluster/api/decode.h"
#include "cluster/api/patch.h"
#include "cluster/api/strategic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore_conflict(const json_t *entry, const json_t *fields, void *ctx)
{
}

static void try_apply(const struct schema_type *type, json_t *object, json_t *patch)
{
    CLEANUP(json) json_t *result = NULL;
    CLEANUP(status) struct status status = STATUS_INIT;
    struct error err = ERROR_INIT;
    struct apply apply = {.type = type,
                          .writer = {"fuzz", "v1", "", true},
                          .force = true,
                          .on_conflict = ignore_conflict};

    /* As the server does: only what has the right types gets so far. */
    if (decode_check(type, type->name, "v1", object, NULL, &status) < 0 ||
        decode_check(type, type->name, "v1", patch, NULL, &status) < 0 ||
        !json_is_object(json_object_get(object, "metadata")))
        return;
    assert(apply_intent(&apply, object, patch, &result, &err) == 0);
    CLEANUP(text) char *text = json_dumps(result, JSON_COMPACT);
    assert(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json) json_t *root = NULL, *merged = NULL, *patched = NULL, *strategic = NULL;
    CLEANUP(schema) struct schema *schema = NULL;
    struct error err = ERROR_INIT;

    if (size > 1 << 16 ||
        json_parse("fuzz", str_slice((const char *)data, size), &root, &err) < 0 ||
        schema_new(&schema, &err) < 0)
        return 0;
    const char *kind = json_str_at(root, "kind");
    const struct schema_type *type = schema_find(schema, kind ? kind : "Pod");
    json_t *object = json_object_get(root, "object"), *patch = json_object_get(root, "patch");
    if (!type || !object || !patch)
        return 0;
    merged = patch_merge(object, patch);
    assert(merged);
    if (patch_json(object, patch, &patched, &err) == 0)
        assert(patched);
    if (json_is_object(object) && strategic_merge(type, object, patch, &strategic, &err) == 0)
        assert(strategic);
    try_apply(type, object, patch);
    return 0;
}
