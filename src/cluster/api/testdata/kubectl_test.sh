#!/bin/sh
# The API server as kubectl sees it. Usage: kubectl_test.sh SERVER KUBECTL...
# SERVER is the program serve_for_tests; each KUBECTL that exists is run through all checks.
set -u
server=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d /tmp/kubectl-test-XXXXXX)
failed=0
passed=0

"$server" "$work" >"$work/out" 2>"$work/err" &
pid=$!
trap 'kill $pid 2>/dev/null; wait $pid 2>/dev/null; rm -rf "$work"' EXIT
# The server prints one line once it listens.
tail -f -n +1 --pid=$pid "$work/out" | { read -r line && echo "$line" >"$work/ready"; }
[ -s "$work/ready" ] || { cat "$work/err"; exit 1; }

k() {
	"$kubectl" --kubeconfig "$work/kubeconfig" --cache-dir "$work/cache$round" "$@"
}
# check NAME PATTERN COMMAND...: its output, both streams, holds the pattern (a basic regular expression).
check() {
	name=$1 pattern=$2
	shift 2
	"$@" >"$work/answer" 2>&1
	if grep -q -e "$pattern" "$work/answer"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED ($kubectl) $name: no '$pattern' in:"
		sed 's/^/    /' "$work/answer" | head -20
	fi
}
set_status() { # POD STATUS: as its node would
	printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s","namespace":"default"},"status":%s}' "$1" "$2" |
		k replace --raw "/api/v1/namespaces/default/pods/$1/status" -f - >/dev/null
}

