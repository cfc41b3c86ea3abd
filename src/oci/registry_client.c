/* oci/registry_client.c - calls of a registry client: credentials, tokens, new attempts; and the
 * small reads. */
#include "oci/registry_client_internal.h"

#include <poll.h>
#include <strings.h>
#include <unistd.h>

#include "base/encode.h"
#include "oci/registry_auth.h"

enum {
    CALL_TIMEOUT_MS = 60000,
    WAIT_SLACK_MS = 30000, /* beyond a long poll's own time */
    PAUSE_FIRST_MS = 200,  /* doubled at each attempt */
    PAUSE_MAX_MS = 10000,
    TOKEN_ANSWER_MAX = 1 << 20,
    LIST_MAX = 64 << 20,
    TAG_PAGES_MAX = 10000,
};

static const char accept_all[] =
    "Accept: " OCI_MANIFEST ", " OCI_INDEX ", " DOCKER_MANIFEST ", " DOCKER_INDEX ", */*;q=0.1";

static char *basic_header(const char *user, const char *password)
{
    CLEANUP(text) char *pair = str_format("%s:%s", user, password ? password : "");
    CLEANUP(buf) struct buf out = BUF_INIT(64 << 10);

    if (!pair)
        return NULL;
    buf_add_text(&out, "Authorization: Basic ");
    base64_encode(str_of(pair), &out);
    return buf_take(&out);
}

int registry_client_new(const struct registry_client_options *o, struct registry_client **ret,
                        struct error *err)
{
    CLEANUP(registry_client) struct registry_client *c = calloc(1, sizeof(*c));
    struct http_client_options http = {.ca_pem = o->ca_pem,
                                       .client_cert_pem = o->client_cert_pem,
                                       .client_key_pem = o->client_key_pem,
                                       .resolve_to = o->resolve_to,
                                       .use_environment_proxy = false};

    if (!c)
        return error_no_memory(err);
    if (!reference_is_host(str_of(o->host ? o->host : "")))
        return error_set(err, ERR_INVALID, "'%s' is no registry host", o->host ? o->host : "");
    c->attempts = o->attempts > 0 ? o->attempts : REGISTRY_ATTEMPTS_DEFAULT;
    c->blob_max = o->blob_max ? o->blob_max : (uint64_t)16 << 30;
    c->host = str_dup(str_of(o->host));
    c->base_url = o->base_url ? str_dup(str_trim_end(str_of(o->base_url), '/'))
                              : str_format("https://%s", o->host);
    c->bearer = o->bearer_token ? str_format("Authorization: Bearer %s", o->bearer_token) : NULL;
    c->basic = o->user ? basic_header(o->user, o->password) : NULL;
    if (!c->host || !c->base_url || (o->bearer_token && !c->bearer) || (o->user && !c->basic))
        return error_no_memory(err);
    if (http_client_new(&http, &c->http, err) < 0)
        return -1;
    *ret = TAKE(c);
    return 0;
}

void registry_client_free(struct registry_client *c)
{
    if (!c)
        return;
    while (c->tokens) {
        struct registry_token *token = c->tokens;
        c->tokens = token->next;
        free(token->repository);
        free(token->authorization);
        free(token);
    }
    http_client_free(c->http);
    free(c->host);
    free(c->base_url);
    free(c->bearer);
    free(c->basic);
    free(c);
}

char *registry_path(const char *repository, const char *kind, const char *last)
{
    return str_format("/v2/%s/%s/%s", repository, kind, last);
}

void registry_digest_tag(const struct digest *digest, const char *suffix,
                         char out[REFERENCE_TAG_MAX + 1])
{
    snprintf(out, REFERENCE_TAG_MAX + 1, "sha256-%s%s", digest_hex(digest), suffix);
}

/* --- errors --- */

