/* oci/unpack_test.c - archives, mostly hostile ones, onto disk; images from layouts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zstd.h>

#include "oci/layer_internal.h"
#include "oci/oci_test.h"
#include "oci/unpack.h"

/* Tar entries with any names and types, headers by our own writer; type 0: as the kind says. */
struct item {
    enum layer_kind kind;
    const char *path, *link, *bytes;
    uint32_t mode;
    char type;
};

static void patch_type(struct buf *tar, size_t header, char type)
{
    unsigned char *h = (unsigned char *)tar->ptr + header;
    unsigned sum = 0;

    h[156] = (unsigned char)type;
    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += h[i];
    snprintf((char *)h + 148, 8, "%06o", sum);
}

static void add_item(struct buf *tar, const struct item *item)
{
    static const char zeros[2 * TAR_BLOCK];
    size_t len = item->bytes ? strlen(item->bytes) : 0, header = tar->len;
    struct layer_entry entry = {.path = (char *)item->path,
                                .link = (char *)item->link,
                                .kind = item->kind,
                                .mode = item->mode ? item->mode : 0755,
                                .size = len};

    layer_tar_header(&entry, 1000000000, tar);
    if (item->type)
        patch_type(tar, header, item->type);
    buf_add(tar, item->bytes ? item->bytes : "", len);
    if (len % TAR_BLOCK)
        buf_add(tar, zeros, TAR_BLOCK - len % TAR_BLOCK);
}

static void make_tar(struct buf *tar, const struct item *items, size_t count)
{
    static const char zeros[2 * TAR_BLOCK];

    for (size_t i = 0; i < count; i++)
        add_item(tar, &items[i]);
    buf_add(tar, zeros, sizeof(zeros));
}

struct place_for {
    char *path; /* owned */
    int fd;     /* owned */
};

static struct place_for fresh_dir(const struct fixture *f, const char *name)
{
    struct place_for place = {.path = fs_join(f->dir, name), .fd = -1};
    OK(fs_make_dirs(AT_FDCWD, place.path, 0755, &err));
    OK(fs_open_dir(AT_FDCWD, place.path, &place.fd, &err));
    return place;
}

static void place_done(struct place_for *place)
{
    io_close(&place->fd);
    free(place->path);
}

/* Unpacks bytes into DIR/NAME. */
static int unpack_bytes(const struct fixture *f, const char *name, struct str bytes, int flags,
                        const struct unpack_limits *limits, struct error *err)
{
    struct place_for place = fresh_dir(f, name);
    CLEANUP(text) char *path = str_format("%s.tar", place.path);
    CLEANUP(fd) int fd = -1;
    int result = -1;

    if (fs_write_quick(AT_FDCWD, path, bytes, 0644, err) == 0 &&
        fs_open_read(AT_FDCWD, path, &fd, err) == 0)
        result = unpack_tar(fd, place.fd, flags, limits, err);
    place_done(&place);
    return result;
}

static int unpack_items(const struct fixture *f, const char *name, const struct item *items,
                        size_t count, int flags, struct error *err)
{
    CLEANUP(buf) struct buf tar = BUF_INIT(1 << 20);

    make_tar(&tar, items, count);
    return unpack_bytes(f, name, buf_str(&tar), flags, NULL, err);
}

static bool is_there(const struct fixture *f, const char *path)
{
    CLEANUP(text) char *whole = fs_join(f->dir, path);
    return fs_exists(AT_FDCWD, whole);
}

static void read_text(const struct fixture *f, const char *path, struct buf *out)
{
    CLEANUP(text) char *whole = fs_join(f->dir, path);
    buf_clear(out);
    OK(fs_read_at(AT_FDCWD, whole, out, &err));
}

static struct stat stat_of(const struct fixture *f, const char *path)
{
    CLEANUP(text) char *whole = fs_join(f->dir, path);
    struct stat info = {0};
    assert_int_equal(lstat(whole, &info), 0);
    return info;
}

#define UNPACKS(f, name, items, flags)                                                             \
    OK(unpack_items(f, name, items, ARRAY_LEN(items), flags, &err))

