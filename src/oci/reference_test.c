/* oci/reference_test.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "oci/reference.h"

#define HEX "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

static void check(const char *text, const char *host, const char *repository, const char *tag,
                  const char *digest)
{
    struct error err = ERROR_INIT;
    struct reference ref;
    char again[REFERENCE_TEXT_MAX + 1];

    if (reference_parse(str_of(text), &ref, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(ref.host, host);
    assert_string_equal(ref.repository, repository);
    assert_string_equal(ref.tag, tag);
    assert_string_equal(ref.digest.text, digest);
    assert_string_equal(reference_format(&ref, again, sizeof(again)), text);
}

static void parts_are_found(void **state)
{
    check("busybox", "", "busybox", "", "");
    check("busybox:1.36", "", "busybox", "1.36", "");
    check("apps/guestbook:release-7", "", "apps/guestbook", "release-7", "");
    check("localhost/x", "localhost", "x", "", "");
    check("localhost:5000/x", "localhost:5000", "x", "", "");
    check("10.90.2.1:5000/apps/x:1", "10.90.2.1:5000", "apps/x", "1", "");
    check("[::1]:5000/x:1", "[::1]:5000", "x", "1", "");
    check("r.example/a__b/c-d--e:T_1.x@sha256:" HEX, "r.example", "a__b/c-d--e", "T_1.x",
          "sha256:" HEX);
}

static void wrong_parts_are_refused_and_named(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "empty"},
        {"Apps/x", "no repository name"},
        {"a//b", "no repository name"},
        {"a/b/", "no repository name"},
        {"a___b", "no repository name"},
        {"a_-b", "no repository name"},
        {"-a", "no repository name"},
        {"a.", "no repository name"},
        {"a:", "no tag"},
        {"a:.x", "no tag"},
        {"a:b c", "no tag"},
        {"a@sha256:12", "expected a digest"},
        {"a@md5:" HEX, "expected a digest"},
        {"host:99999/x", "no registry host"},
        {"ho_st.x/x", "no registry host"},
        {"../etc/passwd", "no registry host"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct reference ref;
        assert_int_equal(reference_parse(str_of(cases[i].text), &ref, &err), -1);
        assert_int_equal(err.kind, ERR_INVALID);
        if (!strstr(err.text, cases[i].says))
            fail_msg("'%s': %s", cases[i].text, err.text);
    }
}

static void text_beyond_the_limit_is_refused(void **state)
{
    struct error err = ERROR_INIT;
    struct reference ref;
    char text[REFERENCE_TEXT_MAX + 2];

    memset(text, 'a', sizeof(text));
    assert_int_equal(reference_parse(str_slice(text, sizeof(text)), &ref, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(wrong_parts_are_refused_and_named),
        cmocka_unit_test(text_beyond_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
