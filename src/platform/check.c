/* platform/check.c - the governance gradient: each check has a level in each cluster. A level holds
 * from the cluster where it is named, along the road, until it is raised; lowering it further right
 * is a fault. */
#include "base/clock.h"
#include "platform/platform_internal.h"

#define ADVISORY_AGE "advisory-age-"

const char *const platform_check_names[] = {
    "signature",
    "provenance",
    "sbom",
    "vulnerability-critical",
    "vulnerability-high",
    "vulnerability-medium",
    "vulnerability-low",
    "vulnerability-unknown",
    "malicious-package",
    ADVISORY_AGE, /* followed by a duration: the database is older than that */
    "pod-security-baseline",
    "pod-security-restricted",
    "runs-as-two",
    "image-by-digest",
    NULL,
};

static const char *const level_names[] = {"off", "note", "warn", "hold", "refuse", NULL};

const char *platform_level_name(enum platform_level level)
{
    return level_names[level];
}

static bool is_known_check(const char *name)
{
    struct str rest = str_of(name);
    int64_t duration_ms;

    for (size_t i = 0; platform_check_names[i]; i++)
        if (strcmp(platform_check_names[i], name) == 0)
            return strcmp(name, ADVISORY_AGE) != 0;
    return str_starts(rest, STR(ADVISORY_AGE)) &&
           clock_parse_duration(str_skip(rest, strlen(ADVISORY_AGE)), &duration_ms);
}

static signed char level_at(const struct platform *p, const struct platform_check *check,
                            const struct platform_cluster *c)
{
    for (; c; c = platform_cluster_before(p, c))
        if (check->raised[c->index - 1] >= 0)
            return check->raised[c->index - 1];
    return LEVEL_OFF;
}

/* Reads {"dev": "note", "production": "refuse"}. */
static void read_levels(const struct platform *p, const struct fields *f, const json_t *levels,
                        struct platform_check *check)
{
    const char *cluster;
    json_t *value;

    json_object_foreach((json_t *)levels, cluster, value)
    {
        const struct platform_cluster *c = platform_cluster(p, cluster);
        if (!c) {
            error_list_add(f->faults, ERR_INVALID, doc_key_place(f->doc, levels, cluster),
                           "there is no cluster '%s'", cluster);
            continue;
        }
        int level = field_word(f, levels, cluster, level_names);
        if (level >= 0)
            check->raised[c->index - 1] = (signed char)level;
    }
}

static void check_gradient(const struct platform *p, const struct fields *f, const json_t *levels,
                           const struct platform_check *check)
{
    for (size_t i = 0; i < p->cluster_count; i++) {
        const struct platform_cluster *c = &p->clusters[i];
        const struct platform_cluster *before = platform_cluster_before(p, c);
        signed char here = check->raised[c->index - 1];
        signed char left = before ? level_at(p, check, before) : LEVEL_OFF;
        if (here >= 0 && here < left)
            error_list_add(f->faults, ERR_INVALID, doc_place_key(f->doc, levels, c->name),
                           "'%s' is %s in '%s' and may not be lowered to %s further right",
                           check->name, level_names[left], before->name, level_names[here]);
    }
}

/* `follows` has faults of its own, and a road with faults has no order to check a gradient by. */
static bool road_is_sound(const struct platform *p)
{
    for (size_t i = 0; i < p->cluster_count; i++) {
        const struct platform_cluster *c = &p->clusters[i];
        const struct platform_cluster *followed =
            c->follows ? platform_cluster(p, c->follows) : NULL;
        if (c->index != i + 1 || !c->name || (c->follows && (!followed || followed >= c)))
            return false;
    }
    return true;
}

void checks_read(struct platform *p, const struct fields *f, const json_t *spec)
{
    json_t *checks = field_get(f, spec, "checks", JSON_OBJECT);
    bool is_sound = road_is_sound(p);
    const char *name;
    json_t *value;

    json_object_foreach(checks, name, value)
    {
        struct platform_check *check = GROW(&p->checks);
        if (!check)
            return;
        check->name = name;
        memset(check->raised, -1, sizeof(check->raised));
        strv_add(&p->check_names, name);
        if (!is_known_check(name))
            doc_check_key(f->doc, checks, name, "checks", platform_check_names, f->faults);
        json_t *levels = field_get(f, checks, name, JSON_OBJECT);
        if (!levels)
            continue;
        read_levels(p, f, levels, check);
        if (is_sound)
            check_gradient(p, f, levels, check);
    }
}

const struct strv *platform_checks(const struct platform *p)
{
    return &p->check_names;
}

enum platform_level platform_check_level(const struct platform *p, const char *cluster,
                                         const char *check)
{
    const struct platform_cluster *c = platform_cluster(p, cluster);

    for (size_t i = 0; c && i < p->checks.count; i++)
        if (strcmp(p->checks.items[i].name, check) == 0)
            return (enum platform_level)level_at(p, &p->checks.items[i], c);
    return LEVEL_OFF;
}
