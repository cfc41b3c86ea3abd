/* sbom/layer_cache.c - a layer's facts as JSON, kept by diff id.
 *
 * {"format":1,"bytes":N,"items":[[KIND,PATH,FAULT or null,[[NAME,VERSION,SOURCE,SOURCE
 * VERSION,ARCHITECTURE, LOCATION,IS
 * DEV,[NAME,RANGE,NAME,RANGE…]]…]]…],"whiteouts":[…],"opaques":[…],"solid":BASE64}: arrays, because
 * a layer has thousands. The solid hashes are 8 bytes each, in this machine's order. */
#include "base/encode.h"
#include "sbom/layer.h"

enum { SOLID_TEXT_LIMIT = 64 << 20 };

static json_t *fact_to_json(const struct fact *f)
{
    json_t *needs = json_array();

    for (size_t i = 0; i < f->need_count; i++) {
        (void)json_array_append_new(needs,
                                    json_string(f->needs[i].name)); /* counted by the caller */
        (void)json_array_append_new(needs, json_string(f->needs[i].range));
    }
    return json_pack("[ssssssbo]", f->name, f->version, f->source_name, f->source_version,
                     f->architecture, f->location, (int)f->is_dev, needs);
}

static json_t *item_to_json(const struct evidence *item)
{
    json_t *facts = json_array();

    for (size_t i = 0; i < item->fact_count; i++)
        (void)json_array_append_new(facts, fact_to_json(&item->facts[i])); /* counted below */
    if (json_array_size(facts) != item->fact_count) {
        json_decref(facts);
        return NULL;
    }
    return json_pack("[iss?o]", (int)item->kind, item->path, item->fault, facts);
}

static json_t *strv_to_json(const struct strv *v)
{
    json_t *array = json_array();

    for (size_t i = 0; i < v->count; i++)
        (void)json_array_append_new(array, json_string(v->items[i])); /* counted below */
    if (json_array_size(array) != v->count) {
        json_decref(array);
        return NULL;
    }
    return array;
}

int layer_facts_to_json(const struct layer_facts *facts, json_t **ret, struct error *err)
{
    CLEANUP(buf) struct buf solid = BUF_INIT(SOLID_TEXT_LIMIT);
    CLEANUP(json) json_t *root = NULL;
    json_t *items = json_array();

    for (size_t i = 0; i < facts->count; i++)
        (void)json_array_append_new(items, item_to_json(&facts->items[i])); /* counted below */
    base64_encode(str_slice((const char *)facts->solid, facts->solid_count * sizeof *facts->solid),
                  &solid);
    root = json_pack("{sisIsososo}", "format", (int)LAYER_FACTS_FORMAT, "bytes",
                     (json_int_t)facts->bytes, "items", items, "whiteouts",
                     strv_to_json(&facts->whiteouts), "opaques", strv_to_json(&facts->opaques));
    if (!root || json_array_size(items) != facts->count ||
        json_object_set_new(root, "solid", json_stringn(buf_text(&solid), solid.len)) < 0)
        return error_set(err, ERR_INVALID, "facts that are not UTF-8 cannot be kept");
    if (buf_ok(&solid, err) < 0)
        return -1;
    *ret = TAKE(root);
    return 0;
}

static const char *text_at(const json_t *array, size_t index, struct texts *texts, bool *ok)
{
    const json_t *value = json_array_get(array, index);

    if (!json_is_string(value)) {
        *ok = false;
        return "";
    }
    return texts_add(texts, str_slice(json_string_value(value), json_string_length(value)));
}

static bool fact_from_json(const json_t *array, struct texts *texts, struct fact *ret)
{
    const json_t *needs = json_array_get(array, 7);
    struct fact_need *kept;
    bool ok = json_is_array(needs) && json_array_size(needs) % 2 == 0;

    *ret = (struct fact){
        .name = text_at(array, 0, texts, &ok),
        .version = text_at(array, 1, texts, &ok),
        .source_name = text_at(array, 2, texts, &ok),
        .source_version = text_at(array, 3, texts, &ok),
        .architecture = text_at(array, 4, texts, &ok),
        .location = text_at(array, 5, texts, &ok),
        .is_dev = json_is_true(json_array_get(array, 6)),
        .need_count = ok ? json_array_size(needs) / 2 : 0,
    };
    kept = ret->need_count ? texts_room(texts, ret->need_count, sizeof *kept) : NULL;
    if (!kept)
        ret->need_count = 0;
    for (size_t i = 0; i < ret->need_count; i++) {
        kept[i].name = text_at(needs, 2 * i, texts, &ok);
        kept[i].range = text_at(needs, 2 * i + 1, texts, &ok);
    }
    ret->needs = kept;
    return ok;
}

