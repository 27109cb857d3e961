#!/usr/bin/env bash
# Builds the kernel side: recorder.bpf.o, and with raw tracepoints recorder-raw.bpf.o. The results are committed, so
# that building the recorder needs no clang. `build.sh --check` builds into a temporary folder and compares: the same
# clang gives the same bytes wherever the sources lie.
set -euo pipefail
cd "$(dirname "$0")"
clang="${CLANG:-clang-14}"
strip="${LLVM_STRIP:-llvm-strip-14}"
if ! command -v "$clang" >/dev/null || ! command -v "$strip" >/dev/null; then
    echo "SKIPPED: $clang or $strip is not installed, the committed objects are not rebuilt"
    exit 0
fi
out=.
if [ "${1:-}" = --check ]; then
    out="$(mktemp -d)"
    trap 'rm -r "$out"' EXIT
fi
compile() {
    "$clang" -target bpf -mcpu=v3 -O2 -g -Wall -Werror -Wno-unused-function -fno-ident \
        "-fdebug-prefix-map=$PWD=." "-ffile-prefix-map=$PWD=." -fdebug-compilation-dir=. \
        "${@:2}" -c recorder.bpf.c -o "$out/$1"
    # Drops DWARF; the type information (BTF) stays.
    "$strip" -g "$out/$1"
}
compile recorder.bpf.o
compile recorder-raw.bpf.o -DCASEBOOK_RAW
if [ "$out" != . ]; then
    for object in recorder.bpf.o recorder-raw.bpf.o; do
        cmp "$object" "$out/$object" || { echo "$object is not what its sources give: run capture/bpf/build.sh"; exit 1; }
    done
    echo "recorder.bpf.o and recorder-raw.bpf.o are what their sources give ($("$clang" --version | head -1))"
fi
