/* workload/workload_test.c - golden cases (testdata/CASE/in.yaml → want.txt), defaults, hostile
 * trees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "../../tests/golden.h"
#include "workload/workload.h"

#define OK(call) check_ok((call), &err, #call)
static void check_ok(int result, const struct error *err, const char *what)
{
    if (result < 0)
        fail_msg("%s: %s", what, err->text);
}

/* What a caller sees of a workload, as text. */
static void describe(const struct workload *w, struct buf *out)
{
    struct error err = ERROR_INIT;
    size_t count;

    buf_addf(out, "%s/%s %s sub_path='%s'\n", workload_namespace(w), workload_name(w),
             workload_type_name(workload_type(w)), workload_sub_path(w));
    const struct workload_port *ports = workload_ports(w, &count);
    for (size_t i = 0; i < count; i++)
        buf_addf(out, "port %s %d -> %d\n", ports[i].name, ports[i].port, ports[i].container_port);
    const struct workload_claim *claims = workload_claims(w, &count);
    for (size_t i = 0; i < count; i++)
        buf_addf(out, "claim %s = %s '%s' at %d:%d\n", claims[i].name, claims[i].kind,
                 claims[i].service, (int)claims[i].place.line, (int)claims[i].place.column);
    buf_add_text(out, "env ");
    OK(json_write(workload_env(w), false, out, &err));
    buf_add_text(out, "\nbuild env ");
    OK(json_write(workload_build_env(w), false, out, &err));
    buf_add_text(out, "\nresources ");
    if (workload_resources(w))
        OK(json_write(workload_resources(w), false, out, &err));
    buf_add_text(out, "\n");
}

static void every_case_reads_as_wanted(void **state)
{
    CLEANUP(text) char *folder = golden_folder("src/workload/testdata");
    CLEANUP(strv) struct strv cases = STRV_INIT;
    struct error err = ERROR_INIT;

    OK(fs_list(AT_FDCWD, folder, &cases, &err));
    assert_true(cases.count >= 12);
    for (size_t i = 0; i < cases.count; i++) {
        CLEANUP(buf) struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
        CLEANUP(workload) struct workload *w = NULL;
        golden_read(folder, cases.items[i], "in.yaml", &in);
        error_clear(&err);
        if (workload_parse("workload.yaml", buf_str(&in), &w, &err) == 0) {
            describe(w, &out);
        } else {
            char text[8192];
            error_format(&err, text, sizeof(text));
            buf_addf(&out, "%s\n%s\n", error_kind_name(err.kind), text);
        }
        golden_compare(folder, cases.items[i], "want.txt", buf_str(&out));
    }
}

static void without_a_file_the_repository_gives_the_name(void **state)
{
    static const struct {
        const char *repository, *name;
    } cases[] = {
        {"/var/git/guestbook.git", "guestbook"},
        {"https://git.example/Team_A/My.App", "my-app"},
        {"https://git.example/x/", "x"},
        {"---.git", "app"},
        {"/", "app"},
        {"", "app"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(workload) struct workload *w = NULL;
        struct error err = ERROR_INIT;
        size_t count;
        OK(workload_new_default(cases[i].repository, &w, &err));
        assert_string_equal(workload_name(w), cases[i].name);
        assert_true(workload_is_default(w));
        assert_int_equal(workload_type(w), WORKLOAD_WEB);
        assert_int_equal(workload_ports(w, &count)[0].container_port, 8080);
        assert_int_equal(json_array_size(workload_env(w)), 0);
    }
}

struct tree {
    char *path;
    int fd;
};

static int set_up(void **state)
{
    static struct tree tree;
    struct error err = ERROR_INIT;

    OK(fs_make_temp_dir("/tmp/monban-workload-", &tree.path, &err));
    OK(fs_open_dir(AT_FDCWD, tree.path, &tree.fd, &err));
    *state = &tree;
    return 0;
}

static int tear_down(void **state)
{
    struct tree *tree = *state;
    struct error err = ERROR_INIT;

    io_close(&tree->fd);
    OK(fs_remove_tree(AT_FDCWD, tree->path, &err));
    free(tree->path);
    return 0;
}

static void tree_without_a_file_gives_the_default(void **state)
{
    struct tree *tree = *state;
    CLEANUP(workload) struct workload *w = NULL;
    struct error err = ERROR_INIT;

    OK(workload_read(tree->fd, "a.git", &w, &err));
    assert_string_equal(workload_name(w), "a");
}

static void file_in_config_is_found(void **state)
{
    struct tree *tree = *state;
    CLEANUP(workload) struct workload *w = NULL;
    struct error err = ERROR_INIT;
    struct str text = STR("apiVersion: carto.run/v1alpha1\nkind: Workload\nmetadata: {name: b}\n"
                          "spec: {source: {subPath: missing}}\n");
    int fd = -1;

    OK(fs_make_dirs(tree->fd, "config", 0755, &err));
    OK(fs_write_quick(tree->fd, "config/workload.yaml", text, 0644, &err));
    OK(workload_read(tree->fd, "a.git", &w, &err));
    assert_string_equal(workload_name(w), "b");
    assert_int_equal(workload_open_sub_path(w, tree->fd, &fd, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_string_equal(err.place, "config/workload.yaml:4:26");
    assert_string_equal(err.text, "the repository has no folder 'missing'");
}

static void link_out_of_the_tree_is_not_followed(void **state)
{
    struct tree *tree = *state;
    CLEANUP(workload) struct workload *w = NULL;
    struct error err = ERROR_INIT;

    assert_int_equal(symlinkat("/etc/passwd", tree->fd, "workload.yaml"), 0);
    assert_int_equal(workload_read(tree->fd, "a.git", &w, &err), -1);
    assert_null(w);
    assert_null(strstr(err.text, "root:"));
}

static void sub_path_that_is_a_link_out_is_refused(void **state)
{
    struct tree *tree = *state;
    CLEANUP(workload) struct workload *w = NULL;
    struct error err = ERROR_INIT;
    struct str text = STR("apiVersion: carto.run/v1alpha1\nkind: Workload\nmetadata: {name: b}\n"
                          "spec: {source: {subPath: out}}\n");
    int fd = -1;

    assert_int_equal(symlinkat("/etc", tree->fd, "out"), 0);
    OK(fs_write_quick(tree->fd, "workload.yaml", text, 0644, &err));
    OK(workload_read(tree->fd, "a.git", &w, &err));
    assert_int_equal(workload_open_sub_path(w, tree->fd, &fd, &err), -1);
    assert_int_equal(fd, -1);
}

static void file_beyond_the_limit_is_refused(void **state)
{
    CLEANUP(workload) struct workload *w = NULL;
    CLEANUP(text) char *big = malloc(WORKLOAD_FILE_MAX + 1);
    struct error err = ERROR_INIT;

    assert_non_null(big);
    memset(big, '#', WORKLOAD_FILE_MAX + 1);
    assert_int_equal(
        workload_parse("workload.yaml", str_slice(big, WORKLOAD_FILE_MAX + 1), &w, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_reads_as_wanted),
        cmocka_unit_test(without_a_file_the_repository_gives_the_name),
        cmocka_unit_test_setup_teardown(tree_without_a_file_gives_the_default, set_up, tear_down),
        cmocka_unit_test_setup_teardown(file_in_config_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(link_out_of_the_tree_is_not_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sub_path_that_is_a_link_out_is_refused, set_up, tear_down),
        cmocka_unit_test(file_beyond_the_limit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
