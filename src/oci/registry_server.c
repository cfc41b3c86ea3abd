/* oci/registry_server.c - the distribution API's reading side, and who may what; see
 * registry_server.h. */
#include "oci/registry_internal.h"

#include <strings.h>

#include "base/encode.h"
#include "base/secret.h"

enum {
    ANSWER_MAX = 64 << 20,
    PAGE_DEFAULT = 10000, /* names in one answer */
    TOKEN_MAX = 16 << 10
};

static const struct http_header version_header = {"Docker-Distribution-API-Version",
                                                  "registry/2.0"};

/* --- errors --- */

void registry_error(struct http_request *req, int status, const char *code, const char *message)
{
    CLEANUP(buf) struct buf text = BUF_INIT(64 << 10);
    const struct http_header headers[] = {
        {"Content-Type", "application/json"}, version_header, {NULL}};

    buf_addf(&text, "{\"errors\":[{\"code\":\"%s\",\"message\":", code);
    json_add_quoted(&text, str_of(message));
    buf_add_text(&text, ",\"detail\":null}]}\n");
    http_respond(req, status, headers, buf_str(&text));
}

void registry_failed(struct http_request *req, const struct error *err)
{
    static const struct {
        enum error_kind kind;
        int status;
        const char *code;
    } table[] = {{ERR_NOT_FOUND, 404, "MANIFEST_UNKNOWN"},
                 {ERR_INVALID, 400, "MANIFEST_INVALID"},
                 {ERR_UNTRUSTED, 400, "DIGEST_INVALID"},
                 {ERR_DENIED, 403, "DENIED"},
                 {ERR_CONFLICT, 409, "DENIED"},
                 {ERR_UNSUPPORTED, 405, "UNSUPPORTED"}};

    if (err->kind == ERR_LIMIT) {
        registry_error(req, err->sys_errno ? 507 : 413, err->sys_errno ? "DENIED" : "SIZE_INVALID",
                       err->text);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].kind == err->kind) {
            registry_error(req, table[i].status, table[i].code, err->text);
            return;
        }
    }
    registry_error(req, 500, "UNKNOWN", err->text);
}

/* --- who may --- */

static bool may(struct registry *r, struct http_request *req, const char *repository, bool push)
{
    registry_may_fn *fn = push ? r->may_push : r->may_pull;
    int answer = fn ? fn(req, repository, r->ctx) : 0;

    if (push && !fn) {
        registry_error(req, 405, "UNSUPPORTED", "this registry is read-only");
        return false;
    }
    if (answer == 0)
        return true;
    if (answer != 401) {
        registry_error(req, 403, "DENIED", "not allowed");
        return false;
    }
    CLEANUP(text) char *challenge = str_format("Basic realm=\"%s\"", r->realm);
    const struct http_header headers[] = {{"Content-Type", "application/json"},
                                          version_header,
                                          {"WWW-Authenticate", challenge ? challenge : "Basic"},
                                          {NULL}};
    http_respond(req, 401, headers,
                 STR("{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"credentials are "
                     "missing or wrong\",\"detail\":null}]}\n"));
    return false;
}

bool registry_token_matches(const struct http_request *req, struct str token)
{
    struct str value = str_of(http_request_header(req, "Authorization"));
    CLEANUP(buf) struct buf plain = BUF_INIT(TOKEN_MAX);

    if (token.len == 0 || !value.ptr)
        return false;
    struct str scheme = str_word(&value);
    value = str_trim(value);
    if (scheme.len == 6 && strncasecmp(scheme.ptr, "Bearer", 6) == 0)
        return secret_equal(value, token);
    if (scheme.len != 5 || strncasecmp(scheme.ptr, "Basic", 5) != 0 ||
        !base64_decode(value, &plain))
        return false;
    struct str rest = buf_str(&plain);
    (void)str_cut(&rest, ':'); /* any user name */
    return rest.ptr && secret_equal(rest, token);
}

/* --- manifests --- */

static void quoted(const struct digest *digest, char out[DIGEST_TEXT_SIZE + 2])
{
    snprintf(out, DIGEST_TEXT_SIZE + 2, "\"%s\"", digest->text);
}

/* If-None-Match names this digest, in one of the forms that clients write. */
static bool is_known(const struct http_request *req, const struct digest *digest)
{
    const char *match = http_request_header(req, "If-None-Match");
    return match && digest->text[0] && str_find_text(str_of(match), str_of(digest->text)) >= 0;
}

