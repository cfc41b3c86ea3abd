# tests/demo/road.sh - the whole road on one machine, for the demo, the end-to-end tests and the benchmarks.
# Sourced. Wants: root (the source tree), MONBAN (the program), MONBAN_HOME (a fresh folder), work (scratch).
. "$root/tests/demo/postgres.sh"
road_clusters="dev build staging production"

# road_platform DIR SOAK : the example platform with that soak time for production.
road_platform() {
	rm -rf "$1" && cp -r "$root/examples/platform" "$1" &&
		sed -i -E "s/(promotion: *\{ *soak: *)[^,}]*/\1$2/" "$1/platform.yaml"
}

# road_secret CLUSTER FILE TEXT : a password that the agent of an outer cluster may read.
road_secret() {
	install -d -m 700 "$MONBAN_HOME/agents/$1/secrets" &&
		(umask 077; printf %s "$3" > "$MONBAN_HOME/agents/$1/secrets/$2")
}

# Caches outlive the road: packages and runtimes need not be fetched for each test.
road_cache=$root/build/cache
road_take_cache() {
	mkdir -p "$road_cache/cache" "$road_cache/stacks" "$MONBAN_HOME/gate"
	ln -sfn "$road_cache/cache" "$MONBAN_HOME/gate/cache"
	ln -sfn "$road_cache/stacks" "$MONBAN_HOME/gate/stacks"
}

# road_up SOAK : database, clusters, gate, agents, advisories.
road_up() {
	local host password cluster
	mkdir -p "$MONBAN_HOME"; chmod 711 "$work"
	road_take_cache
	host=$("$MONBAN" plumbing fabric-host db 1) || return
	postgres_start "$work/postgres" "${host% *}" "${host#* }" || return
	for cluster in staging production; do
		password=$(od -An -tx1 -N16 /dev/urandom | tr -d ' \n')
		postgres_database "guestbook_$cluster" "$password" > /dev/null &&
			road_secret $cluster guestbook-db.password "$password" || return
	done
	"$MONBAN" db import "$root/examples/advisories" > /dev/null || return
	road_platform "$work/platform" "$1" && "$MONBAN" up --platform "$work/platform"
}

road_down() {
	"$MONBAN" down
	postgres_stop
	"$MONBAN" down --purge > /dev/null
}

# road_repository APP DIR : DIR becomes a git repository whose remote is the gate.
road_repository() {
	local url
	url=$("$MONBAN" gate repository "$1") || return
	git -C "$2" init -q -b main && git -C "$2" config user.name Dev && git -C "$2" config user.email dev@example.org &&
		git -C "$2" config commit.gpgsign false && git -C "$2" remote add gate "$url"
}

# road_commit DIR MESSAGE : everything that changed.
road_commit() { git -C "$1" add -A && git -C "$1" commit -q --allow-empty -m "$2"; }
road_push() { git -C "$1" push -q gate main 2>&1; }

# road_state CLUSTER APP : "STATE SEQUENCE" as monban status says it.
road_state() {
	"$MONBAN" status -o json | jq -r --arg c "$1" --arg a "$2" \
		'(if type == "array" then . else .clusters end)[] | select(.cluster == $c) | .releases[] | select(.workload == $a) | "\(.state) \(.sequence)"'
}

# road_wait CLUSTER APP "STATE SEQUENCE" SECONDS
road_wait() {
	local end=$((SECONDS + $4))
	until [ "$(road_state "$1" "$2")" = "$3" ]; do
		[ $SECONDS -lt $end ] || { echo "$2 in $1 is '$(road_state "$1" "$2")', not '$3'"; return 1; }
		read -rt 0.05 <> <(:) || true
	done
}

# road_api CLUSTER PATH [CURL OPTION…] : the Kubernetes API with the admin's certificate.
road_api() {
	local cluster=$1 path=$2 config server; shift 2
	config=$("$MONBAN" cluster kubeconfig "$cluster") || return
	[ -f "$config" ] || return
	server=$(awk '$1 == "server:" { print $2 }' "$config")
	local dir=$work/pki-$cluster
	if ! [ -d "$dir" ]; then
		mkdir -p "$dir"
		awk '$1 == "certificate-authority-data:" { print $2 }' "$config" | base64 -d > "$dir/ca.pem"
		awk '$1 == "client-certificate-data:" { print $2 }' "$config" | base64 -d > "$dir/cert.pem"
		awk '$1 == "client-key-data:" { print $2 }' "$config" | base64 -d > "$dir/key.pem"
	fi
	curl -sS --fail-with-body --cacert "$dir/ca.pem" --cert "$dir/cert.pem" --key "$dir/key.pem" "$@" "$server$path"
}

# road_service CLUSTER APP : the Service's address.
road_service() { road_api "$1" "/api/v1/namespaces/default/services/$2" | jq -r .spec.clusterIP; }

# road_curl CLUSTER APP PATH [CURL OPTION…] : HTTP through the Service, from the cluster's own network.
road_curl() {
	local cluster=$1 app=$2 path=$3 address; shift 3
	address=$(road_service "$cluster" "$app") || return
	nsenter --net="$MONBAN_HOME/clusters/$cluster/netns" curl -sS --fail-with-body -m 10 "$@" "http://$address$path"
}
