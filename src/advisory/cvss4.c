/* advisory/cvss4.c - CVSS 4.0: a table of macro vectors, then interpolation inside the macro
 * vector.
 *
 * Source: CVSS v4.0 specification section 8 and the reference calculator of FIRST, whose table this
 * is. */
#include "advisory/cvss_internal.h"

#include <math.h>

static const struct cvss_metric table[] = {
    {"AV", "N A L P", true},     {"AC", "L H", true},
    {"AT", "N P", true},         {"PR", "N L H", true},
    {"UI", "N P A", true},       {"VC", "H L N", true},
    {"VI", "H L N", true},       {"VA", "H L N", true},
    {"SC", "H L N", true},       {"SI", "H L N", true},
    {"SA", "H L N", true},       {"E", "X A P U", false},
    {"CR", "X H M L", false},    {"IR", "X H M L", false},
    {"AR", "X H M L", false},    {"MAV", "X N A L P", false},
    {"MAC", "X L H", false},     {"MAT", "X N P", false},
    {"MPR", "X N L H", false},   {"MUI", "X N P A", false},
    {"MVC", "X H L N", false},   {"MVI", "X H L N", false},
    {"MVA", "X H L N", false},   {"MSC", "X H L N", false},
    {"MSI", "X S H L N", false}, {"MSA", "X S H L N", false},
    {"S", "X N P", false},       {"AU", "X N Y", false},
    {"R", "X A U I", false},     {"V", "X D C", false},
    {"RE", "X L M H", false},    {"U", "X Clear Green Amber Red", false},
};

/* Tenths by eq1 eq2 eq3 eq4 (rows, in that order) and eq5 eq6 (00 01 10 11 20 21); -1: does not
 * exist. */
static const int8_t scores[54][6] = {
    /* 0000 */ {100, 99, 98, 95, 95, 92},
    /* 0001 */ {100, 96, 93, 87, 91, 81},
    /* 0002 */ {93, 90, 89, 80, 81, 68},
    /* 0010 */ {98, 95, 95, 92, 90, 84},
    /* 0011 */ {93, 92, 89, 81, 81, 65},
    /* 0012 */ {88, 80, 78, 70, 69, 48},
    /* 0020 */ {-1, 92, -1, 82, -1, 72},
    /* 0021 */ {-1, 79, -1, 69, -1, 50},
    /* 0022 */ {-1, 69, -1, 55, -1, 27},
    /* 0100 */ {99, 97, 95, 92, 92, 85},
    /* 0101 */ {95, 91, 90, 83, 84, 71},
    /* 0102 */ {92, 81, 82, 71, 72, 53},
    /* 0110 */ {95, 93, 92, 85, 85, 73},
    /* 0111 */ {92, 82, 80, 72, 70, 59},
    /* 0112 */ {84, 70, 71, 52, 50, 30},
    /* 0120 */ {-1, 86, -1, 75, -1, 52},
    /* 0121 */ {-1, 71, -1, 52, -1, 29},
    /* 0122 */ {-1, 63, -1, 29, -1, 17},
    /* 1000 */ {98, 95, 94, 87, 91, 81},
    /* 1001 */ {94, 89, 86, 74, 77, 64},
    /* 1002 */ {87, 75, 74, 63, 63, 49},
    /* 1010 */ {94, 89, 88, 77, 76, 67},
    /* 1011 */ {86, 76, 74, 58, 59, 50},
    /* 1012 */ {72, 57, 57, 52, 52, 25},
    /* 1020 */ {-1, 83, -1, 70, -1, 54},
    /* 1021 */ {-1, 65, -1, 58, -1, 26},
    /* 1022 */ {-1, 53, -1, 21, -1, 13},
    /* 1100 */ {95, 90, 88, 76, 76, 70},
    /* 1101 */ {90, 77, 75, 62, 61, 53},
    /* 1102 */ {77, 66, 68, 59, 52, 30},
    /* 1110 */ {89, 78, 76, 67, 62, 58},
    /* 1111 */ {74, 59, 57, 57, 47, 23},
    /* 1112 */ {61, 52, 57, 29, 24, 16},
    /* 1120 */ {-1, 71, -1, 59, -1, 30},
    /* 1121 */ {-1, 58, -1, 26, -1, 15},
    /* 1122 */ {-1, 23, -1, 13, -1, 6},
    /* 2000 */ {93, 87, 86, 72, 75, 58},
    /* 2001 */ {86, 74, 74, 61, 56, 34},
    /* 2002 */ {70, 54, 52, 40, 40, 22},
    /* 2010 */ {85, 75, 74, 55, 62, 51},
    /* 2011 */ {72, 57, 55, 41, 46, 19},
    /* 2012 */ {53, 36, 34, 19, 19, 8},
    /* 2020 */ {-1, 64, -1, 51, -1, 20},
    /* 2021 */ {-1, 47, -1, 21, -1, 11},
    /* 2022 */ {-1, 24, -1, 9, -1, 4},
    /* 2100 */ {88, 75, 73, 53, 60, 50},
    /* 2101 */ {73, 55, 59, 40, 41, 20},
    /* 2102 */ {54, 43, 45, 22, 20, 11},
    /* 2110 */ {75, 55, 58, 45, 40, 21},
    /* 2111 */ {61, 51, 48, 18, 20, 9},
    /* 2112 */ {46, 18, 17, 7, 8, 2},
    /* 2120 */ {-1, 53, -1, 24, -1, 14},
    /* 2121 */ {-1, 24, -1, 12, -1, 5},
    /* 2122 */ {-1, 10, -1, 3, -1, 1},
};

