/* platform/parts.c - stacks, conventions, agents and waivers: the documents of the sub-folders but
 * services. */
#include "base/clock.h"
#include "platform/platform_internal.h"

bool names_have(const json_t *names, const char *name)
{
    size_t i;
    json_t *item;

    json_array_foreach((json_t *)names, i, item)
    {
        if (json_is_string(item) && strcmp(json_string_value(item), name) == 0)
            return true;
    }
    return false;
}

void cluster_name_check(const struct platform *p, const struct fields *f, const json_t *object,
                        const char *key, const char *name)
{
    if (name && p->cluster_count > 0 && !platform_cluster(p, name))
        error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, object, key),
                       "there is no cluster '%s'", name);
}

/* An array of texts under `key`; each must be one of `words`, if given. */
static const json_t *read_names(const struct fields *f, const json_t *object, const char *key)
{
    json_t *names = field_get(f, object, key, JSON_ARRAY);
    size_t i;
    json_t *item;

    json_array_foreach(names, i, item)
    {
        if (!json_is_string(item))
            error_list_add(f->faults, ERR_INVALID, doc_place_item(f->doc, names, i),
                           "expected text in '%s', got %s", key, field_type_name(item));
    }
    return names;
}

const json_t *cluster_names_read(const struct platform *p, const struct fields *f,
                                 const json_t *object, const char *key)
{
    const json_t *names = read_names(f, object, key);
    size_t i;
    json_t *item;

    json_array_foreach((json_t *)names, i, item)
    {
        const char *name = json_string_value(item);
        if (name && p->cluster_count > 0 && !platform_cluster(p, name))
            error_list_add(f->faults, ERR_INVALID, doc_place_item(f->doc, names, i),
                           "there is no cluster '%s'", name);
    }
    return names;
}

/* metadata.name of a document, a label. */
static const char *read_name(const struct fields *f, const json_t *root, const char *kind)
{
    json_t *metadata = field_need(f, root, "metadata", JSON_OBJECT, kind);
    const char *name = metadata ? field_need_text(f, metadata, "name", "metadata") : NULL;

    if (metadata)
        field_check_label(f, metadata, "name", name);
    return name;
}

void stacks_read(struct platform *p, const struct fields *f, const json_t *root)
{
    const char *name = read_name(f, root, "Stack");
    json_t *spec = field_need(f, root, "spec", JSON_OBJECT, "Stack");

    for (size_t i = 0; name && i < p->stacks.count; i++)
        if (strcmp(p->stacks.items[i].name, name) == 0)
            error_list_add(f->faults, ERR_INVALID,
                           doc_place_key(f->doc, json_object_get(root, "metadata"), "name"),
                           "a second stack '%s'", name);
    const char *owner = spec ? field_need_text(f, spec, "owner", "Stack") : NULL;
    struct platform_stack *stack = name ? GROW(&p->stacks) : NULL;
    if (stack)
        *stack = (struct platform_stack){.name = name, .owner = owner, .doc = f->doc};
}

void agents_read(struct platform *p, const struct fields *f, const json_t *root)
{
    static const char *const keys[] = {"owner",     "clusters", "inject", "imageFrom",
                                       "container", "volumes",  NULL};
    static const char *const ways[] = {"sidecar", NULL};
    static const char *const image_sources[] = {"workload", NULL};
    const char *name = read_name(f, root, "Agent");
    json_t *spec = field_need(f, root, "spec", JSON_OBJECT, "Agent");

    if (!spec)
        return;
    doc_check_keys(f->doc, spec, "Agent", keys, f->faults);
    (void)field_word(f, spec, "inject", ways); /* for its fault: there is one way so far */
    const json_t *clusters = field_need(f, spec, "clusters", JSON_ARRAY, "Agent");
    (void)cluster_names_read(p, f, spec, "clusters"); /* for its faults */
    json_t *container = field_need(f, spec, "container", JSON_OBJECT, "Agent");
    const char *image_from = field_text(f, spec, "imageFrom");
    (void)field_word(f, spec, "imageFrom", image_sources); /* for its fault */
    if (container) {
        (void)field_need_text(f, container, "name", "container"); /* for their faults */
        if (!image_from)
            (void)field_need_text(f, container, "image", "container");
    }
    struct platform_agent *agent = GROW(&p->agents);
    if (!agent)
        return;
    *agent = (struct platform_agent){
        .name = name,
        .owner = field_need_text(f, spec, "owner", "Agent"),
        .image_from = image_from,
        .container = container,
        .volumes = field_get(f, spec, "volumes", JSON_ARRAY),
        .clusters = clusters,
        .place = doc_place_key(f->doc, json_object_get(root, "metadata"), "name"),
    };
}

