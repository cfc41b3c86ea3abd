/* kube/config.c - kubeconfig text → one context's server and credentials. */
#include "kube/config.h"

#include <fcntl.h>

#include "base/encode.h"
#include "base/fs.h"
#include "wire/doc.h"

struct reading {
    const struct doc *doc;
    int dir_fd;
};

/* The `what` object of the named entry of a list such as clusters[]{name, cluster}. */
static int find_named(const struct reading *in, const char *list_key, const char *what,
                      const char *name, json_t **ret, struct error *err)
{
    json_t *root = doc_root(in->doc);
    json_t *list = json_object_get(root, list_key);
    size_t i;
    json_t *item;

    json_array_foreach(list, i, item)
    {
        const char *item_name = json_string_value(json_object_get(item, "name"));
        if (!item_name || strcmp(item_name, name) != 0)
            continue;
        json_t *found = json_object_get(item, what);
        if (!json_is_object(found)) {
            return error_at(err, ERR_INVALID, doc_place_item(in->doc, list, i),
                            "expected '%s' with an object in '%s'", what, name);
        }
        *ret = found;
        return 0;
    }
    return error_at(err, ERR_NOT_FOUND, doc_key_place(in->doc, root, list_key),
                    "no entry '%s' under '%s'", name, list_key);
}

/* A string member, or NULL if absent; anything else than a string is a fault. */
static int text_of(const struct reading *in, const json_t *object, const char *key,
                   const char **ret, struct error *err)
{
    const json_t *value = json_object_get(object, key);

    *ret = NULL;
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_string(value)) {
        return error_at(err, ERR_INVALID, doc_place_key(in->doc, object, key),
                        "expected text for '%s'", key);
    }
    *ret = json_string_value(value);
    return 0;
}

static int read_data(const struct reading *in, const json_t *object, const char *key,
                     const char *base64, struct buf *out, struct error *err)
{
    if (!base64_decode(str_of(base64), out)) {
        return error_at(err, ERR_INVALID, doc_place_key(in->doc, object, key),
                        "expected base64 in '%s'", key);
    }
    return buf_ok(out, err);
}

/* "<key>-data" (base64) or else the file that `key` names. *ret_is_there false if neither is given.
 */
static int read_bytes(const struct reading *in, const json_t *object, const char *key,
                      struct buf *out, bool *ret_is_there, struct error *err)
{
    char data_key[64];
    const char *data = NULL;
    const char *path = NULL;

    (void)snprintf(data_key, sizeof data_key, "%s-data", key); /* keys are short literals */
    if (text_of(in, object, data_key, &data, err) < 0 || text_of(in, object, key, &path, err) < 0)
        return -1;
    *ret_is_there = (data && *data) || (path && *path);
    if (data && *data)
        return read_data(in, object, data_key, data, out, err);
    if (!path || !*path)
        return 0;
    if (fs_read_at(in->dir_fd, path, out, err) < 0)
        return error_wrap(err, "reading '%s' of the kubeconfig", key);
    return buf_ok(out, err);
}

static int read_pem(const struct reading *in, const json_t *object, const char *key, char **ret,
                    struct error *err)
{
    CLEANUP(buf) struct buf bytes = BUF_INIT(KUBE_CONFIG_MAX);
    bool is_there = false;

    if (read_bytes(in, object, key, &bytes, &is_there, err) < 0)
        return -1;
    if (!is_there)
        return 0;
    *ret = buf_take(&bytes);
    return *ret ? 0 : error_no_memory(err);
}

static int read_secret(const struct reading *in, const json_t *object, const char *key,
                       struct secret *ret, struct error *err)
{
    CLEANUP(buf) struct buf bytes = BUF_INIT(KUBE_CONFIG_MAX);
    bool is_there = false;

    if (read_bytes(in, object, key, &bytes, &is_there, err) < 0)
        return -1;
    int result = is_there ? secret_set(ret, buf_str(&bytes), err) : 0;
    if (bytes.ptr)
        explicit_bzero(bytes.ptr, bytes.len);
    return result;
}

