/* cluster/api/validate.c - names, metadata, selectors, quantities. */
#include "cluster/api/validate.h"

#include <ctype.h>
#include <stdarg.h>

enum { ANNOTATIONS_MAX = 256 << 10, NAME_LABEL_MAX = 63, NAME_SUBDOMAIN_MAX = 253 };

static const char LABEL_TEXT[] =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must"
    " start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for"
    " validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
static const char SUBDOMAIN_TEXT[] =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'example.com', regex used for"
    " validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
static const char LABEL_1035_TEXT[] =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an"
    " alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123',"
    " regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
static const char KEY_TEXT[] =
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with"
    " an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for"
    " validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
static const char VALUE_TEXT[] =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or"
    " '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

const char *field_path(char out[FIELD_PATH_MAX], const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(out, FIELD_PATH_MAX, format, ap);
    va_end(ap);
    return out;
}

/* --- names --- */

static bool is_low_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool span_is_label(struct str s)
{
    if (s.len == 0 || s.len > NAME_LABEL_MAX || !is_low_alnum(s.ptr[0]) ||
        !is_low_alnum(s.ptr[s.len - 1]))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_low_alnum(s.ptr[i]) && s.ptr[i] != '-')
            return false;
    }
    return true;
}

bool name_is_label(const char *name)
{
    return span_is_label(str_of(name));
}

bool name_is_label_1035(const char *name)
{
    return name_is_label(name) && !isdigit((unsigned char)name[0]);
}

static bool span_is_subdomain(struct str s)
{
    if (s.len == 0 || s.len > NAME_SUBDOMAIN_MAX)
        return false;
    for (struct str rest = s; rest.ptr;) {
        struct str part = str_cut(&rest, '.');
        /* A part of a subdomain may be longer than a label: only the whole is limited. */
        if (part.len == 0 || !is_low_alnum(part.ptr[0]) || !is_low_alnum(part.ptr[part.len - 1]))
            return false;
        for (size_t i = 0; i < part.len; i++) {
            if (!is_low_alnum(part.ptr[i]) && part.ptr[i] != '-')
                return false;
        }
    }
    return true;
}

bool name_is_subdomain(const char *name)
{
    return span_is_subdomain(str_of(name));
}

static bool span_is_label_value(struct str s)
{
    if (s.len > NAME_LABEL_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        bool is_edge = i == 0 || i + 1 == s.len;
        if (!isalnum((unsigned char)s.ptr[i]) && (is_edge || !strchr("-_.", s.ptr[i])))
            return false;
    }
    return true;
}

bool name_is_label_value(const char *name)
{
    return span_is_label_value(str_of(name));
}

bool name_is_label_key(const char *name)
{
    struct str rest = str_of(name);
    ptrdiff_t slash = str_find(rest, '/');

    if (slash >= 0) {
        if (!span_is_subdomain(str_first(rest, (size_t)slash)))
            return false;
        rest = str_skip(rest, (size_t)slash + 1);
    }
    return rest.len > 0 && span_is_label_value(rest);
}

/* Quantity: [+-]digits[.digits], then a suffix (Ki Mi Gi Ti Pi Ei n u m k M G T P E, or an
 * exponent). */
bool quantity_is_valid(const json_t *value)
{
    static const char *const suffixes[] = {"",  "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "n",
                                           "u", "m",  "k",  "M",  "G",  "T",  "P",  "E"};
    if (json_is_number(value))
        return true;
    const char *at = json_string_value(value);
    if (!at)
        return false;
    at += *at == '+' || *at == '-';
    size_t whole = strspn(at, "0123456789"), fraction = 0;
    at += whole;
    if (*at == '.') {
        fraction = strspn(at + 1, "0123456789");
        at += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        if (strcmp(at, suffixes[i]) == 0)
            return true;
    }
    if (*at != 'e' && *at != 'E')
        return false;
    at += 1 + (at[1] == '+' || at[1] == '-');
    return *at && at[strspn(at, "0123456789")] == '\0';
}

/* --- metadata --- */

void validate_labels(const json_t *labels, const char *path, struct causes *causes)
{
    const char *key;
    const json_t *value;
    json_t *map = (json_t *)labels; /* the macro only reads */

    json_object_foreach(map, key, value)
    {
        CLEANUP(json) json_t *key_value = json_string(key);
        if (!name_is_label_key(key))
            causes_invalid(causes, path, key_value, "%s", KEY_TEXT);
        if (json_string_length(value) > NAME_LABEL_MAX)
            causes_invalid(causes, path, value, "must be no more than 63 characters");
        else if (!name_is_label_value(json_string_value(value)))
            causes_invalid(causes, path, value, "%s", VALUE_TEXT);
    }
}

static void validate_annotations(const json_t *annotations, struct causes *causes)
{
    size_t total = 0;
    const char *key;
    const json_t *value;
    json_t *map = (json_t *)annotations; /* the macro only reads */

    json_object_foreach(map, key, value)
    {
        CLEANUP(json) json_t *key_value = json_string(key);
        if (!name_is_label_key(key))
            causes_invalid(causes, "metadata.annotations", key_value, "%s", KEY_TEXT);
        total += strlen(key) + json_string_length(value);
    }
    if (total > ANNOTATIONS_MAX)
        causes_too_long(causes, "metadata.annotations", ANNOTATIONS_MAX);
}

