/* cluster/node/dns_fuzz.c - packets from pods: questions, and the answers that they lead to. */
#include <assert.h>

#include "cluster/node/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str packet = str_slice((const char *)data, size);
    struct dns_question q;
    int code;

    if (!dns_question_parse(packet, &q, &code))
        return 0;
    static struct dns_result result;
    CLEANUP(buf) struct buf out = BUF_INIT(DNS_TCP_MAX);
    CLEANUP(json)
    json_t *services = json_pack("{s:{s:{s:s,s:s},s:{s:s,s:[{s:s,s:i}]}}}", "default/web",
                                 "metadata", "name", "web", "namespace", "default", "spec",
                                 "clusterIP", "10.96.1.2", "ports", "name", "http", "port", 80);
    CLEANUP(json) json_t *endpoints = json_object();
    struct error err = ERROR_INIT;
    result.count = 0;
    result.texts = (struct strv)STRV_INIT;
    if (code == DNS_OK) {
        dns_look_up(services, endpoints, &q, &result);
        code = result.code;
    }
    if (dns_answer_write(packet, &q, code, result.records, result.count, q.udp_size, &out, &err) ==
        0)
        assert(out.len >= 12);
    dns_result_done(&result);
    return 0;
}
