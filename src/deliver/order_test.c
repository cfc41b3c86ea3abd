/* Tests of deliver/order.c and deliver/memory.c: whose orders count, and what is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "base/fs.h"
#include "deliver/agent_internal.h"

static const struct digest subject = {
    "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};

static struct signer *new_signer(struct trust *trust)
{
    struct error err = ERROR_INIT;
    struct sign_key *key = NULL;
    struct signer *signer = NULL;

    assert_int_equal(sign_key_make(&key, &err), 0);
    assert_int_equal(signer_new_local(key, &signer, &err), 0);
    if (trust)
        assert_int_equal(trust_add_pem(trust, "test", str_of(signer_public_pem(signer)), &err), 0);
    return signer;
}

static void sign_order(struct signer *signer, const char *type, const char *order,
                       const char *cluster, const char *by, struct buf *out)
{
    struct error err = ERROR_INIT;
    CLEANUP(json) json_t *statement = NULL;
    json_t *predicate = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s}", "id", "1-2-3", "order", order,
                                  "cluster", cluster, "workload", "web", "sequence", 4, "by", by);

    assert_int_equal(statement_new("web", &subject, type, predicate, &statement, &err), 0);
    assert_int_equal(statement_sign(signer, statement, out, &err), 0);
}

static void only_a_signed_order_for_this_cluster_counts(void **state)
{
    static const struct {
        const char *type, *order, *cluster, *by;
        bool by_stranger;
        enum error_kind kind;
    } cases[] = {
        {"https://monban.dev/order/v1", "approve", "staging", "alice", false, ERR_NONE},
        {"https://monban.dev/order/v1", "promote", "staging", "alice", false, ERR_NONE},
        {"https://monban.dev/rollback/v1", "rollback", "staging", "alice", false, ERR_NONE},
        /* an approval signed for is no rollback */
        {"https://monban.dev/order/v1", "rollback", "staging", "alice", false, ERR_INVALID},
        {"https://monban.dev/order/v1", "delete", "staging", "alice", false, ERR_INVALID},
        {"https://monban.dev/order/v1", "approve", "staging", "", false, ERR_INVALID},
        {"https://monban.dev/order/v1", "approve", "production", "alice", false, ERR_UNTRUSTED},
        {"https://monban.dev/order/v1", "approve", "staging", "alice", true, ERR_UNTRUSTED},
    };
    CLEANUP(trust) struct trust *trust = NULL;
    struct error err = ERROR_INIT;

    assert_int_equal(trust_new(&trust, &err), 0);
    CLEANUP(signer) struct signer *operator_signer = new_signer(trust);
    CLEANUP(signer) struct signer *stranger = new_signer(NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf) struct buf envelope = BUF_INIT(1 << 16);
        struct order order;
        sign_order(cases[i].by_stranger ? stranger : operator_signer, cases[i].type, cases[i].order,
                   cases[i].cluster, cases[i].by, &envelope);
        error_clear(&err);
        int result = order_open(trust, "staging", buf_str(&envelope), &order, &err);
        assert_int_equal(err.kind, cases[i].kind);
        if (result < 0)
            continue;
        assert_string_equal(order.release, subject.text);
        assert_string_equal(order.by, "alice");
        assert_int_equal(order.sequence, 4);
    }
}

static json_t *release(int sequence, const char *digest)
{
    return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s}", "sequence", sequence, "digest", digest,
                     "commit", "c", "image", "i", "namespace", "default", "inventory", "v");
}

static json_t *objects(const char *name)
{
    return json_pack("[{s:s, s:s, s:{s:s, s:s}}]", "apiVersion", "v1", "kind", "Service",
                     "metadata", "name", name, "namespace", "default");
}

