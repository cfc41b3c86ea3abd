/* gate/prepare.c - what a gate needs before it can serve: folders, key, certificates, tokens. */
#include <fcntl.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/fs.h"
#include "base/random.h"
#include "gate/gate.h"
#include "platform/platform.h"
#include "sign/sign.h"
#include "source/source.h"
#include "wire/tls.h"

enum { TOKEN_BYTES = 32, PEM_MAX = 1 << 16 };

static int make_folders(const char *gate, struct error *err)
{
    static const char *const folders[] = {"git",   "registry", "keys",   "pki", "tokens",
                                          "state", "cache",    "stacks", "work"};

    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        CLEANUP(text) char *path = fs_join(gate, folders[i]);
        if (!path)
            return error_no_memory(err);
        if (fs_make_dirs(AT_FDCWD, path, 0700, err) < 0)
            return -1;
    }
    return 0;
}

static int make_key(const char *gate, struct error *err)
{
    CLEANUP(text) char *dir = fs_join(gate, "keys");
    CLEANUP(text) char *file = fs_join(gate, "keys/release.key");
    CLEANUP(sign_key) struct sign_key *key = NULL;

    if (!dir || !file)
        return error_no_memory(err);
    if (fs_exists(AT_FDCWD, file))
        return 0;
    if (sign_key_make(&key, err) < 0)
        return -1;
    return sign_key_write(key, dir, "release", STR(""), err);
}

static int write_pair(const char *gate, const char *cert, const char *key,
                      const struct tls_pair *pair, struct error *err)
{
    CLEANUP(text) char *cert_path = fs_join(gate, cert);
    CLEANUP(text) char *key_path = fs_join(gate, key);

    if (!cert_path || !key_path)
        return error_no_memory(err);
    if (fs_write_atomic(AT_FDCWD, key_path, str_of(pair->key_pem), 0600, err) < 0)
        return -1;
    return fs_write_atomic(AT_FDCWD, cert_path, str_of(pair->cert_pem), 0644, err);
}

/* The server's certificate names the address by which outer clusters reach it. */
static int make_certificates(const char *gate, const struct platform_cluster *cluster,
                             struct error *err)
{
    CLEANUP(text) char *server = fs_join(gate, "pki/server.pem");
    CLEANUP(tls_pair) struct tls_pair ca = TLS_PAIR_INIT;
    CLEANUP(tls_pair) struct tls_pair leaf = TLS_PAIR_INIT;
    CLEANUP(text) char *address = str_format("100.64.%u.2", cluster ? cluster->index : 0);

    if (!server || !address)
        return error_no_memory(err);
    if (fs_exists(AT_FDCWD, server))
        return 0;
    const char *names[] = {address, "127.0.0.1", "localhost", "gate.monban.local", NULL};
    const struct tls_leaf_options options = {
        .common_name = "monban gate", .names = names, .is_server = true};
    if (tls_make_ca("monban gate CA", &ca, err) < 0 ||
        write_pair(gate, "pki/ca.pem", "pki/ca.key", &ca, err) < 0)
        return -1;
    if (tls_issue(&ca, &options, &leaf, err) < 0)
        return -1;
    return write_pair(gate, "pki/server.pem", "pki/server.key", &leaf, err);
}

static int make_token(const char *gate, const char *cluster, struct error *err)
{
    CLEANUP(text) char *path = str_format("%s/tokens/%s", gate, cluster);
    CLEANUP(buf) struct buf text = BUF_INIT(256);
    uint8_t bytes[TOKEN_BYTES];

    if (!path)
        return error_no_memory(err);
    if (fs_exists(AT_FDCWD, path))
        return 0;
    random_bytes(bytes, sizeof bytes);
    base64url_encode(str_slice((const char *)bytes, sizeof bytes), &text);
    if (buf_ok(&text, err) < 0)
        return -1;
    return fs_write_atomic(AT_FDCWD, path, buf_str(&text), 0600, err);
}

int gate_prepare(const char *home, struct error *err)
{
    CLEANUP(text) char *gate = fs_join(home, "gate");
    CLEANUP(text) char *platform_path = fs_join(home, "platform");
    CLEANUP(platform) struct platform *platform = NULL;
    size_t count;

    if (!gate || !platform_path)
        return error_no_memory(err);
    if (platform_read(platform_path, &platform, err) < 0)
        return -1;
    if (make_folders(gate, err) < 0 || make_key(gate, err) < 0 ||
        make_certificates(gate, platform_gate(platform), err) < 0)
        return error_wrap(err, "preparing the gate");
    const struct platform_cluster *clusters = platform_clusters(platform, &count);
    for (size_t i = 0; i < count; i++) {
        if (clusters[i].loop == PLATFORM_OUTER && make_token(gate, clusters[i].name, err) < 0)
            return error_wrap(err, "preparing the gate");
    }
    return 0;
}

int gate_repository(const char *home, const char *program, const char *app, char **ret_path,
                    struct error *err)
{
    CLEANUP(text) char *path = NULL;

    if (!source_name_is_fit(app))
        return error_set(err, ERR_INVALID,
                         "'%s' cannot be the name of an app: lower-case letters, digits and '-'",
                         app);
    path = str_format("%s/gate/git/%s.git", home, app);
    if (!path)
        return error_no_memory(err);
    if (source_create_repository(path, app, program, home, err) < 0)
        return -1;
    *ret_path = TAKE(path);
    return 0;
}
