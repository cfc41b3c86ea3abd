/* build/stack_apt.c - apt as the resolver: the closure of a package list over an empty dpkg status,
 * and the packages' files. apt verifies what it fetches against the signed lists of the machine. */
#include <fcntl.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/proc.h"
#include "build/stack_internal.h"

enum {
    APT_TIMEOUT_MS = 15 * 60 * 1000, /* a build image is 100 MB over a slow line */
    APT_OUTPUT_MAX = 4 << 20,
    CONTROL_MAX = 256 << 10, /* bytes of a control record; the largest in Debian is 40 kB */
};

void debs_done(struct debs *debs)
{
    for (size_t i = 0; i < debs->count; i++) {
        struct deb *p = &debs->items[i];
        free(p->name);
        free(p->version);
        free(p->architecture);
        free(p->source);
        free(p->file);
        free(p->control);
    }
    free(debs->items);
    *debs = (struct debs){0};
}

/* apt-get with the options that make it see an empty system. */
static void apt_arguments(struct strv *argv, const char *scratch, const char *archives)
{
    strv_add(argv, "apt-get");
    strv_addf(argv, "-oDir::State::status=%s/status", scratch);
    strv_addf(argv, "-oDir::Cache::archives=%s", archives);
    /* no shared binary caches: two stacks may resolve at once, and / may be read-only */
    strv_add(argv, "-oDir::Cache::pkgcache=");
    strv_add(argv, "-oDir::Cache::srcpkgcache=");
    strv_add(argv, "-oDebug::NoLocking=true");
    strv_add(argv, "-oAPT::Install-Recommends=false");
    strv_add(argv, "-oAPT::Sandbox::User=root"); /* the folders are ours alone */
    strv_add(argv, "-y");
    strv_add(argv, "-qq");
}

static int run_apt(const struct strv *argv, struct buf *out, struct error *err)
{
    static const char *const path[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
                                       "DEBIAN_FRONTEND=noninteractive", NULL};
    struct proc_options options = PROC_OPTIONS_INIT;

    options.argv = (const char *const *)argv->items;
    options.envp = path;
    if (strv_ok(argv, err) < 0)
        return -1;
    return proc_run(&options, STR_NONE, out, APT_TIMEOUT_MS, NULL, err);
}

/* Names of the .deb files of the closure: second word of each line of --print-uris. */
static int closure_files(const struct strv *wanted, const char *scratch, struct strv *files,
                         struct error *err)
{
    CLEANUP(buf) struct buf out = BUF_INIT(APT_OUTPUT_MAX);
    CLEANUP(strv) struct strv argv = STRV_INIT;

    apt_arguments(&argv, scratch, scratch);
    strv_add(&argv, "--print-uris");
    strv_add(&argv, "install");
    strv_add(&argv, "--");
    for (size_t i = 0; i < wanted->count; i++)
        strv_add(&argv, wanted->items[i]);
    if (run_apt(&argv, &out, err) < 0)
        return -1;

    struct str rest = buf_str(&out);
    while (rest.len) {
        struct str line = str_cut(&rest, '\n');
        if (!str_starts(line, STR("'")))
            continue;
        (void)str_word(&line); /* the address */
        struct str file = str_word(&line);
        if (!str_ends(file, STR(".deb")) || str_find(file, '/') >= 0)
            return error_set(err, ERR_INVALID, "apt named no package file: '%.*s'", STR_ARG(file));
        strv_add_str(files, file);
    }
    return strv_ok(files, err);
}

static int download(const struct strv *wanted, const char *scratch, const char *debs_dir,
                    struct error *err)
{
    CLEANUP(buf) struct buf out = BUF_INIT(APT_OUTPUT_MAX);
    CLEANUP(strv) struct strv argv = STRV_INIT;

    apt_arguments(&argv, scratch, debs_dir);
    strv_add(&argv, "--download-only");
    strv_add(&argv, "install");
    strv_add(&argv, "--");
    for (size_t i = 0; i < wanted->count; i++)
        strv_add(&argv, wanted->items[i]);
    return run_apt(&argv, &out, err);
}

/* A field of a control record (deb-control(5)): the first line of its value. */
static struct str control_field(struct str control, const char *name)
{
    while (control.len) {
        struct str line = str_cut(&control, '\n');
        struct str value = line;
        struct str key = str_cut(&value, ':');
        if (value.ptr && str_is(key, name))
            return str_trim(value);
    }
    return STR_NONE;
}

static char *text_of(struct str s)
{
    return s.ptr ? strndup(s.ptr, s.len) : strdup("");
}

