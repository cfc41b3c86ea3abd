/* cluster/api/answer.c - answers: objects, lists, tables, Status; those to writes wait for the
 * disk. */
#include "cluster/api/cells.h"
#include "cluster/api/server_internal.h"

enum { ANSWER_MAX = 1 << 30, ANSWER_WARNINGS_MAX = 16, WARNING_MAX = 512 };

/* --- sending, now or once it lasts --- */

struct late_answer {
    struct late_answer *next;
    struct api_server *server;
    struct http_request *http; /* NULL: the listeners have gone */
    int code;
    const char *content_type;
    char *body; /* owned */
    size_t body_len;
    char warnings[ANSWER_WARNINGS_MAX][WARNING_MAX];
    size_t warnings_count;
};

static void send_now(struct http_request *http, int code, const char *content_type, struct str body,
                     char (*warnings)[WARNING_MAX], size_t warnings_count)
{
    struct http_header headers[ANSWER_WARNINGS_MAX + 3] = {{"Content-Type", content_type},
                                                           {"Cache-Control", "no-cache, private"}};

    for (size_t i = 0; i < warnings_count; i++)
        headers[2 + i] = (struct http_header){"Warning", warnings[i]};
    http_respond(http, code, headers, body);
}

static void late_free(struct late_answer *late)
{
    for (struct late_answer **at = &late->server->late_answers; *at; at = &(*at)->next) {
        if (*at == late) {
            *at = late->next;
            break;
        }
    }
    free(late->body);
    free(late);
}

static void late_send(const struct error *err, void *ctx)
{
    struct late_answer *late = ctx;
    CLEANUP(status) struct status status = STATUS_INIT;

    if (late->http && err) {
        (void)status_from_error(&status, err);
        CLEANUP(json) json_t *root = status_json(&status);
        CLEANUP(text) char *text = json_dumps(root, JSON_COMPACT);
        send_now(late->http, status.code, "application/json", str_of(text), NULL, 0);
    } else if (late->http) {
        send_now(late->http, late->code, late->content_type, str_slice(late->body, late->body_len),
                 late->warnings, late->warnings_count);
    }
    late_free(late);
}

void answers_forget(struct api_server *server)
{
    for (struct late_answer *late = server->late_answers; late; late = late->next)
        late->http = NULL;
}

static size_t copy_warnings(const struct request *rq, char (*out)[WARNING_MAX])
{
    size_t count = 0;

    for (; count < rq->warnings.count && count < ANSWER_WARNINGS_MAX; count++) {
        CLEANUP(buf) struct buf quoted = BUF_INIT(WARNING_MAX - 8);
        json_add_quoted(&quoted, str_of(rq->warnings.items[count]));
        (void)snprintf(out[count], WARNING_MAX, "299 - %s", buf_text(&quoted));
    }
    return count;
}

void answer_text(struct request *rq, int code, const char *content_type, struct str body)
{
    struct store *store = rq->api->store;
    struct error err = ERROR_INIT;
    char warnings[ANSWER_WARNINGS_MAX][WARNING_MAX];

    if (!rq->has_written || store_durable_revision(store) == store_revision(store)) {
        send_now(rq->http, code, content_type, body, warnings, copy_warnings(rq, warnings));
        return;
    }
    struct late_answer *late = calloc(1, sizeof(*late));
    char *copy = malloc(body.len + 1);
    if (!late || !copy) {
        free(late);
        free(copy);
        send_now(rq->http, 500, "text/plain", STR("out of memory"), NULL, 0);
        return;
    }
    memcpy(copy, body.ptr, body.len);
    *late = (struct late_answer){.next = rq->server->late_answers,
                                 .server = rq->server,
                                 .http = rq->http,
                                 .code = code,
                                 .content_type = content_type,
                                 .body = copy,
                                 .body_len = body.len};
    late->warnings_count = copy_warnings(rq, late->warnings);
    rq->server->late_answers = late;
    if (store_when_durable(store, late_send, late, &err) < 0)
        late_send(&err, late);
}

void answer_json(struct request *rq, int code, json_t *take_root)
{
    CLEANUP(json) json_t *root = take_root;
    CLEANUP(text) char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

    if (text)
        answer_text(rq, code, "application/json", str_of(text));
    else
        answer_text(rq, 500, "text/plain", STR("out of memory"));
}

void answer_status(struct request *rq, const struct status *status)
{
    answer_json(rq, status->code, status_json(status));
}

void answer_error(struct request *rq, const struct error *err)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    (void)status_from_error(&status, err);
    answer_status(rq, &status);
}

void answer_not_found(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    (void)status_set(&status, 404, "NotFound", "the server could not find the requested resource");
    status.details = json_object();
    answer_status(rq, &status);
}

/* --- forms --- */

/* "application/json;as=Table;v=v1;g=meta.k8s.io,application/json": the first that we know. */
void answer_read_accept(struct request *rq)
{
    const char *accept = http_request_header(rq->http, "Accept");
    struct str rest = str_of(accept ? accept : "");

    rq->form = FORM_OBJECT;
    rq->table_version = "v1";
    while (rest.len > 0) {
        struct str item = str_trim(str_cut(&rest, ','));
        bool is_json = str_starts(item, STR("application/json"));
        bool is_table = str_find_text(item, STR("as=Table")) >= 0;
        bool is_metadata = str_find_text(item, STR("as=PartialObjectMetadata")) >= 0;
        if (!is_json)
            continue;
        rq->table_version = str_find_text(item, STR("v=v1beta1")) >= 0 ? "v1beta1" : "v1";
        rq->form = is_table ? FORM_TABLE : is_metadata ? FORM_METADATA : FORM_OBJECT;
        return;
    }
}

