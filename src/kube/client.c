/* kube/client.c - the blocking calls: one request, one answer, a deadline. */
#include "kube/kube_internal.h"

/* tls-server-name: the certificate is checked for that name, the address stays the server's. */
static int split_server(const struct kube_config *config, struct kube_client *client,
                        char **ret_resolve, struct error *err)
{
    struct str rest = str_of(config->server);
    ptrdiff_t scheme = str_find_text(rest, STR("://"));

    if (!config->tls_server_name) {
        client->server = str_dup(rest);
        return client->server ? 0 : error_no_memory(err);
    }
    rest = str_skip(rest, (size_t)scheme + 3);
    struct str authority = str_cut(&rest, '/');
    ptrdiff_t colon = str_find_last(authority, ':');
    struct str host = colon < 0 ? authority : str_first(authority, (size_t)colon);
    struct str port = colon < 0 ? STR("443") : str_skip(authority, (size_t)colon + 1);
    client->server = str_format("https://%s:%.*s", config->tls_server_name, STR_ARG(port));
    *ret_resolve =
        str_format("%s:%.*s:%.*s", config->tls_server_name, STR_ARG(port), STR_ARG(host));
    return client->server && *ret_resolve ? 0 : error_no_memory(err);
}

int kube_client_new(const struct kube_config *config, struct kube_client **ret, struct error *err)
{
    CLEANUP(kube_client) struct kube_client *client = calloc(1, sizeof *client);
    CLEANUP(text) char *resolve = NULL;

    if (!client)
        return error_no_memory(err);
    if (kube_config_copy(config, &client->config, err) < 0 ||
        split_server(config, client, &resolve, err) < 0)
        return -1;
    client->ns = str_dup(str_of(config->ns ? config->ns : "default"));
    if (!client->ns)
        return error_no_memory(err);
    struct http_client_options options = {
        .ca_pem = config->ca_pem,
        .client_cert_pem = config->client_cert_pem,
        .client_key_pem = config->client_key_pem.ptr,
        .bearer_token = config->token.ptr,
        .resolve_to = resolve,
        .insecure = config->insecure,
    };
    if (http_client_new(&options, &client->http, err) < 0)
        return error_wrap(err, "connecting to '%s'", config->server);
    *ret = TAKE(client);
    return 0;
}

int kube_client_open(const char *path, const char *context, struct kube_client **ret,
                     struct error *err)
{
    CLEANUP(kube_config) struct kube_config config = KUBE_CONFIG_INIT;

    if (kube_config_load(path, context, &config, err) < 0)
        return -1;
    return kube_client_new(&config, ret, err);
}

const char *kube_client_server(const struct kube_client *client)
{
    return client->server;
}

const char *kube_client_namespace(const struct kube_client *client)
{
    return client->ns;
}

struct http_client *kube_client_http(struct kube_client *client)
{
    return client->http;
}

static int call_wire(struct kube_client *client, const struct kube_wire *wire, int timeout_ms,
                     json_t **ret, struct error *err)
{
    CLEANUP(buf) struct buf url = BUF_INIT(16384);
    CLEANUP(buf) struct buf content_type = BUF_INIT(256);
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    const struct kube_resource *resource = NULL;

    if (kube_resource_find(client, wire->ref.api_version, wire->ref.kind, &resource, err) < 0 ||
        kube_wire_url(client, wire, resource, NULL, &url, err) < 0)
        return -1;
    buf_addf(&content_type, "Content-Type: %s", wire->content_type ? wire->content_type : "");
    if (buf_ok(&content_type, err) < 0)
        return -1;
    const char *headers[] = {"Accept: application/json",
                             wire->content_type ? buf_text(&content_type) : NULL, NULL};
    struct http_call call = {
        .method = wire->method,
        .url = buf_text(&url),
        .headers = headers,
        .body = wire->content_type ? buf_str(&wire->body) : STR_NONE,
        .timeout_ms = timeout_ms ? timeout_ms : KUBE_TIMEOUT_MS,
        .answer_max = KUBE_ANSWER_MAX,
        .no_redirects = true,
    };
    if (http_client_call(client->http, &call, &answer, err) < 0)
        return error_wrap(err, "asking '%s'", client->server);
    if (answer.status >= 300)
        return kube_status_error(answer.status, buf_str(&answer.body), err);
    return ret ? kube_answer_parse(buf_str(&answer.body), ret, err) : 0;
}

