/* wire/json_test.c - limits, paths and the writer; what is read and refused is in testdata/. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/json.h"

static json_t *parse(const char *text)
{
    struct error err = ERROR_INIT;
    json_t *root = NULL;

    if (json_parse("test", str_of(text), &root, &err) < 0)
        fail_msg("%s: %s", err.place, err.text);
    return root;
}

static void paths_find_values_and_nothing_else(void **state)
{
    CLEANUP(json)
    json_t *root =
        parse("{\"a\": {\"b\": [{\"c\": \"x\"}, [7]]}, \"t\": true, \"n\": null, \"s\": \"5\"}");

    assert_string_equal(json_str_at(root, "a.b[0].c"), "x");
    assert_int_equal(json_int_at(root, "a.b[1][0]", -1), 7);
    assert_true(json_bool_at(root, "t", false));
    assert_null(json_at(root, "a.b[2]"));
    assert_null(json_at(root, "a.b[0].c.d"));
    assert_null(json_at(root, "a.b[x]"));
    assert_null(json_at(root, "a.b[0"));
    assert_null(json_at(root, "t[0]"));
    assert_null(json_str_at(root, "t"));
    assert_int_equal(json_int_at(root, "s", 42), 42); /* a text is no number */
    assert_true(json_bool_at(root, "n", true));
    assert_ptr_equal(json_at(root, ""), root);
    assert_null(json_at(NULL, "a"));
}

static void set_makes_the_objects_on_the_way(void **state)
{
    CLEANUP(json) json_t *root = parse("{\"a\": 1}");
    CLEANUP(buf) struct buf out = BUF_INIT(1000);
    struct error err = ERROR_INIT;

    assert_int_equal(json_set_at(root, "m.labels.x", json_string("1"), &err), 0);
    assert_int_equal(json_set_at(root, "m.labels.y", json_true(), &err), 0);
    assert_int_equal(json_set_at(root, "a.b", json_true(), &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_int_equal(json_set_at(root, "c", NULL, &err), -1);
    assert_int_equal(err.kind, ERR_NO_MEMORY);
    assert_int_equal(json_write(root, false, &out, &err), 0);
    assert_string_equal(buf_text(&out), "{\"a\":1,\"m\":{\"labels\":{\"x\":\"1\",\"y\":true}}}");
}

static void keys_are_sorted_by_bytes_where_bytes_are_hashed(void **state)
{
    CLEANUP(json)
    json_t *root = parse("{\"b\":1,\"a\":{\"é\":1,\"z\":2,\"Z\":3,\"\":4,\"aa\":5,\"a\":6}}");
    CLEANUP(buf) struct buf out = BUF_INIT(1000);
    struct error err = ERROR_INIT;

    assert_int_equal(json_write(root, true, &out, &err), 0);
    assert_string_equal(buf_text(&out),
                        "{\"a\":{\"\":4,\"Z\":3,\"a\":6,\"aa\":5,\"z\":2,\"é\":1},\"b\":1}");
}

static void numbers_are_the_shortest_that_read_back(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0.1, "0.1"},
                 {1.0, "1.0"},
                 {-0.0, "-0.0"},
                 {1e21, "1e+21"},
                 {1.5e-7, "1.5e-07"},
                 {1.0 / 3, "0.3333333333333333"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {5e-324, "4.94065645841247e-324"}};
    struct error err = ERROR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(json) json_t *value = json_real(cases[i].value);
        CLEANUP(json) json_t *again = NULL;
        CLEANUP(buf) struct buf out = BUF_INIT(100);
        assert_int_equal(json_write(value, false, &out, &err), 0);
        assert_string_equal(buf_text(&out), cases[i].text);
        again = parse(buf_text(&out));
        assert_true(json_is_real(again));
        assert_true(json_real_value(again) == cases[i].value);
    }
}

static void quoted_text_is_always_json(void **state)
{
    static const struct {
        struct str text;
        const char *want;
    } cases[] = {
        {STR(""), "\"\""},
        {STR("a\"b\\c/"), "\"a\\\"b\\\\c/\""},
        {STR("\b\t\n\f\r\x01\x0b\x7f"), "\"\\b\\t\\n\\f\\r\\u0001\\u000b\\u007f\""},
        {STR("caf\xC3\xA9 \xF0\x9F\x98\x80"), "\"caf\xC3\xA9 \xF0\x9F\x98\x80\""},
        {STR("bad \xE9 \xC0\x80 \xED\xA0\x80 \xF0\x9F"), /* Latin-1, overlong, surrogate, cut */
         "\"bad \uFFFD \uFFFD\uFFFD \uFFFD\uFFFD\uFFFD \uFFFD\uFFFD\""},
        {STR("nul\0here"), "\"nul\\u0000here\""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf) struct buf out = BUF_INIT(1000);
        json_add_quoted(&out, cases[i].text);
        assert_string_equal(buf_text(&out), cases[i].want);
    }
}

static void too_deep_is_a_limit_in_both_directions(void **state)
{
    CLEANUP(buf) struct buf text = BUF_INIT(10000);
    CLEANUP(buf) struct buf out = BUF_INIT(10000);
    CLEANUP(json) json_t *deep = json_array();
    json_t *root;
    struct error err = ERROR_INIT;

    for (int i = 0; i < 3000; i++)
        buf_add_char(&text, '[');
    assert_int_equal(json_parse("deep.json", buf_str(&text), &root, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_string_equal(err.place, "deep.json:1:2049");
    for (int i = 0; i < 3000; i++) {
        json_t *outer = json_array();
        assert_int_equal(json_array_append_new(outer, TAKE(deep)), 0);
        deep = outer;
    }
    assert_int_equal(json_write(deep, false, &out, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
}

static void output_beyond_its_limit_is_refused(void **state)
{
    CLEANUP(json) json_t *root = parse("[1, 2, 3, 4, 5]");
    CLEANUP(buf) struct buf out = BUF_INIT(5);
    struct error err = ERROR_INIT;

    assert_int_equal(json_write(root, false, &out, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
}

static void nul_is_read_only_where_it_was_asked_for(void **state)
{
    CLEANUP(json) json_t *root = NULL;
    CLEANUP(buf) struct buf out = BUF_INIT(100);
    struct error err = ERROR_INIT;

    assert_int_equal(json_parse_with_nul("test", STR("[\"a\\u0000b\"]"), &root, &err), 0);
    assert_int_equal(json_string_length(json_array_get(root, 0)), 3);
    assert_int_equal(json_write(root, false, &out, &err), 0);
    assert_string_equal(buf_text(&out), "[\"a\\u0000b\"]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_find_values_and_nothing_else),
        cmocka_unit_test(set_makes_the_objects_on_the_way),
        cmocka_unit_test(keys_are_sorted_by_bytes_where_bytes_are_hashed),
        cmocka_unit_test(numbers_are_the_shortest_that_read_back),
        cmocka_unit_test(quoted_text_is_always_json),
        cmocka_unit_test(too_deep_is_a_limit_in_both_directions),
        cmocka_unit_test(output_beyond_its_limit_is_refused),
        cmocka_unit_test(nul_is_read_only_where_it_was_asked_for),
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
