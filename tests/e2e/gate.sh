#!/usr/bin/env bash
# The gate, end to end, on the real program: a C app, a watched repository, a full disk, pushes that are broken off, a
# killed gate, walks by hand, releases as files, orders of people, and the road stopped and started again.
. "$(dirname "$0")/lib.sh"
. "$root/tests/demo/road.sh"
gate=$MONBAN_HOME/gate
registry=$gate/registry
mirror=$MONBAN_HOME/agents/staging/registry
cleanup() {
	"$MONBAN" down --purge > /dev/null 2>&1
	local disk; for disk in "$registry" "$mirror"; do mountpoint -q "$disk" && umount "$disk"; done
	"$MONBAN" down --purge > /dev/null 2>&1
}
hello=$work/hello-c
second=$work/hello-two
remote=$work/remote/watched.git

# say APP WORDS : the greeting of a copy of hello-c becomes WORDS.
say() { sed -i "s/\"Hello[^\"]*\"/\"Hello, $2.\\\\n\"/" "$1/hello.c"; }
# take_hello NAME DIR : a copy of examples/hello-c under another name.
take_hello() { cp -r "$root/examples/hello-c" "$2" && sed -i "s/name: hello-c/name: $1/" "$2/workload.yaml"; }
pushed() { output=$(git -C "$1" push gate "${2:-main}" 2>&1); }
greets() { [ "$(road_curl "$1" "$2" / 2> /dev/null)" = "Hello, $3." ]; }
reason() { "$MONBAN" status -o json | jq -r --arg c "$1" --arg a "$2" '.[] | select(.cluster == $c) | .releases[] | select(.workload == $a) | "\(.state) \(.reason)"'; }
reason_says() { # CLUSTER APP TEXT…
	local text said; said=$(reason "$1" "$2"); shift 2
	for text in "$@"; do case $said in *"$text"*) ;; *) echo "no '$text' in: $said"; return 1 ;; esac; done
}
logged() { grep -c "$1" "$gate/gate.log"; }
walked() { "$MONBAN" gate status -o json | jq -e --arg a "$1" --arg s "$2" --arg c "$3" '.[] | select(.app == $a and .state == $s and .commit == $c)' > /dev/null; }
gate_pid() { cat "$gate/gate.pid"; }

# platform SOAK APPROVALS URL : the platform folder in use from now on.
platform() {
	rm -rf "$work/platform" && cp -r "$root/examples/platform" "$work/platform" &&
		sed -i -E "s/promotion: *\{[^}]*\}/promotion: {soak: $1, approvals: $2}/" "$work/platform/platform.yaml" &&
		printf '  sources:\n    - {app: watched, url: "%s", branch: main, poll: 1s}\n' "$3" >> "$work/platform/platform.yaml" &&
		"$MONBAN" up --platform "$work/platform"
}

# fill DISK PAGES : so many pages of 4 KiB are left free.
fill() {
	rm -f "$1/filler"; dd if=/dev/zero of="$1/filler" bs=4k 2> /dev/null
	truncate -s "$(($(stat -c %s "$1/filler") - 4096 * $2))" "$1/filler"
}

# --- the road comes up, the registries of the gate and of staging on disks of their own
mkdir -p "$registry" "$mirror" "$work/remote"; chmod 711 "$work"
road_take_cache
mount -t tmpfs -o size=192m,mode=700 registry "$registry"
mount -t tmpfs -o size=16m,mode=700 mirror "$mirror"
"$MONBAN" db import "$root/examples/advisories" > /dev/null
check "the road comes up" platform 0s 0 "file://$remote"
check "the stack is built" "$MONBAN" stack build "$work/platform/stacks/base.yaml"

# --- a watched repository that is not there yet
failure_is_known() { "$MONBAN" gate status | grep -q "not fetched since"; }
check "a remote that cannot be fetched is reported" wait_for 10 failure_is_known
output=$("$MONBAN" gate status; grep "watched repository" "$gate/gate.log")
check_says "the report" "$remote" "does not appear to be a git repository" "owner: the platform team" "next: correct spec.sources"

# --- a C app
take_hello hello-c "$hello"; say "$hello" one
check "the C app is a repository" road_repository hello-c "$hello"
road_commit "$hello" "first commit"
check_exit "a push of a C app is released" 0 git -C "$hello" push gate main
check_says "the push" "detect: monban/c" "cc -O2" "released release 1"
check "staging is healthy" road_wait staging hello-c "Healthy 1" 60
check "production is healthy" road_wait production hello-c "Healthy 1" 60
check "production answers through its Service" greets production hello-c one
check_exit "the same commit walked again is no work" 0 "$MONBAN" gate walk hello-c "$(git -C "$hello" rev-parse HEAD)"
check_says "the walk" "(unchanged)" "unchanged release 1"