int registry_status_error(const struct registry_client *c, const char *what,
                          const struct http_answer *answer, struct error *err)
{
    static const struct {
        int status;
        enum error_kind kind;
    } table[] = {{401, ERR_DENIED},      {403, ERR_DENIED}, {404, ERR_NOT_FOUND},
                 {405, ERR_UNSUPPORTED}, {413, ERR_LIMIT},  {429, ERR_UNAVAILABLE},
                 {507, ERR_LIMIT}};
    CLEANUP(json) json_t *root = NULL;
    struct error ignored = ERROR_INIT; /* a body that is no JSON has nothing to add */
    enum error_kind kind = answer->status >= 500 ? ERR_UNAVAILABLE : ERR_INVALID;
    const char *code = NULL, *message = NULL;

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].status == answer->status)
            kind = table[i].kind;
    if (json_parse("answer", buf_str(&answer->body), &root, &ignored) == 0) {
        code = json_str_at(root, "errors[0].code");
        message = json_str_at(root, "errors[0].message");
    }
    return error_set(err, kind, "registry '%s' answered %d to %s%s%s%s%.500s", c->host,
                     answer->status, what, code ? ": " : "", code ? code : "", message ? ": " : "",
                     message ? message : "");
}

/* --- credentials --- */

static const char *token_for(const struct registry_client *c, const struct registry_http *call)
{
    for (const struct registry_token *t = c->tokens; t; t = t->next)
        if (t->push == call->push && strcmp(t->repository, call->repository) == 0)
            return t->authorization;
    return NULL;
}

static const char *authorization(const struct registry_client *c, const struct registry_http *call)
{
    const char *token = token_for(c, call);

    if (token)
        return token;
    if (c->bearer)
        return c->bearer;
    return c->basic_wanted ? c->basic : NULL;
}

static int keep_token(struct registry_client *c, const struct registry_http *call,
                      const char *token, struct error *err)
{
    CLEANUP(text) char *header = str_format("Authorization: Bearer %s", token);
    CLEANUP(text) char *repository = str_dup(str_of(call->repository));
    struct registry_token *t;

    if (!header || !repository)
        return error_no_memory(err);
    for (t = c->tokens; t; t = t->next) {
        if (t->push == call->push && strcmp(t->repository, call->repository) == 0) {
            free(t->authorization);
            t->authorization = TAKE(header);
            return 0;
        }
    }
    t = calloc(1, sizeof(*t));
    if (!t)
        return error_no_memory(err);
    *t = (struct registry_token){c->tokens, TAKE(repository), TAKE(header), call->push};
    c->tokens = t;
    return 0;
}

static int fetch_token(struct registry_client *c, const struct registry_http *call,
                       const struct registry_challenge *challenge, struct error *err)
{
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    CLEANUP(json) json_t *root = NULL;
    CLEANUP(text) char *url = NULL;
    const char *headers[] = {c->basic, NULL};

    if (registry_challenge_url(challenge, &url, err) < 0)
        return -1;
    if (str_starts(str_of(c->base_url), STR("https:")) && !str_starts(str_of(url), STR("https:")))
        return error_set(err, ERR_DENIED, "registry '%s' asks for credentials without TLS",
                         c->host);
    struct http_call http = {.url = url,
                             .headers = headers,
                             .timeout_ms = CALL_TIMEOUT_MS,
                             .answer_max = TOKEN_ANSWER_MAX};
    if (http_client_call(c->http, &http, &answer, err) < 0)
        return error_wrap(err, "asking for a token");
    if (answer.status != 200)
        return registry_status_error(c, "the request for a token", &answer, err);
    if (json_parse("token", buf_str(&answer.body), &root, err) < 0)
        return -1;
    const char *token = json_str_at(root, "token");
    if (!token || !token[0])
        token = json_str_at(root, "access_token");
    if (!token || strpbrk(token, "\r\n"))
        return error_set(err, ERR_INVALID, "registry '%s': the token server gave no token",
                         c->host);
    return keep_token(c, call, token, err);
}

/* After a 401: credentials for the next attempt; DENIED if there is nothing new to try. */
static int answer_challenge(struct registry_client *c, const struct registry_http *call,
                            const struct http_answer *answer, const char *what, struct error *err)
{
    CLEANUP(registry_challenge) struct registry_challenge challenge = {0};
    const char *header = http_answer_header(answer, "www-authenticate");

    if (registry_challenge_parse(str_of(header ? header : ""), &challenge, err) < 0)
        return -1;
    if (challenge.scheme == CHALLENGE_BEARER && challenge.realm[0])
        return fetch_token(c, call, &challenge, err);
    if (challenge.scheme == CHALLENGE_BASIC && c->basic && !c->basic_wanted) {
        c->basic_wanted = true;
        return 0;
    }
    return registry_status_error(c, what, answer, err);
}

