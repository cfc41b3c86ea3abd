/* wire/doc_test.c - golden documents: what they read as, where each value stands, and what is wrong
 * where.
 *
 * testdata/CASE/in.{yaml,toml,json} and want.txt, compared byte for byte; UPDATE_GOLDEN=1 rewrites
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "wire/doc.h"

enum { WANT_MAX = 1 << 20 };

static void add_place(struct buf *out, const char *what, struct place place)
{
    buf_addf(out, " %s %u:%u", what, place.line, place.column);
}

/* A line for each value: its path, its key's place and its own. */
static void add_places(const struct doc *doc, json_t *value, const char *path, struct buf *out)
{
    char deeper[512];

    for (void *it = json_object_iter(value); it; it = json_object_iter_next(value, it)) {
        const char *key = json_object_iter_key(it);
        (void)snprintf(deeper, sizeof deeper, "%s/%s", path, key); /* cut to fit */
        buf_addf(out, "%s", deeper);
        add_place(out, "key", doc_key_place(doc, value, key));
        add_place(out, "value", doc_place_key(doc, value, key));
        buf_add_char(out, '\n');
        add_places(doc, json_object_iter_value(it), deeper, out);
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        (void)snprintf(deeper, sizeof deeper, "%s/%zu", path, i); /* cut to fit */
        buf_addf(out, "%s", deeper);
        add_place(out, "value", doc_place_item(doc, value, i));
        buf_add_char(out, '\n');
        add_places(doc, json_array_get(value, i), deeper, out);
    }
}

static int add_doc(const struct doc *doc, struct buf *out, struct error *err)
{
    if (json_write(doc_root(doc), false, out, err) < 0)
        return -1;
    buf_add_char(out, '\n');
    add_places(doc, doc_root(doc), "", out);
    return 0;
}

static int read_case(const char *name, struct str text, struct buf *out, struct error *err)
{
    CLEANUP(docs) struct docs docs = {0};
    CLEANUP(doc) struct doc *doc = NULL;
    CLEANUP(json) json_t *root = NULL;

    if (str_ends(str_of(name), STR(".json")))
        return json_parse(name, text, &root, err) < 0 ? -1 : json_write_pretty(root, out, err);
    if (str_ends(str_of(name), STR(".toml")))
        return toml_parse(name, text, &doc, err) < 0 ? -1 : add_doc(doc, out, err);
    if (yaml_parse(name, text, &docs, err) < 0)
        return -1;
    for (size_t i = 0; i < docs.count; i++) {
        if (add_doc(docs.items[i], out, err) < 0)
            return -1;
    }
    return 0;
}

static void check_case(int dir_fd, const char *name)
{
    CLEANUP(strv) struct strv files = STRV_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT(DOC_BYTES_MAX);
    CLEANUP(buf) struct buf got = BUF_INIT(WANT_MAX);
    CLEANUP(buf) struct buf want = BUF_INIT(WANT_MAX);
    CLEANUP(text) char *want_path = fs_join(name, "want.txt");
    CLEANUP(text) char *in_path = NULL;
    const char *in = NULL;
    struct error err = ERROR_INIT;

    assert_int_equal(fs_list(dir_fd, name, &files, &err), 0);
    for (size_t i = 0; i < files.count; i++) {
        if (str_starts(str_of(files.items[i]), STR("in.")))
            in = files.items[i];
    }
    assert_non_null(in);
    in_path = fs_join(name, in);
    assert_int_equal(fs_read_at(dir_fd, in_path, &text, &err), 0);
    if (read_case(in, buf_str(&text), &got, &err) < 0) {
        char line[ERROR_TEXT_MAX + ERROR_PLACE_MAX];
        error_format(&err, line, sizeof line);
        buf_addf(&got, "%s: %s\n", error_kind_name(err.kind), line);
    }
    if (getenv("UPDATE_GOLDEN")) {
        assert_int_equal(fs_write_quick(dir_fd, want_path, buf_str(&got), 0644, &err), 0);
        return;
    }
    assert_int_equal(fs_read_at(dir_fd, want_path, &want, &err), 0);
    if (!str_equal(buf_str(&got), buf_str(&want)))
        fail_msg("%s: got\n%s", name, buf_text(&got));
}

static void documents_read_as_their_golden_files_say(void **state)
{
    const char *source = getenv("TEST_SOURCE_DIR");
    CLEANUP(text) char *path = fs_join(source ? source : ".", "src/wire/testdata");
    CLEANUP(strv) struct strv cases = STRV_INIT;
    CLEANUP(fd) int dir_fd = -1;
    struct error err = ERROR_INIT;

    assert_int_equal(fs_open_dir(AT_FDCWD, path, &dir_fd, &err), 0);
    assert_int_equal(fs_list(dir_fd, ".", &cases, &err), 0);
    assert_true(cases.count > 20);
    for (size_t i = 0; i < cases.count; i++)
        check_case(dir_fd, cases.items[i]);
}

/* --- limits --- */

