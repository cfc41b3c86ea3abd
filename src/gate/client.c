/* gate/client.c - what a command asks of the running gate, over gate.sock: one line of JSON there,
 * lines of text back, and a last line {"exit":N}. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/io.h"
#include "gate/gate.h"
#include "source/source.h"

enum { ANSWER_LINE_MAX = 1 << 16 };

/* True if the line is the last one. */
static bool take_exit(struct str line, int *ret_exit)
{
    struct error err = ERROR_INIT;
    CLEANUP(json) json_t *last = NULL;

    if (!str_starts(line, STR("{\"exit\":")) || json_parse("gate.sock", line, &last, &err) < 0)
        return false;
    *ret_exit = (int)json_int_at(last, "exit", 1);
    return true;
}

static int read_answer(int fd, gate_say_fn *say, void *ctx, int *ret_exit, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(ANSWER_LINE_MAX);

    for (;;) {
        ptrdiff_t end;
        char chunk[4096];
        while ((end = str_find(buf_str(&text), '\n')) >= 0) {
            struct str line = str_first(buf_str(&text), (size_t)end);
            if (take_exit(line, ret_exit))
                return 0;
            say(line, ctx);
            buf_drop(&text, (size_t)end + 1);
        }
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "cannot read the gate's answer");
        if (n == 0)
            return error_set(err, ERR_UNAVAILABLE,
                             "the gate ended before the walk did; nothing was released");
        buf_add(&text, chunk, (size_t)n);
        if (buf_ok(&text, err) < 0)
            return error_wrap(err, "reading the gate's answer");
    }
}

int gate_submit(const char *home, const struct gate_request *request, gate_say_fn *say, void *ctx,
                int *ret_exit, struct error *err)
{
    CLEANUP(text) char *path = fs_join(home, "gate/gate.sock");
    CLEANUP(fd) int fd = -1;
    CLEANUP(buf) struct buf line = BUF_INIT(GATE_REQUEST_MAX);
    CLEANUP(json)
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s*, s:s*}", "app", request->app, "ref", request->ref, "commit",
                  request->commit, "old", request->old, "objects", request->objects);

    if (!path || !object)
        return error_no_memory(err);
    if (io_connect_unix(path, &fd, err) < 0) {
        error_clear(err);
        return error_set(err, ERR_UNAVAILABLE, "no gate runs for '%s': start it with 'monban up'",
                         home);
    }
    if (json_write(object, false, &line, err) < 0)
        return -1;
    buf_add_char(&line, '\n');
    if (buf_ok(&line, err) < 0 || io_write(fd, buf_text(&line), line.len, err) < 0)
        return -1;
    return read_answer(fd, say, ctx, ret_exit, err);
}

/* What is known of one app: its last walk, and "watch" if its remote is watched. */
static int add_app(const char *dir, const char *app, json_t *list, struct error *err)
{
    CLEANUP(text) char *walk_path = str_format("%s/%s.json", dir, app);
    CLEANUP(text) char *watch_path = str_format("%s/%s.watch", dir, app);
    CLEANUP(json) json_t *walk = NULL;
    CLEANUP(json) json_t *watch = NULL;

    if (!walk_path || !watch_path)
        return error_no_memory(err);
    if (fs_exists(AT_FDCWD, walk_path) && json_read_file(AT_FDCWD, walk_path, &walk, err) < 0)
        return -1;
    if (fs_exists(AT_FDCWD, watch_path) && json_read_file(AT_FDCWD, watch_path, &watch, err) < 0)
        return -1;
    if (!walk)
        walk = json_pack("{s:s}", "app", app);
    if (!walk || (watch && json_object_set(walk, "watch", watch) < 0) ||
        json_array_append(list, walk) < 0)
        return error_no_memory(err);
    return 0;
}

int gate_status(const char *home, json_t **ret, struct error *err)
{
    const struct str endings[] = {STR(".json"), STR(".watch")};
    CLEANUP(text) char *dir = fs_join(home, "gate/state");
    CLEANUP(strv) struct strv names = STRV_INIT;
    CLEANUP(strv) struct strv apps = STRV_INIT;
    CLEANUP(json) json_t *list = json_array();

    if (!dir || !list)
        return error_no_memory(err);
    if (fs_exists(AT_FDCWD, dir) && fs_list(AT_FDCWD, dir, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        struct str name = str_of(names.items[i]);
        for (size_t e = 0; e < ARRAY_LEN(endings); e++) {
            CLEANUP(text) char *app = NULL;
            if (!str_ends(name, endings[e]))
                continue;
            app = str_dup(str_first(name, name.len - endings[e].len));
            if (!app)
                return error_no_memory(err);
            if (!strv_has(&apps, app))
                strv_add(&apps, app);
        }
    }
    if (strv_ok(&apps, err) < 0)
        return -1;
    for (size_t i = 0; i < apps.count; i++) {
        if (add_app(dir, apps.items[i], list, err) < 0)
            return -1;
    }
    *ret = TAKE(list);
    return 0;
}

int gate_last_words(const char *home, const char *app, struct buf *out, struct error *err)
{
    CLEANUP(text) char *path = str_format("%s/gate/state/%s.log", home, app);

    if (!source_name_is_fit(app))
        return error_set(err, ERR_INVALID, "'%s' cannot be the name of an app", app);
    if (!path)
        return error_no_memory(err);
    if (fs_read_at(AT_FDCWD, path, out, err) == 0)
        return 0;
    return err->kind == ERR_NOT_FOUND
               ? error_set(err, ERR_NOT_FOUND, "no commit of '%s' has walked yet", app)
               : -1;
}