/* An agent with one workload and nothing else, over a real state.json. */
static void what_was_healthy_can_be_gone_back_to_after_a_kill(void **state)
{
    struct error err = ERROR_INIT;
    char *dir = NULL;
    struct follow follow = {.name = (char *)"web", .memory = memory_new()};
    struct follow *follows[] = {&follow};
    struct agent agent = {.follows = follows, .follow_count = 1};
    CLEANUP(json) json_t *one = release(1, "sha256:one");
    CLEANUP(json) json_t *two = release(2, "sha256:two");
    CLEANUP(json) json_t *old_objects = objects("old");
    CLEANUP(json) json_t *new_objects = objects("new");
    CLEANUP(json) json_t *loaded = NULL;

    assert_int_equal(fs_make_temp_dir("/tmp/deliver-memory-", &dir, &err), 0);
    assert_int_equal(loop_new(&agent.loop, &err), 0);
    agent.dir = dir;
    agent.site.dir = dir;
    follow.agent = &agent;
    memory_accept(&follow, one);
    memory_run(&follow, one, old_objects);
    memory_settle(&follow, 100, old_objects);
    memory_accept(&follow, two);
    memory_run(&follow, two, new_objects);
    assert_int_equal(memory_highest(&follow), 2);
    assert_true(memory_is_good(&follow, "sha256:one"));
    assert_false(memory_is_good(&follow, "sha256:two")); /* applied, but not yet healthy */
    assert_string_equal(json_str_at(memory_good(&follow, "sha256:two", 0), "digest"), "sha256:one");
    assert_int_equal(json_array_size(json_object_get(follow.memory, "objects")), 2);
    memory_refuse(&follow, "sha256:two", 2, "it crashed");
    assert_true(memory_is_refused(&follow, "sha256:two"));

    assert_int_equal(memory_load(&agent, &loaded, &err), 0);
    assert_true(json_equal(json_object_get(loaded, "web"), follow.memory));
    memory_accept(&follow, one); /* an older one does not lower the mark */
    assert_int_equal(memory_highest(&follow), 2);

    while (agent.sync_worker)
        assert_int_equal(loop_turn(agent.loop, 1000, &err), 0);
    json_decref(follow.memory);
    loop_free(agent.loop);
    assert_int_equal(fs_remove_tree(AT_FDCWD, dir, &err), 0);
    free(dir);
}

static int fail_job(const void *arg, json_t **ret, struct error *err)
{
    return error_set(err, ERR_UNTRUSTED, "digest %s", (const char *)arg);
}

static int die_job(const void *arg, json_t **ret, struct error *err)
{
    abort();
}

static int big_job(const void *arg, json_t **ret, struct error *err)
{
    CLEANUP(text) char *text = malloc(3 << 20);

    memset(text, 'x', 3 << 20);
    *ret = json_pack("{s:s%}", "text", text, (size_t)(3 << 20));
    return 0;
}

struct told {
    bool done;
    enum error_kind kind;
    char text[256];
    size_t size;
};

static void on_done(const json_t *result, const struct error *err, void *ctx)
{
    struct told *told = ctx;

    told->done = true;
    if (err) {
        told->kind = err->kind;
        (void)snprintf(told->text, sizeof told->text, "%s", err->text);
    } else {
        told->size = json_string_length(json_object_get(result, "text"));
    }
}

static void a_worker_tells_its_result_its_error_or_its_death(void **state)
{
    CLEANUP(loop) struct loop *loop = NULL;
    struct error err = ERROR_INIT;
    struct told told[3] = {0};
    struct worker *workers[3];

    assert_int_equal(loop_new(&loop, &err), 0);
    assert_int_equal(worker_start(loop, big_job, NULL, -1, on_done, &told[0], &workers[0], &err),
                     0);
    assert_int_equal(worker_start(loop, fail_job, "abc", -1, on_done, &told[1], &workers[1], &err),
                     0);
    assert_int_equal(worker_start(loop, die_job, NULL, -1, on_done, &told[2], &workers[2], &err),
                     0);
    while (!told[0].done || !told[1].done || !told[2].done)
        assert_int_equal(loop_turn(loop, 5000, &err), 0);
    assert_int_equal(told[0].kind, ERR_NONE);
    assert_int_equal(told[0].size, 3 << 20);
    assert_int_equal(told[1].kind, ERR_UNTRUSTED);
    assert_string_equal(told[1].text, "digest abc");
    assert_int_equal(told[2].kind, ERR_SYSTEM);
    assert_string_equal(told[2].text, "the agent's worker died");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_signed_order_for_this_cluster_counts),
        cmocka_unit_test(what_was_healthy_can_be_gone_back_to_after_a_kill),
        cmocka_unit_test(a_worker_tells_its_result_its_error_or_its_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