struct macro {
    int eq1, eq2, eq3, eq4, eq5, eq6;
};

static int score_of(struct macro m)
{
    if (m.eq1 > 2 || m.eq2 > 1 || m.eq3 > 2 || m.eq4 > 2 || m.eq5 > 2 || m.eq6 > 1)
        return -1;
    return scores[((m.eq1 * 2 + m.eq2) * 3 + m.eq3) * 3 + m.eq4][m.eq5 * 2 + m.eq6];
}

enum { AV, AC, AT, PR, UI, VC, VI, VA, SC, SI, SA, CR, IR, AR, LEVELLED };

/* The values that count, each as its level: how many steps it is below the worst. */
static const struct {
    const char *name, *modified, *otherwise;
    const char *levels; /* worst first */
} metrics[LEVELLED] = {
    [AV] = {"AV", "MAV", "", "NALP"}, [AC] = {"AC", "MAC", "", "LH"},
    [AT] = {"AT", "MAT", "", "NP"},   [PR] = {"PR", "MPR", "", "NLH"},
    [UI] = {"UI", "MUI", "", "NPA"},  [VC] = {"VC", "MVC", "", "HLN"},
    [VI] = {"VI", "MVI", "", "HLN"},  [VA] = {"VA", "MVA", "", "HLN"},
    [SC] = {"SC", "MSC", "", " HLN"}, [SI] = {"SI", "MSI", "", "SHLN"},
    [SA] = {"SA", "MSA", "", "SHLN"}, [CR] = {"CR", NULL, "H", "HML"},
    [IR] = {"IR", NULL, "H", "HML"},  [AR] = {"AR", NULL, "H", "HML"},
};

static int level_of(int metric, char value)
{
    const char *at = strchr(metrics[metric].levels, value);

    return at ? (int)(at - metrics[metric].levels) : 0;
}

static void take_levels(const struct cvss_vector *v, int levels[LEVELLED])
{
    for (int i = 0; i < LEVELLED; i++) {
        const char *value = cvss_value(v, metrics[i].name, metrics[i].otherwise);
        if (metrics[i].modified)
            value = cvss_value(v, metrics[i].modified, value);
        levels[i] = level_of(i, value[0]);
    }
}

static bool is(const int levels[LEVELLED], int metric, char value)
{
    return levels[metric] == level_of(metric, value);
}

static struct macro macro_of(const int l[LEVELLED], char exploit)
{
    bool av_n = is(l, AV, 'N'), pr_n = is(l, PR, 'N'), ui_n = is(l, UI, 'N');
    bool any_n = av_n || pr_n || ui_n;
    bool vc = is(l, VC, 'H'), vi = is(l, VI, 'H'), va = is(l, VA, 'H');
    struct macro m;

    m.eq1 = av_n && pr_n && ui_n ? 0 : any_n && !is(l, AV, 'P') ? 1 : 2;
    m.eq2 = is(l, AC, 'L') && is(l, AT, 'N') ? 0 : 1;
    m.eq3 = vc && vi ? 0 : vc || vi || va ? 1 : 2;
    if (is(l, SI, 'S') || is(l, SA, 'S'))
        m.eq4 = 0;
    else
        m.eq4 = is(l, SC, 'H') || is(l, SI, 'H') || is(l, SA, 'H') ? 1 : 2;
    m.eq5 = exploit == 'A' ? 0 : exploit == 'P' ? 1 : 2;
    m.eq6 = (is(l, CR, 'H') && vc) || (is(l, IR, 'H') && vi) || (is(l, AR, 'H') && va) ? 0 : 1;
    return m;
}

/* The highest vectors of each macro vector's digit, values in the order of the metrics in
 * interpolate(). */
