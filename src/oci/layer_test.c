/* oci/layer_test.c - layers that we make: their bytes, and that GNU tar reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/proc.h"
#include "oci/layer.h"
#include "oci/oci_test.h"
#include "oci/unpack.h"

enum { RUN_TIMEOUT_MS = 60000 };

static struct layer_writer *writer_of(struct layout *l, int flags)
{
    struct layer_options options = {
        .flags = flags, .uid = 1001, .gid = 1002, .mtime_s = LAYER_CNB_MTIME};
    struct layer_writer *w = NULL;
    OK(layer_writer_new(l, &options, &w, &err));
    return w;
}

/* What GNU tar lists. */
static void list(const struct fixture *f, const struct layer *layer, struct buf *out)
{
    CLEANUP(text)
    char *path = str_format("%s/blobs/sha256/%s", layout_path(f->layout),
                            digest_hex(&layer->descriptor.digest));
    OK(PROC_RUN(out, RUN_TIMEOUT_MS, &err, "env", "TZ=UTC", "tar", "--numeric-owner", "--full-time",
                "-tvzf", path));
}

static void write_file(const struct fixture *f, const char *path, const char *text, mode_t mode)
{
    CLEANUP(text) char *whole = str_format("%s/%s", f->dir, path);
    OK(fs_write_quick(AT_FDCWD, whole, str_of(text), mode, &err));
}

static void make_dir(const struct fixture *f, const char *path)
{
    CLEANUP(text) char *whole = str_format("%s/%s", f->dir, path);
    OK(fs_make_dirs(AT_FDCWD, whole, 0755, &err));
}

static void entries_are_sorted_and_have_parents(void **state)
{
    struct fixture *f = *state;
    CLEANUP(layer_writer) struct layer_writer *w = writer_of(f->layout, 0);
    CLEANUP(buf) struct buf out = BUF_INIT(1 << 20);
    struct layer layer;

    OK(layer_add_file(w, "/z/last", 0644, STR("z"), &err));
    OK(layer_add_file(w, "a/b/c", 0755, STR("abc"), &err));
    OK(layer_add_symlink(w, "a/link", "../z/last", &err));
    OK(layer_add_dir(w, "/tmp/", 01777, &err));
    OK(layer_add_file(w, "a/b/c", 0600, STR("later"), &err));
    OK(layer_add_whiteout(w, "/etc/shadow", &err));
    OK(layer_finish(w, &layer, &err));
    list(f, &layer, &out);
    assert_string_equal(buf_text(&out),
                        "drwxr-xr-x 0/0               0 1980-01-01 00:00:01 a/\n"
                        "drwxr-xr-x 0/0               0 1980-01-01 00:00:01 a/b/\n"
                        "-rw------- 1001/1002         5 1980-01-01 00:00:01 a/b/c\n"
                        "lrwxrwxrwx 1001/1002         0 1980-01-01 00:00:01 a/link -> ../z/last\n"
                        "drwxr-xr-x 0/0               0 1980-01-01 00:00:01 etc/\n"
                        "---------- 1001/1002         0 1980-01-01 00:00:01 etc/.wh.shadow\n"
                        "drwxrwxrwt 1001/1002         0 1980-01-01 00:00:01 tmp/\n"
                        "drwxr-xr-x 0/0               0 1980-01-01 00:00:01 z/\n"
                        "-rw-r--r-- 1001/1002         1 1980-01-01 00:00:01 z/last\n");
    assert_string_equal(layer.descriptor.media_type, OCI_LAYER_GZIP);
}

static struct layer layer_of_tree(const struct fixture *f, int flags, int threads)
{
    CLEANUP(text) char *dir = fs_join(f->dir, "tree");
    struct layer_options options = {.flags = flags, .threads = threads, .uid = 5, .gid = 6};
    struct layer_tree tree = {.prefix = "/workspace"};
    CLEANUP(layer_writer) struct layer_writer *w = NULL;
    struct layer layer = {0};

    OK(layer_writer_new(f->layout, &options, &w, &err));
    OK(layer_add_tree(w, dir, &tree, &err));
    OK(layer_finish(w, &layer, &err));
    return layer;
}

