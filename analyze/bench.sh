#!/usr/bin/env bash
# bench.sh CAPTURE: the tables of analyze/BENCH.md, as Markdown rows on standard output. A few minutes for a capture of 400 MB.
#
#   cargo build --release -p casebook-analyze -p casebook-formats -p casebook-tests --bins
#   casebook-replicate --events 4000000 large.scap $CASEBOOK_CORPORA/captures/attacks/*.scap     # or any capture you have
#   analyze/bench.sh large.scap
#
# BIN: folder of the programs (default: release in CARGO_TARGET_DIR or target). CASEBOOK: the program `casebook`, which
# makes the copy that sysdig reads; without it or sysdig that comparison is left out. RUNS: runs of each short command, of
# which the median counts (default 3). BUILD=1 also builds everything from nothing in a folder of its own, for its CPU time.
set -eu
export LC_ALL=C
here=$(cd "$(dirname "$0")/.." && pwd)
capture=${1:?bench.sh CAPTURE}
bin=${BIN:-${CARGO_TARGET_DIR:-$here/target}/release}
analyze=$bin/casebook-analyze
casebook=${CASEBOOK:-$bin/casebook}
runs=${RUNS:-3}
[ -x "$analyze" ] || { echo "bench.sh: no $analyze: build it first" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# measure RUNS COMMAND…: seconds of CPU, seconds, MiB of the median run by CPU. Before each run, `$work/fresh` is removed.
measure() {
    local n=$1; shift
    for _ in $(seq "$n"); do
        rm -rf "$work/fresh"
        local code=0
        /usr/bin/time -q -o "$work/time" -f '%U %S %e %M' "$@" > "$work/out" 2> "$work/err" || code=$?
        [ "$code" -eq 0 ] || { echo "bench.sh: $* ended with $code: $(head -1 "$work/err")" >&2; }
        awk '{ printf "%.2f %.2f %.0f\n", $1 + $2, $3, $4 / 1024 }' "$work/time"
    done | sort -n | sed -n "$(( (n + 1) / 2 ))p"
}

events=$("$analyze" sql -q --no-cache --format csv "$capture" "SELECT events FROM captures" | tail -1 | tr -d '\r')
echo "Capture: $events events, $(stat -c %s "$capture") bytes. $("$analyze" --version), $(nproc) processors, load $(cut -d' ' -f1 /proc/loadavg)."
echo
echo "| from the capture to | CPU s | s | events per CPU s | peak RSS MiB |"
echo "|---|---|---|---|---|"
row() { # NAME RUNS COMMAND…
    local name=$1; shift
    measure "$@" | awk -v name="$name" -v n="$events" '{ printf "| %s | %s | %s | %.2f million | %s |\n", name, $1, $2, n / ($1 > 0 ? $1 : 0.01) / 1e6, $3 }'
}
sql() { row "$1" "$runs" "$analyze" sql -q --no-cache "$capture" "$2"; }
sql '`processes` in memory (no `events`)' "SELECT name, COUNT(*) AS n FROM processes GROUP BY name"
sql 'one column of `events`' "SELECT type, COUNT(*) AS n FROM events GROUP BY type"
sql 'all columns of `events`' "SELECT * FROM events LIMIT 2"
sql 'rows of `events` that a `WHERE` chooses' "SELECT time, proc_name, args FROM events WHERE type = 'ptrace'"
row 'Parquet, all tables but `events`' "$runs" "$analyze" export -q --no-cache --parquet "$work/fresh" "$capture"
row 'Parquet, `events` too' 1 "$analyze" export -q --no-cache --events --parquet "$work/fresh" "$capture"
echo "(written: $(du -sm "$work/fresh" | cut -f1) MiB)" >&2
row 'report (HTML, built-in rules)' 1 "$analyze" report -q --no-cache -o "$work/report.html" "$capture"
echo
echo "| saved query | cold: CPU s | s | peak RSS MiB | warm: CPU s | s | peak RSS MiB | rows |"
echo "|---|---|---|---|---|---|---|---|"
# Two caches: rules make alerts, and other tables.
for query in $("$analyze" sql --saved list | awk '{ print $1 }'); do
    cold=$(measure 1 "$analyze" sql -q --cache "$work/fresh" "$capture" --saved "$query")
    "$analyze" sql -q --cache "$work/warm" "$capture" --saved "$query" > /dev/null
    warm=$(measure "$runs" "$analyze" sql -q --cache "$work/warm" "$capture" --saved "$query")
    found=$(sed -n '$s/^(\([0-9]*\) row.*/\1/p' "$work/out")
    echo "| \`$query\` | ${cold// / | } | ${warm// / | } | $found |"
done
echo
if command -v sysdig > /dev/null && [ -x "$casebook" ]; then
    "$casebook" convert --for sysdig "$capture" -o "$work/old.scap" > /dev/null 2>&1 || true
    echo "| the same question, of the same file (converted for sysdig 0.29) | program | CPU s | s | peak RSS MiB | rows |"
    echo "|---|---|---|---|---|---|"
    pair() { # QUESTION SYSDIG-FORMAT SYSDIG-FILTER SQL
        local question=$1 told
        told=$(measure 1 sh -c "sysdig -r '$work/old.scap' -p '$2' '$3' | sort | uniq -c | sort -rn")
        echo "| $question | \`sysdig -r … -p '$2' \"$3\" \\| sort \\| uniq -c\` | ${told// / | } | $(wc -l < "$work/out") |"
        told=$(measure 1 "$analyze" sql -q --no-cache --format csv "$work/old.scap" "$4")
        echo "| | \`casebook-analyze sql\` | ${told// / | } | $(( $(wc -l < "$work/out") - 1 )) |"
    }
    pair 'events by type' '%evt.type' 'evt.dir=<' "SELECT type, COUNT(*) AS n FROM events GROUP BY type ORDER BY n DESC"
    pair 'programs started' '%proc.exepath' 'evt.dir=< and evt.type in (execve, execveat) and evt.rawres=0' \
        "SELECT exepath, COUNT(*) AS n FROM execs WHERE result = 'SUCCESS' GROUP BY exepath ORDER BY n DESC"
    pair 'files opened, by process' '%proc.name %fd.name' 'evt.dir=< and evt.type in (open, openat, openat2, creat) and fd.num>=0' \
        "SELECT proc_name, path, SUM(opens) AS n FROM files WHERE opens > 0 GROUP BY proc_name, path ORDER BY n DESC"
    echo
else
    echo "bench.sh: no sysdig or no $casebook: its comparison is left out" >&2
fi
echo "| | |"
echo "|---|---|"
echo "| size of \`casebook-analyze\` (release, stripped) | $(stat -c %s "$analyze" | awk '{ printf "%.1f MB", $1 / 1e6 }') |"
if command -v cargo > /dev/null; then
    tree() { (cd "$here" && cargo tree --offline -p casebook-analyze -e normal,build --prefix none 2> /dev/null) | awk '{ print $1, $2 }' | sort -u; }
    echo "| packages it is built from | $(tree | wc -l) |"
    echo "| hyper, reqwest, rustls, native-tls or openssl among them | $(tree | grep -cE '^(hyper|reqwest|rustls|native-tls|openssl) ' || true) |"
fi
if [ "${BUILD:-0}" = 1 ]; then
    built=$(cd "$here" && CARGO_TARGET_DIR=$work/target CARGO_INCREMENTAL=0 measure 1 cargo build --release -p casebook-analyze)
    echo "| CPU s, s and peak MiB of a release build from nothing | ${built// /, } |"
fi