static void fails_with(enum error_kind kind, const char *place, int result, const struct error *err)
{
    assert_int_equal(result, -1);
    assert_string_equal(err->place, place);
    assert_int_equal(err->kind, kind);
}

static void laughing_aliases_are_refused(void **state)
{
    CLEANUP(buf) struct buf text = BUF_INIT(10000);
    struct docs docs;
    struct error err = ERROR_INIT;

    buf_add_text(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 9; i++) {
        buf_addf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            buf_addf(&text, "%s*a%d", j ? ", " : "", i - 1);
        buf_add_text(&text, "]\n");
    }
    int result = yaml_parse("bomb.yaml", buf_str(&text), &docs, &err);
    fails_with(ERR_LIMIT, "bomb.yaml:6:10", result, &err);
}

static void deep_nesting_is_refused(void **state)
{
    CLEANUP(buf) struct buf text = BUF_INIT(1 << 20);
    struct docs docs;
    struct doc *doc;
    struct error err = ERROR_INIT;

    for (int i = 0; i < 100000; i++)
        buf_add_char(&text, '[');
    int result = yaml_parse("a.yaml", buf_str(&text), &docs, &err);
    fails_with(ERR_LIMIT, "a.yaml:1:101", result, &err);
    buf_clear(&text);
    buf_add_text(&text, "a");
    for (int i = 0; i < 100000; i++)
        buf_add_text(&text, ".a");
    buf_add_text(&text, " = 1\n");
    result = toml_parse("a.toml", buf_str(&text), &doc, &err);
    fails_with(ERR_LIMIT, "a.toml:1:32", result, &err);
    buf_clear(&text);
    buf_add_text(&text, "a = ");
    for (int i = 0; i < 150; i++)
        buf_add_char(&text, '[');
    for (int i = 0; i < 150; i++)
        buf_add_char(&text, ']');
    result = toml_parse("b.toml", buf_str(&text), &doc, &err);
    fails_with(ERR_LIMIT, "b.toml:1:105", result, &err);
}

static void dots_within_strings_and_comments_are_no_long_key(void **state)
{
    static const char text[] = "# a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t\n"
                               "a = 'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u'\n"
                               "b = \"\"\"a.b.c.d.e.f.g.h.i.\\\"\"\"j.k.l.m.n.o.p.q.r.s.t\"\"\"\n";
    CLEANUP(doc) struct doc *doc = NULL;
    struct error err = ERROR_INIT;

    int result = toml_parse("a.toml", STR(text), &doc, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(result, 0);
}

static void one_document_means_one(void **state)
{
    struct doc *doc;
    struct error err = ERROR_INIT;

    int result = yaml_parse_one("a.yaml", STR("---\n---\n"), &doc, &err);
    fails_with(ERR_INVALID, "a.yaml:1:1", result, &err);
    result = yaml_parse_one("a.yaml", STR("a: 1\n---\nb: 2\n"), &doc, &err);
    fails_with(ERR_INVALID, "a.yaml:3:1", result, &err);
}

static void changing_one_alias_leaves_the_other(void **state)
{
    CLEANUP(doc) struct doc *doc = NULL;
    struct error err = ERROR_INIT;

    assert_int_equal(yaml_parse_one("a", STR("a: &x {k: 1}\nb: *x\n"), &doc, &err), 0);
    assert_int_equal(json_set_at(doc_root(doc), "a.k", json_integer(2), &err), 0);
    assert_int_equal(json_int_at(doc_root(doc), "b.k", 0), 1);
}

static void unknown_key_is_told_with_the_nearest(void **state)
{
    static const char *const known[] = {"replicas", "selector", "template", NULL};
    CLEANUP(doc) struct doc *doc = NULL;
    CLEANUP(error_list) struct error_list faults = ERROR_LIST_INIT;
    struct error err = ERROR_INIT;

    assert_int_equal(yaml_parse_one("a.yaml", STR("selector: x\nreplica: 1\nfoo: 1\n"), &doc, &err),
                     0);
    doc_check_keys(doc, doc_root(doc), "the spec", known, &faults);
    assert_int_equal(faults.count, 2);
    assert_string_equal(faults.items[0].place, "a.yaml:2:1");
    assert_string_equal(faults.items[0].text,
                        "unknown field 'replica' in the spec; did you mean 'replicas'?");
    assert_string_equal(faults.items[1].place, "a.yaml:3:1");
    assert_string_equal(faults.items[1].text, "unknown field 'foo' in the spec");
}

/* --- writing --- */

static void yaml_that_is_written_reads_back_the_same(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "a",
        "yes",
        "No",
        "null",
        "~",
        "true",
        "1",
        "1.5",
        "0644",
        "1e3",
        "0x1f",
        "1_000",
        "2024-01-01",
        "12:30:45",
        "a: b",
        "a #b",
        "#a",
        "- a",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "{a}",
        "[a]",
        "'a'",
        "\"a\"",
        "a\nb",
        "a\nb\n",
        "a\n\n",
        "\na",
        " a\nb",
        "a \nb",
        "\ta\nb",
        "a\r\nb",
        "a\tb",
        "\x01",
        "\x7f",
        "é",
        "\xE2\x80\xA8x",
        "\xC2\x85x",
        "\xEF\xBB\xBFx",
        "😀",
        "|",
        ">",
        "?",
        "? a",
        "---",
        "...",
        "--- a\nb",
        "=",
        "<<",
        ".nan",
        "-",
        "-1",
        "+1",
        ".5",
        "a:",
        ":a",
        "a,b",
        "\\n",
        "trailing ",
        "10.0.0.1",
        "a\n b\n  c\n",
        "x\n\n\ny\n",
        "a long line of many words that some writers would fold at eighty columns, as is their habit, but not",
    };
    struct error err = ERROR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP(json)
        json_t *root =
            json_pack("{s:s, s:[s, s], s:{s:s}, s:{}, s:[], s:n}", "k", texts[i], "l", texts[i],
                      texts[i], "o", texts[i][0] ? texts[i] : "x", texts[i], "eo", "ea", "n");
        CLEANUP(buf) struct buf out = BUF_INIT(10000);
        CLEANUP(doc) struct doc *doc = NULL;
        assert_non_null(root);
        assert_int_equal(yaml_write(root, &out, &err), 0);
        if (yaml_parse_one("written", buf_str(&out), &doc, &err) < 0)
            fail_msg("%s %s in\n%s", err.place, err.text, buf_text(&out));
        if (!json_equal(doc_root(doc), root))
            fail_msg("'%s' was written as\n%s", texts[i], buf_text(&out));
    }
}