static int deb_read(const char *file, struct deb *ret, struct error *err)
{
    CLEANUP(buf) struct buf control = BUF_INIT(CONTROL_MAX);

    if (PROC_RUN(&control, 30000, err, "dpkg-deb", "-f", file) < 0)
        return error_wrap(err, "reading package '%s'", file);

    struct str text = buf_str(&control);
    struct str name = control_field(text, "Package");
    struct str source = control_field(text, "Source");
    if (!name.len || str_find(name, '/') >= 0 || !control_field(text, "Version").len)
        return error_set(err, ERR_INVALID, "package '%s' has no name or version", file);
    ret->name = text_of(name);
    ret->version = text_of(control_field(text, "Version"));
    ret->architecture = text_of(control_field(text, "Architecture"));
    ret->source = text_of(source.len ? str_word(&source) : name); /* "gcc-12 (12.2.0-14)" */
    ret->file = strdup(file);
    ret->control = text_of(text);
    if (!ret->name || !ret->version || !ret->architecture || !ret->source || !ret->file ||
        !ret->control)
        return error_no_memory(err);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct deb *)a)->name, ((const struct deb *)b)->name);
}

static int read_all(const struct strv *files, const struct strv *drop, const char *debs_dir,
                    struct debs *ret, struct error *err)
{
    CLEANUP(debs) struct debs found = {0};

    if (files->count > DEBS_MAX)
        return error_set(err, ERR_LIMIT, "more than %d packages", DEBS_MAX);
    found.items = calloc(files->count + 1, sizeof(*found.items));
    if (!found.items)
        return error_no_memory(err);
    for (size_t i = 0; i < files->count; i++) {
        struct str name = str_of(files->items[i]);
        CLEANUP(text) char *short_name = text_of(str_cut(&name, '_'));
        if (short_name && strv_has(drop, short_name))
            continue;
        CLEANUP(text) char *path = fs_join(debs_dir, files->items[i]);
        if (!path)
            return error_no_memory(err);
        found.count++; /* counted first, so that a half-read one is freed */
        if (deb_read(path, &found.items[found.count - 1], err) < 0)
            return -1;
    }
    qsort(found.items, found.count, sizeof(*found.items), by_name);
    *ret = found;
    found = (struct debs){0};
    return 0;
}

static bool all_there(const struct strv *files, const char *debs_dir)
{
    for (size_t i = 0; i < files->count; i++) {
        CLEANUP(text) char *path = fs_join(debs_dir, files->items[i]);
        if (!path || !fs_exists(AT_FDCWD, path))
            return false;
    }
    return true;
}

static int resolve_in(const char *scratch, const struct strv *wanted, const struct strv *drop,
                      const char *debs_dir, struct debs *ret, struct error *err)
{
    CLEANUP(strv) struct strv files = STRV_INIT;
    CLEANUP(text) char *partial = fs_join(scratch, "partial");
    CLEANUP(text) char *status = fs_join(scratch, "status");
    CLEANUP(text) char *debs_partial = fs_join(debs_dir, "partial");

    if (!partial || !status || !debs_partial)
        return error_no_memory(err);
    if (fs_make_dirs(AT_FDCWD, partial, 0755, err) < 0 ||
        fs_make_dirs(AT_FDCWD, debs_partial, 0755, err) < 0 ||
        fs_write_quick(AT_FDCWD, status, STR(""), 0644, err) < 0)
        return -1;
    if (closure_files(wanted, scratch, &files, err) < 0)
        return error_wrap(err, "resolving packages");
    if (!all_there(&files, debs_dir) && download(wanted, scratch, debs_dir, err) < 0)
        return error_wrap(err, "fetching packages");
    return read_all(&files, drop, debs_dir, ret, err);
}

int debs_resolve(const struct strv *wanted, const struct strv *drop, const char *debs_dir,
                 struct debs *ret, struct error *err)
{
    CLEANUP(text) char *scratch = NULL;
    struct error ignored = ERROR_INIT;

    if (fs_make_temp_dir("/tmp/monban-apt-", &scratch, err) < 0)
        return -1;
    int result = resolve_in(scratch, wanted, drop, debs_dir, ret, err);
    if (fs_remove_tree(AT_FDCWD, scratch, &ignored) < 0)
        error_clear(&ignored); /* a leftover in /tmp harms nobody */
    return result;
}

json_t *debs_to_json(const struct debs *debs)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < debs->count; i++) {
        const struct deb *p = &debs->items[i];
        if (json_array_append_new(array, json_pack("{s:s,s:s,s:s,s:s}", "name", p->name, "version",
                                                   p->version, "architecture", p->architecture,
                                                   "source", p->source)) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}
