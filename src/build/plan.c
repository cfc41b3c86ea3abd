/* build/plan.c - see plan.h. */
#include "build/plan.h"

struct trial {
    const json_t *elements;
    size_t count;
    size_t chosen[PLAN_ELEMENTS_MAX]; /* which option of each element */
    bool dropped[PLAN_ELEMENTS_MAX];
    char reason[512]; /* why it failed */
};

static const json_t *option_of(const struct trial *t, size_t element)
{
    return json_array_get(json_object_get(json_array_get(t->elements, element), "options"),
                          t->chosen[element]);
}

static size_t option_count(const struct trial *t, size_t element)
{
    return json_array_size(json_object_get(json_array_get(t->elements, element), "options"));
}

/* An optional element is optional only on its last option: before that the other options are tried.
 */
static bool is_optional(const struct trial *t, size_t element)
{
    return json_bool_at(json_array_get(t->elements, element), "optional", false) &&
           t->chosen[element] + 1 >= option_count(t, element);
}

/* {"name": {"providers":[…],"requires":[…],"extra":[…],"early":[…]}} in order of first mention. */
static json_t *dependency(json_t *deps, const char *name)
{
    json_t *found = json_object_get(deps, name);

    if (!found) {
        found = json_pack("{s:[],s:[],s:[],s:[]}", "providers", "requires", "extra", "early");
        if (json_object_set_new(deps, name, found) < 0)
            return NULL;
    }
    return found;
}

static int add_index(json_t *dep, const char *key, size_t element)
{
    return json_array_append_new(json_object_get(dep, key), json_integer((json_int_t)element));
}

static int add_requires(json_t *deps, const json_t *require, size_t element)
{
    json_t *dep = dependency(deps, json_str_at(require, "name"));
    json_t *providers = json_object_get(dep, "providers"), *extra = json_object_get(dep, "extra");

    if (!dep || json_array_extend(providers, extra) < 0)
        return -1;
    json_array_clear(extra);
    if (json_array_size(providers) == 0)
        return add_index(dep, "early", element);
    return json_array_append(json_object_get(dep, "requires"), (json_t *)require);
}

static int gather(const struct trial *t, json_t *deps, struct error *err)
{
    const json_t *item;
    size_t i;

    for (size_t element = 0; element < t->count; element++) {
        const json_t *option = option_of(t, element);
        if (t->dropped[element])
            continue;
        json_array_foreach(json_object_get(option, "provides"), i, item)
        {
            json_t *dep = dependency(deps, json_string_value(item));
            if (!dep || add_index(dep, "extra", element) < 0)
                return error_no_memory(err);
        }
        json_array_foreach(json_object_get(option, "requires"), i, item)
        {
            if (add_requires(deps, item, element) < 0)
                return error_no_memory(err);
        }
    }
    return 0;
}

/* Drops an optional element of the list: 1; finds a required one: -1; the list is empty: 0. */
static int drop_one(struct trial *t, const json_t *list, const char *name, const char *fault)
{
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        size_t element = (size_t)json_integer_value(item);
        if (is_optional(t, element)) {
            t->dropped[element] = true;
            return 1;
        }
        snprintf(t->reason, sizeof(t->reason), "%s %s '%s'",
                 json_str_at(json_array_get(t->elements, element), "id"), fault, name);
        return -1;
    }
    return 0;
}

static int prune(struct trial *t, json_t *deps)
{
    const char *name;
    json_t *dep;

    json_object_foreach(deps, name, dep)
    {
        int result = drop_one(t, json_object_get(dep, "early"), name,
                              "requires what nobody before it provides:");
        if (result == 0)
            result =
                drop_one(t, json_object_get(dep, "extra"), name, "provides what nobody requires:");
        if (result)
            return result;
    }
    return 0;
}

static json_t *result_of(const struct trial *t, const json_t *deps)
{
    json_t *plan = json_pack("{s:[],s:[]}", "group", "entries"), *dep;
    const char *name;
    int failed = plan ? 0 : -1;

    for (size_t i = 0; !failed && i < t->count; i++) {
        if (!t->dropped[i])
            failed =
                json_array_append_new(json_object_get(plan, "group"), json_integer((json_int_t)i));
    }
    json_object_foreach((json_t *)deps, name, dep)
    {
        if (failed)
            break;
        failed = json_array_append_new(json_object_get(plan, "entries"),
                                       json_pack("{s:O,s:O}", "providers",
                                                 json_object_get(dep, "providers"), "requires",
                                                 json_object_get(dep, "requires")));
    }
    if (failed) {
        json_decref(plan);
        return NULL;
    }
    return plan;
}

