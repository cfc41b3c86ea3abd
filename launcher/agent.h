/* launcher/agent.h - live update: the launcher as parent of the app. Protocol: live.h. */
#pragma once
#include "sys.h"

struct agent_options {
    uint16_t port; /* where to listen */
    const char *token;
    uint16_t app_port; /* $PORT, or 8080 */
    const char *app;   /* /workspace */
};
/* True if the environment asks for it (with a fit port and token). */
bool agent_wanted(char **envp, struct agent_options *ret);
/* Until the container ends; gives the exit code. */
int agent_run(const struct agent_options *options, int argc, char **argv, char **envp);
