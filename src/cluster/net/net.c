/* cluster/net/net.c - the addresses of docs/design.md, "Networks of embedded clusters". */
#include "cluster/net/net.h"

#include <stdio.h>

const char *net_node_address(unsigned index, char out[NET_ADDRESS_SIZE])
{
    return net_pod_address(index, 1, out);
}

const char *net_pod_address(unsigned index, unsigned host, char out[NET_ADDRESS_SIZE])
{
    (void)snprintf(out, NET_ADDRESS_SIZE, "10.90.%u.%u", index & 255, host & 255);
    return out;
}

const char *net_uplink_address(unsigned index, char out[NET_ADDRESS_SIZE])
{
    (void)snprintf(out, NET_ADDRESS_SIZE, "100.64.%u.2", index & 255);
    return out;
}

const char *net_host_address(unsigned k, char out[NET_ADDRESS_SIZE])
{
    return net_uplink_address(200 + k, out);
}
