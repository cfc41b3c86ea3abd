/* build/buildpack.c - see buildpack.h. */
#include "build/buildpack.h"

#include <fcntl.h>

#include "base/fs.h"
#include "build/node.h"
#include "build/tree.h"
#include "wire/doc.h"

enum { API_MINOR_MIN = 8, API_MINOR_MAX = 12 };

static void buildpack_done(struct buildpack *b)
{
    free(b->id);
    free(b->version);
    free(b->name);
    free(b->homepage);
    free(b->escaped);
    free(b->dir);
    free(b->api);
    json_decref(b->sbom_formats);
    json_decref(b->owners);
}

void buildpacks_done(struct buildpacks *b)
{
    for (size_t i = 0; i < b->count; i++)
        buildpack_done(&b->items[i]);
    free(b->items);
    free(b->groups);
    *b = (struct buildpacks){0};
}

static bool id_is_fit(const char *id)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./-";
    static const char *const reserved[] = {"app", "config", "generated", "sbom", "", ".", ".."};

    for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
        if (strcmp(id, reserved[i]) == 0)
            return false;
    }
    return strspn(id, letters) == strlen(id) && strlen(id) < 200;
}

static char *text_or(const char *text, const char *otherwise)
{
    return strdup(text ? text : otherwise);
}

static char *escape(const char *id)
{
    char *copy = strdup(id);

    for (char *c = copy; c && *c; c++) {
        if (*c == '/')
            *c = '_';
    }
    return copy;
}

/* "0.N"; a bare "0" is not an API that we speak. */
static int parse_api(const struct doc *doc, const char *text, int *ret, struct error *err)
{
    struct str rest = str_of(text);
    struct str major = str_cut(&rest, '.');
    uint64_t minor = 0;

    if (!str_is(major, "0") || !str_to_u64(rest, &minor) || minor < API_MINOR_MIN ||
        minor > API_MINOR_MAX)
        return error_at(err, ERR_UNSUPPORTED, doc_place_key(doc, doc_root(doc), "api"),
                        "buildpack API '%s'; supported are 0.%d to 0.%d", text ? text : "",
                        API_MINOR_MIN, API_MINOR_MAX);
    *ret = (int)minor;
    return 0;
}

static int from_doc(const struct doc *doc, const char *dir, struct buildpack *b, struct error *err)
{
    const json_t *root = doc_root(doc), *bp = json_object_get(root, "buildpack");
    const char *id = json_str_at(bp, "id"), *version = json_str_at(bp, "version");
    const char *api = json_str_at(root, "api");

    if (!id || !id_is_fit(id))
        return error_at(err, ERR_INVALID, doc_place_key(doc, root, "buildpack"),
                        "expected buildpack.id of letters, digits, '.', '/' and '-'");
    if (!version || !version[0])
        return error_at(err, ERR_INVALID, doc_place_key(doc, root, "buildpack"),
                        "expected buildpack.version");
    if (parse_api(doc, api, &b->api_minor, err) < 0)
        return -1;
    b->id = strdup(id);
    b->version = strdup(version);
    b->name = text_or(json_str_at(bp, "name"), id);
    b->homepage = text_or(json_str_at(bp, "homepage"), "");
    b->escaped = escape(id);
    b->dir = strdup(dir);
    b->api = strdup(api);
    b->clear_env = json_bool_at(bp, "clear-env", false);
    b->sbom_formats = json_incref(json_object_get(bp, "sbom-formats"));
    b->owners = json_incref(json_at(root, "metadata.monban.owners"));
    if (!b->id || !b->version || !b->name || !b->homepage || !b->escaped || !b->dir || !b->api)
        return error_no_memory(err);
    return 0;
}

static int add_built_in(struct buildpack *b, struct error *err)
{
    b->id = strdup(NODE_BUILDPACK_ID);
    b->version = strdup(NODE_BUILDPACK_VERSION);
    b->name = strdup("Node.js runtime");
    b->homepage = strdup("");
    b->escaped = escape(NODE_BUILDPACK_ID);
    b->api = strdup("0.10");
    b->api_minor = 10;
    if (!b->id || !b->version || !b->name || !b->homepage || !b->escaped || !b->api)
        return error_no_memory(err);
    return 0;
}

