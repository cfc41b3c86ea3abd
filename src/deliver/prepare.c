/* deliver/prepare.c - what an agent needs before it can run: keys, certificates, tokens, and whom
 * it follows. */
#include <fcntl.h>

#include "base/encode.h"
#include "base/fs.h"
#include "base/random.h"
#include "deliver/deliver.h"
#include "platform/platform.h"
#include "sign/sign.h"
#include "wire/tls.h"

enum { PREPARE_TOKEN_BYTES = 32, PREPARE_FILE_MAX = 1 << 20 };

struct preparing {
    const char *home;
    const char *dir; /* HOME/agents/CLUSTER */
    const struct platform *platform;
    const struct platform_cluster *cluster;
};

static int make_folders(const struct preparing *p, struct error *err)
{
    static const char *const folders[] = {"registry", "keys", "upstream",
                                          "tokens",   "pki",  "secrets"};

    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        CLEANUP(text) char *path = fs_join(p->dir, folders[i]);
        if (!path)
            return error_no_memory(err);
        if (fs_make_dirs(AT_FDCWD, path, 0700, err) < 0)
            return -1;
    }
    return 0;
}

static int make_key(const struct preparing *p, const char *name, struct error *err)
{
    CLEANUP(text) char *dir = fs_join(p->dir, "keys");
    CLEANUP(text) char *file = str_format("%s/keys/%s.key", p->dir, name);
    CLEANUP(sign_key) struct sign_key *key = NULL;

    if (!dir || !file)
        return error_no_memory(err);
    if (fs_exists(AT_FDCWD, file))
        return 0;
    if (sign_key_make(&key, err) < 0)
        return -1;
    return sign_key_write(key, dir, name, STR(""), err);
}

static int write_file(const struct preparing *p, const char *name, struct str bytes, mode_t mode,
                      struct error *err)
{
    CLEANUP(text) char *path = fs_join(p->dir, name);

    if (!path)
        return error_no_memory(err);
    return fs_write_atomic(AT_FDCWD, path, bytes, mode, err);
}

static bool has_file(const struct preparing *p, const char *name)
{
    CLEANUP(text) char *path = fs_join(p->dir, name);
    return path && fs_exists(AT_FDCWD, path);
}

/* Followers reach an embedded cluster's agent at its uplink. */
static int make_certificates(const struct preparing *p, struct error *err)
{
    CLEANUP(tls_pair) struct tls_pair ca = TLS_PAIR_INIT;
    CLEANUP(tls_pair) struct tls_pair leaf = TLS_PAIR_INIT;
    CLEANUP(text) char *address = str_format("100.64.%u.2", p->cluster->index);
    CLEANUP(text) char *name = str_format("%s.agent.monban.local", p->cluster->name);
    CLEANUP(text) char *ca_name = str_format("monban agent %s CA", p->cluster->name);

    if (!address || !name || !ca_name)
        return error_no_memory(err);
    if (has_file(p, "pki/server.pem"))
        return 0;
    const char *names[] = {address, name, "127.0.0.1", "localhost", NULL};
    struct tls_leaf_options options = {.common_name = name, .names = names, .is_server = true};
    if (tls_make_ca(ca_name, &ca, err) < 0 || tls_issue(&ca, &options, &leaf, err) < 0 ||
        write_file(p, "pki/ca.key", str_of(ca.key_pem), 0600, err) < 0 ||
        write_file(p, "pki/ca.pem", str_of(ca.cert_pem), 0644, err) < 0 ||
        write_file(p, "pki/server.key", str_of(leaf.key_pem), 0600, err) < 0)
        return -1;
    return write_file(p, "pki/server.pem", str_of(leaf.cert_pem), 0644,
                      err); /* last: all is there */
}

static int make_tokens(const struct preparing *p, struct error *err)
{
    size_t count = 0;
    const struct platform_cluster *clusters = platform_clusters(p->platform, &count);

    for (size_t i = 0; i < count; i++) {
        CLEANUP(text) char *name = str_format("tokens/%s", clusters[i].name);
        CLEANUP(buf) struct buf text = BUF_INIT(256);
        uint8_t bytes[PREPARE_TOKEN_BYTES];
        if (!clusters[i].follows || strcmp(clusters[i].follows, p->cluster->name) != 0)
            continue;
        if (!name)
            return error_no_memory(err);
        if (has_file(p, name))
            continue;
        random_bytes(bytes, sizeof bytes);
        base64url_encode(str_slice((const char *)bytes, sizeof bytes), &text);
        if (buf_ok(&text, err) < 0 || write_file(p, name, buf_str(&text), 0600, err) < 0)
            return -1;
    }
    return 0;
}

