/* cluster/control/namespace.c - what every namespace has, and emptying one that is being deleted.
 */
#include "cluster/control/control_internal.h"

void namespace_on_event(struct control *control, const struct store_event *event)
{
    const char *ns = object_namespace(event->object);

    if (event->resource->id == RES_NAMESPACES)
        control_enqueue(control, QUEUE_NAMESPACE, "", object_name(event->object));
    else if (ns[0] &&
             event->type == STORE_DELETED) /* perhaps the last one; or one that must come back */
        control_enqueue(control, QUEUE_NAMESPACE, "", ns);
}

static int make_standard_objects(struct control *control, const char *ns, struct error *err)
{
    if (!api_get(control->api, RES_SERVICEACCOUNTS, ns, "default") &&
        api_create(control->api, RES_SERVICEACCOUNTS,
                   json_pack("{s:{s:s,s:s}}", "metadata", "name", "default", "namespace", ns), NULL,
                   err) < 0)
        return -1;
    if (!control->ca_pem[0] || api_get(control->api, RES_CONFIGMAPS, ns, "kube-root-ca.crt"))
        return 0;
    return api_create(control->api, RES_CONFIGMAPS,
                      json_pack("{s:{s:s,s:s},s:{s:s}}", "metadata", "name", "kube-root-ca.crt",
                                "namespace", ns, "data", "ca.crt", control->ca_pem),
                      NULL, err);
}

/* True once nothing is left. Deleting what is being deleted already changes nothing. */
static int empty_namespace(struct control *control, const char *ns, bool *ret_is_empty,
                           struct error *err)
{
    bool is_empty = true;

    for (int id = 0; id < RES_COUNT; id++) {
        const struct resource *res = resource_get((enum resource_id)id);
        CLEANUP(object_set) struct object_set all = {0};
        if (!resource_is_namespaced(res))
            continue;
        if (store_list_copy(api_store(control->api), res, ns, &all, err) < 0)
            return -1;
        for (size_t i = 0; i < all.count; i++) {
            if (object_is_deleting(all.items[i])) {
                is_empty = false;
                continue;
            }
            if (api_delete(control->api, res->id, ns, object_name(all.items[i]), NULL, err) < 0) {
                if (err->kind != ERR_NOT_FOUND)
                    return -1;
                error_clear(err);
            }
            if (api_get(control->api, res->id, ns, object_name(all.items[i])))
                is_empty = false;
        }
    }
    *ret_is_empty = is_empty;
    return 0;
}

int namespace_reconcile(struct control *control, const char *ns, const char *name,
                        struct error *err)
{
    const struct object *found = api_get(control->api, RES_NAMESPACES, "", name);
    bool is_empty = false;

    if (!found)
        return 0;
    if (!object_is_deleting(found))
        return make_standard_objects(control, name, err);
    if (empty_namespace(control, name, &is_empty, err) < 0)
        return -1;
    return is_empty ? api_finalize_namespace(control->api, name, err) : 0;
}