void registry_send_manifest(struct registry *r, struct http_request *req,
                            const struct descriptor *d)
{
    CLEANUP(buf) struct buf bytes = BUF_INIT(LAYOUT_MANIFEST_MAX);
    struct error err = ERROR_INIT;
    char etag[DIGEST_TEXT_SIZE + 2];

    quoted(&d->digest, etag);
    const struct http_header headers[] = {{"Content-Type", d->media_type},
                                          {"Docker-Content-Digest", d->digest.text},
                                          {"ETag", etag},
                                          version_header,
                                          {NULL}};
    if (is_known(req, &d->digest))
        http_respond(req, 304, headers + 1, STR(""));
    else if (layout_read(r->layout, &d->digest, &bytes, &err) < 0)
        registry_failed(req, &err);
    else
        http_respond(req, 200, headers, buf_str(&bytes));
}

static void get_manifest(struct registry *r, struct http_request *req,
                         const struct registry_route *route)
{
    struct error err = ERROR_INIT;
    struct descriptor d = {0};
    struct digest digest;

    if (digest_parse(str_of(route->reference), &digest)) {
        if (layout_read_manifest(r->layout, &digest, NULL, NULL, &d, &err) == 0)
            registry_send_manifest(r, req, &d);
        else
            registry_failed(req, &err);
        return;
    }
    if (!reference_is_tag(str_of(route->reference))) {
        registry_error(req, 400, "MANIFEST_INVALID", "neither a tag nor a sha256 digest");
        return;
    }
    int found = layout_resolve(r->layout, route->repository, route->reference, &d, &err);
    if (found < 0 && err.kind != ERR_NOT_FOUND) {
        registry_failed(req, &err);
        return;
    }
    /* Wait if they have what is there, or if there is nothing yet. */
    bool nothing_new = found < 0 || is_known(req, &d.digest);
    if (nothing_new && strcmp(http_request_method(req), "GET") == 0 &&
        registry_wait(r, req, route, &d.digest))
        return;
    if (found == 0)
        registry_send_manifest(r, req, &d);
    else
        registry_failed(req, &err);
}

static void delete_manifest(struct registry *r, struct http_request *req,
                            const struct registry_route *route)
{
    struct error err = ERROR_INIT;
    struct digest digest;
    int result = digest_parse(str_of(route->reference), &digest)
                     ? layout_remove_manifest(r->layout, &digest, &err)
                     : layout_untag(r->layout, route->repository, route->reference, &err);

    if (result < 0)
        registry_failed(req, &err);
    else
        http_respond(req, 202, NULL, STR(""));
}

static void manifest_call(struct registry *r, struct http_request *req,
                          const struct registry_route *route)
{
    const char *method = http_request_method(req);

    if (strcmp(method, "PUT") == 0) {
        if (may(r, req, route->repository, true))
            registry_put_manifest(r, req, route);
    } else if (strcmp(method, "DELETE") == 0) {
        if (may(r, req, route->repository, true))
            delete_manifest(r, req, route);
    } else if (may(r, req, route->repository, false)) {
        get_manifest(r, req, route);
    }
}

/* --- blobs --- */

/* "bytes=A-B", "bytes=A-", "bytes=-N" of `size` (RFC 9110, 14.1.2). False: no range that we serve,
 * so all of it. *ret_length 0: nothing of it is there (416). */
static bool parse_range(const char *header, uint64_t size, uint64_t *ret_offset,
                        uint64_t *ret_length)
{
    struct str rest = str_of(header);
    uint64_t first, last = size ? size - 1 : 0;

    if (!header || !str_starts(rest, STR("bytes=")) || str_find(rest, ',') >= 0)
        return false;
    rest = str_skip(rest, 6);
    struct str from = str_cut(&rest, '-');
    if (!rest.ptr || (from.len == 0 && rest.len == 0))
        return false;
    if (from.len == 0) {
        if (!str_to_u64(rest, &last))
            return false;
        *ret_length = last < size ? last : size;
        *ret_offset = size - *ret_length;
        return true;
    }
    if (!str_to_u64(from, &first) || (rest.len > 0 && !str_to_u64(rest, &last)))
        return false;
    if (last >= size)
        last = size ? size - 1 : 0;
    *ret_offset = first;
    *ret_length = first >= size || last < first ? 0 : last - first + 1;
    return true;
}

static void get_blob(struct registry *r, struct http_request *req, const struct digest *digest)
{
    CLEANUP(fd) int fd = -1;
    struct error err = ERROR_INIT;
    uint64_t size, offset = 0, length;
    char etag[DIGEST_TEXT_SIZE + 2], content_range[80];

    if (layout_open_blob(r->layout, digest, &fd, &size, &err) < 0) {
        if (err.kind == ERR_NOT_FOUND)
            registry_error(req, 404, "BLOB_UNKNOWN", err.text);
        else
            registry_failed(req, &err);
        return;
    }
    length = size;
    quoted(digest, etag);
    bool partial = parse_range(http_request_header(req, "Range"), size, &offset, &length);
    snprintf(content_range, sizeof(content_range), "bytes %llu-%llu/%llu",
             (unsigned long long)offset, (unsigned long long)(offset + length - 1),
             (unsigned long long)size);
    const struct http_header headers[] = {{"Content-Type", "application/octet-stream"},
                                          {"Docker-Content-Digest", digest->text},
                                          {"ETag", etag},
                                          {"Accept-Ranges", "bytes"},
                                          {partial ? "Content-Range" : NULL, content_range},
                                          {NULL}};
    if (partial && length == 0)
        registry_error(req, 416, "SIZE_INVALID", "the blob ends before this range");
    else
        http_respond_file(req, partial ? 206 : 200, headers, TAKE_FD(fd), offset, length);
}

