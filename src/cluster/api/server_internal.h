/* cluster/api/server_internal.h - a request under way, and who answers what. */
#pragma once
#include "cluster/api/api_internal.h"
#include "cluster/api/route.h"
#include "cluster/api/selector.h"
#include "cluster/api/server.h"

enum {
    SERVER_LISTENERS_MAX = 8,
    SERVER_BODY_MAX = 3 << 20,    /* bytes, as Kubernetes */
    SERVER_STREAM_MAX = 64 << 20, /* bytes that a watcher may be behind */
};

struct watcher;     /* watch.c */
struct log_reader;  /* pod_log.c */
struct late_answer; /* answer.c */

struct token {
    struct token *next;
    char *text, *user; /* owned */
    struct strv groups;
};

struct api_server {
    struct loop *loop;                                   /* borrowed */
    struct api *api;                                     /* borrowed */
    struct http_server *listeners[SERVER_LISTENERS_MAX]; /* owned */
    http_handler_fn *registry;
    void *registry_ctx;
    char *tokens_path;    /* owned; may be NULL */
    int64_t tokens_mtime; /* ns, of what `tokens` were read from */
    struct token *tokens; /* owned */
    struct watcher *watchers;
    struct log_reader *log_readers;
    struct late_answer *late_answers; /* wait for the disk */
};

enum { REQUEST_AGENT_MAX = 128 };
enum answer_form { FORM_OBJECT, FORM_TABLE, FORM_METADATA };

struct request {
    struct api_server *server;
    struct api *api;
    struct http_request *http; /* answered exactly once */
    struct route route;
    const struct resource *res;         /* of ROUTE_RESOURCE */
    char api_version[API_VERSION_SIZE]; /* as in the path */
    char user[256];
    struct strv groups;
    bool is_known; /* authenticated */
    enum answer_form form;
    const char
        *table_version; /* "v1", "v1beta1": of meta.k8s.io, for FORM_TABLE and FORM_METADATA */
    bool has_written;   /* the answer waits until it lasts */
    struct strv warnings;
    char agent[REQUEST_AGENT_MAX]; /* the client's name, if it gives no fieldManager */
};

/* --- answer.c --- */

void answer_text(struct request *rq, int code, const char *content_type, struct str body);
void answer_json(struct request *rq, int code, json_t *take_root);
void answer_status(struct request *rq, const struct status *status);
void answer_error(struct request *rq, const struct error *err);
void answer_object(struct request *rq, int code, const struct object *object);
void answer_not_found(struct request *rq); /* a path that names nothing */
/* One object in the form that was asked for (table rows include their columns). -1 without memory.
 */
NODISCARD int answer_add_object(const struct request *rq, const struct object *object,
                                bool with_columns, struct buf *out, struct error *err);
void answer_list(struct request *rq, struct object *const *items, size_t count, int64_t revision);
void answer_read_accept(struct request *rq);    /* sets form and table_version */
void answers_forget(struct api_server *server); /* the listeners are about to end */

/* --- auth.c --- */

void auth_identify(struct request *rq);
bool auth_is_allowed(const struct request *rq);
void auth_done(struct api_server *server);

/* --- by method: each answers --- */

void read_get(struct request *rq);
void read_list(struct request *rq);
void watch_start(struct request *rq);
void watch_end_all(struct api_server *server);
void write_create(struct request *rq);
void write_update(struct request *rq);
void write_patch(struct request *rq);
void write_delete(struct request *rq);
void write_delete_collection(struct request *rq);
void scale_handle(struct request *rq);
void evict_handle(struct request *rq);
void review_handle(struct request *rq);
bool review_is_path(const struct route *route); /* authorization and authentication reviews */
void pod_log_handle(struct request *rq);
void pod_log_end_all(struct api_server *server);
void discovery_handle(struct request *rq);
void openapi_handle(struct request *rq);

/* --- request.c: what a request says --- */

struct filter {
    struct selector labels, fields;
};
#define FILTER_INIT                                                                                \
    {                                                                                              \
        0                                                                                          \
    }
void filter_done(struct filter *filter);
DEFINE_CLEANUP_VALUE(filter, struct filter, filter_done)
NODISCARD int request_filter(const struct request *rq, struct filter *ret, struct status *status);
bool filter_matches(const struct filter *filter, const struct object *object);

/* dryRun, fieldManager, fieldValidation, force. */
NODISCARD int request_verb(struct request *rq, struct verb *ret, struct status *status);
/* The body as JSON or YAML, by its Content-Type. */
NODISCARD int request_body(const struct request *rq, json_t **ret, struct status *status);
bool request_flag(const struct request *rq, const char *name); /* "true" or "1" */
