/* advisory/severity.c - the words for how bad something is. */
#include <strings.h>

#include "advisory/cvss.h"

static const char *const names[SEVERITY_COUNT] = {"unknown", "negligible", "low",
                                                  "medium",  "high",       "critical"};

const char *severity_name(enum severity severity)
{
    return (unsigned)severity < SEVERITY_COUNT ? names[severity] : names[0];
}

enum severity severity_of_word(struct str word)
{
    static const struct {
        const char *word;
        enum severity severity;
    } words[] = {
        {"critical", SEVERITY_CRITICAL},
        {"high", SEVERITY_HIGH},
        {"important", SEVERITY_HIGH}, /* Red Hat */
        {"medium", SEVERITY_MEDIUM},
        {"moderate", SEVERITY_MEDIUM},
        {"low", SEVERITY_LOW},
        {"negligible", SEVERITY_NEGLIGIBLE},
        {"unimportant", SEVERITY_NEGLIGIBLE}, /* Debian */
        {"none", SEVERITY_NEGLIGIBLE},
    };

    word =
        str_trim_end(str_trim(word), '*'); /* Debian marks words it assigned by itself: "low**" */
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (word.len == strlen(words[i].word) &&
            strncasecmp(word.ptr, words[i].word, word.len) == 0)
            return words[i].severity;
    }
    return SEVERITY_UNKNOWN;
}

enum severity severity_of_score(int tenths)
{
    if (tenths < 0)
        return SEVERITY_UNKNOWN;
    if (tenths == 0)
        return SEVERITY_NEGLIGIBLE;
    if (tenths < 40)
        return SEVERITY_LOW;
    if (tenths < 70)
        return SEVERITY_MEDIUM;
    return tenths < 90 ? SEVERITY_HIGH : SEVERITY_CRITICAL;
}