static void links_never_lead_out(void **state)
{
    struct fixture *f = *state;
    CLEANUP(text) char *outside = fs_join(f->dir, "outside");
    CLEANUP(text) char *victim = fs_join(f->dir, "outside/victim");
    CLEANUP(buf) struct buf text = BUF_INIT(100);

    OK(fs_make_dirs(AT_FDCWD, outside, 0755, &err));
    OK(fs_write_quick(AT_FDCWD, victim, STR("safe"), 0644, &err));
    const struct item through_absolute[] = {
        {LAYER_SYMLINK, "door", .link = outside},
        {LAYER_FILE, "door/victim", .bytes = "hacked"},
    };
    /* Resolved inside the root, where no such folder is. */
    FAILS(unpack_items(f, "a", through_absolute, 2, 0, &err), ERR_CONFLICT);
    const struct item through_relative[] = {
        {LAYER_SYMLINK, "x", .link = "../outside"},
        {LAYER_FILE, "x/victim", .bytes = "hacked"},
    };
    FAILS(unpack_items(f, "b", through_relative, 2, 0, &err), ERR_CONFLICT);
    const struct item over_link[] = {
        {LAYER_SYMLINK, "victim", .link = victim},
        {LAYER_FILE, "victim", .bytes = "new"},
    };
    UNPACKS(f, "c", over_link, 0);
    read_text(f, "c/victim", &text);
    assert_string_equal(buf_text(&text), "new");
    const struct item hard[] = {{LAYER_HARD_LINK, "mine", .link = victim}};
    FAILS(unpack_items(f, "d", hard, 1, 0, &err), ERR_NOT_FOUND);
    const struct item hard_through[] = {
        {LAYER_SYMLINK, "s", .link = outside},
        {LAYER_HARD_LINK, "mine", .link = "s/victim"},
    };
    FAILS(unpack_items(f, "e", hard_through, 2, 0, &err), ERR_NOT_FOUND);
    const struct item dots[] = {{LAYER_FILE, "a/../../outside/victim", .bytes = "hacked"}};
    FAILS(unpack_items(f, "g", dots, 1, 0, &err), ERR_INVALID);
    const struct item link_dots[] = {{LAYER_HARD_LINK, "mine", .link = "../outside/victim"}};
    FAILS(unpack_items(f, "h", link_dots, 1, 0, &err), ERR_INVALID);
    const struct item chmod_through[] = {
        {LAYER_SYMLINK, "d", .link = outside},
        {LAYER_DIR, "d", .mode = 0777},
    };
    UNPACKS(f, "i", chmod_through, 0);
    assert_true(S_ISDIR(stat_of(f, "i/d").st_mode));
    assert_int_equal(stat_of(f, "outside").st_mode & 07777, 0755);
    read_text(f, "outside/victim", &text);
    assert_string_equal(buf_text(&text), "safe");
    assert_int_equal(stat_of(f, "outside/victim").st_nlink, 1);
}

static void absolute_names_land_inside_and_links_inside_are_followed(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf) struct buf text = BUF_INIT(100);
    const struct item items[] = {
        {LAYER_DIR, "usr/lib"},
        {LAYER_SYMLINK, "lib", .link = "usr/lib"},
        {LAYER_FILE, "/lib/libc.so", .bytes = "elf"},
        {LAYER_FILE, "./made/by/the/way", .bytes = "x", .mode = 0600},
        {LAYER_HARD_LINK, "again", .link = "/usr/lib/libc.so"},
        {LAYER_FILE, "made/by", .bytes = "now a file"},
    };

    UNPACKS(f, "a", items, 0);
    read_text(f, "a/usr/lib/libc.so", &text);
    assert_string_equal(buf_text(&text), "elf");
    assert_int_equal(stat_of(f, "a/again").st_nlink, 2);
    assert_true(S_ISREG(stat_of(f, "a/made/by").st_mode));
    assert_int_equal(stat_of(f, "a/usr/lib/libc.so").st_mtime, 1000000000);
}

static void devices_and_setuid_bits_are_left_out(void **state)
{
    struct fixture *f = *state;
    const struct item items[] = {
        {LAYER_FILE, "sda", .type = '4'},
        {LAYER_FILE, "null", .type = '3'},
        {LAYER_FILE, "fifo", .type = '6'},
        {LAYER_FILE, "su", .mode = 04755, .bytes = "x"},
    };

    UNPACKS(f, "a", items, UNPACK_NO_SETUID);
    assert_false(is_there(f, "a/sda"));
    assert_false(is_there(f, "a/null"));
    assert_false(is_there(f, "a/fifo"));
    assert_int_equal(stat_of(f, "a/su").st_mode & 07777, 0755);
}

static bool is_opaque(const struct fixture *f, const char *path)
{
    CLEANUP(text) char *whole = fs_join(f->dir, path);
    char value[4];
    return lgetxattr(whole, "trusted.overlay.opaque", value, sizeof(value)) == 1 && value[0] == 'y';
}