static int call_request(struct kube_client *client, const struct kube_request *request,
                        json_t **ret, struct error *err)
{
    CLEANUP(kube_wire) struct kube_wire wire = KUBE_WIRE_INIT;

    if (kube_wire_make(request, &wire, err) < 0)
        return -1;
    return call_wire(client, &wire, request->timeout_ms, ret, err);
}

int kube_get(struct kube_client *client, const struct kube_ref *ref, json_t **ret,
             struct error *err)
{
    struct kube_request request = {.verb = KUBE_GET, .ref = *ref};
    return call_request(client, &request, ret, err);
}

int kube_list(struct kube_client *client, const struct kube_ref *ref,
              const struct kube_list_options *options, json_t **ret, struct error *err)
{
    struct kube_request request = {.verb = KUBE_LIST, .ref = *ref};
    if (options)
        request.list = *options;
    return call_request(client, &request, ret, err);
}

int kube_create(struct kube_client *client, const json_t *object, json_t **ret, struct error *err)
{
    struct kube_request request = {.verb = KUBE_CREATE, .object = object};
    return call_request(client, &request, ret, err);
}

int kube_update(struct kube_client *client, const json_t *object, json_t **ret, struct error *err)
{
    struct kube_request request = {.verb = KUBE_UPDATE, .object = object};
    return call_request(client, &request, ret, err);
}

int kube_patch(struct kube_client *client, const struct kube_ref *ref, const char *subresource,
               const json_t *patch, json_t **ret, struct error *err)
{
    struct kube_request request = {
        .verb = KUBE_PATCH, .ref = *ref, .object = patch, .subresource = subresource};
    return call_request(client, &request, ret, err);
}

int kube_apply(struct kube_client *client, const json_t *object,
               const struct kube_apply_options *options, json_t **ret, struct error *err)
{
    struct kube_request request = {.verb = KUBE_APPLY,
                                   .object = object,
                                   .manager = options->manager,
                                   .force = options->force,
                                   .dry_run = options->dry_run};
    return call_request(client, &request, ret, err);
}

int kube_delete_start(struct kube_client *client, const struct kube_ref *ref, struct error *err)
{
    struct kube_request request = {.verb = KUBE_DELETE, .ref = *ref};
    return call_request(client, &request, NULL, err);
}

static const json_t *pick_port(const json_t *service, const char *port)
{
    const json_t *ports = json_at(service, "spec.ports");
    size_t i;
    const json_t *item;

    json_array_foreach(ports, i, item)
    {
        char number[24];
        (void)snprintf(number, sizeof number, "%lld", (long long)json_int_at(item, "port", 0));
        const char *name = json_str_at(item, "name");
        if (!port || strcmp(number, port) == 0 || (name && strcmp(name, port) == 0))
            return item;
    }
    return NULL;
}

int kube_service_address(struct kube_client *client, const char *ns, const char *name,
                         const char *port, struct kube_address *ret, struct error *err)
{
    CLEANUP(json) json_t *service = NULL;
    struct kube_ref ref = {"v1", "Service", ns, name};

    if (kube_get(client, &ref, &service, err) < 0)
        return -1;
    const json_t *found = pick_port(service, port);
    if (!found)
        return error_set(err, ERR_NOT_FOUND, "service '%s' has no port '%s'", name,
                         port ? port : "");
    struct kube_address out = {0};
    const char *ip = json_str_at(service, "spec.clusterIP");
    (void)snprintf(out.host, sizeof out.host, "%s", ip && strcmp(ip, "None") != 0 ? ip : "");
    out.port = (uint16_t)json_int_at(found, "port", 0);
    out.node_port = (uint16_t)json_int_at(found, "nodePort", 0);
    *ret = out;
    return 0;
}
