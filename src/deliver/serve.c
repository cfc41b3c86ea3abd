/* deliver/serve.c - the agent's own registry, pull only, for the clusters that follow this one. */
#include <fcntl.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "deliver/agent_internal.h"
#include "oci/registry_server.h"
#include "wire/http_server.h"

enum { SERVE_TOKENS_MAX = 64, SERVE_RELOAD_MS = 1000, SERVE_BODY_MAX = 4096 };

struct serve {
    struct agent *agent;
    struct registry *registry; /* owned */
    struct http_server *server;
    struct secret tokens[SERVE_TOKENS_MAX];
    size_t token_count;
    int64_t loaded_ms;
};

static void drop_tokens(struct serve *serve)
{
    for (size_t i = 0; i < serve->token_count; i++)
        secret_done(&serve->tokens[i]);
    serve->token_count = 0;
}

/* HOME/agents/CLUSTER/tokens: one file a follower. */
static void load_tokens(struct serve *serve)
{
    CLEANUP(text) char *dir = fs_join(serve->agent->dir, "tokens");
    CLEANUP(strv) struct strv names = STRV_INIT;
    struct error err = ERROR_INIT;

    drop_tokens(serve);
    serve->loaded_ms = clock_monotonic_ms();
    if (!dir || fs_list(AT_FDCWD, dir, &names, &err) < 0) {
        log_warn("cannot read the tokens of followers; they are refused", log_err(&err));
        return;
    }
    for (size_t i = 0; i < names.count && serve->token_count < SERVE_TOKENS_MAX; i++) {
        CLEANUP(text) char *path = fs_join(dir, names.items[i]);
        if (path && secret_read(&serve->tokens[serve->token_count], AT_FDCWD, path, &err) == 0)
            serve->token_count++;
    }
}

static bool token_is_known(const struct serve *serve, const struct http_request *req)
{
    for (size_t i = 0; i < serve->token_count; i++) {
        struct str token = secret_str(&serve->tokens[i]);
        if (token.len > 0 && registry_token_matches(req, token))
            return true;
    }
    return false;
}

/* A token that was added since is found, but the folder is not read for every stranger. */
static int may_pull(const struct http_request *req, const char *repository, void *ctx)
{
    struct serve *serve = ctx;

    if (token_is_known(serve, req))
        return 0;
    if (clock_monotonic_ms() - serve->loaded_ms > SERVE_RELOAD_MS) {
        load_tokens(serve);
        if (token_is_known(serve, req))
            return 0;
    }
    return 401;
}

static void handle(struct http_request *req, void *ctx)
{
    struct serve *serve = ctx;

    if (!registry_handle(serve->registry, req))
        http_respond(req, 404, NULL, STR("this is a registry: ask under /v2/\n"));
}

static int start(struct serve *serve, const char *address, struct error *err)
{
    struct agent *agent = serve->agent;
    CLEANUP(buf) struct buf cert = BUF_INIT(1 << 20);
    CLEANUP(buf) struct buf key = BUF_INIT(1 << 20);
    struct registry_options options = {.layout_path = agent->site.registry,
                                       .may_pull = may_pull,
                                       .ctx = serve,
                                       .realm = "monban agent",
                                       .sync = true};
    uint16_t port = 0;
    int fd = -1;

    if (site_read(&agent->site, "pki/server.pem", &cert, err) < 0 ||
        site_read(&agent->site, "pki/server.key", &key, err) < 0 ||
        registry_new(agent->loop, &options, &serve->registry, err) < 0 ||
        io_listen_tcp(address, DELIVER_REGISTRY_PORT, -1, &fd, &port, err) < 0)
        return error_wrap(err, "serving the registry of '%s'", agent->site.cluster);
    struct http_server_options server = {.listen_fd = fd,
                                         .cert_pem = buf_text(&cert),
                                         .key_pem = buf_text(&key),
                                         .body_max = SERVE_BODY_MAX};
    int result = http_server_new(agent->loop, &server, handle, serve, &serve->server, err);
    explicit_bzero(key.ptr, key.len);
    return result;
}

int serve_start(struct agent *agent, const char *address, struct serve **ret, struct error *err)
{
    struct serve *serve = calloc(1, sizeof *serve);

    if (!serve)
        return error_no_memory(err);
    serve->agent = agent;
    load_tokens(serve);
    if (start(serve, address, err) < 0) {
        serve_stop(serve);
        return -1;
    }
    *ret = serve;
    return 0;
}

void serve_stop(struct serve *serve)
{
    if (!serve)
        return;
    registry_free(serve->registry); /* first: its open long polls are answered through the server */
    http_server_free(serve->server);
    drop_tokens(serve);
    free(serve);
}
