/* advisory/version_semver.c - SemVer (npm, crates.io, …), Go and NuGet: numbers, then a prerelease.
 *
 * Sources: SemVer 2.0.0 §11; Go modules reference, "Versions" and "Pseudo-versions"; go/version for
 * "go1.21rc2"; NuGet, "Package versioning". Lenient as advisories are: "v1", "=1.2", missing parts
 * are 0. */
#include "advisory/version_internal.h"

struct parts {
    struct str core; /* "1.2.3" */
    struct str pre;  /* "rc.1"; ptr NULL: none */
    struct str tail; /* Go toolchain: the "2" of "rc2", a further identifier */
};

static struct str strip(struct str v)
{
    v = str_trim(v);
    while (v.len && (v.ptr[0] == '=' || v.ptr[0] == ' '))
        v = str_skip(v, 1);
    if (v.len && (v.ptr[0] == 'v' || v.ptr[0] == 'V'))
        v = str_skip(v, 1);
    return v;
}

static bool is_core(struct str core, size_t parts_max)
{
    size_t parts = 0;

    while (core.ptr) {
        if (!version_is_number(str_cut(&core, '.')) || ++parts > parts_max)
            return false;
    }
    return parts > 0;
}

static bool is_identifiers(struct str pre)
{
    while (pre.ptr) {
        struct str id = str_cut(&pre, '.');
        if (id.len == 0)
            return false;
        for (size_t i = 0; i < id.len; i++) {
            if (!version_is_digit(id.ptr[i]) && !version_is_letter(id.ptr[i]) && id.ptr[i] != '-')
                return false;
        }
    }
    return true;
}

static bool split(struct str v, size_t parts_max, struct parts *ret)
{
    struct str rest = strip(v);
    struct str build = rest;

    rest = str_cut(&build, '+'); /* build metadata has no part in the order */
    ret->core = str_cut(&rest, '-');
    ret->pre = rest;
    ret->tail = STR_NONE;
    return is_core(ret->core, parts_max) && (!ret->pre.ptr || is_identifiers(ret->pre));
}

static int compare_core(struct str a, struct str b)
{
    while (a.ptr || b.ptr) {
        struct str x = a.ptr ? str_cut(&a, '.') : STR_NONE;
        struct str y = b.ptr ? str_cut(&b, '.') : STR_NONE;
        int order = version_compare_numbers(x, y);
        if (order)
            return order;
    }
    return 0;
}

static int compare_identifier(struct str a, struct str b, bool any_case)
{
    bool a_number = version_is_number(a);
    bool b_number = version_is_number(b);

    if (a_number && b_number)
        return version_compare_numbers(a, b);
    if (a_number != b_number)
        return a_number ? -1 : 1;
    return any_case ? version_compare_text_any_case(a, b) : version_compare_text(a, b);
}

/* The next identifier of the prerelease, then the tail. */
static struct str next_identifier(struct parts *p)
{
    struct str id;

    if (p->pre.ptr)
        return str_cut(&p->pre, '.');
    id = p->tail;
    p->tail = STR_NONE;
    return id;
}

static int compare_parts(struct parts a, struct parts b, bool any_case)
{
    int order = compare_core(a.core, b.core);

    if (order)
        return order;
    if (!a.pre.ptr || !b.pre.ptr)
        return (a.pre.ptr == NULL) - (b.pre.ptr == NULL); /* a prerelease is lower than none */
    while (a.pre.ptr || a.tail.ptr || b.pre.ptr || b.tail.ptr) {
        struct str x = next_identifier(&a);
        struct str y = next_identifier(&b);
        if (!x.ptr || !y.ptr)
            return x.ptr ? 1 : -1;
        order = compare_identifier(x, y, any_case);
        if (order)
            return order;
    }
    return 0;
}

bool version_semver_valid(struct str v)
{
    struct parts p;

    return split(v, 16, &p);
}

int version_semver_compare(struct str a, struct str b)
{
    struct parts x, y;

    (void)split(a, 16, &x); /* version_compare() has checked both */
    (void)split(b, 16, &y);
    return compare_parts(x, y, false);
}

/* "go1.21rc2" is 1.21.0-rc.2; all others are SemVer. */
static bool split_go(struct str v, struct parts *ret)
{
    struct str rest;
    size_t len = 0;

    if (split(v, 3, ret))
        return true;
    if (str_starts(v, STR("go")))
        v = str_skip(v, 2);
    rest = str_word(&v); /* "go1.21.0 X:…" */
    while (len < rest.len && (version_is_digit(rest.ptr[len]) || rest.ptr[len] == '.'))
        len++;
    *ret = (struct parts){.core = str_first(rest, len)};
    rest = str_skip(rest, len);
    if (rest.len && rest.ptr[0] == '-') /* "go1.21.0-suffix" of distributions */
        rest = STR("");
    if (rest.len) {
        len = 0;
        while (len < rest.len && version_is_letter(rest.ptr[len]))
            len++;
        ret->pre = str_first(rest, len);
        ret->tail = str_skip(rest, len);
        if (len == 0 || !version_is_number(ret->tail))
            return false;
    }
    return is_core(ret->core, 3);
}

bool version_go_valid(struct str v)
{
    struct parts p;

    return split_go(v, &p);
}

int version_go_compare(struct str a, struct str b)
{
    struct parts x, y;

    (void)split_go(a, &x);
    (void)split_go(b, &y);
    return compare_parts(x, y, false);
}

bool version_nuget_valid(struct str v)
{
    struct parts p;

    return split(v, 4, &p);
}

int version_nuget_compare(struct str a, struct str b)
{
    struct parts x, y;

    (void)split(a, 4, &x);
    (void)split(b, 4, &y);
    return compare_parts(x, y, true);
}
