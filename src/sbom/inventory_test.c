/* sbom/inventory_test.c - images and folders in, packages with layer and owner out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../tests/golden.h"
#include "oci/image.h"
#include "sbom/sbom_internal.h"

#define STATUS(name, version)                                                                      \
    "Package: " name "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " version "\n\n"
#define MANIFEST(name, version) "{\"name\":\"" name "\",\"version\":\"" version "\"}"

struct fixture {
    char *folder; /* owned */
    char *path;   /* owned: of the layout */
    char *cache;  /* owned */
    struct layout *layout;
    struct layer layers[8];
    const char *owners[8];
    size_t layer_count;
    struct layer_writer *writer; /* of the layer being written */
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct error err = ERROR_INIT;

    assert_non_null(f);
    assert_int_equal(fs_make_temp_dir("/tmp/sbom-test-", &f->folder, &err), 0);
    f->path = str_format("%s/layout", f->folder);
    f->cache = str_format("%s/cache", f->folder);
    assert_int_equal(layout_open(f->path, LAYOUT_CREATE, &f->layout, &err), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;

    layer_writer_free(f->writer);
    layout_free(f->layout);
    assert_int_equal(fs_remove_tree(AT_FDCWD, f->folder, &err), 0);
    free(f->folder);
    free(f->path);
    free(f->cache);
    free(f);
    return 0;
}

/* Starts a layer; `owner` is "OWNER" or "OWNER NAME", NULL: no label at all. */
static void layer(struct fixture *f, const char *owner)
{
    const struct layer_options options = {0};
    struct error err = ERROR_INIT;

    assert_int_equal(layer_writer_new(f->layout, &options, &f->writer, &err), 0);
    f->owners[f->layer_count] = owner;
}

static void file(struct fixture *f, const char *path, const char *text)
{
    struct error err = ERROR_INIT;

    assert_int_equal(layer_add_file(f->writer, path, 0644, str_of(text), &err), 0);
}

static void end(struct fixture *f)
{
    struct error err = ERROR_INIT;

    if (layer_finish(f->writer, &f->layers[f->layer_count++], &err) < 0)
        fail_msg("%s", err.text);
    layer_writer_free(f->writer);
    f->writer = NULL;
}

static struct digest write_image(struct fixture *f)
{
    struct image_options options = {.layers = f->layers, .layer_count = f->layer_count};
    CLEANUP(json) json_t *label = json_array();
    CLEANUP(json) json_t *config = NULL;
    CLEANUP(buf) struct buf text = BUF_INIT(65536);
    struct descriptor descriptor;
    struct error err = ERROR_INIT;

    for (size_t i = 0; i < f->layer_count; i++) {
        struct str name = str_of(f->owners[i]);
        struct str owner = str_cut(&name, ' ');
        if (owner.ptr)
            assert_int_equal(
                json_array_append_new(label,
                                      json_pack("{ss,ss%,ss%}", "diffID", f->layers[i].diff_id.text,
                                                "owner", owner.ptr, owner.len, "name",
                                                name.ptr ? name.ptr : "", name.len)),
                0);
    }
    assert_int_equal(json_write(label, false, &text, &err), 0);
    config = json_pack("{s{ss}}", "Labels", "dev.monban.layers", buf_text(&text));
    options.config = config;
    assert_int_equal(image_write(f->layout, &options, &descriptor, &err), 0);
    return descriptor.digest;
}

static struct inventory *inventory(struct fixture *f, const struct digest *digest)
{
    const struct inventory_options options = {.name = "apps/x", .cache_dir = f->cache};
    struct inventory *inv = NULL;
    struct error err = ERROR_INIT;

    if (inventory_of_image(f->path, digest, &options, &inv, &err) < 0)
        fail_msg("%s", err.text);
    return inv;
}

/* "NAME VERSION LAYER OWNER" a line. */
static void expect(const struct inventory *inv, const char *want)
{
    CLEANUP(buf) struct buf got = BUF_INIT(65536);
    const struct package *packages;
    size_t count;

    packages = inventory_packages(inv, &count);
    for (size_t i = 0; i < count; i++)
        buf_addf(&got, "%s %s %d %s\n", packages[i].name, packages[i].version,
                 packages[i].layer == PACKAGE_NO_LAYER ? -1 : (int)packages[i].layer,
                 owner_name(packages[i].owner));
    assert_string_equal(buf_text(&got), want);
}

