/* advisory/version_internal.h - shared by the orders of versions: numbers without a limit, one
 * function a scheme. */
#pragma once
#include "advisory/version.h"

/* Runs of digits of any length; an empty one counts as 0. */
int version_compare_numbers(struct str a, struct str b);
/* The longest prefix of digits, cut off *rest. */
struct str version_take_digits(struct str *rest);
bool version_is_number(struct str s); /* not empty, digits only */
static inline bool version_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool version_is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline char version_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}
static inline int version_sign(int64_t n)
{
    return (n > 0) - (n < 0);
}
int version_compare_text(struct str a, struct str b);          /* bytes: -1, 0, 1 */
int version_compare_text_any_case(struct str a, struct str b); /* ASCII letters alike */

bool version_semver_valid(struct str v);
int version_semver_compare(struct str a, struct str b);
bool version_go_valid(struct str v);
int version_go_compare(struct str a, struct str b);
bool version_nuget_valid(struct str v);
int version_nuget_compare(struct str a, struct str b);
bool version_debian_valid(struct str v);
int version_debian_compare(struct str a, struct str b);
bool version_rpm_valid(struct str v);
int version_rpm_compare(struct str a, struct str b);
bool version_alpine_valid(struct str v);
int version_alpine_compare(struct str a, struct str b);
bool version_pypi_valid(struct str v);
int version_pypi_compare(struct str a, struct str b);
bool version_maven_valid(struct str v);
int version_maven_compare(struct str a, struct str b);
bool version_rubygems_valid(struct str v);
int version_rubygems_compare(struct str a, struct str b);
bool version_packagist_valid(struct str v);
int version_packagist_compare(struct str a, struct str b);
