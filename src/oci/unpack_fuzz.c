/* Any bytes as an archive: unpacked beneath a folder, and nothing beside it is ever touched. */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fs.h"
#include "oci/unpack.h"

enum { BYTES_MAX = 1 << 20, ENTRIES_MAX = 200 };

static char root[] =
    "/tmp/monban-fuzz-unpack-XXXXXX"; /* made once a process; DIR/in is unpacked into */

static void remove_root(void)
{
    struct error err = ERROR_INIT;
    if (fs_remove_tree(AT_FDCWD, root, &err) < 0)
        fprintf(stderr, "%s\n", err.text);
}

static int open_root(void)
{
    static int fd = -1;
    struct error err = ERROR_INIT;

    if (fd < 0) {
        if (!mkdtemp(root) || fs_open_dir(AT_FDCWD, root, &fd, &err) < 0)
            abort();
        (void)atexit(remove_root);
    }
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct unpack_limits limits = {.bytes_max = BYTES_MAX, .entries_max = ENTRIES_MAX};
    CLEANUP(strv) struct strv names = STRV_INIT;
    CLEANUP(fd) int in = -1, dir = -1;
    struct error err = ERROR_INIT;
    int root_fd = open_root();

    in = memfd_create("archive", MFD_CLOEXEC);
    if (in < 0 || io_write(in, data, size, &err) < 0 || lseek(in, 0, SEEK_SET) < 0 ||
        fs_make_dirs(root_fd, "in", 0755, &err) < 0 || fs_open_dir(root_fd, "in", &dir, &err) < 0)
        abort();
    if (unpack_tar(in, dir, UNPACK_OVERLAY | UNPACK_NO_SETUID, &limits, &err) < 0)
        assert(err.kind != ERR_NONE && err.kind != ERR_INTERNAL);
    error_clear(&err);
    if (fs_list(root_fd, ".", &names, &err) < 0 || fs_remove_tree(root_fd, "in", &err) < 0)
        abort();
    assert(names.count == 1); /* only "in" */
    return 0;
}