static void blob_call(struct registry *r, struct http_request *req,
                      const struct registry_route *route)
{
    bool remove = strcmp(http_request_method(req), "DELETE") == 0;
    struct error err = ERROR_INIT;
    struct digest digest;

    if (!may(r, req, route->repository, remove))
        return;
    if (!digest_parse(str_of(route->reference), &digest))
        registry_error(req, 400, "DIGEST_INVALID", "expected 'sha256:' and 64 hex digits");
    else if (!remove)
        get_blob(r, req, &digest);
    else if (layout_remove_blob(r->layout, &digest, &err) < 0)
        registry_error(req, 404, "BLOB_UNKNOWN", err.text);
    else
        http_respond(req, 202, NULL, STR(""));
}

/* --- lists --- */

/* Names after ?last=, at most ?n=, as `{PREFIX"key":[…]}`, with a Link to the next page. */
static void send_names(struct http_request *req, const char *path, const char *prefix,
                       const char *key, const struct strv *names)
{
    CLEANUP(buf) struct buf text = BUF_INIT(ANSWER_MAX), link = BUF_INIT(4096);
    const char *last = http_request_query(req, "last"), *n = http_request_query(req, "n");
    uint64_t most = PAGE_DEFAULT, sent = 0;
    const char *final = NULL;

    if (n && (!str_to_u64(str_of(n), &most) || most > PAGE_DEFAULT))
        most = PAGE_DEFAULT;
    buf_addf(&text, "{%s\"%s\":[", prefix, key);
    for (size_t i = 0; i < names->count; i++) {
        if (last && strcmp(names->items[i], last) <= 0)
            continue;
        if (sent == most) {
            if (final)
                buf_addf(&link, "<%s?n=%llu&last=%s>; rel=\"next\"", path, (unsigned long long)most,
                         final);
            break;
        }
        buf_addf(&text, "%s\"%s\"", sent++ ? "," : "", names->items[i]);
        final = names->items[i];
    }
    buf_add_text(&text, "]}\n");
    const struct http_header headers[] = {{"Content-Type", "application/json"},
                                          version_header,
                                          {link.len ? "Link" : NULL, buf_text(&link)},
                                          {NULL}};
    http_respond(req, 200, headers, buf_str(&text));
}

static void send_tags(struct registry *r, struct http_request *req,
                      const struct registry_route *route)
{
    CLEANUP(strv) struct strv names = STRV_INIT;
    struct error err = ERROR_INIT;
    char path[REFERENCE_REPOSITORY_MAX + 32], prefix[REFERENCE_REPOSITORY_MAX + 16];

    if (layout_tags(r->layout, route->repository, &names, &err) < 0) {
        if (err.kind == ERR_NOT_FOUND)
            registry_error(req, 404, "NAME_UNKNOWN", err.text);
        else
            registry_failed(req, &err);
        return;
    }
    snprintf(path, sizeof(path), "/v2/%s/tags/list", route->repository);
    snprintf(prefix, sizeof(prefix), "\"name\":\"%s\",", route->repository);
    send_names(req, path, prefix, "tags", &names);
}

static void send_catalog(struct registry *r, struct http_request *req)
{
    CLEANUP(strv) struct strv names = STRV_INIT;
    struct error err = ERROR_INIT;

    if (layout_repositories(r->layout, &names, &err) < 0)
        registry_failed(req, &err);
    else
        send_names(req, "/v2/_catalog", "", "repositories", &names);
}

