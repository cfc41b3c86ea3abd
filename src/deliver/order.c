/* deliver/order.c - orders of people: signed statements in a ConfigMap, read by the agent at once.
 *
 * DSSE over an in-toto statement, predicate type https://monban.dev/order/v1 (a rollback:
 * PREDICATE_ROLLBACK), subject: the release manifest that it is about, predicate
 * {"id","order","cluster","workload","sequence","by", "reason","at"}. It stands in ConfigMap
 * order-WORKLOAD (data key `envelope`) of monban-system. */
#include <fcntl.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/random.h"
#include "deliver/agent_internal.h"
#include "kube/kube.h"

#define PREDICATE_ORDER "https://monban.dev/order/v1"
static const char *const order_names[] = {"approve", "promote", "rollback"};

static const char *predicate_of(enum deliver_order order)
{
    return order == DELIVER_ROLLBACK ? PREDICATE_ROLLBACK : PREDICATE_ORDER;
}

/* --- the agent's side */

static void copy_text(const json_t *object, const char *key, char *out, size_t size)
{
    const char *text = json_str_at(object, key);
    (void)snprintf(out, size, "%s", text ? text : "");
}

int order_open(const struct trust *operators, const char *cluster, struct str envelope,
               struct order *ret, struct error *err)
{
    CLEANUP(buf) struct buf payload = BUF_INIT(1 << 20);
    CLEANUP(json) json_t *statement = NULL;
    struct order order = {0};

    if (dsse_open(operators, "order", envelope, SIGN_TYPE_INTOTO, &payload, NULL, err) < 0 ||
        json_parse("order", buf_str(&payload), &statement, err) < 0)
        return -1;
    const json_t *predicate = json_object_get(statement, "predicate");
    const char *type = json_str_at(statement, "predicateType");
    const char *name = json_str_at(predicate, "order");
    const char *to = json_str_at(predicate, "cluster");
    const char *subject = json_str_at(statement, "subject[0].digest.sha256");
    size_t i = 0;
    while (i < ARRAY_LEN(order_names) && (!name || strcmp(name, order_names[i]) != 0))
        i++;
    if (i == ARRAY_LEN(order_names) || !type || strcmp(type, predicate_of(i)) != 0)
        return error_set(err, ERR_INVALID, "no such order: '%s'", name ? name : "");
    if (!to || strcmp(to, cluster) != 0)
        return error_set(err, ERR_UNTRUSTED, "the order is for cluster '%s'", to ? to : "");
    order.order = (enum deliver_order)i;
    order.sequence = (uint64_t)json_int_at(predicate, "sequence", 0);
    copy_text(predicate, "id", order.id, sizeof order.id);
    copy_text(predicate, "workload", order.workload, sizeof order.workload);
    copy_text(predicate, "by", order.by, sizeof order.by);
    copy_text(predicate, "reason", order.reason, sizeof order.reason);
    (void)snprintf(order.release, sizeof order.release, "sha256:%s", subject ? subject : "");
    if (!order.id[0] || !order.by[0])
        return error_set(err, ERR_INVALID, "the order has no id, or says not by whom");
    *ret = order;
    return 0;
}

/* --- the commands' side */

static int read_state(struct kube_client *kube, const char *workload, json_t **ret,
                      struct error *err)
{
    CLEANUP(text) char *name = str_format("release-%s", workload);
    struct kube_ref ref = {"v1", "ConfigMap", DELIVER_NAMESPACE, name};

    if (!name)
        return error_no_memory(err);
    if (kube_get(kube, &ref, ret, err) < 0) {
        if (err->kind == ERR_NOT_FOUND)
            return error_set(err, ERR_NOT_FOUND, "the cluster knows no workload '%s'", workload);
        return -1;
    }
    return 0;
}

/* A rollback goes to a release that was healthy here, and not to the one that runs. */
static int check_target(const struct deliver_order_options *options, const json_t *state,
                        struct error *err)
{
    const char *good = json_str_at(state, "data.good");
    const char *running = json_str_at(state, "data.sequence");
    struct str rest = str_of(good ? good : "");
    struct str word;
    uint64_t number = 0;

    while ((word = str_word(&rest)).len > 0) {
        bool runs = running && str_is(word, running);
        if (str_to_u64(word, &number) && !runs &&
            (options->sequence == 0 || number == options->sequence))
            return 0;
    }
    if (options->sequence == 0)
        return error_set(err, ERR_NOT_FOUND, "'%s' has no earlier good release in '%s'",
                         options->workload, options->cluster);
    return error_set(
        err, ERR_NOT_FOUND,
        "'%s' cannot go back to release %llu in '%s': healthy there were %s, and %s runs",
        options->workload, (unsigned long long)options->sequence, options->cluster,
        good && *good ? good : "none", running ? running : "none");
}

