# tests/e2e/lib.sh - for the end-to-end scripts: `. "$(dirname "$0")/lib.sh"`.
# Each check prints 'ok - SENTENCE' or 'not ok - SENTENCE' with what was seen. A script leaves nothing behind.
set -uo pipefail
root=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
MONBAN=${MONBAN:-$root/build/test/src/cli/monban}
kubectl=$root/build/kubectl/usr/bin/kubectl # Debian's; ./run test fetches it
[ -x "$kubectl" ] || kubectl=$(command -v kubectl || true)
work=$(mktemp -d "${TMPDIR:-/tmp}/monban-e2e.XXXXXX")
export MONBAN_HOME=$work/home
failures=0

# check SENTENCE COMMAND… : the command (or function, run in this shell) succeeds.
check() {
	local sentence=$1; shift
	if "$@" > "$work/check.out" 2>&1; then
		echo "ok - $sentence"
	else
		echo "not ok - $sentence"; tail -15 "$work/check.out" | sed 's/^/    /'; failures=$((failures + 1))
	fi
}

# check_exit SENTENCE CODE COMMAND… : it ends with that code. Its output is left in $output.
check_exit() {
	local sentence=$1 want=$2 got; shift 2
	output=$("$@" 2>&1); got=$?
	if [ $got -eq "$want" ]; then
		echo "ok - $sentence"
	else
		echo "not ok - $sentence (exit $got, not $want)"; echo "$output" | tail -15 | sed 's/^/    /'
		failures=$((failures + 1))
	fi
}

# check_says SENTENCE TEXT… : every TEXT stands in $output.
check_says() {
	local sentence=$1 text; shift
	for text in "$@"; do
		case $output in *"$text"*) ;; *)
			echo "not ok - $sentence: no '$text' in:"; echo "$output" | tail -15 | sed 's/^/    /'
			failures=$((failures + 1)); return ;;
		esac
	done
	echo "ok - $sentence"
}

# wait_for SECONDS COMMAND… : until it succeeds. For what happens outside our sight; else wait for the event.
wait_for() {
	local end=$((SECONDS + $1)); shift
	until "$@" > /dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		read -rt 0.05 <> <(:) || true
	done
}

# What of the machine a script must leave as it found it.
machine_state() {
	ip -o link | awk '{print "link", $2}' | sort
	# The mounts of a road that somebody else runs on this machine are not ours to judge.
	awk -v own="$work/" 'index($5, own) == 1 || $5 !~ /\/(clusters|net)\// { print "mount", $5 }' /proc/self/mountinfo | sort
	find /sys/fs/cgroup -maxdepth 3 -type d -path '*monban*' | sort
	nft list tables 2>/dev/null | sort
	ls /run/crun 2>/dev/null | sed 's/^/crun /'
}
state_before=$(machine_state)
trap 'finish' EXIT
cleanup() { :; } # a script may define its own

finish() {
	local code=$?
	trap - EXIT
	# A daemon whose sanitizer found something may have gone on, or been started again: its log tells.
	if [ -d "$MONBAN_HOME" ] && grep -r -A12 -e 'Sanitizer:' -e 'runtime error:' --include='*.log' "$MONBAN_HOME/" > "$work/reports" 2>/dev/null; then
		echo "not ok - a sanitizer reports an error in a daemon's log"; head -40 "$work/reports"
		failures=$((failures + 1))
	fi
	cleanup
	local state_after; state_after=$(machine_state)
	if [ "$state_before" = "$state_after" ]; then
		echo "ok - no mount, interface, cgroup or firewall table is left behind"
	else
		echo "not ok - something is left behind"; diff <(echo "$state_before") <(echo "$state_after") | head -20
		failures=$((failures + 1))
	fi
	rm -rf --one-file-system "$work"
	[ $code -eq 0 ] && [ $failures -eq 0 ]
	exit $?
}