static void each_package_has_the_layer_that_brought_it(void **state)
{
    struct fixture *f = *state;
    struct digest digest;
    CLEANUP(inventory) struct inventory *inv = NULL;

    layer(f, "base");
    file(f, "usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    file(f, "var/lib/dpkg/status", STATUS("libc6", "2.36-9") STATUS("tzdata", "2024a"));
    end(f);
    layer(f, "runtime node@22.11.0");
    file(f, "layers/node/README", "nothing that tells a version");
    end(f);
    layer(f, "dependency");
    file(f, "workspace/node_modules/a/package.json",
         "{\"name\":\"a\",\"version\":\"1.0.0\",\"dependencies\":{\"b\":\"^2.0.0\"}}");
    file(f, "workspace/node_modules/b/package.json", MANIFEST("b", "2.1.0"));
    file(f, "workspace/node_modules/a/test/fixture/package.json", MANIFEST("no", "1.0.0"));
    end(f);
    layer(f, "app");
    file(f, "workspace/package.json", "{\"name\":\"x\",\"dependencies\":{\"a\":\"^1.0.0\"}}");
    file(f, "workspace/package-lock.json",
         "{\"packages\":{\"node_modules/dev\":{\"version\":\"9.0.0\"}}}");
    end(f);
    digest = write_image(f);
    inv = inventory(f, &digest);
    expect(inv, "libc6 2.36-9 0 base\ntzdata 2024a 0 base\nnode 22.11.0 1 runtime\n"
                "a 1.0.0 2 dependency\nb 2.1.0 2 dependency\n");
    const struct package *packages;
    size_t count;
    packages = inventory_packages(inv, &count);
    assert_string_equal(packages[0].purl,
                        "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12");
    assert_string_equal(packages[0].ecosystem, "Debian:12");
    assert_true(packages[3].is_direct);
    assert_false(packages[4].is_direct);
    assert_string_equal(packages[4].needs[0].by, "a@1.0.0");
    assert_string_equal(packages[4].needs[0].range, "^2.0.0");
    assert_string_equal(packages[4].paths[0], "workspace/node_modules/b/package.json");
}

static void a_rewritten_dpkg_status_moves_no_package(void **state)
{
    struct fixture *f = *state;
    struct digest digest;
    CLEANUP(inventory) struct inventory *inv = NULL;

    layer(f, "base");
    file(f, "etc/os-release", "ID=debian\nVERSION_ID=12\n");
    file(f, "var/lib/dpkg/status",
         STATUS("gone", "1") STATUS("libc6", "2.36-9") STATUS("tar", "1.34"));
    end(f);
    layer(f, "app");
    file(f, "var/lib/dpkg/status",
         STATUS("curl", "7.88") STATUS("libc6", "2.36-9") STATUS("tar", "1.35"));
    end(f);
    digest = write_image(f);
    inv = inventory(f, &digest);
    expect(inv, "curl 7.88 1 app\nlibc6 2.36-9 0 base\ntar 1.35 1 app\n");
}

static void what_upper_layers_take_away_does_not_count(void **state)
{
    struct fixture *f = *state;
    struct digest digest;
    struct error err = ERROR_INIT;
    CLEANUP(inventory) struct inventory *inv = NULL;

    layer(f, NULL);
    file(f, "a/node_modules/whiteout/package.json", MANIFEST("whiteout", "1.0.0"));
    file(f, "b/node_modules/parent/package.json", MANIFEST("parent", "1.0.0"));
    file(f, "c/node_modules/opaque/package.json", MANIFEST("opaque", "1.0.0"));
    file(f, "d/node_modules/linked/package.json", MANIFEST("linked", "1.0.0"));
    file(f, "e/node_modules/kept/package.json", MANIFEST("kept", "1.0.0"));
    file(f, "e/node_modules/newer/package.json", MANIFEST("newer", "1.0.0"));
    end(f);
    layer(f, NULL);
    assert_int_equal(layer_add_whiteout(f->writer, "a/node_modules/whiteout", &err), 0);
    assert_int_equal(layer_add_whiteout(f->writer, "b", &err), 0);
    file(f, "c/node_modules/.wh..wh..opq", "");
    file(f, "c/node_modules/fresh/package.json", MANIFEST("fresh", "1.0.0"));
    assert_int_equal(layer_add_symlink(f->writer, "d/node_modules", "/nowhere", &err), 0);
    file(f, "e/node_modules/newer/package.json", MANIFEST("newer", "2.0.0"));
    end(f);
    digest = write_image(f);
    inv = inventory(f, &digest);
    expect(inv, "fresh 1.0.0 1 dependency\nkept 1.0.0 0 dependency\nnewer 2.0.0 1 dependency\n");
}

static void without_labels_the_owner_is_guessed(void **state)
{
    struct fixture *f = *state;
    struct digest digest;
    CLEANUP(inventory) struct inventory *inv = NULL;

    layer(f, NULL);
    file(f, "var/lib/dpkg/status", STATUS("libc6", "2.36-9"));
    file(
        f, "usr/local/include/node/node_version.h",
        "#define NODE_MAJOR_VERSION 20\n#define NODE_MINOR_VERSION 1\n#define NODE_PATCH_VERSION 0\n");
    file(f, "usr/local/lib/node_modules/npm/package.json", MANIFEST("npm", "10.0.0"));
    file(f, "app/node_modules/a/package.json", MANIFEST("a", "1.0.0"));
    end(f);
    digest = write_image(f);
    inv = inventory(f, &digest);
    expect(inv, "libc6 2.36-9 0 base\nnode 20.1.0 0 runtime\na 1.0.0 0 dependency\n"
                "npm 10.0.0 0 runtime\n");
}

static void layers_are_read_once(void **state)
{
    struct fixture *f = *state;
    struct digest digest;
    struct inventory *inv;

    layer(f, "base");
    file(f, "var/lib/dpkg/status", STATUS("libc6", "2.36-9"));
    end(f);
    layer(f, "app");
    file(f, "workspace/package.json", "{}");
    end(f);
    digest = write_image(f);
    inv = inventory(f, &digest);
    assert_int_equal(inventory_cost(inv)->layers_read, 2);
    inventory_free(inv);
    inv = inventory(f, &digest);
    assert_int_equal(inventory_cost(inv)->layers_read, 0);
    expect(inv, "libc6 2.36-9 0 base\n");
    inventory_free(inv);
    f->layer_count--; /* another app layer on the same base */
    layer(f, "app");
    file(f, "workspace/package.json", "{ }");
    end(f);
    digest = write_image(f);
    inv = inventory(f, &digest);
    assert_int_equal(inventory_cost(inv)->layers_read, 1);
    assert_int_equal(inventory_cost(inv)->layers_cached, 1);
    inventory_free(inv);
}

static void a_layer_that_is_not_its_diff_id_is_untrusted(void **state)
{
    struct fixture *f = *state;
    const struct inventory_options options = {.cache_dir = f->cache};
    struct inventory *inv = NULL;
    struct digest digest;
    struct error err = ERROR_INIT;

    layer(f, "base");
    file(f, "var/lib/dpkg/status", STATUS("libc6", "2.36-9"));
    end(f);
    f->layers[0].diff_id = digest_of(STR("another layer"));
    digest = write_image(f);
    assert_int_equal(inventory_of_image(f->path, &digest, &options, &inv, &err), -1);
    assert_int_equal(err.kind, ERR_UNTRUSTED);
}

static void broken_evidence_is_a_fault_not_an_error(void **state)
{
    struct fixture *f = *state;
    struct digest digest;
    const struct inventory_fault *faults;
    size_t count;
    CLEANUP(inventory) struct inventory *inv = NULL;

    layer(f, "dependency");
    file(f, "w/node_modules/a/package.json", "{\"name\":");
    file(f, "w/node_modules/b/package.json", MANIFEST("b", "1.0.0"));
    end(f);
    digest = write_image(f);
    inv = inventory(f, &digest);
    expect(inv, "b 1.0.0 0 dependency\n");
    faults = inventory_faults(inv, &count);
    assert_int_equal(count, 1);
    assert_string_equal(faults[0].path, "w/node_modules/a/package.json");
}

static void a_layer_of_noise_is_invalid(void **state)
{
    CLEANUP(layer_facts) struct layer_facts facts = LAYER_FACTS_INIT;
    struct fixture *f = *state;
    CLEANUP(text) char *path = str_format("%s/noise", f->folder);
    CLEANUP(fd) int fd = -1;
    struct digest none = {0};
    struct error err = ERROR_INIT;

    assert_int_equal(fs_write_quick(AT_FDCWD, path, STR("this is no archive at all"), 0600, &err),
                     0);
    assert_int_equal(fs_open_read(AT_FDCWD, path, &fd, &err), 0);
    assert_int_equal(layer_facts_read(fd, &none, &facts, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
}

static void write_document(const struct inventory *inv, struct buf *out)
{
    CLEANUP(json) json_t *bom = NULL;
    struct error err = ERROR_INIT;

    if (inventory_to_cyclonedx(inv, &bom, &err) < 0 || json_write_pretty(bom, out, &err) < 0)
        fail_msg("%s", err.text);
}

static void a_document_gives_the_inventory_back(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf) struct buf first = BUF_INIT(1 << 20);
    CLEANUP(buf) struct buf second = BUF_INIT(1 << 20);
    CLEANUP(inventory) struct inventory *inv = NULL;
    CLEANUP(inventory) struct inventory *again = NULL;
    CLEANUP(json) json_t *bom = NULL;
    struct digest digest;
    struct error err = ERROR_INIT;

    layer(f, "base debian");
    file(f, "usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    file(f, "var/lib/dpkg/status",
         "Package: libssl3\nStatus: install ok installed\nArchitecture: amd64\nSource: openssl "
         "(3.0.11-1)\nVersion: 3.0.11-1+b1\n");
    end(f);
    layer(f, "dependency");
    file(f, "w/node_modules/@s/a/package.json", MANIFEST("@s/a", "1.0.0"));
    file(f, "w/node_modules/b/package.json",
         "{\"name\":\"b\",\"version\":\"1.0.0\",\"dependencies\":{\"@s/a\":\"1.x\"}}");
    file(f, "w/node_modules/b/node_modules/@s/a/package.json", MANIFEST("@s/a", "1.0.0"));
    file(f, "w/node_modules/broken/package.json", "[");
    file(f, "w/package.json", "{\"dependencies\":{\"b\":\"*\"}}");
    end(f);
    digest = write_image(f);
    inv = inventory(f, &digest);
    write_document(inv, &first);
    assert_int_equal(json_parse("bom", buf_str(&first), &bom, &err), 0);
    assert_int_equal(inventory_of_cyclonedx(bom, &again, &err), 0);
    write_document(again, &second);
    assert_string_equal(buf_text(&first), buf_text(&second));
}

static void a_folder_is_what_its_lock_file_says(void **state)
{
    CLEANUP(text) char *folder = golden_folder("src/sbom/testdata/guestbook/in");
    const struct inventory_options options = {.name = "guestbook"};
    CLEANUP(inventory) struct inventory *inv = NULL;
    CLEANUP(buf) struct buf out = BUF_INIT(1 << 20);
    CLEANUP(text) char *testdata = golden_folder("src/sbom/testdata");
    struct error err = ERROR_INIT;

    (void)state;
    if (inventory_of_folder(folder, &options, &inv, &err) < 0)
        fail_msg("%s", err.text);
    write_document(inv, &out);
    golden_compare(testdata, "guestbook", "want.cdx.json", buf_str(&out));
}

static void documents_of_other_tools_are_read(void **state)
{
    CLEANUP(json) json_t *bom = NULL;
    CLEANUP(inventory) struct inventory *inv = NULL;
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(
        json_parse("bom",
                   STR("{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.4\",\"components\":["
                       "{\"type\":\"library\",\"name\":\"x\",\"purl\":\"pkg:npm/x@1.0.0\"},"
                       "{\"type\":\"library\",\"name\":\"libssl3\",\"purl\":\"pkg:deb/debian/"
                       "libssl3@3.0.1-1?distro=debian-12&upstream=openssl\"},"
                       "{\"type\":\"library\",\"name\":\"odd\",\"purl\":\"no purl\"},"
                       "{\"type\":\"library\",\"name\":\"bare\"}]}"),
                   &bom, &err),
        0);
    assert_int_equal(inventory_of_cyclonedx(bom, &inv, &err), 0);
    expect(inv, "libssl3 3.0.1-1 -1 base\nx 1.0.0 -1 dependency\n");
    size_t count;
    assert_string_equal(inventory_packages(inv, &count)[0].source_name, "openssl");
}

static void what_is_no_cyclonedx_is_refused(void **state)
{
    CLEANUP(json) json_t *bom = json_pack("{ss}", "spdxVersion", "SPDX-2.3");
    struct inventory *inv = NULL;
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(inventory_of_cyclonedx(bom, &inv, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_package_has_the_layer_that_brought_it),
        TEST(a_rewritten_dpkg_status_moves_no_package),
        TEST(what_upper_layers_take_away_does_not_count),
        TEST(without_labels_the_owner_is_guessed),
        TEST(layers_are_read_once),
        TEST(a_layer_that_is_not_its_diff_id_is_untrusted),
        TEST(broken_evidence_is_a_fault_not_an_error),
        TEST(a_layer_of_noise_is_invalid),
        TEST(a_document_gives_the_inventory_back),
        cmocka_unit_test(a_folder_is_what_its_lock_file_says),
        cmocka_unit_test(documents_of_other_tools_are_read),
        cmocka_unit_test(what_is_no_cyclonedx_is_refused),
    };

    return cmocka_run_group_tests_name("inventory", tests, NULL, NULL);
}
