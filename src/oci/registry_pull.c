/* oci/registry_pull.c - from a registry into a layout: what a manifest names, who refers to it,
 * then its tag. */
#include "oci/image.h"
#include "oci/registry_client_internal.h"

enum {
    BLOB_RATE_MIN = 64 << 10, /* bytes a second: slower than this is a stalled peer */
    BLOB_TIMEOUT_MIN_MS = 120000,
};

static const char *const cosign_suffixes[] = {".sig", ".att", ".sbom", ""};

struct pull {
    struct registry_client *client;
    const struct registry_copy *copy;
    const char *local_repository;
    struct layout *layout;
    struct strv seen; /* digests of manifests that are done or under way */
};

/* --- blobs --- */

struct blob_sink {
    struct layout *layout;
    const struct descriptor *blob;
    struct layout_writer *writer; /* owned */
};

static int sink_restart(void *ctx, struct error *err)
{
    struct blob_sink *sink = ctx;

    layout_writer_free(sink->writer);
    sink->writer = NULL;
    return layout_writer_new(sink->layout, &sink->writer, err);
}

static int sink_add(struct str bytes, void *ctx, struct error *err)
{
    struct blob_sink *sink = ctx;

    /* Before hashing: a peer that sends on for ever is stopped at the promised size. */
    if (layout_writer_size(sink->writer) + bytes.len > sink->blob->size)
        return error_set(err, ERR_UNTRUSTED, "blob %s is longer than its %llu bytes",
                         sink->blob->digest.text, (unsigned long long)sink->blob->size);
    return layout_writer_add(sink->writer, bytes, err);
}

static int fetch_blob(struct registry_client *c, const char *repository, struct blob_sink *sink,
                      struct error *err)
{
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    CLEANUP(text) char *path = registry_path(repository, "blobs", sink->blob->digest.text);
    struct registry_http call = REGISTRY_HTTP_INIT;
    uint64_t slowest_ms = sink->blob->size / BLOB_RATE_MIN * 1000;
    struct digest got;

    if (!path)
        return error_no_memory(err);
    call.repository = repository;
    call.path = path;
    call.timeout_ms =
        BLOB_TIMEOUT_MIN_MS + (int)(slowest_ms > INT32_MAX / 2 ? INT32_MAX / 2 : slowest_ms);
    call.answer_max = (size_t)sink->blob->size + (64 << 10);
    call.restart = sink_restart;
    call.on_body = sink_add;
    call.ctx = sink;
    if (registry_http(c, &call, &answer, err) < 0)
        return -1;
    if (answer.status != 200)
        return registry_status_error(c, path, &answer, err);
    return layout_writer_commit(sink->writer, &sink->blob->digest, &got, err);
}

int registry_pull_blob(struct registry_client *c, const char *repository,
                       const struct descriptor *blob, struct layout *layout, struct error *err)
{
    struct blob_sink sink = {.layout = layout, .blob = blob};
    struct error ignored = ERROR_INIT; /* not there: then it is fetched */
    uint64_t size;

    if (layout_open_blob(layout, &blob->digest, NULL, &size, &ignored) == 0 && size == blob->size)
        return 0;
    if (blob->size > c->blob_max)
        return error_set(err, ERR_LIMIT, "blob %s has %llu bytes, the limit is %llu",
                         blob->digest.text, (unsigned long long)blob->size,
                         (unsigned long long)c->blob_max);
    int result = fetch_blob(c, repository, &sink, err);
    layout_writer_free(sink.writer);
    return result < 0 ? error_wrap(err, "pulling from registry '%s'", c->host) : 0;
}

/* --- manifests --- */

static int pull_manifest(struct pull *p, const struct digest *digest, unsigned depth,
                         bool *ret_kept, struct error *err);

/* The manifest's bytes: ours if we have them. */
static int get_bytes(struct pull *p, const struct digest *digest, struct buf *bytes,
                     struct descriptor *ret, struct error *err)
{
    struct registry_ask ask = {.repository = p->copy->repository, .reference = digest->text};
    struct error ignored = ERROR_INIT; /* not here, or damaged: then it is fetched */
    bool changed;

    if (layout_read_manifest(p->layout, digest, NULL, bytes, ret, &ignored) == 0)
        return 0;
    buf_clear(bytes);
    return registry_get_manifest(p->client, &ask, bytes, ret, &changed, err);
}

static int pull_list(struct pull *p, const json_t *list, struct error *err)
{
    struct descriptor d;
    json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (descriptor_from_json(item, &d, err) < 0 ||
            registry_pull_blob(p->client, p->copy->repository, &d, p->layout, err) < 0)
            return -1;
    }
    return 0;
}

static int pull_index(struct pull *p, const json_t *root, unsigned depth, struct error *err)
{
    struct descriptor d;
    bool kept;
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(root, "manifests"), i, item)
    {
        if (descriptor_from_json(item, &d, err) < 0 ||
            pull_manifest(p, &d.digest, depth + 1, &kept, err) < 0)
            return -1;
    }
    return 0;
}

static int pull_children(struct pull *p, const json_t *root, const struct descriptor *d,
                         unsigned depth, struct error *err)
{
    struct descriptor config;

    if (media_type_is_index(d->media_type))
        return pull_index(p, root, depth, err);
    if (!media_type_is_manifest(d->media_type)) /* unknown: kept as it is, never parsed */
        return 0;
    if (descriptor_from_json(json_object_get(root, "config"), &config, err) < 0 ||
        registry_pull_blob(p->client, p->copy->repository, &config, p->layout, err) < 0)
        return -1;
    return pull_list(p, json_object_get(root, "layers"), err);
}

