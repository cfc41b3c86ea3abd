/* platform/platform.c - loads the folder: platform.yaml first, since all else names its clusters;
 * then each sub-folder. */
#include <fcntl.h>
#include <limits.h>

#include "base/fs.h"
#include "platform/platform_internal.h"

enum {
    FILE_MAX = 1 << 20,        /* bytes of one file */
    BUILD_TIMEOUT_MS = 900000, /* 15 minutes: a cold npm ci of a large app takes 3 */
    FIRST_ITEMS = 8,
};

#define MACHINE_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

/* One kind of document, the sub-folder it lives in, and who reads it. */
static const struct {
    const char *folder;
    const char *kind;
    void (*read)(struct platform *p, const struct fields *f, const json_t *root);
} parts[] = {
    {"stacks", "Stack", stacks_read},
    {"conventions", "Convention", conventions_read},
    {"services", "ServiceInstances", services_read},
    {"agents", "Agent", agents_read},
    {"waivers", "Waivers", waivers_read},
};

void *platform_grow(void **items, size_t *count, size_t *capacity, size_t size)
{
    if (*count == PLATFORM_ITEMS_MAX)
        return NULL;
    if (*count == *capacity) {
        size_t wanted = *capacity ? *capacity * 2 : FIRST_ITEMS;
        void *grown = reallocarray(*items, wanted, size);
        if (!grown)
            return NULL;
        *items = grown;
        *capacity = wanted;
    }
    char *item = (char *)*items + *count * size;
    memset(item, 0, size);
    (*count)++;
    return item;
}

const char *platform_keep(struct platform *p, char *take_text)
{
    size_t before = p->texts.count;

    if (take_text)
        strv_add(&p->texts, take_text);
    free(take_text);
    return p->texts.count > before ? p->texts.items[before] : NULL;
}

const char *platform_path(struct platform *p, const char *path)
{
    return platform_keep(p, path[0] == '/' ? str_dup(str_of(path)) : fs_join(p->dir, path));
}

void platform_free(struct platform *p)
{
    if (!p)
        return;
    free(p->checks.items);
    free(p->services.items);
    free(p->agents.items);
    free(p->stacks.items);
    free(p->waivers.items);
    free(p->sources.items);
    free(p->conventions.items);
    for (size_t i = 0; i < p->docs.count; i++)
        doc_free(p->docs.items[i]);
    free(p->docs.items);
    strv_done(&p->texts);
    strv_done(&p->check_names);
    strv_done(&p->build_hosts);
    free(p->dir);
    free(p);
}

/* --- platform.yaml */

static void read_build(struct platform *p, const struct fields *f, const json_t *spec)
{
    static const char *const keys[] = {"stack", "allowedHosts", "trustBundle", "timeout", NULL};
    json_t *build = field_get(f, spec, "build", JSON_OBJECT);

    p->default_stack = "base";
    p->trust_bundle = MACHINE_BUNDLE;
    p->build_timeout_ms = BUILD_TIMEOUT_MS;
    if (!build)
        return;
    doc_check_keys(f->doc, build, "build", keys, f->faults);
    const char *stack = field_text(f, build, "stack");
    const char *bundle = field_text(f, build, "trustBundle");
    json_t *hosts = field_get(f, build, "allowedHosts", JSON_ARRAY);
    p->build_timeout_ms = field_duration_ms(f, build, "timeout", BUILD_TIMEOUT_MS);
    if (stack) {
        p->default_stack = stack;
        p->default_stack_place = doc_place_key(f->doc, build, "stack");
    }
    if (bundle)
        p->trust_bundle = platform_path(p, bundle);
    if (bundle && p->trust_bundle && !fs_exists(AT_FDCWD, p->trust_bundle))
        error_list_add(f->faults, ERR_NOT_FOUND, doc_place_key(f->doc, build, "trustBundle"),
                       "there is no file '%s'", p->trust_bundle);
    for (size_t i = 0; i < json_array_size(hosts); i++) {
        const char *host = json_string_value(json_array_get(hosts, i));
        if (host && *host && !strpbrk(host, "/: "))
            strv_add(&p->build_hosts, host);
        else
            error_list_add(f->faults, ERR_INVALID, doc_place_item(f->doc, hosts, i),
                           "expected the name of a host");
    }
}

