# bench/lib.sh - sourced by the parts of the benchmarks.
root=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/..")
MONBAN=$root/build/release/monban
work=$(mktemp -d /var/tmp/monban-bench.XXXXXX)
export MONBAN_HOME=$work/home
runs=${BENCH_RUNS:-5}

now_ms() { awk -v n="$(date +%s%N)" 'BEGIN { printf "%.1f", n / 1e6 }'; }
# timed COMMAND… : wall milliseconds on standard output; its own output goes to the log.
timed() {
	local a b
	a=$(date +%s%N); "$@" >&2 || return; b=$(date +%s%N)
	awk -v a="$a" -v b="$b" 'BEGIN { printf "%.1f\n", (b - a) / 1e6 }'
}
median() { sort -n | awk '{ v[NR] = $1 } END { if (NR) printf "%.1f", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
# row NAME OURS PEER UNIT TARGET : with the ratio; PEER may be "".
row() {
	local ratio=""
	[ -n "$3" ] && ratio=$(awk -v a="$2" -v b="$3" 'BEGIN { if (b > 0) printf "%.2f", a / b }')
	printf '%s\t%s %s\t%s\t%s\t%s\n' "$1" "$2" "$4" "${3:+$3 $4}" "$ratio" "$5"
}