# --- other branches
git -C "$hello" checkout -q -b side; say "$hello" side; road_commit "$hello" "on a side branch"
check_exit "a second branch is taken" 0 git -C "$hello" push gate side
check_says "the push of a second branch" "refs/heads/side is kept; only main walks the road"
check "the gate has it" git -C "$gate/git/hello-c.git" cat-file -e "$(git -C "$hello" rev-parse HEAD)"
check "and has not walked it" test "$("$MONBAN" release list -o json | jq '."hello-c" | length')" = 1
check_exit "a branch may be deleted" 0 git -C "$hello" push gate :side
git -C "$hello" checkout -q main
check_exit "a commit that the gate has not is no walk" 1 "$MONBAN" gate walk hello-c 0123456789012345678901234567890123456789
check_says "the walk of it" "no commit '0123456789012345678901234567890123456789'" "next: git push gate HEAD:refs/heads/try"

# --- the watched repository comes to be, and moves
check "the failed fetches were logged once" test "$(logged 'cannot be fetched')" = 1
take_hello watched "$work/watched"; say "$work/watched" one
git init -q --bare -b main "$remote"
git -C "$work/watched" init -q -b main; git -C "$work/watched" config user.name Dev; git -C "$work/watched" config user.email dev@example.org
git -C "$work/watched" remote add origin "$remote"
road_commit "$work/watched" "first in the remote"; git -C "$work/watched" push -q origin main
check "a commit in the remote is walked without a push" wait_for 20 walked watched released "$(git -C "$work/watched" rev-parse HEAD)"
check "the log says that the remote is fetched" grep "a watched repository is fetched app=watched url=file://$remote" "$gate/gate.log"
check "staging takes it" road_wait staging watched "Healthy 1" 60
say "$work/watched" two; road_commit "$work/watched" "second in the remote"; git -C "$work/watched" push -q origin main
check "so is the next one" wait_for 20 walked watched released "$(git -C "$work/watched" rev-parse HEAD)"
check "its provenance names the remote" sh -c "\"$MONBAN\" release show watched --part provenance | grep -F \"$remote\""
check "a URL that is wrong: the running gate takes the new platform" platform 0s 0 "file://$work/remote/elsewhere.git"
check "it is reported" wait_for 10 failure_is_known
check "mended, it is watched again" platform 0s 0 "file://$remote"
failure_is_over() { ! failure_is_known; }
check "and the report is over" wait_for 10 failure_is_over
check "what was walked is not walked again" test "$(logged 'walk ended app=watched')" = 2

# --- the registry's disk is full
fill "$registry" 0
say "$hello" two; road_commit "$hello" "on a full disk"
check_exit "a push onto a full disk is refused" 1 git -C "$hello" push gate main
check_says "the message" "image store '$registry' is full, nothing was stored" "owner: the platform team" "next: make room (df -h $registry)"
check_says "git" "pre-receive hook declined"
for pages in 2 5 12 28; do # the image, the YAML, an attestation, the signature do not fit
	fill "$registry" $pages
	check_exit "with $pages pages free it is refused too" 1 git -C "$hello" push gate main
	check_says "with $pages pages free the message" "is full, nothing was stored" "next: make room"
done
check "the releases can be listed" test "$("$MONBAN" release list -o json | jq '."hello-c" | length')" = 1
check "and verified" "$MONBAN" verify hello-c
check "production runs on" greets production hello-c one
rm "$registry/filler"
fill "$mirror" 0
check_exit "with room again the push is released" 0 git -C "$hello" push gate main
check "staging, whose disk is full now, waits and says why" wait_for 20 reason_says staging hello-c "image store '$mirror' is full" "owner: the platform team" "next: make room (df -h $mirror)"
check "staging runs on" greets staging hello-c one
rm "$mirror/filler"
check "with room again staging takes it by itself" road_wait staging hello-c "Healthy 2" 60
check "production takes it" road_wait production hello-c "Healthy 2" 60
check "production answers with it" greets production hello-c two

# --- two apps at once
take_hello hello-two "$second"; road_repository hello-two "$second"; say "$second" one
road_commit "$second" "first of the second app"; say "$hello" three; road_commit "$hello" "third"
git -C "$second" push -q gate main > "$work/second.out" 2>&1 & pid=$!
check "of two pushes at once one is released" pushed "$hello"
check "and so is the other" wait $pid

