/* platform/service.c - services/: the instances that a claim may be bound to, and the entries of a
 * binding. */
#include <fcntl.h>

#include "base/encode.h"
#include "base/fs.h"
#include "base/secret.h"
#include "platform/platform_internal.h"

static const struct {
    const char *type;
    const char *scheme;
    uint16_t port;
} known_types[] = {
    {"postgresql", "postgresql", 5432}, {"mysql", "mysql", 3306},   {"redis", "redis", 6379},
    {"mongodb", "mongodb", 27017},      {"rabbitmq", "amqp", 5672},
};

static const char *scheme_of(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(known_types); i++)
        if (strcmp(known_types[i].type, type) == 0)
            return known_types[i].scheme;
    return NULL;
}

static uint16_t port_of(const char *type)
{
    for (size_t i = 0; type && i < ARRAY_LEN(known_types); i++)
        if (strcmp(known_types[i].type, type) == 0)
            return known_types[i].port;
    return 0;
}

/* password: {file: NAME}. The word itself in a file of a git repository is what this prevents. */
static const char *read_password(const struct fields *f, const json_t *item)
{
    static const char *const keys[] = {"file", NULL};
    const json_t *password = json_object_get(item, "password");

    if (json_is_string(password)) {
        error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, item, "password"),
                       "a password does not belong in this file: password: {file: NAME} names one "
                       "in the agent's folder secrets/");
        return NULL;
    }
    json_t *object = field_get(f, item, "password", JSON_OBJECT);
    if (!object)
        return NULL;
    doc_check_keys(f->doc, object, "password", keys, f->faults);
    return field_need_text(f, object, "file", "password");
}

static void read_secret(const struct fields *f, const json_t *item, struct platform_service *s)
{
    static const char *const keys[] = {"name", "namespace", NULL};
    json_t *secret = field_get(f, item, "secretRef", JSON_OBJECT);

    if (!secret)
        return;
    doc_check_keys(f->doc, secret, "secretRef", keys, f->faults);
    s->secret_name = field_need_text(f, secret, "name", "secretRef");
    s->secret_namespace = field_text(f, secret, "namespace");
    if (!s->secret_namespace)
        s->secret_namespace = "monban-system";
}

static void check_twice(const struct platform *p, const struct fields *f,
                        const struct platform_service *s)
{
    for (size_t i = 0; i + 1 < p->services.count; i++) {
        const struct platform_service *other = &p->services.items[i];
        if (s->name && s->cluster && other->name && other->cluster &&
            strcmp(other->name, s->name) == 0 && strcmp(other->cluster, s->cluster) == 0)
            error_list_add(f->faults, ERR_INVALID, s->place,
                           "a second service '%s' in cluster '%s'; the first stands at %s:%u",
                           s->name, s->cluster, other->place.file, other->place.line);
    }
}

static void read_instance(struct platform *p, const struct fields *f, const json_t *item)
{
    static const char *const keys[] = {"name",      "class",   "cluster",  "type",     "provider",
                                       "host",      "port",    "database", "username", "password",
                                       "secretRef", "entries", NULL};
    struct platform_service *s = GROW(&p->services);

    if (!s)
        return;
    doc_check_keys(f->doc, item, "instances", keys, f->faults);
    *s = (struct platform_service){
        .name = field_need_text(f, item, "name", "instances"),
        .class_name = field_text(f, item, "class"),
        .cluster = field_need_text(f, item, "cluster", "instances"),
        .type = field_need_text(f, item, "type", "instances"),
        .provider = field_text(f, item, "provider"),
        .host = field_text(f, item, "host"),
        .database = field_text(f, item, "database"),
        .username = field_text(f, item, "username"),
        .password_file = read_password(f, item),
        .entries = field_get(f, item, "entries", JSON_OBJECT),
        .place = doc_place_key(f->doc, item, "name"),
    };
    s->port = (uint16_t)field_integer(f, item, "port", 1, 65535, port_of(s->type));
    if (!s->class_name)
        s->class_name = s->type;
    if (!s->provider)
        s->provider = "";
    read_secret(f, item, s);
    if (!s->secret_name)
        (void)field_need_text(f, item, "host", "instances"); /* for its fault */
    if (s->entries)
        field_check_texts(f, s->entries, "entries");
    field_check_label(f, item, "name", s->name);
    cluster_name_check(p, f, item, "cluster", s->cluster);
    check_twice(p, f, s);
}

