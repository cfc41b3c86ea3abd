/* wire/http_client.c - libcurl's easy interface with our errors; see wire/http_client.h. */
#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "wire/http_client_internal.h"

enum {
    CONNECT_TIMEOUT_MS = 10 * 1000,
    KEEPALIVE_S = 30, /* a dead peer of a long stream is noticed */
    REDIRECTS_MAX = 10,
    RECEIVE_BUFFER = 256 << 10, /* bytes: large blobs come in few calls */
    HEADERS_MAX = 500,
};

static int dup_option(const char *text, char **ret, struct error *err)
{
    if (!text)
        return 0;
    *ret = str_dup(str_of(text));
    return *ret ? 0 : error_no_memory(err);
}

int http_client_new(const struct http_client_options *options, struct http_client **ret,
                    struct error *err)
{
    CLEANUP(http_client) struct http_client *client = calloc(1, sizeof *client);

    if (!client)
        return error_no_memory(err);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) { /* counted; undone when freed */
        free(TAKE(client));
        return error_no_memory(err);
    }
    client->insecure = options->insecure;
    client->use_environment_proxy = options->use_environment_proxy;
    if (dup_option(options->ca_pem, &client->ca_pem, err) < 0 ||
        dup_option(options->trust_bundle_path, &client->trust_bundle_path, err) < 0 ||
        dup_option(options->client_cert_pem, &client->client_cert_pem, err) < 0 ||
        dup_option(options->client_key_pem, &client->client_key_pem, err) < 0 ||
        dup_option(options->bearer_token, &client->bearer_token, err) < 0)
        return -1;
    if (options->resolve_to) {
        client->resolve = curl_slist_append(NULL, options->resolve_to);
        if (!client->resolve)
            return error_no_memory(err);
    }
    client->easy = curl_easy_init();
    if (!client->easy)
        return error_no_memory(err);
    *ret = TAKE(client);
    return 0;
}

static void free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void http_client_really_free(struct http_client *client)
{
    http_flows_drop(client);
    if (client->easy)
        curl_easy_cleanup(client->easy);
    curl_slist_free_all(client->resolve);
    free(client->ca_pem);
    free(client->trust_bundle_path);
    free(client->client_cert_pem);
    free_secret(client->client_key_pem);
    free_secret(client->bearer_token);
    free(client);
    curl_global_cleanup();
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    if (client->busy > 0)
        client->is_doomed = true;
    else
        http_client_really_free(client);
}

void http_answer_done(struct http_answer *answer)
{
    buf_done(&answer->body);
    strv_done(&answer->headers);
    answer->status = 0;
}

const char *http_answer_header(const struct http_answer *answer, const char *lower_name)
{
    size_t len = strlen(lower_name);

    for (size_t i = 0; i < answer->headers.count; i++) {
        const char *line = answer->headers.items[i];
        if (strncmp(line, lower_name, len) == 0 && line[len] == ':' && line[len + 1] == ' ')
            return line + len + 2;
    }
    return NULL;
}

/* "name: value" with the name in lower case. */
static void add_header(struct http_answer *answer, struct str line)
{
    struct str name = str_trim(str_cut(&line, ':'));
    struct str value = str_trim(line.ptr ? line : STR(""));

    if (answer->headers.count >= HEADERS_MAX)
        return;
    strv_addf(&answer->headers, "%.*s: %.*s", STR_ARG(name), STR_ARG(value));
    if (answer->headers.failed)
        return;
    for (char *p = answer->headers.items[answer->headers.count - 1]; *p && *p != ':'; p++)
        *p = (char)tolower((unsigned char)*p);
}

/* Once a line. Each of the blocks of a redirect or of "100 Continue" starts anew. */
static size_t on_header(char *bytes, size_t one, size_t len, void *ctx)
{
    struct transfer *t = ctx;
    struct str line = str_trim(str_slice(bytes, len));
    long status = 0;

    if (str_starts(line, STR("HTTP/"))) {
        strv_done(&t->answer.headers);
        t->answer_is_final = false;
    } else if (line.len > 0 && !t->answer_is_final) { /* trailers are left out */
        add_header(&t->answer, line);
    } else if (!t->answer_is_final) {
        (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status); /* known by now */
        t->answer_is_final = status >= 200;
        t->answer.status = (int)status;
    }
    if (t->answer.headers.failed) {
        (void)error_no_memory(&t->err); /* always -1 */
        return 0;                       /* stops the transfer */
    }
    return len;
}

