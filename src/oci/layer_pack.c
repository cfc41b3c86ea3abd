/* oci/layer_pack.c - the compressing pipe of layer.h.
 *
 * The caller's thread fills pieces of 1 MiB and hashes them (diff id); workers compress each to a
 * gzip member of its own (RFC 1952, 2.2: members are concatenated); the caller's thread writes them
 * in order. Pieces stand in a ring: piece n is in slot n % SLOTS, and a slot is written out before
 * it is filled again. A layer of one piece starts no thread. */
#include "oci/layer_internal.h"

#include <libdeflate.h>
#include <unistd.h>

enum { PIECE_SIZE = 1 << 20, THREADS_MAX = 8, SLOTS = 2 * THREADS_MAX };

struct piece {
    char *raw; /* owned, PIECE_SIZE */
    size_t raw_len;
    char *out; /* owned, out_size */
    size_t out_len;
    bool done; /* compressed; guarded by layer_packer.mutex */
};

struct layer_packer {
    struct layout_writer *writer; /* owned */
    struct sha256 *diff;          /* owned */
    struct piece ring[SLOTS];
    size_t slots;    /* of ring that are used */
    size_t out_size; /* bytes: the most that a compressed piece takes */
    uint64_t filled; /* pieces handed to the workers; the caller writes, under the mutex */
    uint64_t taken;  /* pieces that a worker has begun; guarded by the mutex */
    uint64_t written;
    bool stopping; /* guarded by the mutex */
    bool plain;
    int level;
    struct libdeflate_compressor *own; /* owned; for the only piece */
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* a piece was filled, or stopping */
    pthread_cond_t done; /* a piece was compressed */
    pthread_t threads[THREADS_MAX];
    size_t thread_count, thread_wanted;
};

static void compress_piece(struct libdeflate_compressor *c, struct piece *piece, size_t out_size)
{
    piece->out_len = libdeflate_gzip_compress(c, piece->raw, piece->raw_len, piece->out, out_size);
}

static void *work(void *ctx)
{
    struct layer_packer *p = ctx;
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(p->level);

    pthread_mutex_lock(&p->mutex);
    for (;;) {
        while (!p->stopping && p->taken == p->filled)
            pthread_cond_wait(&p->wake, &p->mutex);
        if (p->stopping)
            break;
        struct piece *piece = &p->ring[p->taken++ % p->slots];
        pthread_mutex_unlock(&p->mutex);
        piece->out_len = 0; /* without memory for a compressor it stays so, and put_out() says it */
        if (c)
            compress_piece(c, piece, p->out_size);
        pthread_mutex_lock(&p->mutex);
        piece->done = true;
        pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->mutex);
    libdeflate_free_compressor(c);
    return NULL;
}

static size_t wanted_threads(const struct layer_options *options)
{
    long cores = options->threads > 0 ? options->threads : sysconf(_SC_NPROCESSORS_ONLN);

    if (cores < 1)
        return 1;
    return cores > THREADS_MAX ? THREADS_MAX : (size_t)cores;
}

int layer_packer_new(struct layout *layout, const struct layer_options *options,
                     struct layer_packer **ret, struct error *err)
{
    struct layer_packer *p = calloc(1, sizeof(*p));

    if (!p)
        return error_no_memory(err);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    CLEANUP(layer_packer) struct layer_packer *owned = p;
    p->plain = options->flags & LAYER_PLAIN;
    p->level = options->level > 0 ? options->level : LAYER_LEVEL_DEFAULT;
    p->thread_wanted = wanted_threads(options);
    p->slots = 2 * p->thread_wanted;
    p->diff = sha256_new();
    p->own = libdeflate_alloc_compressor(p->level);
    if (!p->diff || !p->own)
        return error_no_memory(err);
    p->out_size = libdeflate_gzip_compress_bound(p->own, PIECE_SIZE);
    if (layout_writer_new(layout, &p->writer, err) < 0)
        return -1;
    *ret = TAKE(owned);
    return 0;
}

static struct piece *current(struct layer_packer *p)
{
    return &p->ring[p->filled % p->slots];
}

static int put_out(struct layer_packer *p, struct piece *piece, struct error *err)
{
    p->written++;
    if (piece->out_len == 0)
        return error_no_memory(err);
    int result = layout_writer_add(p->writer, str_slice(piece->out, piece->out_len), err);
    piece->raw_len = 0;
    piece->done = false;
    return result;
}

