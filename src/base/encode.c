/* base/encode.c - see base/encode.h. */
#include "base/encode.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_urls[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

void hex_encode(struct str bytes, struct buf *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes.len; i++) {
        buf_add_char(out, digits[(unsigned char)bytes.ptr[i] >> 4]);
        buf_add_char(out, digits[(unsigned char)bytes.ptr[i] & 15]);
    }
}

bool hex_decode(struct str text, struct buf *out)
{
    if (text.len % 2)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_value(text.ptr[i]), low = hex_value(text.ptr[i + 1]);
        if (high < 0 || low < 0)
            return false;
        buf_add_char(out, (char)(high << 4 | low));
    }
    return !out->failed;
}

static void encode64(struct str bytes, const char *alphabet, bool padded, struct buf *out)
{
    const unsigned char *in = (const unsigned char *)bytes.ptr;
    size_t size;

    if (__builtin_mul_overflow(bytes.len / 3 + 1, (size_t)4, &size) || !buf_room(out, size))
        return;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t have = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t group = (uint32_t)in[i] << 16 | (have > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
                         (have > 2 ? in[i + 2] : 0);
        char text[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63],
                        alphabet[group >> 6 & 63], alphabet[group & 63]};
        if (have < 3 && padded)
            memset(text + have + 1, '=', 3 - have);
        buf_add(out, text, have == 3 || padded ? 4 : have + 1);
    }
}

void base64_encode(struct str bytes, struct buf *out)
{
    encode64(bytes, standard, true, out);
}

void base64url_encode(struct str bytes, struct buf *out)
{
    encode64(bytes, for_urls, false, out);
}

static int value64(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

bool base64_decode(struct str text, struct buf *out)
{
    uint32_t group = 0;
    size_t have = 0;
    struct str digits = str_trim_end(text, '=');

    if (text.len - digits.len > 2 || digits.len % 4 == 1 ||
        (text.len != digits.len && text.len % 4 != 0))
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        int value = value64(digits.ptr[i]);
        if (value < 0)
            return false;
        group = group << 6 | (uint32_t)value;
        if (++have == 4) {
            char bytes[3] = {(char)(group >> 16), (char)(group >> 8), (char)group};
            buf_add(out, bytes, 3);
            group = 0;
            have = 0;
        }
    }
    /* Bits that no byte holds must be zero: one text for one value. */
    if ((have == 2 && (group & 15)) || (have == 3 && (group & 3)))
        return false;
    if (have == 2)
        buf_add_char(out, (char)(group >> 4));
    if (have == 3) {
        buf_add_char(out, (char)(group >> 10));
        buf_add_char(out, (char)(group >> 2));
    }
    return !out->failed;
}

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void percent_encode(struct str bytes, const char *safe, struct buf *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.ptr[i];
        if (is_unreserved(c) || (c && safe && strchr(safe, c)))
            buf_add_char(out, c);
        else
            buf_addf(out, "%%%02X", (unsigned char)c);
    }
}

bool percent_decode(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%') {
            buf_add_char(out, text.ptr[i]);
            continue;
        }
        if (!hex_decode(str_first(str_skip(text, i + 1), 2), out) || text.len - i < 3)
            return false;
        i += 2;
    }
    return !out->failed;
}
