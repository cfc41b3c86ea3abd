#!/usr/bin/env bash
# The inspector as a tool of its own: no cluster, no network. Inventory, advisories, findings, verdict, plumbing.
. "$(dirname "$0")/lib.sh"
examples=$root/examples
vulnerable=$root/tests/e2e/vulnerable

# --- the database
check_exit "a scan without a database fails" 1 "$MONBAN" scan "$vulnerable"
check_says "and says what to do" "next: monban db update"
check_exit "advisories are imported" 0 "$MONBAN" db import "$examples/advisories"
check_says "and counted" "21 new"
check_exit "again they are as before" 0 "$MONBAN" db import "$examples/advisories"
check_says "and counted so" "0 new, 0 changed, 21 as before"
version() { "$MONBAN" db status -o json | jq -r .version; }
before=$(version)
mkdir "$work/bad"
printf '{"id":' > "$work/bad/cut.json"
check_exit "a folder without one good record is refused" 1 "$MONBAN" db import "$work/bad"
check_says "with the fault" "no OSV record" "cut.json"
check "and changes nothing" test "$(version)" = "$before"
cp "$examples"/advisories/npm/GHSA-xvch-5gv4-984h.json "$work/bad/"
check_exit "beside a good record a bad one is skipped" 0 "$MONBAN" db import "$work/bad"
check_says "and named" "1 malformed" "cut.json"

# --- findings
check_exit "without --fail-on a scan only tells" 0 "$MONBAN" scan "$vulnerable"
check_says "what, who and how" "lodash" "4.17.15" "GHSA-35jh-r3h4-6jhm" "app team" "npm install lodash@4.17.21"
check_exit "--fail-on critical passes what is high" 0 "$MONBAN" scan "$vulnerable" --fail-on critical
check_exit "--fail-on high refuses it" 3 "$MONBAN" scan "$vulnerable" --fail-on high
check_exit "the platform's gate refuses it" 3 "$MONBAN" scan "$vulnerable" --platform "$examples/platform"
check_says "with rule, evidence, owner and command" "refused: vulnerability-high" "owner: app team (dependency)" "fixed in: 4.17.21" \
	"next: npm install lodash@4.17.21"
check_exit "the dev cluster only notes it" 0 "$MONBAN" scan "$vulnerable" --platform "$examples/platform" --cluster dev
check_exit "a wrong severity is wrong" 1 "$MONBAN" scan "$vulnerable" --fail-on terrible
check_exit "nothing there is an error" 1 "$MONBAN" scan "$work/nowhere"
check_exit "the guestbook passes" 0 "$MONBAN" scan "$examples/guestbook" --fail-on low
"$MONBAN" sbom "$examples/guestbook" > "$work/guestbook.json"
check_exit "what comes late affects it" 0 "$MONBAN" db import "$examples/advisories-late"
check_exit "seen in the stored inventory alone" 3 "$MONBAN" scan "$work/guestbook.json" --fail-on low
check_says "with the remedy" "body-parser" "GHSA-v422-hmwv-36x6" "npm update body-parser"
same() { [ "$("$MONBAN" scan "$1" -o json | jq -cS .findings)" = "$("$MONBAN" scan "$2" -o json | jq -cS .findings)" ]; }
check "folder and inventory give the same findings" same "$examples/guestbook" "$work/guestbook.json"
check "the same folder gives the same inventory" cmp "$work/guestbook.json" <("$MONBAN" sbom "$examples/guestbook")

# --- plumbing
compare() { [ "$(printf '%s\t%s\n' "$2" "$3" | "$MONBAN" plumbing version-compare "$1")" = "$4" ]; }
check "Debian: a tilde is lower" compare Debian 1.0~rc1 1.0 '<'
check "npm: a prerelease is lower" compare npm 1.0.0 1.0.0-rc.1 '>'
check "PyPI: zeros at the end do not count" compare PyPI 1.0 1.0.0 '='
check "Maven: a service pack is newer" compare Maven 1.0 1.0-sp '<'
check_exit "what is no version is an error" 1 sh -c "printf 'x y\t1\n' | '$MONBAN' plumbing version-compare Debian"
check_says "that is told" "error: 'x y'"
purl() { [ "$(echo "$1" | "$MONBAN" plumbing purl | jq -r .canonical)" = "$2" ]; }
check "a package URL has one form" purl 'pkg:NPM/@Scope/Name@1.0?b=2&a=1' 'pkg:npm/%40scope/name@1.0?a=1&b=2'
cvss() { [ "$(echo "$1" | "$MONBAN" plumbing cvss | jq -c '[.version,.score,.severity]')" = "$2" ]; }
check "CVSS 3.1" cvss CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H '["3.1",9.8,"critical"]'
check "CVSS 4.0" cvss CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N '["4.0",8.7,"high"]'

# --- against the standards' own files, where they are
if [ -z "${MONBAN_TEST_DATA:-}" ] || ! python3 -c 'import jsonschema' 2> /dev/null; then
	echo "skipped: the CycloneDX schema and real advisories (MONBAN_TEST_DATA, python3-jsonschema)"
else
	valid() {
		python3 - "$MONBAN_TEST_DATA/fixtures/cyclonedx-schema" "$1" <<-'EOT'
			import json, sys
			from jsonschema import Draft7Validator, RefResolver
			names = ["bom-1.6.schema.json", "spdx.schema.json", "jsf-0.82.schema.json"]
			schemas = {n: json.load(open(f"{sys.argv[1]}/{n}")) for n in names}
			store = {**schemas, **{f"http://cyclonedx.org/schema/{n}": s for n, s in schemas.items()}}
			resolver = RefResolver.from_schema(schemas[names[0]], store=store)
			faults = list(Draft7Validator(schemas[names[0]], resolver=resolver).iter_errors(json.load(open(sys.argv[2]))))
			for fault in faults[:5]:
			    print(list(fault.path), fault.message[:200])
			sys.exit(bool(faults))
		EOT
	}
	check "the inventory is valid CycloneDX 1.6" valid "$work/guestbook.json"
	check_exit "all real advisories are imported" 0 "$MONBAN" db import "$MONBAN_TEST_DATA/advisories" --db "$work/all.db"
	echo "    $output"
	check "and the database has its checksum" "$MONBAN" db status --db "$work/all.db"
fi