void services_read(struct platform *p, const struct fields *f, const json_t *root)
{
    static const char *const keys[] = {"instances", NULL};
    json_t *spec = field_need(f, root, "spec", JSON_OBJECT, "ServiceInstances");

    if (!spec)
        return;
    doc_check_keys(f->doc, spec, "ServiceInstances", keys, f->faults);
    json_t *list = field_need(f, spec, "instances", JSON_ARRAY, "ServiceInstances");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = field_item(f, list, i, "instances");
        if (item)
            read_instance(p, f, item);
    }
}

/* --- what callers ask */

const struct platform_service *platform_services(const struct platform *p, size_t *ret_count)
{
    *ret_count = p->services.count;
    return p->services.items;
}

const struct platform_service *platform_find_service(const struct platform *p, const char *cluster,
                                                     const char *name)
{
    const struct platform_service *of_class = NULL;
    size_t in_class = 0;

    for (size_t i = 0; i < p->services.count; i++) {
        const struct platform_service *s = &p->services.items[i];
        if (strcmp(s->cluster, cluster) != 0)
            continue;
        if (strcmp(s->name, name) == 0)
            return s;
        if (strcmp(s->class_name, name) == 0) {
            of_class = s;
            in_class++;
        }
    }
    return in_class == 1 ? of_class : NULL;
}

bool platform_has_service(const struct platform *p, const char *name)
{
    for (size_t i = 0; i < p->services.count; i++)
        if (strcmp(p->services.items[i].name, name) == 0 ||
            strcmp(p->services.items[i].class_name, name) == 0)
            return true;
    return false;
}

static int put(json_t *object, const char *key, struct str text, struct error *err)
{
    if (text.len == 0)
        return 0;
    if (json_object_set_new(object, key, json_stringn(text.ptr, text.len)) < 0)
        return error_set(err, ERR_INVALID, "entry '%s' is not UTF-8 text", key);
    return 0;
}

/* scheme://user:password@host:port/database; RFC 3986, so that libraries need no further knowledge.
 */
static int put_uri(json_t *object, const struct platform_service *s, struct str password,
                   struct error *err)
{
    CLEANUP(buf) struct buf uri = BUF_INIT(8192);
    const char *scheme = scheme_of(s->type);

    if (!scheme || !s->host)
        return 0;
    buf_addf(&uri, "%s://", scheme);
    if (s->username) {
        percent_encode(str_of(s->username), "", &uri);
        if (password.len) {
            buf_add_char(&uri, ':');
            percent_encode(password, "", &uri);
        }
        buf_add_char(&uri, '@');
    }
    buf_addf(&uri, "%s:%u", s->host, s->port);
    if (s->database) {
        buf_add_char(&uri, '/');
        percent_encode(str_of(s->database), "", &uri);
    }
    if (buf_ok(&uri, err) < 0)
        return -1;
    return put(object, "uri", buf_str(&uri), err);
}

static int read_password_file(const struct platform_service *s, const char *secrets_dir,
                              struct secret *ret, struct error *err)
{
    if (!s->password_file)
        return 0;
    CLEANUP(text)
    char *path = s->password_file[0] == '/' ? str_dup(str_of(s->password_file))
                                            : fs_join(secrets_dir, s->password_file);
    if (!path)
        return error_no_memory(err);
    if (secret_read(ret, AT_FDCWD, path, err) < 0)
        return error_wrap(err, "the password of service '%s' in cluster '%s'", s->name, s->cluster);
    return 0;
}

int platform_service_binding(const struct platform_service *service, const char *secrets_dir,
                             json_t **ret, struct error *err)
{
    CLEANUP(secret) struct secret password = SECRET_INIT;
    CLEANUP(json) json_t *entries = json_object();
    char port[8];
    const char *key;
    json_t *value;

    if (!entries)
        return error_no_memory(err);
    if (service->secret_name)
        return error_set(err, ERR_UNSUPPORTED, "service '%s' names the Secret '%s' of its cluster",
                         service->name, service->secret_name);
    if (read_password_file(service, secrets_dir, &password, err) < 0)
        return -1;
    (void)snprintf(port, sizeof(port), "%u", service->port);
    if (put(entries, "type", str_of(service->type), err) < 0 ||
        put(entries, "provider", str_of(service->provider), err) < 0 ||
        put(entries, "host", str_of(service->host), err) < 0 ||
        put(entries, "port", str_of(service->port ? port : ""), err) < 0 ||
        put(entries, "database", str_of(service->database), err) < 0 ||
        put(entries, "username", str_of(service->username), err) < 0 ||
        put(entries, "password", secret_str(&password), err) < 0 ||
        put_uri(entries, service, secret_str(&password), err) < 0)
        return -1;
    json_object_foreach((json_t *)service->entries, key, value)
    {
        if (json_object_set(entries, key, value) < 0)
            return error_no_memory(err);
    }
    *ret = TAKE(entries);
    return 0;
}
