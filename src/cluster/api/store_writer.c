/* cluster/api/store_writer.c - the thread that owns the database: one batch of writes, one
 * transaction.
 *
 * The loop's thread hands over a batch and gets it back when it lasts; an eventfd says so. Nothing
 * else is shared: the texts of objects never change, and the references are counted by the loop's
 * thread alone. */
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/io.h"
#include "cluster/api/store_internal.h"

enum { WRITER_STACK = 256 << 10 }; /* bytes: SQLite needs far less */

struct writer {
    sqlite3 *db;                                        /* owned; the thread's once it runs */
    sqlite3_stmt *put, *remove, *mark, *begin, *commit; /* owned */
    pthread_t thread;
    bool is_running;
    int fd; /* owned: eventfd */
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    /* Under the lock: */
    enum { WRITER_IDLE, WRITER_WORK, WRITER_DONE, WRITER_STOP } state;
    struct write_batch batch;
    bool is_ok;
    struct error error;
};

void write_batch_done(struct write_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        object_unref(batch->items[i].object);
    free(batch->items);
    *batch = (struct write_batch){0};
}

const char *resource_key(const struct resource *res, char out[RESOURCE_KEY_SIZE])
{
    (void)snprintf(out, RESOURCE_KEY_SIZE, "%s/%s", res->group, res->plural);
    return out;
}