# --- one app, two developers who saw the same commit
git clone -q "$gate/git/hello-c.git" "$work/colleague" 2> /dev/null
git -C "$work/colleague" config user.name Dev; git -C "$work/colleague" config user.email dev@example.org
say "$hello" four; road_commit "$hello" "of one"; say "$work/colleague" other; road_commit "$work/colleague" "of the other"
git -C "$work/colleague" push -q origin main > "$work/colleague.out" 2>&1 & pid=$!
pushed "$hello"; first=$?; wait $pid; other=$?
check "one of two pushes onto the same commit is released" test $(((first == 0) + (other == 0))) = 1
check "it makes one release, not two" test "$("$MONBAN" release list -o json | jq '."hello-c" | length')" = 4
output="$output $(cat "$work/colleague.out")"
check_says "the other is told" "another push was faster" "owner: the app team" "next: git pull, then push again"
git -C "$hello" fetch -q gate && git -C "$hello" reset -q --hard gate/main

# --- a push that is broken off during the build
nap=3600$RANDOM # seconds that nothing else on this machine sleeps
slow() { sed -i "s/^hello: hello.c.*/&\n\tsleep $nap/" "$hello/Makefile"; road_commit "$hello" "slow"; }
quick() { sed -i "/sleep $nap/d" "$hello/Makefile"; }
sleeps() { pgrep -fx "sleep $nap"; }
sleeps_no_more() { ! sleeps; }
# begin_push : a push in a process group of its own, up to where its build sleeps; $push, $group, $folder of its sandbox.
begin_push() {
	local at
	( set -m; git -C "$hello" push gate main > "$work/push.out" 2>&1 & echo $! > "$work/push.pid" )
	push=$(cat "$work/push.pid")
	wait_for 30 sleeps || { cat "$work/push.out"; return 1; }
	at=$(sleeps)
	group=/sys/fs/cgroup/pids$(awk -F: '$2 == "pids" { print $3 }' "/proc/$at/cgroup")
	while [ "$(cat /proc/$at/comm)" != "monban-sandbox" ] && [ "$at" -gt 1 ]; do at=$(awk '$1 == "PPid:" { print $2 }' "/proc/$at/status"); done
	folder=$(awk '$5 ~ /monban-build-[^/]*$/ { print $5 }' "/proc/$at/mountinfo" | head -1)
	[ -d "$group" ] && [ -d "$folder" ]
}
nothing_is_left() { sleeps_no_more && ! [ -e "$group" ] && ! [ -e "$folder" ] && [ -z "$(ls "$gate/work")" ] && [ "$(pgrep -P "$(gate_pid)" | wc -l)" = 1 ]; }
slow
check "a push builds" begin_push
kill -INT -- -"$push"
check "Ctrl-C leaves no process, mount, cgroup or folder" wait_for 5 nothing_is_left
check "the log says so" grep "push broken off, its walk is stopped app=hello-c" "$gate/gate.log"

# --- the gate is killed during a walk
check "a push builds again" begin_push
kill -9 "$(gate_pid)"
check "with the gate its walk ends" wait_for 5 sleeps_no_more
check "monban up starts the gate again" "$MONBAN" up
check "nothing is left of the walk" wait_for 5 nothing_is_left
output=$(cat "$work/push.out"); check_says "the push was told" "the gate ended before the walk did" "next: monban up, then push again"
quick; say "$hello" five; road_commit "$hello" "after the kill"
check "then a push is released" pushed "$hello"
check "staging takes it after all that" road_wait staging hello-c "Healthy 5" 60

# --- no gate
kill "$(gate_pid)"; wait_for 10 sh -c "! kill -0 $(gate_pid)"
say "$hello" six; road_commit "$hello" "without a gate"
check_exit "a push without a gate is refused" 1 git -C "$hello" push gate main
check_says "the push without a gate" "no gate runs" "monban up"
check_exit "a walk without a gate fails" 1 "$MONBAN" gate walk hello-c "$(git -C "$hello" rev-parse HEAD)"
check "monban up brings the gate back" "$MONBAN" up

