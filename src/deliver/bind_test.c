/* Golden tests of deliver/bind.c and deliver/dress.c: testdata/CASE/in.yaml with case.json →
 * want.yaml. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "base/fs.h"
#include "deliver/bind.h"
#include "deliver/dress.h"
#include "wire/doc.h"

static char *path_of(const char *name, const char *file)
{
    return str_format("%s/src/deliver/testdata/%s/%s", getenv("TEST_SOURCE_DIR"), name, file);
}

static json_t *read_objects(const char *path)
{
    CLEANUP(docs) struct docs docs = {0};
    struct error err = ERROR_INIT;
    json_t *objects = json_array();

    assert_int_equal(yaml_read_file(AT_FDCWD, path, &docs, &err), 0);
    for (size_t i = 0; i < docs.count; i++)
        assert_int_equal(json_array_append(objects, doc_root(docs.items[i])), 0);
    return objects;
}

static void write_objects(const json_t *objects, struct buf *out)
{
    struct error err = ERROR_INIT;
    size_t i;
    const json_t *object;

    json_array_foreach(objects, i, object)
    {
        buf_add_text(out, "---\n");
        assert_int_equal(yaml_write(object, out, &err), 0);
    }
}

/* As the agent does: bind, then agents, then conventions. The error's text is a result too. */
static int change(json_t *objects, const json_t *test, struct error *err)
{
    const char *workload = json_str_at(test, "workload");
    size_t i;
    const json_t *item;

    json_array_foreach(json_object_get(test, "services"), i, item)
    {
        struct bind_service service = {.claim = json_str_at(item, "claim"),
                                       .type = json_str_at(item, "entries.type"),
                                       .entries = json_object_get(item, "entries"),
                                       .host = json_str_at(item, "entries.host"),
                                       .port = (uint16_t)json_int_at(item, "port", 0)};
        if (bind_service(objects, workload, &service, err) < 0)
            return -1;
    }
    json_array_foreach(json_object_get(test, "agents"), i, item)
    {
        struct dress_agent agent = {.name = json_str_at(item, "name"),
                                    .image_from_workload =
                                        json_bool_at(item, "fromWorkload", false),
                                    .container = json_object_get(item, "container"),
                                    .volumes = json_object_get(item, "volumes")};
        if (dress_add_agent(objects, &agent, err) < 0)
            return -1;
    }
    struct dress_input input = {.workload = workload,
                                .sequence = 7,
                                .ns = json_str_at(test, "namespace"),
                                .convention = json_object_get(test, "convention"),
                                .registry = json_str_at(test, "registry")};
    return dress_objects(objects, &input, err);
}

static void run_case(const char *name)
{
    CLEANUP(text) char *in_path = path_of(name, "in.yaml");
    CLEANUP(text) char *case_path = path_of(name, "case.json");
    CLEANUP(text) char *want_path = path_of(name, "want.yaml");
    CLEANUP(json) json_t *objects = read_objects(in_path);
    CLEANUP(json) json_t *test = NULL;
    CLEANUP(buf) struct buf got = BUF_INIT(1 << 20);
    CLEANUP(buf) struct buf want = BUF_INIT(1 << 20);
    struct error err = ERROR_INIT;

    assert_int_equal(json_read_file(AT_FDCWD, case_path, &test, &err), 0);
    if (change(objects, test, &err) < 0)
        buf_addf(&got, "%s: %s\n", error_kind_name(err.kind), err.text);
    else
        write_objects(objects, &got);
    if (getenv("UPDATE_GOLDEN"))
        assert_int_equal(fs_write_quick(AT_FDCWD, want_path, buf_str(&got), 0644, &err), 0);
    assert_int_equal(fs_read_at(AT_FDCWD, want_path, &want, &err), 0);
    assert_string_equal(buf_text(&got), buf_text(&want));
}

static void a_claim_is_projected_as_the_specification_says(void **state)
{
    run_case("claim");
}

static void an_own_binding_root_is_kept(void **state)
{
    run_case("own-root");
}

static void conventions_and_agents_are_added(void **state)
{
    run_case("dressed");
}

static void a_container_of_the_agents_name_is_a_conflict(void **state)
{
    run_case("name-clash");
}

static void a_release_may_not_bring_a_namespace(void **state)
{
    run_case("namespace");
}

static void claims_are_read_from_the_annotation(void **state)
{
    CLEANUP(json)
    json_t *objects =
        json_pack("[{s:s, s:{s:{s:s}}}]", "kind", "Deployment", "metadata", "annotations",
                  "monban.dev/service-claims", "[{\"name\":\"db\",\"service\":\"guestbook-db\"}]");
    CLEANUP(json)
    json_t *bad =
        json_pack("[{s:s, s:{s:{s:s}}}]", "kind", "Deployment", "metadata", "annotations",
                  "monban.dev/service-claims", "[{\"name\":\"../etc\",\"service\":\"x\"}]");
    CLEANUP(json) json_t *claims = NULL;
    struct error err = ERROR_INIT;
    json_t *none = NULL;

    assert_int_equal(bind_claims(objects, &claims, &err), 0);
    assert_int_equal(json_array_size(claims), 1);
    assert_string_equal(json_str_at(json_array_get(claims, 0), "service"), "guestbook-db");
    assert_int_equal(bind_claims(bad, &none, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_null(none);
}

static void what_breaks_the_restricted_standard_is_named(void **state)
{
    CLEANUP(json)
    json_t *bad =
        json_pack("[{s:{s:{s:{s:b, s:[{s:s, s:{s:b}}]}}}}]", "spec", "template", "spec",
                  "hostNetwork", 1, "containers", "name", "a", "securityContext", "privileged", 1);
    char text[1024];

    dress_restricted_faults(bad, text, sizeof text);
    assert_string_equal(text,
                        "hostNetwork, a: allowPrivilegeEscalation is not false, a: it is "
                        "privileged, a: runAsNonRoot is not true, a: capabilities are not dropped "
                        "(ALL), a: seccompProfile is not RuntimeDefault");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_claim_is_projected_as_the_specification_says),
        cmocka_unit_test(an_own_binding_root_is_kept),
        cmocka_unit_test(conventions_and_agents_are_added),
        cmocka_unit_test(a_container_of_the_agents_name_is_a_conflict),
        cmocka_unit_test(a_release_may_not_bring_a_namespace),
        cmocka_unit_test(claims_are_read_from_the_annotation),
        cmocka_unit_test(what_breaks_the_restricted_standard_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
