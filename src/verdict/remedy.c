/* verdict/remedy.c - what to do about a finding: one sentence, one command.
 *
 * For npm the command must work as typed: a package that package.json asks for is installed at the
 * fixed version; one that others ask for is updated if all of them accept the fixed version, else
 * overridden. */
#include "build/semver.h"
#include "verdict/verdict_internal.h"

enum { CHAIN_MAX = 12 };

static const struct package *find_package(const struct inventory *inventory,
                                          struct str name_version)
{
    ptrdiff_t at = str_find_last(name_version, '@');
    const struct package *packages;
    size_t count;

    packages = inventory_packages(inventory, &count);
    if (at <= 0)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (str_is(str_first(name_version, (size_t)at), packages[i].name) &&
            str_is(str_skip(name_version, (size_t)at + 1), packages[i].version) &&
            strcmp(packages[i].ecosystem, "npm") == 0)
            return &packages[i];
    }
    return NULL;
}

/* "express 4.21.1 → path-to-regexp 0.1.10": from what the app asks for down to the package, by
 * first askers. */
static const char *chain_of(const struct inventory *inventory, const struct package *package,
                            struct texts *texts)
{
    const struct package *chain[CHAIN_MAX];
    const char *text = "";
    size_t length = 0;

    for (const struct package *p = package; p && length < CHAIN_MAX;) {
        const struct package *next = NULL;
        chain[length++] = p;
        if (p->is_direct)
            break;
        for (size_t i = 0; i < p->need_count && !next; i++) {
            next = find_package(inventory, str_of(p->needs[i].by));
            for (size_t k = 0; next && k < length; k++) {
                if (chain[k] == next) /* a ring: look for another way out */
                    next = NULL;
            }
        }
        p = next;
    }
    while (length--)
        text = texts_addf(texts, "%s%s%s %s", text, text[0] ? " → " : "", chain[length]->name,
                          chain[length]->version);
    return text;
}

static bool all_accept(const struct package *p, const char *version)
{
    struct semver wanted;

    if (!semver_parse(str_of(version), &wanted))
        return false;
    for (size_t i = 0; i < p->need_count; i++) {
        CLEANUP(semver_range)
        struct semver_range *range = semver_range_parse(str_of(p->needs[i].range));
        if (!range || !semver_range_has(range, &wanted))
            return false;
    }
    return p->need_count > 0;
}

static void bump_npm(const struct inventory *inventory, struct finding *f, const char *version,
                     struct texts *texts)
{
    const struct package *p = f->package;

    f->remedy = REMEDY_BUMP;
    if (p->is_direct || p->need_count == 0) {
        f->command = texts_addf(texts, "npm install %s%s@%s", p->is_dev ? "--save-dev " : "",
                                p->name, version);
        f->advice = texts_addf(texts, "%s bumps %s to %s", p->team, p->name, version);
        return;
    }
    if (all_accept(p, version)) {
        f->command = texts_addf(texts, "npm update %s", p->name);
        f->advice =
            texts_addf(texts, "%s updates %s to %s or later, which all that ask for it accept (%s)",
                       p->team, p->name, version, chain_of(inventory, p, texts));
        return;
    }
    f->command = texts_addf(texts, "npm pkg set 'overrides[%s]=%s' && npm update %s", p->name,
                            version, p->name);
    f->advice = texts_addf(texts, "%s overrides %s with %s, or bumps what asks for it (%s)",
                           p->team, p->name, version, chain_of(inventory, p, texts));
}

static void without_fix(const struct inventory *inventory, struct finding *f, struct texts *texts)
{
    const struct package *p = f->package;
    bool is_npm = strcmp(p->ecosystem, "npm") == 0;

    f->remedy = REMEDY_REMOVE;
    if (is_npm && p->is_direct)
        f->command = texts_addf(texts, "npm uninstall %s", p->name);
    else
        f->command = is_npm ? texts_addf(texts, "npm explain %s", p->name) : "";
    f->advice = texts_addf(texts,
                           "no version of %s without it is known: %s replaces it, or asks the "
                           "platform team for a waiver (%s)",
                           p->name, p->team, is_npm ? chain_of(inventory, p, texts) : p->name);
}

static void for_platform(struct finding *f, struct texts *texts)
{
    const struct package *p = f->package;

    if (f->fixed[0]) {
        f->remedy = REMEDY_REBASE;
        f->command = "monban stack build --refresh";
        f->advice =
            texts_addf(texts, "%s brings in %s %s with a new stack; no change of the app is needed",
                       p->team, p->source_name, f->fixed);
    } else {
        f->remedy = REMEDY_NONE;
        f->command = "";
        f->advice = texts_addf(texts,
                               "%s watches it: %s has no fixed version yet; nothing for the app "
                               "to do",
                               p->team, p->source_name);
    }
}

int remedy_decide(const struct inventory *inventory, struct finding *f, struct texts *texts,
                  struct error *err)
{
    const char *version = f->safe[0] ? f->safe : f->fixed;

    if (!owner_is_developer(f->package->owner)) {
        for_platform(f, texts);
    } else if (!version[0]) {
        without_fix(inventory, f, texts);
    } else if (strcmp(f->package->ecosystem, "npm") == 0) {
        bump_npm(inventory, f, version, texts);
    } else {
        f->remedy = REMEDY_BUMP;
        f->command = "";
        f->advice =
            texts_addf(texts, "%s bumps %s to %s", f->package->team, f->package->name, version);
    }
    return texts_ok(texts, err);
}
