#!/usr/bin/env bash
# As many events as this machine makes, for a minute, through a ring of 32 MiB: is every one of them recorded or counted as
# lost? The truth is what the workload was told to do, not what the recorder says it saw.
# usage: capture/stress.sh PATH-OF-casebook-capture [SECONDS [PROCESSES [BUFFER-MiB]]]
set -euo pipefail
recorder="${1:?usage: stress.sh PATH-OF-casebook-capture [SECONDS [PROCESSES [BUFFER-MiB]]]}"
seconds="${2:-60}" processes="${3:-2}" buffer="${4:-32}"
work="$(mktemp -d)"
trap 'rm -r "$work"' EXIT

# Records PROCESSES loops of so many reads and writes of a byte each; sets events, lost, took.
loops() {
    local script="i=0; while [ \$i -lt $processes ]; do dd if=/dev/zero of=/dev/null bs=1 count=$1 2>/dev/null & i=\$((i+1)); done; wait"
    "$recorder" record -w "$work/x.scap.zst" --buffer "$buffer" --syscalls state,read,write --until-exit -- \
        sh -c "$script" 2>"$work/said" || [ $? -eq 3 ]
    if grep -q MISTAKE "$work/said"; then cat "$work/said"; exit 1; fi
    read -r events took < <(sed -n 's/^\([0-9]*\) events in \([0-9.]*\) s.*/\1 \2/p' "$work/said")
    lost="$(sed -n 's/^LOST: \([0-9]*\) of .*/\1/p' "$work/said")"
    lost="${lost:-0}"
}

# What the programs do beside their loops, and how fast they loop.
loops 1
[ "$lost" -eq 0 ] || { echo "events were lost without any load"; exit 1; }
beside=$((events - 2 * processes))
loops 200000
count="$(awk -v n=200000 -v s="$seconds" -v t="$took" 'BEGIN { printf "%d", n * s / (t > 0.6 ? t - 0.5 : 0.1) }')"
loops "$count"
sent=$((beside + 2 * processes * count))
awk -v sent="$sent" -v got="$events" -v lost="$lost" -v t="$took" 'BEGIN {
    printf "%d sent in %.1f s (%.2f million a second), %d recorded, %d lost (%.2f %%)\n", sent, t, sent / t / 1e6, got, lost, 100 * lost / sent }'
grep -E 'CPU of|bytes in' "$work/said"
if [ $((events + lost)) -ne "$sent" ]; then
    echo "NOT EXACT: $((sent - events - lost)) events are neither recorded nor counted"
    exit 1
fi
echo "exact: sent = recorded + lost"
