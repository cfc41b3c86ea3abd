/* verdict/remedy.c - what to do about a finding, as an exact command. */
#include "build/semver.h"
#include "verdict/verdict_internal.h"

/* True if every range by which the package is asked for lets `version` in: then an update is
 * enough. */
static bool ranges_allow(const struct package *package, const char *version)
{
    struct semver v;

    if (!semver_parse(str_of(version), &v) || package->need_count == 0)
        return false;
    for (size_t i = 0; i < package->need_count; i++) {
        CLEANUP(semver_range)
        struct semver_range *range = semver_range_parse(str_of(package->needs[i].range));
        if (!range || !semver_range_has(range, &v))
            return false;
    }
    return true;
}

static void bump_npm(struct finding *f, const char *to, struct texts *texts)
{
    const struct package *p = f->package;

    f->remedy = REMEDY_BUMP;
    if (p->is_direct) {
        f->command = texts_addf(texts, "npm install %s@%s", p->name, to);
        f->advice = texts_addf(texts, "bump %s to %s", p->name, to);
    } else if (ranges_allow(p, to)) {
        f->command = texts_addf(texts, "npm update %s", p->name);
        f->advice = texts_addf(texts, "update %s to %s; what requires it allows that", p->name, to);
    } else {
        f->command = texts_addf(texts, "npm pkg set 'overrides.%s=%s' && npm install", p->name, to);
        f->advice = texts_addf(
            texts, "%s requires an older %s: bump that, or override it with %s",
            p->need_count > 0 && p->needs[0].by[0] ? p->needs[0].by : "a dependency", p->name, to);
    }
}

static void developers_remedy(struct finding *f, struct texts *texts)
{
    const struct package *p = f->package;
    const char *to = f->safe[0] ? f->safe : f->fixed;
    bool is_npm = strcmp(p->ecosystem, "npm") == 0;

    if (!to[0]) {
        f->remedy = REMEDY_REMOVE;
        f->command = is_npm && p->is_direct ? texts_addf(texts, "npm uninstall %s", p->name) : "";
        f->advice = texts_addf(
            texts, "no fixed version of %s is known: replace it, or ask for a waiver", p->name);
    } else if (is_npm) {
        bump_npm(f, to, texts);
    } else {
        f->remedy = REMEDY_BUMP;
        f->command = "";
        f->advice = texts_addf(texts, "bump %s to %s", p->name, to);
    }
}

void finding_add_remedy(struct finding *f, struct texts *texts)
{
    const struct package *p = f->package;

    if (p->owner == OWNER_DEPENDENCY || p->owner == OWNER_APP || p->owner == OWNER_UNKNOWN) {
        developers_remedy(f, texts);
        return;
    }
    if (!f->fixed[0]) {
        f->remedy = REMEDY_NONE;
        f->command = "";
        f->advice = texts_addf(texts, "the platform team watches it: no fixed %s is known yet",
                               p->source_name[0] ? p->source_name : p->name);
        return;
    }
    f->remedy = REMEDY_REBASE;
    f->command = "monban stack build --refresh";
    f->advice = texts_addf(
        texts, "the platform team brings %s %s into the %s layer; no developer is needed",
        p->source_name[0] ? p->source_name : p->name, f->fixed, owner_name(p->owner));
}
