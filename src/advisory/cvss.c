/* advisory/cvss.c - vectors, and the scores of versions 2 and 3; version 4 is in cvss4.c.
 *
 * Source: CVSS v3.1 specification 7.1 to 7.4 and appendix A (Roundup); v3.0 8.1; v2 guide 3.2. */
#include "advisory/cvss_internal.h"

#include <math.h>

static bool is_allowed(const char *values, struct str value)
{
    struct str rest = str_of(values);

    while (rest.ptr && rest.len) {
        if (str_equal(str_word(&rest), value))
            return true;
    }
    return false;
}

int cvss_take_vector(struct str text, const struct cvss_metric *table, size_t count,
                     struct cvss_vector *ret, struct error *err)
{
    *ret = (struct cvss_vector){.table = table, .count = count};
    while (text.ptr) {
        struct str value = str_cut(&text, '/');
        struct str name = str_cut(&value, ':');
        size_t i = 0;
        while (i < count && !str_is(name, table[i].name))
            i++;
        if (i == count)
            return error_set(err, ERR_INVALID, "unknown metric '%.*s'",
                             STR_ARG(str_first(name, 40)));
        if (!value.ptr || value.len >= sizeof ret->values[i] || !is_allowed(table[i].values, value))
            return error_set(err, ERR_INVALID, "metric %s: expected one of %s, found '%.*s'",
                             table[i].name, table[i].values, STR_ARG(str_first(value, 40)));
        if (ret->values[i][0])
            return error_set(err, ERR_INVALID, "metric %s twice", table[i].name);
        memcpy(ret->values[i], value.ptr, value.len);
    }
    for (size_t i = 0; i < count; i++) {
        if (table[i].is_required && !ret->values[i][0])
            return error_set(err, ERR_INVALID, "metric %s is missing", table[i].name);
    }
    return 0;
}

const char *cvss_value(const struct cvss_vector *v, const char *metric, const char *otherwise)
{
    for (size_t i = 0; i < v->count; i++) {
        if (strcmp(v->table[i].name, metric) != 0)
            continue;
        if (!v->values[i][0] || strcmp(v->values[i], "X") == 0 || strcmp(v->values[i], "ND") == 0)
            return otherwise;
        return v->values[i];
    }
    return otherwise;
}

struct weight {
    const char *value;
    double number;
};

static double pick(const char *value, const struct weight *weights)
{
    while (weights->value && strcmp(weights->value, value) != 0)
        weights++;
    return weights->number; /* the last one, without a value, is the default */
}
#define PICK(value, ...) pick((value), (const struct weight[]){__VA_ARGS__, {NULL, 1.0}})

/* ---- version 3 ---- */

static const struct cvss_metric v3_table[] = {
    {"AV", "N A L P", true},    {"AC", "L H", true},       {"PR", "N L H", true},
    {"UI", "N R", true},        {"S", "U C", true},        {"C", "H L N", true},
    {"I", "H L N", true},       {"A", "H L N", true},      {"E", "X H F P U", false},
    {"RL", "X U W T O", false}, {"RC", "X C R U", false},  {"CR", "X H M L", false},
    {"IR", "X H M L", false},   {"AR", "X H M L", false},  {"MAV", "X N A L P", false},
    {"MAC", "X L H", false},    {"MPR", "X N L H", false}, {"MUI", "X N R", false},
    {"MS", "X U C", false},     {"MC", "X H L N", false},  {"MI", "X H L N", false},
    {"MA", "X H L N", false},
};

static double roundup(double x, bool is_31)
{
    if (is_31) {
        int64_t i = (int64_t)round(x * 100000);
        return i % 10000 == 0 ? (double)i / 100000 : (double)(i / 10000 + 1) / 10;
    }
    return ceil(x * 10) / 10;
}

static double v3_impact_weight(const char *value)
{
    return PICK(value, {"H", 0.56}, {"L", 0.22}, {"N", 0});
}

static double v3_exploitability(const char *av, const char *ac, const char *pr, const char *ui,
                                bool changed)
{
    return 8.22 * PICK(av, {"N", 0.85}, {"A", 0.62}, {"L", 0.55}, {"P", 0.2}) *
           PICK(ac, {"L", 0.77}, {"H", 0.44}) *
           PICK(pr, {"N", 0.85}, {"L", changed ? 0.68 : 0.62}, {"H", changed ? 0.5 : 0.27}) *
           PICK(ui, {"N", 0.85}, {"R", 0.62});
}

