/* Fuzz target: kubeconfig text. */
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "kube/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kube_config config = KUBE_CONFIG_INIT;
    struct error err = ERROR_INIT;
    /* No folder: a path in the text must not read files of this machine. */
    int result =
        kube_config_parse("fuzz", str_slice((const char *)data, size), -1, NULL, &config, &err);

    if (result == 0)
        kube_config_done(&config);
    return 0;
}
