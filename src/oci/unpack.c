/* oci/unpack.c - layers as folders in a store, made once and shared; see unpack.h.
 *
 * STORE/layers/HEX is complete or absent: it is filled as ".tmp-…" and renamed. A temporary folder
 * is locked (flock) by the process that fills it, so those of dead processes can be told and swept.
 */
#include "oci/unpack_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/random.h"

#define TEMP_PREFIX ".tmp-"

enum { TEMP_NAME_SIZE = 32 };

/* With STORE/layers/.lock held: nobody is between making a folder and locking it. */
static void sweep(int layers_fd)
{
    CLEANUP(strv) struct strv names = STRV_INIT;
    struct error ignored = ERROR_INIT; /* what cannot be swept now is swept next time */

    if (fs_list(layers_fd, ".", &names, &ignored) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(fd) int fd = -1;
        if (strncmp(names.items[i], TEMP_PREFIX, strlen(TEMP_PREFIX)) != 0 ||
            fs_open_dir(layers_fd, names.items[i], &fd, &ignored) < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 &&
            fs_remove_tree(layers_fd, names.items[i], &ignored) < 0)
            error_clear(&ignored);
    }
}

static int make_temp(int layers_fd, char name[TEMP_NAME_SIZE], int *ret_fd, struct error *err)
{
    CLEANUP(fd) int lock = -1;
    CLEANUP(fd) int fd = -1;
    char letters[17];

    if (fs_lock(layers_fd, ".lock", true, &lock, err) < 0)
        return -1;
    sweep(layers_fd);
    random_name(letters, 16);
    snprintf(name, TEMP_NAME_SIZE, TEMP_PREFIX "%s", letters);
    if (mkdirat(layers_fd, name, 0755) < 0)
        return error_errno(err, "cannot make a folder for a layer");
    if (fs_open_dir(layers_fd, name, &fd, err) < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return error_errno(err, "cannot lock a layer's folder");
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int fill(int blob_fd, int dir_fd, int flags, const struct unpack_limits *limits,
                struct digest *ret_blob, struct digest *ret_diff_id, struct error *err)
{
    CLEANUP(unpack_reader) struct unpack_reader reader = {0};
    CLEANUP(unpack_source) struct unpack_source *source = NULL;

    if (unpack_source_new(blob_fd, &source, err) < 0 ||
        unpack_reader_open(&reader, source, err) < 0 ||
        unpack_write_all(&reader, dir_fd, flags, limits, err) < 0)
        return -1;
    return unpack_source_finish(source, ret_blob, ret_diff_id, err);
}

int unpack_tar(int fd, int dir_fd, int flags, const struct unpack_limits *limits, struct error *err)
{
    struct digest blob, diff_id;
    return fill(fd, dir_fd, flags, limits, &blob, &diff_id, err);
}

static int check(const struct descriptor *blob, const struct digest *diff_id,
                 const struct digest *got_blob, const struct digest *got_diff_id, struct error *err)
{
    if (!digest_equal(got_blob, &blob->digest))
        return error_set(err, ERR_UNTRUSTED, "layer %s is damaged: its bytes are %s",
                         blob->digest.text, got_blob->text);
    if (diff_id && diff_id->text[0] && !digest_equal(got_diff_id, diff_id))
        return error_set(err, ERR_UNTRUSTED, "layer %s unpacks to %s, its image says %s",
                         blob->digest.text, got_diff_id->text, diff_id->text);
    return 0;
}

/* The folder gets its name, unless another process was faster with the same layer. */
static int publish(int layers_fd, const char *temp, const struct digest *diff_id, struct error *err)
{
    const char *name = digest_hex(diff_id);

    if (renameat(layers_fd, temp, layers_fd, name) == 0)
        return 0;
    if ((errno != EEXIST && errno != ENOTEMPTY) || !fs_exists(layers_fd, name))
        return error_errno(err, "cannot name the layer's folder");
    return fs_remove_tree(layers_fd, temp, err);
}

static int unpack_new(const struct layout *layout, const struct descriptor *blob,
                      const struct digest *diff_id, int layers_fd,
                      const struct unpack_limits *limits, struct digest *ret_diff_id,
                      struct error *err)
{
    CLEANUP(fd) int blob_fd = -1;
    CLEANUP(fd) int dir_fd = -1;
    struct digest got_blob;
    struct error ignored = ERROR_INIT; /* the first error is the one to tell */
    char temp[TEMP_NAME_SIZE];

    if (layout_open_blob(layout, &blob->digest, &blob_fd, NULL, err) < 0 ||
        make_temp(layers_fd, temp, &dir_fd, err) < 0)
        return -1;
    if (fill(blob_fd, dir_fd, UNPACK_OVERLAY | UNPACK_OWNERS, limits, &got_blob, ret_diff_id,
             err) == 0 &&
        check(blob, diff_id, &got_blob, ret_diff_id, err) == 0 &&
        publish(layers_fd, temp, ret_diff_id, err) == 0)
        return 0;
    if (fs_remove_tree(layers_fd, temp, &ignored) < 0)
        error_clear(&ignored); /* swept later */
    return -1;
}

int unpack_layer(const struct layout *layout, const struct descriptor *blob,
                 const struct digest *diff_id, const char *store,
                 const struct unpack_limits *limits, char **ret_path, struct error *err)
{
    CLEANUP(text) char *layers = fs_join(store, "layers");
    CLEANUP(fd) int layers_fd = -1;
    struct digest found = {0};

    if (!layers)
        return error_no_memory(err);
    if (fs_make_dirs(AT_FDCWD, layers, 0755, err) < 0 ||
        fs_open_dir(AT_FDCWD, layers, &layers_fd, err) < 0)
        return -1;
    if (diff_id && diff_id->text[0] && fs_exists(layers_fd, digest_hex(diff_id)))
        found = *diff_id;
    else if (unpack_new(layout, blob, diff_id, layers_fd, limits, &found, err) < 0)
        return error_wrap(err, "unpacking layer %.19s…", blob->digest.text);
    *ret_path = fs_join(layers, digest_hex(&found));
    return *ret_path ? 0 : error_no_memory(err);
}

int unpack_image(const struct layout *layout, const struct image *image, const char *store,
                 const struct unpack_limits *limits, struct strv *ret_lowerdirs, struct error *err)
{
    for (size_t i = image->layer_count; i-- > 0;) {
        const struct layer *layer = &image->layers[i];
        CLEANUP(text) char *path = NULL;
        if (unpack_layer(layout, &layer->descriptor, &layer->diff_id, store, limits, &path, err) <
            0)
            return -1;
        strv_add(ret_lowerdirs, path);
    }
    return strv_ok(ret_lowerdirs, err);
}
