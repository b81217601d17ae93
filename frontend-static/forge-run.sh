#!/bin/sh
# Runs a command on the work tree as it is and records what happened, as `forge run` does, with nothing but git and
# POSIX tools:
#
#     sh forge-run.sh [--timeout SECONDS] [--reasoning TEXT] [--again] -- <command...>
#
# Called `forge` and put into a directory of $PATH, `forge run -- <command>` and `forge run --again` work as they stand.
# The record is a JSON file in a commit of its own below refs/notes/forge/out/; plain `git push` sends it (see `help
# record`). The exit status is the command's. What is recorded becomes public: it is searched for secrets first.

set -u
LC_ALL=C
export LC_ALL

say() { printf 'forge: %s\n' "$*" >&2; }

usage() {
	say "usage: forge-run.sh [--timeout SECONDS] [--reasoning TEXT] [--again] -- <command...>"
	exit 2
}

limit=0 reasoning='' again=''
if [ "${0##*/}" = forge ] && [ "${1-}" != run ]; then
	say "this script only records runs, and ${1:-nothing} is none; next: forge run -- git diff --check"
	exit 2
fi
[ "${1-}" = run ] && shift
while [ $# -gt 0 ]; do
	case $1 in
	--timeout) [ $# -gt 1 ] || usage; limit=$2; shift 2 ;;
	--timeout=*) limit=${1#*=}; shift ;;
	--reasoning) [ $# -gt 1 ] || usage; reasoning=$2; shift 2 ;;
	--reasoning=*) reasoning=${1#*=}; shift ;;
	--again) again=yes; shift ;;
	--) shift; break ;;
	-*) usage ;;
	*) break ;;
	esac
done
case $limit in '' | *[!0-9]*) usage ;; esac

git_dir=$(git rev-parse --absolute-git-dir 2>/dev/null) || git_dir=''
top=$(git rev-parse --show-toplevel 2>/dev/null) || top=''
last=$git_dir/forge-run-last

