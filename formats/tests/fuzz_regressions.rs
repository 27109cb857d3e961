//! Inputs of the fuzz target that once failed, or nearly did, and the example capture bent in many places: run on every
//! compiler, without a fuzzer.
#![allow(clippy::unwrap_used)] // a test ends at the first surprise

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::path::Path;

#[test]
fn kept_inputs_survive() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions/capture");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        bodies::capture(&std::fs::read(file).unwrap());
    }
}

#[test]
fn the_example_survives_single_bytes_changed_and_every_cut() {
    let example =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/example/web-break-in.scap")).unwrap();
    let head = &example[..example.len().min(24 << 10)];
    bodies::capture(&example);
    for at in (0..head.len()).step_by(97) {
        bodies::capture(&head[..at]);
        for value in [0x00, 0x7f, 0xff] {
            let mut bent = head.to_vec();
            bent[at] = value;
            bodies::capture(&bent);
        }
    }
}
