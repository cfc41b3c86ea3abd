#!/usr/bin/env bash
# Inner loop: a save in `monban dev` until the new text is served.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$root/tests/demo/road.sh"
dev_pid=
trap '[ -n "$dev_pid" ] && kill -INT $dev_pid && wait $dev_pid; road_down >&2; rm -rf --one-file-system "$work"' EXIT
road_up 0s >&2 || exit 1
cp -r "$root/examples/guestbook" "$work/app"; rm -rf "$work/app/node_modules"
main=$(ls "$work/app"/*.js | head -1)
"$MONBAN" dev "$work/app" > "$work/dev.log" 2>&1 & dev_pid=$!
for _ in $(seq 600); do
	url=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' "$work/dev.log" | head -1)
	[ -n "$url" ] && curl -sf -m 1 "$url/" > /dev/null && break
	read -rt 0.1 <> <(:) || true
done
[ -n "${url:-}" ] || { cat "$work/dev.log" >&2; exit 1; }
for i in $(seq $((runs + 2))); do
	sed -i -E "s/Guest ?book( [0-9]+)?/Guestbook $i$RANDOM/" "$main"; want=$(grep -oE 'Guestbook [0-9]+' "$main" | head -1)
	before=$(date +%s%3N)
	until curl -sf -m 1 "$url/" 2> /dev/null | grep -qF "$want"; do :; done
	echo "$(($(date +%s%3N) - before))"
done > "$work/saves"
row "save → served (Node), seen by curl" "$(median < "$work/saves")" "" ms "under 300 ms"
