/* wire/http_request.c - what a handler asks of a request, and the answers that are whole. */
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/io.h"
#include "wire/http_internal.h"

enum { ORGANISATIONS_MAX = 64, NAME_BYTES_MAX = 256 };

/* Decoded, terminated, and without a NUL in it. */
static int decode(struct str raw, char **ret, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(HTTP_CONNECTION_MEMORY);

    if (!percent_decode(raw, &text) || (text.len && memchr(text.ptr, 0, text.len)))
        return error_set(err, ERR_INVALID, "malformed percent-encoding");
    *ret = buf_take(&text);
    return *ret ? 0 : error_no_memory(err);
}

/* In a query '+' is a blank. */
static int decode_form(struct str raw, struct strv *out, struct error *err)
{
    CLEANUP(text) char *blanks = str_dup(raw);
    CLEANUP(text) char *text = NULL;

    if (!blanks)
        return error_no_memory(err);
    for (char *p = blanks; *p; p++) {
        if (*p == '+')
            *p = ' ';
    }
    if (decode(str_of(blanks), &text, err) < 0)
        return -1;
    strv_add(out, text);
    return strv_ok(out, err);
}

static int parse_query(struct http_request *req, struct error *err)
{
    struct str rest = str_of(req->raw_query);

    while (rest.len > 0) {
        struct str value = str_cut(&rest, '&');
        if (value.len == 0)
            continue;
        struct str name = str_cut(&value, '=');
        if (!value.ptr)
            value = STR("");
        if (req->query.count >= 2 * (size_t)HTTP_QUERY_MAX)
            return error_set(err, ERR_LIMIT, "more than %d parameters", (int)HTTP_QUERY_MAX);
        if (decode_form(name, &req->query, err) < 0 || decode_form(value, &req->query, err) < 0)
            return -1;
    }
    return 0;
}

int http_request_parse_uri(struct http_request *req, const char *uri, struct error *err)
{
    struct str query = str_of(uri);
    struct str path = str_cut(&query, '?');

    req->raw_path = str_dup(path);
    req->raw_query = str_dup(query.ptr ? query : STR(""));
    if (!req->raw_path || !req->raw_query)
        return error_no_memory(err);
    if (decode(path, &req->path, err) < 0)
        return -1;
    return parse_query(req, err);
}

const char *http_request_method(const struct http_request *req)
{
    return req->method;
}

const char *http_request_path(const struct http_request *req)
{
    return req->path;
}

const char *http_request_raw_path(const struct http_request *req)
{
    return req->raw_path;
}

const char *http_request_raw_query(const struct http_request *req)
{
    return req->raw_query;
}

struct str http_request_body(const struct http_request *req)
{
    return buf_str(&req->body);
}

const char *http_request_header(const struct http_request *req, const char *name)
{
    return MHD_lookup_connection_value(req->connection, MHD_HEADER_KIND, name);
}

const char *http_request_query(const struct http_request *req, const char *name)
{
    for (size_t i = 0; i + 1 < req->query.count; i += 2) {
        if (strcmp(req->query.items[i], name) == 0)
            return req->query.items[i + 1];
    }
    return NULL;
}

void http_request_query_all(const struct http_request *req, const char *name, struct strv *out)
{
    for (size_t i = 0; i + 1 < req->query.count; i += 2) {
        if (strcmp(req->query.items[i], name) == 0)
            strv_add(out, req->query.items[i + 1]);
    }
}

const char *http_request_peer(const struct http_request *req)
{
    return req->peer;
}

/* Chain, dates and purpose, against the CA that the server was given. */
static bool cert_is_trusted(gnutls_session_t session)
{
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT};
    unsigned status = ~0U;

    return gnutls_certificate_verify_peers(session, &purpose, 1, &status) == GNUTLS_E_SUCCESS &&
           status == 0;
}

/* The n-th value of a kind in the subject; false if there is none, or if it holds a NUL. */
static bool subject_value(gnutls_x509_crt_t cert, const char *oid, unsigned n, char *out,
                          size_t out_size)
{
    size_t len = out_size;

    if (gnutls_x509_crt_get_dn_by_oid(cert, oid, n, 0, out, &len) != GNUTLS_E_SUCCESS)
        return false;
    return len < out_size && strlen(out) == len;
}

void http_connection_free(struct http_connection *connection)
{
    if (!connection)
        return;
    free(connection->common_name);
    strv_done(&connection->organisations);
    free(connection);
}

static void read_subject(gnutls_x509_crt_t cert, struct http_connection *connection)
{
    char text[NAME_BYTES_MAX];

    if (!subject_value(cert, GNUTLS_OID_X520_COMMON_NAME, 0, text, sizeof text))
        return;
    connection->common_name = str_dup(str_of(text));
    for (unsigned i = 0; i < ORGANISATIONS_MAX; i++) {
        if (!subject_value(cert, GNUTLS_OID_X520_ORGANIZATION_NAME, i, text, sizeof text))
            break;
        strv_add(&connection->organisations, text);
    }
    connection->has_cert = connection->common_name && !connection->organisations.failed;
}

static void check_cert(struct MHD_Connection *mhd, struct http_connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t session = info ? info->tls_session : NULL;
    unsigned count = 0;
    gnutls_x509_crt_t cert;

    connection->is_checked = true;
    if (!session)
        return;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    if (!chain || count == 0 || !cert_is_trusted(session) ||
        gnutls_x509_crt_init(&cert) != GNUTLS_E_SUCCESS)
        return;
    if (gnutls_x509_crt_import(cert, &chain[0], GNUTLS_X509_FMT_DER) == GNUTLS_E_SUCCESS)
        read_subject(cert, connection);
    gnutls_x509_crt_deinit(cert);
}

bool http_request_client_cert(const struct http_request *req, char *cn, size_t cn_size,
                              struct strv *organisations)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_connection *connection = info ? info->socket_context : NULL;

    if (!req->server->has_client_ca || !connection)
        return false;
    if (!connection->is_checked)
        check_cert(req->connection, connection);
    if (!connection->has_cert || strlen(connection->common_name) >= cn_size)
        return false;
    memcpy(cn, connection->common_name, strlen(connection->common_name) + 1);
    for (size_t i = 0; organisations && i < connection->organisations.count; i++)
        strv_add(organisations, connection->organisations.items[i]);
    return true;
}

void http_respond(struct http_request *req, int status, const struct http_header *headers,
                  struct str body)
{
    http_request_answer(
        req, status, headers,
        MHD_create_response_from_buffer(body.len, (void *)body.ptr, MHD_RESPMEM_MUST_COPY));
}

void http_respond_json(struct http_request *req, int status, const char *json_text)
{
    static const struct http_header headers[] = {{"Content-Type", "application/json"}, {0}};

    http_respond(req, status, headers, str_of(json_text));
}

void http_respond_file(struct http_request *req, int status, const struct http_header *headers,
                       int take_fd, uint64_t offset, uint64_t length)
{
    CLEANUP(fd) int fd = take_fd;

    if (length == 0) {
        http_respond(req, status, headers, STR(""));
        return;
    }
    struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(length, fd, offset);
    if (response)
        fd = -1; /* closed with the response */
    http_request_answer(req, status, headers, response);
}
