/* workload/workload.c - loads workload.yaml, or makes the default, and answers what stages ask. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "workload/workload_internal.h"

enum { DEFAULT_PORT = 80, DEFAULT_CONTAINER_PORT = 8080 };

const char *workload_type_name(enum workload_type type)
{
    static const char *const names[] = {"web", "server", "worker"};

    return names[type];
}

void workload_free(struct workload *w)
{
    if (!w)
        return;
    json_decref(w->root);
    json_decref(w->none);
    json_decref(w->nothing);
    doc_free(w->doc);
    free(w);
}

static enum workload_type read_type(const json_t *root)
{
    const char *type =
        json_string_value(json_object_get(json_at(root, "metadata.labels"), WORKLOAD_TYPE_LABEL));

    if (type && strcmp(type, "server") == 0)
        return WORKLOAD_SERVER;
    if (type && strcmp(type, "worker") == 0)
        return WORKLOAD_WORKER;
    return WORKLOAD_WEB;
}

static void add_port(struct workload *w, const char *name, int64_t port, int64_t container_port)
{
    size_t i = w->port_count++;

    if (name)
        (void)snprintf(w->port_names[i], sizeof(w->port_names[i]), "%s", name);
    else
        (void)snprintf(w->port_names[i], sizeof(w->port_names[i]), "port-%d", (int)port);
    w->ports[i] =
        (struct workload_port){w->port_names[i], (uint16_t)port, (uint16_t)container_port};
}

/* The param `ports`; else the default of the type: HTTP on 80, which is 8080 inside. */
static void read_ports(struct workload *w)
{
    const json_t *ports = workload_param(w, "ports");
    size_t i;
    json_t *port;

    json_array_foreach(ports, i, port)
    {
        int64_t number = json_int_at(port, "port", 0);
        if (w->port_count < WORKLOAD_PORTS_MAX)
            add_port(w, json_str_at(port, "name"), number,
                     json_int_at(port, "containerPort", number));
    }
    if (w->port_count == 0 && w->type == WORKLOAD_WEB)
        add_port(w, "http", DEFAULT_PORT, DEFAULT_CONTAINER_PORT);
    if (w->port_count == 0 && w->type == WORKLOAD_SERVER)
        add_port(w, "http", DEFAULT_CONTAINER_PORT, DEFAULT_CONTAINER_PORT);
}

static void read_claims(struct workload *w)
{
    const json_t *claims = json_at(w->root, "spec.serviceClaims");
    size_t i;
    json_t *claim;

    json_array_foreach(claims, i, claim)
    {
        const json_t *ref = json_object_get(claim, "ref");
        if (w->claim_count == WORKLOAD_CLAIMS_MAX)
            return;
        w->claims[w->claim_count++] = (struct workload_claim){
            .name = json_str_at(claim, "name"),
            .service = json_str_at(ref, "name"),
            .kind = json_str_at(ref, "kind"),
            .api_version = json_str_at(ref, "apiVersion"),
            .place = doc_place_key(w->doc, ref, "name"),
        };
    }
}

/* Makes the workload of a checked tree. Both are consumed; take_doc may be NULL. */
static int new_workload(struct doc *take_doc, json_t *take_root, struct workload **ret,
                        struct error *err)
{
    CLEANUP(workload) struct workload *w = calloc(1, sizeof(*w));

    if (!w) {
        doc_free(take_doc);
        json_decref(take_root);
        return error_no_memory(err);
    }
    w->doc = take_doc;
    w->root = take_root;
    w->none = json_array();
    w->nothing = json_object();
    if (!w->root || !w->none || !w->nothing)
        return error_no_memory(err);
    w->type = read_type(w->root);
    read_ports(w);
    read_claims(w);
    *ret = TAKE(w);
    return 0;
}

/* Which document is the Workload: the one of that kind; a lone document is meant to be it, whatever
 * it says. */
static int find_document(const char *file, const struct docs *docs, size_t *ret, struct error *err)
{
    size_t found = SIZE_MAX;

    for (size_t i = 0; i < docs->count; i++) {
        json_t *root = doc_root(docs->items[i]);
        const char *kind = json_string_value(json_object_get(root, "kind"));
        if (!kind || strcmp(kind, "Workload") != 0)
            continue;
        if (found != SIZE_MAX)
            return error_at(err, ERR_INVALID, doc_place_key(docs->items[i], root, "kind"),
                            "a second Workload; a repository has one");
        found = i;
    }
    if (found == SIZE_MAX && docs->count == 1)
        found = 0;
    if (found == SIZE_MAX)
        return error_at(err, ERR_INVALID, (struct place){file, 1, 1},
                        "expected a document with kind: Workload, found none");
    *ret = found;
    return 0;
}

int workload_parse(const char *file, struct str text, struct workload **ret, struct error *err)
{
    CLEANUP(docs) struct docs docs = {0};
    CLEANUP(error_list) struct error_list faults = ERROR_LIST_INIT;
    size_t index = 0;

    if (text.len > WORKLOAD_FILE_MAX)
        return error_at(err, ERR_LIMIT, (struct place){file, 0, 0}, "larger than %d KiB",
                        WORKLOAD_FILE_MAX >> 10);
    if (yaml_parse(file, text, &docs, err) < 0 || find_document(file, &docs, &index, err) < 0)
        return -1;
    fields_check(docs.items[index], &faults);
    error_list_sort(&faults);
    if (error_list_check(&faults, err) < 0)
        return -1;
    struct doc *doc = TAKE(docs.items[index]);
    return new_workload(doc, json_incref(doc_root(doc)), ret, err);
}

