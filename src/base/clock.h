/* base/clock.h - time. Durations use the monotonic clock, dates are UTC. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);
int64_t clock_now_s(void);  /* seconds since 1970 UTC */
int64_t clock_now_ms(void); /* milliseconds since 1970 UTC */

enum { CLOCK_TEXT_SIZE = 40 };
/* "2026-01-02T03:04:05Z"; returns `out`. */
const char *clock_rfc3339(int64_t unix_s, char out[CLOCK_TEXT_SIZE]);
/* RFC 3339 with any offset and fraction → UTC seconds. */
bool clock_parse_rfc3339(struct str text, int64_t *ret_unix_s);
/* "YYYY-MM-DD" → days since 1970-01-01. */
bool clock_parse_date(struct str text, int64_t *ret_day);
/* "90s", "10m", "1h30m", "24h", "250ms", "0" → milliseconds. */
bool clock_parse_duration(struct str text, int64_t *ret_ms);
/* "5s", "3m12s", "4h", "3d4h", as kubectl shows an age; returns `out`. */
const char *clock_age(int64_t seconds, char out[CLOCK_TEXT_SIZE]);