if [ "$again" ]; then
	[ $# -eq 0 ] || usage
	if [ -z "$git_dir" ] || [ ! -f "$last" ]; then
		next='git status'
		if [ -n "$top" ]; then
			base=$(git config forge.base) && git rev-parse --verify --quiet "$base^{tree}" >/dev/null || base=''
			next="forge run -- git diff --check${base:+ $base HEAD}"
		fi
		say "no run to repeat: none was recorded here; next: $next"
		exit 2
	fi
	# Written below: `cd` to the directory, and the command as `set --`.
	# shellcheck disable=SC1090
	. "$last"
fi
[ $# -gt 0 ] || usage

# A word as a shell reads it back.
quoted() { printf "'%s' " "$(printf '%s\n' "$1" | sed "s/'/'\\\\''/g")"; }

# Strikes secrets out, line by line; counts tests; keeps the first 8 KiB and the last 24 KiB, whole lines only. Writes
# head, tail, tests and redactions into the directory `dir`.
# shellcheck disable=SC2016
keeper='
function rep(class, n,    text) { text = class; while (--n > 0) text = text class; return text }
function hit(rule) { if (!(rule in struck)) rules[++nrules] = rule; struck[rule]++; return "[redacted:" rule "]" }
# Every match of `pattern` becomes a mark; the `keep` first characters of a match stay.
function strike(line, pattern, rule, keep,    out) {
	out = ""
	while (match(line, pattern)) {
		out = out substr(line, 1, RSTART - 1 + keep)
		line = substr(line, RSTART + RLENGTH)
		out = out hit(rule)
	}
	return out line
}
function random(value) { return length(value) >= 8 && value ~ /[0-9]/ && value ~ /[A-Za-z].*[A-Za-z]/ && value !~ /:\/\/|::|->/ && !(value ~ /\// && value ~ /^\/|\.|deps\//) }
# What stands behind `pattern`, up to a space or quote, when it looks random. Letters count in either case.
function behind(line, pattern, rule,    low, out, from, value) {
	out = ""
	low = tolower(line)
	while (match(low, pattern)) {
		from = RSTART + RLENGTH
		out = out substr(line, 1, from - 1)
		line = substr(line, from)
		low = substr(low, from)
		if (match(line, /^[^ \t"\047`,;&<>(){}\[\]]+/)) {
			value = substr(line, 1, RLENGTH)
			line = substr(line, RLENGTH + 1)
			low = substr(low, length(value) + 1)
			out = out (random(value) ? hit(rule) : value)
		}
	}
	return out line
}
function clean(line,    at) {
	if (inside) {
		if (line ~ /-----END /) { inside = 0; sub(/^.*-----END [^-]*(-----)?/, "", line); if (line == "") return "\001" }
		else if (line ~ /^[ \t]*[A-Za-z0-9+\/=]*[ \t\r]*$/ || line ~ /^(Proc-Type|DEK-Info|Comment):/) return "\001"
		else inside = 0
	}
	if (match(line, /-----BEGIN [^-]*PRIVATE KEY/)) {
		at = substr(line, RSTART)
		line = substr(line, 1, RSTART - 1) hit("private-key")
		if (at ~ /-----END /) { sub(/^.*-----END [^-]*(-----)?/, "", at); line = line at }
		else inside = 1
	}
	for (at = 1; at <= nforms; at++) if (index(line, sign[at])) line = strike(line, form[at], rule_of[at], 0)
	if (index(line, "://")) line = strike(line, "://[^ \t/:@]*:[^ \t/@$<{%*\\[][^ \t/@]*@", "url-password", 3)
	# What looks random holds a digit; a line without one is done.
	if (line !~ /[0-9]/) return line
	if (line ~ /[Bb][Ee][Aa][Rr][Ee][Rr]|[Bb][Aa][Ss][Ii][Cc]/) line = behind(behind(line, "bearer[ \t]+", "bearer"), "authorization[ \t]*[:=][ \t]*basic[ \t]+", "basic-auth")
	if (line ~ /[=:]/) line = behind(line, names "[a-z0-9_]*[\"\047]?[ \t]*(=>|:=|=|:)[ \t]*[\"\047]?", "assignment")
	if (index(line, "-")) line = behind(line, "--?(password|passwd|secret|token|api-?key|access-key)[ \t]+", "command-option")
	if (line ~ /[A-Z_]=/) line = long(line)
	return line
}
function add(rule, mark, pattern) { nforms++; rule_of[nforms] = rule; sign[nforms] = mark; form[nforms] = pattern }
# `NAME=value` in capitals, as environments are printed, with a value of 32 or more that mixes case and digits.
function long(line,    out, value) {
	out = ""
	while (match(line, /[A-Z][A-Z0-9_]+=["\047]?/)) {
		out = out substr(line, 1, RSTART + RLENGTH - 1)
		line = substr(line, RSTART + RLENGTH)
		if (match(line, /^[A-Za-z0-9+\/_=-]+/)) {
			value = substr(line, 1, RLENGTH)
			line = substr(line, RLENGTH + 1)
			if (length(value) >= 32 && value ~ /[0-9]/ && value ~ /[A-Z]/ && value ~ /[a-z]/ && value !~ /^sha|^\//) value = hit("environment-value")
			out = out value
		}
	}
	return out line
}
BEGIN {
	w = "[A-Za-z0-9]"; d = "[A-Za-z0-9_-]"
	add("github-token", "gh", "gh[pousr]_" rep(w, 20) w "*")
	add("github-token", "github_pat_", "github_pat_" rep("[A-Za-z0-9_]", 20) "[A-Za-z0-9_]*")
	add("gitlab-token", "gl", "gl(pat|ptt|cbt|dt|rt|soat|ft|oas)-" rep(d, 16) d "*")
	add("slack-token", "xox", "xox[abeoprs]-" rep("[A-Za-z0-9-]", 10) "[A-Za-z0-9-]*")
	add("slack-token", "xapp-", "xapp-" rep("[A-Za-z0-9-]", 16) "[A-Za-z0-9-]*")
	add("slack-webhook", "hooks.slack.com", "hooks\\.slack\\.com/(services|workflows|triggers)/[A-Za-z0-9/_-]+")
	add("aws-access-key", "A", "A(KIA|SIA|BIA|CCA)" rep("[A-Z0-9]", 16))
	add("stripe-key", "k_", "[sr]k_(live|test)_" rep(w, 16) w "*")
	add("stripe-key", "whsec_", "whsec_" rep("[A-Za-z0-9+/=]", 20) "[A-Za-z0-9+/=]*")
	add("npm-token", "npm_", "npm_" rep(w, 30) w "*")
	add("pypi-token", "pypi-", "pypi-" rep(d, 40) d "*")
	add("crates-io-token", "cio", "cio" rep(w, 32))
	add("huggingface-token", "hf_", "hf_" rep(w, 30) w "*")
	add("google-api-key", "AIza", "AIza" rep(d, 35))
	add("model-api-key", "sk-", "sk-[A-Za-z]*" rep(d, 18) d "*[0-9]" d "*")
	add("sendgrid-key", "SG.", "SG\\." d "+\\." rep(d, 16) d "*")
	add("jwt", "eyJ", "eyJ" d "+\\.eyJ" d "+\\." d "+")
	names = "(password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key|credentials?|pwd|(auth|encryption|master|session|license|account)[_-]?key)"
}
function remember(text) {
	text = text "\n"
	if (!full && length(head) + length(text) <= 8192) { head = head text; return }
	full = 1
	ring[++newest] = text
	size += length(text)
	while (size > 24576) { size -= length(ring[++oldest]); delete ring[oldest] }
}
# What a part of a summary, "12 passed", adds to.
function count(part,    words) {
	split(part, words, " ")
	if (words[2] ~ /^(passed|pass|xpassed)/) p += words[1]
	else if (words[2] ~ /^(failed|failures?|fail|errors?|cancelled)/ || part ~ /timed out|exec failed/) f += words[1]
	else if (words[2] ~ /^(ignored|skipped|todo|xfailed|pending)/) i += words[1]
}
function counts(text, between,    parts, n, at) {
	n = split(text, parts, between)
	for (at = 1; at <= n; at++) { sub(/^ +/, "", parts[at]); count(parts[at]) }
}
function tests_of(line,    text, words) {
	sub(/[ \t\r]+$/, "", line)
	text = line
	if (line ~ /^test result: [A-Za-z]+\. /) { seen["cargo-test"]; sub(/^[^.]*\. /, "", text); counts(text, ";") }
	else if (line ~ /^ *Summary \[.*\] .*tests? run: /) { seen["nextest"]; sub(/^.* run: /, "", text); gsub(/\([^)]*\)/, "", text); counts(text, ",") }
	else if (line ~ /^=== RUN /) go_each = 1
	else if (line ~ /^ *--- (PASS|FAIL|SKIP): .* \([0-9.]+s\)$/) { if (line ~ /--- PASS/) go_p++; else if (line ~ /--- FAIL/) go_f++; else go_i++ }
	else if (line ~ /^ok  \t/) { go_seen = 1; if (line !~ /\[no tests to run\]$/) go_ok++ }
	else if (line ~ /^FAIL\t/) { go_seen = 1; go_bad++ }
	else if (line ~ /^\{.*"Action":"(pass|fail|skip)","Package":/) {
		go_seen = go_each = 1
		if (line !~ /"Test":/) { if (line ~ /"Action":"fail"/) go_bad++ }
		else if (line ~ /"Action":"pass"/) go_p++; else if (line ~ /"Action":"fail"/) go_f++; else go_i++
	}
	else if (line ~ /^(=+ )?(no tests ran|[0-9]+ [a-z]+(, [0-9]+ [a-z ]+)*) in [0-9.]+s( \([0-9:]+\))?( =+)?$/) { seen["pytest"]; gsub(/^=+ /, "", text); sub(/ in [0-9.]+s.*$/, "", text); counts(text, ",") }
	else if (line ~ /^Ran [0-9]+ tests? in /) { split(line, words, " "); ran = words[2]; ran_seen = 1 }
	else if (ran_seen && line ~ /^(OK|FAILED|NO TESTS RAN)( \(.*\))?$/) unittest(line)
	else if (line ~ /^(\342\204\271|#) tests [0-9]+$/) { n_p = n_f = n_i = 0; n_parts = 1 }
	else if (n_parts && line ~ /^(\342\204\271|#) (pass|fail|cancelled|skipped|todo) [0-9]+$/) {
		split(line, words, " ")
		if (words[2] == "pass") { n_p += words[3]; n_parts++ }
		else if (words[2] == "fail") { n_f += words[3]; n_parts++ }
		else if (words[2] == "cancelled") n_f += words[3]
		else n_i += words[3]
	}
	else if (line ~ /^(\342\204\271|#) duration_ms /) { if (n_parts == 3) { seen["node-test"]; p += n_p; f += n_f; i += n_i } n_parts = 0 }
	else if (line ~ /^Tests: .*total$/) { seen["jest"]; sub(/^Tests: */, "", text); counts(text, ",") }
	else if (line ~ /^Test Suites: [0-9]+ failed/) { seen["jest"]; files_bad = 1 }
	else if (line ~ /^ +Tests  .*(\)|no tests)$/) { seen["vitest"]; sub(/^ +Tests  /, "", text); counts(text, "|") }
	else if (line ~ /^ +Test Files  [0-9]+ failed/) { seen["vitest"]; files_bad = 1 }
	else tap(line)
}
function unittest(line,    text, parts, n, at, bad, off) {
	seen["unittest"]
	ran_seen = bad = off = 0
	text = line
	if (sub(/^[A-Z ]+ \(/, "", text)) {
		sub(/\)$/, "", text)
		n = split(text, parts, ", ")
		for (at = 1; at <= n; at++) {
			text = parts[at]
			sub(/^.*=/, "", text)
			if (parts[at] ~ /^(failures|errors|unexpected successes)=/) bad += text
			else off += text
		}
	}
	if (line ~ /^FAILED/ && bad == 0) bad = 1
	f += bad
	i += off
	if (ran > bad + off) p += ran - bad - off
}
function tap(line,    bad) {
	if (line ~ /^1\.\.[0-9]+/) { plan_seen = 1; sub(/^1\.\./, "", line); plan += line + 0; return }
	if (line ~ /^Bail out!/) { t_f++; return }
	if (line !~ /^(not )?ok$/ && line !~ /^(not )?ok +([0-9]+|-)/) return
	bad = line ~ /^not /
	if (tolower(line) ~ /# *skip/ || (bad && tolower(line) ~ /# *todo/)) t_i++
	else if (bad) t_f++
	else t_p++
}
{
	gsub(/\033\[[0-9;?]*[@-~]/, "")
	gsub(/\033[()]./, "")
	$0 = clean($0)
	if ($0 == "\001") next
	tests_of($0)
	remember($0)
}
END {
	printf "%s", head > (dir "/head")
	while (oldest < newest) printf "%s", ring[++oldest] > (dir "/tail")
	if (go_seen && go_each) { seen["go-test"]; p += go_p; f += go_f; i += go_i; if (!go_f) f += go_bad }
	else if (go_seen) { seen["go-test-packages"]; p += go_ok; f += go_bad }
	if (files_bad && !f) f = 1
	if (plan_seen && !("node-test" in seen)) {
		seen["tap"]
		if (plan > t_p + t_f + t_i) t_f = plan - t_p - t_i
		p += t_p; f += t_f; i += t_i
	}
	order = split("cargo-test nextest go-test go-test-packages pytest unittest node-test jest vitest tap", known, " ")
	name = ""
	for (at = 1; at <= order; at++) if (known[at] in seen) name = name (name ? "+" : "") known[at]
	if (name) printf "\"tests\": {\"framework\": \"%s\", \"passed\": %d, \"failed\": %d, \"ignored\": %d},\n", name, p, f, i > (dir "/tests")
	for (at = 1; at <= nrules; at++) printf "%s %d\n", rules[at], struck[rules[at]] > (dir "/redactions")
}'

# Text on stdin as a JSON string of plain ASCII; what is no UTF-8 becomes U+FFFD. At most $1 bytes of it.
json() {
	# shellcheck disable=SC2016
	od -An -v -tu1 | awk -v most="$1" '
	function put(code) { used += code < 128 ? 1 : code < 2048 ? 2 : code < 65536 ? 3 : 4; if (used <= most) print_code(code) }
	function print_code(code) {
		if (code == 34 || code == 92) printf "\\%c", code
		else if (code >= 32 && code < 127) printf "%c", code
		else if (code < 65536) printf "\\u%04x", code
		else { code -= 65536; printf "\\u%04x\\u%04x", 55296 + int(code / 1024), 56320 + code % 1024 }
	}
	function bad() { if (need) put(65533); need = 0 }
	BEGIN { printf "\"" }
	{
		for (at = 1; at <= NF; at++) {
			b = $at + 0
			if (need && b >= 128 && b < 192) {
				code = code * 64 + b - 128
				if (--need == 0) put(code < least || (code >= 55296 && code < 57344) || code > 1114111 ? 65533 : code)
				continue
			}
			bad()
			if (b < 128) put(b)
			else if (b >= 194 && b < 224) { need = 1; code = b - 192; least = 128 }
			else if (b >= 224 && b < 240) { need = 2; code = b - 224; least = 2048 }
			else if (b >= 240 && b < 245) { need = 3; code = b - 240; least = 65536 }
			else put(65533)
		}
	}
	END { bad(); printf "\"" }'
}

# $1, searched for secrets, as a JSON string of at most $2 bytes.
redacted() {
	mkdir -p "$scratch/word"
	printf '%s\n' "$1" | tr -d '\000' | fold -b -w 4096 | awk -v dir="$scratch/word" "$keeper"
	[ ! -f "$scratch/word/redactions" ] || cat "$scratch/word/redactions" >>"$scratch/redactions"
	# The line break at the end was ours.
	printf '%s' "$(cat "$scratch/word/head" "$scratch/word/tail" 2>/dev/null)" | json "$2"
	rm -f "$scratch"/word/*
}

snapshot() {
	index=$(git rev-parse --git-path index)
	rm -f "$scratch/index"
	# A fresh index would be wrong in a sparse checkout; the copy keeps the time, by which git finds what changed last.
	[ -f "$index" ] && cp -p "$index" "$scratch/index"
	(cd "$top" && GIT_INDEX_FILE=$scratch/index git add -A . && GIT_INDEX_FILE=$scratch/index git write-tree)
}

# The patch from tree $1 to the one that was run, as `forge run` writes it, into the file `patch`; fails, and says why, where
# it has to be left out. Git's own `apply` must make the tree of it.
patch_from() {
	[ -n "$1" ] || { echo 'no tree is known that it could start from'; return 1; }
	(
		cd "$top" && unset GIT_DIFF_OPTS GIT_EXTERNAL_DIFF && GIT_NO_LAZY_FETCH=1 && export GIT_NO_LAZY_FETCH &&
			git -c core.quotePath=true -c diff.suppressBlankEmpty=false diff-tree -r -p --text --full-index --no-renames \
				--no-ext-diff --no-textconv --no-color --unified=3 --inter-hunk-context=0 --submodule=short \
				--ignore-submodules=none --src-prefix=a/ --dst-prefix=b/ "$1" "$tree" 2>/dev/null
	) | head -c $((stored + 1)) >"$scratch/patch"
	if [ "$(wc -c <"$scratch/patch")" -gt $stored ]; then
		echo "it has more than $((stored / 1024)) KiB, and this script stores it as it is"
		return 1
	fi
	mkdir -p "$scratch/word"
	tr -d '\000' <"$scratch/patch" | fold -b -w 4096 | sed 's/^[-+ ]//' | awk -v dir="$scratch/word" "$keeper"
	secret=$(sed -n '1s/ .*//p' "$scratch/word/redactions" 2>/dev/null)
	rm -f "$scratch"/word/*
	if [ -n "$secret" ]; then
		echo "something in it looks like a secret ($secret)"
		return 1
	fi
	made=$(
		cd "$top" && GIT_INDEX_FILE=$scratch/replay && export GIT_INDEX_FILE && git read-tree "$1" &&
			{ [ ! -s "$scratch/patch" ] || git apply --cached --whitespace=nowarn "$scratch/patch"; } && git write-tree
	) 2>/dev/null
	[ "$made" = "$tree" ] || { echo 'it could not be replayed'; return 1; }
}

# The most bytes of a patch that are stored.
# Limit: patch that the script stores | {:bytes}; a longer one is left out, and the record says so
stored=262144

# A file in one zstd frame, stored as it is, in base64.
frame() {
	# shellcheck disable=SC2016
	od -An -v -tu1 "$1" | awk -v size="$(wc -c <"$1")" '
	function byte(code) {
		if (have == 0) { out = out digit(int(code / 4)); left = code % 4 * 16 }
		else if (have == 1) { out = out digit(left + int(code / 16)); left = code % 16 * 4 }
		else { out = out digit(left + int(code / 64)) digit(code % 64); left = 0 }
		have = (have + 1) % 3
		if (length(out) > 4000) { printf "%s", out; out = "" }
	}
	function digit(code) { return substr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", code + 1, 1) }
	# Little end first.
	function number(n, bytes) { while (bytes-- > 0) { byte(n % 256); n = int(n / 256) } }
	# A block of at most 128 KiB: a bit that tells the last, two for `stored`, the rest its size.
	function block() { room = size - done < 131072 ? size - done : 131072; number(room * 8 + (done + room == size), 3) }
	BEGIN {
		size += 0
		# The magic number, one segment with its size in four bytes, the size.
		number(4247762216, 4)
		byte(160)
		number(size, 4)
		if (size == 0) block()
	}
	{
		for (at = 1; at <= NF; at++) {
			if (room == 0) block()
			byte($at)
			done++
			room--
		}
	}
	END {
		if (have) out = out digit(left) (have == 1 ? "==" : "=")
		printf "%s", out
	}'
}

# No trap does this: a subshell that is ended early would run it as well in some shells.
leave() {
	rm -rf "$scratch"
	exit "$1"
}

scratch='' tree='' why=''
if [ -z "$top" ]; then
	why='this is no clone with a work tree'
else
	scratch=$git_dir/forge-run-$$
	if mkdir "$scratch"; then
		tree=$(snapshot 2>"$scratch/said") || why="git could not take the work tree: $(sed -n '/^hint/d;p;q' "$scratch/said")"
	else
		scratch='' why='its directory cannot be written'
	fi
fi

if [ -z "$scratch" ]; then
	"$@"
	status=$?
	say "not recorded: $why; next: git status"
	exit "$status"
fi

# The words as they are recorded.
recorded_words() {
	comma='' before='' room=8000 words=0
	for word; do
		words=$((words + 1)) room=$((room - ${#word}))
		if [ $words -gt 250 ] || [ $room -lt 0 ]; then
			printf '%s"[more arguments left out]"' "$comma"
			break
		fi
		case $before in
		-*[Pp]assword | -*[Pp]asswd | -*[Ss]ecret | -*[Tt]oken | -*api-key | -*apikey | -*access-key | -*api_key)
			printf '%s"[redacted:command-option]"' "$comma"
			echo 'command-option 1' >>"$scratch/redactions"
			;;
		*) printf '%s%s' "$comma" "$(redacted "$word" 8192)" ;;
		esac
		comma=', ' before=$word
	done
}

here=$(pwd)
cwd=${here#"$top"}
cwd=${cwd#/}
placed=yes
[ -z "$cwd" ] || [ "$(git cat-file -t "$tree:$cwd" 2>/dev/null)" = tree ] || placed=''
recorded_words "$@" >"$scratch/argv"
if grep -q -e '\[redacted' -e '\[more arguments left out\]' "$scratch/argv"; then
	say "a word of the command is struck out or left out: nobody can run it again, so it proves nothing;" \
		"keep secrets in the environment or a file"
else
	# shellcheck disable=SC2016
	{
		if [ "$placed" ]; then
			printf 'cd %s|| exit 2\nset -- ' "$(quoted "$here")"
		else
			# What no commit takes in, others do not have: they enter it from the top, in words that say so.
			printf 'cd %s|| exit 2\nset -- ' "$(quoted "$top")"
			for word in sh -c 'cd "./$0" && exec "$@"' "$cwd"; do quoted "$word"; done
		fi
		for word; do quoted "$word"; done
	} >"$scratch/last" && mv "$scratch/last" "$last"
fi

# Each stream goes on to where it went, into `wc`, and into the keeper: none of them holds more than a little of it.
tees='' keepers=''
exec 3<&0 4>&1 5>&2
for stream in out err; do
	mkdir "$scratch/$stream"
	mkfifo "$scratch/$stream.all" "$scratch/$stream.keep" "$scratch/$stream.size"
	tr -d '\000' <"$scratch/$stream.keep" | fold -b -w 4096 | awk -v dir="$scratch/$stream" "$keeper" &
	keepers="$keepers $!"
	wc -lc <"$scratch/$stream.size" >"$scratch/$stream/size" &
	keepers="$keepers $!"
	if [ $stream = out ]; then
		tee "$scratch/$stream.keep" "$scratch/$stream.size" <"$scratch/$stream.all" >&4 2>/dev/null 3<&- &
	else
		tee "$scratch/$stream.keep" "$scratch/$stream.size" <"$scratch/$stream.all" >&5 2>/dev/null 3<&- &
	fi
	tees="$tees $!"
done

# In a subshell: sleeps, and leaves no `sleep` behind when the subshell is ended.
nap() {
	sleep "$1" &
	napping=$!
	trap 'kill "$napping"; exit' TERM
	wait "$napping"
}

started=$(date +%s)
timed_out='' child=''
if [ "$limit" -eq 0 ]; then
	# It gets the signals of the terminal itself; this only has to outlive it.
	trap : INT TERM
	("$@") >"$scratch/out.all" 2>"$scratch/err.all" <&3 3<&- 4>&- 5>&-
	status=$?
else
	# In a group of its own, where the system can make one, so that all of it can be ended.
	if command -v setsid >/dev/null 2>&1; then
		setsid "$@" >"$scratch/out.all" 2>"$scratch/err.all" <&3 3<&- 4>&- 5>&- &
		child=-$!
	else
		"$@" >"$scratch/out.all" 2>"$scratch/err.all" <&3 3<&- 4>&- 5>&- &
		child=$!
	fi
	running=$!
	(
		nap "$limit"
		: >"$scratch/timed-out"
		kill -TERM "$child" || kill -TERM "$running"
		nap 5
		kill -KILL "$child" || kill -KILL "$running"
	) >/dev/null 2>&1 3<&- 4>&- 5>&- &
	watchdog=$!
	trap 'kill -TERM "$child" 2>/dev/null' INT TERM
	# A signal that is trapped ends `wait`, not the command.
	while :; do
		wait "$running" 2>/dev/null
		status=$?
		kill -0 "$running" 2>/dev/null || break
	done
	kill "$watchdog" 2>/dev/null
	if [ -f "$scratch/timed-out" ]; then
		timed_out=yes
		kill -KILL "$child" 2>/dev/null
	fi
fi
took=$(($(date +%s) - started))
# What the command left running may hold a stream open for ever.
(
	nap 5
	# shellcheck disable=SC2086
	kill $tees
) >/dev/null 2>&1 3<&- 4>&- 5>&- &
patience=$!
# shellcheck disable=SC2086
wait $tees 2>/dev/null
kill "$patience" 2>/dev/null
exec 3<&- 4>&- 5>&-
# The keepers end by themselves, now that nobody writes to them.
# shellcheck disable=SC2086
wait $keepers
trap - INT TERM

code=$status
[ -z "$timed_out" ] || code=124
if [ "$status" -gt 128 ] && [ "$status" -lt 193 ]; then
	ending="\"signal\": $((status - 128))"
	ended="signal $((status - 128))"
elif [ "$timed_out" ]; then
	ending='"exit": 124'
else
	ending="\"exit\": $status"
	ended="exit $status"
fi
[ -z "$timed_out" ] || ending="$ending, \"timed_out\": true" ended='timed out'

unrecorded() {
	say "not recorded: $1"
	leave "$code"
}
[ -z "$why" ] || unrecorded "$why; next: git status"

untracked=$(cd "$top" && git ls-files --others --exclude-standard | sed -n '1,5p' | tr '\n' ' ')
[ -z "$untracked" ] ||
	say "the tested tree holds untracked files that a commit would not: $untracked; next: git add -A"
after=$(snapshot 2>/dev/null) || after=$tree
if [ "$after" != "$tree" ]; then
	changed=$(git diff-tree -r --name-only "$tree" "$after" | sed -n '1,5p' | tr '\n' ' ')
	say "the run changed files of the tree it tested: $changed; next: git status"
fi

project=$(git config forge.project) agent=$(git config forge.agent) nonce=$(git config forge.nonce)
issue=$(git config forge.issue) key=$(git config forge.key) base=$(git config forge.base)
subject=$(git config forge.subject) signing_key=$(git config --type=path forge.signingkey)
case $issue in
*[#/]*)
	[ -n "$project" ] || project=${issue%[#/]*}
	issue=${issue##*[#/]}
	;;
esac
lacks=''
[ -n "$agent" ] || lacks="$lacks forge.agent"
[ -n "$project" ] || lacks="$lacks forge.project"
[ -n "$nonce" ] || lacks="$lacks forge.nonce"
if [ -n "$lacks" ]; then
	next="ssh forge feed"
	[ -z "$project" ] || [ -z "$issue" ] || next="ssh forge start $project/$issue"
	unrecorded "git's configuration lacks$lacks; next: $next"
fi

# `name: text of the file`, when there is any, and a comma.
kept() {
	[ ! -s "$2" ] || printf '"%s": %s, ' "$1" "$(json "$3" <"$2")"
}
stream() {
	read -r lines bytes <"$scratch/$1/size"
	printf '"std%s": {%s%s"lines": %d, "bytes": %d},\n' "$1" \
		"$(kept head "$scratch/$1/head" 8192)" "$(kept tail "$scratch/$1/tail" 24576)" "$lines" "$bytes"
}
base_tree=''
[ -z "$base" ] || base_tree=$(git rev-parse --verify --quiet "$base^{tree}") || base_tree=''
omitted=$(patch_from "$base_tree") || [ -n "$omitted" ] || omitted='it could not be made'
[ -z "$omitted" ] || say "the patch to this tree is left out of the record: $omitted"
# Of two runs in one second the later one sorts behind, though the numbers of processes begin anew now and then.
before=$(git for-each-ref --format=x "refs/notes/forge/out/$started-*" | wc -l)
id=$started-$(printf %03d "$before")-$(printf %07d $$)
{
	printf '{"v": 1, "id": "%s", "project": "%s", "agent": "%s", "nonce": "%s",\n' "$id" "$project" "$agent" "$nonce"
	case $issue in '' | *[!0-9]*) ;; *) printf '"issue": %s,\n' "$issue" ;; esac
	case $key in SHA256:*) printf '"key_fp": "%s",\n' "$key" ;; esac
	[ -z "$subject" ] || printf '"subject": %s,\n' "$(printf '%s' "$subject" | json 256)"
	if [ -n "$base" ]; then
		printf '"base_commit": "%s",\n' "$base"
		[ -z "$base_tree" ] || printf '"base_tree": "%s",\n' "$base_tree"
	fi
	printf '"recorder": {"name": "forge-run.sh", "version": "1"},\n'
	cpus=$(getconf _NPROCESSORS_ONLN 2>/dev/null) || cpus=0
	printf '"env": {"os": "%s", "arch": "%s", "cpus": %d},\n' \
		"$(uname -s | tr '[:upper:]' '[:lower:]')" "$(uname -m)" "$cpus"
	printf '"head_tree": "%s",\n"attempts": [{"argv": [' "$tree"
	cat "$scratch/argv"
	printf '],\n"tree": "%s", ' "$tree"
	if [ -z "$omitted" ]; then
		printf '"patch": "%s",\n' "$(frame "$scratch/patch")"
	else
		printf '"patch_omitted": true, "patch_omitted_why": %s,\n' "$(printf '%s' "$omitted" | json 256)"
	fi
	printf '"started_ms": %s000, "dur_ms": %d, %s,\n' "$started" $((took * 1000)) "$ending"
	[ -z "$cwd" ] || printf '"cwd": %s,\n' "$(printf '%s' "$cwd" | json 1024)"
	[ -z "$reasoning" ] || printf '"reasoning": %s,\n' "$(redacted "$reasoning" 8192)"
	cat "$scratch/out/tests" 2>/dev/null || cat "$scratch/err/tests" 2>/dev/null
	stream out
	stream err | sed '$s/,$//'
	printf '}]'
	cat "$scratch"/redactions "$scratch"/*/redactions 2>/dev/null | awk '
		{ sum[$1] += $2 }
		END { for (rule in sum) { printf "%s[\"%s\", %d]", n++ ? ", " : ",\n\"redactions\": [", rule, sum[rule] } if (n) printf "]" }'
	printf '}\n'
} >"$scratch/record.json"

# The agent needs no identity of git's own for this, and its time zone is nobody's business.
GIT_AUTHOR_NAME=$agent GIT_AUTHOR_EMAIL=$agent@forge.invalid GIT_AUTHOR_DATE="$((started + took)) +0000"
GIT_COMMITTER_NAME=$agent GIT_COMMITTER_EMAIL=$agent@forge.invalid GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL GIT_COMMITTER_DATE
# Signed, where the configuration names a key. An empty passphrase, so that none is asked for.
beside=''
if [ -n "$signing_key" ]; then
	if ssh-keygen -Y sign -P '' -n synstack-trace@v1 -f "$signing_key" <"$scratch/record.json" \
		>"$scratch/record.sig" 2>"$scratch/said" && blob=$(git hash-object -w --no-filters "$scratch/record.sig"); then
		beside=$(printf '100644 blob %s\trecord.sig' "$blob")
	else
		say "not signed: $(sed -n '$p' "$scratch/said"); next: git config forge.signingkey ~/.ssh/forge"
	fi
fi
write() {
	blob=$(git hash-object -w --no-filters "$scratch/record.json") || return 1
	holder=$(printf '100644 blob %s\trecord.json\n%s' "$blob" "$beside" | git mktree) || return 1
	commit=$(git -c commit.gpgSign=false commit-tree -m "recorded: $ended" "$holder" </dev/null) || return 1
	git update-ref "refs/notes/forge/out/$id" "$commit" 0000000000000000000000000000000000000000
}
write || unrecorded "git could not write it; next: forge run --again"

[ "$placed" ] || say "it ran in \`$cwd\`, which no commit would hold; next: forge run --again"
tests=$(cat "$scratch/out/tests" 2>/dev/null || cat "$scratch/err/tests" 2>/dev/null)
tests=$(printf '%s' "$tests" | sed -n 's/.*"passed": \([0-9]*\), "failed": \([0-9]*\).*/, \1 passed, \2 failed/p')
if [ -n "$subject" ]; then
	# Of another's work a failure says as much.
	next='git push'
elif [ "$ended" != 'exit 0' ] || [ -z "$placed" ]; then
	next='forge run --again'
elif [ "$(git rev-parse --verify --quiet 'HEAD^{tree}')" = "$tree" ]; then
	next='git push'
else
	next="git add -A && git commit -q -m 'What the run was on' && git push"
fi
say "recorded $id on tree $(printf '%.7s' "$tree") ($ended$tests); next: $next"
leave "$code"