/* --- calls --- */

/* Credentials go to the registry itself only, not to the storage that an upload URL may name. */
static bool is_own_url(const struct registry_client *c, const char *url)
{
    size_t len = strlen(c->base_url);
    return strncmp(url, c->base_url, len) == 0 && (url[len] == '/' || url[len] == '\0');
}

static int send_once(struct registry_client *c, const struct registry_http *call, const char *url,
                     struct http_answer *answer, struct error *err)
{
    CLEANUP(strv) struct strv headers = STRV_INIT;
    const char *auth = is_own_url(c, url) ? authorization(c, call) : NULL;

    for (size_t i = 0; call->headers && i < call->headers->count; i++)
        strv_add(&headers, call->headers->items[i]);
    if (auth)
        strv_add(&headers, auth);
    if (strv_ok(&headers, err) < 0)
        return -1;
    if (call->restart && call->restart(call->ctx, err) < 0)
        return -1;
    struct http_call http = {.method = call->method,
                             .url = url,
                             .headers = (const char *const *)headers.items,
                             .body = call->body,
                             .body_fd = call->body_fd,
                             .body_fd_size = call->body_size,
                             .timeout_ms = call->timeout_ms ? call->timeout_ms : CALL_TIMEOUT_MS,
                             .answer_max = call->answer_max,
                             .on_body = call->on_body,
                             .ctx = call->ctx};
    return http_client_call(c->http, &http, answer, err);
}

static bool is_passing(int status)
{
    return status == 429 || status == 408 ||
           (status >= 500 && status != 501 && status != 505 && status != 507);
}

/* Retry-After in seconds (a date is not worth parsing here), else a growing pause. */
static int pause_ms(const struct http_answer *answer, int attempt)
{
    const char *after = http_answer_header(answer, "retry-after");
    uint64_t seconds;
    int64_t ms = (int64_t)PAUSE_FIRST_MS << (attempt < 10 ? attempt : 10);

    if (after && str_to_u64(str_of(after), &seconds))
        ms = seconds > PAUSE_MAX_MS / 1000 ? PAUSE_MAX_MS : (int64_t)seconds * 1000;
    return (int)(ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : ms);
}

static int attempt_all(struct registry_client *c, const struct registry_http *call, const char *url,
                       const char *what, struct http_answer *answer, struct error *err)
{
    bool challenged = false;

    for (int attempt = 0;;) {
        int result = send_once(c, call, url, answer, err);
        bool last = attempt + 1 >= c->attempts;
        if (result == 0 && answer->status == 401 && !challenged) {
            challenged = true;
            if (answer_challenge(c, call, answer, what, err) < 0)
                return -1;
        } else if (result == 0 && (answer->status == 401 || (is_passing(answer->status) && last))) {
            return registry_status_error(c, what, answer, err);
        } else if (result == 0 && !is_passing(answer->status)) {
            return 0;
        } else if (result < 0 &&
                   (last || (err->kind != ERR_UNAVAILABLE && err->kind != ERR_TIMEOUT))) {
            return -1;
        } else {
            (void)poll(NULL, 0, pause_ms(answer, attempt++)); /* a pause, cut short by a signal */
        }
        error_clear(err);
        http_answer_done(answer);
        *answer = (struct http_answer)HTTP_ANSWER_INIT;
    }
}

int registry_http(struct registry_client *c, const struct registry_http *call,
                  struct http_answer *ret, struct error *err)
{
    CLEANUP(text)
    char *url = call->path[0] == '/' ? str_format("%s%s", c->base_url, call->path)
                                     : str_dup(str_of(call->path));
    CLEANUP(text)
    char *what = str_format("%s %.300s", call->method ? call->method : "GET", call->path);

