#!/usr/bin/env bash
# Commit (one line changed) → verdict, → staging healthy, → production healthy with no soak time. The times are read
# from the agents' own logs, so that nothing polls while the clock runs.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$root/tests/demo/road.sh"
trap 'road_down >&2; rm -rf --one-file-system "$work"' EXIT
road_up 0s >&2 || exit 1
"$MONBAN" stack build "$work/platform/stacks/base.yaml" >&2 || exit 1
cp -r "$root/examples/guestbook" "$work/app"; rm -rf "$work/app/node_modules"
road_repository guestbook "$work/app" && road_commit "$work/app" first && road_push "$work/app" >&2 || exit 1
road_wait production guestbook "Healthy 1" 60 >&2 || exit 1
main=$(ls "$work/app"/*.js | head -1)

# healthy_ms CLUSTER SEQUENCE : when its agent said so, in ms since 1970.
healthy_ms() {
	awk -v s="sequence=$2" '/release is healthy/ && index($0 " ", s " ") { print $1; exit }' "$MONBAN_HOME/agents/$1/agent.log" |
		xargs -I{} date -d {} +%s%3N
}
for i in $(seq 2 $((runs + 1))); do
	printf '\n// %s\n' "$RANDOM" >> "$main"
	road_commit "$work/app" "change $i"
	before=$(date +%s%3N)
	road_push "$work/app" >&2 || exit 1
	echo "$(($(date +%s%3N) - before))" >> "$work/verdict"
	road_wait production guestbook "Healthy $i" 60 >&2 || exit 1
	echo "$(($(healthy_ms staging "$i") - before))" >> "$work/staging"
	echo "$(($(healthy_ms production "$i") - before))" >> "$work/production"
done
row "commit → verdict and signed release (git push returns)" "$(median < "$work/verdict")" "" ms "under 1000 ms"
row "commit → staging healthy" "$(median < "$work/staging")" "" ms "under 2000 ms"
row "commit → production healthy (soak 0, 2 replicas)" "$(median < "$work/production")" "" ms "under 3000 ms"