static void validate_name(const struct resource *res, const json_t *value, struct causes *causes)
{
    const char *name = json_string_value(value);

    if (!name || !*name) {
        causes_required(causes, "metadata.name", "name or generateName is required");
    } else if (res->flags & RESOURCE_PATH_NAME) {
        if (strchr(name, '/') || strchr(name, '%') || strcmp(name, ".") == 0 ||
            strcmp(name, "..") == 0)
            causes_invalid(causes, "metadata.name", value, "may not contain '/' or '%%'");
    } else if (res->flags & RESOURCE_LABEL_1035) {
        if (!name_is_label_1035(name))
            causes_invalid(causes, "metadata.name", value, "%s", LABEL_1035_TEXT);
    } else if (res->flags & RESOURCE_LABEL_NAME) {
        if (!name_is_label(name))
            causes_invalid(causes, "metadata.name", value, "%s", LABEL_TEXT);
    } else if (!name_is_subdomain(name)) {
        causes_invalid(causes, "metadata.name", value, "%s", SUBDOMAIN_TEXT);
    }
}

static void validate_owners(const json_t *owners, struct causes *causes)
{
    static const char *const required[] = {"apiVersion", "kind", "name", "uid"};
    char path[FIELD_PATH_MAX];
    bool has_controller = false;

    for (size_t i = 0; i < json_array_size(owners); i++) {
        const json_t *owner = json_array_get(owners, i);
        for (size_t j = 0; j < ARRAY_LEN(required); j++) {
            const char *text = json_string_value(json_object_get(owner, required[j]));
            if (!text || !*text)
                causes_required(
                    causes, field_path(path, "metadata.ownerReferences[%zu].%s", i, required[j]),
                    "must not be empty");
        }
        if (!json_is_true(json_object_get(owner, "controller")))
            continue;
        if (has_controller)
            causes_invalid(causes, "metadata.ownerReferences", owners,
                           "Only one reference can have Controller set to true");
        has_controller = true;
    }
}

/* No new finalizer once deletion has begun. */
static void validate_finalizers(const json_t *metadata, const json_t *old, struct causes *causes)
{
    const json_t *finalizers = json_object_get(metadata, "finalizers");
    const json_t *before = json_object_get(json_object_get(old, "metadata"), "finalizers");
    bool is_deleting =
        json_object_get(json_object_get(old, "metadata"), "deletionTimestamp") != NULL;

    for (size_t i = 0; i < json_array_size(finalizers); i++) {
        const json_t *finalizer = json_array_get(finalizers, i);
        bool is_new = true;
        for (size_t j = 0; is_new && j < json_array_size(before); j++)
            is_new = !json_equal(finalizer, json_array_get(before, j));
        if (is_new && is_deleting)
            causes_forbidden(causes, "metadata.finalizers",
                             "no new finalizers can be added if the object is being deleted");
        else if (!name_is_label_key(json_string_value(finalizer)))
            causes_invalid(causes, "metadata.finalizers", finalizer, "%s", KEY_TEXT);
    }
}

void validate_metadata(const struct resource *res, const json_t *object, const json_t *old,
                       struct causes *causes)
{
    const json_t *metadata = json_object_get(object, "metadata");

    validate_name(res, json_object_get(metadata, "name"), causes);
    if (resource_is_namespaced(res)) {
        const json_t *value = json_object_get(metadata, "namespace");
        if (!json_string_length(value))
            causes_required(causes, "metadata.namespace", "");
        else if (!name_is_label(json_string_value(value)))
            causes_invalid(causes, "metadata.namespace", value, "%s", LABEL_TEXT);
    }
    validate_labels(json_object_get(metadata, "labels"), "metadata.labels", causes);
    validate_annotations(json_object_get(metadata, "annotations"), causes);
    validate_owners(json_object_get(metadata, "ownerReferences"), causes);
    validate_finalizers(metadata, old, causes);
}

/* --- selectors --- */

static void validate_requirement(const json_t *requirement, const char *path, struct causes *causes)
{
    const json_t *key = json_object_get(requirement, "key");
    const json_t *operator= json_object_get(requirement, "operator");
    const char *op = json_string_value(operator);
    size_t values = json_array_size(json_object_get(requirement, "values"));
    char at[FIELD_PATH_MAX];

    if (!json_is_string(key) || !name_is_label_key(json_string_value(key)))
        causes_invalid(causes, field_path(at, "%s.key", path), key, "%s", KEY_TEXT);
    if (op && (strcmp(op, "In") == 0 || strcmp(op, "NotIn") == 0)) {
        if (values == 0)
            causes_required(causes, field_path(at, "%s.values", path),
                            "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (op && (strcmp(op, "Exists") == 0 || strcmp(op, "DoesNotExist") == 0)) {
        if (values > 0)
            causes_forbidden(causes, field_path(at, "%s.values", path),
                             "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else {
        causes_invalid(causes, field_path(at, "%s.operator", path), operator,
                       "not a valid selector operator");
    }
}

void validate_selector(const json_t *selector, const char *path, struct causes *causes)
{
    const json_t *expressions = json_object_get(selector, "matchExpressions");
    char at[FIELD_PATH_MAX];

    validate_labels(json_object_get(selector, "matchLabels"),
                    field_path(at, "%s.matchLabels", path), causes);
    for (size_t i = 0; i < json_array_size(expressions); i++)
        validate_requirement(json_array_get(expressions, i),
                             field_path(at, "%s.matchExpressions[%zu]", path, i), causes);
}
