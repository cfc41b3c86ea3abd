/* Stacks from packages that the test makes itself, with dpkg-deb. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/proc.h"
#include "build/stack_internal.h"
#include "oci/unpack.h"

static char *dir; /* of each test */

static int setup(void **state)
{
    struct error err = ERROR_INIT;

    return fs_make_temp_dir("/tmp/monban-stack-", &dir, &err);
}

static int teardown(void **state)
{
    struct error err = ERROR_INIT;
    int result = fs_remove_tree(AT_FDCWD, dir, &err);

    free(dir);
    return result;
}

static void put(const char *path, const char *text, mode_t mode)
{
    CLEANUP(text) char *full = fs_join(dir, path);
    CLEANUP(text) char *parent = strdup(full);
    struct error err = ERROR_INIT;

    *strrchr(parent, '/') = 0;
    assert_int_equal(fs_make_dirs(AT_FDCWD, parent, 0755, &err), 0);
    assert_int_equal(fs_write_quick(AT_FDCWD, full, str_of(text), mode, &err), 0);
}

static void put_link(const char *path, const char *target)
{
    CLEANUP(text) char *full = fs_join(dir, path);

    assert_int_equal(symlink(target, full), 0);
}

/* The tree DIR/NAME as NAME.deb. */
static struct deb make_deb(const char *name)
{
    CLEANUP(text) char *control_path = str_format("%s/DEBIAN/control", name);
    CLEANUP(text) char *tree = fs_join(dir, name);
    char *control = str_format("Package: %s\nVersion: 1.0\nArchitecture: all\nMaintainer: t <t@t>\n"
                               "Description: a test\n",
                               name);
    struct deb deb = {strdup(name),
                      strdup("1.0"),
                      strdup("all"),
                      strdup(name),
                      str_format("%s/%s.deb", dir, name),
                      control};
    struct error err = ERROR_INIT;

    put(control_path, control, 0644);
    if (PROC_RUN(NULL, 30000, &err, "dpkg-deb", "--root-owner-group", "-b", tree, deb.file) < 0)
        fail_msg("%s", err.text);
    return deb;
}

static void make_packages(struct debs *ret)
{
    put("one/bin/tool", "#!tool", 04755);
    put_link("one/bin/alias", "tool");
    put("one/lib/x86_64-linux-gnu/libx.so.1", "elf", 0644);
    put("one/usr/share/man/man1/tool.1", "manual", 0644);
    put("one/usr/share/locale/de/LC_MESSAGES/tool.mo", "translation", 0644);
    put("one/usr/share/doc/one/copyright", "licence", 0644);
    put("one/usr/share/doc/one/README", "read me", 0644);
    put("two/usr/share/ca-certificates/mozilla/A.crt", "CERT A", 0644);
    put("two/usr/share/ca-certificates/mozilla/B.crt", "CERT B", 0644);
    put("two/etc/two.conf", "x", 0600);
    ret->items = calloc(2, sizeof(*ret->items));
    ret->count = 2;
    ret->items[0] = make_deb("one");
    ret->items[1] = make_deb("two");
}

static int list_entry(struct unpack_reader *reader, const struct unpack_entry *entry, void *ctx,
                      struct error *err)
{
    struct strv *names = ctx;

    if (S_ISLNK(entry->mode))
        strv_addf(names, "%s -> %s", entry->path, entry->link);
    else if (S_ISREG(entry->mode))
        strv_addf(names, "%s %o", entry->path, (unsigned)entry->mode & 07777);
    return 0;
}

static struct layer merge_once(const struct debs *debs, struct layout **layout)
{
    CLEANUP(strv) struct strv links = STRV_INIT;
    CLEANUP(text) char *path = fs_join(dir, "layout");
    struct merge_options options = {debs, &links, "cnb", 1000, 1000, STR("CERT OWN\n")};
    struct error err = ERROR_INIT;
    struct layer layer;

    strv_add(&links, "bin/t=tool");
    if (!*layout)
        assert_int_equal(layout_open(path, LAYOUT_CREATE, layout, &err), 0);
    if (merge_into_layer(&options, *layout, &layer, &err) < 0)
        fail_msg("%s", err.text);
    return layer;
}

