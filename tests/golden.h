/* tests/golden.h - golden tests: a folder of cases, each a folder with in.* and want.*, compared
 * byte for byte. UPDATE_GOLDEN=1 rewrites the want files; the diff is reviewed like code. Include
 * after cmocka.h. */
#pragma once
#include <fcntl.h>

#include "base/fs.h"

/* "<source>/src/workload/testdata", free() it. Meson sets TEST_SOURCE_DIR. */
static inline char *golden_folder(const char *path)
{
    const char *source = getenv("TEST_SOURCE_DIR");

    return str_format("%s/%s", source ? source : ".", path);
}

static inline void golden_read(const char *folder, const char *case_name, const char *file,
                               struct buf *out)
{
    CLEANUP(text) char *path = str_format("%s/%s/%s", folder, case_name, file);
    struct error err = ERROR_INIT;

    if (fs_read_at(AT_FDCWD, path, out, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void golden_compare(const char *folder, const char *case_name, const char *file,
                                  struct str got)
{
    CLEANUP(text) char *path = str_format("%s/%s/%s", folder, case_name, file);
    CLEANUP(buf) struct buf want = BUF_INIT(64 << 20);
    struct error err = ERROR_INIT;

    if (getenv("UPDATE_GOLDEN")) {
        if (fs_write_quick(AT_FDCWD, path, got, 0644, &err) < 0)
            fail_msg("%s", err.text);
        return;
    }
    if (fs_read_at(AT_FDCWD, path, &want, &err) < 0)
        fail_msg("%s", err.text);
    if (!str_equal(buf_str(&want), got))
        fail_msg("%s/%s\n--- want\n%s\n--- got\n%.*s", case_name, file, buf_text(&want),
                 STR_ARG(got));
}
