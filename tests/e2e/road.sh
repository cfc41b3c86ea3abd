#!/usr/bin/env bash
# The whole road, end to end, on the real program: push, release, staging, production, and everything that can go wrong
# on the way. One road for all checks, because bringing it up costs the most.
. "$(dirname "$0")/lib.sh"
. "$root/tests/demo/road.sh"
cleanup() { road_down > /dev/null 2>&1; }
app=$work/guestbook

sequence=0 # of the newest release
# released SENTENCE : push what is there; it is released, and both outer clusters become healthy with it.
released() {
	sequence=$((sequence + 1))
	road_commit "$app" "$1"
	check "$1: the push is released" road_push "$app"
	check "$1: staging is healthy with release $sequence" road_wait staging guestbook "Healthy $sequence" 90
	check "$1: production is healthy with release $sequence" road_wait production guestbook "Healthy $sequence" 90
}
# refused SENTENCE TEXT… : the push is refused and says every TEXT; the last commit is taken back.
refused() {
	local sentence=$1; shift
	road_commit "$app" "$sentence"
	check_exit "$sentence: the push is refused" 1 road_push "$app"
	check_says "$sentence: the message" "$@"
	check "$sentence: production runs on" test "$(road_state production guestbook)" = "Healthy $sequence"
	git -C "$app" reset -q --hard "$(git -C "$app" rev-parse refs/remotes/gate/main)"
}
state_says() { # CLUSTER TEXT… : the reason that monban status gives
	local cluster=$1; shift
	output=$("$MONBAN" status -o json | jq -r --arg c "$cluster" '(if type == "array" then . else .clusters end)[] | select(.cluster == $c) | .releases[] | "\(.state) \(.reason)"')
	check_says "status of $cluster" "$@"
}

