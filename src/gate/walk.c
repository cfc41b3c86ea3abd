/* gate/walk.c - see gate/walk.h: the frame of a walk, and what is said and noted about it. */
#include "gate/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "gate/walk_internal.h"

enum { LINE_MAX_BYTES = 8192 };

const char *walk_outcome_name(enum walk_outcome outcome)
{
    static const char *const names[] = {"released", "unchanged", "refused", "failed"};

    return names[outcome];
}

int walk_exit_code(enum walk_outcome outcome)
{
    static const int codes[] = {0, 0, 3, 1};

    return codes[outcome];
}

void walk_say(struct walk *w, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args); /* cut to fit by design */
    va_end(args);
    if (len > 0)
        w->options->say(str_of(line), w->options->ctx);
}

void walk_say_text(struct walk *w, struct str text)
{
    while (text.len > 0) {
        struct str line = str_cut(&text, '\n');
        walk_say(w, "  %.*s", STR_ARG(line));
    }
}

void walk_begin(struct walk *w, const char *stage, enum walk_owner owner, const char *next)
{
    w->stage = stage;
    w->owner = owner;
    w->next = next;
    w->stage_us = clock_monotonic_us();
}

void walk_done(struct walk *w, const char *format, ...)
{
    char text[1024];
    va_list args;
    double ms = (double)(clock_monotonic_us() - w->stage_us) / 1000.0;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args); /* cut to fit by design */
    va_end(args);
    walk_say(w, "  %-9s %-64s %7.1f ms", w->stage, text, ms);
    /* Only the report suffers where memory is short. */
    (void)json_array_append_new(
        w->stages, json_pack("{s:s, s:f, s:s}", "stage", w->stage, "ms", ms, "text", text));
}

/* A push that is not accepted yet has its new objects in a folder of its own (git-receive-pack(1),
 * "Quarantine environment"). A bare repository that borrows from both shows the commit to
 * everybody. */
static int borrow_objects(struct walk *w, struct error *err)
{
    CLEANUP(buf) struct buf alternates = BUF_INIT(1 << 14);
    static const struct {
        const char *name, *text;
    } files[] = {{"HEAD", "ref: refs/heads/main\n"},
                 {"config", "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"}};
    static const char *const folders[] = {"refs", "objects/info"};

    w->repository = fs_join(w->work_dir, "repository.git");
    if (!w->repository)
        return error_no_memory(err);
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        CLEANUP(text) char *path = fs_join(w->repository, folders[i]);
        if (!path)
            return error_no_memory(err);
        if (fs_make_dirs(AT_FDCWD, path, 0700, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        CLEANUP(text) char *path = fs_join(w->repository, files[i].name);
        if (!path)
            return error_no_memory(err);
        if (fs_write_quick(AT_FDCWD, path, str_of(files[i].text), 0600, err) < 0)
            return -1;
    }
    buf_addf(&alternates, "%s\n%s/objects\n", w->options->objects_dir, w->options->repository);
    CLEANUP(text) char *path = fs_join(w->repository, "objects/info/alternates");
    if (!path || buf_ok(&alternates, err) < 0)
        return error_no_memory(err);
    return fs_write_quick(AT_FDCWD, path, buf_str(&alternates), 0600, err);
}

static int make_work_dir(struct walk *w, struct error *err)
{
    w->work_dir =
        str_format("%s/gate/work/%s-%d", w->options->home, w->options->app, (int)getpid());
    if (!w->work_dir)
        return error_no_memory(err);
    if (fs_remove_tree(AT_FDCWD, w->work_dir, err) < 0 ||
        fs_make_dirs(AT_FDCWD, w->work_dir, 0700, err) < 0)
        return -1;
    w->tree_dir = fs_join(w->work_dir, "source");
    if (!w->tree_dir)
        return error_no_memory(err);
    if (w->options->objects_dir)
        return borrow_objects(w, err);
    w->repository = str_dup(str_of(w->options->repository));
    return w->repository ? 0 : error_no_memory(err);
}

static int walk_stages(struct walk *w, struct error *err)
{
    CLEANUP(text) char *registry = fs_join(w->options->home, "gate/registry");

    if (!registry)
        return error_no_memory(err);
    walk_begin(w, "source", WALK_OWNER_PLATFORM, "df -h; monban gate");
    if (make_work_dir(w, err) < 0)
        return -1;
    if (layout_open(registry, LAYOUT_CREATE | LAYOUT_SYNC, &w->layout, err) < 0)
        return -1;
    if (walk_source(w, err) < 0 || walk_build(w, err) < 0 || walk_inspect(w, err) < 0)
        return -1;
    return w->passed ? walk_publish(w, err) : 0;
}

/* A full disk or a lost registry is never the developer's to mend, whatever the stage. */
static enum walk_owner owner_of(const struct walk *w, const struct error *err)
{
    return err->kind == ERR_UNAVAILABLE || err->kind == ERR_NO_MEMORY || err->sys_errno != 0
               ? WALK_OWNER_PLATFORM
               : w->owner;
}

static void say_next(struct walk *w, const struct error *err)
{
    if (err->sys_errno == ENOSPC || err->sys_errno == EDQUOT)
        walk_say(w, "  next: make room (df -h %s/gate/registry), then push again",
                 w->options->home);
    else if (owner_of(w, err) != w->owner)
        walk_say(w, "  next: tell the platform team; push again once it is mended");
    else if (w->next)
        walk_say(w, "  next: %s", w->next);
}

static void say_failure(struct walk *w, const struct error *err)
{
    static const char *const owners[] = {"the app team", "the platform team"};
    char line[ERROR_TEXT_MAX + ERROR_PLACE_MAX];

    error_format(err, line, sizeof line);
    walk_say(w, "  %-9s failed", w->stage);
    walk_say_text(w, str_of(line));
    walk_say(w, "  owner: %s", owners[owner_of(w, err)]);
    say_next(w, err);
}

static void write_state(struct walk *w, enum walk_outcome outcome, const struct error *err)
{
    struct error lost = ERROR_INIT;
    char now[CLOCK_TEXT_SIZE];
    CLEANUP(text)
    char *path = str_format("%s/gate/state/%s.json", w->options->home, w->options->app);
    CLEANUP(buf) struct buf text = BUF_INIT(16 << 20);
    CLEANUP(json)
    json_t *state =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:f, s:I, s:s, s:O?, s:O?, s:s*}", "app",
                  w->options->app, "ref", w->options->ref, "commit", w->options->commit, "state",
                  walk_outcome_name(outcome), "exit", walk_exit_code(outcome), "subject",
                  w->commit.subject, "at", clock_rfc3339(w->started_s, now), "ms",
                  (double)(clock_monotonic_us() - w->started_us) / 1000.0, "sequence",
                  (json_int_t)w->sequence, "image", w->build.manifest.text, "stages", w->stages,
                  "verdict", w->verdict, "error", err->kind != ERR_NONE ? err->text : NULL);

    /* A report that cannot be kept is lost; the release itself does not depend on it. */
    if (!path || !state || json_write_pretty(state, &text, &lost) < 0 ||
        fs_write_quick(AT_FDCWD, path, buf_str(&text), 0644, &lost) < 0)
        walk_say(w, "  (the report of this walk could not be kept: %s)", lost.text);
}

