/* cluster/api/read.c - get and list. */
#include "cluster/api/server_internal.h"

void read_get(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    const struct object *object =
        store_get(rq->api->store, rq->res, rq->route.namespace_name, rq->route.name);

    if (object) {
        answer_object(rq, 200, object);
        return;
    }
    (void)status_not_found(&status, rq->res, rq->route.name);
    answer_status(rq, &status);
}

/* A revision that has not been given out yet: the client waits for a future that a crash took away.
 */
static int check_revision(const struct request *rq, struct status *status)
{
    const char *text = http_request_query(rq->http, "resourceVersion");
    const char *match = http_request_query(rq->http, "resourceVersionMatch");
    int64_t revision, now = store_revision(rq->api->store);

    if (!text || !*text)
        return 0;
    if (!str_to_i64(str_of(text), &revision) || revision < 0)
        return status_bad_request(status, "invalid resource version: \"%s\"", text);
    if (revision > now) {
        (void)status_set(status, 504, "Timeout", "Too large resource version: %lld, current: %lld",
                         (long long)revision, (long long)now);
        status->details =
            json_pack("{s:[{s:s, s:s}], s:i}", "causes", "reason", "ResourceVersionTooLarge",
                      "message", "Too large resource version", "retryAfterSeconds", 1);
        return -1;
    }
    if (match && strcmp(match, "Exact") == 0 && revision != 0 && revision != now)
        return status_set(status, 410, "Expired",
                          "The provided resource version %lld is too old (only the newest is kept)",
                          (long long)revision);
    return 0;
}

void read_list(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    CLEANUP(filter) struct filter filter = FILTER_INIT;
    const char *namespace_name = *rq->route.namespace_name ? rq->route.namespace_name : NULL;
    struct object_list list = store_list(rq->api->store, rq->res, namespace_name);

    if (request_filter(rq, &filter, &status) < 0 || check_revision(rq, &status) < 0) {
        answer_status(rq, &status);
        return;
    }
    if (filter.labels.count == 0 && filter.fields.count == 0) {
        answer_list(rq, list.items, list.count, store_revision(rq->api->store));
        return;
    }
    struct object **found = calloc(list.count + 1, sizeof(struct object *));
    size_t count = 0;
    for (size_t i = 0; found && i < list.count; i++) {
        if (filter_matches(&filter, list.items[i]))
            found[count++] = list.items[i];
    }
    if (found)
        answer_list(rq, found, count, store_revision(rq->api->store));
    else
        answer_text(rq, 500, "text/plain", STR("out of memory"));
    free(found);
}
