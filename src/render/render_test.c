/* render/render_test.c - a Workload becomes the YAML in testdata, byte for byte. */
#include "base/base_test.h"

#include "../../tests/golden.h"
#include "render/render.h"

static void render_case(const char *name)
{
    struct error err = ERROR_INIT;
    CLEANUP(text) char *folder = golden_folder("src/render/testdata");
    CLEANUP(buf) struct buf in = BUF_INIT(1 << 20);
    CLEANUP(buf) struct buf out = BUF_INIT(1 << 20);
    CLEANUP(workload) struct workload *w = NULL;
    struct digest image = digest_of(STR("an image"));

    golden_read(folder, name, "in.yaml", &in);
    if (workload_parse("in.yaml", buf_str(&in), &w, &err) < 0)
        fail_msg("%s %s", err.place, err.text);
    struct render_input input = {
        .workload = w, .image = &image, .commit = "0123456789abcdef0123456789abcdef01234567"};
    if (render_yaml(&input, &out, &err) < 0)
        fail_msg("%s", err.text);
    golden_compare(folder, name, "want.yaml", buf_str(&out));
}

static void a_web_workload_with_a_claim(void **state)
{
    (void)state;
    render_case("guestbook");
}

static void a_worker_has_no_service_and_no_port(void **state)
{
    (void)state;
    render_case("worker");
}

static void the_image_decides_the_port_that_nobody_named(void **state)
{
    struct error err = ERROR_INIT;
    CLEANUP(workload) struct workload *w = NULL;
    CLEANUP(json) json_t *list = NULL;
    CLEANUP(json)
    json_t *config = json_pack("{s:{s:{s:{}}}}", "config", "ExposedPorts", "9000/tcp");
    struct digest image = digest_of(STR("an image"));

    (void)state;
    assert_int_equal(workload_new_default("git/x.git", &w, &err), 0);
    struct render_input input = {.workload = w, .image = &image, .image_config = config};
    assert_int_equal(render_objects(&input, &list, &err), 0);
    assert_int_equal(json_int_at(json_array_get(list, 1),
                                 "spec.template.spec.containers[0].ports[0].containerPort", 0),
                     9000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_web_workload_with_a_claim),
        cmocka_unit_test(a_worker_has_no_service_and_no_port),
        cmocka_unit_test(the_image_decides_the_port_that_nobody_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