/* 1 resolved, 0 not, -1 error. */
static int try_one(struct trial *t, json_t **ret_plan, struct error *err)
{
    size_t left = 0;

    memset(t->dropped, 0, sizeof(t->dropped));
    for (;;) {
        CLEANUP(json) json_t *deps = json_object();
        if (!deps)
            return error_no_memory(err);
        if (gather(t, deps, err) < 0)
            return -1;
        int pruned = prune(t, deps);
        if (pruned < 0)
            return 0;
        if (pruned > 0)
            continue;
        for (size_t i = 0; i < t->count; i++)
            left += !t->dropped[i];
        if (left == 0)
            return 0;
        *ret_plan = result_of(t, deps);
        return *ret_plan ? 1 : error_no_memory(err);
    }
}

/* The next combination, the last element's options running fastest. */
static bool advance(struct trial *t)
{
    for (size_t i = t->count; i-- > 0;) {
        if (++t->chosen[i] < option_count(t, i))
            return true;
        t->chosen[i] = 0;
    }
    return false;
}

int plan_resolve(const json_t *elements, json_t **ret_plan, struct error *err)
{
    struct trial t = {.elements = elements, .count = json_array_size(elements)};
    size_t trials = 0;

    snprintf(t.reason, sizeof(t.reason), "no buildpack is left");
    if (t.count == 0 || t.count > PLAN_ELEMENTS_MAX)
        return error_set(err, ERR_INVALID, "a group of %zu buildpacks", t.count);
    do {
        int result = try_one(&t, ret_plan, err);
        if (result)
            return result < 0 ? -1 : 0;
    } while (++trials < PLAN_TRIALS_MAX && advance(&t));
    return error_set(err, ERR_INVALID, "%s", t.reason);
}

/* --- the file of bin/detect --- */

static int add_option(const json_t *pair, json_t *options, struct error *err)
{
    CLEANUP(json) json_t *option = json_pack("{s:[],s:[]}", "provides", "requires");
    const json_t *item;
    size_t i;

    if (!option)
        return error_no_memory(err);
    json_array_foreach(json_object_get(pair, "provides"), i, item)
    {
        const char *name = json_str_at(item, "name");
        if (!name || !name[0])
            return error_set(err, ERR_INVALID, "[[provides]] without a name");
        json_array_append_new(json_object_get(option, "provides"), json_string(name));
    }
    json_array_foreach(json_object_get(pair, "requires"), i, item)
    {
        const char *name = json_str_at(item, "name");
        const json_t *metadata = json_object_get(item, "metadata");
        if (!name || !name[0])
            return error_set(err, ERR_INVALID, "[[requires]] without a name");
        if (json_object_get(item, "version"))
            return error_set(err, ERR_INVALID,
                             "[[requires]] '%s' has a version; it belongs in requires.metadata",
                             name);
        json_array_append_new(
            json_object_get(option, "requires"),
            json_pack("{s:s,s:o}", "name", name, "metadata",
                      metadata ? json_incref((json_t *)metadata) : json_object()));
    }
    return json_array_append(options, option) < 0 ? error_no_memory(err) : 0;
}

int plan_options(const json_t *file, json_t **ret_options, struct error *err)
{
    CLEANUP(json) json_t *options = json_array();
    const json_t *alternative;
    size_t i;

    if (!options)
        return error_no_memory(err);
    if (add_option(file, options, err) < 0)
        return -1;
    json_array_foreach(json_object_get(file, "or"), i, alternative)
    {
        if (i + 2 > PLAN_OPTIONS_MAX)
            return error_set(err, ERR_LIMIT, "a build plan with more than %d alternatives",
                             PLAN_OPTIONS_MAX);
        if (add_option(alternative, options, err) < 0)
            return -1;
    }
    *ret_options = TAKE(options);
    return 0;
}
