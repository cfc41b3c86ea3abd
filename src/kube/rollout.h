/* kube/rollout.h - when is a Deployment rolled out? The rules of `kubectl rollout status`.
 *
 * In this order: observedGeneration reaches generation; the Progressing condition is not
 * ProgressDeadlineExceeded; updatedReplicas reach spec.replicas; old replicas are gone;
 * availableReplicas reach updatedReplicas. Source: kubectl, polymorphichelpers/rollout_status.go.
 */
#pragma once
#include "kube/watch.h"

enum kube_rollout { KUBE_ROLLOUT_GOING, KUBE_ROLLOUT_DONE, KUBE_ROLLOUT_FAILED };
enum { KUBE_ROLLOUT_TEXT = 256 };

/* `text` says what is waited for, in kubectl's words: "1 of 2 updated replicas are available". */
enum kube_rollout kube_rollout_of(const json_t *deployment, char text[KUBE_ROLLOUT_TEXT]);

/* Waits by a watch. TIMEOUT says what was still missing; UNAVAILABLE: the rollout failed;
 * NOT_FOUND: the deployment was deleted. `on_text` (may be NULL) is told each new text. */
typedef void kube_rollout_fn(const char *text, void *ctx);
NODISCARD int kube_wait_rollout(struct kube_client *client, const char *ns, const char *name,
                                int64_t timeout_ms, kube_rollout_fn *on_text, void *ctx,
                                struct error *err);
/* Why pods of the Deployment (by its selector) do not get ready, in one sentence with the pod's
 * name: "container 'workload' of pod x exited 1 (CrashLoopBackOff)"; "" if nothing is wrong. Pure.
 */
void kube_pods_trouble(const json_t *pod_list, char *out, size_t out_size);
