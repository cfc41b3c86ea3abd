/* release/release_test.c - a release written, verified, tampered with in every way we know of,
 * exported and imported. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "oci/image.h"
#include "release/release.h"

struct fixture {
    char *dir;
    struct layout *layout;
    struct signer *signer;
    struct trust *trust;
    struct workload *workload;
    struct descriptor image;
    struct digest layer;
    const char *built_from; /* commit in the provenance */
};

#define COMMIT   "0123456789abcdef0123456789abcdef01234567"
#define OK(call) check_ok((call), &err, #call)
static void check_ok(int result, const struct error *err, const char *what)
{
    if (result < 0)
        fail_msg("%s: %s", what, err->text);
}

static const char yaml[] = "---\napiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: shop\n";

static struct signer *new_signer(void)
{
    struct sign_key *key = NULL;
    struct signer *signer = NULL;
    struct error err = ERROR_INIT;

    OK(sign_key_make(&key, &err));
    OK(signer_new_local(key, &signer, &err));
    return signer;
}

/* An image of one layer; `text` makes it differ. */
static struct descriptor make_image(struct layout *layout, const char *text,
                                    struct digest *ret_layer)
{
    CLEANUP(layer_writer) struct layer_writer *writer = NULL;
    const struct layer_options options = {.threads = 1};
    struct error err = ERROR_INIT;
    struct descriptor image;
    struct layer layer;

    OK(layer_writer_new(layout, &options, &writer, &err));
    OK(layer_add_file(writer, "app", 0755, str_of(text), &err));
    OK(layer_finish(writer, &layer, &err));
    const struct image_options image_options = {.layers = &layer, .layer_count = 1};
    OK(image_write(layout, &image_options, &image, &err));
    *ret_layer = layer.descriptor.digest;
    return image;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = ERROR_INIT;

    OK(fs_make_temp_dir("/tmp/monban-release-", &f->dir, &err));
    CLEANUP(text) char *path = str_format("%s/layout", f->dir);
    OK(layout_open(path, LAYOUT_CREATE, &f->layout, &err));
    OK(workload_new_default("shop.git", &f->workload, &err));
    OK(trust_new(&f->trust, &err));
    f->signer = new_signer();
    OK(trust_add_pem(f->trust, "gate", str_of(signer_public_pem(f->signer)), &err));
    f->image = make_image(f->layout, "one", &f->layer);
    f->built_from = COMMIT;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;

    layout_free(f->layout);
    signer_free(f->signer);
    trust_free(f->trust);
    workload_free(f->workload);
    OK(fs_remove_tree(AT_FDCWD, f->dir, &err));
    free(f->dir);
    free(f);
    return 0;
}

static int write_release(struct fixture *f, struct signer *signer, const char *outcome,
                         uint64_t sequence, struct release *ret, struct error *err)
{
    CLEANUP(json)
    json_t *sbom = json_pack("{s:s, s:s}", "bomFormat", "CycloneDX", "specVersion", "1.6");
    CLEANUP(json) json_t *findings = json_pack("{s:[]}", "findings");
    CLEANUP(json) json_t *provenance = NULL;
    CLEANUP(json) json_t *verdict = json_pack("{s:s}", "verificationResult", outcome);
    const struct provenance_input built = {
        .source_uri = "git+file:///shop.git", .commit = f->built_from, .invocation_id = "test"};

    check_ok(provenance_new(&built, &provenance, err), err, "provenance");
    const struct release_input input = {
        .workload = f->workload,
        .commit = COMMIT,
        .image = f->image,
        .yaml = str_of(yaml),
        .sbom = sbom,
        .findings = findings,
        .provenance = provenance,
        .verdict = verdict,
        .created_s = 1767323045,
        .sequence = sequence,
    };

    return release_write(f->layout, &input, signer, ret, err);
}

static struct release write_one(struct fixture *f)
{
    struct error err = ERROR_INIT;
    struct release r;

    OK(write_release(f, f->signer, "PASSED", 0, &r, &err));
    return r;
}

/* The kind of the refusal, whose text must hold `want`; ERR_NONE if it was accepted. */
static enum error_kind verify(struct fixture *f, uint64_t least, const char *want)
{
    CLEANUP(release_content) struct release_content content = RELEASE_CONTENT_INIT;
    const struct release_rules rules = {
        .workload = "shop", .least_sequence = least, .want_provenance = true};
    struct error err = ERROR_INIT;