static int add_metadata_object(const struct request *rq, const struct object *object,
                               struct buf *out, struct error *err)
{
    buf_addf(out,
             "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/%s\",\"metadata\":",
             rq->table_version);
    if (json_write(json_object_get(object_root(object), "metadata"), false, out, err) < 0)
        return -1;
    buf_add_char(out, '}');
    return buf_ok(out, err);
}

/* As stored, or with the apiVersion that was asked for. */
static int add_plain(const struct request *rq, const struct object *object, struct buf *out,
                     struct error *err)
{
    char stored[API_VERSION_SIZE];

    if (strcmp(rq->api_version, resource_api_version(rq->res, stored)) == 0) {
        buf_add_str(out, object_text(object));
        return buf_ok(out, err);
    }
    CLEANUP(json) json_t *copy = json_copy((json_t *)object_root(object));
    if (!copy || json_object_set_new(copy, "apiVersion", json_string(rq->api_version)) < 0)
        return error_no_memory(err);
    return json_write(copy, false, out, err);
}

static int add_row(const struct request *rq, const struct object *object, struct buf *out,
                   struct error *err)
{
    const char *include = http_request_query(rq->http, "includeObject");
    CLEANUP(json) json_t *cells = json_array();

    if (rq->res->add_cells)
        rq->res->add_cells(object_root(object), cells);
    buf_add_text(out, "{\"cells\":");
    if (json_write(cells, false, out, err) < 0)
        return -1;
    if (!include || strcmp(include, "None") != 0) {
        buf_add_text(out, ",\"object\":");
        int rc = include && strcmp(include, "Object") == 0
                     ? add_plain(rq, object, out, err)
                     : add_metadata_object(rq, object, out, err);
        if (rc < 0)
            return -1;
    }
    buf_add_char(out, '}');
    return buf_ok(out, err);
}

static void add_columns(const struct request *rq, struct buf *out)
{
    buf_add_text(out, "\"columnDefinitions\":[");
    for (const struct table_column *c = rq->res->columns; c && c->name; c++) {
        buf_addf(out,
                 "%s{\"name\":\"%s\",\"type\":\"%s\",\"format\":\"%s\",\"description\":\"%s\","
                 "\"priority\":%d}",
                 c == rq->res->columns ? "" : ",", c->name, c->type, c->format, c->help,
                 c->priority);
    }
    buf_add_text(out, "],");
}

static void open_table(const struct request *rq, int64_t revision, bool with_columns,
                       struct buf *out)
{
    buf_addf(out,
             "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/%s\",\"metadata\":{"
             "\"resourceVersion\":\"%lld\"},",
             rq->table_version, (long long)revision);
    if (with_columns)
        add_columns(rq, out);
    else
        buf_add_text(out, "\"columnDefinitions\":null,");
    buf_add_text(out, "\"rows\":[");
}

int answer_add_object(const struct request *rq, const struct object *object, bool with_columns,
                      struct buf *out, struct error *err)
{
    switch (rq->form) {
    case FORM_TABLE:
        open_table(rq, object_revision(object), with_columns, out);
        if (add_row(rq, object, out, err) < 0)
            return -1;
        buf_add_text(out, "]}");
        return buf_ok(out, err);
    case FORM_METADATA:
        return add_metadata_object(rq, object, out, err);
    case FORM_OBJECT:
        return add_plain(rq, object, out, err);
    }
    return error_set(err, ERR_INTERNAL, "no such form");
}

void answer_object(struct request *rq, int code, const struct object *object)
{
    CLEANUP(buf) struct buf out = BUF_INIT(ANSWER_MAX);
    struct error err = ERROR_INIT;

    if (answer_add_object(rq, object, true, &out, &err) < 0)
        answer_error(rq, &err);
    else
        answer_text(rq, code, "application/json", buf_str(&out));
}

static void open_list(const struct request *rq, int64_t revision, struct buf *out)
{
    if (rq->form == FORM_TABLE) {
        open_table(rq, revision, true, out);
    } else if (rq->form == FORM_METADATA) {
        buf_addf(out,
                 "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/%s\","
                 "\"metadata\":{\"resourceVersion\":\"%lld\"},\"items\":[",
                 rq->table_version, (long long)revision);
    } else {
        buf_addf(out,
                 "{\"kind\":\"%sList\",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":"
                 "\"%lld\"},\"items\":[",
                 rq->res->kind, rq->api_version, (long long)revision);
    }
}

void answer_list(struct request *rq, struct object *const *items, size_t count, int64_t revision)
{
    CLEANUP(buf) struct buf out = BUF_INIT(ANSWER_MAX);
    struct error err = ERROR_INIT;
    int rc = 0;

    open_list(rq, revision, &out);
    for (size_t i = 0; i < count && rc == 0; i++) {
        if (i > 0)
            buf_add_char(&out, ',');
        rc = rq->form == FORM_TABLE      ? add_row(rq, items[i], &out, &err)
             : rq->form == FORM_METADATA ? add_metadata_object(rq, items[i], &out, &err)
                                         : add_plain(rq, items[i], &out, &err);
    }
    buf_add_text(&out, "]}");
    if (rc < 0 || buf_ok(&out, &err) < 0)
        answer_error(rq, &err);
    else
        answer_text(rq, 200, "application/json", buf_str(&out));
}
