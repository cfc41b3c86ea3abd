/* cluster/api/openapi.c - the OpenAPI documents that kubectl asks for before it applies anything.
 *
 * v3: an index, and a document a group and version with schemas from the table of types, and one
 * PATCH operation a kind (tagged with the kind, with fieldValidation: so kubectl leaves validation
 * to us). v2: the same operations without schemas, in protobuf (gnostic's openapi.v2.Document),
 * which old clients insist on: they look there for dryRun, and skip validation of kinds without a
 * definition. Source: Kubernetes OpenAPI v3 docs; kubectl's pkg/util/openapi; gnostic
 * OpenAPIv2.proto. */
#include "cluster/api/server_internal.h"

/* --- v3 --- */

static json_t *schema_json(const struct schema_type *type)
{
    static const char *const names[] = {
        [SCHEMA_STRING] = "string",   [SCHEMA_INTEGER] = "integer", [SCHEMA_NUMBER] = "number",
        [SCHEMA_BOOLEAN] = "boolean", [SCHEMA_TIME] = "string",     [SCHEMA_BYTES] = "string"};

    switch (type->kind) {
    case SCHEMA_STRUCT: {
        CLEANUP(text) char *ref = str_format("#/components/schemas/%s", type->name);
        return json_pack("{s:s}", "$ref", ref ? ref : "");
    }
    case SCHEMA_MAP:
        return json_pack("{s:s, s:o}", "type", "object", "additionalProperties",
                         schema_json(type->element));
    case SCHEMA_LIST:
        return json_pack("{s:s, s:o}", "type", "array", "items", schema_json(type->element));
    case SCHEMA_ANY:
        return json_pack("{s:s}", "type", "object");
    case SCHEMA_QUANTITY:
    case SCHEMA_INT_OR_STRING:
        return json_pack("{s:[{s:s}, {s:s}]}", "oneOf", "type", "string", "type", "number");
    default:
        return json_pack("{s:s}", "type", names[type->kind]);
    }
}

static void add_list_rules(const struct schema_type *type, json_t *property)
{
    json_t *keys = json_array();

    for (size_t i = 0; type->keys[i]; i++)
        (void)json_array_append_new(keys, json_string(type->keys[i]));
    if (json_array_size(keys) > 0)
        (void)json_object_set(property, "x-kubernetes-list-map-keys", keys);
    json_decref(keys);
    (void)json_object_set_new(property, "x-kubernetes-list-type",
                              json_string(type->keys[0]  ? "map"
                                          : type->is_set ? "set"
                                                         : "atomic"));
    if (type->merge_key || type->is_set)
        (void)json_object_set_new(property, "x-kubernetes-patch-strategy",
                                  json_string(type->retain_keys ? "merge,retainKeys" : "merge"));
    if (type->merge_key)
        (void)json_object_set_new(property, "x-kubernetes-patch-merge-key",
                                  json_string(type->merge_key));
}

static json_t *struct_json(const struct schema_type *type)
{
    json_t *properties = json_object();

    for (size_t i = 0; i < type->fields_count; i++) {
        const struct schema_type *field = type->fields[i].type;
        json_t *property = schema_json(field);
        if (field->kind == SCHEMA_LIST)
            add_list_rules(field, property);
        else if (field->kind == SCHEMA_STRUCT && field->retain_keys)
            (void)json_object_set_new(property, "x-kubernetes-patch-strategy",
                                      json_string("retainKeys"));
        (void)json_object_set_new(properties, type->fields[i].name, property);
    }
    return json_pack("{s:s, s:o}", "type", "object", "properties", properties);
}

static void add_schemas(const struct schema *schema, const struct schema_type *type,
                        json_t *schemas);

static void add_schemas_of(const struct schema *schema, const struct schema_type *type,
                           json_t *schemas)
{
    while (type->kind == SCHEMA_LIST || type->kind == SCHEMA_MAP)
        type = type->element;
    if (type->kind == SCHEMA_STRUCT)
        add_schemas(schema, type, schemas);
}

static void add_schemas(const struct schema *schema, const struct schema_type *type,
                        json_t *schemas)
{
    if (json_object_get(schemas, type->name))
        return;
    (void)json_object_set_new(schemas, type->name, struct_json(type));
    for (size_t i = 0; i < type->fields_count; i++)
        add_schemas_of(schema, type->fields[i].type, schemas);
}

