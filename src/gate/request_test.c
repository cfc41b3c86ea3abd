/* gate/request_test.c - what may come in on gate.sock, and what is known of apps, in a fresh home.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>

#include "base/fs.h"
#include "gate/gate.h"
#include "gate/request.h"
#include "gate/watch.h"

#define COMMIT "0123456789012345678901234567890123456789"
#define ZEROS  "0000000000000000000000000000000000000000"

static int set_up(void **state)
{
    struct error err = ERROR_INIT;
    char *home = NULL;
    CLEANUP(text) char *git = NULL;
    CLEANUP(text) char *kept = NULL;

    if (fs_make_temp_dir("/tmp/monban-gate-test-", &home, &err) < 0)
        return -1;
    *state = home;
    git = fs_join(home, "gate/git/shop.git");
    kept = fs_join(home, "gate/state");
    return fs_make_dirs(AT_FDCWD, git, 0700, &err) < 0 ||
                   fs_make_dirs(AT_FDCWD, kept, 0700, &err) < 0
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    struct error err = ERROR_INIT;
    int result = fs_remove_tree(AT_FDCWD, *state, &err);

    free(*state);
    return result;
}

static enum error_kind parse(const char *home, const char *line, struct queue_item *ret)
{
    struct error err = ERROR_INIT;

    return request_parse(home, str_of(line), ret, &err) == 0 ? ERR_NONE : err.kind;
}

static void a_push_is_taken_with_its_objects(void **state)
{
    struct queue_item item;
    CLEANUP(text)
    char *want =
        str_format("%s/gate/git/shop.git/objects/tmp_objdir-incoming-a1B2c3", (char *)*state);

    assert_int_equal(parse(*state,
                           "{\"app\":\"shop\",\"ref\":\"refs/heads/main\",\"commit\":\"" COMMIT
                           "\",\"old\":\"" ZEROS "\",\"objects\":\"tmp_objdir-incoming-a1B2c3\"}",
                           &item),
                     ERR_NONE);
    assert_string_equal(item.app, "shop");
    assert_string_equal(item.ref, "refs/heads/main");
    assert_string_equal(item.commit, COMMIT);
    assert_string_equal(item.old, ZEROS);
    assert_string_equal(item.objects_dir, want);
    assert_string_equal(item.source_uri, "");
}

static void what_does_not_fit_is_refused(void **state)
{
    static const struct {
        const char *line;
        enum error_kind kind;
    } cases[] = {
        {"", ERR_INVALID},
        {"{}", ERR_INVALID},
        {"{\"app\":\"../shop\",\"ref\":\"refs/heads/main\",\"commit\":\"" COMMIT "\"}",
         ERR_INVALID},
        {"{\"app\":\"shop\",\"ref\":\"refs/tags/v1\",\"commit\":\"" COMMIT "\"}", ERR_INVALID},
        {"{\"app\":\"shop\",\"ref\":\"refs/heads/a b\",\"commit\":\"" COMMIT "\"}", ERR_INVALID},
        {"{\"app\":\"shop\",\"ref\":\"refs/heads/main\",\"commit\":\"main\"}", ERR_INVALID},
        {"{\"app\":\"shop\",\"ref\":\"refs/heads/main\",\"commit\":\"" COMMIT "\",\"old\":\"x\"}",
         ERR_INVALID},
        {"{\"app\":\"shop\",\"ref\":\"refs/heads/main\",\"commit\":\"" COMMIT
         "\",\"objects\":\"tmp_objdir-/../../..\"}",
         ERR_INVALID},
        {"{\"app\":\"shop\",\"ref\":\"refs/heads/main\",\"commit\":\"" COMMIT
         "\",\"objects\":\"/etc\"}",
         ERR_INVALID},
        {"{\"app\":\"other\",\"ref\":\"refs/heads/main\",\"commit\":\"" COMMIT "\"}",
         ERR_NOT_FOUND},
    };
    struct queue_item item;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(parse(*state, cases[i].line, &item), cases[i].kind);
}

static void a_branch_of_endless_length_is_a_limit(void **state)
{
    CLEANUP(buf) struct buf line = BUF_INIT(4096);
    struct queue_item item;

    buf_add_text(&line, "{\"app\":\"shop\",\"commit\":\"" COMMIT "\",\"ref\":\"refs/heads/");
    for (int i = 0; i < 300; i++)
        buf_add_char(&line, 'x');
    buf_add_text(&line, "\"}");
    assert_int_equal(parse(*state, buf_text(&line), &item), ERR_LIMIT);
}

static void a_watched_commit_is_noted_beside_what_is_known(void **state)
{
    struct error err = ERROR_INIT;
    CLEANUP(json) json_t *apps = NULL;
    CLEANUP(text) char *path = fs_join(*state, "gate/state/shop.watch");

    assert_int_equal(fs_write_quick(AT_FDCWD, path, STR("{\"url\":\"file:///x\"}"), 0644, &err), 0);
    assert_int_equal(watch_note_walked(*state, "shop", COMMIT, &err), 0);
    assert_int_equal(gate_status(*state, &apps, &err), 0);
    assert_int_equal(json_array_size(apps), 1);
    assert_string_equal(json_str_at(json_array_get(apps, 0), "app"), "shop");
    assert_string_equal(json_str_at(json_array_get(apps, 0), "watch.walked"), COMMIT);
    assert_string_equal(json_str_at(json_array_get(apps, 0), "watch.url"), "file:///x");
}

static void what_is_known_but_cannot_be_read_is_made_again(void **state)
{
    struct error err = ERROR_INIT;
    CLEANUP(json) json_t *apps = NULL;
    CLEANUP(text) char *path = fs_join(*state, "gate/state/shop.watch");

    assert_int_equal(fs_write_quick(AT_FDCWD, path, STR("{\"url\":"), 0644, &err), 0);
    assert_int_equal(watch_note_walked(*state, "shop", COMMIT, &err), 0);
    assert_int_equal(gate_status(*state, &apps, &err), 0);
    assert_string_equal(json_str_at(json_array_get(apps, 0), "watch.walked"), COMMIT);
}

static void an_app_that_never_walked_has_no_last_words(void **state)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf) struct buf words = BUF_INIT(64);

    assert_int_equal(gate_last_words(*state, "shop", &words, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    error_clear(&err);
    assert_int_equal(gate_last_words(*state, "../shop", &words, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
}

static void a_request_without_a_gate_is_unavailable(void **state)
{
    struct error err = ERROR_INIT;
    const struct gate_request request = {.app = "shop", .ref = "refs/heads/main", .commit = COMMIT};
    int code = 7;

    assert_int_equal(gate_submit(*state, &request, NULL, NULL, &code, &err), -1);
    assert_int_equal(err.kind, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "monban up"));
    assert_int_equal(code, 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_push_is_taken_with_its_objects),
        TEST(what_does_not_fit_is_refused),
        TEST(a_branch_of_endless_length_is_a_limit),
        TEST(a_watched_commit_is_noted_beside_what_is_known),
        TEST(what_is_known_but_cannot_be_read_is_made_again),
        TEST(an_app_that_never_walked_has_no_last_words),
        TEST(a_request_without_a_gate_is_unavailable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
