#!/usr/bin/env bash
# Separation, proven with packets: who can open a TCP connection to what. Every target is first seen to answer from its
# own side, so that silence means a wall and not an absence. Prints the matrix.
. "$(dirname "$0")/lib.sh"
. "$root/tests/demo/road.sh"
dev_pid=
cleanup() { [ -n "$dev_pid" ] && kill -INT "$dev_pid" 2> /dev/null && wait "$dev_pid" 2> /dev/null; road_down > /dev/null 2>&1; }

check "the road comes up" road_up 0s
check "the stack is built" "$MONBAN" stack build "$work/platform/stacks/base.yaml"
cp -r "$root/examples/guestbook" "$work/app"; rm -rf "$work/app/node_modules"
road_repository guestbook "$work/app" && road_commit "$work/app" first
check "the app is released" road_push "$work/app"
check "staging runs it" road_wait staging guestbook "Healthy 1" 90
check "production runs it" road_wait production guestbook "Healthy 1" 90
"$MONBAN" dev "$work/app" > "$work/dev.log" 2>&1 & dev_pid=$!
dev_answers() { url=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' "$work/dev.log" | head -1); [ -n "$url" ] && curl -sf -m 2 "$url/healthz"; }
check "dev runs it" wait_for 60 dev_answers

netns() { echo "$MONBAN_HOME/clusters/$1/netns"; }
pod_ip() { road_api "$1" /api/v1/namespaces/default/pods | jq -r '[.items[] | select(.status.phase == "Running")][0].status.podIP'; }
service_ip() { road_api "$1" /api/v1/namespaces/default/services | jq -r '[.items[] | select(.metadata.name != "kubernetes")][0].spec.clusterIP'; }
service_port() { road_api "$1" /api/v1/namespaces/default/services | jq -r '[.items[] | select(.metadata.name != "kubernetes")][0].spec.ports[0].port'; }

# name address port
declare -A target
order=()
add() { target[$1]="$2 $3"; order+=("$1"); }
i=0
for cluster in $road_clusters; do
	i=$((i + 1))
	add "$cluster-api" 10.90.$i.1 6443
	if [ $cluster != build ]; then
		add "$cluster-pod" "$(pod_ip $cluster)" 8080
		add "$cluster-service" "$(service_ip $cluster)" "$(service_port $cluster)"
	fi
done
add gate-registry 100.64.2.2 5000
add staging-registry 100.64.3.2 5000
add database 100.64.201.2 5432

opens() { timeout 1 bash -c "exec 3<>/dev/tcp/$1/$2" 2> /dev/null; } # in the current network namespace
from_netns() { nsenter --net="$1" timeout 1 bash -c "exec 3<>/dev/tcp/$2/$3" 2> /dev/null; }

# Every target answers on its own side.
for name in "${order[@]}"; do
	read -r address port <<< "${target[$name]}"
	case $name in
	gate-registry) own=build ;; database) own= ;; *) own=${name%%-*} ;;
	esac
	if [ -n "$own" ]; then
		check "$name answers in its own cluster" from_netns "$(netns $own)" $address $port
	else
		check "$name answers on its own host" from_netns "$MONBAN_HOME/net/db" $address $port
	fi
done

# A pod's own network namespace, by a process of it.
pod_netns() {
	local ip=$1 cluster=$2 pid
	for pid in $(pgrep -f 'node server.js|server.js'); do
		if nsenter -t "$pid" -n ip -4 -o addr show 2> /dev/null | grep -qF " $ip/"; then echo "/proc/$pid/ns/net"; return; fi
	done
}
declare -A allowed seen
allow() { allowed["$1 $2"]=1; }
for own in dev staging production; do
	allow $own-pod $own-api; allow $own-pod $own-pod; allow $own-pod $own-service
	for part in api pod service; do allow $own-host $own-$part; done
done
allow staging-pod database; allow production-pod database
allow staging-host gate-registry; allow production-host staging-registry
allow staging-host staging-registry; allow build-host gate-registry; allow build-host build-api
allow staging-host database; allow production-host database

# The build sandbox: a Makefile that knocks at every door while it is built.
mkdir "$work/knock"
{
	echo 'for t in '"$(for name in "${order[@]}"; do read -r a p <<< "${target[$name]}"; printf '%s,%s,%s ' "$name" "$a" "$p"; done)"'; do'
	echo 'IFS=, read -r name a p <<< "$t"; if timeout 1 bash -c "exec 3<>/dev/tcp/$a/$p" 2> /dev/null; then echo "open $name"; else echo "shut $name"; fi; done'
} > "$work/knock/knock.sh"
printf '#include <stdio.h>\nint main(void) { puts("x"); return 0; }\n' > "$work/knock/main.c"
printf 'all: main\nmain: main.c\n\tbash knock.sh\n\t$(CC) -o main main.c\ninstall: main\n\tinstall -D main $(DESTDIR)$(PREFIX)/bin/main\n' > "$work/knock/Makefile"
printf 'web: main\n' > "$work/knock/Procfile"
check "the sandbox that knocks is built" sh -c "'$MONBAN' build '$work/knock' > '$work/knock.log' 2>&1"
for name in "${order[@]}"; do
	if grep -qE "open $name\$" "$work/knock.log"; then seen["build-sandbox $name"]=1
	elif ! grep -qE "shut $name\$" "$work/knock.log"; then echo "not ok - the sandbox did not knock at $name"; failures=$((failures + 1)); fi
done

rows=(dev-pod build-sandbox staging-pod staging-host production-pod production-host)
for row in "${rows[@]}"; do
	case $row in
	build-sandbox) continue ;;
	*-host) ns=$(netns "${row%-host}") ;;
	*) ns=$(pod_netns "${target[$row]% *}" "${row%-pod}")
		[ -n "$ns" ] || { echo "not ok - no process of $row was found"; failures=$((failures + 1)); continue; } ;;
	esac
	for name in "${order[@]}"; do
		read -r address port <<< "${target[$name]}"
		from_netns "$ns" "$address" "$port" && seen["$row $name"]=1
	done
done

echo
printf '%-18s' from; for name in "${order[@]}"; do printf '%-18s' "$name"; done; echo
for row in "${rows[@]}"; do
	printf '%-18s' "$row"
	for name in "${order[@]}"; do printf '%-18s' "$([ -n "${seen["$row $name"]:-}" ] && echo open || echo .)"; done
	echo
done
echo
for row in "${rows[@]}"; do
	wrong=
	for name in "${order[@]}"; do
		[ -n "${seen["$row $name"]:-}" ] && [ -z "${allowed["$row $name"]:-}" ] && wrong="$wrong $name"
	done
	check "from $row nothing opens that should be shut ($wrong)" test -z "$wrong"
done
check "staging reaches the gate's registry" test -n "${seen["staging-host gate-registry"]:-}"
check "production reaches staging's registry" test -n "${seen["production-host staging-registry"]:-}"
check "pods of production reach their database" test -n "${seen["production-pod database"]:-}"
check "the dev cluster works: its pod is reached in it" test -n "${seen["dev-pod dev-pod"]:-}"
for port in $("$MONBAN" cluster list -o json | jq -r '.[].port'); do
	check "a pod of dev does not reach 127.0.0.1:$port of the machine" sh -c "! nsenter --net='$(pod_netns "${target[dev-pod]% *}" dev)' timeout 1 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$port' 2> /dev/null"
done