/* Waits for the oldest piece and writes it. */
static int write_oldest(struct layer_packer *p, struct error *err)
{
    struct piece *piece = &p->ring[p->written % p->slots];

    pthread_mutex_lock(&p->mutex);
    while (!piece->done)
        pthread_cond_wait(&p->done, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
    return put_out(p, piece, err);
}

static int start_threads(struct layer_packer *p, struct error *err)
{
    while (p->thread_count < p->thread_wanted) {
        int code = pthread_create(&p->threads[p->thread_count], NULL, work, p);
        if (code != 0 && p->thread_count == 0)
            return error_set(err, ERR_SYSTEM, "cannot start a thread: %s", strerror(code));
        if (code != 0) /* fewer will do */
            p->thread_wanted = p->thread_count;
        else
            p->thread_count++;
    }
    return 0;
}

/* The current piece is full: to the workers, and on to the next slot. */
static int hand_over(struct layer_packer *p, struct error *err)
{
    struct piece *piece = current(p);

    sha256_add(p->diff, piece->raw, piece->raw_len);
    if (p->plain) {
        int result = layout_writer_add(p->writer, str_slice(piece->raw, piece->raw_len), err);
        piece->raw_len = 0;
        return result;
    }
    if (start_threads(p, err) < 0)
        return -1;
    pthread_mutex_lock(&p->mutex);
    p->filled++;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->mutex);
    return p->filled - p->written == p->slots ? write_oldest(p, err) : 0;
}

char *layer_packer_room(struct layer_packer *p, size_t *ret_len, struct error *err)
{
    if (current(p)->raw_len == PIECE_SIZE && hand_over(p, err) < 0)
        return NULL;
    struct piece *piece = current(p);
    if (!piece->raw)
        piece->raw = malloc(PIECE_SIZE);
    if (!piece->out && !p->plain)
        piece->out = malloc(p->out_size);
    if (!piece->raw || (!piece->out && !p->plain)) {
        (void)error_no_memory(err);
        return NULL;
    }
    *ret_len = PIECE_SIZE - piece->raw_len;
    return piece->raw + piece->raw_len;
}

void layer_packer_grew(struct layer_packer *p, size_t len)
{
    current(p)->raw_len += len;
}

int layer_packer_add(struct layer_packer *p, struct str bytes, struct error *err)
{
    while (bytes.len > 0) {
        size_t room;
        char *to = layer_packer_room(p, &room, err);
        if (!to)
            return -1;
        size_t len = bytes.len < room ? bytes.len : room;
        memcpy(to, bytes.ptr, len);
        layer_packer_grew(p, len);
        bytes = str_skip(bytes, len);
    }
    return 0;
}

static int finish_last(struct layer_packer *p, struct error *err)
{
    struct piece *piece = current(p);

    if (piece->raw_len == 0)
        return 0;
    if (p->plain || p->thread_count > 0)
        return hand_over(p, err);
    sha256_add(p->diff, piece->raw, piece->raw_len);
    compress_piece(p->own, piece, p->out_size);
    p->filled++;
    return put_out(p, piece, err);
}

int layer_packer_finish(struct layer_packer *p, struct layer *ret, struct error *err)
{
    struct layer layer = {0};

    if (finish_last(p, err) < 0)
        return -1;
    while (p->written < p->filled)
        if (write_oldest(p, err) < 0)
            return -1;
    layer.diff_id = sha256_end_digest(p->diff);
    layer.descriptor.size = layout_writer_size(p->writer);
    if (layout_writer_commit(p->writer, NULL, &layer.descriptor.digest, err) < 0)
        return -1;
    snprintf(layer.descriptor.media_type, MEDIA_TYPE_SIZE, "%s",
             p->plain ? OCI_LAYER : OCI_LAYER_GZIP);
    *ret = layer;
    return 0;
}

void layer_packer_free(struct layer_packer *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->mutex);
    p->stopping = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->mutex);
    for (size_t i = 0; i < p->thread_count; i++)
        pthread_join(p->threads[i], NULL);
    for (size_t i = 0; i < SLOTS; i++) {
        free(p->ring[i].raw);
        free(p->ring[i].out);
    }
    libdeflate_free_compressor(p->own);
    layout_writer_free(p->writer);
    sha256_free(p->diff);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->mutex);
    free(p);
}
