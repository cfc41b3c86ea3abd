#!/usr/bin/env bash
# The builder on the real program: both examples become images that run; unchanged input is no work; the same input gives
# the same bytes; what is hostile in a source stays in its sandbox.
. "$(dirname "$0")/lib.sh"
layout=$work/layout
cleanup() { [ -z "${app_pid:-}" ] || kill "$app_pid" 2> /dev/null; }

# build NAME DIR [OPTION…] : its output is left in build.log and build.json; built gives the digest.
build() {
	local name=$1 dir=$2; shift 2
	"$MONBAN" build "$dir" --name "$name" --layout "$layout" "$@" -o json > "$work/build.json" 2> "$work/build.log"
	local code=$?
	cat "$work/build.log" "$work/build.json"
	return $code
}
built() { sed -n 's/^  "digest": "\(sha256:[0-9a-f]*\)".*/\1/p' "$work/build.json"; }
blob() { echo "$layout/blobs/sha256/${1#sha256:}"; }
# The digests of an image's layers, base first (the manifest names its config first).
layers() { grep -o 'sha256:[0-9a-f]\{64\}' "$(blob "$1")" | tail -n +2; }
unpack() {
	local layer
	mkdir -p "$2"
	for layer in $(layers "$1"); do tar -xzf "$(blob "$layer")" -C "$2" || return 1; done
}
# start DIR PORT : the image's process, as its user, in its own root.
start() {
	(cd "$1" && exec env -i PATH=/cnb/process:/cnb/lifecycle:/usr/bin:/bin PORT="$2" "$(command -v chroot)" --userspec=1000:1000 . /cnb/process/web) \
		> "$work/app.log" 2>&1 &
	app_pid=$!
}
answers() { wait_for 20 curl -sf "http://127.0.0.1:$1/healthz" || { cat "$work/app.log"; return 1; }; }
stop() { kill -TERM "$app_pid"; wait "$app_pid"; stop_code=$?; app_pid=; }

# --- the stack
check "the stack is built from Debian packages" "$MONBAN" stack build
check_exit "the stack is built once" 0 "$MONBAN" stack build
check_says "the second time" "is up to date"

# --- C
check "hello-c is built" build hello-c "$root/examples/hello-c"
hello=$(built)
check "its image unpacks" unpack "$hello" "$work/hello"
check "only the program is shipped" test "$(cd "$work/hello/workspace" && find . -type f | sort | paste -sd,)" = ./bin/hello
start "$work/hello" 18471; check "its process answers" answers 18471
check "it greets" sh -c "curl -s http://127.0.0.1:18471/ | grep -q 'Hello from C'"
stop; check "it ends on TERM" test "$stop_code" = 0
check "nothing in the image has a setuid bit" test -z "$(find "$work/hello" -xdev -perm /6000 -print)"
check "no manuals are shipped" test ! -e "$work/hello/usr/share/man"
check "package records are shipped" test -f "$work/hello/var/lib/dpkg/status.d/libc6"

# --- Node
cp -r "$root/examples/guestbook" "$work/guestbook-src"; rm -rf "$work/guestbook-src/node_modules"
check "guestbook is built" build guestbook "$work/guestbook-src"
first=$(built)
check_exit "the same again is no work" 0 build guestbook "$work/guestbook-src"
check_says "the same again" '"cached": true' "$first"
rm -rf "$MONBAN_HOME/gate/cache/apps"
check "from empty caches it is built again" build guestbook "$work/guestbook-src"
check "and has the same digest" test "$(built)" = "$first"
check "its image unpacks" unpack "$first" "$work/guestbook"
start "$work/guestbook" 18472; check "its process answers" answers 18472
check "it takes an entry" curl -sf -d 'author=e2e&message=hello' http://127.0.0.1:18472/entries -o /dev/null
check "it shows the entry" sh -c "curl -s http://127.0.0.1:18472/api/entries | grep -q '\"message\":\"hello\"'"
stop; check "it ends on TERM" test "$stop_code" = 0
check "no development tool is shipped" test -z "$(find "$work/guestbook" -name npm -print)"

echo "// one line more" >> "$work/guestbook-src/server.js"
check "one line changed is built" build guestbook "$work/guestbook-src"
check "dependencies are not installed again" grep -q "node_modules: unchanged" "$work/build.log"
check "one layer of the image is new" test "$(diff <(layers "$first") <(layers "$(built)") | grep -c '^>')" = 1

# --- sources that cannot be built
mkdir "$work/empty"; echo "x" > "$work/empty/readme"
check_exit "a source that no buildpack knows" 1 build empty "$work/empty"
check_says "the message" "no buildpack knows how to build this source" "there is no package.json" "there is no Makefile"
mkdir "$work/nolock"; echo '{"name":"n","dependencies":{"express":"4"},"scripts":{"start":"node x.js"}}' > "$work/nolock/package.json"
check_exit "an app without a lock file" 1 build nolock "$work/nolock"
check_says "the message" "package-lock.json is missing" "npm install --package-lock-only"
mkdir "$work/engines"; echo '{"name":"n","engines":{"node":">=900"},"scripts":{"start":"node x.js"}}' > "$work/engines/package.json"
check_exit "an app that wants a Node that is not" 1 build engines "$work/engines"
check_says "the message" "package.json: " "no Node for engines.node '>=900'"
mkdir "$work/broken"; printf 'all:\n\tcc -o x x.c\n' > "$work/broken/Makefile"; echo 'int main(void) { return y; }' > "$work/broken/x.c"
check_exit "a C program that does not compile" 1 build broken "$work/broken"
check_says "the compiler's words are in the message" "bin/build exited" "x.c:1" "'y' undeclared"

