/* cluster/api/selector.c - see selector.h. */
#include "cluster/api/selector.h"

#include <ctype.h>

#include "cluster/api/validate.h"

void selector_done(struct selector *selector)
{
    for (size_t i = 0; i < selector->count; i++) {
        free(selector->items[i].key);
        strv_done(&selector->items[i].values);
    }
    free(selector->items);
    *selector = (struct selector){0};
}

static struct selector_term *add_term(struct selector *selector, struct str key,
                                      enum selector_op op, struct error *err)
{
    if (selector->count == SELECTOR_TERMS_MAX) {
        (void)error_set(err, ERR_LIMIT, "a selector may have %d terms", SELECTOR_TERMS_MAX);
        return NULL;
    }
    struct selector_term *items =
        reallocarray(selector->items, selector->count + 1, sizeof(*items));
    char *copy = str_dup(key);
    if (items)
        selector->items = items;
    if (!items || !copy) {
        free(copy);
        (void)error_no_memory(err);
        return NULL;
    }
    struct selector_term *term = &items[selector->count++];
    *term = (struct selector_term){copy, op, STRV_INIT};
    return term;
}

/* --- labels: a small lexer --- */

struct lexer {
    struct str rest;
    struct str token; /* "" at the end */
};

static bool is_word(char c)
{
    return c && !isspace((unsigned char)c) && !strchr("=!(),<>", c);
}

static void lexer_next(struct lexer *in)
{
    in->rest = str_trim(in->rest);
    size_t len = 0;
    while (len < in->rest.len && is_word(in->rest.ptr[len]))
        len++;
    if (len == 0 && in->rest.len > 0) {
        bool is_pair = in->rest.len > 1 && in->rest.ptr[1] == '=' && strchr("=!", in->rest.ptr[0]);
        len = is_pair ? 2 : 1;
    }
    in->token = str_first(in->rest, len);
    in->rest = str_skip(in->rest, len);
}

static bool token_is_word(const struct lexer *in)
{
    return in->token.len > 0 && is_word(in->token.ptr[0]);
}

static int parse_failed(struct str text, const struct lexer *in, const char *expected,
                        struct error *err)
{
    return error_set(err, ERR_INVALID,
                     "unable to parse requirement: found '%.*s', expected: %s in '%.*s'",
                     STR_ARG(in->token), expected, STR_ARG(text));
}

static int check_value(struct str value, struct error *err)
{
    CLEANUP(text) char *copy = str_dup(value);
    if (!copy)
        return error_no_memory(err);
    if (!name_is_label_value(copy))
        return error_set(err, ERR_INVALID, "values[0][]: Invalid value: \"%s\"", copy);
    return 0;
}

static int parse_set(struct lexer *in, struct str text, struct selector_term *term,
                     struct error *err)
{
    if (!str_is(in->token, "("))
        return parse_failed(text, in, "'('", err);
    do {
        lexer_next(in);
        struct str value = token_is_word(in) ? in->token : STR("");
        if (check_value(value, err) < 0)
            return -1;
        strv_add_str(&term->values, value);
        if (token_is_word(in))
            lexer_next(in);
    } while (str_is(in->token, ","));
    if (!str_is(in->token, ")"))
        return parse_failed(text, in, "',' or ')'", err);
    lexer_next(in);
    return strv_ok(&term->values, err);
}

static int parse_single(struct lexer *in, struct selector_term *term, struct error *err)
{
    struct str value = STR("");
    int64_t number;

    if (token_is_word(in)) {
        value = in->token;
        lexer_next(in);
    }
    if (check_value(value, err) < 0)
        return -1;
    if ((term->op == SELECTOR_GREATER || term->op == SELECTOR_LESS) && !str_to_i64(value, &number))
        return error_set(err, ERR_INVALID,
                         "for 'Gt', 'Lt' operators, the value must be an integer");
    strv_add_str(&term->values, value);
    return strv_ok(&term->values, err);
}

