/* oci/layout_test.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "oci/layout_internal.h"
#include "oci/oci_test.h"

static struct descriptor put_artifact(struct layout *l, const char *type,
                                      const struct descriptor *subject)
{
    CLEANUP(buf) struct buf text = BUF_INIT(4096);
    struct descriptor empty, d = {0};

    OK(layout_put(l, OCI_EMPTY, STR("{}"), &empty, &err));
    buf_addf(&text,
             "{\"schemaVersion\":2,\"mediaType\":\"" OCI_MANIFEST "\",\"artifactType\":\"%s\","
             "\"config\":{\"mediaType\":\"" OCI_EMPTY
             "\",\"digest\":\"%s\",\"size\":2},\"layers\":[]",
             type, empty.digest.text);
    if (subject) {
        buf_addf(&text, ",\"subject\":{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%d}",
                 subject->media_type, subject->digest.text, (int)subject->size);
    }
    buf_add_text(&text, ",\"annotations\":{\"a\":\"b\"}}");
    OK(layout_put_manifest(l, NULL, buf_str(&text), &d, &err));
    return d;
}

static void blob_is_stored_once_and_read_back(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf) struct buf out = BUF_INIT(100);
    struct descriptor d;
    uint64_t size;

    OK(layout_put(f->layout, "text/plain", STR("hello"), &d, &err));
    OK(layout_put(f->layout, "text/plain", STR("hello"), &d, &err));
    assert_true(layout_has(f->layout, &d.digest));
    OK(layout_read(f->layout, &d.digest, &out, &err));
    assert_string_equal(buf_text(&out), "hello");
    OK(layout_open_blob(f->layout, &d.digest, NULL, &size, &err));
    assert_int_equal(size, 5);
    out.limit = 7;
    FAILS(layout_read(f->layout, &d.digest, &out, &err), ERR_LIMIT);
}

static void blob_with_another_digest_is_refused_and_not_kept(void **state)
{
    struct fixture *f = *state;
    CLEANUP(layout_writer) struct layout_writer *writer = NULL;
    struct digest expected = digest_of(STR("right")), wrong = digest_of(STR("wrong")), got;

    OK(layout_writer_new(f->layout, &writer, &err));
    OK(layout_writer_add(writer, STR("wrong"), &err));
    FAILS(layout_writer_commit(writer, &expected, &got, &err), ERR_UNTRUSTED);
    assert_false(layout_has(f->layout, &expected));
    assert_false(layout_has(f->layout, &wrong));
}

static void damaged_blob_is_untrusted(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf) struct buf out = BUF_INIT(100);
    char path[BLOB_PATH_SIZE];
    struct descriptor d;

    OK(layout_put(f->layout, "text/plain", STR("hello"), &d, &err));
    OK(fs_write_quick(layout_dir_fd(f->layout), layout_blob_path(&d.digest, path), STR("hellO"),
                      0644, &err));
    FAILS(layout_read(f->layout, &d.digest, &out, &err), ERR_UNTRUSTED);
    assert_int_equal(out.len, 0);
}

static void long_blob_arrives_whole_in_uneven_pieces(void **state)
{
    struct fixture *f = *state;
    CLEANUP(layout_writer) struct layout_writer *writer = NULL;
    CLEANUP(buf) struct buf in = BUF_INIT(8 << 20), out = BUF_INIT(8 << 20);
    struct digest digest;

    for (int i = 0; in.len < (3 << 20); i++)
        buf_addf(&in, "line %d\n", i);
    OK(layout_writer_new(f->layout, &writer, &err));
    for (size_t at = 0, step = 1; at < in.len; at += step, step = step * 3 % 700001) {
        struct str piece = str_first(str_skip(buf_str(&in), at), step);
        OK(layout_writer_add(writer, piece, &err));
    }
    struct digest expected = digest_of(buf_str(&in));
    OK(layout_writer_commit(writer, &expected, &digest, &err));
    OK(layout_read(f->layout, &digest, &out, &err));
    assert_int_equal(out.len, in.len);
    assert_int_equal(layout_writer_size(writer), in.len);
}

static void tag_moves_and_goes(void **state)
{
    struct fixture *f = *state;
    CLEANUP(strv) struct strv tags = STRV_INIT, repositories = STRV_INIT;
    struct descriptor one = put_artifact(f->layout, "x/one", NULL), two, got;

    two = put_artifact(f->layout, "x/two", NULL);
    FAILS(layout_resolve(f->layout, "apps/x", "release", &got, &err), ERR_NOT_FOUND);
    OK(layout_tag(f->layout, "apps/x", "release", &one, &err));
    OK(layout_tag(f->layout, "apps/x", "release-1", &one, &err));
    OK(layout_tag(f->layout, "apps/x/y", "release", &one, &err));
    OK(layout_tag(f->layout, "apps/x", "release", &two, &err));
    OK(layout_resolve(f->layout, "apps/x", "release", &got, &err));
    assert_string_equal(got.digest.text, two.digest.text);
    OK(layout_resolve(f->layout, "apps/x/y", "release", &got, &err));
    assert_string_equal(got.digest.text, one.digest.text);
    OK(layout_tags(f->layout, "apps/x", &tags, &err));
    assert_int_equal(tags.count, 2);
    assert_string_equal(tags.items[0], "release");
    OK(layout_repositories(f->layout, &repositories, &err));
    assert_int_equal(repositories.count, 2);
    assert_string_equal(repositories.items[1], "apps/x/y");
    OK(layout_untag(f->layout, "apps/x", "release", &err));
    FAILS(layout_resolve(f->layout, "apps/x", "release", &got, &err), ERR_NOT_FOUND);
    FAILS(layout_tag(f->layout, "Apps", "x", &one, &err), ERR_INVALID);
    FAILS(layout_tag(f->layout, "apps", "../x", &one, &err), ERR_INVALID);
    FAILS(layout_tags(f->layout, "apps", &tags, &err), ERR_NOT_FOUND);
}

static void index_of_another_tool_is_taken_over(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf) struct buf text = BUF_INIT(8192);
    CLEANUP(json) json_t *index = NULL;
    struct descriptor one = put_artifact(f->layout, "x/one", NULL), got;

    OK(layout_tag(f->layout, "apps/x", "old", &one, &err));
    buf_addf(&text,
             "{ \"schemaVersion\": 2, \"manifests\": [ {\"mediaType\":\"%s\", \"digest\":\"%s\", "
             "\"size\":%d, \"annotations\":{\"org.opencontainers.image.ref.name\":\"apps/x:new\", "
             "\"k\":\"v\"}}, {\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%d} ] }",
             one.media_type, one.digest.text, (int)one.size, one.media_type, one.digest.text,
             (int)one.size);
    OK(fs_write_quick(layout_dir_fd(f->layout), "index.json", buf_str(&text), 0644, &err));
    OK(layout_resolve(f->layout, "apps/x", "new", &got, &err));
    FAILS(layout_resolve(f->layout, "apps/x", "old", &got, &err), ERR_NOT_FOUND);
    OK(layout_tag(f->layout, "apps/x", "third", &one, &err));
    OK(json_read_file(layout_dir_fd(f->layout), "index.json", &index, &err));
    assert_int_equal(json_array_size(json_object_get(index, "manifests")), 3);
    assert_string_equal(json_str_at(index, "manifests[0].annotations.k"), "v");
}

static void referrers_are_kept_by_subject_and_type(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json) json_t *all = NULL, *some = NULL, *none = NULL, *after = NULL;
    struct descriptor image = put_artifact(f->layout, "x/image", NULL);
    struct descriptor sbom = put_artifact(f->layout, "x/sbom", &image);
    struct descriptor sig = put_artifact(f->layout, "x/sig", &image);

    OK(layout_referrers(f->layout, &image.digest, NULL, &all, &err));
    assert_int_equal(json_array_size(all), 2);
    OK(layout_referrers(f->layout, &image.digest, "x/sbom", &some, &err));
    assert_int_equal(json_array_size(some), 1);
    assert_string_equal(json_str_at(some, "[0].digest"), sbom.digest.text);
    assert_string_equal(json_str_at(some, "[0].artifactType"), "x/sbom");
    assert_string_equal(json_str_at(some, "[0].annotations.a"), "b");
    OK(layout_referrers(f->layout, &sbom.digest, NULL, &none, &err));
    assert_int_equal(json_array_size(none), 0);
    OK(layout_tag(f->layout, "a", "sig", &sig, &err));
    OK(layout_remove_manifest(f->layout, &sig.digest, &err));
    OK(layout_referrers(f->layout, &image.digest, NULL, &after, &err));
    assert_int_equal(json_array_size(after), 1);
    FAILS(layout_resolve(f->layout, "a", "sig", &sig, &err), ERR_NOT_FOUND);
}

static void manifest_of_wrong_shape_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"schemaVersion\":2}",
        "{\"schemaVersion\":1,\"manifests\":[]}",
        "{\"schemaVersion\":2,\"manifests\":[{}]}",
        "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"a\",\"digest\":\"sha256:1\",\"size\":1},\"layers\":[]}",
        ("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"a\",\"size\":-1,\"digest\":"
         "\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\"}]}"),
    };
    struct fixture *f = *state;
    struct descriptor d;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        FAILS(layout_put_manifest(f->layout, NULL, str_of(bad[i]), &d, &err), ERR_INVALID);
}

static void watcher_wakes_when_another_process_tags(void **state)
{
    struct fixture *f = *state;
    CLEANUP(fd) int fd = -1;
    struct descriptor one = put_artifact(f->layout, "x/one", NULL), got;

    OK(layout_watch(f->layout, &fd, &err));
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 0), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct error err = ERROR_INIT;
        struct layout *other = NULL;
        _exit(layout_open(layout_path(f->layout), 0, &other, &err) < 0 ||
              layout_tag(other, "apps/x", "new", &one, &err) < 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(poll(&wait, 1, 5000), 1);
    layout_watch_drain(fd);
    OK(layout_resolve(f->layout, "apps/x", "new", &got, &err));
    assert_int_equal(poll(&wait, 1, 0), 0);
}

static void processes_that_tag_at_once_lose_no_tag(void **state)
{
    enum { WRITERS = 4, EACH = 25 };
    struct fixture *f = *state;
    CLEANUP(strv) struct strv tags = STRV_INIT;
    CLEANUP(json) json_t *index = NULL;
    struct descriptor one = put_artifact(f->layout, "x/one", NULL);
    pid_t pids[WRITERS];

    for (int w = 0; w < WRITERS; w++) {
        pids[w] = fork();
        if (pids[w] != 0)
            continue;
        struct error err = ERROR_INIT;
        struct layout *mine = NULL;
        char tag[32];
        if (layout_open(layout_path(f->layout), 0, &mine, &err) < 0)
            _exit(1);
        for (int i = 0; i < EACH; i++) {
            snprintf(tag, sizeof(tag), "t%d-%d", w, i);
            if (layout_tag(mine, "apps/x", tag, &one, &err) < 0)
                _exit(1);
        }
        _exit(0);
    }
    for (int w = 0; w < WRITERS; w++) {
        int status;
        assert_int_equal(waitpid(pids[w], &status, 0), pids[w]);
        assert_int_equal(status, 0);
    }
    OK(layout_tags(f->layout, "apps/x", &tags, &err));
    assert_int_equal(tags.count, WRITERS * EACH);
    OK(json_read_file(layout_dir_fd(f->layout), "index.json", &index, &err));
    assert_int_equal(json_array_size(json_object_get(index, "manifests")), WRITERS * EACH);
}

/* A writer is killed at a time that moves through its work; whatever it left, the store agrees with
 * itself. */
