/* sbom/npm.c - npm's records: package.json of an installed package or an app, and lock files.
 *
 * Source: npm docs, package.json and package-lock.json (lockfileVersion 1: nested "dependencies"; 2
 * and 3: flat "packages", whose keys are paths). */
#include "sbom/evidence.h"

enum { LOCK_DEPTH_MAX = 64, NAME_BYTES_MAX = 214 /* npm's own limit */ };

static struct str text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_string(value))
        return STR("");
    return str_slice(json_string_value(value), json_string_length(value));
}

/* As JSON.parse has it: a duplicate key is no error, the last one counts; a byte order mark is
 * skipped. A stricter reader would let a package hide from us that Node loads without a word. */
static int load(struct str text, json_t **ret, struct error *err)
{
    json_error_t fault;
    json_t *root;

    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = str_skip(text, 3);
    root = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_ALLOW_NUL, &fault);
    if (!root)
        return error_set(err, ERR_INVALID, "line %d column %d: %s", fault.line, fault.column,
                         fault.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(err, ERR_INVALID, "expected an object");
    }
    *ret = root;
    return 0;
}

/* A name that npm could have written: no control bytes, no way out of node_modules. */
static bool is_name(struct str name)
{
    if (name.len == 0 || name.len > NAME_BYTES_MAX || name.ptr[0] == '.' || name.ptr[0] == '/')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c <= ' ' || c == 0x7f || c == '\\' || c == '%')
            return false;
    }
    return str_find_text(name, STR("..")) < 0;
}

static bool is_version(struct str version)
{
    if (version.len == 0 || version.len > 256)
        return false;
    for (size_t i = 0; i < version.len; i++) {
        if ((unsigned char)version.ptr[i] <= ' ' || version.ptr[i] == 0x7f)
            return false;
    }
    return true;
}

/* {"name": "range", …} of each group → needs. Later groups do not repeat a name of an earlier one.
 */
static void take_needs(const json_t *object, const char *const *groups, struct texts *texts,
                       struct fact *fact)
{
    size_t room = 0;
    struct fact_need *needs;
    const char *key;
    json_t *value;

    for (size_t g = 0; groups[g]; g++)
        room += json_object_size(json_object_get(object, groups[g]));
    if (room == 0 || !(needs = texts_room(texts, room, sizeof *needs)))
        return;
    for (size_t g = 0; groups[g]; g++) {
        json_object_foreach(json_object_get(object, groups[g]), key, value)
        {
            bool is_known = false;
            for (size_t h = 0; h < g; h++)
                is_known |= json_object_get(json_object_get(object, groups[h]), key) != NULL;
            if (is_known || !is_name(str_of(key)))
                continue;
            needs[fact->need_count].name = texts_add(texts, str_of(key));
            needs[fact->need_count++].range =
                json_is_string(value) ? texts_add(texts, str_of(json_string_value(value))) : "";
        }
    }
    fact->needs = needs;
}

static const char *const installed_groups[] = {"dependencies", "optionalDependencies",
                                               "peerDependencies", NULL};
static const char *const app_groups[] = {"dependencies", "optionalDependencies", "devDependencies",
                                         "peerDependencies", NULL};

int npm_parse_manifest(struct str text, bool is_app, struct texts *texts, struct fact_list *out,
                       struct error *err)
{
    CLEANUP(json) json_t *root = NULL;
    struct fact fact = {
        .source_name = "", .source_version = "", .architecture = "", .location = ""};
    struct str name, version;

    if (load(text, &root, err) < 0)
        return -1;
    name = text_of(root, "name");
    version = text_of(root, "version");
    if (!is_app && (!is_name(name) || !is_version(version)))
        return error_set(err, ERR_INVALID, "expected 'name' and 'version'");
    fact.name = is_name(name) ? texts_add(texts, name) : "";
    fact.version = is_version(version) ? texts_add(texts, version) : "";
    take_needs(root, is_app ? app_groups : installed_groups, texts, &fact);
    if (fact_list_add(out, &fact, err) < 0)
        return -1;
    return texts_ok(texts, err);
}

/* "node_modules/a/node_modules/@s/b" → "@s/b". */
static struct str name_of_location(struct str location)
{
    struct str name = location;
    ptrdiff_t at;

    while ((at = str_find_text(name, STR("node_modules/"))) >= 0)
        name = str_skip(name, (size_t)at + strlen("node_modules/"));
    return name;
}

