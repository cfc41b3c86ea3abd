/* cluster/api/evict.c - pods/eviction: a deletion that PodDisruptionBudgets may refuse for now. */
#include "cluster/api/server_internal.h"

static const struct object *find_budget(struct request *rq, const struct object *pod)
{
    struct object_list budgets = api_list(rq->api, RES_PODDISRUPTIONBUDGETS, object_namespace(pod));

    for (size_t i = 0; i < budgets.count; i++) {
        if (api_selector_matches(json_at(object_root(budgets.items[i]), "spec.selector"),
                                 object_root(pod)))
            return budgets.items[i];
    }
    return NULL;
}

static bool pod_is_ready(const json_t *pod)
{
    const json_t *conditions = json_at(pod, "status.conditions");

    for (size_t i = 0; i < json_array_size(conditions); i++) {
        const json_t *condition = json_array_get(conditions, i);
        const char *type = json_str_at(condition, "type"), *is = json_str_at(condition, "status");
        if (type && is && strcmp(type, "Ready") == 0)
            return strcmp(is, "True") == 0;
    }
    return false;
}

/* Takes one disruption off the budget, so that two evictions at once do not both pass. */
static int use_budget(struct request *rq, const struct object *budget, const struct object *pod,
                      struct status *status)
{
    int64_t allowed = json_int_at(object_root(budget), "status.disruptionsAllowed", 0);
    struct error err = ERROR_INIT;

    if (!pod_is_ready(object_root(pod)))
        return 0; /* it does not count as available now */
    if (allowed <= 0) {
        (void)status_set(status, 429, "TooManyRequests",
                         "Cannot evict pod as it would violate the pod's disruption budget.");
        CLEANUP(text)
        char *message =
            str_format("The disruption budget %s needs %lld healthy pods and has %lld currently",
                       object_name(budget),
                       (long long)json_int_at(object_root(budget), "status.desiredHealthy", 0),
                       (long long)json_int_at(object_root(budget), "status.currentHealthy", 0));
        status->details = json_pack("{s:[{s:s, s:s}]}", "causes", "reason", "DisruptionBudget",
                                    "message", message ? message : "");
        return -1;
    }
    CLEANUP(json)
    json_t *patch =
        json_pack("{s:{s:I}}", "status", "disruptionsAllowed", (json_int_t)(allowed - 1));
    if (api_merge_patch(rq->api, RES_PODDISRUPTIONBUDGETS, object_namespace(budget),
                        object_name(budget), true, patch, NULL, &err) < 0)
        return status_from_error(status, &err);
    return 0;
}

static int evict(struct request *rq, const json_t *body, struct status *status)
{
    CLEANUP(object) struct object *gone = NULL;
    struct verb v;
    struct delete_request request = {.grace_s =
                                         json_int_at(body, "deleteOptions.gracePeriodSeconds", -1),
                                     .uid = json_str_at(body, "deleteOptions.preconditions.uid")};
    bool is_gone;

    if (request_verb(rq, &v, status) < 0)
        return -1;
    const struct object *pod = verb_find(&v, status);
    if (!pod)
        return -1;
    const struct object *budget = find_budget(rq, pod);
    if (json_array_size(json_at(body, "deleteOptions.dryRun")) > 0)
        v.dry_run = true;
    if (budget && !v.dry_run && use_budget(rq, budget, pod, status) < 0)
        return -1;
    rq->has_written = !v.dry_run;
    return verb_delete(&v, &request, &gone, &is_gone, status);
}

void evict_handle(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    CLEANUP(json) json_t *body = NULL;

    if (request_body(rq, &body, &status) < 0 || evict(rq, body, &status) < 0)
        answer_status(rq, &status);
    else
        answer_json(rq, 201,
                    json_pack("{s:s, s:s, s:{}, s:s, s:i}", "kind", "Status", "apiVersion", "v1",
                              "metadata", "status", "Success", "code", 201));
}