static double v3_base(const struct cvss_vector *v, bool is_31)
{
    bool changed = strcmp(cvss_value(v, "S", "U"), "C") == 0;
    double iss = 1 - (1 - v3_impact_weight(cvss_value(v, "C", "N"))) *
                         (1 - v3_impact_weight(cvss_value(v, "I", "N"))) *
                         (1 - v3_impact_weight(cvss_value(v, "A", "N")));
    double impact = changed ? 7.52 * (iss - 0.029) - 3.25 * pow(iss - 0.02, 15) : 6.42 * iss;
    double sum =
        impact + v3_exploitability(cvss_value(v, "AV", "N"), cvss_value(v, "AC", "L"),
                                   cvss_value(v, "PR", "N"), cvss_value(v, "UI", "N"), changed);

    if (impact <= 0)
        return 0;
    return roundup(fmin(changed ? 1.08 * sum : sum, 10), is_31);
}

static double v3_temporal(const struct cvss_vector *v)
{
    return PICK(cvss_value(v, "E", "H"), {"H", 1}, {"F", 0.97}, {"P", 0.94}, {"U", 0.91}) *
           PICK(cvss_value(v, "RL", "U"), {"U", 1}, {"W", 0.97}, {"T", 0.96}, {"O", 0.95}) *
           PICK(cvss_value(v, "RC", "C"), {"C", 1}, {"R", 0.96}, {"U", 0.92});
}

static const char *modified(const struct cvss_vector *v, const char *m, const char *base)
{
    return cvss_value(v, m, cvss_value(v, base, ""));
}

static double v3_requirement(const struct cvss_vector *v, const char *metric)
{
    return PICK(cvss_value(v, metric, "M"), {"H", 1.5}, {"M", 1}, {"L", 0.5});
}

static double v3_environmental(const struct cvss_vector *v, bool is_31)
{
    bool changed = strcmp(modified(v, "MS", "S"), "C") == 0;
    double miss = fmin(
        0.915, 1 - (1 - v3_requirement(v, "CR") * v3_impact_weight(modified(v, "MC", "C"))) *
                       (1 - v3_requirement(v, "IR") * v3_impact_weight(modified(v, "MI", "I"))) *
                       (1 - v3_requirement(v, "AR") * v3_impact_weight(modified(v, "MA", "A"))));
    double impact = 6.42 * miss;
    double sum;

    if (changed && is_31)
        impact = 7.52 * (miss - 0.029) - 3.25 * pow(miss * 0.9731 - 0.02, 13);
    else if (changed)
        impact = 7.52 * (miss - 0.029) - 3.25 * pow(miss - 0.02, 15);
    if (impact <= 0)
        return 0;
    sum = impact + v3_exploitability(modified(v, "MAV", "AV"), modified(v, "MAC", "AC"),
                                     modified(v, "MPR", "PR"), modified(v, "MUI", "UI"), changed);
    return roundup(roundup(fmin(changed ? 1.08 * sum : sum, 10), is_31) * v3_temporal(v), is_31);
}

static bool has_any(const struct cvss_vector *v, const char *const *metrics)
{
    for (; *metrics; metrics++) {
        if (cvss_value(v, *metrics, NULL))
            return true;
    }
    return false;
}

int cvss3_parse(struct str metrics, bool is_31, struct cvss *ret, struct error *err)
{
    static const char *const environmental[] = {"CR",  "IR", "AR", "MAV", "MAC", "MPR",
                                                "MUI", "MS", "MC", "MI",  "MA",  NULL};
    struct cvss_vector v;
    double base, score;

    if (cvss_take_vector(metrics, v3_table, ARRAY_LEN(v3_table), &v, err) < 0)
        return -1;
    base = v3_base(&v, is_31);
    score = has_any(&v, environmental) ? v3_environmental(&v, is_31)
                                       : roundup(base * v3_temporal(&v), is_31);
    ret->version = is_31 ? "3.1" : "3.0";
    ret->base_tenths = (int)lround(base * 10);
    ret->score_tenths = (int)lround(score * 10);
    ret->severity = severity_of_score(ret->score_tenths);
    return 0;
}

/* ---- version 2 ---- */

static const struct cvss_metric v2_table[] = {
    {"AV", "L A N", true},        {"AC", "H M L", true},
    {"Au", "M S N", true},        {"C", "N P C", true},
    {"I", "N P C", true},         {"A", "N P C", true},
    {"E", "ND U POC F H", false}, {"RL", "ND OF TF W U", false},
    {"RC", "ND UC UR C", false},  {"CDP", "ND N L LM MH H", false},
    {"TD", "ND N L M H", false},  {"CR", "ND L M H", false},
    {"IR", "ND L M H", false},    {"AR", "ND L M H", false},
};

