#!/usr/bin/env bash
# What recording costs: CPU and wall time of four workloads, plain and recorded in turn. Needs root, GNU time, python3 and gcc.
# With a rule file each is recorded a second time, with the calls that the rules look at only.
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

run() {
    local name="$1" round selection
    shift
    for round in 1 2 3; do
        /usr/bin/time -f '%e %U %S' -o "$work/plain" "$@" >/dev/null 2>&1
        for selection in "${selections[@]}"; do
            "$recorder" record -w "$work/x.scap.zst" --syscalls "$selection" --until-exit -- \
                /usr/bin/time -f '%e %U %S' -o "$work/recorded" "$@" >/dev/null 2>"$work/said" || true
            printf '%s %d %s: wall user system: plain %s, recorded %s; %s\n' "$name" "$round" "${selection%%:*}" \
                "$(cat "$work/plain")" "$(cat "$work/recorded")" \
                "$(grep -E 'events in|CPU of|lost|LOST' "$work/said" | tr '\n' ';')"
        done
    done
}

run read-write dd if=/dev/zero of=/dev/null bs=1 count=500000
run open-close python3 -c 'import os
for i in range(100000): os.close(os.open("/etc/hostname", 0))'
# shellcheck disable=SC2016 # for the inner shell
run fork-exec sh -c 'i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done'
run compile gcc -O2 -c "$work/big.c" -o "$work/big.o"