static size_t on_body(char *bytes, size_t one, size_t len, void *ctx)
{
    struct transfer *t = ctx;

    if (len > t->answer_max - t->received) {
        (void)error_set(&t->err, ERR_LIMIT, "the answer is longer than %zu bytes", t->answer_max);
        return 0; /* stops the transfer, as any other count would */
    }
    t->received += len;
    if (t->on_body && (t->is_flow || t->answer.status < 300))
        return t->on_body(str_slice(bytes, len), t->ctx, &t->err) < 0 ? 0 : len;
    buf_add(&t->answer.body, bytes, len);
    return buf_ok(&t->answer.body, &t->err) < 0 ? 0 : len;
}

static size_t on_upload(char *bytes, size_t one, size_t max, void *ctx)
{
    struct transfer *t = ctx;
    uint64_t left = t->body_size - t->body_sent;

    if (max > left)
        max = (size_t)left;
    ssize_t got = pread(t->body_fd, bytes, max, (off_t)t->body_sent);
    if (got < 0 || (got == 0 && max > 0)) {
        if (got < 0)
            (void)error_errno(&t->err, "reading what is to be sent");
        else
            (void)error_set(&t->err, ERR_INVALID,
                            "what is to be sent ends after %ju bytes, not %ju",
                            (uintmax_t)t->body_sent, (uintmax_t)t->body_size);
        return CURL_READFUNC_ABORT;
    }
    t->body_sent += (uint64_t)got;
    return (size_t)got;
}

static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    struct transfer *t = ctx;

    if (origin != SEEK_SET || offset < 0)
        return CURL_SEEKFUNC_FAIL;
    t->body_sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static int add_line(struct transfer *t, const char *line, struct error *err)
{
    struct curl_slist *grown = curl_slist_append(t->headers, line);

    if (!grown)
        return error_no_memory(err);
    t->headers = grown;
    return 0;
}

static int set_headers(struct transfer *t, const struct http_call *call, struct error *err)
{
    bool has_type = false;

    for (size_t i = 0; call->headers && call->headers[i]; i++) {
        has_type = has_type || strncasecmp(call->headers[i], "content-type:", 13) == 0;
        if (add_line(t, call->headers[i], err) < 0)
            return -1;
    }
    if (!has_type && add_line(t, "Content-Type:", err) < 0) /* not libcurl's form type */
        return -1;
    if (add_line(t, "Expect:", err) < 0) /* else a body would wait a second for "100 Continue" */
        return -1;
    return 0;
}

#define SET(option, value) (good = good && curl_easy_setopt(t->easy, option, value) == CURLE_OK)

static bool set_blob(struct transfer *t, CURLoption option, const char *pem)
{
    struct curl_blob blob = {(void *)pem, pem ? strlen(pem) : 0, CURL_BLOB_COPY};

    return !pem || curl_easy_setopt(t->easy, option, &blob) == CURLE_OK;
}

static bool set_trust(struct transfer *t)
{
    const struct http_client *client = t->client;
    bool good = true;

    if (client->ca_pem) {
        SET(CURLOPT_CAINFO, NULL);
        SET(CURLOPT_CAPATH, NULL);
        good = good && set_blob(t, CURLOPT_CAINFO_BLOB, client->ca_pem);
    } else if (client->trust_bundle_path) { /* beside the folder of the system's roots */
        SET(CURLOPT_CAINFO, client->trust_bundle_path);
        SET(CURLOPT_CAPATH, "/etc/ssl/certs");
    }
    if (client->insecure) {
        SET(CURLOPT_SSL_VERIFYPEER, 0L);
        SET(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    return good && set_blob(t, CURLOPT_SSLCERT_BLOB, client->client_cert_pem) &&
           set_blob(t, CURLOPT_SSLKEY_BLOB, client->client_key_pem);
}

static bool set_body(struct transfer *t, const struct http_call *call, bool copy_body)
{
    const char *method = call->method;
    bool good = true;

    if (call->body_fd > 0) {
        t->body_fd = call->body_fd;
        t->body_size = call->body_fd_size;
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body_fd_size);
        SET(CURLOPT_READFUNCTION, on_upload);
        SET(CURLOPT_READDATA, t);
        SET(CURLOPT_SEEKFUNCTION, on_seek);
        SET(CURLOPT_SEEKDATA, t);
        method = method ? method : "POST";
    } else if (call->body.ptr ||
               (method && (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
                           strcmp(method, "PATCH") == 0))) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
        SET(copy_body ? CURLOPT_COPYPOSTFIELDS : CURLOPT_POSTFIELDS,
            call->body.ptr ? call->body.ptr : "");
    }
    if (method && strcmp(method, "HEAD") == 0)
        SET(CURLOPT_NOBODY, 1L);
    else if (method && strcmp(method, "GET") != 0)
        SET(CURLOPT_CUSTOMREQUEST, method);
    return good;
}

