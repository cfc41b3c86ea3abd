/* oci/registry_push.c - from a layout to a registry: what a manifest names, the manifest, who
 * refers to it, the tag. */
#include "oci/registry_client_internal.h"

enum {
    CHUNK_SIZE =
        16 << 20, /* bytes: larger blobs go in pieces of this, which a server may hold in memory */
    CHUNK_MAX = 256 << 20, /* bytes: no registry's least piece is larger */
    UPLOAD_RATE_MIN = 64 << 10,
    UPLOAD_TIMEOUT_MIN_MS = 120000,
};

static const char *const cosign_suffixes[] = {".sig", ".att", ".sbom", ""};

struct push {
    struct registry_client *client;
    const struct registry_copy *copy;
    const char *local_repository;
    struct layout *layout;
    struct strv seen;
};

/* --- blobs --- */

struct blob_upload {
    struct registry_client *client;
    const char *repository;
    const struct descriptor *blob;
    int fd;
    char *location; /* owned: where to go on */
    uint64_t chunk; /* bytes of a piece */
};

static int is_there(struct registry_client *c, const char *repository, const char *kind,
                    const struct digest *digest, bool *ret, struct error *err)
{
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    CLEANUP(text) char *path = registry_path(repository, kind, digest->text);
    struct registry_http call = REGISTRY_HTTP_INIT;

    if (!path)
        return error_no_memory(err);
    call.method = "HEAD";
    call.repository = repository;
    call.push = true;
    call.path = path;
    if (registry_http(c, &call, &answer, err) < 0)
        return -1;
    *ret = answer.status == 200;
    return *ret || answer.status == 404 ? 0 : registry_status_error(c, path, &answer, err);
}

static int keep_location(struct blob_upload *u, const struct http_answer *answer, struct error *err)
{
    const char *location = http_answer_header(answer, "location");
    const char *least = http_answer_header(answer, "oci-chunk-min-length");
    uint64_t bytes;

    if (!location || (location[0] != '/' && strncmp(location, "http", 4) != 0))
        return error_set(err, ERR_INVALID, "registry '%s' named no place for an upload",
                         u->client->host);
    free(u->location);
    u->location = str_dup(str_of(location));
    if (least && str_to_u64(str_of(least), &bytes) && bytes > u->chunk && bytes <= CHUNK_MAX)
        u->chunk = bytes;
    return u->location ? 0 : error_no_memory(err);
}

/* POST: mounted or begun. */
static int begin_upload(struct blob_upload *u, const char *mount_from, bool *ret_done,
                        struct error *err)
{
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    CLEANUP(text)
    char *path = mount_from ? str_format("/v2/%s/blobs/uploads/?mount=%s&from=%s", u->repository,
                                         u->blob->digest.text, mount_from)
                            : str_format("/v2/%s/blobs/uploads/", u->repository);
    struct registry_http call = REGISTRY_HTTP_INIT;

    if (!path)
        return error_no_memory(err);
    call.method = "POST";
    call.repository = u->repository;
    call.push = true;
    call.path = path;
    call.body = STR("");
    if (registry_http(u->client, &call, &answer, err) < 0)
        return -1;
    *ret_done = answer.status == 201;
    if (*ret_done)
        return 0;
    if (answer.status != 202)
        return registry_status_error(u->client, path, &answer, err);
    return keep_location(u, &answer, err);
}

/* A PATCH or PUT: of `piece`, or without one (ptr NULL) of the whole blob from its file. */
static int send_piece(struct blob_upload *u, const char *method, const char *path, uint64_t offset,
                      struct str piece, struct http_answer *answer, struct error *err)
{
    CLEANUP(strv) struct strv headers = STRV_INIT;
    struct registry_http call = REGISTRY_HTTP_INIT;
    uint64_t length = piece.ptr ? piece.len : u->blob->size;
    uint64_t slowest_ms = length / UPLOAD_RATE_MIN * 1000;