    if (release_verify(f->layout, RELEASE_TAG, f->trust, &rules, &content, &err) == 0)
        return ERR_NONE;
    if (want && !strstr(err.text, want))
        fail_msg("expected '%s' in: %s", want, err.text);
    return err.kind;
}

static void flip_byte_of(struct fixture *f, const struct digest *digest)
{
    CLEANUP(text) char *path = str_format("%s/layout/blobs/sha256/%s", f->dir, digest_hex(digest));
    CLEANUP(buf) struct buf bytes = BUF_INIT(10 << 20);
    struct error err = ERROR_INIT;

    OK(fs_read_at(AT_FDCWD, path, &bytes, &err));
    bytes.ptr[bytes.len / 2] ^= 1;
    OK(fs_remove(AT_FDCWD, path, &err));
    OK(fs_write_quick(AT_FDCWD, path, buf_str(&bytes), 0644, &err));
}

static void release_verifies_and_gives_its_content(void **state)
{
    struct fixture *f = *state;
    CLEANUP(release_content) struct release_content content = RELEASE_CONTENT_INIT;
    const struct release_rules rules = {.workload = "shop", .want_provenance = true};
    struct error err = ERROR_INIT;
    struct release written = write_one(f);

    OK(release_verify(f->layout, RELEASE_TAG, f->trust, &rules, &content, &err));
    assert_string_equal(buf_text(&content.yaml), yaml);
    assert_string_equal(json_str_at(content.sbom, "bomFormat"), "CycloneDX");
    assert_int_equal(content.release.sequence, 1);
    assert_int_equal(content.release.created_s, 1767323045);
    assert_string_equal(content.release.image.digest.text, f->image.digest.text);
    assert_string_equal(content.release.digest.text, written.digest.text);
    assert_true(digest_equal(&content.release.key_id, signer_key_id(f->signer)));
}

static void sequence_rises_with_each_release(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json) json_t *list = NULL;
    CLEANUP(strv) struct strv names = STRV_INIT;
    struct error err = ERROR_INIT;

    assert_int_equal(write_one(f).sequence, 1);
    f->image = make_image(f->layout, "two", &f->layer);
    assert_int_equal(write_one(f).sequence, 2);
    OK(release_list(f->layout, "shop", &list, &err));
    assert_int_equal(json_array_size(list), 2);
    assert_int_equal(json_int_at(json_array_get(list, 0), "sequence", 0), 2);
    OK(release_workloads(f->layout, &names, &err));
    assert_int_equal(names.count, 1);
    assert_string_equal(names.items[0], "shop");
}

static void refused_verdict_is_not_released(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct release r;

    assert_int_equal(write_release(f, f->signer, "FAILED", 0, &r, &err), -1);
    assert_int_equal(err.kind, ERR_DENIED);
    assert_int_equal(verify(f, 0, NULL), ERR_NOT_FOUND);
}

static void one_changed_byte_is_refused_wherever_it_is(void **state)
{
    struct fixture *f = *state;
    struct release r = write_one(f);
    CLEANUP(json) json_t *manifest = NULL, *yaml_manifest = NULL, *image_manifest = NULL;
    struct error err = ERROR_INIT;
    struct digest digests[10];
    size_t count = 0;

    OK(layout_read_manifest(f->layout, &r.digest, &manifest, NULL, NULL, &err));
    OK(layout_read_manifest(f->layout, &r.yaml, &yaml_manifest, NULL, NULL, &err));
    OK(layout_read_manifest(f->layout, &r.image.digest, &image_manifest, NULL, NULL, &err));
    digests[count++] = r.digest;
    digests[count++] = r.yaml;
    digests[count++] = r.image.digest;
    digests[count++] = f->layer;
    assert_true(digest_parse(str_of(json_str_at(manifest, "layers[0].digest")), &digests[count++]));
    assert_true(
        digest_parse(str_of(json_str_at(yaml_manifest, "layers[0].digest")), &digests[count++]));
    assert_true(
        digest_parse(str_of(json_str_at(image_manifest, "config.digest")), &digests[count++]));
    for (size_t i = 0; i < 3; i++)
        digests[count++] = r.attestations[i].digest;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(verify(f, 0, NULL), ERR_NONE);
        flip_byte_of(f, &digests[i]);
        if (verify(f, 0, digests[i].text) != ERR_UNTRUSTED)
            fail_msg("blob %zu, %s: changed, and accepted or refused as another kind", i,
                     digests[i].text);
        flip_byte_of(f, &digests[i]);
    }
}

