/* cluster/files.c - the folder HOME/clusters/NAME: cluster.json, keys, kubeconfigs, pid files. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/fs.h"
#include "cluster/files.h"
#include "wire/doc.h"
#include "wire/tls.h"

enum { FILE_MAX = 1 << 20 };

char *cluster_path(const char *home, const char *name, const char *file)
{
    return file ? str_format("%s/clusters/%s/%s", home, name, file)
                : str_format("%s/clusters/%s", home, name);
}

void cluster_info_done(struct cluster_info *info)
{
    free(info->folder);
    free(info->kubeconfig);
    free(info->netns);
    *info = (struct cluster_info)CLUSTER_INFO_INIT;
}

int cluster_read(const char *home, const char *name, struct cluster_info *ret, struct error *err)
{
    CLEANUP(text) char *path = cluster_path(home, name, "cluster.json");
    CLEANUP(json) json_t *root = NULL;
    CLEANUP(cluster_info) struct cluster_info info = CLUSTER_INFO_INIT;

    if (!path)
        return error_no_memory(err);
    if (json_read_file(AT_FDCWD, path, &root, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
        return error_set(err, ERR_NOT_FOUND, "no cluster '%s' in '%s'", name, home);
    }
    const char *loop = json_str_at(root, "loop");
    int64_t index = json_int_at(root, "index", 0), port = json_int_at(root, "port", 0);
    if (!loop || index < 1 || index > NET_CLUSTER_INDEX_MAX || port < 1 || port > 65535)
        return error_set(err, ERR_INVALID, "'%s' does not describe a cluster", path);
    (void)snprintf(info.name, sizeof(info.name), "%s", name);
    info.index = (unsigned)index;
    info.port = (uint16_t)port;
    info.loop = strcmp(loop, "outer") == 0 ? CLUSTER_OUTER : CLUSTER_INNER;
    info.folder = cluster_path(home, name, NULL);
    info.kubeconfig = cluster_path(home, name, "admin.kubeconfig");
    info.netns = cluster_path(home, name, "netns");
    if (!info.folder || !info.kubeconfig || !info.netns)
        return error_no_memory(err);
    *ret = info;
    info = (struct cluster_info)CLUSTER_INFO_INIT;
    return 0;
}

int cluster_read_file(const struct cluster_info *info, const char *file, char **ret_text,
                      struct error *err)
{
    CLEANUP(text) char *path = fs_join(info->folder, file);
    CLEANUP(buf) struct buf text = BUF_INIT(FILE_MAX);

    if (!path)
        return error_no_memory(err);
    if (fs_read_at(AT_FDCWD, path, &text, err) < 0)
        return -1;
    *ret_text = buf_take(&text);
    return *ret_text ? 0 : error_no_memory(err);
}

static int write_file(const struct cluster_info *info, const char *file, struct str text,
                      mode_t mode, struct error *err)
{
    CLEANUP(text) char *path = fs_join(info->folder, file);
    if (!path)
        return error_no_memory(err);
    /* quick: a half-made cluster is deleted and made again */
    return fs_write_quick(AT_FDCWD, path, text, mode, err);
}

static int write_pair(const struct cluster_info *info, const char *name,
                      const struct tls_pair *pair, struct error *err)
{
    CLEANUP(text) char *cert = str_format("pki/%s.crt", name);
    CLEANUP(text) char *key = str_format("pki/%s.key", name);

    if (!cert || !key)
        return error_no_memory(err);
    if (write_file(info, cert, str_of(pair->cert_pem), 0644, err) < 0)
        return -1;
    return write_file(info, key, str_of(pair->key_pem), 0600, err);
}

int cluster_make_pki(const struct cluster_info *info, struct error *err)
{
    CLEANUP(tls_pair) struct tls_pair ca = TLS_PAIR_INIT;
    CLEANUP(tls_pair) struct tls_pair server = TLS_PAIR_INIT;
    CLEANUP(tls_pair) struct tls_pair admin = TLS_PAIR_INIT;
    CLEANUP(text) char *folder = fs_join(info->folder, "pki");
    CLEANUP(text) char *ca_name = str_format("monban cluster %s", info->name);
    CLEANUP(text) char *service = str_format("10.96.%u.1", info->index);
    char node[NET_ADDRESS_SIZE];
    const char *const names[] = {"127.0.0.1",
                                 "localhost",
                                 net_node_address(info->index, node),
                                 service,
                                 "kubernetes",
                                 "kubernetes.default",
                                 "kubernetes.default.svc",
                                 "kubernetes.default.svc.cluster.local",
                                 "registry.monban.local",
                                 NULL};

    if (!folder || !ca_name || !service)
        return error_no_memory(err);
    if (fs_make_dirs(AT_FDCWD, folder, 0700, err) < 0 || tls_make_ca(ca_name, &ca, err) < 0 ||
        tls_issue(&ca,
                  &(struct tls_leaf_options){
                      .common_name = "kube-apiserver", .names = names, .is_server = true},
                  &server, err) < 0 ||
        tls_issue(
            &ca,
            &(struct tls_leaf_options){.common_name = "admin", .organisation = "system:masters"},
            &admin, err) < 0 ||
        write_pair(info, "ca", &ca, err) < 0 || write_pair(info, "server", &server, err) < 0 ||
        write_pair(info, "admin", &admin, err) < 0)
        return error_wrap(err, "making the keys of cluster '%s'", info->name);
    return 0;
}

