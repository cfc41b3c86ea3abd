/* oci/unpack_source.c - a blob on its way to the tar reader: hashed, decompressed, hashed again. */
#include "oci/unpack_internal.h"

#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum {
    RAW_SIZE = 128 << 10,
    OUT_SIZE = 256 << 10,
    ZSTD_WINDOW_LOG_MAX = 27, /* 128 MiB of memory, what `zstd --long` makes */
    GZIP_AND_HEADER = 15 + 16 /* zlib: window bits, and a gzip header is expected */
};

struct unpack_source {
    int fd; /* borrowed */
    enum { PLAIN, GZIP, ZSTD, UNKNOWN } form;
    struct sha256 *blob, *diff; /* owned */
    z_stream gzip;
    bool gzip_open, between_members;
    ZSTD_DStream *zstd;       /* owned */
    bool zstd_inside;         /* a frame has begun and not ended */
    unsigned char *raw, *out; /* owned */
    size_t raw_at, raw_len;
    bool at_end; /* of the file */
};

int unpack_source_new(int fd, struct unpack_source **ret, struct error *err)
{
    CLEANUP(unpack_source) struct unpack_source *s = calloc(1, sizeof(*s));

    if (!s)
        return error_no_memory(err);
    s->fd = fd;
    s->form = UNKNOWN;
    s->blob = sha256_new();
    s->diff = sha256_new();
    s->raw = malloc(RAW_SIZE);
    s->out = malloc(OUT_SIZE);
    if (!s->blob || !s->diff || !s->raw || !s->out)
        return error_no_memory(err);
    *ret = TAKE(s);
    return 0;
}

void unpack_source_free(struct unpack_source *s)
{
    if (!s)
        return;
    if (s->gzip_open)
        inflateEnd(&s->gzip);
    ZSTD_freeDStream(s->zstd);
    sha256_free(s->blob);
    sha256_free(s->diff);
    free(s->raw);
    free(s->out);
    free(s);
}

static int refill(struct unpack_source *s, struct error *err)
{
    if (s->raw_at < s->raw_len || s->at_end)
        return 0;
    s->raw_at = 0;
    if (io_read(s->fd, s->raw, RAW_SIZE, &s->raw_len, err) < 0)
        return -1;
    s->at_end = s->raw_len == 0;
    sha256_add(s->blob, s->raw, s->raw_len);
    return 0;
}

static int begin(struct unpack_source *s, struct error *err)
{
    if (refill(s, err) < 0)
        return -1;
    s->form = PLAIN;
    if (s->raw_len >= 2 && s->raw[0] == 0x1f && s->raw[1] == 0x8b) {
        if (inflateInit2(&s->gzip, GZIP_AND_HEADER) != Z_OK)
            return error_no_memory(err);
        s->gzip_open = true;
        s->form = GZIP;
    } else if (s->raw_len >= 4 && memcmp(s->raw, "\x28\xb5\x2f\xfd", 4) == 0) {
        s->zstd = ZSTD_createDStream();
        if (!s->zstd)
            return error_no_memory(err);
        (void)ZSTD_DCtx_setParameter(s->zstd, ZSTD_d_windowLogMax,
                                     ZSTD_WINDOW_LOG_MAX); /* in range */
        s->form = ZSTD;
    }
    return 0;
}

/* Some output of gzip; 0 only at the end of the last member. */
static int next_gzip(struct unpack_source *s, size_t *ret_len, struct error *err)
{
    s->gzip.next_out = s->out;
    s->gzip.avail_out = OUT_SIZE;
    while (s->gzip.avail_out == OUT_SIZE) {
        if (refill(s, err) < 0)
            return -1;
        if (s->at_end) {
            if (s->between_members)
                break;
            return error_set(err, ERR_INVALID, "gzip stream ends in the middle");
        }
        if (s->between_members && s->raw[s->raw_at] == 0) {
            s->raw_at++; /* zeros after the last member are padding (gzip manual, tapes) */
            continue;
        }
        s->gzip.next_in = s->raw + s->raw_at;
        s->gzip.avail_in = (unsigned)(s->raw_len - s->raw_at);
        int code = inflate(&s->gzip, Z_NO_FLUSH);
        s->raw_at = s->raw_len - s->gzip.avail_in;
        s->between_members = code == Z_STREAM_END;
        if (code == Z_STREAM_END && inflateReset(&s->gzip) == Z_OK)
            continue;
        if (code != Z_OK && code != Z_BUF_ERROR)
            return error_set(err, ERR_INVALID, "damaged gzip stream: %s",
                             s->gzip.msg ? s->gzip.msg : "no more input expected");
    }
    *ret_len = OUT_SIZE - s->gzip.avail_out;
    return 0;
}

static int next_zstd(struct unpack_source *s, size_t *ret_len, struct error *err)
{
    ZSTD_outBuffer out = {s->out, OUT_SIZE, 0};

    while (out.pos == 0) {
        if (refill(s, err) < 0)
            return -1;
        ZSTD_inBuffer in = {s->raw + s->raw_at, s->raw_len - s->raw_at, 0};
        if (s->at_end && !s->zstd_inside)
            break;
        size_t code = ZSTD_decompressStream(s->zstd, &out, &in);
        if (ZSTD_isError(code))
            return error_set(err, ERR_INVALID, "damaged zstd stream: %s", ZSTD_getErrorName(code));
        s->raw_at += in.pos;
        s->zstd_inside = code != 0;
        if (s->at_end && out.pos == 0 && s->zstd_inside)
            return error_set(err, ERR_INVALID, "zstd stream ends in the middle");
    }
    *ret_len = out.pos;
    return 0;
}

int unpack_source_next(struct unpack_source *s, const void **ret_bytes, size_t *ret_len,
                       struct error *err)
{
    const void *bytes = s->out;
    size_t len = 0;

    if (s->form == UNKNOWN && begin(s, err) < 0)
        return -1;
    switch (s->form) {
    case GZIP:
        if (next_gzip(s, &len, err) < 0)
            return -1;
        break;
    case ZSTD:
        if (next_zstd(s, &len, err) < 0)
            return -1;
        break;
    case PLAIN:
    case UNKNOWN:
        if (refill(s, err) < 0)
            return -1;
        bytes = s->raw + s->raw_at;
        len = s->raw_len - s->raw_at;
        s->raw_at = s->raw_len;
        break;
    }
    sha256_add(s->diff, bytes, len);
    *ret_bytes = bytes;
    *ret_len = len;
    return 0;
}

int unpack_source_finish(struct unpack_source *s, struct digest *ret_blob,
                         struct digest *ret_diff_id, struct error *err)
{
    const void *bytes;
    size_t len;

    do {
        if (unpack_source_next(s, &bytes, &len, err) < 0)
            return -1;
    } while (len > 0);
    *ret_blob = sha256_end_digest(s->blob);
    *ret_diff_id = sha256_end_digest(s->diff);
    return 0;
}