static bool item_from_json(const json_t *array, struct layer_facts *facts, struct evidence *ret)
{
    json_int_t kind = json_integer_value(json_array_get(array, 0));
    const json_t *list = json_array_get(array, 3);
    struct fact *kept = NULL;
    bool ok = json_is_array(list) && kind > EVIDENCE_NONE && kind < EVIDENCE_KINDS;

    *ret = (struct evidence){.kind = (enum evidence_kind)kind};
    ret->path = text_at(array, 1, &facts->texts, &ok);
    if (!json_is_null(json_array_get(array, 2)))
        ret->fault = text_at(array, 2, &facts->texts, &ok);
    if (ok && json_array_size(list))
        kept = texts_room(&facts->texts, json_array_size(list), sizeof *kept);
    ret->facts = kept;
    ret->fact_count = kept ? json_array_size(list) : 0;
    for (size_t i = 0; i < ret->fact_count; i++)
        ok &= fact_from_json(json_array_get(list, i), &facts->texts, &kept[i]);
    return ok;
}

static bool strv_from_json(const json_t *array, struct strv *out)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *text = json_string_value(json_array_get(array, i));
        if (!text)
            return false;
        strv_add(out, text);
    }
    return json_is_array(array) && !out->failed;
}

static bool solid_from_json(const json_t *text, struct layer_facts *facts)
{
    CLEANUP(buf) struct buf bytes = BUF_INIT(SOLID_TEXT_LIMIT);

    if (!json_is_string(text) ||
        !base64_decode(str_slice(json_string_value(text), json_string_length(text)), &bytes) ||
        bytes.failed || bytes.len % sizeof *facts->solid)
        return false;
    if (bytes.len == 0)
        return true;
    facts->solid = malloc(bytes.len);
    if (!facts->solid)
        return false;
    memcpy(facts->solid, bytes.ptr, bytes.len);
    facts->solid_count = bytes.len / sizeof *facts->solid;
    facts->solid_capacity = facts->solid_count;
    return true;
}

int layer_facts_from_json(const json_t *root, struct layer_facts *ret, struct error *err)
{
    CLEANUP(layer_facts) struct layer_facts facts = LAYER_FACTS_INIT;
    const json_t *items = json_object_get(root, "items");

    if (json_int_at(root, "format", 0) != LAYER_FACTS_FORMAT)
        return error_set(err, ERR_INVALID, "kept facts of another format");
    facts.bytes = (uint64_t)json_int_at(root, "bytes", 0);
    if (json_array_size(items) > LAYER_EVIDENCE_LIMIT || !json_is_array(items) ||
        !strv_from_json(json_object_get(root, "whiteouts"), &facts.whiteouts) ||
        !strv_from_json(json_object_get(root, "opaques"), &facts.opaques) ||
        !solid_from_json(json_object_get(root, "solid"), &facts))
        return error_set(err, ERR_INVALID, "kept facts are broken");
    facts.items = calloc(json_array_size(items) + 1, sizeof *facts.items);
    if (!facts.items)
        return error_no_memory(err);
    facts.capacity = json_array_size(items) + 1;
    for (size_t i = 0; i < json_array_size(items); i++) {
        if (!item_from_json(json_array_get(items, i), &facts, &facts.items[facts.count++]))
            return error_set(err, ERR_INVALID, "kept facts are broken at item %zu", i);
    }
    if (texts_ok(&facts.texts, err) < 0)
        return -1;
    layer_facts_sort(&facts);
    *ret = facts;
    facts = (struct layer_facts)LAYER_FACTS_INIT; /* handed over */
    return 0;
}
