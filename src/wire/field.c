/* wire/field.c - see wire/field.h. */
#include "wire/field.h"

#include "base/clock.h"

const char *field_type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "a map";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "text";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "nothing";
    }
    return "something else";
}

json_t *field_get(const struct fields *f, const json_t *object, const char *key, json_type type)
{
    json_t *value = json_object_get(object, key);
    const char *wanted = type == JSON_OBJECT ? "a map" : type == JSON_ARRAY ? "a list" : "text";

    if (!value || json_is_null(value))
        return NULL;
    if (json_typeof(value) == type)
        return value;
    error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, object, key),
                   "expected %s in '%s', got %s", wanted, key, field_type_name(value));
    return NULL;
}

const char *field_text(const struct fields *f, const json_t *object, const char *key)
{
    return json_string_value(field_get(f, object, key, JSON_STRING));
}

json_t *field_need(const struct fields *f, const json_t *object, const char *key, json_type type,
                   const char *what)
{
    json_t *value = json_object_get(object, key);

    if (!value || json_is_null(value)) {
        error_list_add(f->faults, ERR_INVALID, doc_place(f->doc, object), "expected '%s' in %s",
                       key, what);
        return NULL;
    }
    return field_get(f, object, key, type);
}

const char *field_need_text(const struct fields *f, const json_t *object, const char *key,
                            const char *what)
{
    return json_string_value(field_need(f, object, key, JSON_STRING, what));
}

json_t *field_item(const struct fields *f, const json_t *array, size_t index, const char *what)
{
    json_t *value = json_array_get(array, index);

    if (json_is_object(value))
        return value;
    error_list_add(f->faults, ERR_INVALID, doc_place_item(f->doc, array, index),
                   "expected a map as an item of %s, got %s", what, field_type_name(value));
    return NULL;
}

int64_t field_integer(const struct fields *f, const json_t *object, const char *key, int64_t least,
                      int64_t most, int64_t otherwise)
{
    const json_t *value = json_object_get(object, key);

    if (!value || json_is_null(value))
        return otherwise;
    if (json_is_integer(value) && json_integer_value(value) >= least &&
        json_integer_value(value) <= most)
        return json_integer_value(value);
    error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, object, key),
                   "expected a number from %lld to %lld in '%s'", (long long)least, (long long)most,
                   key);
    return otherwise;
}

int64_t field_duration_ms(const struct fields *f, const json_t *object, const char *key,
                          int64_t otherwise)
{
    const json_t *value = json_object_get(object, key);
    int64_t duration_ms;

    if (!value || json_is_null(value))
        return otherwise;
    if (json_is_integer(value) && json_integer_value(value) == 0)
        return 0;
    if (json_is_string(value) &&
        clock_parse_duration(str_of(json_string_value(value)), &duration_ms))
        return duration_ms;
    error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, object, key),
                   "expected a duration such as 90s, 10m or 24h in '%s'", key);
    return otherwise;
}

int field_word(const struct fields *f, const json_t *object, const char *key,
               const char *const *words)
{
    const char *text = field_text(f, object, key);
    char list[256] = "";
    size_t used = 0;

    if (!text)
        return -1;
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], text) == 0)
            return i;
    for (int i = 0; words[i] && used < sizeof(list); i++)
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
                                 i == 0         ? ""
                                 : words[i + 1] ? ", "
                                                : " or ",
                                 words[i]);
    error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, object, key),
                   "expected %s in '%s', got '%s'", list, key, text);
    return -1;
}

bool field_is_label(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char ch = s.ptr[i];
        bool is_plain = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9');
        if (!is_plain && (ch != '-' || i == 0 || i == s.len - 1))
            return false;
    }
    return s.len > 0 && s.len <= 63;
}

void field_check_label(const struct fields *f, const json_t *object, const char *key,
                       const char *text)
{
    if (text && !field_is_label(str_of(text)))
        error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, object, key),
                       "expected a name of at most 63 lower-case letters, digits and '-' in "
                       "'%s', got '%s'",
                       key, text);
}

void field_check_unique(const struct fields *f, const json_t *array, size_t index, const char *what)
{
    const char *name = json_str_at(json_array_get(array, index), "name");

    for (size_t i = 0; name && i < index; i++) {
        const char *earlier = json_str_at(json_array_get(array, i), "name");
        if (!earlier || strcmp(earlier, name) != 0)
            continue;
        error_list_add(f->faults, ERR_INVALID,
                       doc_place_key(f->doc, json_array_get(array, index), "name"),
                       "'%s' stands twice in %s", name, what);
        return;
    }
}

void field_check_texts(const struct fields *f, const json_t *map, const char *what)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)map, key, value)
    {
        if (!json_is_string(value))
            error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, map, key),
                           "expected text for '%s' in %s, got %s; write it in quotes", key, what,
                           field_type_name(value));
    }
}