void conventions_read(struct platform *p, const struct fields *f, const json_t *root)
{
    static const char *const keys[] = {"clusters", "workloadTypes", "set", NULL};
    static const char *const set_keys[] = {"replicas",
                                           "resources",
                                           "labels",
                                           "annotations",
                                           "env",
                                           "readinessProbe",
                                           "livenessProbe",
                                           "terminationGracePeriodSeconds",
                                           "minAvailable",
                                           "nodeSelector",
                                           "tolerations",
                                           "affinity",
                                           "topologySpreadConstraints",
                                           "priorityClassName",
                                           NULL};
    static const char *const types[] = {"web", "server", "worker"};
    (void)read_name(f, root, "Convention"); /* for its faults */
    json_t *spec = field_need(f, root, "spec", JSON_OBJECT, "Convention");
    size_t i;
    json_t *item;

    if (!spec)
        return;
    doc_check_keys(f->doc, spec, "Convention", keys, f->faults);
    json_t *set = field_need(f, spec, "set", JSON_OBJECT, "Convention");
    if (set) {
        doc_check_keys(f->doc, set, "a Convention's 'set'", set_keys, f->faults);
        (void)field_integer(f, set, "replicas", 0, 1000, 0); /* for its fault */
        json_t *labels = field_get(f, set, "labels", JSON_OBJECT);
        if (labels)
            field_check_texts(f, labels, "labels");
    }
    const json_t *workload_types = read_names(f, spec, "workloadTypes");
    json_array_foreach((json_t *)workload_types, i, item)
    {
        bool is_type = false;
        for (size_t t = 0; t < ARRAY_LEN(types); t++)
            is_type =
                is_type || (json_is_string(item) && !strcmp(json_string_value(item), types[t]));
        if (!is_type)
            error_list_add(f->faults, ERR_INVALID, doc_place_item(f->doc, workload_types, i),
                           "expected workload type web, server or worker");
    }
    struct platform_convention_part *part = GROW(&p->conventions);
    if (part)
        *part = (struct platform_convention_part){
            .clusters = cluster_names_read(p, f, spec, "clusters"),
            .types = workload_types,
            .set = set,
        };
}

static void read_waiver(struct platform *p, const struct fields *f, const json_t *item)
{
    static const char *const keys[] = {"advisory", "purl",  "workload", "owner",
                                       "reason",   "until", NULL};
    struct platform_waiver *waiver = GROW(&p->waivers);

    if (!waiver)
        return;
    doc_check_keys(f->doc, item, "waivers", keys, f->faults);
    *waiver = (struct platform_waiver){
        .advisory = field_need_text(f, item, "advisory", "waivers"),
        .purl = field_text(f, item, "purl"),
        .workload = field_text(f, item, "workload"),
        .owner = field_need_text(f, item, "owner", "waivers"),
        .reason = field_need_text(f, item, "reason", "waivers"),
        /* Required: a waiver without an end is how a known hole becomes a permanent one. */
        .until = field_need_text(f, item, "until", "waivers"),
        .place = doc_place_key(f->doc, item, "advisory"),
    };
    if (waiver->until && !clock_parse_date(str_of(waiver->until), &waiver->until_day))
        error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, item, "until"),
                       "expected a date as YYYY-MM-DD, got '%s'", waiver->until);
    if (waiver->purl && !str_starts(str_of(waiver->purl), STR("pkg:")))
        error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, item, "purl"),
                       "expected a package URL (pkg:npm/name), got '%s'", waiver->purl);
}

void waivers_read(struct platform *p, const struct fields *f, const json_t *root)
{
    static const char *const keys[] = {"waivers", NULL};
    json_t *spec = field_need(f, root, "spec", JSON_OBJECT, "Waivers");

    if (!spec)
        return;
    doc_check_keys(f->doc, spec, "Waivers", keys, f->faults);
    json_t *list = field_need(f, spec, "waivers", JSON_ARRAY, "Waivers");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = field_item(f, list, i, "waivers");
        if (item)
            read_waiver(p, f, item);
    }
}

/* --- what callers ask */

const struct platform_agent *platform_agents(const struct platform *p, size_t *ret_count)
{
    *ret_count = p->agents.count;
    return p->agents.items;
}

bool platform_agent_is_in(const struct platform_agent *agent, const char *cluster)
{
    return names_have(agent->clusters, cluster);
}

const struct platform_stack *platform_stacks(const struct platform *p, size_t *ret_count)
{
    *ret_count = p->stacks.count;
    return p->stacks.items;
}

const struct platform_stack *platform_stack(const struct platform *p, const char *name)
{
    for (size_t i = 0; i < p->stacks.count; i++)
        if (strcmp(p->stacks.items[i].name, name) == 0)
            return &p->stacks.items[i];
    return NULL;
}

const struct platform_waiver *platform_waivers(const struct platform *p, size_t *ret_count)
{
    *ret_count = p->waivers.count;
    return p->waivers.items;
}

/* Objects are merged, everything else is replaced; `from` is never changed nor shared. */
static int merge(json_t *into, const json_t *from, struct error *err)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)from, key, value)
    {
        json_t *there = json_object_get(into, key);
        if (json_is_object(there) && json_is_object(value)) {
            if (merge(there, value, err) < 0)
                return -1;
        } else if (json_object_set_new(into, key, json_deep_copy(value)) < 0) {
            return error_no_memory(err);
        }
    }
    return 0;
}

int platform_convention(const struct platform *p, const char *cluster, const char *workload_type,
                        json_t **ret, struct error *err)
{
    CLEANUP(json) json_t *merged = json_object();

    if (!merged)
        return error_no_memory(err);
    for (size_t i = 0; i < p->conventions.count; i++) {
        const struct platform_convention_part *part = &p->conventions.items[i];
        if ((part->clusters && !names_have(part->clusters, cluster)) ||
            (part->types && !names_have(part->types, workload_type)))
            continue;
        if (merge(merged, part->set, err) < 0)
            return -1;
    }
    *ret = TAKE(merged);
    return 0;
}
