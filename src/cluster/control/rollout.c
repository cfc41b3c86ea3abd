/* cluster/control/rollout.c - see rollout.h. */
#include "cluster/control/rollout.h"

#include <stdlib.h>

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A number, or a percentage of `total`. Bad values were refused by validation; here they count as
 * 25%. */
static int64_t resolve(const json_t *value, int64_t total, bool round_up)
{
    uint64_t percent = 25;

    if (json_is_integer(value) && json_integer_value(value) >= 0)
        return json_integer_value(value);
    if (json_is_string(value)) {
        struct str text = str_of(json_string_value(value));
        uint64_t number;
        if (str_ends(text, STR("%")) && str_to_u64(str_first(text, text.len - 1), &number) &&
            number <= 100000)
            percent = number;
    }
    return (total * (int64_t)percent + (round_up ? 99 : 0)) / 100;
}

struct rollout_limits rollout_limits_of(int64_t desired, const json_t *max_surge,
                                        const json_t *max_unavailable)
{
    struct rollout_limits limits = {
        .desired = desired,
        .surge = resolve(max_surge, desired, true),
        .unavailable = resolve(max_unavailable, desired, false),
    };
    if (limits.surge == 0 && limits.unavailable == 0)
        limits.unavailable = 1; /* else nothing could ever move */
    limits.unavailable = smaller(limits.unavailable, desired);
    return limits;
}

static int64_t sum_replicas(const struct rollout_set *sets, size_t count)
{
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += sets[i].replicas;
    return sum;
}

static struct rollout_set *new_set(struct rollout_set *sets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (sets[i].is_new)
            return &sets[i];
    return NULL;
}

bool rollout_grow_new(struct rollout_set *sets, size_t count, const struct rollout_limits *limits)
{
    struct rollout_set *new = new_set(sets, count);
    int64_t total = sum_replicas(sets, count), most = limits->desired + limits->surge;

    if (!new || new->replicas == limits->desired)
        return false;
    if (new->replicas > limits->desired) {
        new->replicas = limits->desired;
        return true;
    }
    if (total >= most)
        return false;
    new->replicas += smaller(most - total, limits->desired - new->replicas);
    return true;
}

bool rollout_shrink_old(struct rollout_set *sets, size_t count, const struct rollout_limits *limits)
{
    struct rollout_set *new = new_set(sets, count);
    int64_t least = limits->desired - limits->unavailable;
    int64_t new_replicas = new ? new->replicas : 0, new_available = new ? new->available : 0;
    int64_t spare = sum_replicas(sets, count) - least - (new_replicas - new_available);
    int64_t available = 0, done = 0;

    if (spare <= 0)
        return false;
    /* unhealthy old pods first: they serve nobody */
    for (size_t i = 0; i < count && done < spare; i++) {
        if (sets[i].is_new || sets[i].replicas <= sets[i].available)
            continue;
        int64_t cut = smaller(spare - done, sets[i].replicas - sets[i].available);
        sets[i].replicas -= cut;
        done += cut;
    }
    for (size_t i = 0; i < count; i++)
        available += sets[i].available;
    int64_t cuttable = available - least;
    for (size_t i = 0; i < count && cuttable > 0; i++) {
        if (sets[i].is_new || sets[i].replicas == 0)
            continue;
        int64_t cut = smaller(sets[i].replicas, cuttable);
        sets[i].replicas -= cut;
        cuttable -= cut;
        done += cut;
    }
    return done > 0;
}

/* Rounded to the nearest, halves away from zero: as Go's math.Round on these positive numbers. */
static int64_t share_of(const struct rollout_set *set, int64_t allowed, int64_t fallback_max)
{
    int64_t max = set->max_replicas > 0 ? set->max_replicas : fallback_max;
    if (max <= 0)
        return 0;
    return (set->replicas * allowed * 2 + max) / (2 * max) - set->replicas;
}

/* The order in which sets get their share: the largest first; of equal ones the newer when growing.
 */
static void order_by_size(struct rollout_set **active, size_t count, bool newer_first)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t j = i; j > 0; j--) {
            bool swap = active[j]->replicas > active[j - 1]->replicas ||
                        (active[j]->replicas == active[j - 1]->replicas &&
                         (newer_first ? active[j] > active[j - 1] : active[j] < active[j - 1]));
            if (!swap)
                break;
            struct rollout_set *other = active[j];
            active[j] = active[j - 1];
            active[j - 1] = other;
        }
    }
}

static bool scale_to(struct rollout_set *set, int64_t replicas)
{
    bool changed = set->replicas != replicas;
    set->replicas = replicas;
    return changed;
}

static bool spread(struct rollout_set **active, size_t count, const struct rollout_limits *limits)
{
    int64_t total = 0, added = 0;
    int64_t allowed = limits->desired > 0 ? limits->desired + limits->surge : 0;
    bool changed = false;

    for (size_t i = 0; i < count; i++)
        total += active[i]->replicas;
    int64_t to_add = allowed - total;
    order_by_size(active, count, to_add > 0);
    for (size_t i = 0; i < count && to_add != 0; i++) {
        int64_t left = to_add - added, share = share_of(active[i], allowed, total);
        share = to_add > 0 ? smaller(share > 0 ? share : 0, left) : share < left ? left : share;
        if (active[i]->replicas + share < 0)
            share = -active[i]->replicas;
        changed = changed || share != 0;
        active[i]->replicas += share;
        added += share;
    }
    if (count && added != to_add) {
        int64_t rest = active[0]->replicas + to_add - added;
        changed = scale_to(active[0], rest < 0 ? 0 : rest) || changed;
    }
    return changed;
}

bool rollout_scale(struct rollout_set *sets, size_t count, const struct rollout_limits *limits,
                   bool is_rolling)
{
    struct rollout_set *new = new_set(sets, count), *only = NULL;
    struct rollout_set **active = calloc(count + 1, sizeof(struct rollout_set *));
    size_t active_count = 0;
    bool changed = false;

    if (!active)
        return false; /* tried again with the next event */
    for (size_t i = 0; i < count; i++)
        if (sets[i].replicas > 0)
            active[active_count++] = &sets[i];
    if (active_count == 1)
        only = active[0];
    else if (active_count == 0)
        only = new ? new : count ? &sets[count - 1] : NULL;

    if (only) {
        changed = scale_to(only, limits->desired);
    } else if (new &&new->replicas == limits->desired &&new->available >= limits->desired) {
        for (size_t i = 0; i < count; i++) /* saturated: the old ones are not needed */
            if (!sets[i].is_new)
                changed = scale_to(&sets[i], 0) || changed;
    } else if (is_rolling) {
        changed = spread(active, active_count, limits);
    }
    free(active);
    return changed;
}