static void send_referrers(struct registry *r, struct http_request *req,
                           const struct registry_route *route)
{
    CLEANUP(json) json_t *list = NULL, *index = NULL;
    CLEANUP(buf) struct buf text = BUF_INIT(ANSWER_MAX);
    const char *type = http_request_query(req, "artifactType");
    struct error err = ERROR_INIT;
    struct digest digest;

    if (!digest_parse(str_of(route->reference), &digest)) {
        registry_error(req, 400, "DIGEST_INVALID", "expected 'sha256:' and 64 hex digits");
        return;
    }
    if (layout_referrers(r->layout, &digest, type, &list, &err) < 0) {
        registry_failed(req, &err);
        return;
    }
    index =
        json_pack("{s:i, s:s, s:O}", "schemaVersion", 2, "mediaType", OCI_INDEX, "manifests", list);
    if (!index || json_write(index, false, &text, &err) < 0) {
        registry_failed(req, &err);
        return;
    }
    const struct http_header headers[] = {{"Content-Type", OCI_INDEX},
                                          version_header,
                                          {type ? "OCI-Filters-Applied" : NULL, "artifactType"},
                                          {NULL}};
    http_respond(req, 200, headers, buf_str(&text));
}

/* --- the whole --- */

static void send_base(struct http_request *req)
{
    const struct http_header headers[] = {
        {"Content-Type", "application/json"}, version_header, {NULL}};
    http_respond(req, 200, headers, STR("{}"));
}

static bool is_read(const struct http_request *req)
{
    const char *method = http_request_method(req);
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static bool fits_method(const struct http_request *req, enum registry_call call)
{
    const char *method = http_request_method(req);

    switch (call) {
    case REGISTRY_MANIFEST:
        return is_read(req) || strcmp(method, "PUT") == 0 || strcmp(method, "DELETE") == 0;
    case REGISTRY_BLOB:
        return is_read(req) || strcmp(method, "DELETE") == 0;
    case REGISTRY_UPLOADS:
        return strcmp(method, "POST") == 0;
    case REGISTRY_UPLOAD:
        return is_read(req) || strcmp(method, "PATCH") == 0 || strcmp(method, "PUT") == 0 ||
               strcmp(method, "DELETE") == 0;
    default:
        return is_read(req);
    }
}

static void dispatch(struct registry *r, struct http_request *req,
                     const struct registry_route *route)
{
    switch (route->call) {
    case REGISTRY_MANIFEST:
        manifest_call(r, req, route);
        return;
    case REGISTRY_BLOB:
        blob_call(r, req, route);
        return;
    case REGISTRY_UPLOADS:
        if (may(r, req, route->repository, true))
            registry_upload_begin(r, req, route);
        return;
    case REGISTRY_UPLOAD:
        if (may(r, req, route->repository, true))
            registry_upload_call(r, req, route);
        return;
    case REGISTRY_TAGS:
        if (may(r, req, route->repository, false))
            send_tags(r, req, route);
        return;
    case REGISTRY_REFERRERS:
        if (may(r, req, route->repository, false))
            send_referrers(r, req, route);
        return;
    case REGISTRY_CATALOG:
        if (may(r, req, "", false))
            send_catalog(r, req);
        return;
    case REGISTRY_BASE:
        if (may(r, req, "", false))
            send_base(req);
        return;
    case REGISTRY_BAD_NAME:
        registry_error(req, 400, "NAME_INVALID", "this is no repository name");
        return;
    case REGISTRY_NONE:
    case REGISTRY_UNKNOWN:
        registry_error(req, 404, "UNSUPPORTED", "no such call of the distribution API");
        return;
    }
}

bool registry_handle(struct registry *r, struct http_request *req)
{
    struct registry_route route = registry_route(str_of(http_request_path(req)));

    if (route.call == REGISTRY_NONE)
        return false;
    if (!fits_method(req, route.call))
        registry_error(req, 405, "UNSUPPORTED", "this method is not for this path");
    else
        dispatch(r, req, &route);
    return true;
}

int registry_new(struct loop *loop, const struct registry_options *options, struct registry **ret,
                 struct error *err)
{
    CLEANUP(registry) struct registry *r = calloc(1, sizeof(*r));

    if (!r)
        return error_no_memory(err);
    r->loop = loop;
    r->watch_fd = -1;
    r->may_pull = options->may_pull;
    r->may_push = options->may_push;
    r->ctx = options->ctx;
    r->wait_max_s = options->wait_max_s > 0 ? options->wait_max_s : WAIT_DEFAULT_MAX_S;
    r->realm = str_dup(str_of(options->realm ? options->realm : "monban"));
    if (!r->realm)
        return error_no_memory(err);
    if (strpbrk(r->realm, "\"\\\r\n"))
        return error_set(err, ERR_INVALID, "registry: realm holds quotes");
    if (layout_open(options->layout_path, LAYOUT_CREATE | (options->sync ? LAYOUT_SYNC : 0),
                    &r->layout, err) < 0)
        return -1;
    *ret = TAKE(r);
    return 0;
}

void registry_free(struct registry *r)
{
    if (!r)
        return;
    registry_waiters_free(r);
    registry_uploads_free(r);
    layout_free(r->layout);
    free(r->realm);
    free(r);
}

struct layout *registry_layout(struct registry *r)
{
    return r->layout;
}
