/* cluster/api/serve_for_tests.c - the API server alone, without controllers, for tests with
 * kubectl.
 *
 * `serve_for_tests DIR`: listens on a free port of 127.0.0.1, keeps its store in DIR/store.db,
 * writes DIR/kubeconfig (and says so with a line on standard output), and ends on SIGTERM. */
#include <fcntl.h>
#include <stdio.h>

#include "base/encode.h"
#include "base/fs.h"
#include "base/io.h"
#include "cluster/api/server.h"
#include "wire/tls.h"

static void stop(struct loop *loop, int signal, void *ctx)
{
    loop_stop(loop);
}

static int write_kubeconfig(const char *dir, uint16_t port, const struct tls_pair *ca,
                            const struct tls_pair *client, struct error *err)
{
    CLEANUP(buf) struct buf ca64 = BUF_INIT(1 << 16), cert64 = BUF_INIT(1 << 16);
    CLEANUP(buf) struct buf key64 = BUF_INIT(1 << 16), text = BUF_INIT(1 << 18);
    CLEANUP(text) char *path = fs_join(dir, "kubeconfig");

    base64_encode(str_of(ca->cert_pem), &ca64);
    base64_encode(str_of(client->cert_pem), &cert64);
    base64_encode(str_of(client->key_pem), &key64);
    buf_addf(&text,
             "apiVersion: v1\nkind: Config\ncurrent-context: test\n"
             "clusters: [{name: test, cluster: {server: 'https://127.0.0.1:%u',"
             " certificate-authority-data: %s}}]\n"
             "users: [{name: admin, user: {client-certificate-data: %s, client-key-data: %s}}]\n"
             "contexts: [{name: test, context: {cluster: test, user: admin}}]\n",
             port, buf_text(&ca64), buf_text(&cert64), buf_text(&key64));
    if (buf_ok(&text, err) < 0)
        return -1;
    return fs_write_atomic(AT_FDCWD, path, buf_str(&text), 0600, err);
}

static int serve(const char *dir, struct error *err)
{
    CLEANUP(tls_pair)
    struct tls_pair ca = TLS_PAIR_INIT, leaf = TLS_PAIR_INIT, client = TLS_PAIR_INIT;
    CLEANUP(loop) struct loop *loop = NULL;
    CLEANUP(api) struct api *api = NULL;
    CLEANUP(api_server) struct api_server *server = NULL;
    CLEANUP(text) char *store = fs_join(dir, "store.db"), *logs = fs_join(dir, "logs");
    CLEANUP(text) char *tokens = fs_join(dir, "tokens");
    static const char *const names[] = {"127.0.0.1", "localhost", NULL};
    int fd = -1;
    uint16_t port = 0;

    if (tls_make_ca("test", &ca, err) < 0 ||
        tls_issue(&ca, &(struct tls_leaf_options){"server", NULL, names, true}, &leaf, err) < 0 ||
        tls_issue(&ca, &(struct tls_leaf_options){"admin", "system:masters", NULL, false}, &client,
                  err) < 0 ||
        loop_new(&loop, err) < 0 || loop_add_signal(loop, SIGTERM, stop, NULL, err) < 0 ||
        loop_add_signal(loop, SIGINT, stop, NULL, err) < 0 ||
        io_listen_tcp("127.0.0.1", 0, -1, &fd, &port, err) < 0 ||
        write_kubeconfig(dir, port, &ca, &client, err) < 0)
        return -1;
    struct api_options options = {
        .loop = loop, .store_path = store, .logs_dir = logs, .cluster_index = 1};
    if (api_new(&options, &api, err) < 0)
        return -1;
    struct api_server_options server_options = {.loop = loop,
                                                .api = api,
                                                .listen_fds = &fd,
                                                .listen_fds_count = 1,
                                                .cert_pem = leaf.cert_pem,
                                                .key_pem = leaf.key_pem,
                                                .client_ca_pem = ca.cert_pem,
                                                .tokens_path = tokens};
    if (api_server_new(&server_options, &server, err) < 0)
        return -1;
    printf("serving %u\n", port);
    fflush(stdout);
    return loop_run(loop, err);
}

int main(int argc, char **argv)
{
    struct error err = ERROR_INIT;

    if (argc != 2) {
        fprintf(stderr, "usage: serve_for_tests DIR\n");
        return 2;
    }
    if (serve(argv[1], &err) < 0) {
        fprintf(stderr, "serve_for_tests: %s\n", err.text);
        return 1;
    }
    return 0;
}