static void walk_done_all(struct walk *w)
{
    struct error lost = ERROR_INIT;

    if (w->work_dir && fs_remove_tree(AT_FDCWD, w->work_dir, &lost) < 0)
        walk_say(w, "  (the work folder is left behind: %s)", lost.text);
    free(w->work_dir);
    free(w->tree_dir);
    free(w->repository);
    workload_free(w->workload);
    layout_free(w->layout);
    build_result_done(&w->build);
    json_decref(w->sbom);
    json_decref(w->findings);
    json_decref(w->verdict);
    json_decref(w->stages);
}

static enum walk_outcome outcome_of(const struct walk *w, int result, const struct error *err)
{
    if (result < 0)
        return err->kind == ERR_DENIED || err->kind == ERR_UNTRUSTED ? WALK_REFUSED : WALK_FAILED;
    if (!w->passed)
        return WALK_REFUSED;
    return w->unchanged ? WALK_UNCHANGED : WALK_RELEASED;
}

enum walk_outcome walk_commit(const struct walk_options *options)
{
    struct error err = ERROR_INIT;
    struct walk w = {.options = options,
                     .stages = json_array(),
                     .started_us = clock_monotonic_us(),
                     .started_s = clock_now_s()};

    walk_say(&w, "monban: %s %.12s", options->app, options->commit);
    int result = w.stages ? walk_stages(&w, &err) : error_no_memory(&err);
    if (result < 0)
        say_failure(&w, &err);
    enum walk_outcome outcome = outcome_of(&w, result, &err);
    double ms = (double)(clock_monotonic_us() - w.started_us) / 1000.0;
    if (outcome == WALK_RELEASED || outcome == WALK_UNCHANGED)
        walk_say(&w, "monban: %s %s release %llu in %.0f ms", options->app,
                 walk_outcome_name(outcome), (unsigned long long)w.sequence, ms);
    else
        walk_say(&w, "monban: %s %s after %.0f ms; what ran goes on running", options->app,
                 walk_outcome_name(outcome), ms);
    write_state(&w, outcome, &err);
    walk_done_all(&w);
    return outcome;
}