static void yaml_is_written_in_block_style_in_order(void **state)
{
    CLEANUP(json)
    json_t *root = json_pack("{s:s, s:{s:i, s:[{s:s, s:b}, s], s:s}, s:f, s:s, s:[], s:{}}", "kind",
                             "Pod", "b", "count", 3, "list", "name", "yes", "on", 1, "x", "text",
                             "one\ntwo\n", "a", 0.1, "v", "1.0", "none", "empty");
    CLEANUP(buf) struct buf out = BUF_INIT(10000);
    struct error err = ERROR_INIT;

    assert_int_equal(yaml_write(root, &out, &err), 0);
    assert_string_equal(buf_text(&out), "kind: Pod\n"
                                        "b:\n"
                                        "  count: 3\n"
                                        "  list:\n"
                                        "  - name: \"yes\"\n"
                                        "    \"on\": true\n"
                                        "  - x\n"
                                        "  text: |\n"
                                        "    one\n"
                                        "    two\n"
                                        "a: 0.1\n"
                                        "v: \"1.0\"\n"
                                        "none: []\n"
                                        "empty: {}\n");
}

static void toml_is_written_with_tables_after_values(void **state)
{
    CLEANUP(json)
    json_t *root = json_pack(
        "{s:{s:s, s:{s:b}}, s:s, s:[{s:s, s:[s, s]}, {s:s, s:{s:i}}], s:[i, {s:i}], s:n, s:{s:{s:i}}}",
        "types", "a key", "x", "sub", "t", 1, "api", "0.10", "processes", "type", "web", "command",
        "node", "server.js", "type", "w", "o", "n", 1, "mixed", 1, "a", 2, "nothing", "only",
        "below", "z", 1);
    CLEANUP(buf) struct buf out = BUF_INIT(10000);
    CLEANUP(doc) struct doc *doc = NULL;
    struct error err = ERROR_INIT;

    assert_non_null(root);
    assert_int_equal(toml_write(root, &out, &err), 0);
    assert_string_equal(buf_text(&out), "api = \"0.10\"\n"
                                        "mixed = [1, {a = 2}]\n"
                                        "\n"
                                        "[types]\n"
                                        "\"a key\" = \"x\"\n"
                                        "\n"
                                        "[types.sub]\n"
                                        "t = true\n"
                                        "\n"
                                        "[[processes]]\n"
                                        "type = \"web\"\n"
                                        "command = [\"node\", \"server.js\"]\n"
                                        "\n"
                                        "[[processes]]\n"
                                        "type = \"w\"\n"
                                        "\n"
                                        "[processes.o]\n"
                                        "n = 1\n"
                                        "\n"
                                        "[only.below]\n"
                                        "z = 1\n");
    assert_int_equal(toml_parse("written", buf_str(&out), &doc, &err), 0);
    assert_int_equal(json_object_del(root, "nothing"), 0);
    assert_true(json_equal(doc_root(doc), root));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_read_as_their_golden_files_say),
        cmocka_unit_test(laughing_aliases_are_refused),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(dots_within_strings_and_comments_are_no_long_key),
        cmocka_unit_test(one_document_means_one),
        cmocka_unit_test(changing_one_alias_leaves_the_other),
        cmocka_unit_test(unknown_key_is_told_with_the_nearest),
        cmocka_unit_test(yaml_that_is_written_reads_back_the_same),
        cmocka_unit_test(yaml_is_written_in_block_style_in_order),
        cmocka_unit_test(toml_is_written_with_tables_after_values),
    };

    return cmocka_run_group_tests_name("doc", tests, NULL, NULL);
}
