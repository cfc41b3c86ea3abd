/* wire/http_internal.h - what the files of the HTTP server share.
 *
 *   http_server.c   the daemon on the loop, and a request's way through libmicrohttpd
 *   http_request.c  what a handler asks of a request
 *   http_stream.c   answers that grow */
#pragma once
#include <microhttpd.h>

#include "wire/http_server.h"

enum {
    HTTP_CONNECTIONS_MAX = 4096,
    HTTP_CONNECTION_MEMORY = 64 << 10, /* bytes: header block and one chunk of an answer */
    HTTP_QUERY_MAX = 1024,             /* parameters of one request */
};

struct http_server {
    struct loop *loop; /* borrowed */
    struct MHD_Daemon *daemon;
    struct loop_io *io;
    struct loop_timer *timer;
    http_handler_fn *handler;
    void *ctx;
    size_t body_max;
    bool has_client_ca;
    struct http_request *requests; /* those that libmicrohttpd knows; owned by it until completed */
};

/* What outlives a request: the client's certificate is verified once a connection. */
struct http_connection {
    bool is_checked;
    bool has_cert;
    char *common_name; /* owned */
    struct strv organisations;
};

struct http_stream {
    struct http_request *req; /* borrowed: holds this struct */
    struct buf pending;
    size_t pending_max;
    size_t sent;             /* bytes of `pending` that went out already */
    struct loop_io *gone_io; /* watches for the client's end */
    http_gone_fn *on_gone;
    void *ctx;
    bool is_open;      /* the user has it: no end and no on_gone yet */
    bool is_suspended; /* libmicrohttpd waits for more bytes */
    bool is_cut;       /* no further byte goes out */
};

struct http_request {
    struct http_server *server; /* borrowed */
    struct http_request *next, *previous;
    struct MHD_Connection *connection; /* borrowed */
    char *method;                      /* owned */
    char *raw_path;                    /* owned */
    char *path;                        /* owned */
    char *raw_query;                   /* owned; "" without one */
    struct strv query;                 /* name, value, name, value, … decoded */
    char peer[64];
    struct buf body;
    struct MHD_Response *response; /* owned until queued */
    int status;
    bool is_started;    /* the header has arrived */
    bool is_oversized;  /* the body passed its limit */
    bool is_dispatched; /* the handler was called */
    bool is_suspended;  /* waits for the handler's answer */
    bool is_broken;     /* no memory, or nonsense: the connection is closed */
    size_t discarded;   /* bytes of a body that is over the limit */
    struct http_stream stream;
};

void http_connection_free(struct http_connection *connection);
/* Fills path and query of a request from the raw URI. */
NODISCARD int http_request_parse_uri(struct http_request *req, const char *uri, struct error *err);
/* Takes the response as the answer; resumes the request if it waits. NULL: closes the connection.
 */
void http_request_answer(struct http_request *req, int status, const struct http_header *headers,
                         struct MHD_Response *take_response);
/* Lets a suspended connection go on, at the end of this turn of the loop. */
void http_server_resume(struct http_server *server, struct MHD_Connection *connection);
/* The request is over: tells the user of an open stream, once. */
void http_stream_over(struct http_stream *stream);
void http_stream_done(struct http_stream *stream);