# --- hostile sources: an install script that looks around
secret=$work/secret; echo "the host's secret" > "$secret"
start "$work/hello" 18473; check "a service listens on the host's loopback" answers 18473
mkdir "$work/evil"
cat > "$work/evil/package.json" <<-'EOT'
	{"name": "evil", "version": "1.0.0", "scripts": {"start": "node x.js", "build": "bash ./evil.sh"}}
EOT
cat > "$work/evil/evil.sh" <<-EOT
	cat "$secret" 2>&1 | sed 's/^/host file: /'
	ls /proc/1/root/tmp 2>&1 | sed 's/^/root of init: /'
	(exec 3<> /dev/tcp/127.0.0.1/18473 && echo "loopback service: REACHED") 2>&1
	(exec 3<> /dev/tcp/10.90.1.1/6443 && echo "cluster: REACHED") 2>&1
	proxy=\${HTTPS_PROXY##*:}
	exec 3<> /dev/tcp/127.0.0.1/\$proxy; printf 'CONNECT example.com:443 HTTP/1.1\r\n\r\n' >&3; head -1 <&3 | sed 's/^/proxy: /'
	mknod /workspace/disk b 254 0 2>&1
	mount -t tmpfs x /mnt 2>&1
	unshare -Ur id 2>&1 | sed 's/^/userns: /'
	ln -s / /workspace/escape; echo x > /workspace/escape/etc/evil 2>&1
	rm /workspace/escape
	id -u
	sleep 4711 & setsid sleep 4711 &
	true
EOT
echo 1 > "$work/evil/x.js"
check_exit "a hostile build script is contained" 0 build evil "$work/evil"
check_says "the host it asked for is named" "the sandbox may not reach example.com:443" "proxy: HTTP/1.1 403"
check "it read no host file" test -z "$(grep "the host's secret" "$work/build.log")"
check "it reached nothing" test -z "$(grep REACHED "$work/build.log")"
check "what it left running is gone" test -z "$(pgrep -fx 'sleep 4711')"
check "the host's /etc is as it was" test ! -e /etc/evil
stop

# devil SENTENCE EXIT SCRIPT TEXT… : a build whose script ends badly, with the message it must give.
devil() {
	local sentence=$1 want=$2 script=$3; shift 3
	echo "$script" > "$work/evil/evil.sh"
	check_exit "$sentence" "$want" build evil "$work/evil"
	check_says "$sentence: the message" "$@"
}
devil "a setuid file in the app is refused" 3 'cp /bin/true x; chmod 4755 x' "'workspace/x' has a setuid"
devil "a named pipe in the app is refused" 3 'mkfifo pipe' "'workspace/pipe' is a device node, socket or fifo"
devil "a full disk ends the build" 1 'set -e; dd if=/dev/zero of=/workspace/big bs=1M count=8000 2>&1' "No space left on device"
devil "too many processes end the build" 1 'for i in $(seq 2000); do sleep 60 & done; wait -n; exit 1' "fork"

# --- a hostile buildpack: a layer that is a link out of its folder
mkdir -p "$work/packs/evil/bin"
printf 'api = "0.10"\n[buildpack]\nid = "test/evil"\nversion = "1.0.0"\n' > "$work/packs/evil/buildpack.toml"
printf '#!/bin/sh\n' > "$work/packs/evil/bin/detect"
cat > "$work/packs/evil/bin/build" <<-'EOT'
	#!/bin/sh
	ln -s /etc "$CNB_LAYERS_DIR/host"
	printf '[types]\nlaunch = true\ncache = true\n' > "$CNB_LAYERS_DIR/host.toml"
	printf '[[processes]]\ntype = "web"\ncommand = ["x"]\n' > "$CNB_LAYERS_DIR/launch.toml"
EOT
chmod +x "$work/packs/evil/bin/"*
check_exit "a layer that is a link to the host is refused" 1 build evil "$work/evil" --buildpacks "$work/packs" --stack "$root/buildpacks/stack.yaml"
check_says "the message" "layer 'host' of test/evil"

# --- interrupted
echo 'sleep 4712' > "$work/evil/evil.sh"
"$MONBAN" build "$work/evil" --name evil --layout "$layout" > "$work/build.log" 2>&1 &
build_pid=$!
check "the build is under way" wait_for 30 pgrep -fx 'sleep 4712'
kill -KILL $build_pid; wait $build_pid 2> /dev/null
check "after kill -9 of the builder nothing runs on" wait_for 10 sh -c '! pgrep -fx "sleep 4712" && ! ls -d /tmp/monban-build-* 2> /dev/null'
