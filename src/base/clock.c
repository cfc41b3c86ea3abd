/* base/clock.c - see base/clock.h. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec now;

    (void)clock_gettime(id, &now); /* cannot fail for these clocks */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

int64_t clock_now_s(void)
{
    return read_us(CLOCK_REALTIME) / 1000000;
}

int64_t clock_now_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

const char *clock_rfc3339(int64_t unix_s, char out[CLOCK_TEXT_SIZE])
{
    time_t seconds = (time_t)unix_s;
    struct tm utc = {0};

    if (!gmtime_r(&seconds, &utc) ||
        strftime(out, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        out[0] = 0;
    return out;
}

/* Exactly `count` digits. */
static bool take_digits(struct str *rest, size_t count, int64_t *ret)
{
    uint64_t value;

    if (rest->len < count || !str_to_u64(str_first(*rest, count), &value))
        return false;
    *rest = str_skip(*rest, count);
    *ret = (int64_t)value;
    return true;
}

static bool take_char(struct str *rest, const char *any_of)
{
    if (rest->len == 0 || !rest->ptr[0] || !strchr(any_of, rest->ptr[0]))
        return false;
    *rest = str_skip(*rest, 1);
    return true;
}

/* Days since 1970-01-01 of a Gregorian date (H. Hinnant's era arithmetic). */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static bool take_date(struct str *rest, int64_t *ret_day)
{
    static const int64_t month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year, month, day;

    if (!take_digits(rest, 4, &year) || !take_char(rest, "-") || !take_digits(rest, 2, &month) ||
        !take_char(rest, "-") || !take_digits(rest, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > month_days[month - 1])
        return false;
    if (month == 2 && day == 29 && (year % 4 != 0 || (year % 100 == 0 && year % 400 != 0)))
        return false;
    *ret_day = days_of(year, month, day);
    return true;
}

bool clock_parse_date(struct str text, int64_t *ret_day)
{
    int64_t day;

    if (!take_date(&text, &day) || text.len != 0)
        return false;
    *ret_day = day;
    return true;
}

bool clock_parse_rfc3339(struct str text, int64_t *ret_unix_s)
{
    int64_t day, hour, minute, second, offset_s = 0;

    if (!take_date(&text, &day) || !take_char(&text, "Tt ") || !take_digits(&text, 2, &hour) ||
        !take_char(&text, ":") || !take_digits(&text, 2, &minute) || !take_char(&text, ":") ||
        !take_digits(&text, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    if (take_char(&text, ".")) {
        if (!take_char(&text, "0123456789"))
            return false;
        while (take_char(&text, "0123456789"))
            ;
    }
    if (!take_char(&text, "Zz")) {
        int64_t offset_hour, offset_minute;
        bool is_west = text.len > 0 && text.ptr[0] == '-';
        if (!take_char(&text, "+-") || !take_digits(&text, 2, &offset_hour) ||
            !take_char(&text, ":") || !take_digits(&text, 2, &offset_minute))
            return false;
        offset_s = (offset_hour * 60 + offset_minute) * (is_west ? -60 : 60);
    }
    if (text.len != 0)
        return false;
    *ret_unix_s = day * 86400 + hour * 3600 + minute * 60 + second - offset_s;
    return true;
}

static bool take_unit(struct str *rest, int64_t *ret_ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!str_starts(*rest, str_of(units[i].name)))
            continue;
        *rest = str_skip(*rest, strlen(units[i].name));
        *ret_ms = units[i].ms;
        return true;
    }
    return false;
}

bool clock_parse_duration(struct str text, int64_t *ret_ms)
{
    int64_t total = 0;

    if (str_is(text, "0")) {
        *ret_ms = 0;
        return true;
    }
    if (text.len == 0)
        return false;
    while (text.len > 0) {
        size_t digits = 0;
        uint64_t count;
        int64_t unit_ms, part;
        while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
            digits++;
        if (!str_to_u64(str_first(text, digits), &count) || count > INT64_MAX)
            return false;
        text = str_skip(text, digits);
        if (!take_unit(&text, &unit_ms) || __builtin_mul_overflow((int64_t)count, unit_ms, &part) ||
            __builtin_add_overflow(total, part, &total))
            return false;
    }
    *ret_ms = total;
    return true;
}

/* The steps and precisions of k8s.io/apimachinery duration.HumanDuration. */
const char *clock_age(int64_t seconds, char out[CLOCK_TEXT_SIZE])
{
    int64_t minutes = seconds / 60, hours = seconds / 3600, days = seconds / 86400;

    /* 40 bytes hold any of these. */
    if (seconds < 0)
        (void)snprintf(out, CLOCK_TEXT_SIZE, "0s");
    else if (seconds < 120)
        (void)snprintf(out, CLOCK_TEXT_SIZE, "%llds", (long long)seconds);
    else if (minutes < 10 && seconds % 60)
        (void)snprintf(out, CLOCK_TEXT_SIZE, "%lldm%llds", (long long)minutes,
                       (long long)(seconds % 60));
    else if (minutes < 180)
        (void)snprintf(out, CLOCK_TEXT_SIZE, "%lldm", (long long)minutes);
    else if (hours < 8 && minutes % 60)
        (void)snprintf(out, CLOCK_TEXT_SIZE, "%lldh%lldm", (long long)hours,
                       (long long)(minutes % 60));
    else if (hours < 48)
        (void)snprintf(out, CLOCK_TEXT_SIZE, "%lldh", (long long)hours);
    else if (days < 8 && hours % 24)
        (void)snprintf(out, CLOCK_TEXT_SIZE, "%lldd%lldh", (long long)days,
                       (long long)(hours % 24));
    else
        (void)snprintf(out, CLOCK_TEXT_SIZE, "%lldd", (long long)days);
    return out;
}