static void same_tree_gives_the_same_bytes_with_any_number_of_threads(void **state)
{
    struct fixture *f = *state;
    CLEANUP(text) char *big = malloc(5 << 20);

    make_dir(f, "tree/b/c");
    for (size_t i = 0, x = 7; i < 5 << 20; i++, x = x * 1103515245 + 12345)
        big[i] = "abcdefgh"[(x >> 16) & 7];
    big[(5 << 20) - 1] = '\0';
    write_file(f, "tree/big", big, 0644);
    write_file(f, "tree/b/x", "x", 0755);
    struct layer one = layer_of_tree(f, 0, 1), two = layer_of_tree(f, 0, 4),
                 plain = layer_of_tree(f, LAYER_PLAIN, 1);
    assert_string_equal(one.descriptor.digest.text, two.descriptor.digest.text);
    assert_string_equal(one.diff_id.text, two.diff_id.text);
    assert_string_equal(plain.diff_id.text, plain.descriptor.digest.text);
    assert_string_equal(plain.diff_id.text, one.diff_id.text);
    assert_true(one.descriptor.size < 3 << 20);
    write_file(f, "tree/b/x", "y", 0755);
    struct layer other = layer_of_tree(f, 0, 2);
    assert_string_not_equal(one.diff_id.text, other.diff_id.text);
}

static void hard_links_long_names_and_odd_ones_survive(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf) struct buf out = BUF_INIT(1 << 20), deep = BUF_INIT(4000), text = BUF_INIT(100);
    CLEANUP(text) char *from = str_format("%s/tree/first", f->dir);
    CLEANUP(text) char *to = str_format("%s/tree/second", f->dir);

    buf_add_text(&deep, "tree/");
    for (int i = 0; i < 30; i++)
        buf_add_text(&deep, "component/");
    make_dir(f, buf_text(&deep));
    buf_add_text(&deep, "a name with blanks, \xc3\xa4 and \xff");
    write_file(f, buf_text(&deep), "deep", 0644);
    write_file(f, "tree/first", "linked", 0644);
    assert_int_equal(link(from, to), 0);
    struct layer layer = layer_of_tree(f, 0, 1);
    list(f, &layer, &out);
    assert_non_null(strstr(buf_text(&out), "workspace/second link to workspace/first\n"));
    CLEANUP(text) char *inside = str_format("workspace/%s", buf_text(&deep) + strlen("tree/"));
    OK(unpack_file(f->layout, &layer.descriptor, inside, &text, &err));
    assert_string_equal(buf_text(&text), "deep");
}

static void what_no_image_may_hold_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    CLEANUP(text) char *dir = fs_join(f->dir, "tree");
    CLEANUP(text) char *fifo = str_format("%s/pipe", dir);
    CLEANUP(text) char *setuid = str_format("%s/su", dir);
    CLEANUP(layer_writer) struct layer_writer *w = writer_of(f->layout, 0);
    CLEANUP(layer_writer)
    struct layer_writer *lax = writer_of(f->layout, LAYER_DROP_SETUID | LAYER_SKIP_SPECIAL);
    CLEANUP(buf) struct buf out = BUF_INIT(1 << 20);
    struct layer layer;

    make_dir(f, "tree");
    assert_int_equal(mkfifo(fifo, 0644), 0);
    FAILS_SAYING(layer_add_tree(w, dir, NULL, &err), ERR_DENIED, "tree/pipe'");
    write_file(f, "tree/su", "x", 0755);
    assert_int_equal(chmod(setuid, 04755), 0);
    OK(layer_add_tree(lax, dir, NULL, &err));
    OK(layer_finish(lax, &layer, &err));
    list(f, &layer, &out);
    assert_string_equal(buf_text(&out), "-rwxr-xr-x 1001/1002         1 1980-01-01 00:00:01 su\n");
    assert_int_equal(unlink(fifo), 0);
    FAILS_SAYING(layer_add_tree(w, dir, NULL, &err), ERR_DENIED, "setuid");
    assert_int_equal(unlink(setuid), 0);
    write_file(f, "tree/.wh.passwd", "", 0644);
    FAILS_SAYING(layer_add_tree(w, dir, NULL, &err), ERR_DENIED, ".wh.");
    FAILS(layer_add_file(w, "a/../../b", 0644, STR("x"), &err), ERR_INVALID);
    OK(layer_add_file(w, "a", 0644, STR("x"), &err));
    OK(layer_add_file(w, "a/b", 0644, STR("x"), &err));
    FAILS_SAYING(layer_finish(w, &layer, &err), ERR_INVALID, "'/a'");
}