    if (!url || !what)
        return error_no_memory(err);
    return attempt_all(c, call, url, what, ret, err);
}

/* --- small reads --- */

static int manifest_headers(const struct registry_ask *ask, struct strv *headers, struct error *err)
{
    strv_add(headers, accept_all);
    if (ask->if_none_match)
        strv_addf(headers, "If-None-Match: \"%s\"", ask->if_none_match);
    if (ask->wait_s > 0)
        strv_addf(headers, "Prefer: wait=%d", ask->wait_s);
    return strv_ok(headers, err);
}

static int check_ask(const struct registry_ask *ask, struct error *err)
{
    struct digest digest;

    if (!reference_is_repository(str_of(ask->repository)))
        return error_set(err, ERR_INVALID, "'%s' is no repository name", ask->repository);
    if (!reference_is_tag(str_of(ask->reference)) && !digest_parse(str_of(ask->reference), &digest))
        return error_set(err, ERR_INVALID, "'%s' is neither a tag nor a digest", ask->reference);
    return 0;
}

int registry_manifest_request(struct registry_client *c, const struct registry_ask *ask,
                              char **ret_url, struct strv *headers, struct error *err)
{
    struct registry_http call = {.repository = ask->repository};
    const char *auth = authorization(c, &call);

    if (check_ask(ask, err) < 0)
        return -1;
    if (auth)
        strv_add(headers, auth);
    if (manifest_headers(ask, headers, err) < 0)
        return -1;
    *ret_url = str_format("%s/v2/%s/manifests/%s", c->base_url, ask->repository, ask->reference);
    return *ret_url ? 0 : error_no_memory(err);
}

/* Bytes and headers of a manifest → descriptor, everything compared that can be. */
static int check_manifest(const struct registry_ask *ask, const struct http_answer *answer,
                          struct descriptor *ret, struct error *err)
{
    const char *type = http_answer_header(answer, "content-type");
    const char *named = http_answer_header(answer, "docker-content-digest");
    struct str media_type = str_of(type ? type : "");
    struct descriptor d = {.digest = digest_of(buf_str(&answer->body)), .size = answer->body.len};
    struct digest expected;

    if (digest_parse(str_of(ask->reference), &expected) && !digest_equal(&expected, &d.digest))
        return error_set(err, ERR_UNTRUSTED, "asked for manifest %s, got %s", expected.text,
                         d.digest.text);
    if (named && digest_parse(str_of(named), &expected) && !digest_equal(&expected, &d.digest))
        return error_set(err, ERR_UNTRUSTED,
                         "manifest '%s': the registry says %s, its bytes are %s", ask->reference,
                         expected.text, d.digest.text);
    media_type = str_trim(str_cut(&media_type, ';'));
    if (media_type.len == 0 || media_type.len >= MEDIA_TYPE_SIZE)
        return error_set(err, ERR_INVALID, "manifest '%s' has no media type", ask->reference);
    memcpy(d.media_type, media_type.ptr, media_type.len);
    *ret = d;
    return 0;
}

int registry_get_manifest(struct registry_client *c, const struct registry_ask *ask,
                          struct buf *ret_bytes, struct descriptor *ret, bool *ret_changed,
                          struct error *err)
{
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    CLEANUP(strv) struct strv headers = STRV_INIT;
    CLEANUP(text) char *path = NULL;
    struct registry_http call = REGISTRY_HTTP_INIT;
    struct descriptor d;

    if (check_ask(ask, err) < 0 || manifest_headers(ask, &headers, err) < 0)
        return -1;
    path = registry_path(ask->repository, "manifests", ask->reference);
    if (!path)
        return error_no_memory(err);
    call.repository = ask->repository;
    call.path = path;
    call.headers = &headers;
    call.answer_max = LAYOUT_MANIFEST_MAX;
    call.timeout_ms = ask->wait_s > 0 ? ask->wait_s * 1000 + WAIT_SLACK_MS : CALL_TIMEOUT_MS;
    if (registry_http(c, &call, &answer, err) < 0)
        return -1;
    if (answer.status == 304 && ask->if_none_match) {
        *ret_changed = false;
        return 0;
    }
    if (answer.status != 200)
        return registry_status_error(c, path, &answer, err);
    if (check_manifest(ask, &answer, &d, err) < 0)
        return error_wrap(err, "registry '%s'", c->host);
    buf_add_str(ret_bytes, buf_str(&answer.body));
    if (buf_ok(ret_bytes, err) < 0)
        return -1;
    *ret = d;
    *ret_changed = true;
    return 0;
}

