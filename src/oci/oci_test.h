/* oci/oci_test.h - what the unit tests of this folder share. Include after cmocka.h. */
#pragma once
#include "base/fs.h"
#include "oci/layout.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct error err = ERROR_INIT;                                                             \
        if ((call) < 0)                                                                            \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)
#define FAILS(call, expected_kind)                                                                 \
    do {                                                                                           \
        struct error err = ERROR_INIT;                                                             \
        assert_int_equal((call), -1);                                                              \
        if (err.kind != (expected_kind))                                                           \
            fail_msg("%s: kind %d: %s", #call, err.kind, err.text);                                \
    } while (0)
#define FAILS_SAYING(call, expected_kind, words)                                                   \
    do {                                                                                           \
        struct error err = ERROR_INIT;                                                             \
        assert_int_equal((call), -1);                                                              \
        if (err.kind != (expected_kind) || !strstr(err.text, words))                               \
            fail_msg("%s: kind %d: %s", #call, err.kind, err.text);                                \
    } while (0)

struct fixture { /* a fresh folder with an empty layout in DIR/store */
    char *dir;
    struct layout *layout;
};

static inline int fixture_setup(void **state)
{
    struct error err = ERROR_INIT;
    struct fixture *f = calloc(1, sizeof(*f));
    CLEANUP(text) char *store = NULL;

    if (!f || fs_make_temp_dir("/tmp/monban-oci-", &f->dir, &err) < 0)
        return -1;
    store = fs_join(f->dir, "store");
    if (!store || layout_open(store, LAYOUT_CREATE, &f->layout, &err) < 0)
        return -1;
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct error err = ERROR_INIT;
    struct fixture *f = *state;

    layout_free(f->layout);
    int result = fs_remove_tree(AT_FDCWD, f->dir, &err);
    free(f->dir);
    free(f);
    return result;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
