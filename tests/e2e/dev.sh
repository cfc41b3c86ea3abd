#!/usr/bin/env bash
# The inner loop: monban dev on the real program, in a real container.
. "$(dirname "$0")/lib.sh"
. "$root/tests/demo/road.sh"
session=
cleanup() {
	[ -z "$session" ] || kill "$session" 2> /dev/null
	"$MONBAN" down --purge > /dev/null 2>&1
}
app=$work/guestbook
log=$work/dev.log
said() { grep -qF -- "$1" "$log"; }
said_times() { [ "$(grep -cF -- "$1" "$log")" -ge "$2" ]; }
address() { sed -n 's/^address: //p' "$log" | tail -1; }
page_says() { curl -sS -m 5 "$(address)/" | grep -qF -- "$1"; }

mkdir -p "$MONBAN_HOME"; chmod 711 "$work"
road_take_cache
road_platform "$work/platform" 0s
"$MONBAN" db import "$root/examples/advisories" > /dev/null
check "the road comes up" "$MONBAN" up --platform "$work/platform"
cp -r "$root/examples/guestbook" "$app"; rm -rf "$app/node_modules"

"$MONBAN" dev "$app" > "$log" 2>&1 &
session=$!
check "the app is built and becomes ready" wait_for 240 said "ready after"
check "it answers at the address that was printed" page_says "Guestbook"
check "a service that dev lacks is a note, no stop" said "note: claim 'db'"
check "the ghost of the gate says what the gate would" wait_for 20 said "the gate would"
check "its log is shown" wait_for 10 said "listening on port"

# --- a save is live
sed -i 's/Guestbook/Gaestebuch/' "$app/server.js"
check "a save is told with its time" wait_for 20 said "ms after the save"
check "the page is the new one" page_says "Gaestebuch"
check "only the save is told, not the editor's own files" test "$(grep -c '^saved: ' "$log")" = "$(grep -c '^saved: server.js$' "$log")"
mkdir "$app/build"; echo 'build/' > "$app/.gitignore"
check "a new file is a save too" wait_for 20 said_times "ms after the save" 2
saves=$(grep -c '^saved: ' "$log")
echo x > "$app/build/out.js"
# --- an error
printf '}' >> "$app/store.js"
check "an app that ends is told, with its exit" wait_for 20 said "exited 1"
check "an ignored file was no save" test "$(grep -c '^saved: ' "$log")" = $((saves + 1))
sed -i '$ s/}$//' "$app/store.js"
check "the next save mends it" wait_for 20 said_times "ms after the save" 3
check "it answers again" wait_for 10 page_says "Gaestebuch"

# --- dependencies
sed -i 's/"description": *"[^"]*"/"description": "another"/' "$app/package.json"
touch "$app/package.json"
check "a change of package.json builds anew" wait_for 120 said_times "ready after" 2
check "the new image serves" wait_for 20 page_says "Gaestebuch"

# --- nothing of the outer loop, and plain kubectl apply
check_exit "dev in an outer cluster is refused" 3 "$MONBAN" dev "$app" --cluster staging
check_says "the refusal" "outer loop"
kill -INT $session; wait $session
session=
check "Ctrl-C ends it" said "removing"
check "and removes what it made" test "$(road_api dev /apis/apps/v1/namespaces/default/deployments | jq '.items | length')" = 0
check "no leak, no broken rule" sh -c "! grep -E 'runtime error|Sanitizer' '$log'"
