/* build/stack.c - the stack file, and the record of what was built from it.
 *
 *   HOME/gate/stacks/layout/           OCI layout with the base layers of all stacks
 *   HOME/gate/stacks/NAME/stack.json   the record: file key, stack key, layer, packages
 *   HOME/gate/stacks/NAME/build-HEX/   the unpacked build image
 *   HOME/gate/stacks/NAME/trust.pem    the stack's own roots, if it has any */
#include "build/stack.h"

#include <fcntl.h>
#include <libgen.h>

#include "base/clock.h"
#include "base/fs.h"
#include "build/stack_internal.h"
#include "wire/doc.h"

enum {
    STACK_FORMAT = 1, /* raise it when the same packages would give other bytes */
    TRUST_FILE_MAX = 4 << 20,
    NAME_MAX_LEN = 63,
};

struct stack_file {                 /* the file, checked */
    char *name, *owner, *user_name; /* owned */
    uint32_t uid, gid;
    struct strv run, run_drop, run_links, build, build_drop, build_links, registries;
    struct buf trust;
};

static void stack_file_done(struct stack_file *f)
{
    free(f->name);
    free(f->owner);
    free(f->user_name);
    strv_done(&f->run);
    strv_done(&f->run_drop);
    strv_done(&f->run_links);
    strv_done(&f->build);
    strv_done(&f->build_drop);
    strv_done(&f->build_links);
    strv_done(&f->registries);
    buf_done(&f->trust);
}
DEFINE_CLEANUP_VALUE(stack_file, struct stack_file, stack_file_done)

void stack_free(struct stack *stack)
{
    if (!stack)
        return;
    free(stack->name);
    free(stack->owner);
    free(stack->build_rootfs);
    free(stack->blob_dir);
    json_decref(stack->run_packages);
    json_decref(stack->build_packages);
    free(stack->trust_bundle);
    strv_done(&stack->registries);
    free(stack->user_name);
    free(stack->distro_id);
    free(stack->distro_version);
    free(stack);
}

/* --- the file --- */

/* Debian package names (policy 5.6.7), host names and paths are of these letters. */
static bool is_plain(const char *text, const char *more)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-";

    if (!text[0] || text[0] == '-')
        return false;
    for (const char *c = text; *c; c++) {
        if (!strchr(letters, *c) && !strchr(more, *c))
            return false;
    }
    return true;
}

static void read_list(const struct doc *doc, const json_t *object, const char *key,
                      const char *more, struct strv *out, struct error_list *faults)
{
    const json_t *list = json_object_get(object, key), *item;
    size_t i;

    if (!list)
        return;
    if (!json_is_array(list)) {
        error_list_add(faults, ERR_INVALID, doc_place_key(doc, object, key),
                       "expected '%s' to be a list", key);
        return;
    }
    json_array_foreach(list, i, item)
    {
        const char *text = json_string_value(item);
        if (!text || !is_plain(text, more))
            error_list_add(faults, ERR_INVALID, doc_place_item(doc, list, i),
                           "expected a name in '%s'", key);
        else
            strv_add(out, text);
    }
}

static void read_links(const struct doc *doc, const json_t *object, struct strv *out,
                       struct error_list *faults)
{
    json_t *links = json_object_get(object, "links"), *target;
    const char *path;

    json_object_foreach(links, path, target)
    {
        if (!json_is_string(target) || path[0] == '/' || !is_plain(path, "/_"))
            error_list_add(faults, ERR_INVALID, doc_key_place(doc, links, path),
                           "expected a relative path and its target, as in 'usr/bin/cc: gcc'");
        else
            strv_addf(out, "%s=%s", path, json_string_value(target));
    }
}

static void read_image(const struct doc *doc, const json_t *spec, const char *key,
                       struct strv *packages, struct strv *drop, struct strv *links,
                       struct error_list *faults)
{
    static const char *const known[] = {"packages", "drop", "links", NULL};
    const json_t *image = json_object_get(spec, key);

    if (!json_is_object(image)) {
        error_list_add(faults, ERR_INVALID, doc_place_key(doc, spec, key),
                       "expected spec.%s with a list 'packages'", key);
        return;
    }
    doc_check_keys(doc, image, key, known, faults);
    read_list(doc, image, "packages", "", packages, faults);
    read_list(doc, image, "drop", "", drop, faults);
    read_links(doc, image, links, faults);
    if (packages->count == 0)
        error_list_add(faults, ERR_INVALID, doc_place_key(doc, image, "packages"),
                       "spec.%s.packages is empty", key);
}

