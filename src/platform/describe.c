/* platform/describe.c - the platform as JSON: whole, and what one cluster demands beyond another.
 */
#include "platform/platform_internal.h"

/* Appends to an array or sets a member; the value is consumed. False without memory. */
static bool add(json_t *array, json_t *take_value)
{
    return json_array_append_new(array, take_value) == 0;
}

static bool put(json_t *object, const char *key, json_t *take_value)
{
    return json_object_set_new(object, key, take_value) == 0;
}

static json_t *describe_cluster(const struct platform *p, const struct platform_cluster *c)
{
    CLEANUP(json) json_t *checks = json_object();
    CLEANUP(json)
    json_t *object = json_pack(
        "{s:s, s:i, s:s, s:b, s:s, s:s*, s:s*, s:{s:I, s:i}}", "name", c->name, "index",
        (int)c->index, "loop", c->loop == PLATFORM_OUTER ? "outer" : "inner", "gate", c->is_gate,
        "engine", c->kubeconfig ? "kubeconfig" : "embedded", "kubeconfig", c->kubeconfig, "follows",
        c->follows, "promotion", "soakMs", (json_int_t)c->soak_ms, "approvals", (int)c->approvals);

    if (!object || !checks)
        return NULL;
    for (size_t i = 0; i < p->checks.count; i++) {
        const char *name = p->checks.items[i].name;
        enum platform_level level = platform_check_level(p, c->name, name);
        if (!put(checks, name, json_string(platform_level_name(level))))
            return NULL;
    }
    return put(object, "checks", json_incref(checks)) ? TAKE(object) : NULL;
}

static json_t *describe_services(const struct platform *p)
{
    CLEANUP(json) json_t *list = json_array();

    for (size_t i = 0; list && i < p->services.count; i++) {
        const struct platform_service *s = &p->services.items[i];
        if (!add(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*, s:i, s:s*}", "name", s->name,
                                 "class", s->class_name, "cluster", s->cluster, "type", s->type,
                                 "provider", s->provider, "host", s->host, "port", (int)s->port,
                                 "database", s->database)))
            return NULL;
    }
    return TAKE(list);
}

static json_t *describe_agents(const struct platform *p)
{
    CLEANUP(json) json_t *list = json_array();

    for (size_t i = 0; list && i < p->agents.count; i++) {
        const struct platform_agent *a = &p->agents.items[i];
        const char *image = json_str_at(a->container, "image");
        if (!add(list, json_pack("{s:s, s:s, s:s, s:O}", "name", a->name, "owner", a->owner,
                                 "image", image ? image : a->image_from, "clusters", a->clusters)))
            return NULL;
    }
    return TAKE(list);
}

static json_t *describe_stacks(const struct platform *p)
{
    CLEANUP(json) json_t *list = json_array();

    for (size_t i = 0; list && i < p->stacks.count; i++)
        if (!add(list, json_pack("{s:s, s:s}", "name", p->stacks.items[i].name, "owner",
                                 p->stacks.items[i].owner)))
            return NULL;
    return TAKE(list);
}

static json_t *describe_waivers(const struct platform *p)
{
    CLEANUP(json) json_t *list = json_array();

    for (size_t i = 0; list && i < p->waivers.count; i++) {
        const struct platform_waiver *w = &p->waivers.items[i];
        if (!add(list, json_pack("{s:s, s:s*, s:s*, s:s, s:s, s:s}", "advisory", w->advisory,
                                 "purl", w->purl, "workload", w->workload, "owner", w->owner,
                                 "reason", w->reason, "until", w->until)))
            return NULL;
    }
    return TAKE(list);
}

static json_t *describe_ways(const struct platform *p, struct error *err)
{
    CLEANUP(platform_ways) struct platform_ways ways = {0};
    CLEANUP(json) json_t *list = json_array();

    if (platform_ways(p, &ways, err) < 0)
        return NULL;
    for (size_t i = 0; list && i < ways.count; i++) {
        const struct platform_way *way = &ways.items[i];
        if (!add(list,
                 json_pack("{s:s, s:b, s:s, s:i, s:s}", "from", way->from, "pods", way->from_pods,
                           "to", way->to, "port", (int)way->port, "why", way->why)))
            return NULL;
    }
    return TAKE(list);
}

int platform_describe(const struct platform *p, json_t **ret, struct error *err)
{
    CLEANUP(json) json_t *clusters = json_array();
    CLEANUP(json) json_t *root = json_pack("{s:s, s:s}", "name", p->name, "digest", p->digest.text);

    if (!clusters || !root)
        return error_no_memory(err);
    for (size_t i = 0; i < p->cluster_count; i++)
        if (!add(clusters, describe_cluster(p, &p->clusters[i])))
            return error_no_memory(err);
    if (!put(root, "clusters", json_incref(clusters)) ||
        !put(root, "services", describe_services(p)) || !put(root, "agents", describe_agents(p)) ||
        !put(root, "stacks", describe_stacks(p)) || !put(root, "waivers", describe_waivers(p)) ||
        !put(root, "ways", describe_ways(p, err)))
        return error_no_memory(err);
    *ret = TAKE(root);
    return 0;
}

/* --- diff */

struct diff {
    json_t *list; /* borrowed */
    bool has_failed;
};

