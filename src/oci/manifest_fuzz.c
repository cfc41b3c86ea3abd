/* Any bytes as a manifest: refused, or stored so that the same bytes come back, with referrers that
 * parse. */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/fs.h"
#include "oci/image.h"

static char root[] = "/tmp/monban-fuzz-manifest-XXXXXX"; /* made once a process */
static struct layout *layout;

static void remove_root(void)
{
    struct error err = ERROR_INIT;

    layout_free(layout);
    if (fs_remove_tree(AT_FDCWD, root, &err) < 0)
        fprintf(stderr, "%s\n", err.text);
}

static void read_back(const struct descriptor *d, struct str in)
{
    CLEANUP(buf) struct buf bytes = BUF_INIT(LAYOUT_MANIFEST_MAX);
    CLEANUP(json) json_t *root_node = NULL, *referrers = NULL;
    CLEANUP(image) struct image *image = NULL;
    struct error err = ERROR_INIT;
    struct descriptor subject;

    if (layout_read_manifest(layout, &d->digest, &root_node, &bytes, NULL, &err) < 0)
        abort();
    assert(str_equal(buf_str(&bytes), in));
    if (image_read(layout, &d->digest, NULL, &image, &err) < 0)
        error_clear(&err);
    if (descriptor_from_json(json_object_get(root_node, "subject"), &subject, &err) == 0) {
        if (layout_referrers(layout, &subject.digest, NULL, &referrers, &err) < 0)
            abort();
        assert(json_array_size(referrers) > 0);
    }
    error_clear(&err);
    if (layout_remove_manifest(layout, &d->digest, &err) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    struct str in = str_slice((const char *)data, size);
    struct descriptor d;

    if (!layout) {
        if (!mkdtemp(root) || layout_open(root, LAYOUT_CREATE, &layout, &err) < 0)
            abort();
        (void)atexit(remove_root);
    }
    if (layout_put_manifest(layout, NULL, in, &d, &err) == 0)
        read_back(&d, in);
    else
        assert(err.kind == ERR_INVALID || err.kind == ERR_LIMIT);
    return 0;
}
