#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "build/tree.h"

static char *dir;

static void put(const char *name, const char *text)
{
    CLEANUP(text) char *path = fs_join(dir, name);
    struct error err = ERROR_INIT;

    assert_int_equal(fs_write_quick(AT_FDCWD, path, str_of(text), 0644, &err), 0);
}

static void make(const char *name)
{
    CLEANUP(text) char *path = fs_join(dir, name);
    struct error err = ERROR_INIT;

    assert_int_equal(fs_make_dirs(AT_FDCWD, path, 0755, &err), 0);
}

static struct digest sum(void)
{
    struct error err = ERROR_INIT;
    struct digest d;

    assert_int_equal(tree_digest(dir, tree_skip_source, &d, &err), 0);
    return d;
}

static int setup(void **state)
{
    struct error err = ERROR_INIT;

    assert_int_equal(fs_make_temp_dir("/tmp/monban-tree-", &dir, &err), 0);
    make("src");
    put("src/a.js", "1");
    put("b.js", "2");
    return 0;
}

static int teardown(void **state)
{
    struct error err = ERROR_INIT;
    int result = fs_remove_tree(AT_FDCWD, dir, &err);

    free(dir);
    return result;
}

static void contents_names_modes_and_links_change_the_digest(void **state)
{
    struct digest first = sum(), now;
    CLEANUP(text) char *file = fs_join(dir, "b.js");
    CLEANUP(text) char *link_path = fs_join(dir, "link");

    now = sum();
    assert_true(digest_equal(&first, &now));
    put("b.js", "3");
    now = sum();
    assert_false(digest_equal(&first, &now));
    put("b.js", "2");
    now = sum();
    assert_true(digest_equal(&first, &now));
    assert_int_equal(chmod(file, 0755), 0);
    now = sum();
    assert_false(digest_equal(&first, &now));
    assert_int_equal(chmod(file, 0644), 0);
    assert_int_equal(symlink("b.js", link_path), 0);
    now = sum();
    assert_false(digest_equal(&first, &now));
}

static void what_no_build_looks_at_changes_nothing(void **state)
{
    struct digest first = sum(), now;

    make("node_modules/x");
    put("node_modules/x/y.js", "1");
    make(".git");
    put(".git/HEAD", "x");
    now = sum();
    assert_true(digest_equal(&first, &now));
}

static void moving_text_between_files_changes_the_digest(void **state)
{
    struct digest first, now;

    put("x", "ab");
    put("y", "");
    first = sum();
    put("x", "a");
    put("y", "b");
    now = sum();
    assert_false(digest_equal(&first, &now));
}

static void a_file_read_is_no_link_and_no_pipe(void **state)
{
    CLEANUP(buf) struct buf out = BUF_INIT(100);
    CLEANUP(fd) int fd = -1;
    CLEANUP(text) char *link_path = fs_join(dir, "passwd");
    CLEANUP(text) char *pipe_path = fs_join(dir, "pipe");
    struct error err = ERROR_INIT;

    assert_int_equal(fs_open_dir(AT_FDCWD, dir, &fd, &err), 0);
    assert_int_equal(symlink("/etc/passwd", link_path), 0);
    assert_int_equal(mkfifo(pipe_path, 0644), 0);
    assert_int_equal(tree_read_file(fd, "passwd", &out, &err), -1);
    error_clear(&err);
    assert_int_equal(tree_read_file(fd, "pipe", &out, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    error_clear(&err);
    assert_int_equal(tree_read_file(fd, "src/a.js", &out, &err), 0);
    assert_string_equal(buf_text(&out), "1");
}

static void a_copy_keeps_links_and_leaves_out_what_is_skipped(void **state)
{
    CLEANUP(text) char *to = NULL;
    CLEANUP(text) char *link_path = fs_join(dir, "link");
    CLEANUP(fd) int from_fd = -1;
    CLEANUP(fd) int to_fd = -1;
    CLEANUP(buf) struct buf target = BUF_INIT(100);
    struct error err = ERROR_INIT;
    struct digest copied, first;

    assert_int_equal(symlink("../nowhere", link_path), 0);
    first = sum();
    make("node_modules");
    put("node_modules/x", "1");
    assert_int_equal(fs_make_temp_dir("/tmp/monban-tree-", &to, &err), 0);
    assert_int_equal(fs_open_dir(AT_FDCWD, dir, &from_fd, &err), 0);
    assert_int_equal(fs_open_dir(AT_FDCWD, to, &to_fd, &err), 0);
    assert_int_equal(tree_copy(from_fd, to_fd, getuid(), getgid(), tree_skip_source, &err), 0);
    assert_int_equal(tree_digest(to, NULL, &copied, &err), 0);
    assert_true(digest_equal(&first, &copied));
    assert_int_equal(fs_read_link(to_fd, "link", &target, &err), 0);
    assert_string_equal(buf_text(&target), "../nowhere");
    assert_false(fs_exists(to_fd, "node_modules"));
    assert_int_equal(fs_remove_tree(AT_FDCWD, to, &err), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(contents_names_modes_and_links_change_the_digest),
        TEST(what_no_build_looks_at_changes_nothing),
        TEST(moving_text_between_files_changes_the_digest),
        TEST(a_file_read_is_no_link_and_no_pipe),
        TEST(a_copy_keeps_links_and_leaves_out_what_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