static json_t *gvk_json(const struct resource *res, const char *version)
{
    return json_pack("{s:s, s:s, s:s}", "group", res->group, "version", version, "kind", res->kind);
}

static char *item_path(const struct resource *res, const char *version)
{
    return str_format("/%s%s%s/%s%s/{name}", *res->group ? "apis/" : "api", res->group,
                      *res->group ? "" : "", version,
                      resource_is_namespaced(res) ? "/namespaces/{namespace}" : "");
}

static json_t *patch_operation(const struct resource *res, const char *version)
{
    static const char *const parameters[] = {"dryRun", "fieldManager", "fieldValidation", "force"};
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:{s:s}}", "name", parameters[i],
                                                    "in", "query", "schema", "type", "string"));
    return json_pack("{s:o, s:{s:{s:{}, s:{}, s:{}, s:{}}}, s:{s:{s:s}}, s:s, s:o}", "parameters",
                     list, "requestBody", "content", "application/json-patch+json",
                     "application/merge-patch+json", "application/strategic-merge-patch+json",
                     "application/apply-patch+yaml", "responses", "200", "description", "OK",
                     "x-kubernetes-action", "patch", "x-kubernetes-group-version-kind",
                     gvk_json(res, version));
}

static bool serves(const struct resource *res, const char *group, const char *version)
{
    return resource_find(group, version, res->plural) == res;
}

static void add_kind(const struct api *api, const struct resource *res, const char *version,
                     json_t *paths, json_t *schemas)
{
    const struct schema_type *type = api->types[res->id];
    CLEANUP(text) char *base = item_path(res, version);
    CLEANUP(text) char *path = NULL;

    /* ".../namespaces/{namespace}/pods/{name}" */
    if (base) {
        size_t cut = strlen(base) - strlen("/{name}");
        path = str_format("%.*s/%s/{name}", (int)cut, base, res->plural);
    }
    (void)json_object_set_new(paths, path ? path : "",
                              json_pack("{s:o}", "patch", patch_operation(res, version)));
    if (!type)
        return;
    add_schemas(api->schema, type, schemas);
    (void)json_object_set_new(json_object_get(schemas, type->name),
                              "x-kubernetes-group-version-kind",
                              json_pack("[o]", gvk_json(res, version)));
}

static json_t *document_v3(const struct api *api, const char *group, const char *version)
{
    json_t *paths = json_object(), *schemas = json_object();

    for (size_t i = 0; i < RES_COUNT; i++) {
        const struct resource *res = resource_get((enum resource_id)i);
        if (serves(res, group, version))
            add_kind(api, res, version, paths, schemas);
    }
    return json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:o}}", "openapi", "3.0.0", "info", "title",
                     "Kubernetes", "version", "v1.30.0", "paths", paths, "components", "schemas",
                     schemas);
}

static void add_part(json_t *paths, const struct resource *res, const char *version)
{
    CLEANUP(text)
    char *key = str_format("%s%s/%s", *res->group ? "apis/" : "api", res->group, version);
    CLEANUP(text) char *url = str_format("/openapi/v3/%s", key ? key : "");

    if (key && url)
        (void)json_object_set_new(paths, key, json_pack("{s:s}", "serverRelativeURL", url));
}

static json_t *index_v3(void)
{
    json_t *paths = json_object();

    for (size_t i = 0; i < RES_COUNT; i++) {
        const struct resource *res = resource_get((enum resource_id)i);
        add_part(paths, res, res->version);
        if (res->other_version)
            add_part(paths, res, res->other_version);
    }
    return json_pack("{s:o}", "paths", paths);
}

/* --- v2: protobuf --- */

enum { PROTO_BYTES = 2 };

static void add_varint(struct buf *out, uint64_t number)
{
    while (number >= 0x80) {
        buf_add_char(out, (char)(number | 0x80));
        number >>= 7;
    }
    buf_add_char(out, (char)number);
}

static void add_field(struct buf *out, unsigned field, struct str bytes)
{
    add_varint(out, field << 3 | PROTO_BYTES);
    add_varint(out, bytes.len);
    buf_add_str(out, bytes);
}