run_all() {
	check "version" 'Server Version.*1.30' k version
	check "namespaces are listed" '^kube-system  *Active' k get ns
	check "api-resources" 'deployments  *deploy' k api-resources
	check "get all" 'service/kubernetes' k get all
	check "apply creates" 'deployment.apps/web created' k apply -f "$here/web.yaml"
	check "apply again changes nothing" 'deployment.apps/web unchanged' k apply -f "$here/web.yaml"
	check "service too" 'service/web unchanged' k apply -f "$here/web.yaml"
	check "client dry run" 'web.*(dry run)' k apply --dry-run=client -f "$here/web.yaml"
	check "server dry run" 'unchanged (server dry run)' k apply --dry-run=server -f "$here/web.yaml"
	check "wide table" 'CONTAINERS.*IMAGES.*SELECTOR' k get deploy -o wide
	check "node port" '80:30[0-2][0-9][0-9]/TCP' k get svc web
	check "apply --server-side takes over" 'serverside-applied' k apply --server-side --force-conflicts -f "$here/web.yaml"
	check "scale" 'scaled' k scale deploy web --replicas=4
	check "scaled" '^4$' k get deploy web -o 'jsonpath={.spec.replicas}'
	check "conflict with the scaler" 'conflict with "kubectl.*replicas' k apply --server-side --field-manager=other -f "$here/web.yaml"
	check "label" 'labeled' k label deploy web colour=red
	check "selector finds it" 'deployment.apps/web' k get deploy -l 'colour in (red),app' -o name
	check "selector misses it" 'No resources found' k get deploy -l 'colour!=red'
	check "set image" 'image updated' k set image deploy/web c=example.org/web:1.3
	check "strategic patch adds a variable" 'patched' k patch deploy web -p '{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"B","value":"2"}]}]}}}}'
	check "both variables are there" '^B A$\|^A B$' k get deploy web -o 'jsonpath={.spec.template.spec.containers[0].env[*].name}'
	check "json patch" 'patched' k patch deploy web --type=json -p '[{"op":"replace","path":"/spec/replicas","value":5}]'
	check "failed test of a json patch" 'error in our request\|is invalid' k patch deploy web --type=json -p '[{"op":"test","path":"/spec/replicas","value":7}]'
	check "validation" 'spec.replicas: Invalid value: -5: must be greater than or equal to 0' k patch deploy web --type=merge -p '{"spec":{"replicas":-5}}'
	check "selector is immutable" 'field is immutable' k patch deploy web --type=merge -p '{"spec":{"selector":{"matchLabels":{"app":"x"}}}}'
	check "describe" 'RollingUpdateStrategy:  25% max unavailable, 25% max surge' k describe deploy web
	check "configmap" 'created' k create configmap c1 --from-literal=a=b
	check "secret" 'created' k create secret generic s1 --from-literal=a=b
	check "secret is base64" '^Yg==$' k get secret s1 -o 'jsonpath={.data.a}'
	check "auth can-i" 'yes' k auth can-i create pods
	check "not found" 'pods "nope" not found' k get pods nope
	check "no such kind" "doesn't have a resource type \"foos\"" k get foos
	check "already exists" 'configmaps "c1" already exists' k create configmap c1
	check "pod" 'pod/p1 created' k run p1 --image=example.org/p:1
	check "pod's table" '^p1  *0/1  *Pending  *0 ' k get pod p1
	check "log before the start" 'container "p1" in pod "p1" is waiting to start: ContainerCreating' k logs p1
	uid=$(k get pod p1 -o 'jsonpath={.metadata.uid}')
	mkdir -p "$work/logs/default_p1_$uid/p1"
	printf 'one\ntwo\nthree\n' >"$work/logs/default_p1_$uid/p1/0.log"
	set_status p1 '{"phase":"Running","podIP":"10.90.1.9","conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[{"name":"p1","ready":true,"restartCount":0,"image":"x","imageID":"x","state":{"running":{"startedAt":"2026-01-01T00:00:00Z"}}}]}'
	check "running" '^p1  *1/1  *Running' k get pod p1
	check "logs" '^three$' k logs p1
	check "tail" '^three$' k logs p1 --tail=1
	cp "$work/answer" "$work/tail"
	check "tail is one line" '^1$' grep -c '' "$work/tail"
	check "no previous log" 'previous terminated container "p1" in pod "p1" not found' k logs p1 -p
	check "wait sees the condition" 'condition met' k wait pod/p1 --for=condition=Ready --timeout=10s
	check "field selector" 'p1' k get pods --field-selector=status.phase=Running -o name
	check "unknown field selector" 'field label not supported' k get pods --field-selector=spec.foo=1
	k logs -f p1 >"$work/follow" 2>&1 &
	follower=$!
	k get pods -w --field-selector=metadata.name=p1 --request-timeout=3s >"$work/watch" 2>&1 &
	watcher=$!
	# Each has begun once it has printed what was there before.
	tail -f -n +1 --pid=$follower "$work/follow" | grep -q three
	tail -f -n +1 --pid=$watcher "$work/watch" | grep -q Running
	echo four >>"$work/logs/default_p1_$uid/p1/0.log"
	set_status p1 '{"phase":"Failed","containerStatuses":[{"name":"p1","ready":false,"restartCount":0,"image":"x","imageID":"x","state":{"terminated":{"exitCode":3,"reason":"Error"}}}]}'
	wait $follower
	check "follow ends with the container, after its last line" '^four$' cat "$work/follow"
	wait $watcher
	check "watch saw the failure" '^p1  *0/1  *Error' cat "$work/watch"
	check "delete waits until it is gone" 'pod "p1" deleted' k delete pod p1 --timeout=10s
	check "events by involvedObject" 'No resources found' k get events --field-selector=involvedObject.name=p1
	check "create namespace" 'created' k create ns shop
	check "account of a namespace" 'default' k get sa -n shop
	check "delete by label" 'deleted' k delete deploy -l colour=red
	check "delete service" 'deleted' k delete svc web
	check "delete the rest" 'deleted' k delete cm/c1 secret/s1
	check "namespace terminates" 'deleted' k delete ns shop --wait=false
	check "and says so" '^shop  *Terminating' k get ns shop
	check "nothing new in it" 'because it is being terminated' k create cm x -n shop
}

round=0
for kubectl; do
	[ -x "$kubectl" ] || continue
	round=$((round + 1))
	[ $round = 1 ] || { kill $pid; wait $pid; rm -rf "$work"/store.db* "$work/ready"
		"$server" "$work" >"$work/out" 2>"$work/err" &
		pid=$!
		tail -f -n +1 --pid=$pid "$work/out" | { read -r line && echo "$line" >"$work/ready"; }
	}
	run_all
done
[ $round -gt 0 ] || { echo "skipped: no kubectl"; exit 77; }
[ -s "$work/err" ] && grep -v '^$' "$work/err" | head -20
echo "$passed passed, $failed failed ($round versions of kubectl)"
[ $failed = 0 ]
