#!/usr/bin/env bash
# The rules of the sources that a machine can check: format, banned calls, which folder may use which, size.
. "$(dirname "$0")/lib.sh"
cd "$root" || exit 1

sources() { git ls-files 'src/*.c' 'src/*.h' 'src/*.cc' 'launcher/*.c' 'launcher/*.h'; }

formatted() {
	command -v clang-format > /dev/null || { echo "skipped: no clang-format"; return 0; }
	if ! git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror > "$work/format.log" 2>&1; then
		grep -oE '^[^ :]+:[0-9]+' "$work/format.log" | cut -d: -f1 | sort | uniq -c
		return 1
	fi
}
check "clang-format has nothing to change" formatted

no_banned_calls() {
	! sources | xargs grep -nE '\b(strcpy|strcat|strncpy|strncat|sprintf|strtok|gets|atoi|atol|strtol|sscanf|scanf|localtime|gmtime|ctime|system|popen|alloca|mktemp)\(' |
		grep -vE ':\s*(/?\*|//)'
}
check "no banned call is made" no_banned_calls

# A stage may use those before it in this order; kube and cluster do not use each other.
only_leftward_includes() {
	local order="base wire workload platform source oci sign build sbom advisory verdict render release gate kube deliver dev cluster console cli"
	local bad=0 file folder used i=0
	declare -A rank
	for folder in $order; do rank[$folder]=$((i++)); done
	while IFS=: read -r file used; do
		folder=$(cut -d/ -f2 <<< "$file")
		[ -n "${rank[$used]:-}" ] || continue
		if [ "${rank[$used]}" -gt "${rank[$folder]}" ] || [ "$folder/$used" = cluster/kube ]; then
			echo "$file uses $used/"; bad=1
		fi
	done < <(git ls-files 'src/*.c' 'src/*.h' | xargs grep -oE '^#include "[a-z]+/' | sed 's/#include "//; s/\/$//')
	return $bad
}
check "a stage uses only those before it" only_leftward_includes

headers_alone() {
	local bad=0 header
	for header in $(git ls-files 'src/*.h' | grep -v _test); do
		cc -fsyntax-only -std=gnu17 -D_GNU_SOURCE -Isrc -x c "$header" 2> "$work/header.log" || { echo "$header"; head -3 "$work/header.log"; bad=1; }
	done
	return $bad
}
check "every header compiles alone" headers_alone

small_files() { ! git ls-files '*.c' '*.h' | grep -vE '(testdata|seeds)/' | xargs wc -l | awk '$2 != "total" && $1 > 800' | grep .; }
check "no file is longer than 800 lines" small_files

explained_folders() {
	local bad=0 folder name
	for folder in src/*/; do
		name=$(basename "$folder")
		[ "$name" = cli ] || [ -f "$folder$name.h" ] || { echo "$folder has no $name.h"; bad=1; }
	done
	return $bad
}
check "every folder has the header that explains it" explained_folders
