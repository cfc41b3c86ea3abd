/* cluster/control/disruption.c - how many pods of a PodDisruptionBudget may be evicted now.
 * Source: Kubernetes, pkg/controller/disruption. */
#include "base/clock.h"
#include "cluster/control/control_internal.h"

void disruption_on_event(struct control *control, const struct store_event *event)
{
    const struct object *object = event->object;

    if (event->resource->id == RES_PODDISRUPTIONBUDGETS && event->type != STORE_DELETED) {
        control_enqueue(control, QUEUE_BUDGET, object_namespace(object), object_name(object));
    } else if (event->resource->id == RES_PODS || event->resource->id == RES_DEPLOYMENTS) {
        struct object_list budgets =
            api_list(control->api, RES_PODDISRUPTIONBUDGETS, object_namespace(object));
        for (size_t i = 0; i < budgets.count; i++)
            control_enqueue(control, QUEUE_BUDGET, object_namespace(object),
                            object_name(budgets.items[i]));
    }
}

/* Percentages round up, for both fields. */
static int64_t resolve(const json_t *value, int64_t total)
{
    struct str text = str_of(json_string_value(value));
    uint64_t percent;

    if (json_is_integer(value))
        return json_integer_value(value);
    if (text.len && str_to_u64(str_first(text, text.len - 1), &percent) && percent <= 100)
        return (total * (int64_t)percent + 99) / 100;
    return 0;
}

/* Pods as their controllers want them; pods without one count as they are. */
static int64_t expected_pods(struct control *control, const struct object *budget)
{
    const json_t *selector = json_at(object_root(budget), "spec.selector");
    struct object_list pods = api_list(control->api, RES_PODS, object_namespace(budget));
    struct object_list deployments =
        api_list(control->api, RES_DEPLOYMENTS, object_namespace(budget));
    int64_t expected = 0;

    for (size_t i = 0; i < deployments.count; i++) {
        const json_t *template = json_at(object_root(deployments.items[i]), "spec.template");
        if (api_selector_matches(selector, template))
            expected += json_int_at(object_root(deployments.items[i]), "spec.replicas", 1);
    }
    if (expected)
        return expected;
    for (size_t i = 0; i < pods.count; i++)
        expected += pod_is_active(pods.items[i]) &&
                    api_selector_matches(selector, object_root(pods.items[i]));
    return expected;
}

int disruption_reconcile(struct control *control, const char *ns, const char *name,
                         struct error *err)
{
    const struct object *budget = api_get(control->api, RES_PODDISRUPTIONBUDGETS, ns, name);
    struct object_list pods = api_list(control->api, RES_PODS, ns);
    int64_t healthy = 0;

    if (!budget || object_is_deleting(budget))
        return 0;
    const json_t *spec = json_object_get(object_root(budget), "spec");
    for (size_t i = 0; i < pods.count; i++)
        healthy +=
            pod_is_active(pods.items[i]) && pod_is_ready(pods.items[i]) &&
            api_selector_matches(json_object_get(spec, "selector"), object_root(pods.items[i]));
    int64_t expected = expected_pods(control, budget);
    const json_t *least = json_object_get(spec, "minAvailable");
    int64_t desired = least ? resolve(least, expected)
                            : expected - resolve(json_object_get(spec, "maxUnavailable"), expected);
    if (desired < 0)
        desired = 0;
    int64_t allowed = expected > 0 && healthy > desired ? healthy - desired : 0;

    CLEANUP(json) json_t *copy = object_copy(budget);
    json_t *status = json_deep_copy(json_object_get(object_root(budget), "status"));
    if (!status)
        status = json_object();
    if (!copy || json_object_set_new(copy, "status", status) < 0 ||
        json_object_set_new(status, "currentHealthy", json_integer(healthy)) < 0 ||
        json_object_set_new(status, "desiredHealthy", json_integer(desired)) < 0 ||
        json_object_set_new(status, "disruptionsAllowed", json_integer(allowed)) < 0 ||
        json_object_set_new(status, "expectedPods", json_integer(expected)) < 0 ||
        json_object_set_new(
            status, "observedGeneration",
            json_integer(json_int_at(object_root(budget), "metadata.generation", 1))) < 0 ||
        condition_set(status, "DisruptionAllowed", allowed ? "True" : "False",
                      allowed ? "SufficientPods" : "InsufficientPods", "", false, err) < 0)
        return error_no_memory(err);
    if (json_equal(status, json_object_get(object_root(budget), "status")))
        return 0;
    return api_update_status(control->api, RES_PODDISRUPTIONBUDGETS, TAKE(copy), NULL, err);
}