static void release_by_another_key_is_refused(void **state)
{
    struct fixture *f = *state;
    CLEANUP(signer) struct signer *stranger = new_signer();
    struct error err = ERROR_INIT;
    struct release r;

    OK(write_release(f, stranger, "PASSED", 0, &r, &err));
    assert_int_equal(verify(f, 0, "no signature by a trusted key"), ERR_UNTRUSTED);
}

static void older_release_under_the_newest_tag_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct descriptor d;

    (void)write_one(f);
    f->image = make_image(f->layout, "two", &f->layer);
    (void)write_one(f);
    assert_int_equal(verify(f, 2, NULL), ERR_NONE);
    OK(layout_resolve(f->layout, "apps/shop", "release-1", &d, &err));
    OK(layout_tag(f->layout, "apps/shop", RELEASE_TAG, &d, &err));
    assert_int_equal(verify(f, 2, "rule 'sequence'"), ERR_UNTRUSTED);
}

static void release_of_another_workload_is_refused(void **state)
{
    struct fixture *f = *state;
    CLEANUP(release_content) struct release_content content = RELEASE_CONTENT_INIT;
    const struct release_rules rules = {.workload = "bank"};
    struct release r = write_one(f);
    struct error err = ERROR_INIT;

    assert_int_equal(release_verify(f->layout, r.digest.text, f->trust, &rules, &content, &err),
                     -1);
    assert_int_equal(err.kind, ERR_UNTRUSTED);
    assert_non_null(strstr(err.text, "rule 'workload'"));
}

static void provenance_of_another_commit_is_refused(void **state)
{
    struct fixture *f = *state;

    f->built_from = "fedcba9876543210fedcba9876543210fedcba98";
    (void)write_one(f);
    assert_int_equal(verify(f, 0, "rule 'provenance'"), ERR_UNTRUSTED);
}

static void promotion_of_another_kind_of_artifact_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct release r = write_one(f);
    struct descriptor d;
    struct promotion p = {.cluster = "staging",
                          .workload = "shop",
                          .sequence = 1,
                          .healthy_since_s = 1767323045,
                          .release = r.digest};
    struct promotion read;

    OK(promotion_write(f->layout, &p, f->signer, &err));
    OK(promotion_verify(f->layout, "shop", f->trust, &read, &err));
    assert_string_equal(read.cluster, "staging");
    assert_int_equal(read.healthy_since_s, 1767323045);
    assert_string_equal(read.release.text, r.digest.text);
    /* The promotion under the release's tag: a statement of one kind is not one of the other. */
    OK(layout_resolve(f->layout, "apps/shop", PROMOTION_TAG, &d, &err));
    OK(layout_tag(f->layout, "apps/shop", RELEASE_TAG, &d, &err));
    assert_int_equal(verify(f, 0, "rule 'artifact'"), ERR_UNTRUSTED);
}

static struct layout *open_other(struct fixture *f)
{
    CLEANUP(text) char *path = str_format("%s/other", f->dir);
    struct layout *other = NULL;
    struct error err = ERROR_INIT;

    OK(layout_open(path, LAYOUT_CREATE, &other, &err));
    return other;
}

