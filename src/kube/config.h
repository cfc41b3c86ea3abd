/* kube/config.h - a kubeconfig file, and what one of its contexts says.
 *
 * Read: server, certificate authority, client certificate and key (data or path), token, tokenFile,
 * basic credentials, namespace, tls-server-name, insecure-skip-tls-verify. Relative paths are
 * relative to the file; "…-data" wins over the path. A user with `exec` or `auth-provider` is
 * UNSUPPORTED, said by name. Source: kubernetes.io, "Organizing Cluster Access Using kubeconfig
 * Files"; kubeconfig (v1). */
#pragma once
#include "base/error.h"
#include "base/secret.h"
#include "base/str.h"

enum { KUBE_CONFIG_MAX = 1 << 20 }; /* bytes of a kubeconfig */

struct kube_config {
    char *server;          /* owned; without trailing slash */
    char *ca_pem;          /* owned; NULL: the system's trust */
    char *client_cert_pem; /* owned; or NULL */
    struct secret client_key_pem;
    struct secret token;
    char *ns;              /* owned; "default" if the context names none */
    char *context;         /* owned */
    char *user;            /* owned */
    char *tls_server_name; /* owned; or NULL */
    bool insecure;
};
#define KUBE_CONFIG_INIT                                                                           \
    {                                                                                              \
        0                                                                                          \
    }

/* From the text of a file `name` whose folder is `dir_fd` (for relative paths). INVALID at
 * file:line:column; NOT_FOUND: no such context, cluster, user or file. */
NODISCARD int kube_config_parse(const char *name, struct str text, int dir_fd, const char *context,
                                struct kube_config *ret, struct error *err);
/* `context` NULL: the file's current-context. */
NODISCARD int kube_config_load(const char *path, const char *context, struct kube_config *ret,
                               struct error *err);
/* Nothing is shared between the two. */
NODISCARD int kube_config_copy(const struct kube_config *from, struct kube_config *ret,
                               struct error *err);
void kube_config_done(struct kube_config *config);
DEFINE_CLEANUP_VALUE(kube_config, struct kube_config, kube_config_done)