static void add_difference(struct diff *d, const char *what, const char *name, const char *a,
                           const char *b)
{
    if (strcmp(a, b) != 0 && !add(d->list, json_pack("{s:s, s:s, s:s, s:s}", "what", what, "name",
                                                     name, "a", a, "b", b)))
        d->has_failed = true;
}

static void diff_clusters(struct diff *d, const struct platform_cluster *a,
                          const struct platform_cluster *b)
{
    char left[64], right[64];

    add_difference(d, "cluster", "loop", a->loop == PLATFORM_OUTER ? "outer" : "inner",
                   b->loop == PLATFORM_OUTER ? "outer" : "inner");
    add_difference(d, "cluster", "engine", a->kubeconfig ? a->kubeconfig : "embedded",
                   b->kubeconfig ? b->kubeconfig : "embedded");
    add_difference(d, "cluster", "follows", a->follows ? a->follows : "",
                   b->follows ? b->follows : "");
    (void)snprintf(left, sizeof(left), "%lld s", (long long)(a->soak_ms / 1000));
    (void)snprintf(right, sizeof(right), "%lld s", (long long)(b->soak_ms / 1000));
    add_difference(d, "promotion", "soak", left, right);
    (void)snprintf(left, sizeof(left), "%u", a->approvals);
    (void)snprintf(right, sizeof(right), "%u", b->approvals);
    add_difference(d, "promotion", "approvals", left, right);
}

static void diff_services(struct diff *d, const struct platform *p, const char *a, const char *b)
{
    for (size_t i = 0; i < p->services.count; i++) {
        const struct platform_service *s = &p->services.items[i];
        bool in_a = strcmp(s->cluster, a) == 0, in_b = strcmp(s->cluster, b) == 0;
        const char *other_cluster = in_a ? b : a;
        const struct platform_service *other = NULL;
        for (size_t k = 0; k < p->services.count; k++)
            if (strcmp(p->services.items[k].cluster, other_cluster) == 0 &&
                strcmp(p->services.items[k].name, s->name) == 0)
                other = &p->services.items[k];
        const char *here = s->host ? s->host : s->secret_name;
        const char *there = other ? other->host ? other->host : other->secret_name : "";
        if (in_a)
            add_difference(d, "service", s->name, here ? here : "", there ? there : "");
        else if (in_b && !other)
            add_difference(d, "service", s->name, "", here ? here : "");
    }
}

static int diff_conventions(struct diff *d, const struct platform *p, const char *a, const char *b,
                            struct error *err)
{
    static const char *const types[] = {"web", "server", "worker"};

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        CLEANUP(json) json_t *left = NULL, *right = NULL, *names = json_object();
        const char *key;
        json_t *unused;
        if (platform_convention(p, a, types[i], &left, err) < 0 ||
            platform_convention(p, b, types[i], &right, err) < 0)
            return -1;
        if (!names || json_object_update(names, left) < 0 || json_object_update(names, right) < 0)
            return error_no_memory(err);
        json_object_foreach(names, key, unused)
        {
            CLEANUP(buf) struct buf x = BUF_INIT(1 << 20), y = BUF_INIT(1 << 20);
            CLEANUP(text) char *name = str_format("%s.%s", types[i], key);
            json_t *in_a = json_object_get(left, key), *in_b = json_object_get(right, key);
            if (!name)
                return error_no_memory(err);
            if ((in_a && json_write(in_a, true, &x, err) < 0) ||
                (in_b && json_write(in_b, true, &y, err) < 0))
                return -1;
            add_difference(d, "convention", name, buf_text(&x), buf_text(&y));
        }
    }
    return 0;
}

static int need_cluster(const struct platform *p, const char *name,
                        const struct platform_cluster **ret, struct error *err)
{
    *ret = platform_cluster(p, name);
    if (!*ret)
        return error_set(err, ERR_NOT_FOUND, "there is no cluster '%s' in platform '%s'", name,
                         p->name);
    return 0;
}

int platform_diff(const struct platform *p, const char *a, const char *b, json_t **ret,
                  struct error *err)
{
    CLEANUP(json) json_t *list = json_array();
    const struct platform_cluster *left, *right;
    struct diff d = {.list = list};

    if (!list)
        return error_no_memory(err);
    if (need_cluster(p, a, &left, err) < 0 || need_cluster(p, b, &right, err) < 0)
        return -1;
    diff_clusters(&d, left, right);
    for (size_t i = 0; i < p->checks.count; i++) {
        const char *name = p->checks.items[i].name;
        add_difference(&d, "check", name, platform_level_name(platform_check_level(p, a, name)),
                       platform_level_name(platform_check_level(p, b, name)));
    }
    diff_services(&d, p, a, b);
    for (size_t i = 0; i < p->agents.count; i++)
        add_difference(&d, "agent", p->agents.items[i].name,
                       platform_agent_is_in(&p->agents.items[i], a) ? "yes" : "no",
                       platform_agent_is_in(&p->agents.items[i], b) ? "yes" : "no");
    if (diff_conventions(&d, p, a, b, err) < 0)
        return -1;
    if (d.has_failed)
        return error_no_memory(err);
    *ret = TAKE(list);
    return 0;
}
