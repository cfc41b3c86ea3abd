/* build/npm.c - see npm.h. */
#include "build/npm.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/fs.h"
#include "wire/http_client.h"

enum {
    META_MAX = 64 << 20,     /* bytes: npm's own abbreviated metadata has 3 MB */
    TARBALL_MAX = 512 << 20, /* bytes: Node 26 has 55 MB */
    FETCH_TIMEOUT_MS = 10 * 60 * 1000,
    SHA512_SIZE = 64,
    NAME_MAX_LEN = 214, /* npm's limit for names */
};

void npm_package_done(struct npm_package *package)
{
    free(package->name);
    free(package->version);
    free(package->tarball);
    free(package->integrity);
    *package = (struct npm_package){0};
}

static int client_new(const struct npm_registry *options, struct http_client **ret,
                      struct error *err)
{
    const struct http_client_options http = {.trust_bundle_path = options->trust_bundle,
                                             .use_environment_proxy = true};

    return http_client_new(&http, ret, err);
}

static int get(const struct npm_registry *options, const char *url, const char *accept, size_t max,
               struct http_answer *answer, struct error *err)
{
    CLEANUP(http_client) struct http_client *client = NULL;
    const char *const headers[] = {accept, NULL};
    const struct http_call call = {.url = url,
                                   .headers = headers,
                                   .answer_max = max,
                                   .timeout_ms = FETCH_TIMEOUT_MS,
                                   .body_fd = -1};

    if (client_new(options, &client, err) < 0)
        return -1;
    if (http_client_call(client, &call, answer, err) < 0)
        return error_wrap(err, "fetching '%s'", url);
    if (answer->status == 404)
        return error_set(err, ERR_NOT_FOUND, "'%s' is not there", url);
    if (answer->status != 200)
        return error_set(err, ERR_UNAVAILABLE, "'%s' answered %d", url, answer->status);
    return 0;
}

/* "@scope/name" as a file name and in a URL. */
static char *name_flat(const char *name, const char *slash)
{
    CLEANUP(buf) struct buf out = BUF_INIT(4096);

    for (; *name; name++) {
        if (*name == '/')
            buf_add_text(&out, slash);
        else
            buf_add_char(&out, *name);
    }
    return buf_take(&out);
}

static bool is_fresh(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && clock_now_s() - st.st_mtim.tv_sec < REGISTRY_META_TTL_S;
}

static int fetch_metadata(const struct npm_registry *options, const char *name, const char *path,
                          json_t **ret, struct error *err)
{
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    CLEANUP(text) char *in_url = name_flat(name, "%2f");
    CLEANUP(text) char *url = in_url ? str_format("%s/%s", options->url, in_url) : NULL;

    if (!url)
        return error_no_memory(err);
    if (get(options, url, "Accept: application/vnd.npm.install-v1+json", META_MAX, &answer, err) <
            0 ||
        json_parse(url, buf_str(&answer.body), ret, err) < 0)
        return -1;
    return fs_write_quick(AT_FDCWD, path, buf_str(&answer.body), 0644, err);
}

static int metadata(const struct npm_registry *options, const char *name, json_t **ret,
                    struct error *err)
{
    CLEANUP(text) char *flat = name_flat(name, "+");
    CLEANUP(text) char *dir = fs_join(options->cache_dir, "meta");
    CLEANUP(text) char *path = dir && flat ? str_format("%s/%s.json", dir, flat) : NULL;
    struct error stale = ERROR_INIT;

    if (!path)
        return error_no_memory(err);
    if (fs_make_dirs(AT_FDCWD, dir, 0755, err) < 0)
        return -1;
    if (is_fresh(path) && json_read_file(AT_FDCWD, path, ret, &stale) == 0)
        return 0;
    if (fetch_metadata(options, name, path, ret, err) == 0)
        return 0;
    /* the registry is away: what we knew is better than nothing */
    if (err->kind != ERR_UNAVAILABLE && err->kind != ERR_TIMEOUT)
        return -1;
    if (json_read_file(AT_FDCWD, path, ret, &stale) < 0)
        return -1;
    error_clear(err);
    return 0;
}

struct choice {
    const struct semver_range *range;
    const struct semver *node;
    const json_t *best;
    struct semver best_version;
    bool best_deprecated;
    char newest[80]; /* for the text of NOT_FOUND */
    struct semver newest_version;
};

static bool engine_holds(const json_t *version, const struct semver *node)
{
    const char *text = json_str_at(version, "engines.node");
    CLEANUP(semver_range)
    struct semver_range *range = text ? semver_range_parse(str_of(text)) : NULL;

    return !node || !range || semver_range_has(range, node);
}

static void consider(struct choice *c, const char *text, const json_t *version)
{
    struct semver v;
    bool deprecated = json_object_get(version, "deprecated") != NULL;

    if (!semver_parse(str_of(text), &v))
        return;
    if (!v.pre[0] && semver_compare(&v, &c->newest_version) > 0) {
        c->newest_version = v;
        snprintf(c->newest, sizeof(c->newest), "%s", text);
    }
    if (!semver_range_has(c->range, &v) || !engine_holds(version, c->node))
        return;
    bool better = !c->best || (c->best_deprecated && !deprecated) ||
                  (c->best_deprecated == deprecated && semver_compare(&v, &c->best_version) > 0);
    if (better) {
        c->best = version;
        c->best_version = v;
        c->best_deprecated = deprecated;
    }
}

static int take_choice(const json_t *version, const char *name, struct npm_package *ret,
                       struct error *err)
{
    const char *text = json_str_at(version, "version");
    const char *tarball = json_str_at(version, "dist.tarball");
    const char *integrity = json_str_at(version, "dist.integrity");

