/* oci/registry_client_internal.h - the parts of registry_client.h among each other. */
#pragma once
#include "oci/registry_client.h"

enum {
    REGISTRY_ATTEMPTS_DEFAULT = 5,
    REGISTRY_DEPTH_MAX = 8,        /* manifests below (or referring to) each other */
    REGISTRY_MANIFESTS_MAX = 5000, /* in one copy: a hostile index or referrers list ends here */
};

struct registry_token {
    struct registry_token *next; /* owned */
    char *repository;            /* owned */
    char *authorization;         /* owned: the header, "Authorization: Bearer …" */
    bool push;
};

struct registry_client {
    char *host, *base_url;         /* owned */
    struct http_client *http;      /* owned */
    char *bearer;                  /* owned, or NULL: the header */
    char *basic;                   /* owned, or NULL: the header */
    bool basic_wanted;             /* the registry asked for Basic */
    struct registry_token *tokens; /* owned */
    int attempts;
    uint64_t blob_max;
};

struct registry_http {
    const char *method;
    const char *repository;     /* "" for none */
    bool push;                  /* which token is needed */
    const char *path;           /* "/v2/…", or the whole URL of an upload */
    const struct strv *headers; /* further ones; may be NULL */
    struct str body;
    int body_fd; /* -1: none; sent from its start */
    uint64_t body_size;
    size_t answer_max;
    int timeout_ms;
    /* For streamed answers: `restart` is called before each attempt. */
    int (*restart)(void *ctx, struct error *err);
    int (*on_body)(struct str bytes, void *ctx, struct error *err);
    void *ctx;
};
#define REGISTRY_HTTP_INIT                                                                         \
    {                                                                                              \
        .body_fd = -1                                                                              \
    }

/* Sends, authenticates, tries again. Any status but 401, 429 and 5xx is an answer. */
int registry_http(struct registry_client *c, const struct registry_http *call,
                  struct http_answer *ret, struct error *err);
/* The error that an unexpected status is: NOT_FOUND, DENIED, LIMIT (413, 507), UNSUPPORTED (405),
 * else INVALID. */
int registry_status_error(const struct registry_client *c, const char *what,
                          const struct http_answer *answer, struct error *err);
char *registry_path(const char *repository, const char *kind,
                    const char *last); /* free() it; or NULL */
/* "sha256-HEX" + suffix: where cosign and the referrers fallback keep things. */
void registry_digest_tag(const struct digest *digest, const char *suffix,
                         char out[REFERENCE_TAG_MAX + 1]);