static bool read_operator(struct lexer *in, enum selector_op *ret_op, bool *ret_is_set)
{
    static const struct {
        const char *text;
        enum selector_op op;
        bool is_set;
    } operators[] = {
        {"=", SELECTOR_IN, false},        {"==", SELECTOR_IN, false},
        {"!=", SELECTOR_NOT_IN, false},   {">", SELECTOR_GREATER, false},
        {"<", SELECTOR_LESS, false},      {"in", SELECTOR_IN, true},
        {"notin", SELECTOR_NOT_IN, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (str_is(in->token, operators[i].text)) {
            *ret_op = operators[i].op;
            *ret_is_set = operators[i].is_set;
            return true;
        }
    }
    return false;
}

static int parse_term(struct lexer *in, struct str text, struct selector *ret, struct error *err)
{
    bool is_absent = str_is(in->token, "!");
    enum selector_op op = is_absent ? SELECTOR_ABSENT : SELECTOR_EXISTS;
    bool is_set = false;

    if (is_absent)
        lexer_next(in);
    if (!token_is_word(in))
        return parse_failed(text, in, "identifier", err);
    struct selector_term *term = add_term(ret, in->token, op, err);
    if (!term)
        return -1;
    if (!name_is_label_key(term->key))
        return error_set(err, ERR_INVALID, "key: Invalid value: \"%s\"", term->key);
    lexer_next(in);
    if (is_absent || in->token.len == 0 || str_is(in->token, ","))
        return 0;
    if (!read_operator(in, &term->op, &is_set))
        return parse_failed(text, in, "in, notin, =, ==, !=, gt, lt", err);
    lexer_next(in);
    return is_set ? parse_set(in, text, term, err) : parse_single(in, term, err);
}

int selector_parse_labels(struct str text, struct selector *ret, struct error *err)
{
    struct lexer in = {.rest = text};

    lexer_next(&in);
    if (in.token.len == 0)
        return 0;
    for (;;) {
        if (parse_term(&in, text, ret, err) < 0)
            return -1;
        if (in.token.len == 0)
            return 0;
        if (!str_is(in.token, ","))
            return parse_failed(text, &in, "',' or 'end of string'", err);
        lexer_next(&in);
    }
}

/* --- fields --- */

static int unescape(struct str text, struct buf *out, struct error *err)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\\') {
            if (++i == text.len || !strchr("\\,=", text.ptr[i]))
                return error_set(err, ERR_INVALID, "invalid escape in field selector '%.*s'",
                                 STR_ARG(text));
        } else if (text.ptr[i] == '=') {
            return error_set(err, ERR_INVALID, "unescaped character in value: '='");
        }
        buf_add_char(out, text.ptr[i]);
    }
    return buf_ok(out, err);
}

static int parse_field_term(struct str term_text, struct selector *ret, struct error *err)
{
    ptrdiff_t equals = str_find(term_text, '=');
    CLEANUP(buf) struct buf value = BUF_INIT(1 << 16);

    if (equals <= 0)
        return error_set(err, ERR_INVALID, "invalid selector: '%.*s'; can't understand '%.*s'",
                         STR_ARG(term_text), STR_ARG(term_text));
    bool is_not = term_text.ptr[equals - 1] == '!';
    struct str key = str_first(term_text, (size_t)(is_not ? equals - 1 : equals));
    struct str rest = str_skip(term_text, (size_t)equals + 1);
    if (!is_not && str_starts(rest, STR("=")))
        rest = str_skip(rest, 1);
    if (unescape(rest, &value, err) < 0)
        return -1;
    struct selector_term *term = add_term(ret, key, is_not ? SELECTOR_NOT_IN : SELECTOR_IN, err);
    if (!term)
        return -1;
    strv_add_str(&term->values, buf_str(&value));
    return strv_ok(&term->values, err);
}

int selector_parse_fields(struct str text, struct selector *ret, struct error *err)
{
    size_t start = 0;

    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && text.ptr[i] == '\\') {
            i++;
        } else if (i == text.len || text.ptr[i] == ',') {
            struct str term = str_slice(text.ptr + start, i - start);
            if (term.len > 0 && parse_field_term(term, ret, err) < 0)
                return -1;
            start = i + 1;
        }
    }
    return 0;
}

/* --- matching --- */

static bool compare_numbers(const struct selector_term *term, const char *value)
{
    int64_t have, wanted;

    if (!value || !str_to_i64(str_of(value), &have) ||
        !str_to_i64(str_of(term->values.items[0]), &wanted))
        return false;
    return term->op == SELECTOR_GREATER ? have > wanted : have < wanted;
}

