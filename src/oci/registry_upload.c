/* oci/registry_upload.c - the distribution API's writing side: blobs in one piece or many, and
 * manifests. */
#include "oci/registry_internal.h"

#include "base/random.h"

enum { TAGS_PER_PUT_MAX = 100, LOCATION_SIZE = 512 };

/* --- sessions --- */

static void drop(struct upload *u)
{
    struct registry *r = u->registry;

    for (struct upload **at = &r->uploads; *at; at = &(*at)->next) {
        if (*at == u) {
            *at = u->next;
            r->upload_count--;
            break;
        }
    }
    loop_timer_remove(u->timer);
    layout_writer_free(u->writer);
    free(u);
}

void registry_uploads_free(struct registry *r)
{
    while (r->uploads)
        drop(r->uploads);
}

static void on_idle(struct loop *loop, void *ctx)
{
    struct upload *u = ctx;

    u->timer = NULL; /* it has fired, the loop frees it */
    drop(u);
}

static struct upload *find(struct registry *r, const struct registry_route *route)
{
    for (struct upload *u = r->uploads; u; u = u->next)
        if (strcmp(u->id, route->reference) == 0 && strcmp(u->repository, route->repository) == 0)
            return u;
    return NULL;
}

static int begin(struct registry *r, const char *repository, struct upload **ret, struct error *err)
{
    struct upload *u;

    if (r->upload_count >= UPLOADS_MAX)
        return error_set(err, ERR_LIMIT, "more than %d uploads at once", UPLOADS_MAX);
    u = calloc(1, sizeof(*u));
    if (!u)
        return error_no_memory(err);
    u->registry = r;
    random_uuid(u->id);
    snprintf(u->repository, sizeof(u->repository), "%s", repository);
    if (layout_writer_new(r->layout, &u->writer, err) < 0 ||
        loop_add_timer(r->loop, UPLOAD_IDLE_MS, on_idle, u, &u->timer, err) < 0) {
        layout_writer_free(u->writer);
        free(u);
        return -1;
    }
    u->next = r->uploads;
    r->uploads = u;
    r->upload_count++;
    *ret = u;
    return 0;
}

/* 202 or 204 with Location and how far we are. */
static void answer_progress(struct http_request *req, const struct upload *u, int status)
{
    char location[LOCATION_SIZE], range[64];
    uint64_t size = layout_writer_size(u->writer);

    snprintf(location, sizeof(location), "/v2/%s/blobs/uploads/%s", u->repository, u->id);
    /* Inclusive; of an empty session Docker and the conformance tests know "0-0". */
    snprintf(range, sizeof(range), "0-%llu", (unsigned long long)(size ? size - 1 : 0));
    const struct http_header headers[] = {
        {"Location", location}, {"Range", range}, {"Docker-Upload-UUID", u->id}, {NULL}};
    http_respond(req, status, headers, STR(""));
}

static void answer_stored(struct http_request *req, const char *repository, const char *kind,
                          const struct digest *digest)
{
    char location[LOCATION_SIZE];

    snprintf(location, sizeof(location), "/v2/%s/%s/%s", repository, kind, digest->text);
    const struct http_header headers[] = {
        {"Location", location}, {"Docker-Content-Digest", digest->text}, {NULL}};
    http_respond(req, 201, headers, STR(""));
}

/* The last of an upload: the session is over, whatever comes out. */
static void finish(struct registry *r, struct http_request *req, struct upload *u, const char *text)
{
    struct error err = ERROR_INIT;
    struct digest digest, got;

    if (!digest_parse(str_of(text ? text : ""), &digest)) {
        registry_error(req, 400, "DIGEST_INVALID", "'digest' is no sha256 digest");
        return;
    }
    if (layout_writer_add(u->writer, http_request_body(req), &err) < 0 ||
        layout_writer_commit(u->writer, &digest, &got, &err) < 0)
        registry_failed(req, &err);
    else
        answer_stored(req, u->repository, "blobs", &got);
    drop(u);
}

void registry_upload_begin(struct registry *r, struct http_request *req,
                           const struct registry_route *route)
{
    const char *mount = http_request_query(req, "mount"),
               *digest = http_request_query(req, "digest");
    struct error err = ERROR_INIT;
    struct digest wanted;
    struct upload *u = NULL;

    /* All repositories share the blobs; who may not pull from `from` still has to know the digest.
     */
    if (mount && digest_parse(str_of(mount), &wanted) && layout_has(r->layout, &wanted)) {
        answer_stored(req, route->repository, "blobs", &wanted);
        return;
    }
    if (begin(r, route->repository, &u, &err) < 0)
        registry_failed(req, &err);
    else if (digest)
        finish(r, req, u, digest);
    else
        answer_progress(req, u, 202);
}

/* "START-END" must begin where we are. Docker sends none and means the same. */
static bool continues(const struct http_request *req, const struct upload *u)
{
    struct str range = str_of(http_request_header(req, "Content-Range"));
    uint64_t start, end;

    if (!range.ptr)
        return true;
    struct str from = str_cut(&range, '-');
    return str_to_u64(from, &start) && range.ptr && str_to_u64(range, &end) &&
           start == layout_writer_size(u->writer) && end >= start &&
           end - start + 1 == http_request_body(req).len;
}

static void answer_out_of_order(struct http_request *req, const struct upload *u)
{
    answer_progress(req, u, 416);
}

