/* verdict/report.c - findings and verdict for a person at a terminal. */
#include "verdict/verdict_internal.h"

struct paint {
    bool color;
    struct buf *out;
};

static const char *level_color(enum check_level level)
{
    static const char *const colors[] = {"", "\033[2m", "\033[33m", "\033[35m", "\033[31m"};

    return colors[level];
}

static const char *severity_color(enum severity severity)
{
    static const char *const colors[SEVERITY_COUNT] = {
        [SEVERITY_UNKNOWN] = "",      [SEVERITY_NEGLIGIBLE] = "\033[2m",
        [SEVERITY_LOW] = "\033[2m",   [SEVERITY_MEDIUM] = "\033[33m",
        [SEVERITY_HIGH] = "\033[31m", [SEVERITY_CRITICAL] = "\033[1;31m",
    };

    return colors[severity];
}

static void painted(const struct paint *p, const char *color, const char *text, int width)
{
    if (p->color && color[0])
        buf_addf(p->out, "%s%-*s\033[0m", color, width, text);
    else
        buf_addf(p->out, "%-*s", width, text);
}

static const char *team_of(enum owner owner, const char *team)
{
    if (team && team[0])
        return team;
    return owner_is_developer(owner) ? "app team" : "platform team";
}

static void explain(const struct paint *p, const struct failure *f)
{
    painted(p, level_color(f->level), check_level_name(f->level), 7);
    buf_addf(p->out, "%s\n", f->evidence);
    if (f->finding && f->finding->summary[0])
        buf_addf(p->out, "        %s\n", f->finding->summary);
    buf_addf(p->out, "        rule: %s\n        owner: %s (%s layer)\n", f->rule,
             team_of(f->owner, f->team), owner_name(f->owner));
    if (f->waived[0])
        buf_addf(p->out, "        waived: %s\n", f->waived);
    if (f->finding && f->finding->fixed[0])
        buf_addf(p->out, "        fixed in: %s\n", f->finding->fixed);
    if (f->finding && f->finding->advice[0])
        buf_addf(p->out, "        remedy: %s\n", f->finding->advice);
    if (f->command[0])
        buf_addf(p->out, "        next: %s\n", f->command);
}

void verdict_explain(const struct verdict *verdict, bool color, struct buf *out)
{
    const struct paint p = {color, out};

    for (size_t i = 0; i < verdict->count; i++)
        explain(&p, &verdict->items[i]);
}

static void finding_line(const struct paint *p, const struct finding *f)
{
    char score[16] = "";

    if (f->score_tenths >= 0)
        (void)snprintf(score, sizeof score, "%d.%d", f->score_tenths / 10, f->score_tenths % 10);
    buf_add_text(p->out, "  ");
    painted(p, severity_color(f->severity), severity_name(f->severity), 11);
    buf_addf(p->out, "%-5s %-28s %-20s %-24s %s%s\n", score, f->package->name, f->package->version,
             f->advisory, f->fixed[0] ? "fixed in " : "no fix known", f->fixed);
    if (f->command[0])
        buf_addf(p->out, "             next: %s\n", f->command);
}

/* One group: all findings whose owner is (not) the developer. */
static void group(const struct paint *p, const struct findings *findings, bool developers)
{
    bool headed = false;

    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *f = &findings->items[i];
        if (owner_is_developer(f->package->owner) != developers)
            continue;
        if (!headed)
            buf_addf(p->out, "%s\n", team_of(f->package->owner, f->package->team));
        headed = true;
        finding_line(p, f);
    }
}

void verdict_report(const struct findings *findings, const struct verdict *verdict, bool color,
                    struct buf *out)
{
    const struct paint p = {color, out};

    group(&p, findings, true);
    group(&p, findings, false);
    if (findings->count == 0)
        buf_add_text(out, "no known vulnerability\n");
    if (!verdict)
        return;
    buf_addf(out, "verdict%s%s: ", verdict->cluster[0] ? " for " : "", verdict->cluster);
    painted(&p, level_color(verdict->level),
            verdict->level == CHECK_REFUSE ? "refused"
            : verdict->level == CHECK_HOLD ? "held"
                                           : "passed",
            0);
    buf_add_char(out, '\n');
}
