#!/usr/bin/env bash
# Our build of the example beside buildah with a well-written Dockerfile: cold, one line changed, nothing changed.
# Both start from a base image that is there already, and both may keep npm's cache between warm builds.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
store="--root $work/containers --runroot $work/containers-run --storage-driver overlay"
bud() { # buildah needs a mount namespace without cgroup2's hugetlb controller where crun finds one
	unshare -m --propagation slave bash -c 'umount -l /sys/fs/cgroup/unified 2>/dev/null; exec buildah "$@"' - $store bud --isolation oci --network host \
		--ulimit nofile=1024:1024 --layers "$@"
}
trap 'buildah $store rm -a >&2 2>/dev/null; buildah $store rmi -a -f >&2 2>/dev/null; umount "$work"/containers/overlay 2>/dev/null; rm -rf --one-file-system "$work"' EXIT
mkdir -p "$MONBAN_HOME/gate" "$root/build/cache/cache" "$root/build/cache/stacks"
ln -s "$root/build/cache/cache" "$MONBAN_HOME/gate/cache"; ln -s "$root/build/cache/stacks" "$MONBAN_HOME/gate/stacks"
"$MONBAN" stack build "$root/buildpacks/stack.yaml" >&2 || exit 1

ours() { timed "$MONBAN" build "$1" --tag "apps/$2" --layout "$work/layout" ${3:-}; }
change() { printf '\n// %s\n' "$RANDOM$RANDOM" >> "$1"; }

cp -r "$root/examples/guestbook" "$work/app"; rm -rf "$work/app/node_modules"
main=$(ls "$work/app"/*.js | head -1)
# Cold: nothing is known of this app, neither its dependencies nor npm's downloads; base image and Node are there, as for
# the peer.
for _ in $(seq "$runs"); do
	rm -rf "$MONBAN_HOME/gate/cache/apps/guestbook" "$work/layout"
	ours "$work/app" guestbook --no-cache || exit 1
done | median > "$work/cold"
for _ in $(seq "$runs"); do change "$main"; ours "$work/app" guestbook || exit 1; done | median > "$work/warm"
for _ in $(seq "$runs"); do ours "$work/app" guestbook || exit 1; done | median > "$work/same"

# The peer's base: the same Node from the npm registry on a small Debian, made once and not timed.
node=$(ls -d "$root"/build/cache/cache/node*/*/bin/node "$root"/build/cache/cache/*/*/bin/node 2>/dev/null | head -1)
mmdebstrap --quiet --variant=apt --include=ca-certificates,nodejs,npm bookworm "$work/base.tar" >&2 || exit 1
mkdir "$work/base" && cp "$work/base.tar" "$work/base/base.tar" && cp /etc/ssl/certs/ca-certificates.crt "$work/base/ca.crt"
printf 'FROM scratch\nADD base.tar /\nCOPY ca.crt /etc/ssl/certs/ca-certificates.crt\nENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt\n' > "$work/base/Dockerfile"
bud -t bench-base "$work/base" >&2 || exit 1
cat > "$work/app/Dockerfile" <<-EOT
	FROM localhost/bench-base
	WORKDIR /workspace
	COPY package.json package-lock.json ./
	RUN npm ci --omit=dev --no-audit --no-fund
	COPY . .
	USER 1000
	CMD ["node", "$(basename "$main")"]
EOT
for _ in $(seq "$runs"); do timed bud --no-cache -t app "$work/app" || exit 1; done | median > "$work/peer-cold"
for _ in $(seq "$runs"); do change "$main"; timed bud -t app "$work/app" || exit 1; done | median > "$work/peer-warm"
for _ in $(seq "$runs"); do timed bud -t app "$work/app" || exit 1; done | median > "$work/peer-same"

row "guestbook, cold (npm ci, layers, digest; the peer neither compresses nor hashes)" "$(cat "$work/cold")" "$(cat "$work/peer-cold")" ms "no slower"
row "guestbook, one line changed" "$(cat "$work/warm")" "$(cat "$work/peer-warm")" ms "3 times faster"
row "guestbook, nothing changed" "$(cat "$work/same")" "$(cat "$work/peer-same")" ms ""