static bool is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* "name" stands in the entry where it is not the folder's: an alias ("npm:other@1"). */
static int add_flat(struct str location, const json_t *entry, struct texts *texts,
                    struct fact_list *out, struct error *err)
{
    struct fact fact = {.source_name = "", .source_version = "", .architecture = ""};
    struct str name = text_of(entry, "name");
    struct str version = text_of(entry, "version");
    bool is_app = location.len == 0;

    if (!json_is_object(entry) || is_true(entry, "link"))
        return 0;
    /* Workspaces: folders of the same repository, which are the app's, not packages. */
    if (!is_app && str_find_text(location, STR("node_modules/")) < 0)
        return 0;
    if (name.len == 0 && !is_app)
        name = name_of_location(location);
    if (!is_app && (!is_name(name) || !is_version(version)))
        return 0;
    fact.name = is_name(name) ? texts_add(texts, name) : "";
    fact.version = is_version(version) ? texts_add(texts, version) : "";
    fact.location = texts_add(texts, location);
    fact.is_dev = is_true(entry, "dev") || is_true(entry, "devOptional");
    take_needs(entry, is_app ? app_groups : installed_groups, texts, &fact);
    return fact_list_add(out, &fact, err);
}

static int add_nested(const json_t *dependencies, const char *parent, int depth,
                      struct texts *texts, struct fact_list *out, struct error *err)
{
    static const char *const groups[] = {"requires", NULL};
    const char *key;
    json_t *entry;

    if (depth > LOCK_DEPTH_MAX)
        return error_set(err, ERR_LIMIT, "dependencies nested deeper than %d", LOCK_DEPTH_MAX);
    json_object_foreach((json_t *)dependencies, key, entry)
    {
        struct fact fact = {.source_name = "", .source_version = "", .architecture = ""};
        struct str name = str_of(key);
        struct str version = text_of(entry, "version");
        if (!json_is_object(entry) || !is_name(name))
            continue;
        fact.location = texts_addf(texts, "%s%snode_modules/%s", parent, parent[0] ? "/" : "", key);
        if (str_starts(version, STR("npm:"))) { /* an alias: "npm:real@1.2.3" */
            struct str real = str_skip(version, 4);
            ptrdiff_t at = str_find_last(real, '@');
            if (at > 0) {
                name = str_first(real, (size_t)at);
                version = str_skip(real, (size_t)at + 1);
            }
        }
        if (is_name(name) && is_version(version) && str_find(version, ':') < 0) {
            fact.name = texts_add(texts, name);
            fact.version = texts_add(texts, version);
            fact.is_dev = is_true(entry, "dev");
            take_needs(entry, groups, texts, &fact);
            if (fact_list_add(out, &fact, err) < 0)
                return -1;
        }
        if (add_nested(json_object_get(entry, "dependencies"), fact.location, depth + 1, texts, out,
                       err) < 0)
            return -1;
    }
    return texts_ok(texts, err);
}

/* A lock file of version 1 does not say what the app itself asks for: that stands in package.json.
 */
static int parse_lock_1(const json_t *root, struct texts *texts, struct fact_list *out,
                        struct error *err)
{
    struct fact app = {.source_name = "", .source_version = "", .architecture = "", .location = ""};
    struct str name = text_of(root, "name");
    struct str version = text_of(root, "version");

    app.name = is_name(name) ? texts_add(texts, name) : "";
    app.version = is_version(version) ? texts_add(texts, version) : "";
    if (fact_list_add(out, &app, err) < 0)
        return -1;
    return add_nested(json_object_get(root, "dependencies"), "", 0, texts, out, err);
}

int npm_parse_lock(struct str text, struct texts *texts, struct fact_list *out, struct error *err)
{
    CLEANUP(json) json_t *root = NULL;
    const json_t *packages;
    const char *key;
    json_t *entry;

    if (load(text, &root, err) < 0)
        return -1;
    packages = json_object_get(root, "packages");
    if (!packages && json_is_object(json_object_get(root, "dependencies")))
        return parse_lock_1(root, texts, out, err);
    if (!packages && json_is_integer(json_object_get(root, "lockfileVersion")))
        return parse_lock_1(root, texts, out, err); /* an app without dependencies */
    if (!json_is_object(packages))
        return error_set(err, ERR_INVALID, "expected 'packages' or 'dependencies' to be an object");
    entry = json_object_get(packages, "");
    if (add_flat(STR(""), entry ? entry : root, texts, out, err) < 0)
        return -1;
    json_object_foreach((json_t *)packages, key, entry)
    {
        if (key[0] && add_flat(str_of(key), entry, texts, out, err) < 0)
            return -1;
    }
    return texts_ok(texts, err);
}
