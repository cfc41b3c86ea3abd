/* verdict/report.c - what a person reads. Text from outside (names, summaries) loses its control
 * characters, so that no package name can paint a terminal. Colour only where the caller says so.
 */
#include "verdict/verdict_internal.h"

enum { COLUMN_MAX = 48 };

static const char *color_of(enum severity severity)
{
    switch (severity) {
    case SEVERITY_CRITICAL:
        return "\x1b[1;35m";
    case SEVERITY_HIGH:
        return "\x1b[31m";
    case SEVERITY_MEDIUM:
        return "\x1b[33m";
    case SEVERITY_LOW:
    case SEVERITY_NEGLIGIBLE:
    case SEVERITY_UNKNOWN:
        break;
    }
    return "\x1b[2m";
}

static const char *color_of_level(enum check_level level)
{
    return level == CHECK_REFUSE ? "\x1b[1;31m" : level == CHECK_HOLD ? "\x1b[1;33m" : "\x1b[33m";
}

static void add_clean(struct buf *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        /* 0xc2 0x80 … 0x9f are control characters, too. */
        bool is_c1 = c == 0xc2 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] <= 0x9f;
        buf_add_char(out, c < 0x20 || c == 0x7f || is_c1 ? '?' : (char)c);
        text += is_c1;
    }
}

static size_t width_of(const char *text) /* characters, near enough */
{
    size_t width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void add_padded(struct buf *out, const char *text, size_t width)
{
    size_t have = width_of(text);

    add_clean(out, text);
    for (; have < width; have++)
        buf_add_char(out, ' ');
}

static void add_colored(struct buf *out, const char *color, const char *text, size_t width,
                        bool is_colored)
{
    if (is_colored)
        buf_add_text(out, color);
    add_padded(out, text, width);
    if (is_colored)
        buf_add_text(out, "\x1b[0m");
}

static const char *severity_cell(const struct finding *f, char *space, size_t size)
{
    if (f->score_tenths >= 0)
        (void)snprintf(space, size, "%s %d.%d", severity_name(f->severity), f->score_tenths / 10,
                       f->score_tenths % 10); /* fits */
    else
        (void)snprintf(space, size, "%s", severity_name(f->severity));
    return space;
}

struct widths {
    size_t package, version, advisory;
};

static void widen(size_t *width, const char *text)
{
    size_t have = width_of(text);

    if (have > *width)
        *width = have < COLUMN_MAX ? have : COLUMN_MAX;
}

static struct widths measure(const struct findings *findings)
{
    struct widths w = {.package = 7, .version = 7, .advisory = 8};

    for (size_t i = 0; i < findings->count; i++) {
        widen(&w.package, findings->items[i].package->name);
        widen(&w.version, findings->items[i].package->version);
        widen(&w.advisory, findings->items[i].advisory);
    }
    return w;
}

static void add_row(struct buf *out, const struct finding *f, const struct widths *w, bool color)
{
    char space[64];

    buf_add_text(out, "  ");
    add_colored(out, color_of(f->severity), severity_cell(f, space, sizeof space), 14, color);
    add_padded(out, f->package->name, w->package + 2);
    add_padded(out, f->package->version, w->version + 2);
    add_padded(out, f->advisory, w->advisory + 2);
    if (f->fixed[0]) {
        buf_add_text(out, "fixed in ");
        add_clean(out, f->fixed);
    } else {
        buf_add_text(out, "no fix known");
    }
    buf_add_char(out, '\n');
}

static void add_commands(struct buf *out, const struct findings *findings, enum owner owner)
{
    bool has_any = false;

    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *f = &findings->items[i];
        bool is_known = false;
        if (f->package->owner != owner || !f->command[0])
            continue;
        for (size_t k = 0; k < i && !is_known; k++)
            is_known = findings->items[k].package->owner == owner &&
                       strcmp(findings->items[k].command, f->command) == 0;
        if (is_known)
            continue;
        buf_add_text(out, has_any ? "        " : "  next: ");
        add_clean(out, f->command);
        buf_add_char(out, '\n');
        has_any = true;
    }
}

