/* oci/layer_tar.c - tar headers: ustar, and pax where ustar is too small (POSIX.1-2017, pax, "ustar
 * Interchange Format" and "pax Interchange Format"). */
#include "oci/layer_internal.h"

enum {
    NAME_SIZE = 100,
    LINK_SIZE = 100,
    PREFIX_SIZE = 155,
    OCTAL_ID_MAX = 07777777, /* what seven octal digits hold */
    PAX_RECORD_DIGITS_MAX = 20,
};
#define OCTAL_SIZE_MAX 077777777777ULL /* bytes: eleven octal digits */

struct ustar {
    char name[NAME_SIZE];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char link[LINK_SIZE];
    char magic[6];
    char version[2];
    char uname[32];
    char gname[32];
    char major[8];
    char minor[8];
    char prefix[PREFIX_SIZE];
    char pad[12];
};
_Static_assert(sizeof(struct ustar) == TAR_BLOCK, "a tar header is one block");

/* Right-aligned octal with a terminator in the last byte. */
static void put_octal(char *field, size_t size, uint64_t value)
{
    field[--size] = '\0';
    while (size > 0) {
        field[--size] = (char)('0' + (value & 7));
        value >>= 3;
    }
}

static void put_text(char *field, size_t size, struct str text)
{
    memcpy(field, text.ptr, text.len < size ? text.len : size);
}

/* name and prefix; false if the path needs a pax header. A folder's name ends with a slash. */
static bool put_path(struct ustar *h, struct str path)
{
    if (path.len <= NAME_SIZE) {
        put_text(h->name, NAME_SIZE, path);
        return true;
    }
    for (size_t i = path.len > PREFIX_SIZE ? PREFIX_SIZE : path.len - 1; i > 0; i--) {
        if (path.ptr[i] != '/' || i + 1 == path.len)
            continue;
        if (path.len - i - 1 > NAME_SIZE)
            return false;
        put_text(h->prefix, PREFIX_SIZE, str_first(path, i));
        put_text(h->name, NAME_SIZE, str_skip(path, i + 1));
        return true;
    }
    return false;
}

static void finish(struct ustar *h, struct buf *out)
{
    unsigned sum = 0;

    memcpy(h->magic, "ustar", 6);
    memcpy(h->version, "00", 2);
    put_octal(h->major, sizeof(h->major), 0);
    put_octal(h->minor, sizeof(h->minor), 0);
    memset(h->checksum, ' ', sizeof(h->checksum));
    for (size_t i = 0; i < sizeof(*h); i++)
        sum += ((const unsigned char *)h)[i];
    put_octal(h->checksum, sizeof(h->checksum) - 1, sum); /* six digits, NUL, blank */
    buf_add(out, h, sizeof(*h));
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts its own digits too. */
static void add_record(struct buf *records, const char *key, struct str value)
{
    size_t rest = 1 + strlen(key) + 1 + value.len + 1, total = rest + 1;
    char digits[PAX_RECORD_DIGITS_MAX + 1];

    for (;;) {
        snprintf(digits, sizeof(digits), "%zu", total);
        if (rest + strlen(digits) == total)
            break;
        total = rest + strlen(digits);
    }
    buf_addf(records, "%s %s=", digits, key);
    buf_add_str(records, value);
    buf_add_char(records, '\n');
}

static void add_number(struct buf *records, const char *key, uint64_t value)
{
    char digits[PAX_RECORD_DIGITS_MAX + 1];
    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
    add_record(records, key, str_of(digits));
}

static void pad_block(struct buf *out, size_t len)
{
    static const char zeros[TAR_BLOCK];
    if (len % TAR_BLOCK)
        buf_add(out, zeros, TAR_BLOCK - len % TAR_BLOCK);
}

static void add_pax(const struct buf *records, int64_t mtime_s, struct buf *out)
{
    struct ustar h = {.type = 'x'};

    put_text(h.name, NAME_SIZE, STR("PaxHeaders/entry"));
    put_octal(h.mode, sizeof(h.mode), 0644);
    put_octal(h.uid, sizeof(h.uid), 0);
    put_octal(h.gid, sizeof(h.gid), 0);
    put_octal(h.size, sizeof(h.size), records->len);
    put_octal(h.mtime, sizeof(h.mtime), (uint64_t)mtime_s);
    finish(&h, out);
    buf_add_str(out, buf_str(records));
    pad_block(out, records->len);
}

void layer_tar_header(const struct layer_entry *entry, int64_t mtime_s, struct buf *out)
{
    static const char types[] = {
        [LAYER_FILE] = '0', [LAYER_DIR] = '5', [LAYER_SYMLINK] = '2', [LAYER_HARD_LINK] = '1'};
    CLEANUP(buf) struct buf records = BUF_INIT(64 << 10), path = BUF_INIT(16 << 10);
    struct ustar h = {.type = types[entry->kind]};
    uint64_t size = entry->kind == LAYER_FILE ? entry->size : 0;
    struct str link = str_of(entry->link ? entry->link : "");

    buf_add_text(&path, entry->path);
    if (entry->kind == LAYER_DIR)
        buf_add_char(&path, '/');
    if (!put_path(&h, buf_str(&path))) {
        add_record(&records, "path", buf_str(&path));
        put_text(h.name, NAME_SIZE, buf_str(&path));
    }
    if (link.len > LINK_SIZE)
        add_record(&records, "linkpath", link);
    put_text(h.link, LINK_SIZE, link);
    if (entry->uid > OCTAL_ID_MAX)
        add_number(&records, "uid", entry->uid);
    if (entry->gid > OCTAL_ID_MAX)
        add_number(&records, "gid", entry->gid);
    if (size > OCTAL_SIZE_MAX)
        add_number(&records, "size", size);
    put_octal(h.mode, sizeof(h.mode), entry->mode & 07777);
    put_octal(h.uid, sizeof(h.uid), entry->uid > OCTAL_ID_MAX ? 0 : entry->uid);
    put_octal(h.gid, sizeof(h.gid), entry->gid > OCTAL_ID_MAX ? 0 : entry->gid);
    put_octal(h.size, sizeof(h.size), size > OCTAL_SIZE_MAX ? 0 : size);
    put_octal(h.mtime, sizeof(h.mtime), (uint64_t)mtime_s);
    if (records.failed || path.failed)
        out->failed = records.failed | path.failed;
    if (records.len > 0)
        add_pax(&records, mtime_s, out);
    finish(&h, out);
}
