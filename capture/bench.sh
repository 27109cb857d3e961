#!/usr/bin/env bash
# What recording costs, as the tables of BENCH.md: four workloads, plain and recorded in turn, three times each; CPU of the workload
# (user + system), medians. With a rule file each is recorded a second time, with the calls that the rules look at only.
# Needs root, GNU time, python3 and gcc; takes two minutes on an idle machine.
# usage: capture/bench.sh PATH-OF-casebook-capture [RULE-FILE]
set -euo pipefail
recorder="${1:?usage: bench.sh PATH-OF-casebook-capture [RULE-FILE]}"
selections=(default)
[ $# -lt 2 ] || selections+=("rules:$2")
work="$(mktemp -d)"
trap 'rm -r "$work"' EXIT

python3 - "$work/big.c" <<'PY'
import sys
with open(sys.argv[1], "w") as out:
    out.write("#include <stdio.h>\n")
    for i in range(800):
        out.write(f'int f{i}(int a,int b){{int s=0;for(int i=0;i<a;i++)s+=i*b^{i};return s+printf("%d",s);}}\n')
PY

# One line a run: workload, selection (or plain), wall, user, system, then of the recorder: events, bytes, lost, CPU.
run() {
    local name="$1" round selection
    shift
    for round in 1 2 3; do
        /usr/bin/time -f '%e %U %S' -o "$work/times" "$@" >/dev/null 2>&1
        printf '%s\tplain\t%s\n' "$name" "$(cat "$work/times")" >>"$work/runs"
        for selection in "${selections[@]}"; do
            "$recorder" record -w "$work/x.scap.zst" --syscalls "$selection" --until-exit -- \
                /usr/bin/time -f '%e %U %S' -o "$work/times" "$@" >/dev/null 2>"$work/said" || [ $? -eq 3 ]
            printf '%s\t%s\t%s %s %s %s %s\n' "$name" "${selection%%:*}" "$(cat "$work/times")" \
                "$(sed -n 's/^\([0-9]*\) events in .* s, \([0-9]*\) bytes.*/\1 \2/p' "$work/said")" \
                "$(sed -n 's/^LOST: \([0-9]*\) of .*/\1/p' "$work/said" | grep . || echo 0)" \
                "$(sed -n 's/^CPU of the recorder: \([0-9.]*\) s.*/\1/p' "$work/said")" >>"$work/runs"
        done
    done
}

before="$(cut -d' ' -f1-3 /proc/loadavg)"
run '`dd bs=1 count=500000`: reads and writes of one byte' dd if=/dev/zero of=/dev/null bs=1 count=500000
run '100,000 × open and close' python3 -c 'import os
for i in range(100000): os.close(os.open("/etc/hostname", 0))'
# shellcheck disable=SC2016 # for the inner shell
run '1000 × fork and exec of `/bin/true`' sh -c 'i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done'
run '`gcc -O2` of one file' gcc -O2 -c "$work/big.c" -o "$work/big.o"
# The recorder's start: the kernel's check of the programs, and a snapshot.
run '`true`: the start alone' true

printf '%s, %s CPUs, load average %s before and %s after; %s\n\n' "$(uname -r)" "$(nproc)" "$before" "$(cut -d' ' -f1-3 /proc/loadavg)" \
    "$("$recorder" --version)"
python3 - "$work/runs" <<'PY'
import statistics, sys

runs, order = {}, []
for line in open(sys.argv[1]):
    name, selection, figures = line.rstrip("\n").split("\t")
    if name not in order:
        order.append(name)
    runs.setdefault((name, selection), []).append([float(figure) for figure in figures.split()])

def median(name, selection, of):
    return statistics.median(of(run) for run in runs[name, selection])

cpu, wall = (lambda run: run[1] + run[2]), (lambda run: run[0])

def ratio(name, selection, of):
    plain = median(name, "plain", of)
    return f"{median(name, selection, of) / plain:.2f}" if plain >= 0.05 else "-"

for selection in ("default", "rules"):
    if (order[0], selection) not in runs:
        continue
    print(f"### `{selection}`\n")
    print("| workload | CPU plain | CPU recorded | ratio | wall plain | wall recorded | ratio | events | lost | bytes an event on disk | CPU of the recorder |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name in order:
        events = median(name, selection, lambda run: run[3])
        size = median(name, selection, lambda run: run[4] / max(run[3], 1))
        lost = sum(run[5] for run in runs[name, selection])
        print(f"| {name} | {median(name, 'plain', cpu):.2f} s | {median(name, selection, cpu):.2f} s | {ratio(name, selection, cpu)} "
              f"| {median(name, 'plain', wall):.2f} s | {median(name, selection, wall):.2f} s | {ratio(name, selection, wall)} "
              f"| {events:,.0f} | {lost:,.0f} | {size:.1f} | {median(name, selection, lambda run: run[6]):.2f} s |")
    print()
PY