static void read_trust(const struct doc *doc, const json_t *spec, struct buf *out,
                       struct error_list *faults)
{
    const json_t *list = json_object_get(spec, "trust"), *item;
    CLEANUP(text) char *file = strdup(doc_file(doc));
    const char *folder = file ? dirname(file) : ".";
    size_t i;

    json_array_foreach(list, i, item)
    {
        const char *path = json_string_value(item);
        struct error err = ERROR_INIT;
        CLEANUP(text) char *full = path ? fs_join(folder, path) : NULL;
        if (!full || fs_read_at(AT_FDCWD, path[0] == '/' ? path : full, out, &err) < 0)
            error_list_add(faults, ERR_NOT_FOUND, doc_place_item(doc, list, i), "%s",
                           err.kind ? err.text : "expected the path of a PEM file");
        buf_add_char(out, '\n');
    }
}

static void read_user(const struct doc *doc, const json_t *spec, struct stack_file *f,
                      struct error_list *faults)
{
    const json_t *user = json_object_get(spec, "user");
    const char *name = json_str_at(user, "name");
    int64_t uid = json_int_at(user, "uid", 1000), gid = json_int_at(user, "gid", 1000);

    if (uid < 1 || uid > 65533 || gid < 1 || gid > 65533)
        error_list_add(faults, ERR_INVALID, doc_place_key(doc, spec, "user"),
                       "expected uid and gid from 1 to 65533: nothing runs as root");
    f->uid = (uint32_t)uid;
    f->gid = (uint32_t)gid;
    f->user_name = strdup(name && is_plain(name, "_") ? name : "cnb");
}

static int stack_file_check(const struct doc *doc, struct stack_file *f, struct error *err)
{
    static const char *const known_top[] = {"apiVersion", "kind", "metadata", "spec", NULL};
    static const char *const known_spec[] = {"owner", "run",        "build", "user",
                                             "trust", "registries", NULL};
    CLEANUP(error_list) struct error_list faults = ERROR_LIST_INIT;
    const json_t *root = doc_root(doc), *spec = json_object_get(root, "spec");
    const char *kind = json_str_at(root, "kind"), *name = json_str_at(root, "metadata.name");
    const char *owner = json_str_at(spec, "owner");

    doc_check_keys(doc, root, "a stack", known_top, &faults);
    if (!kind || strcmp(kind, "Stack") != 0)
        error_list_add(&faults, ERR_INVALID, doc_place_key(doc, root, "kind"),
                       "expected kind: Stack");
    if (!name || !is_plain(name, "") || strlen(name) > NAME_MAX_LEN || strchr(name, '/'))
        error_list_add(&faults, ERR_INVALID, doc_place_key(doc, root, "metadata"),
                       "expected metadata.name, a name of letters, digits and '-'");
    if (!json_is_object(spec)) {
        error_list_add(&faults, ERR_INVALID, doc_place(doc, root), "a stack needs 'spec'");
        return error_list_check(&faults, err);
    }
    doc_check_keys(doc, spec, "spec", known_spec, &faults);
    read_image(doc, spec, "run", &f->run, &f->run_drop, &f->run_links, &faults);
    read_image(doc, spec, "build", &f->build, &f->build_drop, &f->build_links, &faults);
    read_list(doc, spec, "registries", ":", &f->registries, &faults);
    read_user(doc, spec, f, &faults);
    read_trust(doc, spec, &f->trust, &faults);
    if (error_list_check(&faults, err) < 0)
        return -1;
    f->name = strdup(name);
    f->owner = strdup(owner ? owner : "platform");
    return f->name && f->owner && f->user_name ? buf_ok(&f->trust, err) : error_no_memory(err);
}

/* What the file means, for the record: a comment changes nothing. */
static int file_key(const struct doc *doc, const struct stack_file *f, struct digest *ret,
                    struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(TRUST_FILE_MAX + DOC_BYTES_MAX);

    buf_addf(&text, "stack %d\n", STACK_FORMAT);
    if (json_write(doc_root(doc), true, &text, err) < 0)
        return -1;
    buf_add_char(&text, '\n');
    buf_add_str(&text, buf_str(&f->trust));
    if (buf_ok(&text, err) < 0)
        return -1;
    *ret = digest_of(buf_str(&text));
    return 0;
}

/* --- the record --- */

static char *dup_at(const json_t *record, const char *path)
{
    const char *text = json_str_at(record, path);

    return strdup(text ? text : "");
}