static void read_sources(struct platform *p, const struct fields *f, const json_t *spec)
{
    static const char *const keys[] = {"app", "url", "branch", "poll", NULL};
    enum { POLL_MS = 60000, POLL_LEAST_MS = 1000 };
    json_t *sources = field_get(f, spec, "sources", JSON_ARRAY);

    for (size_t i = 0; i < json_array_size(sources); i++) {
        json_t *item = field_item(f, sources, i, "sources");
        struct platform_source *source = item ? GROW(&p->sources) : NULL;
        if (!source)
            continue;
        doc_check_keys(f->doc, item, "sources", keys, f->faults);
        source->app = field_need_text(f, item, "app", "sources");
        source->url = field_need_text(f, item, "url", "sources");
        source->branch = field_text(f, item, "branch");
        source->poll_ms = field_duration_ms(f, item, "poll", POLL_MS);
        if (!source->branch)
            source->branch = "main";
        if (source->poll_ms < POLL_LEAST_MS)
            source->poll_ms = POLL_LEAST_MS;
        field_check_label(f, item, "app", source->app);
    }
}

static void platform_yaml_read(struct platform *p, const struct fields *f, const json_t *root)
{
    static const char *const keys[] = {"clusters", "checks", "build", "sources", NULL};
    json_t *metadata = field_need(f, root, "metadata", JSON_OBJECT, "a Platform");
    json_t *spec = field_need(f, root, "spec", JSON_OBJECT, "a Platform");

    p->name = metadata ? field_need_text(f, metadata, "name", "metadata") : NULL;
    if (!spec)
        return;
    doc_check_keys(f->doc, spec, "spec", keys, f->faults);
    road_read(p, f, spec);
    checks_read(p, f, spec);
    read_build(p, f, spec);
    read_sources(p, f, spec);
}

/* --- documents */

/* What every document of the folder has in common. */
static bool is_of_kind(const struct fields *f, const json_t *root, const char *kind)
{
    static const char *const keys[] = {"apiVersion", "kind", "metadata", "spec", NULL};

    if (!json_is_object(root)) {
        error_list_add(f->faults, ERR_INVALID, (struct place){doc_file(f->doc), 1, 1},
                       "expected a document of kind %s", kind);
        return false;
    }
    doc_check_keys(f->doc, root, kind, keys, f->faults);
    const char *version = field_need_text(f, root, "apiVersion", kind);
    const char *found = field_need_text(f, root, "kind", kind);
    if (version && strcmp(version, PLATFORM_API_VERSION) != 0)
        error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, root, "apiVersion"),
                       "expected apiVersion: " PLATFORM_API_VERSION ", got '%s'", version);
    if (found && strcmp(found, kind) != 0)
        error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, root, "kind"),
                       "expected kind: %s in this folder, got '%s'", kind, found);
    return found && strcmp(found, kind) == 0;
}

struct loading {
    struct platform *p;
    struct error_list faults;
    struct sha256 *hash; /* owned */
    int dir_fd;
};

static void loading_done(struct loading *l)
{
    error_list_done(&l->faults);
    sha256_free(l->hash);
    io_close(&l->dir_fd);
}
DEFINE_CLEANUP_VALUE(loading, struct loading, loading_done)

/* A YAML error is a fault like others, so that one bad file does not hide those of the next. */
static void add_error(struct loading *l, const struct error *err)
{
    error_list_add(&l->faults, err->kind, (struct place){0}, "%s", err->text);
    if (l->faults.count > 0 && err->place[0])
        memcpy(l->faults.items[l->faults.count - 1].place, err->place, sizeof(err->place));
}

/* Reads, hashes and parses a file; its documents belong to the platform from here on. *ret_first is
 * the index of the first. Only NO_MEMORY and its like end the loading. */
static int load_file(struct loading *l, const char *path, size_t *ret_first, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(FILE_MAX);
    CLEANUP(docs) struct docs docs = {0};
    CLEANUP(text) char *label = str_format("platform/%s", path);
    struct digest contents;

    if (!label)
        return error_no_memory(err);
    *ret_first = l->p->docs.count;
    if (fs_read_at(l->dir_fd, path, &text, err) < 0)
        return error_wrap(err, "reading the platform folder");
    contents = digest_of(buf_str(&text));
    sha256_add(l->hash, path, strlen(path) + 1);
    sha256_add(l->hash, contents.text, strlen(contents.text));
    if (yaml_parse(label, buf_str(&text), &docs, err) < 0) {
        add_error(l, err);
        error_clear(err);
        return 0;
    }
    for (size_t i = 0; i < docs.count; i++) {
        struct doc **slot = GROW(&l->p->docs);
        if (!slot)
            return error_set(err, ERR_LIMIT, "more than %d documents", PLATFORM_ITEMS_MAX);
        *slot = TAKE(docs.items[i]);
    }
    return 0;
}

