/* gate/client.c - what a command asks of the running gate, over gate.sock: one line of JSON there,
 * lines of text back, and a last line {"exit":N}. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/io.h"
#include "gate/gate.h"

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
                             "the gate ended before it was done; the commit is kept: push again");
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
    json_t *object = json_pack("{s:s, s:s, s:s, s:s*}", "app", request->app, "ref", request->ref,
                               "commit", request->commit, "objects", request->objects_dir);

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

int gate_status(const char *home, json_t **ret, struct error *err)
{
    CLEANUP(text) char *dir = fs_join(home, "gate/state");
    CLEANUP(strv) struct strv names = STRV_INIT;
    CLEANUP(json) json_t *list = json_array();

    if (!dir || !list)
        return error_no_memory(err);
    if (fs_exists(AT_FDCWD, dir) && fs_list(AT_FDCWD, dir, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(text) char *path = fs_join(dir, names.items[i]);
        json_t *state = NULL;
        if (!str_ends(str_of(names.items[i]), STR(".json")))
            continue;
        if (!path)
            return error_no_memory(err);
        if (json_read_file(AT_FDCWD, path, &state, err) < 0)
            return -1;
        if (json_array_append_new(list, state) < 0)
            return error_no_memory(err);
    }
    *ret = TAKE(list);
    return 0;
}
