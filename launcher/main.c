/* launcher/main.c - /cnb/lifecycle/launcher, and by a link /cnb/process/TYPE: sets up the
 * environment that the layers give, and becomes the app. In the dev cluster (MONBAN_LIVE_UPDATE) it
 * stays, as the app's parent, and takes live updates (live.h). */
#include "agent.h"
#include "launch.h"

int main(int argc, char **argv, char **envp);

int main(int argc, char **argv, char **envp)
{
    struct launch launch = {0};
    struct agent_options live = {0};

    if (agent_wanted(envp, &live))
        return agent_run(&live, argc, argv, envp);
    if (!launch_prepare(argc, argv, envp, &launch))
        return LAUNCH_FAILED_EXIT;
    (void)launch_exec(&launch); /* it has said why */
    return LAUNCH_FAILED_EXIT;
}