    strv_add(&headers, "Content-Type: application/octet-stream");
    if (strcmp(method, "PATCH") == 0)
        strv_addf(&headers, "Content-Range: %llu-%llu", (unsigned long long)offset,
                  (unsigned long long)(offset + length - 1));
    if (strv_ok(&headers, err) < 0)
        return -1;
    call.method = method;
    call.repository = u->repository;
    call.push = true;
    call.path = path;
    call.headers = &headers;
    call.body = piece;
    call.timeout_ms =
        UPLOAD_TIMEOUT_MIN_MS + (int)(slowest_ms > INT32_MAX / 2 ? INT32_MAX / 2 : slowest_ms);
    if (!piece.ptr) {
        call.body_fd = u->fd;
        call.body_size = length;
    }
    return registry_http(u->client, &call, answer, err);
}

static int send_chunk(struct blob_upload *u, char *chunk, uint64_t offset, size_t length,
                      struct error *err)
{
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;

    if (io_read_exact(u->fd, chunk, length, err) < 0 ||
        send_piece(u, "PATCH", u->location, offset, str_slice(chunk, length), &answer, err) < 0)
        return -1;
    if (answer.status != 202 && answer.status != 204)
        return registry_status_error(u->client, "PATCH of a blob", &answer, err);
    return keep_location(u, &answer, err);
}

static int send_chunks(struct blob_upload *u, struct error *err)
{
    CLEANUP(text) char *chunk = malloc(u->chunk);

    if (!chunk)
        return error_no_memory(err);
    for (uint64_t offset = 0; offset < u->blob->size;) {
        uint64_t left = u->blob->size - offset, length = left < u->chunk ? left : u->chunk;
        if (send_chunk(u, chunk, offset, (size_t)length, err) < 0)
            return -1;
        offset += length;
    }
    return 0;
}

static int send_blob(struct blob_upload *u, struct error *err)
{
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    bool whole = u->blob->size <= u->chunk;

    if (!whole && send_chunks(u, err) < 0)
        return -1;
    CLEANUP(text)
    char *path = str_format("%s%cdigest=%s", u->location, strchr(u->location, '?') ? '&' : '?',
                            u->blob->digest.text);
    if (!path)
        return error_no_memory(err);
    if (send_piece(u, "PUT", path, 0, whole ? STR_NONE : STR(""), &answer, err) < 0)
        return -1;
    if (answer.status != 201 && answer.status != 204)
        return registry_status_error(u->client, "PUT of a blob", &answer, err);
    return 0;
}

int registry_push_blob(struct registry_client *c, const char *repository,
                       const struct descriptor *blob, const struct layout *layout,
                       const char *mount_from, struct error *err)
{
    CLEANUP(fd) int fd = -1;
    uint64_t size;
    bool done;

    if (is_there(c, repository, "blobs", &blob->digest, &done, err) < 0)
        return -1;
    if (done)
        return 0;
    if (layout_open_blob(layout, &blob->digest, &fd, &size, err) < 0)
        return -1;
    if (size != blob->size)
        return error_set(err, ERR_UNTRUSTED, "blob %s has %llu bytes, its descriptor says %llu",
                         blob->digest.text, (unsigned long long)size,
                         (unsigned long long)blob->size);
    struct blob_upload u = {
        .client = c, .repository = repository, .blob = blob, .fd = fd, .chunk = CHUNK_SIZE};
    int result = begin_upload(&u, mount_from, &done, err);
    if (result == 0 && !done)
        result = send_blob(&u, err);
    free(u.location);
    return result < 0 ? error_wrap(err, "pushing blob %s", blob->digest.text) : 0;
}

/* --- manifests --- */

static int put_bytes(struct push *p, const struct descriptor *d, const char *reference,
                     struct str bytes, bool *ret_subject_known, struct error *err)
{
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    CLEANUP(strv) struct strv headers = STRV_INIT;
    CLEANUP(text) char *path = registry_path(p->copy->repository, "manifests", reference);
    struct registry_http call = REGISTRY_HTTP_INIT;

    strv_addf(&headers, "Content-Type: %s", d->media_type);
    if (!path || strv_ok(&headers, err) < 0)
        return error_no_memory(err);
    call.method = "PUT";
    call.repository = p->copy->repository;
    call.push = true;
    call.path = path;
    call.headers = &headers;
    call.body = bytes;
    if (registry_http(p->client, &call, &answer, err) < 0)
        return -1;
    if (answer.status != 201)
        return registry_status_error(p->client, path, &answer, err);
    *ret_subject_known = http_answer_header(&answer, "oci-subject") != NULL;
    return 0;
}

