/* advisory/version_rpm.c - RPM. Source: rpm, rpmio/rpmvercmp.c and doc/manual "Dependencies";
 * [epoch:]version-release. */
#include "advisory/version_internal.h"

static bool is_separator(char c)
{
    return !version_is_digit(c) && !version_is_letter(c) && c != '~' && c != '^';
}

static struct str skip_separators(struct str s)
{
    while (s.len && is_separator(s.ptr[0]))
        s = str_skip(s, 1);
    return s;
}

static struct str take_letters(struct str *rest)
{
    struct str run = *rest;
    size_t len = 0;

    while (len < rest->len && version_is_letter(rest->ptr[len]))
        len++;
    run.len = len;
    *rest = str_skip(*rest, len);
    return run;
}

/* '~' sorts before everything, even the end; '^' after the end, before anything that goes on. True
 * if decided. */
static bool compare_marks(struct str *a, struct str *b, int *ret)
{
    bool a_tilde = a->len && a->ptr[0] == '~';
    bool b_tilde = b->len && b->ptr[0] == '~';
    bool a_caret = a->len && a->ptr[0] == '^';
    bool b_caret = b->len && b->ptr[0] == '^';

    if (a_tilde != b_tilde)
        return *ret = a_tilde ? -1 : 1, true;
    if (!a_tilde && a_caret != b_caret) {
        if (a_caret)
            *ret = b->len ? -1 : 1;
        else
            *ret = a->len ? 1 : -1;
        return true;
    }
    return false;
}

static int compare_part(struct str a, struct str b)
{
    int order;

    while (a.len || b.len) {
        struct str x, y;
        a = skip_separators(a);
        b = skip_separators(b);
        if (compare_marks(&a, &b, &order))
            return order;
        if (a.len && (a.ptr[0] == '~' || a.ptr[0] == '^')) {
            a = str_skip(a, 1);
            b = str_skip(b, 1);
            continue;
        }
        if (a.len == 0 || b.len == 0)
            break;
        if (version_is_digit(a.ptr[0])) {
            x = version_take_digits(&a);
            y = version_take_digits(&b);
            if (y.len == 0)
                return 1; /* a number is newer than letters */
            order = version_compare_numbers(x, y);
        } else {
            x = take_letters(&a);
            y = take_letters(&b);
            if (y.len == 0)
                return -1;
            order = version_compare_text(x, y);
        }
        if (order)
            return order;
    }
    return (a.len > 0) - (b.len > 0);
}

static void split(struct str v, struct str *epoch, struct str *version, struct str *release)
{
    ptrdiff_t at = str_find(v, ':');

    *epoch = at >= 0 ? str_first(v, (size_t)at) : STR("");
    v = at >= 0 ? str_skip(v, (size_t)at + 1) : v;
    at = str_find_last(v, '-');
    *release = at >= 0 ? str_skip(v, (size_t)at + 1) : STR("");
    *version = at >= 0 ? str_first(v, (size_t)at) : v;
}

bool version_rpm_valid(struct str v)
{
    struct str epoch, version, release;

    split(v, &epoch, &version, &release);
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] <= ' ' || v.ptr[i] > '~')
            return false;
    }
    return (epoch.len == 0 || version_is_number(epoch)) && version.len;
}

int version_rpm_compare(struct str a, struct str b)
{
    struct str a_epoch, a_version, a_release, b_epoch, b_version, b_release;
    int order;

    split(a, &a_epoch, &a_version, &a_release);
    split(b, &b_epoch, &b_version, &b_release);
    order = version_compare_numbers(a_epoch, b_epoch);
    if (order == 0)
        order = compare_part(a_version, b_version);
    return order ? order : compare_part(a_release, b_release);
}