static int copy_text(const char *text, char **ret, struct error *err)
{
    *ret = str_dup(str_of(text));
    return *ret ? 0 : error_no_memory(err);
}

static int read_cluster(const struct reading *in, const json_t *cluster, struct kube_config *out,
                        struct error *err)
{
    const char *server = NULL;
    const char *name = NULL;
    const char *proxy = NULL;

    if (text_of(in, cluster, "server", &server, err) < 0 ||
        text_of(in, cluster, "tls-server-name", &name, err) < 0 ||
        text_of(in, cluster, "proxy-url", &proxy, err) < 0)
        return -1;
    if (!server || (!str_starts(str_of(server), STR("https://")) &&
                    !str_starts(str_of(server), STR("http://")))) {
        return error_at(err, ERR_INVALID, doc_place_key(in->doc, cluster, "server"),
                        "expected an address that starts with https:// for 'server'");
    }
    if (proxy && *proxy) {
        return error_at(err, ERR_UNSUPPORTED, doc_place_key(in->doc, cluster, "proxy-url"),
                        "'proxy-url' is not done here");
    }
    struct str trimmed = str_trim_end(str_of(server), '/');
    out->server = str_dup(trimmed);
    if (!out->server)
        return error_no_memory(err);
    if (name && *name && copy_text(name, &out->tls_server_name, err) < 0)
        return -1;
    out->insecure = json_is_true(json_object_get(cluster, "insecure-skip-tls-verify"));
    return read_pem(in, cluster, "certificate-authority", &out->ca_pem, err);
}

static int read_user(const struct reading *in, const json_t *user, struct kube_config *out,
                     struct error *err)
{
    static const char *const not_done[] = {"exec", "auth-provider", "username", "as"};
    const char *token = NULL;
    const char *token_file = NULL;

    for (size_t i = 0; i < ARRAY_LEN(not_done); i++) {
        if (json_object_get(user, not_done[i])) {
            return error_at(err, ERR_UNSUPPORTED, doc_key_place(in->doc, user, not_done[i]),
                            "credentials by '%s' are not done here: use a client certificate or "
                            "a token",
                            not_done[i]);
        }
    }
    if (read_pem(in, user, "client-certificate", &out->client_cert_pem, err) < 0 ||
        read_secret(in, user, "client-key", &out->client_key_pem, err) < 0 ||
        text_of(in, user, "token", &token, err) < 0 ||
        text_of(in, user, "tokenFile", &token_file, err) < 0)
        return -1;
    if (token_file && *token_file) /* its content replaces `token` */
        return secret_read(&out->token, in->dir_fd, token_file, err);
    return token && *token ? secret_set(&out->token, str_of(token), err) : 0;
}

static int read_context(const struct reading *in, const char *name, struct kube_config *out,
                        struct error *err)
{
    json_t *context = NULL;
    json_t *cluster = NULL;
    json_t *user = NULL;
    const char *cluster_name = NULL;
    const char *user_name = NULL;
    const char *ns = NULL;

    if (find_named(in, "contexts", "context", name, &context, err) < 0 ||
        text_of(in, context, "cluster", &cluster_name, err) < 0 ||
        text_of(in, context, "user", &user_name, err) < 0 ||
        text_of(in, context, "namespace", &ns, err) < 0)
        return -1;
    if (!cluster_name) {
        return error_at(err, ERR_INVALID, doc_place(in->doc, context),
                        "expected 'cluster' in context '%s'", name);
    }
    if (find_named(in, "clusters", "cluster", cluster_name, &cluster, err) < 0 ||
        read_cluster(in, cluster, out, err) < 0)
        return -1;
    if (user_name && *user_name &&
        (find_named(in, "users", "user", user_name, &user, err) < 0 ||
         read_user(in, user, out, err) < 0))
        return -1;
    if (copy_text(name, &out->context, err) < 0 ||
        copy_text(user_name ? user_name : "", &out->user, err) < 0)
        return -1;
    return copy_text(ns && *ns ? ns : "default", &out->ns, err);
}