/* What is at the fallback tag now: a new index if nothing is. */
static int fallback_index(struct push *p, const char *tag, json_t **ret, struct error *err)
{
    CLEANUP(buf) struct buf bytes = BUF_INIT(LAYOUT_MANIFEST_MAX);
    CLEANUP(json) json_t *root = NULL;
    struct registry_ask ask = {.repository = p->copy->repository, .reference = tag};
    struct descriptor d;
    bool changed;

    if (registry_get_manifest(p->client, &ask, &bytes, &d, &changed, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
        *ret =
            json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType", OCI_INDEX, "manifests");
        return *ret ? 0 : error_no_memory(err);
    }
    if (json_parse(tag, buf_str(&bytes), &root, err) < 0)
        return -1;
    if (!media_type_is_index(d.media_type) || !json_is_array(json_object_get(root, "manifests")))
        return error_set(err, ERR_CONFLICT, "tag '%s' is no index of referrers", tag);
    *ret = TAKE(root);
    return 0;
}

static bool lists(const json_t *index, const char *digest)
{
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(index, "manifests"), i, item)
    {
        const char *there = json_str_at(item, "digest");
        if (there && strcmp(there, digest) == 0)
            return true;
    }
    return false;
}

/* distribution-spec, "Pushing Manifests with Subject": the registry does not keep referrers, so we
 * do, in an index at tag "sha256-HEX". */
static int add_to_fallback(struct push *p, const struct descriptor *subject, json_t *take_entry,
                           struct error *err)
{
    CLEANUP(json) json_t *entry = take_entry;
    CLEANUP(json) json_t *index = NULL;
    CLEANUP(buf) struct buf text = BUF_INIT(LAYOUT_MANIFEST_MAX);
    char tag[REFERENCE_TAG_MAX + 1];
    bool ignored;

    if (!entry)
        return error_no_memory(err);
    registry_digest_tag(&subject->digest, "", tag);
    if (fallback_index(p, tag, &index, err) < 0)
        return -1;
    if (lists(index, json_str_at(entry, "digest")))
        return 0;
    if (json_array_append(json_object_get(index, "manifests"), entry) < 0)
        return error_no_memory(err);
    if (json_write(index, false, &text, err) < 0)
        return -1;
    struct descriptor d = descriptor_of(OCI_INDEX, buf_str(&text));
    return put_bytes(p, &d, tag, buf_str(&text), &ignored, err);
}

static json_t *fallback_entry(const json_t *root, const struct descriptor *d)
{
    CLEANUP(json) json_t *entry = descriptor_to_json(d);
    json_t *type = json_object_get(root, "artifactType");
    json_t *annotations = json_object_get(root, "annotations");

    if (!type)
        type = json_at(root, "config.mediaType");
    if (!entry || (type && json_object_set(entry, "artifactType", type) < 0) ||
        (annotations && json_object_set(entry, "annotations", annotations) < 0))
        return NULL;
    return TAKE(entry);
}

static int put_manifest(struct push *p, const json_t *root, const struct descriptor *d,
                        const char *reference, struct str bytes, struct error *err)
{
    struct descriptor subject;
    bool subject_known;

    if (put_bytes(p, d, reference, bytes, &subject_known, err) < 0)
        return -1;
    const json_t *named = json_object_get(root, "subject");
    if (!json_is_object(named) || subject_known)
        return 0;
    if (descriptor_from_json(named, &subject, err) < 0)
        return -1;
    return add_to_fallback(p, &subject, fallback_entry(root, d), err);
}

static int push_manifest(struct push *p, const struct digest *digest, const char *reference,
                         unsigned depth, struct error *err);

static int push_children(struct push *p, const json_t *root, unsigned depth, struct error *err)
{
    const json_t *config = json_object_get(root, "config");
    struct descriptor d;
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(root, "manifests"), i, item)
    {
        if (descriptor_from_json(item, &d, err) < 0 ||
            push_manifest(p, &d.digest, NULL, depth + 1, err) < 0)
            return -1;
    }
    if (json_is_object(config) &&
        (descriptor_from_json(config, &d, err) < 0 ||
         registry_push_blob(p->client, p->copy->repository, &d, p->layout, NULL, err) < 0))
        return -1;
    json_array_foreach(json_object_get(root, "layers"), i, item)
    {
        if (descriptor_from_json(item, &d, err) < 0 ||
            registry_push_blob(p->client, p->copy->repository, &d, p->layout, NULL, err) < 0)
            return -1;
    }
    return 0;
}

