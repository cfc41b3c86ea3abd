/* platform/road.c - the clusters in road order, who follows whom, and the ways through the fabric
 * that this needs. */
#include <arpa/inet.h>

#include "platform/platform_internal.h"

static const struct platform_cluster *find(const struct platform *p, const char *name)
{
    for (size_t i = 0; i < p->cluster_count; i++)
        if (p->clusters[i].name && strcmp(p->clusters[i].name, name) == 0)
            return &p->clusters[i];
    return NULL;
}

static void read_engine(struct platform *p, const struct fields *f, const json_t *item,
                        struct platform_cluster *c)
{
    static const char *const keys[] = {"kubeconfig", "context", NULL};
    const json_t *engine = json_object_get(item, "engine");

    if (!engine || (json_is_string(engine) && strcmp(json_string_value(engine), "embedded") == 0))
        return;
    if (!json_is_object(engine)) {
        error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, item, "engine"),
                       "expected engine: embedded, or {kubeconfig: FILE}");
        return;
    }
    doc_check_keys(f->doc, engine, "engine", keys, f->faults);
    const char *path = field_need_text(f, engine, "kubeconfig", "engine");
    if (path)
        c->kubeconfig = platform_path(p, path);
    c->context = field_text(f, engine, "context");
}

static void read_promotion(const struct fields *f, const json_t *item, struct platform_cluster *c)
{
    static const char *const keys[] = {"soak", "approvals", NULL};
    enum { APPROVALS_MAX = 10 };
    json_t *promotion = field_get(f, item, "promotion", JSON_OBJECT);

    if (!promotion)
        return;
    if (c->loop != PLATFORM_OUTER)
        error_list_add(f->faults, ERR_INVALID, doc_key_place(f->doc, item, "promotion"),
                       "only a cluster of the outer loop has a promotion");
    doc_check_keys(f->doc, promotion, "promotion", keys, f->faults);
    c->soak_ms = field_duration_ms(f, promotion, "soak", 0);
    c->approvals = (unsigned)field_integer(f, promotion, "approvals", 0, APPROVALS_MAX, 0);
}

static void read_cluster(struct platform *p, const struct fields *f, const json_t *list,
                         size_t index)
{
    static const char *const keys[] = {"name",      "loop",     "engine",    "role", "follows",
                                       "promotion", "registry", "namespace", NULL};
    static const char *const loops[] = {"inner", "outer", NULL};
    static const char *const roles[] = {"gate", NULL};
    json_t *item = field_item(f, list, index, "clusters");
    struct platform_cluster *c = &p->clusters[p->cluster_count];

    if (!item)
        return;
    doc_check_keys(f->doc, item, "clusters", keys, f->faults);
    *c = (struct platform_cluster){
        .name = field_need_text(f, item, "name", "clusters"),
        .index = (unsigned)index + 1,
        .is_gate = field_word(f, item, "role", roles) == 0,
        .follows = field_text(f, item, "follows"),
        .registry = field_text(f, item, "registry"),
        .namespace_ = field_text(f, item, "namespace"),
        .place = doc_place_key(f->doc, item, "name"),
    };
    (void)field_need_text(f, item, "loop", "clusters"); /* for its fault */
    c->loop = field_word(f, item, "loop", loops) == 1 ? PLATFORM_OUTER : PLATFORM_INNER;
    field_check_label(f, item, "name", c->name);
    field_check_label(f, item, "namespace", c->namespace_);
    field_check_unique(f, list, index, "clusters");
    read_engine(p, f, item, c);
    read_promotion(f, item, c);
    p->cluster_count++;
}

/* The followed cluster stands to the left, so there is no cycle; and only what has been proven is
 * followed. */
static void check_follows(const struct platform *p, const struct fields *f, const json_t *list)
{
    for (size_t i = 0; i < p->cluster_count; i++) {
        const struct platform_cluster *c = &p->clusters[i];
        const json_t *item = json_array_get(list, c->index - 1);
        const struct platform_cluster *followed = c->follows ? find(p, c->follows) : NULL;
        struct place place = doc_place_key(f->doc, item, "follows");
        if (c->loop == PLATFORM_INNER && c->follows)
            error_list_add(f->faults, ERR_INVALID, doc_key_place(f->doc, item, "follows"),
                           "a cluster of the inner loop follows nothing");
        else if (c->loop == PLATFORM_OUTER && !c->follows)
            error_list_add(f->faults, ERR_INVALID, c->place,
                           "'%s' is in the outer loop: expected 'follows', the cluster whose "
                           "releases it takes",
                           c->name ? c->name : "");
        else if (c->follows && !followed)
            error_list_add(f->faults, ERR_INVALID, place, "there is no cluster '%s'", c->follows);
        else if (followed && followed->index >= c->index)
            error_list_add(f->faults, ERR_INVALID, place,
                           "'%s' does not stand left of '%s' on the road", c->follows,
                           c->name ? c->name : "");
        else if (followed && followed->loop == PLATFORM_INNER && !followed->is_gate)
            error_list_add(f->faults, ERR_INVALID, place,
                           "'%s' has no releases to follow: it is neither the gate nor in the "
                           "outer loop",
                           c->follows);
    }
}