static void packages_become_one_layer_without_what_nobody_reads(void **state)
{
    static const char *const want[] = {
        "bin -> usr/bin",
        "etc/group 644",
        "etc/nsswitch.conf 644",
        "etc/passwd 644",
        "etc/ssl/certs/ca-certificates.crt 644",
        "etc/two.conf 600",
        "lib -> usr/lib",
        "lib64 -> usr/lib64",
        "sbin -> usr/sbin",
        "usr/bin/alias -> tool",
        "usr/bin/t -> tool",
        "usr/bin/tool 755", /* without its setuid bit */
        "usr/lib/x86_64-linux-gnu/libx.so.1 644",
        "usr/share/doc/one/copyright 644",
        "var/lib/dpkg/status.d/one 644",
        "var/lib/dpkg/status.d/two 644",
    };
    CLEANUP(layout) struct layout *layout = NULL;
    CLEANUP(debs) struct debs debs = {0};
    CLEANUP(strv) struct strv names = STRV_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT(4096);
    struct error err = ERROR_INIT;

    make_packages(&debs);
    struct layer layer = merge_once(&debs, &layout);
    assert_int_equal(unpack_each(layout, &layer.descriptor, list_entry, &names, &err), 0);
    strv_sort(&names);
    assert_int_equal(names.count, ARRAY_LEN(want));
    for (size_t i = 0; i < names.count; i++)
        assert_string_equal(names.items[i], want[i]);

    assert_int_equal(
        unpack_file(layout, &layer.descriptor, "etc/ssl/certs/ca-certificates.crt", &text, &err),
        0);
    assert_string_equal(buf_text(&text), "CERT A\nCERT B\nCERT OWN\n");
    buf_clear(&text);
    assert_int_equal(
        unpack_file(layout, &layer.descriptor, "var/lib/dpkg/status.d/one", &text, &err), 0);
    assert_true(str_starts(buf_str(&text), STR("Package: one\nVersion: 1.0\n")));
    buf_clear(&text);
    assert_int_equal(unpack_file(layout, &layer.descriptor, "etc/passwd", &text, &err), 0);
    assert_true(str_find_text(buf_str(&text), STR("cnb:x:1000:1000:")) >= 0);
}

static void the_same_packages_give_the_same_bytes(void **state)
{
    CLEANUP(layout) struct layout *layout = NULL;
    CLEANUP(debs) struct debs debs = {0};

    make_packages(&debs);
    struct layer first = merge_once(&debs, &layout), second = merge_once(&debs, &layout);
    assert_string_equal(first.descriptor.digest.text, second.descriptor.digest.text);
    assert_string_equal(first.diff_id.text, second.diff_id.text);
}

static void a_build_image_is_unpacked_with_the_same_rules(void **state)
{
    CLEANUP(debs) struct debs debs = {0};
    CLEANUP(text) char *root = fs_join(dir, "root");
    CLEANUP(text) char *tool = fs_join(root, "bin/tool");
    CLEANUP(text) char *manual = fs_join(root, "usr/share/man");
    struct merge_options options = {&debs, NULL, "cnb", 1000, 1000, STR_NONE};
    struct error err = ERROR_INIT;
    struct stat st;

    if (geteuid() != 0)
        skip(); /* it gives files their owners */
    make_packages(&debs);
    if (merge_into_dir(&options, root, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(stat(tool, &st), 0); /* by the link that usrmerge makes */
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_false(fs_exists(AT_FDCWD, manual));
}

static void expect_fault(const char *yaml, const char *place_and_text)
{
    CLEANUP(text) char *file = fs_join(dir, "s.yaml");
    CLEANUP(text) char *want = str_format("%s%s", file, place_and_text);
    struct error err = ERROR_INIT;
    struct stack *stack = NULL;
    char text[ERROR_TEXT_MAX];
    bool built;

    put("s.yaml", yaml, 0644);
    const struct stack_options options = {.home = dir, .file = file};
    assert_int_equal(stack_build(&options, &stack, &built, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    error_format(&err, text, sizeof(text));
    if (!strstr(text, want))
        fail_msg("no '%s' in: %s", want, text);
}

#define HEAD "apiVersion: monban.dev/v1alpha1\nkind: Stack\nmetadata: {name: s}\n"

static void faults_of_a_stack_file_have_their_place(void **state)
{
    expect_fault("kind: Pod\n", ":1:7: expected kind: Stack");
    expect_fault(HEAD "spec:\n  run: {packages: [libc6]}\n  build: {packages: []}\n",
                 ":6:21: spec.build.packages is empty");
    expect_fault(HEAD "spec:\n  run: {packages: [libc6, --force]}\n  build: {packages: [a]}\n",
                 ":5:27: expected a name in 'packages'");
    expect_fault(HEAD "spec:\n  run: {packages: [a]}\n  build: {packages: [a]}\n  user: {uid: 0}\n",
                 ":7:9: expected uid and gid from 1 to 65533");
    expect_fault(HEAD "spec:\n  runs: {packages: [a]}\n  build: {packages: [a]}\n",
                 ":5:3: unknown field 'runs'");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(packages_become_one_layer_without_what_nobody_reads),
        TEST(the_same_packages_give_the_same_bytes),
        TEST(a_build_image_is_unpacked_with_the_same_rules),
        TEST(faults_of_a_stack_file_have_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
