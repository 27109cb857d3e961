//! Prints the fault matrix of `FAULTS.md`: a capture damaged at every place of interest, and what `casebook verify` and
//! `casebook salvage` make of it.
//!
//! `cargo run --release -p casebook-formats --example faults [CAPTURE [FRAME_KIB]]`

#![allow(clippy::unwrap_used)] // a failed step ends the run

#[path = "../tests/matrix/mod.rs"]
mod matrix;

use std::io::{Read, Write};
use std::path::Path;

use matrix::{Whole, pack, synthetic};

fn main() {
    let mut args = std::env::args_os().skip(1);
    let plain = match args.next() {
        Some(path) => unwrapped(Path::new(&path)),
        None => synthetic(10_000),
    };
    let kib: usize = args.next().map_or(4, |text| text.to_str().unwrap().parse().unwrap());
    let whole = Whole::new(pack(&plain, kib * 1024));
    let folder = tempfile::tempdir().unwrap();
    let mut out = std::io::stdout().lock();
    let (frames, events, bytes) = (whole.frames(), whole.events(), whole.file.len());
    writeln!(out, "{frames} frames, {events} events, {bytes} bytes\n").unwrap();
    writeln!(out, "| what was done | times | `verify` names it | intact frames counted right | events in intact frames | salvaged of them | invented |").unwrap();
    writeln!(out, "|---|---:|---:|---:|---:|---:|---:|").unwrap();
    for row in whole.rows(true) {
        let score = whole.score(&row, folder.path());
        let [named, counted] = [score.named, score.counted];
        let (times, expected, salvaged, invented) = (score.times, score.expected, score.salvaged, score.invented);
        writeln!(out, "| {} | {times} | {named} | {counted} | {expected} | {salvaged} | {invented} |", row.name)
            .unwrap();
        out.flush().unwrap();
        for wrong in score.wrong.iter().take(5) {
            eprintln!("{wrong}");
        }
    }
}

/// The plain bytes of a capture, however it is packed.
fn unwrapped(path: &Path) -> Vec<u8> {
    let stored = std::fs::read(path).unwrap();
    let mut plain = Vec::new();
    match stored[..4] {
        [0x1F, 0x8B, ..] => flate2::read::MultiGzDecoder::new(&stored[..]).read_to_end(&mut plain).unwrap(),
        [0x28, 0xB5, 0x2F, 0xFD] => {
            zstd::stream::read::Decoder::new(&stored[..]).unwrap().read_to_end(&mut plain).unwrap()
        }
        _ => return stored,
    };
    plain
}