/* A file of the followed one, where it lives in the same home; else somebody must hand it over. */
static int take(const struct preparing *p, const char *from, const char *name, mode_t mode,
                bool keep, struct error *err)
{
    CLEANUP(buf) struct buf bytes = BUF_INIT(PREPARE_FILE_MAX);

    if (keep && has_file(p, name)) /* trust is given once, by hand or at the first start */
        return 0;
    if (fs_read_at(AT_FDCWD, from, &bytes, err) < 0) {
        if (err->kind == ERR_NOT_FOUND && has_file(p, name)) {
            error_clear(err);
            return 0;
        }
        if (err->kind == ERR_NOT_FOUND)
            return error_set(err, ERR_NOT_FOUND,
                             "'%s/%s' is missing: it must come from the cluster that '%s' follows",
                             p->dir, name, p->cluster->name);
        return -1;
    }
    return write_file(p, name, buf_str(&bytes), mode, err);
}

static int take_text(const struct preparing *p, const char *name, const char *text,
                     struct error *err)
{
    if (!text)
        return error_no_memory(err);
    return write_file(p, name, str_of(text), 0600, err);
}

static int follow_gate(const struct preparing *p, const struct platform_cluster *gate,
                       struct error *err)
{
    CLEANUP(text) char *ca = fs_join(p->home, "gate/pki/ca.pem");
    CLEANUP(text) char *token = str_format("%s/gate/tokens/%s", p->home, p->cluster->name);
    CLEANUP(text)
    char *url = str_format("https://100.64.%u.2:%d", gate->index, PLATFORM_REGISTRY_PORT);

    if (!ca || !token)
        return error_no_memory(err);
    if (!has_file(p, "upstream/url") && take_text(p, "upstream/url", url, err) < 0)
        return -1;
    return take(p, ca, "upstream/ca.pem", 0644, false, err) < 0
               ? -1
               : take(p, token, "upstream/token", 0600, false, err);
}

static int follow_agent(const struct preparing *p, const struct platform_cluster *before,
                        struct error *err)
{
    CLEANUP(text) char *dir = str_format("%s/agents/%s", p->home, before->name);
    CLEANUP(text) char *ca = dir ? fs_join(dir, "pki/ca.pem") : NULL;
    CLEANUP(text) char *token = dir ? str_format("%s/tokens/%s", dir, p->cluster->name) : NULL;
    CLEANUP(text) char *pub = dir ? fs_join(dir, "keys/agent.pub") : NULL;
    CLEANUP(text)
    char *url = str_format("https://100.64.%u.2:%d", before->index, DELIVER_REGISTRY_PORT);

    if (!ca || !token || !pub)
        return error_no_memory(err);
    if (!has_file(p, "upstream/url") && take_text(p, "upstream/url", url, err) < 0)
        return -1;
    if (take(p, ca, "upstream/ca.pem", 0644, false, err) < 0 ||
        take(p, token, "upstream/token", 0600, false, err) < 0)
        return -1;
    return take(p, pub, "upstream/promotion.pub", 0644, true, err);
}

static int prepare_upstream(const struct preparing *p, struct error *err)
{
    CLEANUP(text) char *release_pub = fs_join(p->home, "gate/keys/release.pub");
    const struct platform_cluster *before =
        p->cluster->follows ? platform_cluster(p->platform, p->cluster->follows) : NULL;

    if (!release_pub)
        return error_no_memory(err);
    if (!before)
        return error_set(err, ERR_INVALID,
                         "cluster '%s' follows none (owner: platform team; next: add `follows:` to "
                         "it in platform.yaml)",
                         p->cluster->name);
    if (take(p, release_pub, "upstream/release.pub", 0644, true, err) < 0)
        return -1;
    if (before->is_gate || before->loop != PLATFORM_OUTER)
        return follow_gate(p, before, err);
    return follow_agent(p, before, err);
}

int deliver_prepare(const char *home, const char *cluster, struct error *err)
{
    CLEANUP(text) char *platform_path = fs_join(home, "platform");
    CLEANUP(text) char *dir = str_format("%s/agents/%s", home, cluster);
    CLEANUP(platform) struct platform *platform = NULL;

    if (!platform_path || !dir)
        return error_no_memory(err);
    if (platform_read(platform_path, &platform, err) < 0)
        return -1;
    struct preparing p = {home, dir, platform, platform_cluster(platform, cluster)};
    if (!p.cluster)
        return error_set(err, ERR_NOT_FOUND, "the platform has no cluster '%s'", cluster);
    if (p.cluster->loop != PLATFORM_OUTER)
        return error_set(err, ERR_INVALID, "cluster '%s' is of the inner loop: no agent runs there",
                         cluster);
    if (make_folders(&p, err) < 0 || make_key(&p, "agent", err) < 0 ||
        make_key(&p, "operator", err) < 0 || make_certificates(&p, err) < 0 ||
        make_tokens(&p, err) < 0)
        return error_wrap(err, "preparing the agent of '%s'", cluster);
    return prepare_upstream(&p, err);
}
