/* advisory/version.c - which order an ecosystem has, and what the orders share. See version.h. */
#include "advisory/version_internal.h"

int version_compare_text(struct str a, struct str b)
{
    return version_sign(str_compare(a, b));
}

int version_compare_text_any_case(struct str a, struct str b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        int order = version_sign((unsigned char)version_lower(a.ptr[i]) -
                                 (unsigned char)version_lower(b.ptr[i]));
        if (order)
            return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

int version_compare_numbers(struct str a, struct str b)
{
    while (a.len && a.ptr[0] == '0')
        a = str_skip(a, 1);
    while (b.len && b.ptr[0] == '0')
        b = str_skip(b, 1);
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return version_compare_text(a, b);
}

struct str version_take_digits(struct str *rest)
{
    struct str digits = *rest;
    size_t len = 0;

    while (len < rest->len && version_is_digit(rest->ptr[len]))
        len++;
    digits.len = len;
    *rest = str_skip(*rest, len);
    return digits;
}

bool version_is_number(struct str s)
{
    struct str rest = s;

    return s.len && version_take_digits(&rest).len == s.len;
}

static const struct scheme {
    bool (*is_valid)(struct str v);
    int (*compare)(struct str a, struct str b);
} schemes[] = {
    [VERSION_SEMVER] = {version_semver_valid, version_semver_compare},
    [VERSION_GO] = {version_go_valid, version_go_compare},
    [VERSION_DEBIAN] = {version_debian_valid, version_debian_compare},
    [VERSION_RPM] = {version_rpm_valid, version_rpm_compare},
    [VERSION_ALPINE] = {version_alpine_valid, version_alpine_compare},
    [VERSION_PYPI] = {version_pypi_valid, version_pypi_compare},
    [VERSION_MAVEN] = {version_maven_valid, version_maven_compare},
    [VERSION_RUBYGEMS] = {version_rubygems_valid, version_rubygems_compare},
    [VERSION_PACKAGIST] = {version_packagist_valid, version_packagist_compare},
    [VERSION_NUGET] = {version_nuget_valid, version_nuget_compare},
};

enum version_scheme version_scheme_of(struct str ecosystem)
{
    static const struct {
        const char *name;
        enum version_scheme scheme;
    } names[] = {
        {"npm", VERSION_SEMVER},
        {"crates.io", VERSION_SEMVER},
        {"Hex", VERSION_SEMVER},
        {"Pub", VERSION_SEMVER},
        {"SwiftURL", VERSION_SEMVER},
        {"Bitnami", VERSION_SEMVER},
        {"GitHub Actions", VERSION_SEMVER},
        {"Kubernetes", VERSION_SEMVER},
        {"ConanCenter", VERSION_SEMVER},
        {"Go", VERSION_GO},
        {"Debian", VERSION_DEBIAN},
        {"Ubuntu", VERSION_DEBIAN},
        {"Echo", VERSION_DEBIAN},
        {"Red Hat", VERSION_RPM},
        {"Rocky Linux", VERSION_RPM},
        {"AlmaLinux", VERSION_RPM},
        {"SUSE", VERSION_RPM},
        {"openSUSE", VERSION_RPM},
        {"Photon OS", VERSION_RPM},
        {"Mageia", VERSION_RPM},
        {"openEuler", VERSION_RPM},
        {"Azure Linux", VERSION_RPM},
        {"Alpine", VERSION_ALPINE},
        {"Wolfi", VERSION_ALPINE},
        {"Chainguard", VERSION_ALPINE},
        {"MinimOS", VERSION_ALPINE},
        {"PyPI", VERSION_PYPI},
        {"Maven", VERSION_MAVEN},
        {"RubyGems", VERSION_RUBYGEMS},
        {"Packagist", VERSION_PACKAGIST},
        {"NuGet", VERSION_NUGET},
    };
    struct str name = str_cut(&ecosystem, ':');

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_is(name, names[i].name))
            return names[i].scheme;
    }
    return VERSION_NONE;
}

bool version_is_valid(enum version_scheme scheme, struct str version)
{
    if (version.len == 0 || version.len > VERSION_BYTES_MAX ||
        memchr(version.ptr, '\0', version.len))
        return false;
    return scheme == VERSION_NONE || schemes[scheme].is_valid(version);
}

int version_compare(enum version_scheme scheme, struct str a, struct str b)
{
    bool a_ok, b_ok;

    if (scheme == VERSION_NONE)
        return version_compare_text(a, b);
    a_ok = version_is_valid(scheme, a);
    b_ok = version_is_valid(scheme, b);
    if (a_ok && b_ok)
        return schemes[scheme].compare(a, b);
    if (a_ok != b_ok)
        return a_ok ? 1 : -1;
    return version_compare_text(a, b);
}