static int load_all(const char *dir, struct buildpacks *all, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;

    if (fs_list(AT_FDCWD, dir, &names, err) < 0)
        return -1;
    all->items = calloc(BUILDPACKS_MAX + 1, sizeof(*all->items));
    if (!all->items)
        return error_no_memory(err);
    all->count = 1;
    if (add_built_in(&all->items[0], err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(text) char *sub = fs_join(dir, names.items[i]);
        CLEANUP(text) char *file = sub ? fs_join(sub, "buildpack.toml") : NULL;
        CLEANUP(doc) struct doc *doc = NULL;
        if (!file)
            return error_no_memory(err);
        if (!fs_exists(AT_FDCWD, file))
            continue;
        if (all->count == BUILDPACKS_MAX)
            return error_set(err, ERR_LIMIT, "more than %d buildpacks in '%s'", BUILDPACKS_MAX,
                             dir);
        all->count++;
        if (toml_read_file(AT_FDCWD, file, &doc, err) < 0 ||
            from_doc(doc, sub, &all->items[all->count - 1], err) < 0)
            return -1;
    }
    return 0;
}

static const struct buildpack *find(const struct buildpacks *all, const char *id,
                                    const char *version, size_t *ret)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct buildpack *b = &all->items[i];
        if (strcmp(b->id, id) == 0 && (!version || strcmp(b->version, version) == 0)) {
            *ret = i;
            return b;
        }
    }
    return NULL;
}

static int read_group(const struct doc *doc, const json_t *items, const struct buildpacks *all,
                      struct group *group, struct error *err)
{
    const json_t *item;
    size_t i;

    json_array_foreach(items, i, item)
    {
        const char *id = json_str_at(item, "id"), *version = json_str_at(item, "version");
        size_t index;
        if (!id || !find(all, id, version, &index))
            return error_at(err, ERR_NOT_FOUND, doc_place_item(doc, items, i),
                            "no buildpack '%s' %s in this folder", id ? id : "",
                            version ? version : "");
        if (group->count == GROUP_MAX)
            return error_at(err, ERR_LIMIT, doc_place_item(doc, items, i),
                            "a group of more than %d buildpacks", GROUP_MAX);
        group->items[group->count++] =
            (struct group_item){index, json_bool_at(item, "optional", false)};
    }
    return 0;
}

static int read_order(const char *path, struct buildpacks *all, struct error *err)
{
    CLEANUP(doc) struct doc *doc = NULL;
    const json_t *groups, *group;
    size_t i;

    if (toml_read_file(AT_FDCWD, path, &doc, err) < 0)
        return -1;
    groups = json_object_get(doc_root(doc), "order");
    all->groups = calloc(json_array_size(groups) + 1, sizeof(*all->groups));
    if (!all->groups)
        return error_no_memory(err);
    json_array_foreach(groups, i, group)
    {
        all->group_count++;
        if (read_group(doc, json_object_get(group, "group"), all, &all->groups[i], err) < 0)
            return -1;
    }
    return 0;
}

/* Without an order: the runtimes that Monban has, optionally, and each buildpack alone. */
static int default_order(struct buildpacks *all, struct error *err)
{
    all->groups = calloc(all->count + 1, sizeof(*all->groups));
    if (!all->groups)
        return error_no_memory(err);
    for (size_t i = 1; i < all->count; i++) {
        struct group *g = &all->groups[all->group_count++];
        g->items[g->count++] = (struct group_item){0, true};
        g->items[g->count++] = (struct group_item){i, false};
    }
    return 0;
}

int buildpacks_load(const char *dir, struct buildpacks *ret, struct error *err)
{
    CLEANUP(buildpacks) struct buildpacks all = {0};
    CLEANUP(text) char *order = fs_join(dir, "order.toml");

    if (!order)
        return error_no_memory(err);
    if (load_all(dir, &all, err) < 0)
        return error_wrap(err, "loading buildpacks");
    int result =
        fs_exists(AT_FDCWD, order) ? read_order(order, &all, err) : default_order(&all, err);
    if (result < 0)
        return -1;
    if (all.group_count == 0)
        return error_set(err, ERR_NOT_FOUND, "no buildpacks in '%s'", dir);
    if (tree_digest(dir, tree_skip_source, &all.digest, err) < 0)
        return -1;
    *ret = all;
    all = (struct buildpacks){0};
    return 0;
}
