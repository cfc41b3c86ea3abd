/* build/detect.c - bin/detect of each group in order, until one passes and its build plan resolves
 * (buildpacks spec, platform.md "Order resolution", buildpack.md "Phase #1"). */
#include "base/clock.h"
#include "build/lifecycle.h"
#include "build/plan.h"

enum { DETECT_TIMEOUT_MS = 60000, DETECT_OUTPUT_MAX = 8192, DETECT_FAIL = 100 };

struct attempt { /* of one buildpack; run once however many groups hold it */
    bool done, passed, failed_hard;
    json_t *options; /* owned */
};

struct detection {
    struct build *b;
    struct attempt attempts[BUILDPACKS_MAX + 1];
    struct buf output; /* what they all said; shown if nothing passes */
    bool any_error;
};

static void detection_done(struct detection *d)
{
    for (size_t i = 0; i < ARRAY_LEN(d->attempts); i++)
        json_decref(d->attempts[i].options);
    buf_done(&d->output);
}
DEFINE_CLEANUP_VALUE(detection, struct detection, detection_done)

static void keep_output(struct str bytes, void *ctx)
{
    struct detection *d = ctx;

    buf_add_str(&d->output, str_first(bytes, DETECT_OUTPUT_MAX - d->output.len));
}

static int read_plan(struct build *b, const char *path, json_t **ret_options, struct error *err)
{
    CLEANUP(doc) struct doc *doc = NULL;

    if (build_read_toml(b, path, &doc, err) < 0)
        return -1;
    return plan_options(doc ? doc_root(doc) : NULL, ret_options, err);
}

static int run_detect(struct detection *d, const struct buildpack *pack, struct attempt *a,
                      struct error *err)
{
    CLEANUP(text) char *path = str_format("detect-%s.toml", pack->escaped);
    CLEANUP(strv) struct strv arguments = STRV_INIT;
    CLEANUP(strv) struct strv more = STRV_INIT;
    struct build_program program = {pack, "bin/detect",     &arguments, &more, keep_output,
                                    d,    DETECT_TIMEOUT_MS};
    int code;

    if (!path)
        return error_no_memory(err);
    strv_add(&arguments, "/platform");
    strv_addf(&arguments, "/layers/%s", path);
    strv_addf(&more, "CNB_BUILD_PLAN_PATH=/layers/%s", path);
    if (build_put_file(d->b, path, STR(""), err) < 0 ||
        build_run_program(d->b, &program, &code, err) < 0)
        return error_wrap(err, "detecting %s", pack->id);
    a->passed = code == 0;
    a->failed_hard = code != 0 && code != DETECT_FAIL;
    if (a->failed_hard)
        d->any_error = true;
    if (!a->passed)
        return 0;
    if (read_plan(d->b, path, &a->options, err) < 0)
        return error_wrap(err, "build plan of %s", pack->id);
    return 0;
}

/* The runtimes that Monban has provide themselves; whoever does not require them drops them. */
static int attempt_built_in(struct attempt *a, struct error *err)
{
    a->passed = true;
    a->options = json_pack("[{s:[s,s],s:[]}]", "provides", "node", "npm", "requires");
    return a->options ? 0 : error_no_memory(err);
}

static int attempt(struct detection *d, size_t index, struct error *err)
{
    const struct buildpack *pack = &d->b->packs.items[index];
    struct attempt *a = &d->attempts[index];

    if (a->done)
        return 0;
    a->done = true;
    return pack->dir ? run_detect(d, pack, a, err) : attempt_built_in(a, err);
}

/* 1: this group it is; 0: it is not. */
static int try_group(struct detection *d, const struct group *group, struct error *err)
{
    struct build *b = d->b;
    CLEANUP(json) json_t *elements = json_array();
    struct error why = ERROR_INIT;
    size_t passed_own = 0;

    if (!elements)
        return error_no_memory(err);
    for (size_t i = 0; i < group->count; i++) {
        size_t index = group->items[i].buildpack;
        const struct attempt *a = &d->attempts[index];
        if (attempt(d, index, err) < 0)
            return -1;
        if (!a->passed && !group->items[i].optional)
            return 0;
        if (!a->passed)
            continue;
        passed_own += b->packs.items[index].dir != NULL;
        if (json_array_append_new(elements,
                                  json_pack("{s:s,s:b,s:O,s:I}", "id", b->packs.items[index].id,
                                            "optional", (int)group->items[i].optional, "options",
                                            a->options, "buildpack", (json_int_t)index)) < 0)
            return error_no_memory(err);
    }
    if (passed_own == 0)
        return 0;
    if (plan_resolve(elements, &b->plan, &why) < 0) {
        buf_addf(&d->output, "%s\n", why.text);
        return 0;
    }
    b->elements = TAKE(elements);
    return 1;
}

static int take_group(struct build *b)
{
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(b->plan, "group"), i, item)
    {
        const json_t *element = json_array_get(b->elements, (size_t)json_integer_value(item));
        size_t index = (size_t)json_int_at(element, "buildpack", 0);
        b->group[b->group_count++] = &b->packs.items[index];
    }
    return 0;
}

static int nothing_fits(struct detection *d, struct error *err)
{
    CLEANUP(buf) struct buf names = BUF_INIT(4096);

    for (size_t i = 0; i < d->b->packs.count; i++) {
        if (d->b->packs.items[i].dir)
            buf_addf(&names, "%s%s", names.len ? ", " : "", d->b->packs.items[i].id);
    }
    return error_set(err, ERR_INVALID, "%s: tried %s%s%s",
                     d->any_error ? "a buildpack failed to look at this source"
                                  : "no buildpack knows how to build this source",
                     buf_text(&names), d->output.len ? "; they said:\n" : "", buf_text(&d->output));
}

int detect_run(struct build *b, struct error *err)
{
    CLEANUP(detection) struct detection d = {.b = b, .output = BUF_INIT(2 * DETECT_OUTPUT_MAX)};
    int64_t start = clock_monotonic_ms();

    for (size_t i = 0; i < b->packs.group_count; i++) {
        int result = try_group(&d, &b->packs.groups[i], err);
        if (result < 0)
            return -1;
        if (result == 0)
            continue;
        if (take_group(b) < 0)
            return -1;
        for (size_t k = 0; k < b->group_count; k++)
            build_say(b, BUILD_PHASE, "detect: %s %s", b->group[k]->id, b->group[k]->version);
        build_say(b, BUILD_PHASE, "detect: done (%lld ms)",
                  (long long)(clock_monotonic_ms() - start));
        return 0;
    }
    return nothing_fits(&d, err);
}
