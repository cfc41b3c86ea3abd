/* tests/images/make_image.c - puts an image of one static program into an OCI layout.
 *
 * usage: make_image LAYOUT REPOSITORY TAG PROGRAM [ENV=VALUE…] */
#include <fcntl.h>
#include <stdio.h>

#include "base/fs.h"
#include "oci/image.h"

enum { PROGRAM_MAX = 64 << 20 };

static int make(int argc, char **argv, struct error *err)
{
    CLEANUP(layout) struct layout *layout = NULL;
    CLEANUP(layer_writer) struct layer_writer *writer = NULL;
    CLEANUP(buf) struct buf program = BUF_INIT(PROGRAM_MAX);
    CLEANUP(json) json_t *env = json_array();
    struct layer layer;
    struct descriptor image;

    if (layout_open(argv[1], LAYOUT_CREATE, &layout, err) < 0 ||
        layer_writer_new(layout, &(struct layer_options){.level = 1}, &writer, err) < 0 ||
        fs_read_at(AT_FDCWD, argv[4], &program, err) < 0 ||
        layer_add_file(writer, "app/server", 0755, buf_str(&program), err) < 0 ||
        layer_add_file(writer, "etc/passwd", 0644,
                       STR("root:x:0:0::/:/sbin/nologin\napp:x:1000:1000::/:/sbin/nologin\n"),
                       err) < 0 ||
        layer_add_dir(writer, "tmp", 01777, err) < 0 || layer_finish(writer, &layer, err) < 0)
        return -1;
    for (int i = 5; i < argc; i++)
        if (json_array_append_new(env, json_string(argv[i])) < 0)
            return error_no_memory(err);
    CLEANUP(json)
    json_t *config =
        json_pack("{s:O,s:[s],s:s}", "Env", env, "Entrypoint", "/app/server", "User", "app");
    if (image_write(layout,
                    &(struct image_options){.layers = &layer, .layer_count = 1, .config = config},
                    &image, err) < 0 ||
        layout_tag(layout, argv[2], argv[3], &image, err) < 0)
        return -1;
    printf("%s\n", image.digest.text);
    return 0;
}

int main(int argc, char **argv)
{
    struct error err = ERROR_INIT;

    if (argc < 5) {
        fprintf(stderr, "usage: make_image LAYOUT REPOSITORY TAG PROGRAM [ENV=VALUE…]\n");
        return 2;
    }
    if (make(argc, argv, &err) < 0) {
        fprintf(stderr, "make_image: %s\n", err.text);
        return 1;
    }
    return 0;
}
