/* sbom/evidence_fuzz.c - the parsers of evidence. The first byte says which: the digit of enum
 * evidence_kind. */
#include <assert.h>

#include "sbom/layer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(layer_facts) struct layer_facts facts = LAYER_FACTS_INIT;
    CLEANUP(json) json_t *kept = NULL;
    CLEANUP(layer_facts) struct layer_facts again = LAYER_FACTS_INIT;
    struct error err = ERROR_INIT;
    int kind = size ? data[0] - '0' : 0;

    if (kind <= EVIDENCE_NONE || kind >= EVIDENCE_KINDS)
        return 0;
    if (layer_facts_add(&facts, (enum evidence_kind)kind, STR("a/path"),
                        str_slice((const char *)data + 1, size - 1), &err) < 0) {
        assert(err.kind == ERR_LIMIT || err.kind == ERR_NO_MEMORY);
        return 0;
    }
    assert(facts.count == 1);
    for (size_t i = 0; i < facts.items[0].fact_count; i++)
        assert(facts.items[0].facts[i].name && facts.items[0].facts[i].version);
    /* What is kept comes back. */
    assert(layer_facts_to_json(&facts, &kept, &err) == 0);
    assert(layer_facts_from_json(kept, &again, &err) == 0);
    assert(again.count == 1 && again.items[0].fact_count == facts.items[0].fact_count);
    return 0;
}