static void check_gate(const struct platform *p, const struct fields *f, const json_t *list)
{
    const struct platform_cluster *gate = NULL;

    for (size_t i = 0; i < p->cluster_count; i++) {
        const struct platform_cluster *c = &p->clusters[i];
        const json_t *item = json_array_get(list, c->index - 1);
        if (!c->is_gate)
            continue;
        if (gate)
            error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, item, "role"),
                           "a second gate; '%s' is one already", gate->name ? gate->name : "");
        if (c->loop == PLATFORM_OUTER)
            error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, item, "role"),
                           "the gate is in the inner loop");
        gate = c;
    }
}

void road_read(struct platform *p, const struct fields *f, const json_t *spec)
{
    json_t *list = field_need(f, spec, "clusters", JSON_ARRAY, "spec");

    if (json_array_size(list) > PLATFORM_CLUSTERS_MAX)
        error_list_add(f->faults, ERR_LIMIT, doc_place(f->doc, list), "more than %d clusters",
                       PLATFORM_CLUSTERS_MAX);
    if (list && json_array_size(list) == 0)
        error_list_add(f->faults, ERR_INVALID, doc_place(f->doc, list),
                       "expected at least one cluster");
    for (size_t i = 0; i < json_array_size(list) && i < PLATFORM_CLUSTERS_MAX; i++)
        read_cluster(p, f, list, i);
    if (!list)
        return;
    check_gate(p, f, list);
    check_follows(p, f, list);
}

const struct platform_cluster *platform_clusters(const struct platform *p, size_t *ret_count)
{
    *ret_count = p->cluster_count;
    return p->clusters;
}

const struct platform_cluster *platform_cluster(const struct platform *p, const char *name)
{
    return name ? find(p, name) : NULL;
}

const struct platform_cluster *platform_gate(const struct platform *p)
{
    for (size_t i = 0; i < p->cluster_count; i++)
        if (p->clusters[i].is_gate)
            return &p->clusters[i];
    return NULL;
}

const struct platform_cluster *platform_cluster_before(const struct platform *p,
                                                       const struct platform_cluster *c)
{
    if (c->follows)
        return find(p, c->follows);
    /* Clusters are stored in road order, all of them valid once the platform is loaded. */
    return c > p->clusters ? c - 1 : NULL;
}

/* --- ways */

void platform_ways_done(struct platform_ways *ways)
{
    free(ways->items);
    *ways = (struct platform_ways){0};
}

static struct platform_way *new_way(struct platform_ways *ways)
{
    struct platform_way *grown = reallocarray(ways->items, ways->count + 1, sizeof(*ways->items));

    if (!grown)
        return NULL;
    ways->items = grown;
    grown[ways->count] = (struct platform_way){.from_pods = false};
    return &grown[ways->count++];
}

/* A follower's agent reaches the registry of what it follows. A real cluster has networks of its
 * own. */
static int add_follower(const struct platform *p, const struct platform_cluster *c,
                        struct platform_ways *ways, struct error *err)
{
    const struct platform_cluster *followed = c->follows ? find(p, c->follows) : NULL;

    if (!followed || followed->kubeconfig || c->kubeconfig)
        return 0;
    struct platform_way *way = new_way(ways);
    if (!way)
        return error_no_memory(err);
    (void)snprintf(way->from, sizeof(way->from), "%s", c->name);
    (void)snprintf(way->to, sizeof(way->to), "100.64.%u.2", followed->index);
    way->port = PLATFORM_REGISTRY_PORT;
    (void)snprintf(way->why, sizeof(way->why), "%s follows %s", c->name, followed->name);
    return 0;
}

/* Only a numeric address can be a way: the fabric has no names. */
static int add_service(const struct platform *p, const struct platform_service *s,
                       struct platform_ways *ways, struct error *err)
{
    const struct platform_cluster *c = find(p, s->cluster);
    struct in_addr address;

    if (!c || c->kubeconfig || !s->host || inet_pton(AF_INET, s->host, &address) != 1)
        return 0;
    for (size_t i = 0; i < ways->count; i++)
        if (ways->items[i].from_pods && strcmp(ways->items[i].from, c->name) == 0 &&
            strcmp(ways->items[i].to, s->host) == 0 && ways->items[i].port == s->port)
            return 0;
    struct platform_way *way = new_way(ways);
    if (!way)
        return error_no_memory(err);
    way->from_pods = true;
    way->port = s->port;
    (void)snprintf(way->from, sizeof(way->from), "%s", c->name);
    (void)snprintf(way->to, sizeof(way->to), "%s", s->host);
    (void)snprintf(way->why, sizeof(way->why), "service %s", s->name);
    return 0;
}

int platform_ways(const struct platform *p, struct platform_ways *ret, struct error *err)
{
    CLEANUP(platform_ways) struct platform_ways ways = {0};

    for (size_t i = 0; i < p->cluster_count; i++)
        if (add_follower(p, &p->clusters[i], &ways, err) < 0)
            return -1;
    for (size_t i = 0; i < p->services.count; i++)
        if (add_service(p, &p->services.items[i], &ways, err) < 0)
            return -1;
    *ret = ways;
    ways = (struct platform_ways){0};
    return 0;
}
