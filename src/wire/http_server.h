/* wire/http_server.h - an HTTP/1.1 server on the event loop, over libmicrohttpd (TLS by GnuTLS).
 *
 * One thread. The handler is called once a request has arrived whole (body limited), and answers
 * now or later; a request lives until it is answered or its stream is ended. If the client goes
 * away first, the on_gone callback of a stream tells, and answers are swallowed. SIGPIPE must be
 * ignored, as main() does. */
#pragma once
#include <stdint.h>

#include "base/buf.h"
#include "base/loop.h"

struct http_server;
struct http_request;
struct http_stream;

struct http_server_options {
    int listen_fd;        /* taken over */
    const char *cert_pem; /* NULL: plain HTTP */
    const char *key_pem;
    const char *client_ca_pem;     /* NULL: no client certificates; else asked for, not required */
    size_t body_max;               /* bytes; above: 413, and the handler does not run */
    unsigned connection_timeout_s; /* idle keep-alive; 0: 60 */
};

typedef void http_handler_fn(struct http_request *req, void *ctx);

NODISCARD int http_server_new(struct loop *loop, const struct http_server_options *options,
                              http_handler_fn *handler, void *ctx, struct http_server **ret,
                              struct error *err);
/* Open streams end with on_gone; requests that are not answered yet are gone, so do not answer them
 * after. Not within a handler. */
void http_server_free(struct http_server *server);
DEFINE_CLEANUP(http_server, struct http_server *, http_server_free)

const char *http_request_method(const struct http_request *req);
const char *http_request_path(const struct http_request *req);      /* percent-decoded, no query */
const char *http_request_raw_path(const struct http_request *req);  /* as sent, no query */
const char *http_request_raw_query(const struct http_request *req); /* as sent, without '?'; "" */
struct str http_request_body(const struct http_request *req);
const char *http_request_header(const struct http_request *req,
                                const char *name); /* NULL if absent */
const char *http_request_query(const struct http_request *req,
                               const char *name); /* decoded; NULL */
/* All values of a repeated query parameter. */
void http_request_query_all(const struct http_request *req, const char *name, struct strv *out);
/* Of the client's certificate, verified (chain, dates, purpose; once a connection): common name,
 * and organisations; false without one, or with one that is not of client_ca_pem. */
bool http_request_client_cert(const struct http_request *req, char *cn, size_t cn_size,
                              struct strv *organisations);
const char *http_request_peer(const struct http_request *req); /* "10.0.0.1:4711" */

struct http_header {
    const char *name;
    const char *value;
};
/* Answers and ends the request. `headers` ends with {NULL}; may be NULL. Content-Length is set. */
void http_respond(struct http_request *req, int status, const struct http_header *headers,
                  struct str body);
void http_respond_json(struct http_request *req, int status, const char *json_text);
/* `length` bytes of the file from `offset`; takes the descriptor; sendfile where possible. */
void http_respond_file(struct http_request *req, int status, const struct http_header *headers,
                       int take_fd, uint64_t offset, uint64_t length);

/* A chunked answer that grows: watch, follow, progress. The stream lives until http_stream_end() or
 * until on_gone was called (then it is freed). Unsent bytes are held up to `pending_max`; beyond
 * that the client is cut off (on_gone). on_gone may be NULL. */
typedef void http_gone_fn(struct http_stream *stream, void *ctx);
struct http_stream *http_respond_stream(struct http_request *req, int status,
                                        const struct http_header *headers, size_t pending_max,
                                        http_gone_fn *on_gone, void *ctx);
void http_stream_write(struct http_stream *stream, struct str bytes);
void http_stream_end(struct http_stream *stream);
size_t http_stream_pending(const struct http_stream *stream); /* bytes not yet sent */