/* The target of `Link: <…>; rel="next"` if it stays on this registry; or NULL. free() it. */
static char *next_page(const struct http_answer *answer)
{
    const char *link = http_answer_header(answer, "link");
    struct str rest = str_of(link);

    if (!link || rest.ptr[0] != '<')
        return NULL;
    rest = str_skip(rest, 1);
    struct str target = str_cut(&rest, '>');
    return rest.ptr && str_starts(target, STR("/v2/")) ? str_dup(target) : NULL;
}

int registry_tags(struct registry_client *c, const char *repository, struct strv *out,
                  struct error *err)
{
    CLEANUP(text) char *path = registry_path(repository, "tags", "list");

    for (int page = 0; path; page++) {
        CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
        CLEANUP(json) json_t *root = NULL;
        struct registry_http call = REGISTRY_HTTP_INIT;
        json_t *tag;
        size_t i;
        call.repository = repository;
        call.path = path;
        call.answer_max = LIST_MAX;
        if (page > TAG_PAGES_MAX)
            return error_set(err, ERR_LIMIT, "registry '%s': endless list of tags", c->host);
        if (registry_http(c, &call, &answer, err) < 0)
            return -1;
        if (answer.status != 200)
            return registry_status_error(c, path, &answer, err);
        if (json_parse("tags", buf_str(&answer.body), &root, err) < 0)
            return -1;
        json_array_foreach(json_object_get(root, "tags"), i, tag)
        {
            if (json_is_string(tag) && reference_is_tag(str_of(json_string_value(tag))))
                strv_add(out, json_string_value(tag));
        }
        char *next = next_page(&answer);
        free(path);
        path = next;
    }
    return strv_ok(out, err);
}

/* The list from an index: of the referrers call, or of the fallback tag. */
static int take_list(struct str text, json_t **ret_array, struct error *err)
{
    CLEANUP(json) json_t *root = NULL;

    if (json_parse("referrers", text, &root, err) < 0)
        return -1;
    json_t *list = json_object_get(root, "manifests");
    *ret_array = json_is_array(list) ? json_incref(list) : json_array();
    return *ret_array ? 0 : error_no_memory(err);
}

/* distribution-spec, "Unavailable Referrers API": the index at tag "sha256-HEX". */
static int referrers_by_tag(struct registry_client *c, const char *repository,
                            const struct digest *digest, json_t **ret_array, struct error *err)
{
    CLEANUP(buf) struct buf bytes = BUF_INIT(LAYOUT_MANIFEST_MAX);
    char tag[REFERENCE_TAG_MAX + 1];
    struct descriptor d;
    bool changed;

    registry_digest_tag(digest, "", tag);
    struct registry_ask ask = {.repository = repository, .reference = tag};
    if (registry_get_manifest(c, &ask, &bytes, &d, &changed, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
        *ret_array = json_array();
        return *ret_array ? 0 : error_no_memory(err);
    }
    return take_list(buf_str(&bytes), ret_array, err);
}

int registry_referrers(struct registry_client *c, const char *repository,
                       const struct digest *digest, json_t **ret_array, struct error *err)
{
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    CLEANUP(text) char *path = registry_path(repository, "referrers", digest->text);
    struct registry_http call = REGISTRY_HTTP_INIT;

    if (!path)
        return error_no_memory(err);
    call.repository = repository;
    call.path = path;
    call.answer_max = LIST_MAX;
    if (registry_http(c, &call, &answer, err) < 0)
        return -1;
    if (answer.status == 404)
        return referrers_by_tag(c, repository, digest, ret_array, err);
    if (answer.status != 200)
        return registry_status_error(c, path, &answer, err);
    return take_list(buf_str(&answer.body), ret_array, err);
}
