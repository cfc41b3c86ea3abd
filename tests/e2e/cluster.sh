#!/usr/bin/env bash
# The embedded cluster as a user drives it: kubectl, real containers, real packets, kill -9, and nothing left behind.
. "$(dirname "$0")/lib.sh"

if [ -z "$kubectl" ]; then echo "skipped: there is no kubectl"; exit 0; fi
if [ "$(id -u)" -ne 0 ]; then echo "skipped: clusters need root"; exit 0; fi

# An image needs no tool but ours: a static program in one layer, pushed as a layout.
cc -O1 -static -w -o "$work/server" "$root/tests/images/server.c" || exit 1
tool=$(dirname "$MONBAN")/../../tests/images/make_image
make_image() { "$tool" "$MONBAN_HOME/clusters/$1/images" "$2" "$3" "$work/server" "${@:4}"; }

cleanup() {
	for name in one two; do "$MONBAN" cluster delete $name > /dev/null 2>&1; done
}
k() { "$kubectl" --kubeconfig "$MONBAN_HOME/clusters/one/admin.kubeconfig" --request-timeout=30s "$@"; }
get() { k get "$1" -o "jsonpath=$2"; }
is() { [ "$1" = "$2" ] || { echo "'$1', not '$2'"; return 1; }; }
http() { curl -s -m 5 "http://127.0.0.1:$port$1"; }

check "a cluster is created" "$MONBAN" cluster create one
check_exit "the same name again is refused" 1 "$MONBAN" cluster create one
check_says "and says so" "cluster 'one' exists"
check_exit "a bad name is refused" 1 "$MONBAN" cluster create 'a/b'
check "its node is ready" k wait --for=condition=Ready node/one --timeout=10s
check "kubernetes has an endpoint" is "$(get endpoints/kubernetes '{.subsets[0].addresses[0].ip}')" 10.90.1.1
make_image one test/web 1 MESSAGE=one > /dev/null || exit 1
make_image one test/web 2 MESSAGE=two > /dev/null || exit 1

