/* cluster/api/server.c - the listeners, and which function answers which request. */
#include "cluster/api/server_internal.h"

#include "base/io.h"

/* --- which verbs a path has --- */

struct method_entry {
    const char *method;
    void (*handle)(struct request *rq);
};

static const struct method_entry OBJECT_METHODS[] = {
    {"GET", read_get},        {"PUT", write_update}, {"PATCH", write_patch},
    {"DELETE", write_delete}, {"HEAD", read_get},    {NULL, NULL}};
static const struct method_entry STATUS_METHODS[] = {
    {"GET", read_get}, {"PUT", write_update}, {"PATCH", write_patch}, {NULL, NULL}};
static const struct method_entry SCALE_METHODS[] = {
    {"GET", scale_handle}, {"PUT", scale_handle}, {"PATCH", scale_handle}, {NULL, NULL}};
static const struct method_entry EVICT_METHODS[] = {{"POST", evict_handle}, {NULL, NULL}};
static const struct method_entry LOG_METHODS[] = {{"GET", pod_log_handle}, {NULL, NULL}};
static const struct method_entry COLLECTION_METHODS[] = {
    {"POST", write_create}, {"DELETE", write_delete_collection}, {NULL, NULL}};

static void answer_no_method(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    (void)status_set(&status, 405, "MethodNotAllowed",
                     "the server does not allow this method on the requested resource");
    answer_status(rq, &status);
}

/* Word for it, instead of a NotFound that sends people looking for a typing error. */
static void answer_not_served(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    (void)status_set(&status, 405, "MethodNotAllowed", "an embedded cluster does not serve pods/%s",
                     rq->route.subresource);
    answer_status(rq, &status);
}

static void run_method(struct request *rq, const struct method_entry *methods)
{
    const char *method = http_request_method(rq->http);

    for (; methods->method; methods++) {
        if (strcmp(method, methods->method) == 0) {
            methods->handle(rq);
            return;
        }
    }
    answer_no_method(rq);
}

static void handle_collection(struct request *rq)
{
    bool is_get = strcmp(http_request_method(rq->http), "GET") == 0;

    if (is_get && request_flag(rq, "watch"))
        watch_start(rq);
    else if (is_get)
        read_list(rq);
    else if (resource_is_namespaced(rq->res) && !*rq->route.namespace_name)
        answer_no_method(rq); /* over all namespaces one can only read */
    else
        run_method(rq, COLLECTION_METHODS);
}

static void handle_subresource(struct request *rq)
{
    const char *sub = rq->route.subresource;
    bool is_pod = rq->res->id == RES_PODS;

    if (strcmp(sub, "status") == 0 && (rq->res->flags & RESOURCE_HAS_STATUS))
        run_method(rq, STATUS_METHODS);
    else if (strcmp(sub, "scale") == 0 && (rq->res->flags & RESOURCE_HAS_SCALE))
        run_method(rq, SCALE_METHODS);
    else if (strcmp(sub, "eviction") == 0 && is_pod)
        run_method(rq, EVICT_METHODS);
    else if (strcmp(sub, "log") == 0 && is_pod)
        run_method(rq, LOG_METHODS);
    else if (is_pod && (strcmp(sub, "exec") == 0 || strcmp(sub, "attach") == 0 ||
                        strcmp(sub, "portforward") == 0))
        answer_not_served(rq);
    else
        answer_not_found(rq);
}

static void handle_resource(struct request *rq)
{
    const struct route *route = &rq->route;

    if (review_is_path(route)) {
        review_handle(rq);
        return;
    }
    rq->res = resource_find(route->group, route->version, route->plural);
    (void)snprintf(rq->api_version, sizeof(rq->api_version), "%s%s%s", route->group,
                   *route->group ? "/" : "", route->version);
    bool names_namespace = *route->namespace_name != '\0';
    bool needs_namespace = rq->res && resource_is_namespaced(rq->res);
    if (!rq->res || (names_namespace && !needs_namespace) ||
        (needs_namespace && !names_namespace && *route->name))
        answer_not_found(rq);
    else if (!*route->name)
        handle_collection(rq);
    else if (*route->subresource)
        handle_subresource(rq);
    else
        run_method(rq, OBJECT_METHODS);
}

/* --- who may --- */

