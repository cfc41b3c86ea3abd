#!/usr/bin/env bash
# Embedded cluster: create → API answers, idle memory; size of the program.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
trap '"$MONBAN" cluster delete bench >&2; "$MONBAN" down --purge >&2; rm -rf --one-file-system "$work"' EXIT

for _ in $(seq "$runs"); do
	timed "$MONBAN" cluster create bench || exit 1
	"$MONBAN" cluster delete bench >&2
done | median > "$work/create"
row "cluster create → API answers" "$(cat "$work/create")" "" ms "under 200 ms"

"$MONBAN" cluster create bench >&2 || exit 1
pid=$("$MONBAN" cluster list -o json | jq -r '.[0].pid')
# All processes of the cluster; shared pages counted once (PSS).
rss() {
	local p total=0
	for p in $1 $(pgrep -P "$1") $(for c in $(pgrep -P "$1"); do pgrep -P "$c"; done); do
		total=$((total + $(awk '/^Pss:/ { print $2 }' "/proc/$p/smaps_rollup" 2>/dev/null || echo 0)))
	done
	awk -v k="$total" 'BEGIN { printf "%.1f", k / 1024 }'
}
row "resident memory of one idle cluster (PSS of its processes)" "$(rss "$pid")" "" MiB "under 30 MiB"
row "release program" "$(stat -Lc %s "$MONBAN" | awk '{ printf "%.2f", $1 / 1048576 }')" "" MiB "small"