# --- a Deployment and its Service
cat > "$work/web.yaml" <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: green, motd: "hello there"}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: s3cret}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      securityContext: {runAsNonRoot: true, fsGroup: 2000, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: web
        image: registry.monban.local/test/web:1
        ports: [{containerPort: 8080, name: http}]
        env:
        - {name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}
        - {name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: token}}}
        - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: BOTH, value: "$(COLOR)-$$(COLOR)-$(NONE)"}
        readinessProbe: {httpGet: {path: /health, port: http}, periodSeconds: 1, failureThreshold: 1}
        resources: {limits: {memory: 64Mi, cpu: 500m}, requests: {memory: 16Mi, cpu: 10m}}
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
        volumeMounts: [{name: settings, mountPath: /etc/settings}, {name: scratch, mountPath: /scratch}]
      volumes: [{name: settings, configMap: {name: settings}}, {name: scratch, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
YAML
check "kubectl applies a Deployment and its Service" k apply -f "$work/web.yaml"
check "it is rolled out" k rollout status deploy/web --timeout=30s
port=$(get svc/web '{.spec.ports[0].nodePort}')
check "its NodePort answers" is "$(http / | cut -d' ' -f1)" one
check "a ConfigMap's key is a variable" is "$(http /env/COLOR)" green
check "a Secret's key is a variable" is "$(http /env/TOKEN)" s3cret
check "variables are expanded" is "$(http /env/BOTH)" 'green-$(COLOR)-$(NONE)'
check "a ConfigMap is a volume" is "$(http /file/etc/settings/motd)" "hello there"
check "DNS knows the Service" is "$(http /resolve/web.default.svc.cluster.local)" "$(get svc/web '{.spec.clusterIP}')"
check "DNS refuses at once what it does not know" is "$(http /resolve/example.org)" "none 3"
check "a pod reaches a Service" is "$(http "/connect/$(get svc/web '{.spec.clusterIP}')/80")" yes
check "logs are read" grep -q 'listening as web-' <(k logs deploy/web)
check "describe shows the events" grep -q 'Started container web' <(k describe pod -l app=web)
k patch configmap settings -p '{"data":{"motd":"changed"}}' > /dev/null
motd_changed() { [ "$(http /file/etc/settings/motd)" = changed ]; }
check "a changed ConfigMap reaches the volume" wait_for 10 motd_changed

# --- rollout without a lost request
(for _ in $(seq 400); do curl -s -m 5 -o /dev/null -w '%{http_code}\n' "http://127.0.0.1:$port/"; done | grep -cv 200 > "$work/lost") &
load=$!
check "a new image is set" k set image deploy/web web=registry.monban.local/test/web:2
check "it is rolled out without a gap" k rollout status deploy/web --timeout=30s
check "the old one is rolled back to" k rollout undo deploy/web
check "and is there" k rollout status deploy/web --timeout=30s
k set image deploy/web web=registry.monban.local/test/web:2 > /dev/null
check "and forth again" k rollout status deploy/web --timeout=30s
wait $load
check "no request was lost" is "$(cat "$work/lost")" 0
check "the new image answers" is "$(http / | cut -d' ' -f1)" two
check "it is scaled up" k scale deploy/web --replicas=4
check "to four" k rollout status deploy/web --timeout=30s
check "with four endpoints" is "$(get endpoints/web '{.subsets[0].addresses[*].ip}' | wc -w)" 4
k scale deploy/web --replicas=2 > /dev/null
two_pods() { [ "$(k get pods -l app=web --no-headers | wc -l)" = 2 ]; }
check "and down" wait_for 20 two_pods
k delete pod -l app=web --wait=false > /dev/null
check "deleted pods come back" k rollout status deploy/web --timeout=30s
check "kubectl delete waits for the end" k delete pod -l app=web --timeout=30s

# --- what goes wrong says so
cat > "$work/bad.yaml" <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: no-image}
spec: {containers: [{name: c, image: registry.monban.local/none:1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: no-config}
spec:
  containers: [{name: c, image: "registry.monban.local/test/web:1", env: [{name: A, valueFrom: {configMapKeyRef: {name: late, key: a}}}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: crash}
spec: {containers: [{name: c, image: "registry.monban.local/test/web:1", command: [/app/none]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: sick, labels: {app: sick}}
spec:
  containers:
  - name: c
    image: registry.monban.local/test/web:1
    livenessProbe: {httpGet: {path: /health, port: 8080}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: root}
spec: {securityContext: {runAsNonRoot: true, runAsUser: 0}, containers: [{name: c, image: "registry.monban.local/test/web:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: once}
spec:
  restartPolicy: Never
  initContainers: [{name: first, image: "registry.monban.local/test/web:1", command: [/app/server, once]}]
  containers: [{name: c, image: "registry.monban.local/test/web:1", command: [/app/server, once]}]
YAML
check "pods that cannot run are accepted" k apply -f "$work/bad.yaml"
reason() { [ "$(get "pod/$1" '{.status.containerStatuses[0].state.waiting.reason}')" = "$2" ]; }
check "a missing image is ImagePullBackOff" wait_for 20 reason no-image ImagePullBackOff
check "a missing ConfigMap is CreateContainerConfigError" wait_for 20 reason no-config CreateContainerConfigError
check "a program that is not there is CrashLoopBackOff" wait_for 20 reason crash CrashLoopBackOff
check "root where it is forbidden is CreateContainerConfigError" wait_for 20 reason root CreateContainerConfigError
k create configmap late --from-literal=a=b > /dev/null
check "what came late is found" k wait --for=condition=Ready pod/no-config --timeout=20s
check "a job of two steps succeeds" k wait --for=condition=Initialized pod/once --timeout=20s
succeeded() { [ "$(get pod/once '{.status.phase}')" = Succeeded ]; }
check "and is Succeeded" wait_for 20 succeeded
check "the sick pod is well at first" k wait --for=condition=Ready pod/sick --timeout=20s
sick=$(get pod/sick '{.status.podIP}')
restarted() { [ "$(get pod/sick '{.status.containerStatuses[0].restartCount}')" -ge 1 ]; }
ip_in() { nsenter --net="$MONBAN_HOME/clusters/one/netns" curl -s -m 5 "http://$sick:8080$1"; }
ip_in /fail > /dev/null
check "a failing liveness probe restarts it" wait_for 30 restarted

# --- NetworkPolicy between pods of one cluster
cat > "$work/policy.yaml" <<'YAML'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-friends}
spec:
  podSelector: {matchLabels: {app: sick}}
  ingress: [{from: [{podSelector: {matchLabels: {friend: "yes"}}}], ports: [{port: 8080}]}]
YAML
opened() { [ "$(http "/connect/$sick/8080")" = yes ]; }
check "without a policy pods reach each other" wait_for 10 opened
k apply -f "$work/policy.yaml" > /dev/null
blocked() { [ "$(http "/connect/$sick/8080")" = no ]; }
check "a policy shuts others out" wait_for 10 blocked
k label pod -l app=web friend=yes > /dev/null
check "and lets friends in" wait_for 10 opened
k delete networkpolicy only-friends > /dev/null

# --- two clusters do not know each other
check "a second cluster is created" "$MONBAN" cluster create two --loop outer
check "pods do not reach its API" is "$(http /connect/10.90.2.1/6443)" no
check "nor by the fabric" is "$(http /connect/100.64.2.2/6443)" no
check "nor the machine's other ports of their own node" is "$(http /connect/10.90.1.1/5000)" no
check "they do reach their own API" is "$(http /connect/10.90.1.1/6443)" yes

# --- kill -9 and restart
k delete pod --all --wait=false > /dev/null
check "all is calm before the crash" k rollout status deploy/web --timeout=30s
calm() { [ "$(k get pods --no-headers | grep -vc Running)" = 0 ]; }
check "only good pods are left" wait_for 40 calm
pods_before=$(k get pods -o jsonpath='{.items[*].metadata.uid} {.items[*].status.containerStatuses[0].containerID}')
processes() { pgrep -f '^/app/server' | sort | tr '\n' ' '; }
before=$(processes)
kill -9 "$(cut -d' ' -f1 "$MONBAN_HOME/clusters/one/cluster.pid")" "$(cut -d' ' -f1 "$MONBAN_HOME/clusters/one/node.pid")"
check "pods live on without their cluster" is "$(processes)" "$before"
check "it starts again" "$MONBAN" cluster start one
check "its node is ready again" k wait --for=condition=Ready node/one --timeout=20s
check "objects are there" k get deploy/web svc/web configmap/settings
answers() { [ "$(http / | cut -d' ' -f1)" = two ]; }
check "the Service answers" wait_for 10 answers
check "pods are the same" is "$(k get pods -o jsonpath='{.items[*].metadata.uid} {.items[*].status.containerStatuses[0].containerID}')" "$pods_before"
check "and so are their processes" is "$(processes)" "$before"
node=$(cut -d' ' -f1 "$MONBAN_HOME/clusters/one/node.pid")
kill -9 "$node"
new_node() { [ "$(cut -d' ' -f1 "$MONBAN_HOME/clusters/one/node.pid")" != "$node" ]; }
check "a node process that dies is started again" wait_for 10 new_node
check "and the processes are still the same" is "$(processes)" "$before"
check "adopted pods can be deleted" k delete pod -l app=web --timeout=30s
check "and are replaced" k rollout status deploy/web --timeout=30s

check "it is stopped in peace" "$MONBAN" cluster stop one
check "and its pods go on" test -n "$(processes)"
no_reports() { ! grep -E -A12 'Sanitizer|runtime error' "$MONBAN_HOME/clusters/one/cluster.log"; }
check "the sanitizers have nothing to say" no_reports
check "and it is started" "$MONBAN" cluster start one

# --- deletion
k create namespace gone > /dev/null
k -n gone create configmap a > /dev/null
check "a namespace is deleted with what is in it" k delete namespace gone --timeout=20s
check "a Deployment takes its pods along" k delete deploy/web --timeout=20s
no_pods() { [ -z "$(k get pods -l app=web --no-headers 2> /dev/null)" ]; }
check "they are gone" wait_for 20 no_pods
k apply -f "$work/web.yaml" > /dev/null
k rollout status deploy/web --timeout=30s > /dev/null
check "a running cluster is deleted" "$MONBAN" cluster delete one
check "nothing of it runs" is "$(processes)" ""
check_exit "deleting it again is an error" 1 "$MONBAN" cluster delete one
kill -9 "$(cut -d' ' -f1 "$MONBAN_HOME/clusters/two/cluster.pid")"
rm -f "$MONBAN_HOME/clusters/two/cluster.json"
check "a half-made cluster is deleted, too" "$MONBAN" cluster delete two
check "the fabric went with the last cluster" test ! -e "$MONBAN_HOME/net"