/* NamedX {name = 1, value = 2} */
static void add_named(struct buf *out, unsigned field, const char *name, const struct buf *value)
{
    CLEANUP(buf) struct buf named = BUF_INIT(1 << 16);
    add_field(&named, 1, str_of(name));
    add_field(&named, 2, buf_str(value));
    add_field(out, field, buf_str(&named));
}

/* ParametersItem{parameter=1{non_body_parameter=2{query_parameter_sub_schema=3{in=2,name=4,type=6}}}}
 */
static void add_query_parameter(struct buf *operation, const char *name)
{
    CLEANUP(buf) struct buf query = BUF_INIT(1024), non_body = BUF_INIT(1024);
    CLEANUP(buf) struct buf parameter = BUF_INIT(1024), item = BUF_INIT(1024);

    add_field(&query, 2, STR("query"));
    add_field(&query, 4, str_of(name));
    add_field(&query, 6, STR("string"));
    add_field(&non_body, 3, buf_str(&query));
    add_field(&parameter, 2, buf_str(&non_body));
    add_field(&item, 1, buf_str(&parameter));
    add_field(operation, 8, buf_str(&item));
}

/* Operation{operation_id=4, parameters=8, responses=9, vendor_extension=13 NamedAny{Any{yaml=2}}}
 */
static void add_patch_path(struct buf *paths, const struct resource *res, const char *version)
{
    CLEANUP(buf) struct buf operation = BUF_INIT(1 << 16), item = BUF_INIT(1 << 16);
    CLEANUP(buf) struct buf any = BUF_INIT(4096);
    CLEANUP(text) char *base = item_path(res, version);
    CLEANUP(text)
    char *kind =
        str_format("group: \"%s\"\nkind: %s\nversion: %s\n", res->group, res->kind, version);
    if (!base || !kind)
        return;
    size_t cut = strlen(base) - strlen("/{name}");
    CLEANUP(text) char *path = str_format("%.*s/%s/{name}", (int)cut, base, res->plural);
    add_query_parameter(&operation, "dryRun");
    add_query_parameter(&operation, "fieldManager");
    add_query_parameter(&operation, "force");
    add_field(&operation, 9, STR(""));
    add_field(&any, 2, str_of(kind));
    add_named(&operation, 13, "x-kubernetes-group-version-kind", &any);
    add_field(&item, 8, buf_str(&operation)); /* PathItem.patch */
    add_named(paths, 2, path ? path : "", &item);
}

/* Document{swagger=1, info=2{title=1, version=2}, paths=8{path=2 NamedPathItem}, definitions=9} */
static void document_v2(struct buf *out)
{
    CLEANUP(buf) struct buf info = BUF_INIT(1024), paths = BUF_INIT(1 << 20);

    add_field(&info, 1, STR("Kubernetes"));
    add_field(&info, 2, STR("v1.30.0"));
    add_field(out, 1, STR("2.0"));
    add_field(out, 2, buf_str(&info));
    for (size_t i = 0; i < RES_COUNT; i++) {
        const struct resource *res = resource_get((enum resource_id)i);
        add_patch_path(&paths, res, res->version);
        if (res->other_version)
            add_patch_path(&paths, res, res->other_version);
    }
    add_field(out, 8, buf_str(&paths));
    add_field(out, 9, STR(""));
}

void openapi_handle(struct request *rq)
{
    const char *accept = http_request_header(rq->http, "Accept");
    CLEANUP(buf) struct buf out = BUF_INIT(1 << 20);

    if (rq->route.kind == ROUTE_OPENAPI_V3) {
        answer_json(rq, 200, index_v3());
    } else if (rq->route.kind == ROUTE_OPENAPI_V3_PART) {
        answer_json(rq, 200, document_v3(rq->api, rq->route.group, rq->route.version));
    } else if (accept && strstr(accept, "protobuf")) {
        document_v2(&out);
        answer_text(rq, 200, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
                    buf_str(&out));
    } else {
        answer_json(rq, 200,
                    json_pack("{s:s, s:{s:s, s:s}, s:{}, s:{}}", "swagger", "2.0", "info", "title",
                              "Kubernetes", "version", "v1.30.0", "paths", "definitions"));
    }
}