static void file_that_changed_meanwhile_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    CLEANUP(text) char *dir = fs_join(f->dir, "tree");
    CLEANUP(layer_writer) struct layer_writer *w = writer_of(f->layout, 0);
    struct layer layer;

    make_dir(f, "tree");
    write_file(f, "tree/x", "one", 0644);
    OK(layer_add_tree(w, dir, NULL, &err));
    write_file(f, "tree/x", "longer", 0644);
    FAILS(layer_finish(w, &layer, &err), ERR_CONFLICT);
}

static bool skip_modules(const char *path, void *ctx)
{
    return strcmp(path, "node_modules") == 0;
}

static void only_and_skip_choose_paths(void **state)
{
    struct fixture *f = *state;
    CLEANUP(text) char *dir = fs_join(f->dir, "tree");
    CLEANUP(layer_writer) struct layer_writer *some = writer_of(f->layout, 0);
    CLEANUP(layer_writer) struct layer_writer *rest = writer_of(f->layout, 0);
    CLEANUP(buf) struct buf out = BUF_INIT(1 << 20);
    struct layer_tree only = {.prefix = "/w",
                              .only = (const char *const[]){"node_modules", "a", NULL}};
    struct layer_tree skip = {.prefix = "/w", .skip = skip_modules};
    struct layer layer;

    make_dir(f, "tree/node_modules/m");
    write_file(f, "tree/node_modules/m/i.js", "", 0644);
    write_file(f, "tree/a", "", 0644);
    write_file(f, "tree/b", "", 0644);
    OK(layer_add_tree(some, dir, &only, &err));
    OK(layer_finish(some, &layer, &err));
    list(f, &layer, &out);
    assert_non_null(strstr(buf_text(&out), " w/node_modules/m/i.js\n"));
    assert_non_null(strstr(buf_text(&out), " w/a\n"));
    assert_null(strstr(buf_text(&out), " w/b\n"));
    buf_clear(&out);
    OK(layer_add_tree(rest, dir, &skip, &err));
    OK(layer_finish(rest, &layer, &err));
    list(f, &layer, &out);
    assert_null(strstr(buf_text(&out), "node_modules"));
    assert_non_null(strstr(buf_text(&out), " w/b\n"));
}

static void layer_is_found_again_by_its_key(void **state)
{
    struct fixture *f = *state;
    CLEANUP(layer_writer) struct layer_writer *w = writer_of(f->layout, 0);
    struct layer layer, got;

    OK(layer_add_file(w, "x", 0644, STR("x"), &err));
    OK(layer_finish(w, &layer, &err));
    FAILS(layer_cached(f->layout, "key", &got, &err), ERR_NOT_FOUND);
    OK(layer_remember(f->layout, "key", &layer, &err));
    OK(layer_cached(f->layout, "key", &got, &err));
    assert_memory_equal(&layer, &got, sizeof(layer));
    OK(layout_remove_blob(f->layout, &layer.descriptor.digest, &err));
    FAILS(layer_cached(f->layout, "key", &got, &err), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(entries_are_sorted_and_have_parents),
        TEST(same_tree_gives_the_same_bytes_with_any_number_of_threads),
        TEST(hard_links_long_names_and_odd_ones_survive),
        TEST(what_no_image_may_hold_is_refused_by_name),
        TEST(file_that_changed_meanwhile_is_a_conflict),
        TEST(only_and_skip_choose_paths),
        TEST(layer_is_found_again_by_its_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
