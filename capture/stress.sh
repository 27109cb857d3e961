#!/usr/bin/env bash
# As many events as this machine makes, for a minute, through a ring of 32 MiB: is every one of them recorded or counted as
# lost? The truth is what the workload was told to do, not what the recorder says it saw. Prints rows for BENCH.md; exit code 1
# where a sum is not exact. With a `casebook` beside the recorder (or as CASEBOOK) the losses are also read back from the file.
# One loop of `dd bs=1` makes a million events a second and more on an idle machine of 2020; each further one is load beyond that.
# usage: capture/stress.sh PATH-OF-casebook-capture [SECONDS [LOOPS [BUFFER-MiB]]]
#   LOOPS: numbers of dd that run at once, a row each, such as "1 2 4" (default: 1 2)
set -euo pipefail
recorder="${1:?usage: stress.sh PATH-OF-casebook-capture [SECONDS [LOOPS [BUFFER-MiB]]]}"
seconds="${2:-60}" all="${3:-1 2}" buffer="${4:-32}"
casebook="${CASEBOOK:-$(dirname "$recorder")/casebook}"
work="$(mktemp -d)"
trap 'rm -r "$work"' EXIT

# Records $1 loops of $2 reads and writes of a byte each; sets events, lost, took, cpu.
loops() {
    local script="i=0; while [ \$i -lt $1 ]; do dd if=/dev/zero of=/dev/null bs=1 count=$2 2>/dev/null & i=\$((i+1)); done; wait"
    "$recorder" record -w "$work/x.scap.zst" --buffer "$buffer" --syscalls state,read,write --until-exit -- \
        sh -c "$script" 2>"$work/said" || [ $? -eq 3 ]
    if grep -q MISTAKE "$work/said"; then cat "$work/said"; exit 1; fi
    read -r events took < <(sed -n 's/^\([0-9]*\) events in \([0-9.]*\) s.*/\1 \2/p' "$work/said")
    lost="$(sed -n 's/^LOST: \([0-9]*\) of .*/\1/p' "$work/said")"
    lost="${lost:-0}"
    cpu="$(sed -n 's/^CPU of the recorder: \([0-9.]*\) s.*/\1/p' "$work/said")"
}

# Causes and counts, as the recorder says them at the end.
causes() {
    sed -n 's/^ *\([0-9][0-9]*\)  \([a-z_]*\): .*/\2 \1/p' "$work/said" | paste -sd, | sed 's/,/, /g'
}

# What the capture itself says was lost.
in_file() {
    "$casebook" info --json "$work/x.scap.zst" | python3 -c '
import json, sys
frames = json.load(sys.stdin)["frames"]["intervals"]
print(sum(frame["losses"].get(cause, 0) for frame in frames for cause in ("ring_full", "program_busy")))'
}

printf 'load average before: %s; %s CPUs; %s\n\n' "$(cut -d' ' -f1-3 /proc/loadavg)" "$(nproc)" "$(uname -r)"
echo '| loops of `dd bs=1` | ring | time | sent | a second | recorded | lost | by cause | CPU of the recorder | bytes an event |'
echo '|---|---|---|---|---|---|---|---|---|---|'
exact=0
for processes in $all; do
    # What the programs do beside their loops, and how fast they loop.
    loops "$processes" 1
    [ "$lost" -eq 0 ] || { echo "events were lost without any load"; exit 1; }
    beside=$((events - 2 * processes)) start="$took"
    loops "$processes" 300000
    count="$(awk -v n=300000 -v s="$seconds" -v t="$took" -v b="$start" 'BEGIN { t -= b; printf "%d", n * s / (t > 0.05 ? t : 0.05) }')"
    loops "$processes" "$count"
    sent=$((beside + 2 * processes * count))
    bytes="$(stat -c %s "$work/x.scap.zst")"
    awk -v p="$processes" -v mib="$buffer" -v sent="$sent" -v got="$events" -v lost="$lost" -v t="$took" -v b="$start" -v cpu="$cpu" \
        -v bytes="$bytes" -v causes="$(causes)" 'BEGIN {
        printf "| %d | %d MiB | %.1f s | %d | %.2f million | %d | %d (%.2f %%) | %s | %s s | %.1f |\n", p, mib, t, sent, sent / (t > b ? t - b : t) / 1e6,
            got, lost, 100 * lost / sent, causes == "" ? "-" : causes, cpu, bytes / (got > 0 ? got : 1) }'
    if [ $((events + lost)) -ne "$sent" ]; then
        echo "NOT EXACT: $((sent - events - lost)) events are neither recorded nor counted"
        exact=1
    elif [ -x "$casebook" ]; then
        told="$(in_file)"
        [ "$told" -eq "$lost" ] || { echo "NOT EXACT: the file tells of $told losses, the recorder of $lost"; exact=1; }
    fi
done
echo
[ "$exact" -eq 0 ] && echo "exact: sent = recorded + lost, to the event, in every row$([ -x "$casebook" ] && echo '; the files say the same')"
exit "$exact"