/* NOT_FOUND if the record is of another file, or what it names is gone. */
static int open_record(const char *dir, const char *layout_dir, const struct stack_file *f,
                       const struct digest *key, struct stack **ret, struct error *err)
{
    CLEANUP(text) char *path = fs_join(dir, "stack.json");
    CLEANUP(json) json_t *record = NULL;
    CLEANUP(stack) struct stack *s = calloc(1, sizeof(*s));
    CLEANUP(layout) struct layout *layout = NULL;

    if (!path || !s)
        return error_no_memory(err);
    if (json_read_file(AT_FDCWD, path, &record, err) < 0)
        return -1;
    const char *written_key = json_str_at(record, "fileKey");
    if (!written_key || strcmp(written_key, key->text) != 0)
        return error_set(err, ERR_NOT_FOUND, "stack '%s' was built from another file", f->name);

    s->name = strdup(f->name);
    s->owner = strdup(f->owner);
    s->user_name = strdup(f->user_name);
    s->uid = f->uid;
    s->gid = f->gid;
    s->blob_dir = strdup(layout_dir);
    s->build_rootfs =
        fs_join(dir, json_str_at(record, "rootfs") ? json_str_at(record, "rootfs") : "-");
    s->trust_bundle = f->trust.len ? fs_join(dir, "trust.pem") : NULL;
    s->run_packages = json_incref(json_object_get(record, "run"));
    s->build_packages = json_incref(json_object_get(record, "build"));
    s->distro_id = dup_at(record, "distro.id");
    s->distro_version = dup_at(record, "distro.version");
    s->base_size = (uint64_t)json_int_at(record, "base.size", 0);
    for (size_t i = 0; i < f->registries.count; i++)
        strv_add(&s->registries, f->registries.items[i]);
    if (!s->name || !s->owner || !s->user_name || !s->blob_dir || !s->build_rootfs)
        return error_no_memory(err);
    if (!digest_parse(str_of(json_str_at(record, "key")), &s->key) ||
        !digest_parse(str_of(json_str_at(record, "base.digest")), &s->base_digest) ||
        !digest_parse(str_of(json_str_at(record, "base.diffID")), &s->base_diff_id) ||
        !fs_exists(AT_FDCWD, s->build_rootfs))
        return error_set(err, ERR_NOT_FOUND, "the record of stack '%s' is not whole", f->name);
    if (layout_open(layout_dir, 0, &layout, err) < 0)
        return -1;
    if (!layout_has(layout, &s->base_digest))
        return error_set(err, ERR_NOT_FOUND, "the base layer of stack '%s' is gone", f->name);
    *ret = TAKE(s);
    return 0;
}

/* --- building --- */

