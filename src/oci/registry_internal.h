/* oci/registry_internal.h - the parts of registry_server.h among each other. */
#pragma once
#include "oci/registry_route.h"
#include "oci/registry_server.h"

enum {
    UPLOADS_MAX = 256,        /* sessions at once: each holds a file and 256 KiB */
    UPLOAD_IDLE_MS = 3600000, /* an hour without a byte ends a session */
    WAITERS_MAX = 4096,       /* long polls at once; more are answered at once */
    WAIT_DEFAULT_MAX_S = 300,
};

struct upload {                   /* a session of POST, PATCH…, PUT */
    struct registry *registry;    /* borrowed: its owner */
    struct upload *next;          /* owned */
    struct layout_writer *writer; /* owned */
    struct loop_timer *timer;     /* owned by the loop */
    char id[40];
    char repository[REFERENCE_REPOSITORY_MAX + 1];
};

struct waiter {                /* a long poll */
    struct registry *registry; /* borrowed: its owner */
    struct waiter *next;       /* owned */
    struct http_request *req;  /* borrowed: the server's, until answered */
    struct loop_timer *timer;
    struct digest known; /* "" if the tag was not there */
    char repository[REFERENCE_REPOSITORY_MAX + 1];
    char tag[REFERENCE_TAG_MAX + 1];
};

struct registry {
    struct loop *loop;     /* borrowed: the caller's */
    struct layout *layout; /* owned */
    registry_may_fn *may_pull, *may_push;
    void *ctx;   /* borrowed: the caller's */
    char *realm; /* owned */
    int wait_max_s;
    struct upload *uploads; /* owned */
    size_t upload_count;
    struct waiter *waiters; /* owned */
    size_t waiter_count;
    int watch_fd; /* owned; -1 until the first waiter */
    struct loop_io *watch;
};

/* {"errors":[{"code","message"}]} (distribution-spec, Error Codes). */
void registry_error(struct http_request *req, int status, const char *code, const char *message);
/* The status and code that fit a failure of ours. */
void registry_failed(struct http_request *req, const struct error *err);

void registry_upload_begin(struct registry *r, struct http_request *req,
                           const struct registry_route *route);
void registry_upload_call(struct registry *r, struct http_request *req,
                          const struct registry_route *route);
void registry_uploads_free(struct registry *r);

void registry_put_manifest(struct registry *r, struct http_request *req,
                           const struct registry_route *route);
/* Answers a manifest that was found. */
void registry_send_manifest(struct registry *r, struct http_request *req,
                            const struct descriptor *d);

/* Takes the request over until the tag is another than `known`. False: not asked for, or too many
 * wait. */
bool registry_wait(struct registry *r, struct http_request *req, const struct registry_route *route,
                   const struct digest *known);
void registry_waiters_free(struct registry *r);