static bool is_open_path(const struct route *route)
{
    return route->kind == ROUTE_HEALTH || route->kind == ROUTE_INFO;
}

static bool admit(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;

    if (is_open_path(&rq->route))
        return true;
    auth_identify(rq);
    if (!rq->is_known) {
        (void)status_set(&status, 401, "Unauthorized", "Unauthorized");
    } else if (!auth_is_allowed(rq)) {
        (void)status_set(
            &status, 403, "Forbidden",
            "%s is forbidden: User \"%s\" cannot use resource \"%s\" in API group \"%s\"",
            *rq->route.plural ? rq->route.plural : "request", rq->user, rq->route.plural,
            rq->route.group);
    } else {
        return true;
    }
    answer_status(rq, &status);
    return false;
}

/* The listener may take more, for the registry's sake. */
static void answer_too_large(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    (void)status_set(&status, 413, "RequestEntityTooLarge", "Request entity too large: limit is %d",
                     SERVER_BODY_MAX);
    answer_status(rq, &status);
}

static void handle(struct request *rq)
{
    switch (rq->route.kind) {
    case ROUTE_RESOURCE:
        answer_read_accept(rq);
        if (http_request_body(rq->http).len > SERVER_BODY_MAX)
            answer_too_large(rq);
        else
            handle_resource(rq);
        break;
    case ROUTE_OPENAPI_V2:
    case ROUTE_OPENAPI_V3:
    case ROUTE_OPENAPI_V3_PART:
        openapi_handle(rq);
        break;
    case ROUTE_REGISTRY:
        if (rq->server->registry)
            rq->server->registry(rq->http, rq->server->registry_ctx);
        else
            answer_not_found(rq);
        break;
    case ROUTE_NONE:
        answer_not_found(rq);
        break;
    default:
        discovery_handle(rq);
        break;
    }
}

static void server_on_request(struct http_request *http, void *ctx)
{
    struct api_server *server = ctx;
    struct request rq = {.server = server, .api = server->api, .http = http};
    struct error err = ERROR_INIT;

    if (route_parse(http_request_raw_path(http), &rq.route, &err) < 0)
        answer_error(&rq, &err);
    else if (admit(&rq))
        handle(&rq);
    route_done(&rq.route);
    strv_done(&rq.groups);
    strv_done(&rq.warnings);
}

/* --- life --- */

static int server_listen(struct api_server *server, const struct api_server_options *options,
                         struct error *err)
{
    for (size_t i = 0; i < options->listen_fds_count; i++) {
        struct http_server_options http = {.listen_fd = options->listen_fds[i],
                                           .cert_pem = options->cert_pem,
                                           .key_pem = options->key_pem,
                                           .client_ca_pem = options->client_ca_pem,
                                           .body_max = options->body_max ? options->body_max
                                                                         : SERVER_BODY_MAX,
                                           .connection_timeout_s = 300};
        if (http_server_new(server->loop, &http, server_on_request, server, &server->listeners[i],
                            err) < 0) {
            for (i++; i < options->listen_fds_count; i++) { /* taken over, too */
                int fd = options->listen_fds[i];
                io_close(&fd);
            }
            return -1;
        }
    }
    return 0;
}

int api_server_new(const struct api_server_options *options, struct api_server **ret,
                   struct error *err)
{
    CLEANUP(api_server) struct api_server *server = calloc(1, sizeof(*server));

    if (!server)
        return error_no_memory(err);
    if (options->listen_fds_count > SERVER_LISTENERS_MAX)
        return error_set(err, ERR_LIMIT, "at most %d listeners", SERVER_LISTENERS_MAX);
    server->loop = options->loop;
    server->api = options->api;
    server->registry = options->registry;
    server->registry_ctx = options->registry_ctx;
    if (options->tokens_path && !(server->tokens_path = str_dup(str_of(options->tokens_path))))
        return error_no_memory(err);
    if (server_listen(server, options, err) < 0)
        return error_wrap(err, "starting the API server");
    *ret = TAKE(server);
    return 0;
}

void api_server_free(struct api_server *server)
{
    if (!server)
        return;
    watch_end_all(server);
    pod_log_end_all(server);
    answers_forget(server);
    for (size_t i = 0; i < SERVER_LISTENERS_MAX; i++)
        http_server_free(server->listeners[i]);
    auth_done(server);
    free(server->tokens_path);
    free(server);
}
