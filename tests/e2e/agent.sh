#!/usr/bin/env bash
# The agents of the outer loop: approvals, orders, missing services, drift, and kills at any moment of a rollout.
. "$(dirname "$0")/lib.sh"
. "$root/tests/demo/road.sh"
cleanup() { road_down > /dev/null 2>&1; }
app=$work/guestbook
platform=$MONBAN_HOME/platform
sequence=0

change() { # MESSAGE : another page, committed and pushed
	sequence=$((sequence + 1))
	sed -i "s/Guestbook[0-9]*/Guestbook$sequence/" "$app/server.js"
	road_commit "$app" "$1" && road_push "$app"
}
both_healthy() { road_wait staging guestbook "Healthy $sequence" 90 && road_wait production guestbook "Healthy $sequence" 90; }
state_says() { # CLUSTER TEXT… : the state and reason that monban status gives
	local cluster=$1; shift
	output=$("$MONBAN" status -o json | jq -r --arg c "$cluster" '.[] | select(.cluster == $c) | .releases[] | "\(.state) \(.reason)"')
	local text
	for text in "$@"; do case $output in *"$text"*) ;; *) return 1 ;; esac; done
}
api() { road_api "$1" "/apis/apps/v1/namespaces/default/deployments/guestbook" "${@:2}"; }

check "the road comes up" road_up 0s
cp -r "$root/examples/guestbook" "$app"; rm -rf "$app/node_modules"
check "the app is a repository" road_repository guestbook "$app"
check "the first release is made" change first
check "it reaches production" both_healthy

# --- drift: everything that was applied comes back, what was added goes
for object in services/guestbook secrets/guestbook-db serviceaccounts/guestbook; do
	road_api staging "/api/v1/namespaces/default/$object" -X DELETE > /dev/null
	check "what was deleted of ${object%%/*} comes back" wait_for 5 road_api staging "/api/v1/namespaces/default/$object"
done
api staging -X PATCH -H 'content-type: application/json-patch+json' \
	-d '[{"op":"add","path":"/spec/template/spec/containers/-","value":{"name":"guest","image":"x"}}]' > /dev/null
alone() { [ "$(api staging | jq -r '[.spec.template.spec.containers[].name] | sort | join(" ")')" = "sentinel workload" ]; }
check "a container that somebody adds goes" wait_for 5 alone
api production -X DELETE > /dev/null
served() { road_curl production guestbook /healthz; }
check "a deleted Deployment comes back and serves" wait_for 60 served

# --- a release that a check holds waits for a person, in each cluster
sed -i 's/vulnerability-medium: .*/vulnerability-medium: {dev: note, build: warn, staging: hold}/' "$platform/platform.yaml"
change "held for a person" > /dev/null
check "staging waits and says for whom and how to go on" wait_for 30 state_says staging Waiting "vulnerability-medium" "owner: platform" "monban approve guestbook --cluster staging"
check "an approval for another workload is an error" sh -c "! '$MONBAN' approve nothing --cluster staging"
check "alice approves" "$MONBAN" approve guestbook --cluster staging --by alice
check "staging goes on" road_wait staging guestbook "Healthy $sequence" 60
check "production waits for its own approval" wait_for 30 state_says production Waiting "monban approve guestbook --cluster production"
check "bob approves" "$MONBAN" approve guestbook --cluster production --by bob
check "production goes on" road_wait production guestbook "Healthy $sequence" 60
sed -i 's/, staging: hold//' "$platform/platform.yaml"

# --- a service that the platform lacks
cp "$platform/services/databases.yaml" "$work/databases.yaml"
sed -i '/cluster: production/,+2d' "$platform/services/databases.yaml"
check "a missing service is named, with its owner and file" wait_for 30 state_says production Waiting "asks for service" "owner: platform team" "services/"
check "what ran runs on" road_curl production guestbook /healthz
cp "$work/databases.yaml" "$platform/services/databases.yaml"
check "once it is there the agent goes on by itself" road_wait production guestbook "Healthy $sequence" 60

# --- orders
check_exit "a rollback to a release that never was" 1 "$MONBAN" rollback guestbook --cluster staging --to 77
check "a rollback by order" "$MONBAN" rollback guestbook --cluster staging --by alice --reason "bad feeling"
check "staging is back at the release before" road_wait staging guestbook "RolledBack $((sequence - 1))" 60
check "status says by whom and why" state_says staging "rolled back by alice: bad feeling"
check "production is not touched by it" test "$(road_state production guestbook)" = "Healthy $sequence"
change "after the rollback" > /dev/null
check "a newer release is taken again" both_healthy

# --- kill -9 at any moment of a rollout
for moment in 0.05 0.2 0.4 0.7 1.2; do
	change "killed after $moment s" > /dev/null
	read -rt $moment <> <(:) || true
	kill -9 "$(cat "$MONBAN_HOME/agents/staging/agent.pid")" "$(cat "$MONBAN_HOME/agents/production/agent.pid")"
	"$MONBAN" up > /dev/null
	check "agents killed $moment s after the push go on where they were" both_healthy
done

# --- the gate goes away: what runs goes on, and so does everything else
kill "$(cat "$MONBAN_HOME/gate/gate.pid")"
road_api staging /api/v1/namespaces/default/services/guestbook -X DELETE > /dev/null
check "without the gate drift is corrected" wait_for 5 road_api staging /api/v1/namespaces/default/services/guestbook
check "without the gate the app answers" road_curl staging guestbook /healthz
"$MONBAN" up > /dev/null
change "the gate is back" > /dev/null
check "releases go on once it is back" both_healthy
check "no agent leaked or broke a rule" sh -c "! grep -lE 'runtime error|AddressSanitizer|LeakSanitizer' '$MONBAN_HOME'/agents/*/agent.log"