static void say(const struct stack_options *o, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(const struct stack_options *o, const char *format, ...)
{
    char line[256];
    va_list args;

    if (!o->progress)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    o->progress(str_of(line), o->ctx);
}

/* ID and VERSION_ID of base-files' os-release, which the build image has too. */
static json_t *read_distro(const char *rootfs)
{
    CLEANUP(text) char *path = fs_join(rootfs, "usr/lib/os-release");
    CLEANUP(buf) struct buf text = BUF_INIT(64 << 10);
    struct error ignored = ERROR_INIT;
    char id[64] = "", version[64] = "";

    if (path && fs_read_at(AT_FDCWD, path, &text, &ignored) == 0) {
        struct str rest = buf_str(&text);
        while (rest.len) {
            struct str value = str_cut(&rest, '\n');
            struct str key = str_cut(&value, '=');
            if (value.len >= 2 && value.ptr[0] == '"')
                value = str_slice(value.ptr + 1, value.len - 2);
            char *to = str_is(key, "ID") ? id : str_is(key, "VERSION_ID") ? version : NULL;
            if (to)
                snprintf(to, sizeof(id), "%.*s", STR_ARG(value));
        }
    }
    return json_pack("{s:s,s:s}", "id", id, "version", version);
}

static int stack_key(const struct digest *file, const json_t *run, const json_t *build,
                     struct digest *ret, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(16 << 20);

    buf_add_text(&text, file->text);
    if (json_write(run, true, &text, err) < 0 || json_write(build, true, &text, err) < 0)
        return -1;
    *ret = digest_of(buf_str(&text));
    return 0;
}

struct work { /* one building of a stack */
    const struct stack_options *options;
    const struct stack_file *file;
    const char *dir, *layout_dir, *debs_dir;
    struct digest file_key;
    struct debs run, build;
    json_t *run_json, *build_json;
};

static void work_done(struct work *w)
{
    debs_done(&w->run);
    debs_done(&w->build);
    json_decref(w->run_json);
    json_decref(w->build_json);
}
DEFINE_CLEANUP_VALUE(work, struct work, work_done)

/* The build image, unpacked beside and then renamed. *ret_name: its folder's name. */
static int make_rootfs(const struct work *w, const struct digest *key, char **ret_name,
                       struct error *err)
{
    CLEANUP(text) char *name = str_format("build-%.16s", digest_hex(key));
    CLEANUP(text) char *path = name ? fs_join(w->dir, name) : NULL;
    CLEANUP(text) char *unfinished = path ? str_format("%s.unfinished", path) : NULL;
    struct merge_options merge = {&w->build,    &w->file->build_links, w->file->user_name,
                                  w->file->uid, w->file->gid,          buf_str(&w->file->trust)};

    if (!unfinished)
        return error_no_memory(err);
    if (!fs_exists(AT_FDCWD, path)) {
        if (fs_remove_tree(AT_FDCWD, unfinished, err) < 0 ||
            merge_into_dir(&merge, unfinished, err) < 0 ||
            fs_rename(AT_FDCWD, unfinished, path, err) < 0)
            return -1;
    }
    *ret_name = TAKE(name);
    return 0;
}

static int write_record(const struct work *w, const struct digest *key, const struct layer *base,
                        const char *rootfs, struct error *err)
{
    CLEANUP(text) char *path = fs_join(w->dir, "stack.json");
    CLEANUP(text) char *trust = fs_join(w->dir, "trust.pem");
    CLEANUP(text) char *root = fs_join(w->dir, rootfs);
    CLEANUP(buf) struct buf text = BUF_INIT(16 << 20);
    char when[CLOCK_TEXT_SIZE];

    if (!path || !trust || !root)
        return error_no_memory(err);
    CLEANUP(json)
    json_t *record = json_pack(
        "{s:s,s:s,s:s,s:s,s:{s:s,s:s,s:I},s:s,s:o,s:O,s:O,s:s}", "name", w->file->name, "owner",
        w->file->owner, "fileKey", w->file_key.text, "key", key->text, "base", "digest",
        base->descriptor.digest.text, "diffID", base->diff_id.text, "size",
        (json_int_t)base->descriptor.size, "rootfs", rootfs, "distro", read_distro(root), "run",
        w->run_json, "build", w->build_json, "builtAt", clock_rfc3339(clock_now_s(), when));
    if (!record)
        return error_no_memory(err);
    if (json_write_pretty(record, &text, err) < 0)
        return -1;
    if (w->file->trust.len &&
        fs_write_atomic(AT_FDCWD, trust, buf_str(&w->file->trust), 0644, err) < 0)
        return -1;
    return fs_write_atomic(AT_FDCWD, path, buf_str(&text), 0644, err);
}

static int resolve(struct work *w, struct error *err)
{
    const struct stack_file *f = w->file;

    if (debs_resolve(&f->run, &f->run_drop, w->debs_dir, &w->run, err) < 0 ||
        debs_resolve(&f->build, &f->build_drop, w->debs_dir, &w->build, err) < 0)
        return error_wrap(err, "stack '%s'", f->name);
    w->run_json = debs_to_json(&w->run);
    w->build_json = debs_to_json(&w->build);
    return w->run_json && w->build_json ? 0 : error_no_memory(err);
}

static int build(struct work *w, struct error *err)
{
    const struct stack_file *f = w->file;
    CLEANUP(layout) struct layout *layout = NULL;
    CLEANUP(text) char *rootfs = NULL;
    struct merge_options merge = {&w->run, &f->run_links, f->user_name,
                                  f->uid,  f->gid,        buf_str(&f->trust)};
    struct digest key;
    struct layer base;
    int64_t start = clock_monotonic_ms();

    if (resolve(w, err) < 0 || stack_key(&w->file_key, w->run_json, w->build_json, &key, err) < 0)
        return -1;
    say(w->options, "stack %s: %zu run and %zu build packages resolved (%lld ms)", f->name,
        w->run.count, w->build.count, (long long)(clock_monotonic_ms() - start));
    if (layout_open(w->layout_dir, LAYOUT_CREATE, &layout, err) < 0 ||
        merge_into_layer(&merge, layout, &base, err) < 0)
        return -1;
    say(w->options, "stack %s: base layer %s, %.1f MB (%lld ms)", f->name,
        base.descriptor.digest.text, (double)base.descriptor.size / 1e6,
        (long long)(clock_monotonic_ms() - start));
    if (make_rootfs(w, &key, &rootfs, err) < 0)
        return -1;
    say(w->options, "stack %s: build image unpacked (%lld ms)", f->name,
        (long long)(clock_monotonic_ms() - start));
    return write_record(w, &key, &base, rootfs, err);
}

static int open_or_build(struct work *w, struct stack **ret, bool *ret_built, struct error *err)
{
    struct error found = ERROR_INIT;
    CLEANUP(fd) int lock = -1;

    *ret_built = false;
    if (!w->options->refresh &&
        open_record(w->dir, w->layout_dir, w->file, &w->file_key, ret, &found) == 0)
        return 0;
    if (fs_make_dirs(AT_FDCWD, w->dir, 0755, err) < 0 ||
        fs_make_dirs(AT_FDCWD, w->debs_dir, 0755, err) < 0)
        return -1;
    CLEANUP(text) char *lock_path = fs_join(w->dir, "lock");
    if (!lock_path)
        return error_no_memory(err);
    if (fs_lock(AT_FDCWD, lock_path, true, &lock, err) < 0)
        return -1;
    /* somebody else may have built it while we waited */
    if (!w->options->refresh &&
        open_record(w->dir, w->layout_dir, w->file, &w->file_key, ret, &found) == 0)
        return 0;
    if (build(w, err) < 0)
        return -1;
    *ret_built = true;
    return open_record(w->dir, w->layout_dir, w->file, &w->file_key, ret, err);
}

int stack_build(const struct stack_options *options, struct stack **ret_stack, bool *ret_built,
                struct error *err)
{
    CLEANUP(stack_file) struct stack_file file = {.trust = BUF_INIT(TRUST_FILE_MAX)};
    CLEANUP(work) struct work work = {.options = options, .file = &file};
    CLEANUP(buf) struct buf text = BUF_INIT(DOC_BYTES_MAX);
    CLEANUP(doc) struct doc *doc = NULL;

    if (fs_read_at(AT_FDCWD, options->file, &text, err) < 0)
        return error_wrap(err, "reading the stack file");
    if (yaml_parse_one(options->file, buf_str(&text), &doc, err) < 0 ||
        stack_file_check(doc, &file, err) < 0 || file_key(doc, &file, &work.file_key, err) < 0)
        return -1;
    CLEANUP(text) char *dir = str_format("%s/gate/stacks/%s", options->home, file.name);
    CLEANUP(text) char *layout_dir = str_format("%s/gate/stacks/layout", options->home);
    CLEANUP(text) char *debs_dir = str_format("%s/gate/cache/debs", options->home);
    if (!dir || !layout_dir || !debs_dir)
        return error_no_memory(err);
    work.dir = dir;
    work.layout_dir = layout_dir;
    work.debs_dir = debs_dir;
    return open_or_build(&work, ret_stack, ret_built, err);
}

int stack_list(const char *home, json_t **ret_list, struct error *err)
{
    CLEANUP(text) char *dir = str_format("%s/gate/stacks", home);
    CLEANUP(strv) struct strv names = STRV_INIT;
    CLEANUP(json) json_t *list = json_array();

    if (!dir || !list)
        return error_no_memory(err);
    if (fs_exists(AT_FDCWD, dir) && fs_list(AT_FDCWD, dir, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(text) char *path = str_format("%s/%s/stack.json", dir, names.items[i]);
        CLEANUP(json) json_t *record = NULL;
        if (!path)
            return error_no_memory(err);
        if (!fs_exists(AT_FDCWD, path))
            continue;
        if (json_read_file(AT_FDCWD, path, &record, err) < 0)
            return -1;
        json_t *item = json_pack(
            "{s:O*,s:O*,s:O*,s:O*,s:O*,s:i,s:O*}", "name", json_at(record, "name"), "owner",
            json_at(record, "owner"), "key", json_at(record, "key"), "baseDigest",
            json_at(record, "base.digest"), "size", json_at(record, "base.size"), "packages",
            (int)json_array_size(json_at(record, "run")), "builtAt", json_at(record, "builtAt"));
        if (json_array_append_new(list, item) < 0)
            return error_no_memory(err);
    }
    *ret_list = TAKE(list);
    return 0;
}