static bool is_whiteout(const struct fixture *f, const char *path)
{
    struct stat info = stat_of(f, path);
    return S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0);
}

static void whiteouts_take_overlay_form(void **state)
{
    struct fixture *f = *state;
    const struct item items[] = {
        {LAYER_FILE, "etc/.wh.passwd"},
        {LAYER_FILE, "kept/new", .bytes = "n"},
        {LAYER_FILE, "kept/.wh..wh..opq"},
        {LAYER_FILE, "own", .bytes = "mine"},
        {LAYER_FILE, ".wh.own"},
        {LAYER_FILE, ".wh.dir"},
        {LAYER_DIR, "dir"},
        {LAYER_FILE, ".wh..wh.plnk"},
        {LAYER_DIR, "other"},
        {LAYER_FILE, ".wh.other"},
    };

    if (geteuid() != 0) {
        print_message("skipped: whiteouts need root\n");
        skip();
    }
    UNPACKS(f, "a", items, UNPACK_OVERLAY | UNPACK_OWNERS);
    assert_true(is_whiteout(f, "a/etc/passwd"));
    assert_true(is_opaque(f, "a/kept"));
    assert_true(is_there(f, "a/kept/new"));
    assert_true(S_ISREG(stat_of(f, "a/own").st_mode));
    assert_true(is_opaque(f, "a/dir"));
    assert_true(is_opaque(f, "a/other"));
    assert_false(is_there(f, "a/.wh..wh.plnk"));
    FAILS(unpack_items(f, "b", items, 1, 0, &err), ERR_DENIED);
    const struct item bare[] = {{LAYER_FILE, "x/.wh."}};
    FAILS(unpack_items(f, "c", bare, 1, UNPACK_OVERLAY, &err), ERR_INVALID);
    const struct item dots[] = {{LAYER_FILE, "x/.wh..."}};
    FAILS(unpack_items(f, "d", dots, 1, UNPACK_OVERLAY, &err), ERR_INVALID);
}

static void limits_stop_an_archive(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf) struct buf tar = BUF_INIT(1 << 20);
    const struct item items[] = {
        {LAYER_FILE, "a", .bytes = "12345"}, {LAYER_FILE, "b", .bytes = "12345"}, {LAYER_DIR, "c"}};
    struct unpack_limits bytes = {.bytes_max = 9}, entries = {.entries_max = 2}, enough = {10, 3};

    make_tar(&tar, items, ARRAY_LEN(items));
    FAILS(unpack_bytes(f, "a", buf_str(&tar), 0, &bytes, &err), ERR_LIMIT);
    FAILS(unpack_bytes(f, "b", buf_str(&tar), 0, &entries, &err), ERR_LIMIT);
    OK(unpack_bytes(f, "c", buf_str(&tar), 0, &enough, &err));
}

static void damaged_streams_are_told(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf) struct buf tar = BUF_INIT(1 << 20), packed = BUF_INIT(1 << 20);
    const struct item items[] = {{LAYER_FILE, "a", .bytes = "12345"}};

    make_tar(&tar, items, ARRAY_LEN(items));
    FAILS(unpack_bytes(f, "a", str_first(buf_str(&tar), 514), 0, NULL, &err), ERR_INVALID);
    FAILS(unpack_bytes(f, "b", STR("\x1f\x8b\x08nonsense that is no gzip"), 0, NULL, &err),
          ERR_INVALID);
    FAILS(unpack_bytes(f, "c", STR("this is not an archive at all, but a text that is long enough"),
                       0, NULL, &err),
          ERR_INVALID);
    OK(unpack_bytes(f, "d", STR(""), 0, NULL, &err));
    size_t room = ZSTD_compressBound(tar.len);
    char *to = buf_room(&packed, room);
    size_t len = ZSTD_compress(to, room, tar.ptr, tar.len, 3);
    assert_false(ZSTD_isError(len));
    buf_grew(&packed, len);
    OK(unpack_bytes(f, "e", buf_str(&packed), 0, NULL, &err));
    assert_true(is_there(f, "e/a"));
    FAILS(unpack_bytes(f, "g", str_first(buf_str(&packed), len - 6), 0, NULL, &err), ERR_INVALID);
}

/* --- layers and images --- */