static int base64_file(const struct cluster_info *info, const char *file, struct buf *out,
                       struct error *err)
{
    CLEANUP(text) char *text = NULL;

    if (cluster_read_file(info, file, &text, err) < 0)
        return -1;
    base64_encode(str_of(text), out);
    return buf_ok(out, err);
}

static int write_kubeconfig(const struct cluster_info *info, const char *file, const char *server,
                            struct error *err)
{
    CLEANUP(buf)
    struct buf ca = BUF_INIT(FILE_MAX), cert = BUF_INIT(FILE_MAX), key = BUF_INIT(FILE_MAX);
    CLEANUP(buf) struct buf text = BUF_INIT(FILE_MAX);

    if (base64_file(info, "pki/ca.crt", &ca, err) < 0 ||
        base64_file(info, "pki/admin.crt", &cert, err) < 0 ||
        base64_file(info, "pki/admin.key", &key, err) < 0)
        return -1;
    CLEANUP(json)
    json_t *root = json_pack(
        "{s:s,s:s,s:[{s:s,s:{s:s,s:s}}],s:[{s:s,s:{s:s,s:s}}],s:[{s:s,s:{s:s,s:s}}],s:s,s:{}}",
        "apiVersion", "v1", "kind", "Config", "clusters", "name", info->name, "cluster", "server",
        server, "certificate-authority-data", buf_text(&ca), "contexts", "name", info->name,
        "context", "cluster", info->name, "user", "admin", "users", "name", "admin", "user",
        "client-certificate-data", buf_text(&cert), "client-key-data", buf_text(&key),
        "current-context", info->name, "preferences");
    if (!root)
        return error_no_memory(err);
    if (yaml_write(root, &text, err) < 0)
        return -1;
    return write_file(info, file, buf_str(&text), 0600, err);
}

int cluster_write(const struct cluster_info *info, struct error *err)
{
    CLEANUP(json)
    json_t *root =
        json_pack("{s:s,s:i,s:s,s:i}", "name", info->name, "index", (int)info->index, "loop",
                  info->loop == CLUSTER_OUTER ? "outer" : "inner", "port", (int)info->port);
    CLEANUP(buf) struct buf text = BUF_INIT(FILE_MAX);
    char server[64], node[NET_ADDRESS_SIZE];

    if (!root)
        return error_no_memory(err);
    (void)snprintf(server, sizeof(server), "https://127.0.0.1:%u", info->port);
    if (json_write_pretty(root, &text, err) < 0 ||
        write_kubeconfig(info, "admin.kubeconfig", server, err) < 0)
        return -1;
    (void)snprintf(server, sizeof(server), "https://%s:%d", net_node_address(info->index, node),
                   NET_API_PORT);
    if (write_kubeconfig(info, "inside.kubeconfig", server, err) < 0)
        return -1;
    return write_file(info, "cluster.json", buf_str(&text), 0644, err);
}

uint64_t cluster_process_start(pid_t pid)
{
    char path[64];
    CLEANUP(buf) struct buf text = BUF_INIT(4096);
    struct error ignored = ERROR_INIT;
    uint64_t ticks = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (fs_read_at(AT_FDCWD, path, &text, &ignored) < 0)
        return 0;
    ptrdiff_t close = str_find_last(buf_str(&text), ')');
    struct str rest = str_skip(buf_str(&text), close < 0 ? text.len : (size_t)close + 1),
               field = STR_NONE;
    for (int i = 3; i <= 22; i++) {
        field = str_word(&rest);
        if (i == 3 && str_is(field, "Z"))
            return 0;
    }
    return str_to_u64(field, &ticks) ? ticks : 0;
}

int cluster_write_pid(const struct cluster_info *info, const char *file, struct error *err)
{
    CLEANUP(text)
    char *text =
        str_format("%d %llu\n", (int)getpid(), (unsigned long long)cluster_process_start(getpid()));
    return text ? write_file(info, file, str_of(text), 0644, err) : error_no_memory(err);
}

pid_t cluster_read_pid(const struct cluster_info *info, const char *file)
{
    CLEANUP(text) char *text = NULL;
    struct error ignored = ERROR_INIT; /* no file: does not run */
    uint64_t pid, start;

    if (cluster_read_file(info, file, &text, &ignored) < 0)
        return 0;
    struct str rest = str_of(text);
    if (!str_to_u64(str_word(&rest), &pid) || !str_to_u64(str_word(&rest), &start) ||
        pid > INT32_MAX || cluster_process_start((pid_t)pid) != start)
        return 0;
    return (pid_t)pid;
}

static bool is_good_name(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    if (len == 0 || len > 40 || name[0] == '-' || name[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
              name[i] == '-'))
            return false;
    return true;
}

int cluster_check_name(const char *name, struct error *err)
{
    if (is_good_name(name))
        return 0;
    return error_set(
        err, ERR_INVALID,
        "'%s' is no cluster name: expected lower-case letters, digits and '-', at most 40",
        name ? name : "");
}

int cluster_find(const char *home, const char *name, struct cluster_info *ret, struct error *err)
{
    if (cluster_check_name(name, err) < 0 || cluster_read(home, name, ret, err) < 0)
        return -1;
    ret->pid = cluster_read_pid(ret, "cluster.pid");
    return 0;
}
