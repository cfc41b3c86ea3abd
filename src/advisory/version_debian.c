/* advisory/version_debian.c - Debian and Ubuntu. Source: Debian policy 5.6.12; dpkg
 * lib/dpkg/version.c. */
#include "advisory/version_internal.h"

struct parts {
    struct str epoch, upstream, revision;
};

static struct parts split(struct str v)
{
    struct parts p = {.epoch = STR(""), .revision = STR("")};
    ptrdiff_t at;

    v = str_trim(v);
    at = str_find(v, ':');
    if (at >= 0) {
        p.epoch = str_first(v, (size_t)at);
        v = str_skip(v, (size_t)at + 1);
    }
    at = str_find_last(v, '-');
    if (at >= 0) {
        p.revision = str_skip(v, (size_t)at + 1);
        v = str_first(v, (size_t)at);
    }
    p.upstream = v;
    return p;
}

/* '~' before the end, the end before letters, letters before all else. */
static int weight(struct str s)
{
    if (s.len == 0 || version_is_digit(s.ptr[0]))
        return 0;
    if (s.ptr[0] == '~')
        return -1;
    return version_is_letter(s.ptr[0]) ? (unsigned char)s.ptr[0] : (unsigned char)s.ptr[0] + 256;
}

static int compare_part(struct str a, struct str b)
{
    while (a.len || b.len) {
        int order;
        while ((a.len && !version_is_digit(a.ptr[0])) || (b.len && !version_is_digit(b.ptr[0]))) {
            order = weight(a) - weight(b);
            if (order)
                return version_sign(order);
            a = str_skip(a, a.len ? 1 : 0);
            b = str_skip(b, b.len ? 1 : 0);
        }
        order = version_compare_numbers(version_take_digits(&a), version_take_digits(&b));
        if (order)
            return order;
    }
    return 0;
}

bool version_debian_valid(struct str v)
{
    struct parts p = split(v);

    if ((p.epoch.len && !version_is_number(p.epoch)) || p.upstream.len == 0 ||
        (p.epoch.len == 0 && str_find(v, ':') >= 0))
        return false;
    for (size_t i = 0; i < p.upstream.len; i++) {
        char c = p.upstream.ptr[i];
        if (!version_is_digit(c) && !version_is_letter(c) && !strchr(".+-~:", c))
            return false;
    }
    for (size_t i = 0; i < p.revision.len; i++) {
        char c = p.revision.ptr[i];
        if (!version_is_digit(c) && !version_is_letter(c) && !strchr(".+~", c))
            return false;
    }
    return true;
}

int version_debian_compare(struct str a, struct str b)
{
    struct parts x = split(a);
    struct parts y = split(b);
    int order = version_compare_numbers(x.epoch, y.epoch);

    if (order == 0)
        order = compare_part(x.upstream, y.upstream);
    return order ? order : compare_part(x.revision, y.revision);
}
