/* kube/request.c - struct kube_request → method, path, query and body of the REST call. */
#include "base/encode.h"
#include "kube/kube_internal.h"

void kube_query_add(struct buf *query, const char *name, const char *value)
{
    buf_add_char(query, query->len ? '&' : '?');
    buf_add_text(query, name);
    buf_add_char(query, '=');
    percent_encode(str_of(value), "", query);
}

int kube_ref_of(const json_t *object, struct kube_ref *ret, struct error *err)
{
    struct kube_ref ref = {
        .api_version = json_str_at(object, "apiVersion"),
        .kind = json_str_at(object, "kind"),
        .ns = json_str_at(object, "metadata.namespace"),
        .name = json_str_at(object, "metadata.name"),
    };

    if (!ref.api_version || !ref.kind)
        return error_set(err, ERR_INVALID, "expected 'apiVersion' and 'kind' in the object");
    if (!ref.name || !*ref.name)
        return error_set(err, ERR_INVALID, "expected 'metadata.name' in the %s", ref.kind);
    *ret = ref;
    return 0;
}

static int copy_ref(const struct kube_ref *from, struct kube_wire *wire, struct error *err)
{
    const char *texts[4] = {from->api_version, from->kind, from->ns, from->name};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (!texts[i])
            continue;
        wire->ref_texts[i] = str_dup(str_of(texts[i]));
        if (!wire->ref_texts[i])
            return error_no_memory(err);
    }
    wire->ref = (struct kube_ref){wire->ref_texts[0], wire->ref_texts[1], wire->ref_texts[2],
                                  wire->ref_texts[3]};
    return 0;
}

static void choose_method(const struct kube_request *request, struct kube_wire *wire)
{
    switch (request->verb) {
    case KUBE_GET:
        wire->method = "GET";
        break;
    case KUBE_LIST:
        wire->method = "GET";
        wire->is_collection = true;
        break;
    case KUBE_CREATE:
        wire->method = "POST";
        wire->content_type = "application/json";
        wire->is_collection = true;
        break;
    case KUBE_UPDATE:
        wire->method = "PUT";
        wire->content_type = "application/json";
        break;
    case KUBE_PATCH:
        wire->method = "PATCH";
        wire->content_type = "application/merge-patch+json";
        break;
    case KUBE_APPLY:
        wire->method = "PATCH";
        wire->content_type = "application/apply-patch+yaml"; /* JSON is YAML */
        break;
    case KUBE_DELETE:
        wire->method = "DELETE";
        wire->content_type = "application/json";
        break;
    }
}

static int write_body(const struct kube_request *request, struct kube_wire *wire, struct error *err)
{
    if (request->verb == KUBE_DELETE) {
        buf_add_text(&wire->body, "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\","
                                  "\"propagationPolicy\":\"Background\"}");
        return buf_ok(&wire->body, err);
    }
    if (!wire->content_type)
        return 0;
    if (!request->object)
        return error_set(err, ERR_INTERNAL, "a %s of a %s without a body", wire->method,
                         wire->ref.kind);
    return json_write(request->object, false, &wire->body, err);
}

int kube_wire_make(const struct kube_request *request, struct kube_wire *ret, struct error *err)
{
    CLEANUP(kube_wire) struct kube_wire wire = KUBE_WIRE_INIT;
    struct kube_ref ref = request->ref;

    choose_method(request, &wire);
    if (!ref.kind && (request->verb == KUBE_CREATE || request->verb == KUBE_UPDATE ||
                      request->verb == KUBE_APPLY)) {
        if (kube_ref_of(request->object, &ref, err) < 0)
            return -1;
    }
    if (!ref.api_version || !ref.kind || (!wire.is_collection && (!ref.name || !*ref.name)))
        return error_set(err, ERR_INVALID, "a request needs apiVersion, kind and name");
    if (copy_ref(&ref, &wire, err) < 0 || write_body(request, &wire, err) < 0)
        return -1;
    if (request->subresource) {
        wire.subresource_text = str_dup(str_of(request->subresource));
        if (!wire.subresource_text)
            return error_no_memory(err);
        wire.subresource = wire.subresource_text;
    }
    if (request->manager)
        kube_query_add(&wire.query, "fieldManager", request->manager);
    if (request->force)
        kube_query_add(&wire.query, "force", "true");
    if (request->dry_run)
        kube_query_add(&wire.query, "dryRun", "All");
    if (request->list.label_selector)
        kube_query_add(&wire.query, "labelSelector", request->list.label_selector);
    if (request->list.field_selector)
        kube_query_add(&wire.query, "fieldSelector", request->list.field_selector);
    if (buf_ok(&wire.query, err) < 0)
        return -1;
    *ret = wire;
    wire = (struct kube_wire)KUBE_WIRE_INIT;
    return 0;
}

static void add_segment(struct buf *url, struct str segment)
{
    buf_add_char(url, '/');
    percent_encode(segment, ".-:", url);
}

int kube_wire_url(const struct kube_client *client, const struct kube_wire *wire,
                  const struct kube_resource *resource, const char *extra, struct buf *ret_url,
                  struct error *err)
{
    const char *ns = wire->ref.ns ? wire->ref.ns : client->ns;

    buf_add_text(ret_url, client->server);
    if (*resource->group) {
        buf_add_text(ret_url, "/apis");
        add_segment(ret_url, str_of(resource->group));
    } else {
        buf_add_text(ret_url, "/api");
    }
    add_segment(ret_url, str_of(resource->version));
    if (resource->namespaced && *ns) {
        buf_add_text(ret_url, "/namespaces");
        add_segment(ret_url, str_of(ns));
    } else if (resource->namespaced && !(wire->is_collection && *wire->method == 'G')) {
        return error_set(err, ERR_INVALID, "a %s needs a namespace", resource->kind);
    }
    add_segment(ret_url, str_of(resource->plural));
    if (!wire->is_collection)
        add_segment(ret_url, str_of(wire->ref.name));
    if (wire->subresource)
        add_segment(ret_url, str_of(wire->subresource));
    buf_add_str(ret_url, buf_str(&wire->query));
    if (extra) {
        buf_add_char(ret_url, wire->query.len ? '&' : '?');
        buf_add_text(ret_url, extra);
    }
    return buf_ok(ret_url, err);
}

void kube_wire_done(struct kube_wire *wire)
{
    for (size_t i = 0; i < ARRAY_LEN(wire->ref_texts); i++)
        free(wire->ref_texts[i]);
    free(wire->subresource_text);
    buf_done(&wire->query);
    buf_done(&wire->body);
    *wire = (struct kube_wire)KUBE_WIRE_INIT;
}
