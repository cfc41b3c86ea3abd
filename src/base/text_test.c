/* base/text_test.c - str, buf, error, encode, clock, digest. */
#include "base/base_test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/encode.h"
#include "base/random.h"
#include "base/secret.h"

static void words_are_cut_at_white_space(void **state)
{
    struct str rest = STR("  one\ttwo \n");

    (void)state;
    assert_true(str_is(str_word(&rest), "one"));
    assert_true(str_is(str_word(&rest), "two"));
    assert_int_equal(str_word(&rest).len, 0);
}

static void a_cut_without_the_letter_gives_all(void **state)
{
    struct str rest = STR("a=b=c");

    (void)state;
    assert_true(str_is(str_cut(&rest, '='), "a"));
    assert_true(str_is(str_cut(&rest, '='), "b"));
    assert_true(str_is(str_cut(&rest, '='), "c"));
    assert_null(rest.ptr);
}

static void numbers_are_strict(void **state)
{
    uint64_t u;
    int64_t i;

    (void)state;
    assert_true(str_to_u64(STR("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    assert_false(str_to_u64(STR("18446744073709551616"), &u));
    assert_false(str_to_u64(STR(""), &u));
    assert_false(str_to_u64(STR("+1"), &u));
    assert_false(str_to_u64(STR(" 1"), &u));
    assert_true(str_to_i64(STR("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_false(str_to_i64(STR("9223372036854775808"), &i));
}

static void lines_know_their_place(void **state)
{
    struct lines in = lines_over("f", STR("a\r\nbc\n\nd"));
    struct str line;

    (void)state;
    assert_true(lines_next(&in, &line) && str_is(line, "a"));
    assert_true(lines_next(&in, &line) && str_is(line, "bc"));
    struct place place = lines_place(&in, line.ptr + 1);
    assert_int_equal(place.line, 2);
    assert_int_equal(place.column, 2);
    assert_true(lines_next(&in, &line) && line.len == 0);
    assert_true(lines_next(&in, &line) && str_is(line, "d"));
    assert_false(lines_next(&in, &line));
}

static void a_buffer_stays_failed_beyond_its_limit(void **state)
{
    CLEANUP(buf) struct buf b = BUF_INIT(5);
    struct error err = ERROR_INIT;

    (void)state;
    buf_add_text(&b, "1234");
    assert_int_equal(buf_ok(&b, &err), 0);
    buf_add_text(&b, "56");
    buf_add_text(&b, "x");
    assert_int_equal(buf_ok(&b, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_string_equal(buf_text(&b), "1234");
    assert_null(buf_take(&b));
}

static void an_empty_buffer_can_be_taken(void **state)
{
    CLEANUP(buf) struct buf b = BUF_INIT(5);
    CLEANUP(text) char *text = buf_take(&b);

    (void)state;
    assert_non_null(text);
    assert_string_equal(text, "");
}

static void wrapping_puts_the_frame_before(void **state)
{
    struct error err = ERROR_INIT;
    char text[256];

    (void)state;
    (void)error_at(&err, ERR_INVALID, (struct place){"a.yaml", 3, 7}, "expected %d", 1);
    (void)error_wrap(&err, "loading '%s'", "x");
    error_format(&err, text, sizeof text);
    assert_string_equal(text, "a.yaml:3:7: loading 'x': expected 1");
    assert_int_equal(err.kind, ERR_INVALID);
}

static void a_list_of_faults_tells_all_of_them(void **state)
{
    CLEANUP(error_list) struct error_list list = ERROR_LIST_INIT;
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(error_list_check(&list, &err), 0);
    error_list_add(&list, ERR_INVALID, (struct place){"f", 1, 2}, "one");
    error_list_add(&list, ERR_DENIED, (struct place){"f", 3, 4}, "two");
    assert_int_equal(error_list_check(&list, &err), -1);
    assert_string_equal(err.text, "f:1:2: one\nf:3:4: two");
    assert_int_equal(err.kind, ERR_INVALID);
}

static void base64_is_exact_both_ways(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        CLEANUP(buf) struct buf coded = BUF_INIT(100);
        CLEANUP(buf) struct buf plain = BUF_INIT(100);
        base64_encode(str_of(pairs[i][0]), &coded);
        assert_string_equal(buf_text(&coded), pairs[i][1]);
        assert_true(base64_decode(str_of(pairs[i][1]), &plain));
        assert_string_equal(buf_text(&plain), pairs[i][0]);
    }
}

static void base64_with_loose_bits_or_letters_is_refused(void **state)
{
    static const char *const bad[] = {"Zh==",
                                      "Z",
                                      "Zg=",
                                      "Zg===",
                                      "Z g=",
                                      "Zm9"
                                      "=v"};
    CLEANUP(buf) struct buf out = BUF_INIT(100);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(base64_decode(str_of(bad[i]), &out));
}

static void percent_signs_need_two_digits(void **state)
{
    CLEANUP(buf) struct buf out = BUF_INIT(100);

    (void)state;
    assert_true(percent_decode(STR("a%2Fb%20"), &out));
    assert_string_equal(buf_text(&out), "a/b ");
    assert_false(percent_decode(STR("%4"), &out));
    assert_false(percent_decode(STR("%zz"), &out));
}

static void dates_are_checked_and_shifted(void **state)
{
    int64_t s, day;
    char text[CLOCK_TEXT_SIZE];

    (void)state;
    assert_true(clock_parse_rfc3339(STR("2026-01-02T03:04:05.999+01:00"), &s));
    assert_string_equal(clock_rfc3339(s, text), "2026-01-02T02:04:05Z");
    assert_true(clock_parse_rfc3339(STR("0001-01-01T00:00:00Z"), &s));
    assert_true(clock_parse_date(STR("2024-02-29"), &day));
    assert_false(clock_parse_date(STR("2023-02-29"), &day));
    assert_false(clock_parse_rfc3339(STR("2026-01-02"), &s));
    assert_false(clock_parse_rfc3339(STR("2026-01-02T03:04:05"), &s));
}

static void durations_need_their_unit(void **state)
{
    int64_t ms;

    (void)state;
    assert_true(clock_parse_duration(STR("1h30m"), &ms));
    assert_int_equal(ms, 5400000);
    assert_true(clock_parse_duration(STR("250ms"), &ms));
    assert_int_equal(ms, 250);
    assert_false(clock_parse_duration(STR("10"), &ms));
    assert_false(clock_parse_duration(STR(""), &ms));
    assert_false(clock_parse_duration(STR("9223372036854775807h"), &ms));
}

static void ages_read_as_kubectl_shows_them(void **state)
{
    static const struct {
        int64_t s;
        const char *want;
    } cases[] = {{5, "5s"},       {119, "119s"},  {125, "2m5s"},    {600, "10m"},  {10800, "3h"},
                 {11100, "3h5m"}, {90000, "25h"}, {180000, "2d2h"}, {777600, "9d"}};
    char text[CLOCK_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(clock_age(cases[i].s, text), cases[i].want);
}

static void a_digest_is_the_standards_own(void **state)
{
    struct digest d = digest_of(STR("{}")), parsed;

    (void)state;
    assert_string_equal(d.text,
                        "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    assert_true(digest_parse(str_of(d.text), &parsed));
    assert_true(digest_equal(&d, &parsed));
    d.text[70] = 'A';
    assert_false(digest_parse(str_of(d.text), &parsed));
}

static void secrets_compare_by_content_and_length(void **state)
{
    (void)state;
    assert_true(secret_equal(STR("abc"), STR("abc")));
    assert_false(secret_equal(STR("abc"), STR("abd")));
    assert_false(secret_equal(STR("abc"), STR("abcd")));
}

static void random_names_use_the_alphabet(void **state)
{
    char name[33];

    (void)state;
    random_name(name, 32);
    assert_int_equal(strspn(name, "bcdfghjklmnpqrstvwxz2456789"), 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_cut_at_white_space),
        cmocka_unit_test(a_cut_without_the_letter_gives_all),
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(lines_know_their_place),
        cmocka_unit_test(a_buffer_stays_failed_beyond_its_limit),
        cmocka_unit_test(an_empty_buffer_can_be_taken),
        cmocka_unit_test(wrapping_puts_the_frame_before),
        cmocka_unit_test(a_list_of_faults_tells_all_of_them),
        cmocka_unit_test(base64_is_exact_both_ways),
        cmocka_unit_test(base64_with_loose_bits_or_letters_is_refused),
        cmocka_unit_test(percent_signs_need_two_digits),
        cmocka_unit_test(dates_are_checked_and_shifted),
        cmocka_unit_test(durations_need_their_unit),
        cmocka_unit_test(ages_read_as_kubectl_shows_them),
        cmocka_unit_test(a_digest_is_the_standards_own),
        cmocka_unit_test(secrets_compare_by_content_and_length),
        cmocka_unit_test(random_names_use_the_alphabet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