static const char *const eq1_highest[3][4] = {{"NNN"}, {"ANN", "NLN", "NNP"}, {"PNN", "ALP"}};
static const char *const eq2_highest[2][3] = {{"LN"}, {"HN", "LP"}};
static const char *const eq4_highest[3][2] = {{"HSS"}, {"HHH"}, {"LLL"}};
static const char *const eq36_highest[3][2][6] = {
    {{"HHHHHH"}, {"HHLMMH", "HHHMMM"}},
    {{"LHHHHH", "HLHHHH"}, {"LHLHMH", "LHHHMM", "HLHMHM", "HLLMHH", "LLHHHM"}},
    {{NULL}, {"LLLHHH"}},
};

/* Steps from the highest vector to ours, or -1 if that vector is not above ours in every metric. */
static int distance(const int l[LEVELLED], const int *order, const char *highest)
{
    int steps = 0;

    for (int i = 0; highest[i]; i++) {
        int step = l[order[i]] - level_of(order[i], highest[i]);
        if (step < 0)
            return -1;
        steps += step;
    }
    return steps;
}

/* The specification tries all combinations of the groups' highest vectors and takes the first that
 * fits in every metric; groups share no metric, so the first that fits in each group is the same.
 */
static int first_distance(const int l[LEVELLED], const int *order, const char *const *highest,
                          size_t max)
{
    for (size_t i = 0; i < max && highest[i]; i++) {
        int steps = distance(l, order, highest[i]);
        if (steps >= 0)
            return steps;
    }
    return 0;
}

static int next_of_eq36(struct macro m)
{
    struct macro a = m, b = m;

    a.eq3++;
    b.eq6++;
    if (m.eq3 == 1 && m.eq6 == 0)
        return score_of(b);
    if (m.eq3 == 0 && m.eq6 == 0)
        return score_of(a) > score_of(b) ? score_of(a) : score_of(b);
    return score_of(a);
}

struct mean { /* of the proportional distances of the groups that have a lower macro vector */
    double sum;
    int count;
};

static void add(struct mean *mean, int value, int next, int steps, int depth)
{
    if (next < 0)
        return;
    mean->count++;
    mean->sum += (value - next) / 10.0 * ((double)steps / depth);
}

static double interpolate(const int l[LEVELLED], struct macro m)
{
    static const int eq1_metrics[] = {AV, PR, UI}, eq2_metrics[] = {AC, AT},
                     eq4_metrics[] = {SC, SI, SA}, eq36_metrics[] = {VC, VI, VA, CR, IR, AR};
    static const int eq1_depth[] = {1, 4, 5}, eq2_depth[] = {1, 2}, eq4_depth[] = {6, 5, 4};
    static const int eq36_depth[3][2] = {{7, 6}, {8, 8}, {10, 10}};
    int value = score_of(m);
    struct mean mean = {0};
    struct macro n = m;

    add(&mean, value, (n.eq1++, score_of(n)), first_distance(l, eq1_metrics, eq1_highest[m.eq1], 4),
        eq1_depth[m.eq1]);
    n = m;
    add(&mean, value, (n.eq2++, score_of(n)), first_distance(l, eq2_metrics, eq2_highest[m.eq2], 3),
        eq2_depth[m.eq2]);
    add(&mean, value, next_of_eq36(m),
        first_distance(l, eq36_metrics, eq36_highest[m.eq3][m.eq6], 6), eq36_depth[m.eq3][m.eq6]);
    n = m;
    add(&mean, value, (n.eq4++, score_of(n)), first_distance(l, eq4_metrics, eq4_highest[m.eq4], 2),
        eq4_depth[m.eq4]);
    n = m;
    add(&mean, value, (n.eq5++, score_of(n)), 0, 1);
    return value / 10.0 - (mean.count ? mean.sum / mean.count : 0);
}

static bool has_impact(const int l[LEVELLED])
{
    for (int i = VC; i <= SA; i++) {
        if (!is(l, i, 'N'))
            return true;
    }
    return false;
}

static int score(const int l[LEVELLED], char exploit)
{
    double s;

    if (!has_impact(l))
        return 0;
    s = interpolate(l, macro_of(l, exploit));
    s = fmin(fmax(s, 0), 10);
    return (int)floor(s * 10 + 0.5 + 1e-9);
}

int cvss4_parse(struct str text, struct cvss *ret, struct error *err)
{
    struct cvss_vector v, base;
    int levels[LEVELLED];

    if (cvss_take_vector(text, table, ARRAY_LEN(table), &v, err) < 0)
        return -1;
    take_levels(&v, levels);
    ret->version = "4.0";
    ret->score_tenths = score(levels, cvss_value(&v, "E", "A")[0]);
    base = v;
    for (size_t i = 0; i < base.count; i++) {
        if (!table[i].is_required)
            base.values[i][0] = '\0';
    }
    take_levels(&base, levels);
    ret->base_tenths = score(levels, 'A');
    ret->severity = severity_of_score(ret->score_tenths);
    return 0;
}