static void store_is_whole_after_kill_at_any_moment(void **state)
{
    struct fixture *f = *state;
    struct descriptor one = put_artifact(f->layout, "x/one", NULL);

    for (int round = 0; round < 40; round++) {
        CLEANUP(strv) struct strv tags = STRV_INIT;
        CLEANUP(json) json_t *index = NULL;
        pid_t pid = fork();
        if (pid == 0) {
            struct error err = ERROR_INIT;
            struct layout *mine = NULL;
            char tag[32];
            if (layout_open(layout_path(f->layout), 0, &mine, &err) < 0)
                _exit(1);
            for (int i = 0;; i++) {
                snprintf(tag, sizeof(tag), "t%d-%d", round, i);
                if (layout_tag(mine, "apps/x", tag, &one, &err) < 0)
                    _exit(1);
            }
        }
        struct timespec pause = {.tv_nsec = 1000000 + round * 137003};
        nanosleep(&pause,
                  NULL); /* the moment of the kill is what varies here, nothing waits for it */
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        OK(layout_tag(f->layout, "apps/x", "mark", &one, &err));
        OK(layout_tags(f->layout, "apps/x", &tags, &err));
        OK(json_read_file(layout_dir_fd(f->layout), "index.json", &index, &err));
        assert_int_equal(json_array_size(json_object_get(index, "manifests")), tags.count);
    }
}

