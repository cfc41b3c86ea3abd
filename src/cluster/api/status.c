/* cluster/api/status.c - Status objects and their texts. */
#include "cluster/api/status.h"

#include <stdarg.h>

const char STATUS_MODIFIED[] =
    "the object has been modified; please apply your changes to the latest"
    " version and try again";

enum { STATUS_TEXT_MAX = 1 << 16 }; /* bytes of one message */

/* --- causes --- */

void causes_done(struct causes *causes)
{
    json_decref(causes->items);
    causes->items = NULL;
}

size_t causes_count(const struct causes *causes)
{
    return json_array_size(causes->items);
}

static void causes_add(struct causes *causes, const char *reason, const char *field,
                       const char *message)
{
    if (!causes->items)
        causes->items = json_array();
    /* Without memory a cause is lost; a status that lacks one is refused all the same: count them.
     */
    (void)json_array_append_new(causes->items, json_pack("{s:s, s:s, s:s}", "reason", reason,
                                                         "message", message, "field", field));
}

static void add_value(struct buf *out, const json_t *value)
{
    if (json_is_string(value)) {
        json_add_quoted(out, str_slice(json_string_value(value), json_string_length(value)));
        return;
    }
    CLEANUP(text) char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    buf_add_text(out, text ? text : "null");
}

void causes_invalid(struct causes *causes, const char *field, const json_t *value,
                    const char *format, ...)
{
    CLEANUP(buf) struct buf out = BUF_INIT(STATUS_TEXT_MAX);
    char detail[1024];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(detail, sizeof(detail), format, ap);
    va_end(ap);
    buf_add_text(&out, "Invalid value: ");
    add_value(&out, value);
    buf_addf(&out, ": %s", detail);
    causes_add(causes, "FieldValueInvalid", field, buf_text(&out));
}

static void causes_detail(struct causes *causes, const char *reason, const char *field,
                          const char *what, const char *detail)
{
    CLEANUP(text) char *message = str_format("%s%s%s", what, *detail ? ": " : "", detail);
    causes_add(causes, reason, field, message ? message : what);
}

void causes_required(struct causes *causes, const char *field, const char *detail)
{
    causes_detail(causes, "FieldValueRequired", field, "Required value", detail);
}

void causes_forbidden(struct causes *causes, const char *field, const char *detail)
{
    causes_detail(causes, "FieldValueForbidden", field, "Forbidden", detail);
}

static void causes_value(struct causes *causes, const char *reason, const char *field,
                         const char *what, const json_t *value)
{
    CLEANUP(buf) struct buf out = BUF_INIT(STATUS_TEXT_MAX);
    buf_addf(&out, "%s: ", what);
    add_value(&out, value);
    causes_add(causes, reason, field, buf_text(&out));
}

void causes_duplicate(struct causes *causes, const char *field, const json_t *value)
{
    causes_value(causes, "FieldValueDuplicate", field, "Duplicate value", value);
}

void causes_not_found(struct causes *causes, const char *field, const json_t *value)
{
    causes_value(causes, "FieldValueNotFound", field, "Not found", value);
}

void causes_unsupported(struct causes *causes, const char *field, const json_t *value,
                        const char *const *supported)
{
    CLEANUP(buf) struct buf out = BUF_INIT(STATUS_TEXT_MAX);
    buf_add_text(&out, "Unsupported value: ");
    add_value(&out, value);
    buf_add_text(&out, ": supported values: ");
    for (size_t i = 0; supported[i]; i++)
        buf_addf(&out, "%s\"%s\"", i ? ", " : "", supported[i]);
    causes_add(causes, "FieldValueNotSupported", field, buf_text(&out));
}

void causes_too_long(struct causes *causes, const char *field, size_t limit)
{
    char message[80];
    (void)snprintf(message, sizeof(message), "Too long: may not be longer than %zu", limit);
    causes_add(causes, "FieldValueTooLong", field, message);
}

/* --- statuses --- */

void status_done(struct status *status)
{
    free(status->message);
    json_decref(status->details);
    *status = (struct status){0};
}

static int status_vset(struct status *status, int code, const char *reason, const char *format,
                       va_list ap)
{
    char *message = NULL;

    status_done(status);
    if (vasprintf(&message, format, ap) < 0)
        message = NULL;
    *status = (struct status){.code = code, .reason = reason, .message = message};
    return -1;
}

int status_set(struct status *status, int code, const char *reason, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int rc = status_vset(status, code, reason, format, ap);
    va_end(ap);
    return rc;
}

int status_bad_request(struct status *status, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int rc = status_vset(status, 400, "BadRequest", format, ap);
    va_end(ap);
    return rc;
}

const char *resource_qualified(const struct resource *res, char out[API_VERSION_SIZE])
{
    (void)snprintf(out, API_VERSION_SIZE, "%s%s%s", res->plural, *res->group ? "." : "",
                   res->group);
    return out;
}

void status_set_details(struct status *status, const struct resource *res, const char *kind,
                        const char *name)
{
    json_decref(status->details);
    status->details = json_object();
    if (*name)
        (void)json_object_set_new(status->details, "name", json_string(name));
    if (*res->group)
        (void)json_object_set_new(status->details, "group", json_string(res->group));
    (void)json_object_set_new(status->details, "kind", json_string(kind));
}

