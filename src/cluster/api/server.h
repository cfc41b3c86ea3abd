/* cluster/api/server.h - the API over HTTPS, for kubectl, the Kubernetes client and everybody
 * outside.
 *
 * Authentication: a client certificate of the cluster's CA (CN is the user, O its groups), else a
 * bearer token of the token file, else 401 (but for /healthz /livez /readyz /version).
 * Authorisation: members of system:masters and of the group monban:admins may do all, others
 * nothing. Roles are stored and not evaluated. */
#pragma once
#include "cluster/api/api.h"
#include "wire/http_server.h"

struct api_server;

struct api_server_options {
    struct loop *loop;
    struct api *api;
    const int *listen_fds; /* TCP listeners (loopback, in-cluster); taken over */
    size_t listen_fds_count;
    const char *cert_pem;
    const char *key_pem;
    const char *client_ca_pem;
    const char *tokens_path; /* lines `TOKEN USER [GROUP…]`, '#' comments; re-read when it changed;
                                NULL: none */
    /* Requests whose path starts with /v2 go here once they are authorised (the cluster's
     * registry). */
    http_handler_fn *registry; /* NULL: 404 */
    void *registry_ctx;
    size_t body_max; /* bytes of a request; 0: 3 MiB as in Kubernetes. A registry takes blobs: give
                        it more */
};

NODISCARD int api_server_new(const struct api_server_options *options, struct api_server **ret,
                             struct error *err);
void api_server_free(struct api_server *server); /* ends watches and log streams; the api stays */
DEFINE_CLEANUP(api_server, struct api_server *, api_server_free)