static void add_owner(struct buf *out, const struct findings *findings, enum owner owner,
                      const struct widths *w, bool color)
{
    const char *team = NULL;
    size_t count = 0;

    for (size_t i = 0; i < findings->count; i++) {
        if (findings->items[i].package->owner != owner)
            continue;
        count++;
        team = team ? team : findings->items[i].package->team;
    }
    if (count == 0)
        return;
    if (color)
        buf_add_text(out, "\x1b[1m");
    add_clean(out, team);
    buf_addf(out, " (%s): %zu finding%s", owner_name(owner), count, count == 1 ? "" : "s");
    buf_add_text(out, color ? "\x1b[0m\n" : "\n");
    for (size_t i = 0; i < findings->count; i++) {
        if (findings->items[i].package->owner == owner)
            add_row(out, &findings->items[i], w, color);
    }
    add_commands(out, findings, owner);
}

static void add_outcome(struct buf *out, const struct verdict *verdict, bool color)
{
    size_t counts[CHECK_REFUSE + 1] = {0};

    for (size_t i = 0; i < verdict->count; i++)
        counts[verdict->items[i].level]++;
    buf_add_text(out, "verdict: ");
    add_colored(out, verdict->level >= CHECK_WARN ? color_of_level(verdict->level) : "\x1b[32m",
                verdict->level == CHECK_REFUSE ? "refused"
                : verdict->level == CHECK_HOLD ? "held, waits for an approval"
                                               : "passed",
                0, color);
    buf_addf(out, " (%zu refuse, %zu hold, %zu warn, %zu note)\n", counts[CHECK_REFUSE],
             counts[CHECK_HOLD], counts[CHECK_WARN], counts[CHECK_NOTE]);
}

void verdict_report(const struct findings *findings, const struct verdict *verdict, bool color,
                    struct buf *out)
{
    static const enum owner order[] = {OWNER_APP,  OWNER_DEPENDENCY, OWNER_RUNTIME,
                                       OWNER_BASE, OWNER_PLATFORM,   OWNER_UNKNOWN};
    struct widths w = measure(findings);

    if (findings->count == 0)
        buf_add_text(out, "no known vulnerability\n");
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        add_owner(out, findings, order[i], &w, color);
    if (verdict) {
        verdict_explain(verdict, color, out);
        add_outcome(out, verdict, color);
    }
}

static void add_line(struct buf *out, const char *label, const char *text)
{
    if (!text || !text[0])
        return;
    buf_addf(out, "  %s%s", label, label[0] ? " " : "");
    add_clean(out, text);
    buf_add_char(out, '\n');
}

static void explain(struct buf *out, const struct failure *f, bool color)
{
    static const char *const words[] = {"", "note", "warning", "held", "refused"};
    char owner[256];

    add_colored(out, color_of_level(f->level), words[f->level], 0, color);
    buf_addf(out, ": %s\n", f->rule);
    add_line(out, "", f->evidence);
    (void)snprintf(owner, sizeof owner, "%s (%s)", f->team, owner_name(f->owner)); /* cut is fine */
    add_line(out, "owner:", owner);
    if (f->finding && f->finding->fixed[0])
        add_line(out, "fixed in:", f->finding->fixed);
    if (f->finding)
        add_line(out, "what:", f->finding->advice);
    add_line(out, "next:", f->command);
    add_line(out, "waiver:", f->waived);
}

void verdict_explain(const struct verdict *verdict, bool color, struct buf *out)
{
    for (size_t i = 0; i < verdict->count; i++) {
        if (verdict->items[i].level >= CHECK_WARN || verdict->items[i].waived[0])
            explain(out, &verdict->items[i], color);
    }
}