static int status_about(struct status *status, int code, const char *reason,
                        const struct resource *res, const char *name, const char *before,
                        const char *after)
{
    char qualified[API_VERSION_SIZE];
    (void)status_set(status, code, reason, "%s%s \"%s\"%s", before,
                     resource_qualified(res, qualified), name, after);
    status_set_details(status, res, res->plural, name);
    return -1;
}

int status_not_found(struct status *status, const struct resource *res, const char *name)
{
    return status_about(status, 404, "NotFound", res, name, "", " not found");
}

int status_already_exists(struct status *status, const struct resource *res, const char *name)
{
    return status_about(status, 409, "AlreadyExists", res, name, "", " already exists");
}

int status_conflict(struct status *status, const struct resource *res, const char *name,
                    const char *why)
{
    CLEANUP(text) char *after = str_format(": %s", why);
    return status_about(status, 409, "Conflict", res, name, "Operation cannot be fulfilled on ",
                        after ? after : "");
}

int status_forbidden(struct status *status, const struct resource *res, const char *name,
                     const char *why)
{
    CLEANUP(text) char *after = str_format(" is forbidden: %s", why);
    return status_about(status, 403, "Forbidden", res, name, "", after ? after : "");
}

int status_invalid(struct status *status, const struct resource *res, const char *name,
                   const struct causes *causes)
{
    CLEANUP(buf) struct buf text = BUF_INIT(STATUS_TEXT_MAX);
    size_t count = causes_count(causes), i;
    json_t *cause;

    buf_addf(&text, "%s%s%s \"%s\" is invalid: %s", res->kind, *res->group ? "." : "", res->group,
             name, count > 1 ? "[" : "");
    json_array_foreach(causes->items, i, cause)
    {
        const char *field = json_string_value(json_object_get(cause, "field"));
        buf_addf(&text, "%s%s: %s", i ? ", " : "", field,
                 json_string_value(json_object_get(cause, "message")));
    }
    if (count > 1)
        buf_add_char(&text, ']');
    (void)status_set(status, 422, "Invalid", "%s", buf_text(&text));
    status_set_details(status, res, res->kind, name);
    (void)json_object_set(status->details, "causes", causes->items);
    return -1;
}

int status_no_memory(struct status *status)
{
    return status_set(status, 500, "InternalError", "Internal error occurred: out of memory");
}

static const struct {
    enum error_kind kind;
    int code;
    const char *reason;
} STATUS_KINDS[] = {
    {ERR_INVALID, 400, "BadRequest"},
    {ERR_NOT_FOUND, 404, "NotFound"},
    {ERR_CONFLICT, 409, "Conflict"},
    {ERR_DENIED, 403, "Forbidden"},
    {ERR_UNTRUSTED, 401, "Unauthorized"},
    {ERR_LIMIT, 413, "RequestEntityTooLarge"},
    {ERR_TIMEOUT, 504, "Timeout"},
    {ERR_UNAVAILABLE, 503, "ServiceUnavailable"},
    {ERR_UNSUPPORTED, 405, "MethodNotAllowed"},
    {ERR_INVALID, 422, "Invalid"},
};

int status_from_error(struct status *status, const struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(STATUS_KINDS); i++) {
        if (STATUS_KINDS[i].kind == err->kind)
            return status_set(status, STATUS_KINDS[i].code, STATUS_KINDS[i].reason, "%s",
                              err->text);
    }
    return status_set(status, 500, "InternalError", "Internal error occurred: %s", err->text);
}

int status_to_error(const struct status *status, struct error *err)
{
    const char *message = status->message ? status->message : "out of memory";

    for (size_t i = 0; i < ARRAY_LEN(STATUS_KINDS); i++) {
        if (STATUS_KINDS[i].code == status->code)
            return error_set(err, STATUS_KINDS[i].kind, "%s", message);
    }
    return error_set(err, ERR_INTERNAL, "%s", message);
}

json_t *status_json(const struct status *status)
{
    json_t *root =
        json_pack("{s:s, s:s, s:{}, s:s, s:s, s:s}", "kind", "Status", "apiVersion", "v1",
                  "metadata", "status", "Failure", "message",
                  status->message ? status->message : "out of memory", "reason", status->reason);
    if (status->details)
        (void)json_object_set(root, "details", status->details);
    (void)json_object_set_new(root, "code", json_integer(status->code));
    return root;
}

json_t *status_success_json(const struct resource *res, const char *name, const char *uid)
{
    json_t *details = json_pack("{s:s}", "name", name);
    if (*res->group)
        (void)json_object_set_new(details, "group", json_string(res->group));
    (void)json_object_set_new(details, "kind", json_string(res->plural));
    (void)json_object_set_new(details, "uid", json_string(uid));
    return json_pack("{s:s, s:s, s:{}, s:s, s:o}", "kind", "Status", "apiVersion", "v1", "metadata",
                     "status", "Success", "details", details);
}