int kube_config_parse(const char *name, struct str text, int dir_fd, const char *context,
                      struct kube_config *ret, struct error *err)
{
    CLEANUP(doc) struct doc *doc = NULL;
    CLEANUP(kube_config) struct kube_config out = KUBE_CONFIG_INIT;
    const char *current = NULL;

    if (text.len > KUBE_CONFIG_MAX)
        return error_set(err, ERR_LIMIT, "'%s' is larger than a kubeconfig may be", name);
    if (yaml_parse_one(name, text, &doc, err) < 0)
        return -1;
    struct reading in = {doc, dir_fd};
    if (!json_is_object(doc_root(doc))) {
        return error_at(err, ERR_INVALID, doc_place(doc, doc_root(doc)),
                        "expected a kubeconfig object");
    }
    if (text_of(&in, doc_root(doc), "current-context", &current, err) < 0)
        return -1;
    const char *wanted = context ? context : current;
    if (!wanted || !*wanted) {
        return error_at(err, ERR_INVALID, doc_place(doc, doc_root(doc)),
                        "expected 'current-context', or a context to be chosen");
    }
    if (read_context(&in, wanted, &out, err) < 0)
        return -1;
    *ret = out;
    out = (struct kube_config)KUBE_CONFIG_INIT;
    return 0;
}

int kube_config_load(const char *path, const char *context, struct kube_config *ret,
                     struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(KUBE_CONFIG_MAX);
    CLEANUP(fd) int dir_fd = -1;
    struct str whole = str_of(path);
    ptrdiff_t slash = str_find_last(whole, '/');
    CLEANUP(text)
    char *dir =
        slash < 0 ? str_dup(STR(".")) : str_dup(str_first(whole, slash == 0 ? 1 : (size_t)slash));

    if (!dir)
        return error_no_memory(err);
    if (fs_read_at(AT_FDCWD, path, &text, err) < 0 || fs_open_dir(AT_FDCWD, dir, &dir_fd, err) < 0)
        return error_wrap(err, "reading kubeconfig '%s'", path);
    int result = kube_config_parse(path, buf_str(&text), dir_fd, context, ret, err);
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    return result;
}

static int copy_maybe(const char *text, char **ret, struct error *err)
{
    return text ? copy_text(text, ret, err) : 0;
}

int kube_config_copy(const struct kube_config *from, struct kube_config *ret, struct error *err)
{
    CLEANUP(kube_config) struct kube_config out = KUBE_CONFIG_INIT;

    if (copy_maybe(from->server, &out.server, err) < 0 ||
        copy_maybe(from->ca_pem, &out.ca_pem, err) < 0 ||
        copy_maybe(from->client_cert_pem, &out.client_cert_pem, err) < 0 ||
        copy_maybe(from->ns, &out.ns, err) < 0 ||
        copy_maybe(from->context, &out.context, err) < 0 ||
        copy_maybe(from->user, &out.user, err) < 0 ||
        copy_maybe(from->tls_server_name, &out.tls_server_name, err) < 0)
        return -1;
    if ((from->client_key_pem.ptr &&
         secret_set(&out.client_key_pem, secret_str(&from->client_key_pem), err) < 0) ||
        (from->token.ptr && secret_set(&out.token, secret_str(&from->token), err) < 0))
        return -1;
    out.insecure = from->insecure;
    *ret = out;
    out = (struct kube_config)KUBE_CONFIG_INIT;
    return 0;
}

void kube_config_done(struct kube_config *config)
{
    if (!config)
        return;
    free(config->server);
    free(config->ca_pem);
    free(config->client_cert_pem);
    secret_done(&config->client_key_pem);
    secret_done(&config->token);
    free(config->ns);
    free(config->context);
    free(config->user);
    free(config->tls_server_name);
    *config = (struct kube_config)KUBE_CONFIG_INIT;
}
