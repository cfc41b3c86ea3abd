/* cluster/api/review.c - `kubectl auth can-i` and `whoami`: questions about the one who asks. */
#include "cluster/api/server_internal.h"

static bool is_review(const struct route *route, const char *group, const char *plural)
{
    return strcmp(route->group, group) == 0 && strcmp(route->plural, plural) == 0 && !*route->name;
}

bool review_is_path(const struct route *route)
{
    return is_review(route, "authorization.k8s.io", "selfsubjectaccessreviews") ||
           is_review(route, "authorization.k8s.io", "selfsubjectrulesreviews") ||
           is_review(route, "authentication.k8s.io", "selfsubjectreviews");
}

/* Who has come this far may do everything (see server.h). */
static json_t *review_status(const struct request *rq)
{
    if (strcmp(rq->route.plural, "selfsubjectaccessreviews") == 0)
        return json_pack("{s:b, s:s}", "allowed", 1, "reason", "administrators may do all");
    if (strcmp(rq->route.plural, "selfsubjectrulesreviews") == 0)
        return json_pack("{s:[{s:[s], s:[s], s:[s]}], s:[{s:[s], s:[s]}], s:b}", "resourceRules",
                         "verbs", "*", "apiGroups", "*", "resources", "*", "nonResourceRules",
                         "verbs", "*", "nonResourceURLs", "*", "incomplete", 0);
    json_t *groups = json_array();
    for (size_t i = 0; i < rq->groups.count; i++)
        (void)json_array_append_new(groups, json_string(rq->groups.items[i]));
    return json_pack("{s:{s:s, s:o}}", "userInfo", "username", rq->user, "groups", groups);
}

void review_handle(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    json_t *body = NULL;

    if (strcmp(http_request_method(rq->http), "POST") != 0) {
        (void)status_set(&status, 405, "MethodNotAllowed",
                         "the server does not allow this method on the requested resource");
        answer_status(rq, &status);
    } else if (request_body(rq, &body, &status) < 0) {
        answer_status(rq, &status);
    } else {
        (void)json_object_set_new(body, "status", review_status(rq));
        answer_json(rq, 201, body);
    }
}