/* The last part of a path or URL, made into a name that an object may have. */
static void name_of_repository(const char *repository, char out[64])
{
    struct str name = str_trim_end(str_of(repository), '/');
    ptrdiff_t slash = str_find_last(name, '/');
    size_t len = 0;

    if (slash >= 0)
        name = str_skip(name, (size_t)slash + 1);
    if (str_ends(name, STR(".git")))
        name.len -= 4;
    for (size_t i = 0; i < name.len && len < 63; i++) {
        char ch = name.ptr[i];
        if (ch >= 'A' && ch <= 'Z')
            ch = (char)(ch - 'A' + 'a');
        bool is_plain = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9');
        if (is_plain)
            out[len++] = ch;
        else if (len > 0 && out[len - 1] != '-')
            out[len++] = '-';
    }
    while (len > 0 && out[len - 1] == '-')
        len--;
    out[len] = '\0';
    if (len == 0)
        (void)snprintf(out, 64, "app");
}

int workload_new_default(const char *repository, struct workload **ret, struct error *err)
{
    char name[64];

    name_of_repository(repository, name);
    json_t *root = json_pack("{s:s, s:s, s:{s:s}, s:{}}", "apiVersion", "carto.run/v1alpha1",
                             "kind", "Workload", "metadata", "name", name, "spec");
    if (!root)
        return error_no_memory(err);
    return new_workload(NULL, root, ret, err);
}

/* Text of a file of the tree. A tree is hostile: links stay beneath it, and only a regular file is
 * read. */
static int read_tree_file(int tree_fd, const char *path, struct buf *out, struct error *err)
{
    CLEANUP(fd) int fd = -1;
    struct stat info;

    if (fs_open_beneath(tree_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, err) < 0)
        return -1;
    if (fstat(fd, &info) < 0)
        return error_errno(err, "reading '%s'", path);
    if (!S_ISREG(info.st_mode))
        return error_at(err, ERR_INVALID, (struct place){path, 0, 0}, "expected a file");
    if (info.st_size > WORKLOAD_FILE_MAX)
        return error_at(err, ERR_LIMIT, (struct place){path, 0, 0}, "larger than %d KiB",
                        WORKLOAD_FILE_MAX >> 10);
    return io_read_all(fd, out, err);
}

int workload_read(int tree_fd, const char *repository, struct workload **ret, struct error *err)
{
    static const char *const paths[] = {WORKLOAD_FILE, "config/" WORKLOAD_FILE};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        CLEANUP(buf) struct buf text = BUF_INIT(WORKLOAD_FILE_MAX + 1);
        if (read_tree_file(tree_fd, paths[i], &text, err) == 0)
            return workload_parse(paths[i], buf_str(&text), ret, err);
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
    }
    return workload_new_default(repository, ret, err);
}

const char *workload_name(const struct workload *w)
{
    return json_str_at(w->root, "metadata.name");
}

const char *workload_namespace(const struct workload *w)
{
    const char *name = json_str_at(w->root, "metadata.namespace");

    return name ? name : "default";
}

enum workload_type workload_type(const struct workload *w)
{
    return w->type;
}

const char *workload_sub_path(const struct workload *w)
{
    const char *path = json_str_at(w->root, "spec.source.subPath");

    return path ? path : "";
}

const char *workload_image(const struct workload *w)
{
    return json_str_at(w->root, "spec.image");
}

int workload_open_sub_path(const struct workload *w, int tree_fd, int *ret_fd, struct error *err)
{
    const char *path = workload_sub_path(w);
    const json_t *source = json_at(w->root, "spec.source");
    int fd = -1;

    if (fs_open_beneath(tree_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY, 0, &fd, err) == 0) {
        *ret_fd = fd;
        return 0;
    }
    if (err->kind != ERR_NOT_FOUND && err->sys_errno != ENOTDIR && err->sys_errno != EXDEV)
        return -1;
    return error_at(err, ERR_INVALID, doc_place_key(w->doc, source, "subPath"),
                    "the repository has no folder '%s'", path);
}

static json_t *list_at(const struct workload *w, const char *path)
{
    json_t *list = json_at(w->root, path);

    return json_is_array(list) ? list : w->none;
}

json_t *workload_env(const struct workload *w)
{
    return list_at(w, "spec.env");
}

json_t *workload_build_env(const struct workload *w)
{
    return list_at(w, "spec.build.env");
}

json_t *workload_param(const struct workload *w, const char *name)
{
    size_t i;
    json_t *param;

    json_array_foreach(list_at(w, "spec.params"), i, param)
    {
        const char *found = json_str_at(param, "name");
        if (found && strcmp(found, name) == 0)
            return json_object_get(param, "value");
    }
    return NULL;
}

json_t *workload_resources(const struct workload *w)
{
    json_t *resources = json_at(w->root, "spec.resources");

    return json_is_object(resources) ? resources : NULL;
}

json_t *workload_labels(const struct workload *w)
{
    json_t *labels = json_at(w->root, "metadata.labels");

    return json_is_object(labels) ? labels : w->nothing;
}

const struct workload_port *workload_ports(const struct workload *w, size_t *ret_count)
{
    *ret_count = w->port_count;
    return w->ports;
}

const struct workload_claim *workload_claims(const struct workload *w, size_t *ret_count)
{
    *ret_count = w->claim_count;
    return w->claims;
}

json_t *workload_document(const struct workload *w)
{
    return w->root;
}

bool workload_is_default(const struct workload *w)
{
    return w->doc == NULL;
}
