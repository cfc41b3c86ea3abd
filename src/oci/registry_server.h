/* oci/registry_server.h - the distribution API (1.1) over a layout, for any HTTP server of ours.
 *
 * Answers every path that begins with "/v2": GET and HEAD of manifests and blobs (ranges), uploads
 * in one piece or in chunks, mount, tags, referrers, catalog, delete. Beside the standard: GET of a
 * manifest by tag with `If-None-Match: "DIGEST"` and `Prefer: wait=SECONDS` (RFC 7240) is answered
 * when the tag changes, by any process, or with 304 when the time is over. A full disk is 507 with
 * code "DENIED" and a text; nothing is half stored. */
#pragma once
#include "oci/layout.h"
#include "wire/http_server.h"

struct registry;

/* May this request? Return 0: yes; 401: credentials are missing or wrong; 403: known, but not
 * allowed. `repository` is "" for /v2/ and the catalog. NULL callbacks: pull is allowed, push is
 * not. */
typedef int registry_may_fn(const struct http_request *req, const char *repository, void *ctx);

struct registry_options {
    const char *layout_path; /* created */
    registry_may_fn *may_pull;
    registry_may_fn *may_push; /* NULL: 405 UNSUPPORTED, the registry is read-only */
    void *ctx;
    const char *realm; /* of the Basic challenge on a 401; NULL: "monban" */
    int wait_max_s;    /* of a long poll; 0: 300 */
    bool sync;         /* LAYOUT_SYNC */
};

NODISCARD int registry_new(struct loop *loop, const struct registry_options *options,
                           struct registry **ret, struct error *err);
void registry_free(struct registry *registry); /* open long polls get 503 */
DEFINE_CLEANUP(registry, struct registry *, registry_free)
/* True: answered, or will be. False: the path is not ours. */
bool registry_handle(struct registry *registry, struct http_request *req);
struct layout *registry_layout(struct registry *registry); /* borrowed */

/* Checks "Authorization: Bearer T" and "Basic base64(any:T)" in constant time. */
bool registry_token_matches(const struct http_request *req, struct str token);