static void full_disk_is_a_limit_and_changes_nothing(void **state)
{
    enum { BIG = 3 << 20 };
    struct fixture *f = *state;
    CLEANUP(text) char *mount_point = fs_join(f->dir, "small");
    CLEANUP(text) char *bytes = calloc(1, BIG);
    CLEANUP(strv) struct strv tags = STRV_INIT;
    struct layout *small = NULL;
    struct descriptor one, got;
    struct error full = ERROR_INIT;

    OK(fs_make_dirs(AT_FDCWD, mount_point, 0755, &err));
    if (mount("tmpfs", mount_point, "tmpfs", 0, "size=1m") < 0)
        skip();
    OK(layout_open(mount_point, LAYOUT_CREATE | LAYOUT_SYNC, &small, &err));
    one = put_artifact(small, "x/one", NULL);
    OK(layout_tag(small, "a", "t", &one, &err));
    assert_int_equal(layout_put(small, "x/big", str_slice(bytes, BIG), &got, &full), -1);
    assert_int_equal(full.kind, ERR_LIMIT);
    assert_non_null(strstr(full.text, "is full, nothing was stored"));
    /* Fill what is left, so that not even a tag fits. */
    for (size_t size = 256 << 10; size >= 4096; size /= 2) {
        struct error err = ERROR_INIT;
        bytes[0] = (char)(size >> 12);
        while (layout_put(small, "x/fill", str_slice(bytes, size), &got, &err) == 0)
            bytes[1]++;
    }
    error_clear(&full);
    assert_int_equal(layout_tag(small, "a", "u", &one, &full), -1);
    assert_int_equal(full.kind, ERR_LIMIT);
    OK(layout_tags(small, "a", &tags, &err));
    assert_int_equal(tags.count, 1);
    OK(layout_resolve(small, "a", "t", &got, &err));
    layout_free(small);
    assert_int_equal(umount2(mount_point, MNT_DETACH), 0);
}

static void cache_gives_back_what_was_put(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json) json_t *value = json_pack("{s:i}", "n", 7), *got = NULL;

    FAILS(layout_cache_get(f->layout, "layer-abc", &got, &err), ERR_NOT_FOUND);
    OK(layout_cache_put(f->layout, "layer-abc", value, &err));
    OK(layout_cache_get(f->layout, "layer-abc", &got, &err));
    assert_true(json_equal(value, got));
    FAILS(layout_cache_put(f->layout, "../x", value, &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(blob_is_stored_once_and_read_back),
        TEST(blob_with_another_digest_is_refused_and_not_kept),
        TEST(damaged_blob_is_untrusted),
        TEST(long_blob_arrives_whole_in_uneven_pieces),
        TEST(tag_moves_and_goes),
        TEST(index_of_another_tool_is_taken_over),
        TEST(referrers_are_kept_by_subject_and_type),
        TEST(manifest_of_wrong_shape_is_refused),
        TEST(watcher_wakes_when_another_process_tags),
        TEST(processes_that_tag_at_once_lose_no_tag),
        TEST(store_is_whole_after_kill_at_any_moment),
        TEST(full_disk_is_a_limit_and_changes_nothing),
        TEST(cache_gives_back_what_was_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