static int push_referrers(struct push *p, const struct digest *digest, unsigned depth,
                          struct error *err)
{
    CLEANUP(json) json_t *list = NULL;
    struct descriptor d;
    json_t *item;
    size_t i;

    if (layout_referrers(p->layout, digest, NULL, &list, err) < 0)
        return -1;
    json_array_foreach(list, i, item)
    {
        if (descriptor_from_json(item, &d, err) < 0 ||
            push_manifest(p, &d.digest, NULL, depth + 1, err) < 0)
            return -1;
    }
    return 0;
}

static int push_around(struct push *p, const struct digest *digest, unsigned depth,
                       struct error *err)
{
    char tag[REFERENCE_TAG_MAX + 1];
    struct descriptor d;

    if ((p->copy->flags & REGISTRY_REFERRERS) && push_referrers(p, digest, depth, err) < 0)
        return -1;
    if (!(p->copy->flags & REGISTRY_COSIGN_TAGS) || depth > 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(cosign_suffixes); i++) {
        registry_digest_tag(digest, cosign_suffixes[i], tag);
        if (layout_resolve(p->layout, p->local_repository, tag, &d, err) < 0) {
            if (err->kind != ERR_NOT_FOUND)
                return -1;
            error_clear(err);
        } else if (push_manifest(p, &d.digest, tag, depth + 1, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* `reference` NULL: by digest. With one, what refers to the manifest goes before the tag, so that
 * nobody sees a tag whose signatures are still on the way. */
static int push_manifest(struct push *p, const struct digest *digest, const char *reference,
                         unsigned depth, struct error *err)
{
    CLEANUP(buf) struct buf bytes = BUF_INIT(LAYOUT_MANIFEST_MAX);
    CLEANUP(json) json_t *root = NULL;
    struct descriptor d;

    if (strv_has(&p->seen, digest->text) && !reference)
        return 0;
    if (depth > REGISTRY_DEPTH_MAX || p->seen.count >= REGISTRY_MANIFESTS_MAX)
        return error_set(err, ERR_LIMIT, "more than %d manifests, or deeper than %d",
                         REGISTRY_MANIFESTS_MAX, REGISTRY_DEPTH_MAX);
    if (layout_read_manifest(p->layout, digest, &root, &bytes, &d, err) < 0)
        return -1;
    if (!strv_has(&p->seen, digest->text)) {
        strv_add(&p->seen, digest->text);
        if (strv_ok(&p->seen, err) < 0 || push_children(p, root, depth, err) < 0 ||
            put_manifest(p, root, &d, digest->text, buf_str(&bytes), err) < 0 ||
            push_around(p, digest, depth, err) < 0)
            return error_wrap(err, "manifest %s", digest->text);
    }
    return reference ? put_manifest(p, root, &d, reference, buf_str(&bytes), err) : 0;
}

int registry_push(struct registry_client *c, const struct registry_copy *copy,
                  struct layout *layout, struct descriptor *ret, struct error *err)
{
    struct push p = {.client = c, .copy = copy, .layout = layout};
    struct digest by_digest;
    struct descriptor d = {0};
    bool is_digest = digest_parse(str_of(copy->reference), &by_digest);
    const char *tag = copy->local_tag ? copy->local_tag : copy->reference;

    p.local_repository = copy->local_repository ? copy->local_repository : copy->repository;
    if (!reference_is_repository(str_of(copy->repository)) ||
        (!is_digest && !reference_is_tag(str_of(copy->reference))))
        return error_set(err, ERR_INVALID, "'%s' with '%s' is no place for an image",
                         copy->repository, copy->reference);
    int result = is_digest ? layout_read_manifest(layout, &by_digest, NULL, NULL, &d, err)
                           : layout_resolve(layout, p.local_repository, tag, &d, err);
    if (result == 0)
        result = push_manifest(&p, &d.digest, is_digest ? NULL : copy->reference, 0, err);
    strv_done(&p.seen);
    if (result < 0)
        return error_wrap(err, "pushing '%s/%s'", c->host, copy->repository);
    *ret = d;
    return 0;
}
