/* oci/registry_client.h - a registry over HTTP: pull, push, copy between it and a layout, wait for
 * a tag.
 *
 * Source: distribution-spec 1.1; Docker's token authentication. Blocking, used from one thread. 5xx
 * and 429 are tried again with growing pauses (Retry-After honoured); digests of all that comes in
 * are verified. */
#pragma once
#include "oci/layout.h"
#include "oci/reference.h"
#include "wire/http_client.h"

struct registry_client;

struct registry_client_options {
    const char *host;            /* "10.90.2.1:5000": what references name */
    const char *base_url;        /* where it is: "http://127.0.0.1:5000"; NULL: "https://HOST" */
    const char *ca_pem;          /* trusted roots, PEM text; NULL: the system's */
    const char *client_cert_pem; /* or NULL */
    const char *client_key_pem;
    const char *bearer_token; /* sent as it is (our own registries); or NULL */
    const char *user;         /* for basic and token authentication; or NULL */
    const char *password;
    const char *resolve_to; /* as in http_client_options */
    int attempts;           /* 0: 5 */
    uint64_t blob_max;      /* bytes of one blob; 0: 16 GiB */
};

NODISCARD int registry_client_new(const struct registry_client_options *options,
                                  struct registry_client **ret, struct error *err);
void registry_client_free(struct registry_client *client);
DEFINE_CLEANUP(registry_client, struct registry_client *, registry_client_free)

/* Credentials for `host` from a Docker config.json ("auths"), such as a secret of type
 * kubernetes.io/dockerconfigjson. NOT_FOUND if it has none. Both texts are the caller's to free().
 */
NODISCARD int registry_docker_credentials(const json_t *docker_config, const char *host,
                                          char **ret_user, char **ret_password, struct error *err);

/* A manifest by tag or "sha256:…". Errors: NOT_FOUND, DENIED (401, 403), UNTRUSTED (digest),
 * UNAVAILABLE. */
struct registry_ask {
    const char *repository;
    const char *reference;
    const char *if_none_match; /* digest that we have; or NULL */
    int wait_s;                /* ask the server to answer only on a change, or after so long */
};
/* *ret_changed false: still if_none_match (304); then the rest is untouched. ret_bytes is appended
 * to. */
NODISCARD int registry_get_manifest(struct registry_client *client, const struct registry_ask *ask,
                                    struct buf *ret_bytes, struct descriptor *ret,
                                    bool *ret_changed, struct error *err);
/* The URL and headers of such a call, to run it as a flow on an event loop: *ret_url is the
 * caller's to free(), headers are added. A 401 cannot be answered there: make a blocking call
 * first. */
NODISCARD int registry_manifest_request(struct registry_client *client,
                                        const struct registry_ask *ask, char **ret_url,
                                        struct strv *headers, struct error *err);
NODISCARD int registry_tags(struct registry_client *client, const char *repository,
                            struct strv *out, struct error *err);
/* As layout_referrers(); falls back to the tag "sha256-HEX" where the API is missing (404). */
NODISCARD int registry_referrers(struct registry_client *client, const char *repository,
                                 const struct digest *digest, json_t **ret_array,
                                 struct error *err);
/* Into the layout, verified, unless it is there. Sizes must be as the descriptor says. */
NODISCARD int registry_pull_blob(struct registry_client *client, const char *repository,
                                 const struct descriptor *blob, struct layout *layout,
                                 struct error *err);
/* Unless it is there already. */
NODISCARD int registry_push_blob(struct registry_client *client, const char *repository,
                                 const struct descriptor *blob, const struct layout *layout,
                                 const char *mount_from, struct error *err);

enum registry_copy_flags {
    REGISTRY_REFERRERS = 1 << 0,   /* and what refers to each manifest, recursively */
    REGISTRY_COSIGN_TAGS = 1 << 1, /* and the tags sha256-HEX.sig, .att, .sbom and sha256-HEX */
    REGISTRY_ONE_PLATFORM =
        1 << 2, /* of an index only this machine's image (the index itself is dropped) */
};
struct registry_copy {
    const char *repository;       /* there */
    const char *reference;        /* tag or digest */
    const char *local_repository; /* in the layout; NULL: the same */
    const char *local_tag;        /* NULL: the reference if it is a tag, else no tag */
    int flags;
};
/* Everything below the manifest, then the tag: the other side never sees a tag whose blobs are
 * missing. */
NODISCARD int registry_pull(struct registry_client *client, const struct registry_copy *copy,
                            struct layout *layout, struct descriptor *ret, struct error *err);
/* From the layout: `local_repository`:`local_tag` (or the digest in `reference`) to
 * `repository`:`reference`. */
NODISCARD int registry_push(struct registry_client *client, const struct registry_copy *copy,
                            struct layout *layout, struct descriptor *ret, struct error *err);