void registry_upload_call(struct registry *r, struct http_request *req,
                          const struct registry_route *route)
{
    struct upload *u = find(r, route);
    const char *method = http_request_method(req);
    struct error err = ERROR_INIT;

    if (!u) {
        registry_error(req, 404, "BLOB_UPLOAD_UNKNOWN",
                       "no such upload, or it was idle for an hour");
        return;
    }
    loop_timer_set(u->timer, UPLOAD_IDLE_MS);
    if (strcmp(method, "DELETE") == 0) {
        drop(u);
        http_respond(req, 204, NULL, STR(""));
    } else if (strcmp(method, "PATCH") == 0) {
        if (!continues(req, u)) {
            answer_out_of_order(req, u);
        } else if (layout_writer_add(u->writer, http_request_body(req), &err) < 0) {
            registry_failed(req, &err);
            drop(u); /* part of the piece may be written: this session is lost */
        } else {
            answer_progress(req, u, 202);
        }
    } else if (strcmp(method, "PUT") == 0) {
        if (http_request_body(req).len > 0 && !continues(req, u))
            answer_out_of_order(req, u);
        else
            finish(r, req, u, http_request_query(req, "digest"));
    } else {
        answer_progress(req, u, 204);
    }
}

/* --- manifests --- */

/* Layers that no registry may hand on need not be here (image-spec, nondistributable). */
static bool may_be_absent(const char *media_type)
{
    return strstr(media_type, "nondistributable") || strstr(media_type, ".foreign.");
}

static int check_present(struct registry *r, const json_t *object, struct error *err)
{
    struct descriptor d;

    if (descriptor_from_json(object, &d, err) < 0)
        return -1;
    if (may_be_absent(d.media_type) || layout_has(r->layout, &d.digest))
        return 0;
    return error_set(err, ERR_NOT_FOUND, "blob %s is not here", d.digest.text);
}

/* Everything that the manifest names, but for its subject (distribution-spec, Pushing Manifests
 * with Subject). */
static int check_all_present(struct registry *r, struct str bytes, struct error *err)
{
    static const char *const lists[] = {"layers", "manifests"};
    CLEANUP(json) json_t *root = NULL;
    json_t *item;
    size_t i;

    if (json_parse("manifest", bytes, &root, err) < 0)
        return -1;
    if (json_is_object(json_object_get(root, "config")) &&
        check_present(r, json_object_get(root, "config"), err) < 0)
        return -1;
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        json_array_foreach(json_object_get(root, lists[l]), i, item)
        {
            if (check_present(r, item, err) < 0)
                return -1;
        }
    }
    return 0;
}

/* The tags of this push: the one in the path, or ?tag=… with a digest in the path. */
static int tag_it(struct registry *r, const struct http_request *req,
                  const struct registry_route *route, const struct descriptor *d, struct error *err)
{
    CLEANUP(strv) struct strv tags = STRV_INIT;
    struct layout_tag_set sets[TAGS_PER_PUT_MAX] = {0};
    struct digest by_digest;

    if (digest_parse(str_of(route->reference), &by_digest))
        http_request_query_all(req, "tag", &tags);
    else
        strv_add(&tags, route->reference);
    if (strv_ok(&tags, err) < 0)
        return -1;
    if (tags.count > TAGS_PER_PUT_MAX)
        return error_set(err, ERR_LIMIT, "more than %d tags", TAGS_PER_PUT_MAX);
    for (size_t i = 0; i < tags.count; i++)
        sets[i] = (struct layout_tag_set){route->repository, tags.items[i], *d};
    return tags.count ? layout_tag_all(r->layout, sets, tags.count, err) : 0;
}

static void answer_manifest(struct registry *r, struct http_request *req,
                            const struct registry_route *route, const struct descriptor *d)
{
    CLEANUP(json) json_t *root = NULL;
    struct error ignored = ERROR_INIT; /* it was parsed a moment ago */
    char location[LOCATION_SIZE];
    const char *subject = NULL;

    if (layout_read_manifest(r->layout, &d->digest, &root, NULL, NULL, &ignored) == 0)
        subject = json_str_at(root, "subject.digest");
    snprintf(location, sizeof(location), "/v2/%s/manifests/%s", route->repository, d->digest.text);
    const struct http_header headers[] = {{"Location", location},
                                          {"Docker-Content-Digest", d->digest.text},
                                          {subject ? "OCI-Subject" : NULL, subject},
                                          {NULL}};
    http_respond(req, 201, headers, STR(""));
}

void registry_put_manifest(struct registry *r, struct http_request *req,
                           const struct registry_route *route)
{
    struct str bytes = http_request_body(req);
    const char *type = http_request_header(req, "Content-Type");
    struct error err = ERROR_INIT;
    struct digest wanted, got = digest_of(bytes);
    struct descriptor d;

    if (digest_parse(str_of(route->reference), &wanted)) {
        if (!digest_equal(&wanted, &got)) {
            registry_error(req, 400, "DIGEST_INVALID", "the manifest's bytes have another digest");
            return;
        }
    } else if (!reference_is_tag(str_of(route->reference))) {
        registry_error(req, 400, "MANIFEST_INVALID", "neither a tag nor a sha256 digest");
        return;
    }
    if (check_all_present(r, bytes, &err) < 0) {
        registry_error(req, 400,
                       err.kind == ERR_NOT_FOUND ? "MANIFEST_BLOB_UNKNOWN" : "MANIFEST_INVALID",
                       err.text);
        return;
    }
    if (layout_put_manifest(r->layout, type, bytes, &d, &err) < 0 ||
        tag_it(r, req, route, &d, &err) < 0)
        registry_failed(req, &err);
    else
        answer_manifest(r, req, route, &d);
}
