/* cluster/node/quantity.c - Kubernetes resource quantities. Source: apimachinery,
 * pkg/api/resource/quantity.go. */
#include "cluster/node/node_internal.h"

struct suffix {
    const char *text;
    int64_t factor_milli; /* thousandths in one; 0: smaller than a thousandth */
};

static const struct suffix suffixes[] = {
    {"", 1000},
    {"m", 1},
    {"k", 1000LL * 1000},
    {"M", 1000LL * 1000 * 1000},
    {"G", 1000LL * 1000 * 1000 * 1000},
    {"T", 1000LL * 1000 * 1000 * 1000 * 1000},
    {"Ki", 1024LL * 1000},
    {"Mi", 1048576LL * 1000},
    {"Gi", 1073741824LL * 1000},
    {"Ti", 1099511627776LL * 1000},
};

bool quantity_parse_milli(const char *text, int64_t *ret_milli)
{
    int64_t value = 0, scale = 1; /* the number is value / scale */
    size_t i = 0, digits = 0;
    bool after_point = false;

    if (!text)
        return false;
    for (; (text[i] >= '0' && text[i] <= '9') || (text[i] == '.' && !after_point); i++) {
        if (text[i] == '.') {
            after_point = true;
            continue;
        }
        if (after_point && scale >= 1000000)
            continue; /* beyond what matters */
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, text[i] - '0', &value))
            return false;
        scale *= after_point ? 10 : 1;
        digits++;
    }
    if (digits == 0)
        return false;
    for (size_t s = 0; s < ARRAY_LEN(suffixes); s++) {
        int64_t product;
        if (strcmp(text + i, suffixes[s].text) != 0)
            continue;
        if (__builtin_mul_overflow(value, suffixes[s].factor_milli, &product))
            return false;
        *ret_milli = (product + scale - 1) / scale;
        return true;
    }
    return false;
}