static int writer_fail(struct writer *w, struct error *err, const char *what)
{
    int code = sqlite3_extended_errcode(w->db);
    enum error_kind kind = (code & 0xff) == SQLITE_FULL ? ERR_LIMIT
                           : (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB
                               ? ERR_INVALID
                               : ERR_SYSTEM;
    return error_set(err, kind, "%s: %s", what, sqlite3_errmsg(w->db));
}

/* --- the thread --- */

static int run_step(struct writer *w, sqlite3_stmt *statement, struct error *err)
{
    int rc = sqlite3_step(statement);
    int reset = sqlite3_reset(statement);

    if (rc != SQLITE_DONE || reset != SQLITE_OK)
        return writer_fail(w, err, "writing to the store");
    return 0;
}

static int write_row(struct writer *w, const struct write *row, struct error *err)
{
    const struct object *o = row->object;
    sqlite3_stmt *statement = row->is_removed ? w->remove : w->put;
    char key[RESOURCE_KEY_SIZE];

    sqlite3_bind_text(statement, 1, resource_key(o->res, key), -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(statement, 2, o->namespace_name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 3, o->name, -1, SQLITE_STATIC);
    if (!row->is_removed) {
        sqlite3_bind_int64(statement, 4, o->revision);
        sqlite3_bind_text(statement, 5, o->text, (int)o->text_len, SQLITE_STATIC);
    }
    return run_step(w, statement, err);
}

static int write_rows(struct writer *w, const struct write_batch *batch, struct error *err)
{
    if (run_step(w, w->begin, err) < 0)
        return -1;
    for (size_t i = 0; i < batch->count; i++) {
        if (write_row(w, &batch->items[i], err) < 0)
            return -1;
    }
    sqlite3_bind_int64(w->mark, 1, batch->last_revision);
    if (run_step(w, w->mark, err) < 0)
        return -1;
    return run_step(w, w->commit, err);
}

static bool write_batch_now(struct writer *w, const struct write_batch *batch, struct error *err)
{
    if (write_rows(w, batch, err) == 0)
        return true;
    if (!sqlite3_get_autocommit(w->db))
        (void)sqlite3_exec(w->db, "ROLLBACK", NULL, NULL, NULL); /* nothing more can be done */
    return false;
}

static void *writer_main(void *ctx)
{
    struct writer *w = ctx;
    const uint64_t one = 1;

    (void)pthread_mutex_lock(&w->lock);
    for (;;) {
        while (w->state != WRITER_WORK && w->state != WRITER_STOP)
            (void)pthread_cond_wait(&w->wake, &w->lock);
        if (w->state == WRITER_STOP)
            break;
        (void)pthread_mutex_unlock(&w->lock);
        struct error err = ERROR_INIT;
        bool is_ok = write_batch_now(w, &w->batch, &err);
        (void)pthread_mutex_lock(&w->lock);
        w->is_ok = is_ok;
        w->error = err;
        w->state = WRITER_DONE;
        (void)pthread_cond_signal(&w->done);
        (void)!write(w->fd, &one, sizeof(one)); /* can only fail if 2^64 signals are pending */
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* --- the loop's side --- */

bool writer_is_busy(const struct writer *writer)
{
    struct writer *w = (struct writer *)writer;
    (void)pthread_mutex_lock(&w->lock);
    bool busy = w->state != WRITER_IDLE;
    (void)pthread_mutex_unlock(&w->lock);
    return busy;
}

int writer_fd(const struct writer *writer)
{
    return writer->fd;
}

void writer_start(struct writer *w, struct write_batch *take_batch)
{
    (void)pthread_mutex_lock(&w->lock);
    w->batch = *take_batch;
    *take_batch = (struct write_batch){0};
    w->state = WRITER_WORK;
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
}

void writer_wait(struct writer *w)
{
    (void)pthread_mutex_lock(&w->lock);
    while (w->state == WRITER_WORK)
        (void)pthread_cond_wait(&w->done, &w->lock);
    (void)pthread_mutex_unlock(&w->lock);
}

bool writer_collect(struct writer *w, struct write_batch *ret_batch, bool *ret_ok,
                    struct error *err)
{
    uint64_t signals;

    (void)pthread_mutex_lock(&w->lock);
    bool is_done = w->state == WRITER_DONE;
    if (is_done) {
        (void)!read(w->fd, &signals, sizeof(signals)); /* EAGAIN: nothing to take back */
        *ret_batch = w->batch;
        w->batch = (struct write_batch){0};
        *ret_ok = w->is_ok;
        if (!w->is_ok)
            *err = w->error;
        w->state = WRITER_IDLE;
    }
    (void)pthread_mutex_unlock(&w->lock);
    return is_done;
}

/* --- opening --- */

static const char SCHEMA_SQL[] =
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA cache_size=-256;"
    "PRAGMA temp_store=MEMORY;"
    "CREATE TABLE IF NOT EXISTS objects(resource TEXT NOT NULL, namespace TEXT NOT NULL,"
    " name TEXT NOT NULL, revision INTEGER NOT NULL, object TEXT NOT NULL,"
    " PRIMARY KEY(resource, namespace, name));"
    "CREATE TABLE IF NOT EXISTS counter(id INTEGER PRIMARY KEY CHECK(id = 1), revision INTEGER NOT NULL);"
    "INSERT OR IGNORE INTO counter VALUES(1, 0);";

static int writer_prepare(struct writer *w, struct error *err)
{
    static const char *const sql[] = {
        "INSERT INTO objects VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET"
        " revision = excluded.revision, object = excluded.object",
        "DELETE FROM objects WHERE resource = ?1 AND namespace = ?2 AND name = ?3",
        "UPDATE counter SET revision = ?1",
        "BEGIN IMMEDIATE",
        "COMMIT",
    };
    sqlite3_stmt **statements[] = {&w->put, &w->remove, &w->mark, &w->begin, &w->commit};

    for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
        if (sqlite3_prepare_v3(w->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, statements[i], NULL) !=
            SQLITE_OK)
            return writer_fail(w, err, "preparing the store");
    }
    return 0;
}

static int writer_load(struct writer *w, writer_load_fn *load, void *ctx, int64_t *ret_revision,
                       struct error *err)
{
    sqlite3_stmt *rows = NULL;
    int rc = 0, got;

    if (sqlite3_prepare_v2(w->db, "SELECT resource, revision, object FROM objects", -1, &rows,
                           NULL) != SQLITE_OK)
        return writer_fail(w, err, "reading the store");
    while (rc == 0 && (got = sqlite3_step(rows)) == SQLITE_ROW) {
        struct str text = str_slice((const char *)sqlite3_column_text(rows, 2),
                                    (size_t)sqlite3_column_bytes(rows, 2));
        rc = load((const char *)sqlite3_column_text(rows, 0), text, sqlite3_column_int64(rows, 1),
                  ctx, err);
    }
    if (rc == 0 && got != SQLITE_DONE)
        rc = writer_fail(w, err, "reading the store");
    (void)sqlite3_finalize(rows);
    if (rc < 0)
        return -1;
    if (sqlite3_prepare_v2(w->db, "SELECT revision FROM counter", -1, &rows, NULL) != SQLITE_OK)
        return writer_fail(w, err, "reading the store");
    *ret_revision = sqlite3_step(rows) == SQLITE_ROW ? sqlite3_column_int64(rows, 0) : 0;
    (void)sqlite3_finalize(rows);
    return 0;
}

static int writer_start_thread(struct writer *w, struct error *err)
{
    pthread_attr_t attributes;

    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, WRITER_STACK); /* a hint: the default serves too */
    errno = pthread_create(&w->thread, &attributes, writer_main, w);
    (void)pthread_attr_destroy(&attributes);
    if (errno != 0)
        return error_errno(err, "starting the store's writer");
    w->is_running = true;
    return 0;
}

int writer_open(const char *path, writer_load_fn *load, void *ctx, int64_t *ret_revision,
                struct writer **ret, struct error *err)
{
    struct writer *w = calloc(1, sizeof(*w));

    if (!w)
        return error_no_memory(err);
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->wake, NULL);
    (void)pthread_cond_init(&w->done, NULL);
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->fd < 0) {
        (void)error_errno(err, "eventfd");
        goto fail;
    }
    if (sqlite3_open_v2(path, &w->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK ||
        sqlite3_exec(w->db, SCHEMA_SQL, NULL, NULL, NULL) != SQLITE_OK) {
        (void)writer_fail(w, err, "opening the store");
        (void)error_wrap(err, "'%s'", path);
        goto fail;
    }
    if (writer_prepare(w, err) < 0 || writer_load(w, load, ctx, ret_revision, err) < 0 ||
        writer_start_thread(w, err) < 0) {
        (void)error_wrap(err, "'%s'", path);
        goto fail;
    }
    *ret = w;
    return 0;
fail:
    writer_free(w);
    return -1;
}

void writer_free(struct writer *w)
{
    if (!w)
        return;
    if (w->is_running) {
        writer_wait(w);
        (void)pthread_mutex_lock(&w->lock);
        w->state = WRITER_STOP;
        (void)pthread_cond_signal(&w->wake);
        (void)pthread_mutex_unlock(&w->lock);
        (void)pthread_join(w->thread, NULL);
    }
    write_batch_done(&w->batch);
    sqlite3_stmt *statements[] = {w->put, w->remove, w->mark, w->begin, w->commit};
    for (size_t i = 0; i < ARRAY_LEN(statements); i++)
        (void)sqlite3_finalize(statements[i]);
    (void)sqlite3_close(w->db);
    io_close(&w->fd);
    (void)pthread_cond_destroy(&w->done);
    (void)pthread_cond_destroy(&w->wake);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}