/* The release that an approval or a promotion is about: the one that waits. */
static int find_subject(const struct deliver_order_options *options, const json_t *state,
                        uint64_t *ret_sequence, struct digest *ret, struct error *err)
{
    const char *text = json_str_at(state, "data.candidate");
    const char *digest = json_str_at(state, "data.candidateDigest");
    uint64_t sequence = 0;

    if (options->order == DELIVER_ROLLBACK) {
        text = json_str_at(state, "data.sequence");
        digest = json_str_at(state, "data.release");
        *ret_sequence = options->sequence;
        if (check_target(options, state, err) < 0)
            return -1;
    } else if (text && str_to_u64(str_of(text), &sequence)) {
        *ret_sequence = sequence;
    }
    if (!digest || !digest_parse(str_of(digest), ret))
        return error_set(err, ERR_NOT_FOUND, "nothing of '%s' %s in '%s'", options->workload,
                         options->order == DELIVER_ROLLBACK ? "runs" : "waits", options->cluster);
    if (options->order != DELIVER_ROLLBACK && options->sequence && options->sequence != sequence)
        return error_set(
            err, ERR_NOT_FOUND, "release %llu of '%s' does not wait; release %llu does",
            (unsigned long long)options->sequence, options->workload, (unsigned long long)sequence);
    return 0;
}

static int sign_order(const struct deliver_order_options *options, uint64_t sequence,
                      const struct digest *subject, struct buf *envelope, struct error *err)
{
    CLEANUP(text)
    char *key_path = str_format("%s/agents/%s/keys/operator.key", options->home, options->cluster);
    CLEANUP(sign_key) struct sign_key *key = NULL;
    CLEANUP(signer) struct signer *signer = NULL;
    CLEANUP(json) json_t *statement = NULL;
    char id[UUID_SIZE];
    char at[CLOCK_TEXT_SIZE];

    if (!key_path)
        return error_no_memory(err);
    if (sign_key_read(key_path, STR(""), &key, err) < 0)
        return error_wrap(err, "only who has the operator's key of '%s' may do this",
                          options->cluster);
    if (signer_new_local(TAKE(key), &signer, err) < 0)
        return -1;
    random_uuid(id);
    json_t *predicate =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s}", "id", id, "order",
                  order_names[options->order], "cluster", options->cluster, "workload",
                  options->workload, "sequence", (json_int_t)sequence, "by", options->by, "reason",
                  options->reason ? options->reason : "", "at", clock_rfc3339(clock_now_s(), at));
    if (!predicate)
        return error_no_memory(err);
    if (statement_new(options->workload, subject, predicate_of(options->order), predicate,
                      &statement, err) < 0)
        return -1;
    return statement_sign(signer, statement, envelope, err);
}

int deliver_order_send(const struct deliver_order_options *options, struct error *err)
{
    CLEANUP(text) char *kubeconfig = NULL;
    CLEANUP(kube_client) struct kube_client *kube = NULL;
    CLEANUP(json) json_t *state = NULL;
    CLEANUP(json) json_t *object = NULL;
    CLEANUP(buf) struct buf envelope = BUF_INIT(1 << 20);
    struct kube_apply_options apply = {.manager = "monban-operator", .force = true};
    struct digest subject = {""};
    uint64_t sequence = 0;

    if (deliver_kubeconfig(options->home, options->cluster, &kubeconfig, err) < 0 ||
        kube_client_open(kubeconfig, NULL, &kube, err) < 0 ||
        read_state(kube, options->workload, &state, err) < 0 ||
        find_subject(options, state, &sequence, &subject, err) < 0 ||
        sign_order(options, sequence, &subject, &envelope, err) < 0)
        return -1;
    object = json_pack("{s:s, s:s, s:{s:s+, s:s, s:{s:s}}, s:{s:s}}", "apiVersion", "v1", "kind",
                       "ConfigMap", "metadata", "name", "order-", options->workload, "namespace",
                       DELIVER_NAMESPACE, "labels", "monban.dev/order", options->workload, "data",
                       "envelope", buf_text(&envelope));
    if (!object)
        return error_no_memory(err);
    return kube_apply(kube, object, &apply, NULL, err);
}