static void exported_file_is_imported_and_verifies(void **state)
{
    struct fixture *f = *state;
    CLEANUP(layout) struct layout *other = open_other(f);
    CLEANUP(text) char *path = str_format("%s/shop.tar", f->dir);
    CLEANUP(text) char *again = str_format("%s/shop-again.tar", f->dir);
    CLEANUP(release_content) struct release_content content = RELEASE_CONTENT_INIT;
    const struct release_rules rules = {.workload = "shop", .want_provenance = true};
    struct error err = ERROR_INIT;
    struct release imported, r = write_one(f);
    struct digest a, b;
    struct descriptor d;

    OK(release_export(f->layout, "shop", RELEASE_TAG, path, &err));
    OK(release_export(f->layout, "shop", r.digest.text, again, &err));
    OK(digest_of_file(AT_FDCWD, path, &a, &(uint64_t){0}, &err));
    OK(digest_of_file(AT_FDCWD, again, &b, &(uint64_t){0}, &err));
    assert_string_equal(a.text, b.text); /* the same release, the same bytes */
    OK(release_import(other, path, f->trust, &imported, &err));
    assert_int_equal(imported.sequence, 1);
    OK(release_verify(other, RELEASE_TAG, f->trust, &rules, &content, &err));
    assert_string_equal(buf_text(&content.yaml), yaml);
    CLEANUP(text) char *sig = str_format("sha256-%s.sig", digest_hex(&r.image.digest));
    OK(layout_resolve(other, "apps/shop", sig, &d, &err));
}

static void import_never_sets_the_newest_tag_back(void **state)
{
    struct fixture *f = *state;
    CLEANUP(layout) struct layout *other = open_other(f);
    CLEANUP(text) char *first = str_format("%s/1.tar", f->dir);
    CLEANUP(text) char *second = str_format("%s/2.tar", f->dir);
    struct error err = ERROR_INIT;
    struct release r, newest;
    struct descriptor d, newest_d;

    r = write_one(f);
    OK(release_export(f->layout, "shop", r.digest.text, first, &err));
    f->image = make_image(f->layout, "two", &f->layer);
    newest = write_one(f);
    OK(release_export(f->layout, "shop", RELEASE_TAG, second, &err));
    OK(release_import(other, second, f->trust, &r, &err));
    OK(release_import(other, first, f->trust, &r, &err));
    OK(layout_resolve(other, "apps/shop", RELEASE_TAG, &newest_d, &err));
    assert_string_equal(newest_d.digest.text, newest.digest.text);
    OK(layout_resolve(other, "apps/shop", "release-1", &d, &err));
}

static void changed_file_is_not_imported(void **state)
{
    struct fixture *f = *state;
    CLEANUP(layout) struct layout *other = open_other(f);
    CLEANUP(text) char *path = str_format("%s/shop.tar", f->dir);
    CLEANUP(buf) struct buf bytes = BUF_INIT(10 << 20);
    struct error err = ERROR_INIT;
    struct release r = write_one(f);
    struct descriptor d;

    OK(release_export(f->layout, "shop", r.digest.text, path, &err));
    OK(fs_read_at(AT_FDCWD, path, &bytes, &err));
    char *at = memmem(bytes.ptr, bytes.len, "\"payload\"", 9);
    assert_non_null(at);
    at[20] ^= 1;
    OK(fs_write_quick(AT_FDCWD, path, buf_str(&bytes), 0644, &err));
    assert_int_equal(release_import(other, path, f->trust, &r, &err), -1);
    assert_int_equal(err.kind, ERR_UNTRUSTED);
    assert_int_equal(layout_resolve(other, "apps/shop", RELEASE_TAG, &d, &err), -1);
}

static void what_is_no_archive_is_invalid(void **state)
{
    struct fixture *f = *state;
    CLEANUP(text) char *path = str_format("%s/x.tar", f->dir);
    struct error err = ERROR_INIT;
    struct release r;

    OK(fs_write_quick(AT_FDCWD, path, STR("hello, this is no tar\n"), 0644, &err));
    assert_int_equal(release_import(f->layout, path, f->trust, &r, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(release_verifies_and_gives_its_content),
        TEST(sequence_rises_with_each_release),
        TEST(refused_verdict_is_not_released),
        TEST(one_changed_byte_is_refused_wherever_it_is),
        TEST(release_by_another_key_is_refused),
        TEST(older_release_under_the_newest_tag_is_refused),
        TEST(release_of_another_workload_is_refused),
        TEST(provenance_of_another_commit_is_refused),
        TEST(promotion_of_another_kind_of_artifact_is_refused),
        TEST(exported_file_is_imported_and_verifies),
        TEST(import_never_sets_the_newest_tag_back),
        TEST(changed_file_is_not_imported),
        TEST(what_is_no_archive_is_invalid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