    if (!text || !tarball || !integrity)
        return error_set(err, ERR_INVALID,
                         "the registry's record of '%s' has no version, tarball or integrity",
                         name);
    ret->name = strdup(name);
    ret->version = strdup(text);
    ret->tarball = strdup(tarball);
    ret->integrity = strdup(integrity);
    if (ret->name && ret->version && ret->tarball && ret->integrity)
        return 0;
    npm_package_done(ret);
    return error_no_memory(err);
}

int npm_registry_pick(const struct npm_registry *options, const char *name, const char *range_text,
                      const struct semver *node, struct npm_package *ret, struct error *err)
{
    CLEANUP(semver_range) struct semver_range *range = semver_range_parse(str_of(range_text));
    CLEANUP(json) json_t *root = NULL;
    struct choice choice = {.range = range, .node = node};
    const char *text;
    json_t *version;

    if (!range)
        return error_set(err, ERR_INVALID, "'%s' is no version range", range_text);
    if (strlen(name) > NAME_MAX_LEN)
        return error_set(err, ERR_INVALID, "'%s' is no package name", name);
    if (metadata(options, name, &root, err) < 0)
        return -1;
    json_object_foreach(json_object_get(root, "versions"), text, version)
        consider(&choice, text, version);
    if (!choice.best)
        return error_set(err, ERR_NOT_FOUND, "no version of '%s' fits '%s'; the newest is %s", name,
                         range_text, choice.newest);
    return take_choice(choice.best, name, ret, err);
}

/* --- tarballs --- */

struct download {
    int fd;
    uint64_t size;
    EVP_MD_CTX *hash;
};

static int on_body(struct str bytes, void *ctx, struct error *err)
{
    struct download *d = ctx;

    d->size += bytes.len;
    if (d->size > TARBALL_MAX)
        return error_set(err, ERR_LIMIT, "the tarball is larger than %d MiB", TARBALL_MAX >> 20);
    if (EVP_DigestUpdate(d->hash, bytes.ptr, bytes.len) != 1)
        return error_set(err, ERR_INTERNAL, "hashing failed");
    return io_write(d->fd, bytes.ptr, bytes.len, err);
}

/* Subresource Integrity may list several hashes; the sha512 one counts. */
static bool integrity_holds(const char *integrity, const uint8_t sum[SHA512_SIZE])
{
    CLEANUP(buf) struct buf want = BUF_INIT(256);
    struct str rest = str_of(integrity);

    for (struct str word = str_word(&rest); word.len; word = str_word(&rest)) {
        if (str_starts(word, STR("sha512-")) && base64_decode(str_skip(word, 7), &want))
            return want.len == SHA512_SIZE && memcmp(want.ptr, sum, SHA512_SIZE) == 0;
    }
    return false;
}

static int download_to(const struct npm_registry *options, const struct npm_package *package,
                       int fd, struct error *err)
{
    CLEANUP(http_client) struct http_client *client = NULL;
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    struct download download = {fd, 0, EVP_MD_CTX_new()};
    const struct http_call call = {.url = package->tarball,
                                   .timeout_ms = FETCH_TIMEOUT_MS,
                                   .on_body = on_body,
                                   .ctx = &download,
                                   .body_fd = -1,
                                   .answer_max = TARBALL_MAX};
    uint8_t sum[SHA512_SIZE];
    int result = -1;

    if (!download.hash || EVP_DigestInit_ex(download.hash, EVP_sha512(), NULL) != 1)
        error_no_memory(err);
    else if (client_new(options, &client, err) == 0)
        result = http_client_call(client, &call, &answer, err);
    if (result == 0 && answer.status != 200)
        result =
            error_set(err, ERR_UNAVAILABLE, "'%s' answered %d", package->tarball, answer.status);
    if (result == 0 && EVP_DigestFinal_ex(download.hash, sum, NULL) != 1)
        result = error_set(err, ERR_INTERNAL, "hashing failed");
    EVP_MD_CTX_free(download.hash);
    if (result < 0)
        return error_wrap(err, "fetching %s %s", package->name, package->version);
    if (!integrity_holds(package->integrity, sum))
        return error_set(err, ERR_UNTRUSTED,
                         "%s %s: the tarball is not what the registry's integrity %s says",
                         package->name, package->version, package->integrity);
    return 0;
}

int npm_registry_fetch(const struct npm_registry *options, const struct npm_package *package,
                       char **ret_path, struct error *err)
{
    CLEANUP(text) char *dir = fs_join(options->cache_dir, "tarballs");
    struct digest key = digest_of(str_of(package->integrity));
    CLEANUP(text) char *path = dir ? str_format("%s/%s.tgz", dir, digest_hex(&key)) : NULL;
    CLEANUP(text) char *unfinished = path ? str_format("%s.%d", path, (int)getpid()) : NULL;
    CLEANUP(fd) int fd = -1;
    struct error ignored = ERROR_INIT;

    if (!unfinished)
        return error_no_memory(err);
    if (!fs_exists(AT_FDCWD, path)) {
        if (fs_make_dirs(AT_FDCWD, dir, 0755, err) < 0)
            return -1;
        fd = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0)
            return error_errno(err, "making '%s'", unfinished);
        if (download_to(options, package, fd, err) < 0 ||
            fs_rename(AT_FDCWD, unfinished, path, err) < 0) {
            if (fs_remove(AT_FDCWD, unfinished, &ignored) < 0)
                error_clear(&ignored); /* the error above counts */
            return -1;
        }
    }
    *ret_path = TAKE(path);
    return 0;
}
