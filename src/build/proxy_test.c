#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "build/proxy.h"

static int parse(const char *head, char host[PROXY_HOST_MAX], uint16_t *port)
{
    return proxy_parse_connect(str_of(head), host, port);
}

static void a_connect_request_names_host_and_port(void **state)
{
    char host[PROXY_HOST_MAX];
    uint16_t port;

    assert_int_equal(
        parse("CONNECT Registry.NPMjs.org:443 HTTP/1.1\r\nHost: x\r\n\r\n", host, &port), 1);
    assert_string_equal(host, "registry.npmjs.org");
    assert_int_equal(port, 443);
}

static void half_a_request_needs_more(void **state)
{
    char host[PROXY_HOST_MAX];
    uint16_t port;

    assert_int_equal(parse("CON", host, &port), 0);
    assert_int_equal(parse("CONNECT a:1 HTTP/1.1\r\n", host, &port), 0);
}

static void anything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "GET http://a/ HTTP/1.1\r\n\r\n",     "CONNECT a HTTP/1.1\r\n\r\n",
        "CONNECT a:0 HTTP/1.1\r\n\r\n",       "CONNECT a:65536 HTTP/1.1\r\n\r\n",
        "CONNECT :443 HTTP/1.1\r\n\r\n",      "CONNECT a:443 HTTP/2\r\n\r\n",
        "CONNECT [::1]:443 HTTP/1.1\r\n\r\n", "CONNECT a b:443 HTTP/1.1\r\n\r\n",
        "CONNECT a:443x HTTP/1.1\r\n\r\n",    "CONNECT a\n:443 HTTP/1.1\r\n\r\n",
        "CONNECT a@b:443 HTTP/1.1\r\n\r\n",   "connect a:443 HTTP/1.1\r\n\r\n",
    };
    char host[PROXY_HOST_MAX];
    uint16_t port;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (parse(bad[i], host, &port) != -1)
            fail_msg("taken: %s", bad[i]);
    }
}

static void only_listed_hosts_and_ports_are_allowed(void **state)
{
    static const char *const list[] = {"registry.npmjs.org", "npm.example:8443", ".internal", NULL};

    assert_true(proxy_allows(list, "registry.npmjs.org", 443));
    assert_false(proxy_allows(list, "registry.npmjs.org", 80));
    assert_false(proxy_allows(list, "evil-registry.npmjs.org", 443));
    assert_false(proxy_allows(list, "registry.npmjs.org.evil", 443));
    assert_true(proxy_allows(list, "npm.example", 8443));
    assert_false(proxy_allows(list, "npm.example", 443));
    assert_true(proxy_allows(list, "a.b.internal", 443));
    assert_false(proxy_allows(list, ".internal", 443));
    assert_false(proxy_allows(list, "internal", 443));
    assert_false(proxy_allows(list, "127.0.0.1", 443));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connect_request_names_host_and_port),
        cmocka_unit_test(half_a_request_needs_more),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(only_listed_hosts_and_ports_are_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
