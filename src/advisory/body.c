/* advisory/body.c - the bytes of what is known of one package in one record; see db_internal.h. */
#include "advisory/db_internal.h"

enum { TEXTS_PER_BODY_MAX = 10000000 };

uint8_t reader_byte(struct reader *r)
{
    if (r->at >= r->end) {
        r->failed = true;
        return 0;
    }
    return *r->at++;
}

uint64_t reader_number(struct reader *r) /* LEB128 */
{
    uint64_t n = 0;

    for (int shift = 0; shift < 64; shift += 7) {
        uint8_t byte = reader_byte(r);
        n |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return n;
    }
    r->failed = true;
    return 0;
}

bool reader_part(struct reader *r, size_t bytes, struct reader *ret)
{
    if (r->failed || bytes > (size_t)(r->end - r->at)) {
        r->failed = true;
        return false;
    }
    *ret = (struct reader){.at = r->at, .end = r->at + bytes};
    r->at += bytes;
    return true;
}

void body_add_number(struct buf *out, uint64_t n)
{
    do {
        buf_add_char(out, (char)((n & 0x7f) | (n > 0x7f ? 0x80 : 0)));
        n >>= 7;
    } while (n);
}

void body_add_head(struct buf *out, const struct body_head *head)
{
    buf_add_char(out, (char)head->severity);
    body_add_number(out, (uint64_t)(head->score_tenths + 1));
    body_add_number(out, head->vector);
    body_add_number(out, head->urgency);
}

bool body_read_head(struct reader *r, struct body_head *ret)
{
    uint64_t score;

    ret->severity = reader_byte(r);
    score = reader_number(r);
    ret->vector = (uint32_t)reader_number(r);
    ret->urgency = (uint32_t)reader_number(r);
    ret->score_tenths = score <= 101 ? (int)score - 1 : -1;
    if (ret->severity >= SEVERITY_COUNT)
        ret->severity = SEVERITY_UNKNOWN;
    return !r->failed;
}

static uint32_t take_text(struct reader *r)
{
    uint64_t text = reader_number(r);

    if (text > UINT32_MAX)
        r->failed = true;
    return (uint32_t)text;
}

bool body_translate(struct reader *r, uint32_t (*map)(uint32_t text, void *ctx), void *ctx,
                    struct buf *out)
{
    struct body_head head;
    uint64_t ranges, versions;

    if (!body_read_head(r, &head))
        return false;
    head.vector = map(head.vector, ctx);
    head.urgency = map(head.urgency, ctx);
    body_add_head(out, &head);
    ranges = reader_number(r);
    body_add_number(out, ranges);
    for (uint64_t i = 0; i < ranges && !r->failed; i++) {
        uint64_t events = reader_number(r);
        body_add_number(out, events);
        for (uint64_t k = 0; k < events && !r->failed; k++) {
            buf_add_char(out, (char)reader_byte(r));
            body_add_number(out, map(take_text(r), ctx));
        }
    }
    versions = reader_number(r);
    body_add_number(out, versions);
    for (uint64_t i = 0; i < versions && !r->failed; i++)
        body_add_number(out, map(take_text(r), ctx));
    return !r->failed && r->at == r->end && !out->failed;
}

/* Ecosystems of languages, where what follows ':' (a repository) makes no other package. */
static bool is_os(struct str ecosystem)
{
    static const char *const names[] = {
        "Debian",  "Ubuntu",   "Alpine",    "Red Hat",    "Rocky Linux", "AlmaLinux",
        "SUSE",    "openSUSE", "Photon OS", "Mageia",     "openEuler",   "Azure Linux",
        "MinimOS", "Echo",     "Wolfi",     "Chainguard", "Android"};
    struct str name = str_cut(&ecosystem, ':');

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_is(name, names[i]))
            return true;
    }
    return false;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

void package_key(struct str ecosystem, struct str name, struct buf *ret_ecosystem,
                 struct buf *ret_name)
{
    bool is_python, folds;
    bool was_separator = false;

    if (!is_os(ecosystem)) {
        struct str rest = ecosystem;
        ecosystem = str_cut(&rest, ':');
    }
    buf_add_str(ret_ecosystem, ecosystem);
    is_python = str_is(ecosystem, "PyPI");
    folds = is_python || str_is(ecosystem, "NuGet");
    if (!folds) {
        buf_add_str(ret_name, name);
        return;
    }
    for (size_t i = 0; i < name.len; i++) {
        bool is_separator = is_python && strchr("-_.", name.ptr[i]) != NULL;
        if (!is_separator)
            buf_add_char(ret_name, lower(name.ptr[i]));
        else if (!was_separator)
            buf_add_char(ret_name, '-');
        was_separator = is_separator;
    }
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return (hash ^ 0xff) * 0x100000001b3u; /* so that "a","bc" is not "ab","c" */
}

uint64_t package_hash(const char *ecosystem, const char *name) /* FNV-1a, 64 bits */
{
    return hash_text(hash_text(0xcbf29ce484222325u, ecosystem), name);
}