static int pull_referrers(struct pull *p, const struct digest *digest, unsigned depth,
                          struct error *err)
{
    CLEANUP(json) json_t *list = NULL;
    struct descriptor d;
    bool kept;
    json_t *item;
    size_t i;

    if (registry_referrers(p->client, p->copy->repository, digest, &list, err) < 0)
        return -1;
    json_array_foreach(list, i, item)
    {
        if (descriptor_from_json(item, &d, err) < 0 ||
            pull_manifest(p, &d.digest, depth + 1, &kept, err) < 0)
            return error_wrap(err, "referrers of %s", digest->text);
    }
    return 0;
}

/* A tag there, with everything below, under the same name here. Absent: fine. */
static int pull_tag_if_any(struct pull *p, const char *tag, unsigned depth, struct error *err)
{
    CLEANUP(buf) struct buf bytes = BUF_INIT(LAYOUT_MANIFEST_MAX);
    struct registry_ask ask = {.repository = p->copy->repository, .reference = tag};
    struct descriptor d;
    bool changed, kept;

    if (registry_get_manifest(p->client, &ask, &bytes, &d, &changed, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    if (pull_manifest(p, &d.digest, depth + 1, &kept, err) < 0)
        return error_wrap(err, "tag '%s'", tag);
    return layout_tag(p->layout, p->local_repository, tag, &d, err);
}

static int pull_around(struct pull *p, const struct digest *digest, unsigned depth,
                       struct error *err)
{
    char tag[REFERENCE_TAG_MAX + 1];

    if ((p->copy->flags & REGISTRY_REFERRERS) && pull_referrers(p, digest, depth, err) < 0)
        return -1;
    if (!(p->copy->flags & REGISTRY_COSIGN_TAGS) || depth > 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(cosign_suffixes); i++) {
        registry_digest_tag(digest, cosign_suffixes[i], tag);
        if (pull_tag_if_any(p, tag, depth, err) < 0)
            return -1;
    }
    return 0;
}

/* *ret_kept false: it was pulled before in this copy. */
static int pull_manifest(struct pull *p, const struct digest *digest, unsigned depth,
                         bool *ret_kept, struct error *err)
{
    CLEANUP(buf) struct buf bytes = BUF_INIT(LAYOUT_MANIFEST_MAX);
    CLEANUP(json) json_t *root = NULL;
    struct descriptor d, stored;

    *ret_kept = false;
    if (strv_has(&p->seen, digest->text))
        return 0;
    if (depth > REGISTRY_DEPTH_MAX || p->seen.count >= REGISTRY_MANIFESTS_MAX)
        return error_set(err, ERR_LIMIT, "more than %d manifests, or deeper than %d",
                         REGISTRY_MANIFESTS_MAX, REGISTRY_DEPTH_MAX);
    strv_add(&p->seen, digest->text);
    if (strv_ok(&p->seen, err) < 0 || get_bytes(p, digest, &bytes, &d, err) < 0)
        return -1;
    if (json_parse(digest->text, buf_str(&bytes), &root, err) < 0 ||
        pull_children(p, root, &d, depth, err) < 0)
        return error_wrap(err, "manifest %s", digest->text);
    if (layout_put_manifest(p->layout, d.media_type, buf_str(&bytes), &stored, err) < 0)
        return -1;
    *ret_kept = true;
    return pull_around(p, digest, depth, err);
}

/* The digest that the reference means there; of an index, with ONE_PLATFORM, that of our image in
 * it. */
static int resolve(struct pull *p, struct descriptor *ret, struct error *err)
{
    CLEANUP(buf) struct buf bytes = BUF_INIT(LAYOUT_MANIFEST_MAX);
    CLEANUP(json) json_t *root = NULL;
    struct registry_ask ask = {.repository = p->copy->repository, .reference = p->copy->reference};
    bool changed;

    if (registry_get_manifest(p->client, &ask, &bytes, ret, &changed, err) < 0)
        return -1;
    if (!(p->copy->flags & REGISTRY_ONE_PLATFORM) || !media_type_is_index(ret->media_type))
        return 0;
    if (json_parse("index", buf_str(&bytes), &root, err) < 0)
        return -1;
    const json_t *entry = image_index_pick(root, NULL);
    if (!entry)
        return error_set(err, ERR_NOT_FOUND, "'%s' has no image for %s", p->copy->reference,
                         image_platform());
    return descriptor_from_json(entry, ret, err);
}

int registry_pull(struct registry_client *c, const struct registry_copy *copy,
                  struct layout *layout, struct descriptor *ret, struct error *err)
{
    struct pull p = {.client = c, .copy = copy, .layout = layout};
    const char *tag = copy->local_tag;
    struct descriptor d;
    bool kept;

    p.local_repository = copy->local_repository ? copy->local_repository : copy->repository;
    if (!tag && reference_is_tag(str_of(copy->reference)))
        tag = copy->reference;
    int result = resolve(&p, &d, err);
    if (result == 0)
        result = pull_manifest(&p, &d.digest, 0, &kept, err);
    strv_done(&p.seen);
    if (result == 0 && tag)
        result = layout_tag(layout, p.local_repository, tag, &d, err);
    if (result < 0)
        return error_wrap(err, "pulling '%s/%s'", c->host, copy->repository);
    *ret = d;
    return 0;
}