static struct layer make_layer(struct layout *l, const char *path, const char *text,
                               const char *hide)
{
    struct layer_options options = {.uid = 7, .gid = 8};
    CLEANUP(layer_writer) struct layer_writer *w = NULL;
    struct layer layer = {0};

    OK(layer_writer_new(l, &options, &w, &err));
    OK(layer_add_file(w, path, 0640, str_of(text), &err));
    if (hide)
        OK(layer_add_whiteout(w, hide, &err));
    OK(layer_finish(w, &layer, &err));
    return layer;
}

static void layer_is_unpacked_once_and_verified(void **state)
{
    struct fixture *f = *state;
    struct layer layer = make_layer(f->layout, "etc/x", "one", NULL);
    CLEANUP(text) char *first = NULL, *second = NULL, *layers = fs_join(f->dir, "layers");
    CLEANUP(strv) struct strv names = STRV_INIT;
    struct digest wrong = digest_of(STR("wrong"));

    FAILS(unpack_layer(f->layout, &layer.descriptor, &wrong, f->dir, NULL, &first, &err),
          ERR_UNTRUSTED);
    OK(unpack_layer(f->layout, &layer.descriptor, &layer.diff_id, f->dir, NULL, &first, &err));
    OK(unpack_layer(f->layout, &layer.descriptor, NULL, f->dir, NULL, &second, &err));
    assert_string_equal(first, second);
    CLEANUP(text) char *file = fs_join(first, "etc/x");
    struct stat info;
    assert_int_equal(stat(file, &info), 0);
    if (geteuid() == 0)
        assert_true(info.st_uid == 7 && info.st_gid == 8);
    OK(fs_list(AT_FDCWD, layers, &names, &err));
    for (size_t i = 0; i < names.count; i++)
        assert_null(strstr(names.items[i], ".tmp"));
}

static void processes_that_unpack_at_once_agree(void **state)
{
    struct fixture *f = *state;
    struct layer layer = make_layer(f->layout, "etc/x", "one", NULL);
    pid_t pids[4];

    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct error err = ERROR_INIT;
            char *path = NULL;
            _exit(unpack_layer(f->layout, &layer.descriptor, &layer.diff_id, f->dir, NULL, &path,
                               &err) < 0);
        }
    }
    for (int i = 0; i < 4; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
}

static void image_is_written_read_and_mounted(void **state)
{
    struct fixture *f = *state;
    struct layer layers[] = {make_layer(f->layout, "etc/x", "low", NULL),
                             make_layer(f->layout, "app/run", "go", "etc/x")};
    CLEANUP(json)
    json_t *config = json_pack("{s:s, s:{s:s}}", "User", "app", "Labels", "dev.monban.x", "y");
    struct image_history history[] = {{"base", false}, {"env", true}, {"app", false}};
    struct image_options options = {.layers = layers,
                                    .layer_count = 2,
                                    .config = config,
                                    .history = history,
                                    .history_count = 3,
                                    .platform = "linux/amd64"};
    CLEANUP(image) struct image *image = NULL;
    CLEANUP(strv) struct strv dirs = STRV_INIT;
    struct descriptor d, again;

    OK(image_write(f->layout, &options, &d, &err));
    OK(image_write(f->layout, &options, &again, &err));
    assert_string_equal(d.digest.text, again.digest.text);
    OK(image_read(f->layout, &d.digest, NULL, &image, &err));
    assert_string_equal(image_label(image, "dev.monban.x"), "y");
    assert_string_equal(json_str_at(image->config, "history[1].created"), "1970-01-01T00:00:00Z");
    assert_string_equal(image->layers[1].diff_id.text, layers[1].diff_id.text);
    if (geteuid() != 0) {
        print_message("skipped: unpacking for overlayfs needs root\n");
        skip();
    }
    OK(unpack_image(f->layout, image, f->dir, NULL, &dirs, &err));
    assert_int_equal(dirs.count, 2);
    CLEANUP(text) char *merged = fs_join(f->dir, "merged");
    CLEANUP(text) char *data = str_format("lowerdir=%s:%s", dirs.items[0], dirs.items[1]);
    OK(fs_make_dirs(AT_FDCWD, merged, 0755, &err));
    if (mount("overlay", merged, "overlay", 0, data) < 0)
        skip();
    bool hidden = !is_there(f, "merged/etc/x"), shown = is_there(f, "merged/app/run");
    assert_int_equal(umount2(merged, MNT_DETACH), 0);
    assert_true(hidden && shown);
    options.history_count = 2;
    FAILS(image_write(f->layout, &options, &d, &err), ERR_INVALID);
}

