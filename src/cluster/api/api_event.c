/* cluster/api/api_event.c - recording Events about objects, the same again counted instead of
 * repeated. */
#include <stdarg.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "cluster/api/api_internal.h"

enum { EVENT_MESSAGE_MAX = 1024, EVENT_NAME_HEX = 16 };

/* The same words about the same object have the same name, and so are counted: <object>.<hash>. */
static char *event_name(const struct object *object, const char *type, const char *reason,
                        const char *component, const char *message)
{
    CLEANUP(text)
    char *key = str_format("%s\n%s\n%s\n%s\n%s\n%s", object_uid(object),
                           object_resource(object)->kind, type, reason, component, message);
    if (!key)
        return NULL;
    struct digest digest = digest_of(str_of(key));
    return str_format("%.230s.%.*s", object_name(object), EVENT_NAME_HEX, digest_hex(&digest));
}

static json_t *event_new(const struct object *object, const char *namespace_name, const char *name)
{
    char version[API_VERSION_SIZE], revision[24];
    const struct resource *res = object_resource(object);

    (void)snprintf(revision, sizeof(revision), "%lld", (long long)object_revision(object));
    json_t *about = json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", res->kind, "name",
                              object_name(object), "uid", object_uid(object), "apiVersion",
                              resource_api_version(res, version), "resourceVersion", revision);
    if (about && *object_namespace(object))
        (void)json_object_set_new(about, "namespace", json_string(object_namespace(object)));
    return json_pack("{s:{s:s, s:s}, s:o}", "metadata", "namespace", namespace_name, "name", name,
                     "involvedObject", about);
}

static int record(struct api *api, const struct object *object, const char *type,
                  const char *reason, const char *component, const char *message, struct error *err)
{
    const char *namespace_name = *object_namespace(object) ? object_namespace(object) : "default";
    CLEANUP(text) char *name = event_name(object, type, reason, component, message);
    char now[CLOCK_TEXT_SIZE];

    if (!name)
        return error_no_memory(err);
    clock_rfc3339(clock_now_s(), now);
    const struct object *before = api_get(api, RES_EVENTS, namespace_name, name);
    if (before) {
        CLEANUP(json)
        json_t *patch = json_pack("{s:I, s:s}", "count",
                                  (json_int_t)json_int_at(object_root(before), "count", 1) + 1,
                                  "lastTimestamp", now);
        return api_merge_patch(api, RES_EVENTS, namespace_name, name, false, patch, NULL, err);
    }
    json_t *event = event_new(object, namespace_name, name);
    CLEANUP(json)
    json_t *rest = json_pack("{s:s, s:s, s:{s:s}, s:s, s:s, s:i, s:s, s:s, s:s}", "reason", reason,
                             "message", message, "source", "component", component, "firstTimestamp",
                             now, "lastTimestamp", now, "count", 1, "type", type,
                             "reportingComponent", component, "reportingInstance", "");
    if (!event || !rest || json_object_update(event, rest) < 0) {
        json_decref(event);
        return error_no_memory(err);
    }
    return api_create(api, RES_EVENTS, event, NULL, err);
}

void api_record_event(struct api *api, const struct object *object, const char *type,
                      const char *reason, const char *component, const char *format, ...)
{
    char message[EVENT_MESSAGE_MAX];
    struct error err = ERROR_INIT;
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(message, sizeof(message), format, ap);
    va_end(ap);
    if (record(api, object, type, reason, component, message, &err) < 0)
        log_debug("an Event was not recorded", log_str("reason", reason), log_err(&err));
}
