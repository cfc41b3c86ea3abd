/* advisory/update.c - the public dump over HTTP: only what has changed is fetched. See advisory.h.
 *
 * What the server said of each source is kept in db_path + ".sources": {"url", "tags": {ECOSYSTEM:
 * ETag}}. The database is written once, after everything has arrived. */
#include <fcntl.h>

#include "advisory/import_internal.h"
#include "base/encode.h"
#include "base/fs.h"
#include "wire/http_client.h"
#include "wire/json.h"

enum { UPDATE_TIMEOUT_MS = 15 * 60 * 1000, UPDATE_REMEMBER_MAX = 1000 };
#define UPDATE_BYTES_MAX ((size_t)4 << 30) /* of one archive: npm's has 300 MB in 2026 */

struct update {
    const char *url;
    struct http_client *client; /* owned */
    json_t *tags;               /* owned: of before, then of now */
    char *folder;               /* owned: where archives arrive */
    struct import import;
};

static void update_done(struct update *u)
{
    struct error ignored = ERROR_INIT;

    http_client_free(u->client);
    json_decref(u->tags);
    if (u->folder && fs_remove_tree(AT_FDCWD, u->folder, &ignored) < 0)
        error_clear(&ignored); /* scratch: the next update has a folder of its own */
    free(u->folder);
    import_done(&u->import);
}
DEFINE_CLEANUP_VALUE(update, struct update, update_done)

static int on_body(struct str bytes, void *ctx, struct error *err)
{
    const int *fd = ctx;

    return io_write(*fd, bytes.ptr, bytes.len, err);
}

static int read_tags(struct update *u, const char *path, struct error *err)
{
    CLEANUP(json) json_t *root = NULL;
    const char *url;

    if (json_read_file(AT_FDCWD, path, &root, err) < 0) {
        if (err->kind != ERR_NOT_FOUND && err->kind != ERR_INVALID)
            return -1;
        error_clear(err); /* without it everything is fetched */
    }
    url = json_str_at(root, "url");
    /* Tags of another server, or of a database that is gone, say nothing. */
    if (url && strcmp(url, u->url) == 0 && fs_exists(AT_FDCWD, u->import.db_path))
        u->tags = json_incref(json_object_get(root, "tags"));
    if (!json_is_object(u->tags)) {
        json_decref(u->tags);
        u->tags = json_object();
    }
    return u->tags ? 0 : error_no_memory(err);
}

static int write_tags(struct update *u, const char *path, struct error *err)
{
    CLEANUP(json) json_t *root = json_pack("{sssO}", "url", u->url, "tags", u->tags);
    CLEANUP(buf) struct buf text = BUF_INIT(1 << 20);

    if (!root)
        return error_no_memory(err);
    if (json_write_pretty(root, &text, err) < 0)
        return -1;
    return fs_write_quick(AT_FDCWD, path, buf_str(&text), 0644, err);
}

/* GET URL/ECOSYSTEM/all.zip into `path`; *ret_changed is false if the server says it is as before.
 */
static int fetch(struct update *u, const char *ecosystem, const char *path, bool *ret_changed,
                 struct error *err)
{
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    CLEANUP(buf) struct buf url = BUF_INIT(4096);
    CLEANUP(text) char *condition = NULL;
    CLEANUP(fd) int fd = -1;
    const char *tag = json_string_value(json_object_get(u->tags, ecosystem));
    const char *headers[2] = {NULL, NULL};
    struct http_call call = {.timeout_ms = UPDATE_TIMEOUT_MS,
                             .answer_max = UPDATE_BYTES_MAX,
                             .headers = headers,
                             .on_body = on_body,
                             .ctx = &fd};

    buf_addf(&url, "%s/", u->url);
    percent_encode(str_of(ecosystem), "", &url);
    buf_add_text(&url, "/all.zip");
    condition = tag ? str_format("If-None-Match: %s", tag) : NULL;
    headers[0] = condition;
    call.url = buf_text(&url);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(err, "creating '%s'", path);
    if (buf_ok(&url, err) < 0 || http_client_call(u->client, &call, &answer, err) < 0)
        return -1;
    *ret_changed = answer.status != 304;
    if (answer.status == 304)
        return 0;
    if (answer.status != 200)
        return error_set(err, answer.status == 404 ? ERR_NOT_FOUND : ERR_UNAVAILABLE,
                         "'%s' answered %d", call.url, answer.status);
    tag = http_answer_header(&answer, "etag");
    if (tag && json_object_set_new(u->tags, ecosystem, json_string(tag)) < 0)
        return error_no_memory(err);
    if (!tag)
        (void)json_object_del(u->tags, ecosystem); /* absent is fine */
    return 0;
}

static int update_ecosystem(struct update *u, const char *ecosystem, struct error *err)
{
    CLEANUP(text) char *path = fs_join(u->folder, "all.zip");
    CLEANUP(text) char *shown = str_format("%s/all.zip", ecosystem);
    bool has_changed = false;

    if (!path || !shown)
        return error_no_memory(err);
    if (fetch(u, ecosystem, path, &has_changed, err) < 0)
        return error_wrap(err, "fetching advisories of %s", ecosystem);
    if (!has_changed) {
        u->import.report.sources++;
        u->import.report.not_changed++;
        return 0;
    }
    return import_zip(&u->import, path, shown, err);
}

int advisory_update(const char *db_path, const struct advisory_update_options *options,
                    struct advisory_report *ret_report, struct error *err)
{
    static const char *const usual[] = {"npm", "Debian", NULL};
    CLEANUP(update)
    struct update u = {.url = options->url ? options->url : ADVISORY_DEFAULT_URL,
                       .import = IMPORT_INIT(db_path)};
    CLEANUP(text) char *tags_path = str_format("%s.sources", db_path);
    CLEANUP(text) char *prefix = str_format("%s.new-", db_path);
    const char *const *ecosystems = options->ecosystems ? options->ecosystems : usual;
    struct http_client_options http = {.trust_bundle_path = options->trust_bundle_path,
                                       .use_environment_proxy = true};

    if (!tags_path || !prefix)
        return error_no_memory(err);
    if (import_begin(&u.import, err) < 0 || http_client_new(&http, &u.client, err) < 0 ||
        read_tags(&u, tags_path, err) < 0 || fs_make_temp_dir(prefix, &u.folder, err) < 0)
        return error_wrap(err, "updating advisories");
    for (; *ecosystems; ecosystems++) {
        if (update_ecosystem(&u, *ecosystems, err) < 0)
            return -1;
    }
    if (import_end(&u.import, options->now_s, ret_report, err) < 0)
        return error_wrap(err, "updating advisories");
    return write_tags(&u, tags_path, err);
}