static void platform_is_picked_from_an_index(void **state)
{
    struct fixture *f = *state;
    struct layer layer = make_layer(f->layout, "x", "x", NULL);
    struct image_options options = {.layers = &layer, .layer_count = 1, .platform = "linux/amd64"};
    CLEANUP(json) json_t *index = NULL;
    CLEANUP(buf) struct buf text = BUF_INIT(8192);
    CLEANUP(image) struct image *image = NULL;
    struct descriptor amd, arm, d;

    OK(image_write(f->layout, &options, &amd, &err));
    options.platform = "linux/arm64";
    OK(image_write(f->layout, &options, &arm, &err));
    index = json_pack("{s:i, s:s, s:[o, o, o]}", "schemaVersion", 2, "mediaType", OCI_INDEX,
                      "manifests", descriptor_to_json(&arm), descriptor_to_json(&arm),
                      descriptor_to_json(&amd));
    json_t *list = json_object_get(index, "manifests");
    json_object_set_new(json_array_get(list, 0), "annotations",
                        json_pack("{s:s}", "vnd.docker.reference.type", "attestation-manifest"));
    json_object_set_new(
        json_array_get(list, 1), "platform",
        json_pack("{s:s, s:s, s:s}", "os", "linux", "architecture", "arm64", "variant", "v8"));
    json_object_set_new(json_array_get(list, 2), "platform",
                        json_pack("{s:s, s:s}", "os", "linux", "architecture", "amd64"));
    OK(json_write(index, false, &text, &err));
    OK(layout_put_manifest(f->layout, NULL, buf_str(&text), &d, &err));
    OK(image_read(f->layout, &d.digest, "linux/amd64", &image, &err));
    assert_string_equal(image->descriptor.digest.text, amd.digest.text);
    const json_t *picked = image_index_pick(index, "linux/arm64");
    assert_string_equal(json_str_at(picked, "digest"), arm.digest.text);
    FAILS_SAYING(image_read(f->layout, &d.digest, "linux/s390x", &image, &err), ERR_NOT_FOUND,
                 "linux/amd64");
}

static void user_is_found_in_the_images_own_files(void **state)
{
    struct fixture *f = *state;
    CLEANUP(text) char *top = fs_join(f->dir, "top"), *base = fs_join(f->dir, "base/etc");
    CLEANUP(text) char *passwd = fs_join(base, "passwd"), *group = fs_join(base, "group");
    CLEANUP(text) char *base_dir = fs_join(f->dir, "base");
    CLEANUP(strv) struct strv dirs = STRV_INIT;
    struct image_user user;

    OK(fs_make_dirs(AT_FDCWD, top, 0755, &err));
    OK(fs_make_dirs(AT_FDCWD, base, 0755, &err));
    OK(fs_write_quick(
        AT_FDCWD, passwd,
        STR("root:x:0:0::/:/bin/sh\nnonsense\napp:x:1000:1001::/:/x\nbad:x:-1:0::/:/x\n"), 0644,
        &err));
    OK(fs_write_quick(AT_FDCWD, group, STR("root:x:0:\nextra:x:44:other,app\nstaff:x:50:\n"), 0644,
                      &err));
    strv_add(&dirs, top);
    strv_add(&dirs, base_dir);
    OK(image_user("app", &dirs, &user, &err));
    assert_true(user.uid == 1000 && user.gid == 1001 && user.group_count == 1 &&
                user.groups[0] == 44);
    OK(image_user("1000", &dirs, &user, &err));
    assert_true(user.uid == 1000 && user.gid == 1001);
    OK(image_user("4711:staff", &dirs, &user, &err));
    assert_true(user.uid == 4711 && user.gid == 50 && user.group_count == 0);
    OK(image_user("", NULL, &user, &err));
    assert_true(user.uid == 0 && user.gid == 0);
    FAILS(image_user("nobody-here", &dirs, &user, &err), ERR_NOT_FOUND);
    FAILS(image_user("app:none", &dirs, &user, &err), ERR_NOT_FOUND);
    FAILS(image_user("bad", &dirs, &user, &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(links_never_lead_out),
        TEST(absolute_names_land_inside_and_links_inside_are_followed),
        TEST(devices_and_setuid_bits_are_left_out),
        TEST(whiteouts_take_overlay_form),
        TEST(limits_stop_an_archive),
        TEST(damaged_streams_are_told),
        TEST(layer_is_unpacked_once_and_verified),
        TEST(processes_that_unpack_at_once_agree),
        TEST(image_is_written_read_and_mounted),
        TEST(platform_is_picked_from_an_index),
        TEST(user_is_found_in_the_images_own_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