static bool term_matches(const struct selector_term *term, const char *value)
{
    switch (term->op) {
    case SELECTOR_IN:
        return value && strv_has(&term->values, value);
    case SELECTOR_NOT_IN:
        return !value || !strv_has(&term->values, value);
    case SELECTOR_EXISTS:
        return value != NULL;
    case SELECTOR_ABSENT:
        return value == NULL;
    case SELECTOR_GREATER:
    case SELECTOR_LESS:
        return compare_numbers(term, value);
    }
    return false;
}

bool selector_matches_labels(const struct selector *selector, const json_t *labels)
{
    for (size_t i = 0; i < selector->count; i++) {
        const char *value = json_string_value(json_object_get(labels, selector->items[i].key));
        if (!term_matches(&selector->items[i], value))
            return false;
    }
    return true;
}

static const char *field_text(const json_t *value, char out[32])
{
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_integer(value))
        (void)snprintf(out, 32, "%lld", (long long)json_integer_value(value));
    else
        (void)snprintf(out, 32, "%s",
                       json_is_true(value)    ? "true"
                       : json_is_false(value) ? "false"
                                              : "");
    return out;
}

bool selector_matches_fields(const struct selector *selector, const json_t *object)
{
    char number[32];

    for (size_t i = 0; i < selector->count; i++) {
        const json_t *value = json_at(object, selector->items[i].key);
        if (!term_matches(&selector->items[i], field_text(value, number)))
            return false;
    }
    return true;
}

static bool array_has_text(const json_t *array, const char *text)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *item = json_string_value(json_array_get(array, i));
        if (item && strcmp(item, text) == 0)
            return true;
    }
    return false;
}

static bool requirement_matches(const json_t *requirement, const json_t *labels)
{
    const char *key = json_string_value(json_object_get(requirement, "key"));
    const char *op = json_string_value(json_object_get(requirement, "operator"));
    const json_t *values = json_object_get(requirement, "values");
    const char *value = key ? json_string_value(json_object_get(labels, key)) : NULL;

    if (!key || !op)
        return false;
    if (strcmp(op, "In") == 0)
        return value && array_has_text(values, value);
    if (strcmp(op, "NotIn") == 0)
        return !value || !array_has_text(values, value);
    if (strcmp(op, "Exists") == 0)
        return value != NULL;
    return strcmp(op, "DoesNotExist") == 0 && !value;
}

bool selector_object_matches(const json_t *label_selector, const json_t *labels)
{
    json_t *wanted = json_object_get(label_selector, "matchLabels"), *value;
    const json_t *expressions = json_object_get(label_selector, "matchExpressions");
    const char *key;

    if (!json_is_object(label_selector))
        return false;
    json_object_foreach(wanted, key, value)
    {
        if (!json_equal(json_object_get(labels, key), value))
            return false;
    }
    for (size_t i = 0; i < json_array_size(expressions); i++) {
        if (!requirement_matches(json_array_get(expressions, i), labels))
            return false;
    }
    return true;
}

static void add_requirement_text(const json_t *requirement, struct buf *out)
{
    const char *key = json_string_value(json_object_get(requirement, "key"));
    const char *op = json_string_value(json_object_get(requirement, "operator"));
    const json_t *values = json_object_get(requirement, "values");

    if (!key || !op)
        return;
    if (strcmp(op, "Exists") == 0 || strcmp(op, "DoesNotExist") == 0) {
        buf_addf(out, "%s%s", *op == 'D' ? "!" : "", key);
        return;
    }
    buf_addf(out, "%s %s (", key, strcmp(op, "In") == 0 ? "in" : "notin");
    for (size_t i = 0; i < json_array_size(values); i++)
        buf_addf(out, "%s%s", i ? "," : "", json_string_value(json_array_get(values, i)));
    buf_add_char(out, ')');
}

void selector_object_text(const json_t *label_selector, struct buf *out)
{
    json_t *wanted = json_object_get(label_selector, "matchLabels"), *value;
    const json_t *expressions = json_object_get(label_selector, "matchExpressions");
    const char *key;
    size_t start = out->len;

    json_object_foreach(wanted, key, value)
        buf_addf(out, "%s%s=%s", out->len > start ? "," : "", key, json_string_value(value));
    for (size_t i = 0; i < json_array_size(expressions); i++) {
        if (out->len > start)
            buf_add_char(out, ',');
        add_requirement_text(json_array_get(expressions, i), out);
    }
    if (out->len == start)
        buf_add_text(out, "<none>");
}