static bool is_yaml(const char *name)
{
    return name[0] != '.' &&
           (str_ends(str_of(name), STR(".yaml")) || str_ends(str_of(name), STR(".yml")));
}

static int load_folder(struct loading *l, size_t part, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;
    size_t files = 0;

    if (!fs_exists(l->dir_fd, parts[part].folder))
        return 0;
    if (fs_list(l->dir_fd, parts[part].folder, &names, err) < 0)
        return error_wrap(err, "reading the platform folder");
    for (size_t i = 0; i < names.count; i++) {
        size_t first;
        if (!is_yaml(names.items[i]))
            continue;
        if (++files > PLATFORM_FILES_MAX)
            return error_set(err, ERR_LIMIT, "more than %d files in '%s'", PLATFORM_FILES_MAX,
                             parts[part].folder);
        CLEANUP(text) char *path = fs_join(parts[part].folder, names.items[i]);
        if (!path)
            return error_no_memory(err);
        if (load_file(l, path, &first, err) < 0)
            return -1;
        for (; first < l->p->docs.count; first++) {
            const struct doc *doc = l->p->docs.items[first];
            const struct fields f = {doc, &l->faults};
            if (is_of_kind(&f, doc_root(doc), parts[part].kind))
                parts[part].read(l->p, &f, doc_root(doc));
        }
    }
    return 0;
}

static int load_platform_yaml(struct loading *l, struct error *err)
{
    size_t first;

    if (!fs_exists(l->dir_fd, "platform.yaml"))
        return error_set(err, ERR_NOT_FOUND,
                         "there is no platform.yaml in '%s'; 'monban platform init' makes one",
                         l->p->dir);
    if (load_file(l, "platform.yaml", &first, err) < 0)
        return -1;
    if (first == l->p->docs.count)
        return 0;
    if (l->p->docs.count - first > 1)
        error_list_add(
            &l->faults, ERR_INVALID,
            doc_place(l->p->docs.items[first + 1], doc_root(l->p->docs.items[first + 1])),
            "platform.yaml holds one document");
    const struct doc *doc = l->p->docs.items[first];
    const struct fields f = {doc, &l->faults};
    if (is_of_kind(&f, doc_root(doc), "Platform"))
        platform_yaml_read(l->p, &f, doc_root(doc));
    return 0;
}

static void check_default_stack(struct loading *l)
{
    if (l->p->default_stack_place.file && !platform_stack(l->p, l->p->default_stack))
        error_list_add(&l->faults, ERR_INVALID, l->p->default_stack_place,
                       "there is no stack '%s' in platform/stacks", l->p->default_stack);
}

int platform_read(const char *dir, struct platform **ret, struct error *err)
{
    CLEANUP(platform) struct platform *p = calloc(1, sizeof(*p));
    CLEANUP(loading) struct loading l = {.p = p, .hash = sha256_new(), .dir_fd = -1};

    if (!p || !l.hash)
        return error_no_memory(err);
    p->dir = realpath(dir, NULL);
    if (!p->dir)
        return error_errno(err, "platform folder '%s'", dir);
    if (fs_open_dir(AT_FDCWD, p->dir, &l.dir_fd, err) < 0 || load_platform_yaml(&l, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (load_folder(&l, i, err) < 0)
            return -1;
    check_default_stack(&l);
    error_list_sort(&l.faults);
    if (error_list_check(&l.faults, err) < 0 || strv_ok(&p->texts, err) < 0 ||
        strv_ok(&p->build_hosts, err) < 0 || strv_ok(&p->check_names, err) < 0)
        return -1;
    p->digest = sha256_end_digest(l.hash);
    *ret = TAKE(p);
    return 0;
}

/* --- what callers ask */

const struct digest *platform_digest(const struct platform *p)
{
    return &p->digest;
}

const char *platform_name(const struct platform *p)
{
    return p->name;
}

const char *platform_dir(const struct platform *p)
{
    return p->dir;
}

const struct platform_source *platform_sources(const struct platform *p, size_t *ret_count)
{
    *ret_count = p->sources.count;
    return p->sources.items;
}

const struct strv *platform_build_hosts(const struct platform *p)
{
    return &p->build_hosts;
}

const char *platform_trust_bundle(const struct platform *p)
{
    return p->trust_bundle;
}

const char *platform_default_stack(const struct platform *p)
{
    return p->default_stack;
}

int64_t platform_build_timeout_ms(const struct platform *p)
{
    return p->build_timeout_ms;
}