static bool set_limits(struct transfer *t, const struct http_call *call)
{
    int timeout_ms = call->timeout_ms ? call->timeout_ms : HTTP_TIMEOUT_MS;
    bool good = true;

    SET(CURLOPT_TIMEOUT_MS, timeout_ms > 0 ? (long)timeout_ms : 0L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
    SET(CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_S);
    SET(CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, call->no_redirects ? 0L : 1L);
    SET(CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (!t->client->use_environment_proxy)
        SET(CURLOPT_PROXY, "");
    return good;
}

static bool set_callbacks(struct transfer *t)
{
    bool good = true;

    SET(CURLOPT_ERRORBUFFER, t->reason);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_HTTPHEADER, t->headers);
    SET(CURLOPT_USERAGENT, "monban");
    if (t->client->resolve)
        SET(CURLOPT_RESOLVE, t->client->resolve);
    if (t->client->bearer_token) {
        SET(CURLOPT_XOAUTH2_BEARER, t->client->bearer_token);
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
    }
    return good;
}

int transfer_setup(struct transfer *t, const struct http_call *call, bool copy_body,
                   struct error *err)
{
    bool good = true;

    t->on_body = call->on_body;
    t->ctx = call->ctx;
    t->answer_max = call->answer_max ? call->answer_max : HTTP_ANSWER_MAX;
    t->answer.body = (struct buf)BUF_INIT(t->answer_max);
    if (set_headers(t, call, err) < 0)
        return -1;
    SET(CURLOPT_URL, call->url);
    if (!good || !set_callbacks(t) || !set_limits(t, call) || !set_trust(t) ||
        !set_body(t, call, copy_body))
        return error_set(err, ERR_INTERNAL, "libcurl refuses a setting of '%s'", call->url);
    return 0;
}

void transfer_done(struct transfer *t)
{
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    http_answer_done(&t->answer);
}

static enum error_kind kind_of(CURLcode code)
{
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        return ERR_NO_MEMORY;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return ERR_UNTRUSTED;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WEIRD_SERVER_REPLY:
        return ERR_INVALID;
    default: /* no name, no connection, a connection that broke */
        return ERR_UNAVAILABLE;
    }
}

int transfer_result(const struct transfer *t, CURLcode code, struct error *err)
{
    const char *url = NULL;

    if (code == CURLE_OK)
        return 0;
    if (t->err.kind != ERR_NONE) {
        *err = t->err;
        return -1;
    }
    (void)curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &url); /* NULL if it is not known */
    return error_set(err, kind_of(code), "%s: %s", url ? url : "http",
                     t->reason[0] ? t->reason : curl_easy_strerror(code));
}

int http_client_call(struct http_client *client, const struct http_call *call,
                     struct http_answer *ret_answer, struct error *err)
{
    struct transfer t = {.client = client, .easy = client->easy, .body_fd = -1};
    int result;

    curl_easy_reset(client->easy);
    result = transfer_setup(&t, call, false, err);
    if (result == 0)
        result = transfer_result(&t, curl_easy_perform(client->easy), err);
    if (result == 0) {
        http_answer_done(ret_answer);
        *ret_answer = t.answer;
        t.answer = (struct http_answer)HTTP_ANSWER_INIT;
    }
    curl_easy_reset(client->easy); /* it must not keep pointers into this frame */
    transfer_done(&t);
    return result;
}