# --- a commit that is refused
cp -r "$root/examples/guestbook" "$work/guestbook"; rm -rf "$work/guestbook/node_modules"; cp "$root"/tests/e2e/vulnerable/package*.json "$work/guestbook/"
road_repository guestbook "$work/guestbook"; road_commit "$work/guestbook" "vulnerable"
check "a vulnerable app is kept on a side branch" pushed "$work/guestbook" main:side
check_exit "its walk by hand ends with 3" 3 "$MONBAN" gate walk guestbook side
check_says "the refusal" "GHSA-" "owner: app" "next: npm"
output=$("$MONBAN" gate status); check_says "gate status" "refused" "vulnerable" "hello-two"
output=$("$MONBAN" gate status guestbook); check_says "gate status guestbook" "GHSA-" "next: npm"

# --- orders of people: production waits for a long soak and an approval
check "production becomes stricter" platform 1h 1 "file://$remote"
check_exit "a push is released" 0 git -C "$hello" push gate main
check "staging is healthy with release 6" road_wait staging hello-c "Healthy 6" 60
check "production says that the release soaks" wait_for 20 reason_says production hello-c Waiting "soaks in 'staging'" "monban promote hello-c --cluster production"
check "production runs on meanwhile" greets production hello-c five
check "somebody promotes it" "$MONBAN" promote hello-c --cluster production
check "production waits for an approval" wait_for 20 reason_says production hello-c Waiting "0 of 1 approvals" "monban approve hello-c --cluster production"
check "somebody approves it" "$MONBAN" approve hello-c --cluster production --by alice
check "then production takes it" road_wait production hello-c "Healthy 6" 60
check "production answers with release 6" greets production hello-c six
check "somebody rolls production back" "$MONBAN" rollback hello-c --cluster production
check "production is back at release 5" wait_for 60 greets production hello-c five
check "and says so" wait_for 20 reason_says production hello-c RolledBack
check "staging stays where it is" test "$(road_state staging hello-c)" = "Healthy 6"

# --- releases as files
check "a release becomes a file" "$MONBAN" release export hello-c "$work/hello-c.tar"
check "the file is taken elsewhere" "$MONBAN" release import "$work/hello-c.tar" --layout "$work/elsewhere"
check_exit "there it is verified" 0 "$MONBAN" verify hello-c --layout "$work/elsewhere"
check_says "the verification" "release      6" "verdict PASSED"
check "another key is made" "$MONBAN" key new other --dir "$work"
check_exit "another key does not verify it" 3 "$MONBAN" verify hello-c --layout "$work/elsewhere" --key "$work/other.pub"
blob=$(find "$work/elsewhere/blobs/sha256" -type f -printf '%s %p\n' | sort -n | tail -1 | cut -d' ' -f2)
printf X | dd of="$blob" bs=1 seek=1000 conv=notrunc 2> /dev/null
check_exit "one byte changed in it is refused" 3 "$MONBAN" verify hello-c --layout "$work/elsewhere"
check_says "the refusal names the digest" "${blob##*/}"

# --- the road stopped, moved off its small disks, and started again
releases=$("$MONBAN" release list)
slow
check "a push builds while the road stops" begin_push
check "the road stops" "$MONBAN" down
check "the walk has ended with it" sleeps_no_more
check "and left nothing" wait_for 5 test ! -e "$folder"
told() { output=$(cat "$work/push.out"); case $output in *"pre-receive hook declined"*) ;; *) return 1 ;; esac; }
check "the push has ended too" wait_for 5 told
check_says "it was told" "the gate is stopping; push again when it runs"
for disk in "$registry" "$mirror"; do cp -a "$disk" "$work/moved" && umount "$disk" && rmdir "$disk" && mv "$work/moved" "$disk"; done
check "it starts again without a platform folder" "$MONBAN" up
check "staging is healthy with what it had" road_wait staging hello-c "Healthy 6" 60
check "staging answers as before" wait_for 20 greets staging hello-c six
check "production answers as before" wait_for 20 greets production hello-c five
check "the releases are there" test "$("$MONBAN" release list)" = "$releases"
processes() { pgrep -f -- "--home $MONBAN_HOME"; }
check "its processes run" processes
no_reports() { ! grep -r -A12 -e 'Sanitizer:' -e 'runtime error:' --include='*.log' "$MONBAN_HOME"; }
check "no log has a sanitizer's report" no_reports # later there is no log
check "the road is purged" "$MONBAN" down --purge
no_processes() { ! processes; }
check "no process is left" wait_for 5 no_processes
check "no mount of it is left" sh -c "! grep -F '$MONBAN_HOME' /proc/self/mountinfo"
check "no folder of it is left" sh -c "! find '$MONBAN_HOME' -mindepth 1 | grep ."