check "the road comes up" road_up 1s
check "the stack is built" "$MONBAN" stack build "$work/platform/stacks/base.yaml"
cp -r "$root/examples/guestbook" "$app"; rm -rf "$app/node_modules"
main=$(ls "$app"/*.js | head -1)
check "the app is a repository" road_repository guestbook "$app"
released "first commit"

# --- the app works, bound to the database of its cluster
for cluster in staging production; do
	check "$cluster stores an entry" road_curl $cluster guestbook /entries -H 'content-type: application/json' -d "{\"author\":\"e2e\",\"message\":\"of $cluster\"}"
	shows() { road_curl $cluster guestbook / | grep -qF "of $cluster"; }
	check "$cluster shows it" shows
	check "the database of $cluster holds it" test "$(postgres_sql guestbook_$cluster "select message from entries")" = "of $cluster"
done
check "production runs as two, as its convention says" test "$(road_api production /apis/apps/v1/namespaces/default/deployments/guestbook | jq .status.readyReplicas)" = 2
check "the security agent is injected" test "$(road_api production /apis/apps/v1/namespaces/default/deployments/guestbook | jq -r '.spec.template.spec.containers[].name' | sort | paste -sd,)" = sentinel,workload

# --- unchanged input is no work
commit=$(git -C "$app" rev-parse HEAD)
check_exit "the same commit again is no work" 0 "$MONBAN" gate walk guestbook "$commit"
check_says "the same commit again" "(unchanged)" "unchanged release 1"

# --- the YAML is what kubectl takes
if [ -n "$kubectl" ]; then
	"$MONBAN" release show guestbook --part yaml > "$work/delivery.yaml" 2> "$work/show.log" || cat "$work/show.log"
	check "kubectl takes the YAML of the release" "$kubectl" --kubeconfig "$("$MONBAN" cluster kubeconfig dev)" --cache-dir "$work/kube" apply --dry-run=client -f "$work/delivery.yaml"
	check "kubectl lists the pods of production" "$kubectl" --kubeconfig "$("$MONBAN" cluster kubeconfig production)" --cache-dir "$work/kube2" get pods,deploy,svc -o wide
else
	echo "skipped: no kubectl"
fi

# --- drift
check "somebody deletes the Service of staging" road_api staging /api/v1/namespaces/default/services/guestbook -X DELETE
service_is_back() { road_api staging /api/v1/namespaces/default/services/guestbook; }
check "it comes back" wait_for 10 service_is_back
check "somebody changes the image of staging" road_api staging /apis/apps/v1/namespaces/default/deployments/guestbook -X PATCH -H 'content-type: application/merge-patch+json' -d '{"spec":{"progressDeadlineSeconds":7}}'
deadline_is_back() { [ "$(road_api staging /apis/apps/v1/namespaces/default/deployments/guestbook | jq .spec.progressDeadlineSeconds)" = 120 ]; }
check "the change is taken back" wait_for 10 deadline_is_back

# --- one line
sed -i 's/Guestbook/Guest book/' "$main"
released "one line changed"

# --- refused for what the developer can fix; told about what the platform must fix
cp "$root"/tests/e2e/vulnerable/package*.json "$app/"
refused "a vulnerable npm package" refuse GHSA- "owner: app" "fixed in" "next: npm"

# --- bad input, each with place, owner and next command
printf 'spec:\n\t- broken' >> "$app/workload.yaml"
refused "a YAML error" "workload.yaml:" "owner: the app team" "next:"
sed -i 's/^spec:/spec:\n  serviceClaimz: []/' "$app/workload.yaml"
refused "an unknown field" "workload.yaml:" "serviceClaims" "owner: the app team"
sed -i 's/^spec:/spec:\n  replicas: 3/' "$app/workload.yaml"
refused "a field that is the platform's" "workload.yaml:" "replicas" "platform/conventions"
sed -i 's/name: postgresql}/name: oracle}/' "$app/workload.yaml"
refused "a service that nobody offers" "workload.yaml:" "oracle" "platform/services"
mkdir "$app/keep" && git -C "$app" mv package.json package-lock.json keep/ 2> /dev/null
refused "an app that no buildpack detects" "buildpack" "owner: the app team"
sed -i 's/"scripts": {/"scripts": {"install": "echo the build breaks here >\&2; exit 9",/' "$app/package.json"
refused "a build that fails" "the build breaks here" "owner: the app team"

# --- an app that crashes at start: released, then rolled back by staging; production never sees it
sed -i '1i throw new Error("crash at start");' "$main"
road_commit "$app" "crash at start"
check "an app that crashes is released" road_push "$app"
sequence=$((sequence + 1))
rolled_back() { case $(road_state staging guestbook) in RolledBack*) ;; *) return 1 ;; esac; }
check "staging rolls back by itself" wait_for 180 rolled_back
check "staging still answers" road_curl staging guestbook /healthz
check "production was not touched" test "$(road_api production /apis/apps/v1/namespaces/default/deployments/guestbook | jq -r '.metadata.annotations["monban.dev/commit"]')" = "$(git -C "$app" rev-parse HEAD~1)"
sed -i 1d "$main"
released "the crash is mended"

# --- continuous check: a new advisory, no pull, no scan
check "a new advisory is imported" "$MONBAN" db import "$root/examples/advisories-late"
late_is_known() { [ "$("$MONBAN" status -o json | jq '[(if type == "array" then . else .clusters end)[].releases[] | select(.findings | length > 0)] | length')" -ge 2 ]; }
check "both clusters say that they are affected" wait_for 15 late_is_known
output=$("$MONBAN" status); check_says "status names owner and remedy" "GHSA-" "owner: app" "remedy: npm"

# --- kill -9
for cluster in production; do
	pods=$(road_api $cluster /api/v1/namespaces/default/pods | jq -r '.items[].metadata.uid' | sort)
	starts=$(road_api $cluster /api/v1/namespaces/default/pods | jq -r '.items[].status.containerStatuses[].containerID' | sort)
	pid=$("$MONBAN" cluster list -o json | jq -r --arg c $cluster '.[] | select(.name == $c) | .pid')
	kill -9 $(pgrep -P "$pid") "$pid"
	check "$cluster is started again after kill -9" "$MONBAN" cluster start $cluster
	check "its objects are there" test "$(road_api $cluster /api/v1/namespaces/default/pods | jq -r '.items[].metadata.uid' | sort)" = "$pods"
	check "its pods still run, the same containers" test "$(road_api $cluster /api/v1/namespaces/default/pods | jq -r '.items[].status.containerStatuses[].containerID' | sort)" = "$starts"
	answers() { road_curl $cluster guestbook /healthz; }
	check "it answers through its Service" wait_for 10 answers
done
agent=$(cat "$MONBAN_HOME/agents/staging/agent.pid")
kill -9 "$agent"
check "the agent of staging is started again after kill -9" "$MONBAN" up
sed -i 's/Guest book/Visitors/' "$main"
released "after the kills"

# --- tampering: staging refuses, and what ran runs on
registry=$MONBAN_HOME/gate/registry
stop_staging() { kill "$(cat "$MONBAN_HOME/agents/staging/agent.pid")"; wait_for 10 sh -c "! kill -0 $(cat "$MONBAN_HOME/agents/staging/agent.pid") 2>/dev/null"; }
staging_refuses() { case $(road_state staging guestbook) in Refused*) ;; *) return 1 ;; esac; }

stop_staging
sed -i 's/Visitors/Guests/' "$main"; road_commit "$app" "to be tampered with"
check "a release to be tampered with" road_push "$app"
sequence=$((sequence + 1))
digest=$("$MONBAN" release list guestbook -o json | jq -r '.guestbook[0].image')
layer= # one that staging does not have yet
for candidate in $(jq -r '.layers[].digest' "$registry/blobs/sha256/${digest#sha256:}"); do
	[ -e "$MONBAN_HOME/agents/staging/registry/blobs/sha256/${candidate#sha256:}" ] || layer=$candidate
done
cp "$registry/blobs/sha256/${layer#sha256:}" "$work/blob"
printf 'X' | dd of="$registry/blobs/sha256/${layer#sha256:}" bs=1 seek=20 conv=notrunc 2> /dev/null
"$MONBAN" up > /dev/null
check "one byte changed in a blob: staging refuses" wait_for 30 staging_refuses
state_says staging Refused "$layer"
check "what ran goes on running" road_curl staging guestbook /healthz
cp "$work/blob" "$registry/blobs/sha256/${layer#sha256:}"
# an older release under the newest tag
stop_staging
cp "$registry/index.json" "$work/index.json"
old=$(jq '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == "apps/guestbook:release-1")' "$registry/index.json")
jq --argjson old "$old" '(.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == "apps/guestbook:release")) |= ($old | .annotations["org.opencontainers.image.ref.name"] = "apps/guestbook:release")' "$work/index.json" > "$work/index.new" && cp "$work/index.new" "$registry/index.json"
"$MONBAN" up > /dev/null
check "an older release under the newest tag: staging refuses" wait_for 30 staging_refuses
state_says staging Refused "rule 'sequence'"
check "what ran goes on running still" road_curl staging guestbook /healthz
cp "$work/index.json" "$registry/index.json"
check "the true release is taken then" road_wait staging guestbook "Healthy $sequence" 60
# a signature by another key
gate=$(cat "$MONBAN_HOME/gate/gate.pid"); kill "$gate"; wait_for 10 sh -c "! kill -0 $gate 2> /dev/null"
mv "$MONBAN_HOME/gate/keys" "$work/keys"
"$MONBAN" up > /dev/null
sed -i 's/Guests/Book/' "$main"; road_commit "$app" "signed by another key"
check "another key signs at the gate" road_push "$app"
check "a signature by another key: staging refuses" wait_for 60 staging_refuses
state_says staging Refused "sign"
check "what ran goes on running to the end" wait_for 20 road_curl staging guestbook /healthz