static double round1(double x)
{
    return floor(x * 10 + 0.5 + 1e-9) / 10;
}

static double v2_requirement(const struct cvss_vector *v, const char *metric)
{
    return PICK(cvss_value(v, metric, "M"), {"L", 0.5}, {"M", 1}, {"H", 1.51});
}

static double v2_base(const struct cvss_vector *v, bool is_adjusted)
{
    double parts = 1, impact, exploitability;
    static const char *const metrics[3][2] = {{"C", "CR"}, {"I", "IR"}, {"A", "AR"}};

    for (size_t i = 0; i < 3; i++)
        parts *= 1 - PICK(cvss_value(v, metrics[i][0], "N"), {"N", 0}, {"P", 0.275}, {"C", 0.660}) *
                         (is_adjusted ? v2_requirement(v, metrics[i][1]) : 1);
    impact = 10.41 * (1 - parts);
    if (is_adjusted)
        impact = fmin(10, impact);
    exploitability = 20 * PICK(cvss_value(v, "AV", "N"), {"L", 0.395}, {"A", 0.646}, {"N", 1}) *
                     PICK(cvss_value(v, "AC", "L"), {"H", 0.35}, {"M", 0.61}, {"L", 0.71}) *
                     PICK(cvss_value(v, "Au", "N"), {"M", 0.45}, {"S", 0.56}, {"N", 0.704});
    return round1((0.6 * impact + 0.4 * exploitability - 1.5) * (impact == 0 ? 0 : 1.176));
}

static double v2_temporal(const struct cvss_vector *v, double base)
{
    return round1(base *
                  PICK(cvss_value(v, "E", "H"), {"U", 0.85}, {"POC", 0.9}, {"F", 0.95}, {"H", 1}) *
                  PICK(cvss_value(v, "RL", "U"), {"OF", 0.87}, {"TF", 0.9}, {"W", 0.95}, {"U", 1}) *
                  PICK(cvss_value(v, "RC", "C"), {"UC", 0.9}, {"UR", 0.95}, {"C", 1}));
}

int cvss2_parse(struct str metrics, struct cvss *ret, struct error *err)
{
    static const char *const environmental[] = {"CDP", "TD", "CR", "IR", "AR", NULL};
    struct cvss_vector v;
    double base, score;

    if (cvss_take_vector(metrics, v2_table, ARRAY_LEN(v2_table), &v, err) < 0)
        return -1;
    base = v2_base(&v, false);
    score = v2_temporal(&v, base);
    if (has_any(&v, environmental)) {
        double adjusted = v2_temporal(&v, v2_base(&v, true));
        double damage = PICK(cvss_value(&v, "CDP", "N"), {"N", 0}, {"L", 0.1}, {"LM", 0.3},
                             {"MH", 0.4}, {"H", 0.5});
        double spread =
            PICK(cvss_value(&v, "TD", "H"), {"N", 0}, {"L", 0.25}, {"M", 0.75}, {"H", 1});
        score = round1((adjusted + (10 - adjusted) * damage) * spread);
    }
    ret->version = "2.0";
    ret->base_tenths = (int)lround(base * 10);
    ret->score_tenths = (int)lround(score * 10);
    ret->severity = severity_of_score(ret->score_tenths);
    return 0;
}

int cvss_parse(struct str vector, struct cvss *ret, struct error *err)
{
    struct str metrics = str_trim(vector);

    if (metrics.len > 1024)
        return error_set(err, ERR_INVALID, "a vector of more than 1024 bytes");
    if (str_starts(metrics, STR("CVSS:"))) {
        struct str version = str_cut(&metrics, '/');
        version = str_skip(version, 5);
        if (str_is(version, "3.0") || str_is(version, "3.1"))
            return cvss3_parse(metrics, str_is(version, "3.1"), ret, err);
        if (str_is(version, "4.0"))
            return cvss4_parse(metrics, ret, err);
        return error_set(err, ERR_INVALID, "CVSS version '%.*s': expected 3.0, 3.1 or 4.0",
                         STR_ARG(str_first(version, 20)));
    }
    if (metrics.len > 2 && metrics.ptr[0] == '(' && metrics.ptr[metrics.len - 1] == ')')
        metrics = str_slice(metrics.ptr + 1, metrics.len - 2); /* as the v2 guide prints them */
    if (metrics.len == 0)
        return error_set(err, ERR_INVALID, "expected a CVSS vector");
    return cvss2_parse(metrics, ret, err);
}
