/* platform/platform_fuzz.c - a platform folder in one text: each file begins with a line "===
 * NAME"; NAME is platform.yaml, or one of the sub-folders, where it becomes a.yaml. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fs.h"
#include "platform/platform.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void write_part(const char *dir, struct str name, struct str text)
{
    static const char *const names[] = {"platform.yaml",   "stacks/a.yaml", "conventions/a.yaml",
                                        "services/a.yaml", "agents/a.yaml", "waivers/a.yaml"};
    struct error err = ERROR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!str_starts(str_of(names[i]), name) || name.len == 0)
            continue;
        CLEANUP(text) char *path = fs_join(dir, names[i]);
        if (path)
            (void)!fs_write_quick(AT_FDCWD, path, text, 0600, &err);
        return;
    }
}

static void write_folder(const char *dir, struct str text)
{
    static const char *const folders[] = {"stacks", "conventions", "services", "agents", "waivers"};
    struct error err = ERROR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        CLEANUP(text) char *path = fs_join(dir, folders[i]);
        if (path)
            (void)!fs_make_dirs(AT_FDCWD, path, 0700, &err);
    }
    while (text.len) {
        ptrdiff_t next = str_find_text(str_skip(text, 1), STR("=== "));
        struct str part = next < 0 ? text : str_first(text, (size_t)next + 1);
        text = next < 0 ? STR_NONE : str_skip(text, (size_t)next + 1);
        if (!str_starts(part, STR("=== ")))
            continue;
        part = str_skip(part, 4);
        struct str name = str_cut(&part, '\n');
        write_part(dir, name, part.ptr ? part : STR(""));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    CLEANUP(platform) struct platform *p = NULL;
    CLEANUP(text) char *dir = NULL;
    CLEANUP(json) json_t *whole = NULL, *merged = NULL;
    struct error err = ERROR_INIT;

    if (fs_make_temp_dir("/tmp/monban-fuzz-", &dir, &err) < 0)
        return 0;
    write_folder(dir, str_slice((const char *)bytes, size));
    if (platform_read(dir, &p, &err) == 0) {
        (void)!platform_describe(p, &whole, &err);
        (void)!platform_convention(p, "staging", "web", &merged, &err);
    }
    (void)!fs_remove_tree(AT_FDCWD, dir, &err);
    return 0;
}
