//! The fault matrix at some places of each kind (`FAULTS.md` has the whole of it), and lengths that lie.

#![cfg(all(feature = "cli", unix))]
#![allow(clippy::unwrap_used)] // a failed step fails the test

mod matrix;

use std::fs;
use std::process::Command;

use casebook_formats::record::{self, Kind};
use matrix::{Whole, pack, synthetic};

#[test]
fn every_kind_of_damage_is_named_and_survived() {
    let whole = Whole::new(pack(&synthetic(7000), 4096));
    assert!(whole.frames() >= 100, "{} frames", whole.frames());
    let folder = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/FAULTS.md")).unwrap();
    let mut wrong = Vec::new();
    for row in whole.rows(false) {
        let score = whole.score(&row, folder.path());
        println!("{}: {} times", row.name, score.times);
        assert!(score.times > 0 && page.contains(&format!("| {} |", row.name)), "{} is not in FAULTS.md", row.name);
        wrong.extend(score.wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Runs the tool within 1 GB of address space; its exit code. A failed allocation aborts it, and gives none.
fn within_bounds(args: &[&str]) -> Option<i32> {
    let script = "ulimit -v 1000000 && exec \"$0\" \"$@\"";
    let run = Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_casebook")]).args(args).output().unwrap();
    run.status.code()
}

#[test]
fn no_allocation_follows_a_length_that_lies() {
    let folder = tempfile::tempdir().unwrap();
    let good = pack(&synthetic(500), 4096);
    let skippable = |magic: u32, len: u32| [magic.to_le_bytes(), len.to_le_bytes()].concat();
    // The number 2^32 - 1 as the encoding has it, where a list or text begins.
    let many = [252, 0xFF, 0xFF, 0xFF, 0xFF];
    let piece = |kind, body: &[u8]| record::frame(kind, body).0;
    // A zstd frame of one segment that claims 2^40 bytes, with one raw block of one byte.
    let segment = [&[0x28, 0xB5, 0x2F, 0xFD, 0xE0][..], &(1_u64 << 40).to_le_bytes(), &[0x09, 0, 0, 0x41]].concat();
    let window = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xF8, 0x09, 0, 0, 0x41].to_vec();
    let lies: Vec<(&str, Vec<u8>)> = vec![
        ("our piece", skippable(record::MAGIC, u32::MAX)),
        ("somebody else's piece", skippable(0x184D_2A50, u32::MAX)),
        ("seek table", [skippable(0x184D_2A5E, u32::MAX), vec![0; 100]].concat()),
        (
            "seek table entries",
            [skippable(0x184D_2A5E, 9), vec![0xFF, 0xFF, 0xFF, 0x7F, 0, 0xB1, 0xEA, 0x92, 0x8F]].concat(),
        ),
        ("record", piece(Kind::Record, &[&[0; 12][..], &many].concat())),
        ("custody", piece(Kind::Custody, &many)),
        ("index", piece(Kind::Index, &u64::MAX.to_le_bytes())),
        ("seal", piece(Kind::Seal, &[&[0; 6][..], &many].concat())),
        ("zstd content", segment),
        ("zstd window", window),
        ("block", [&0x0A0D_0D0A_u32.to_le_bytes()[..], &0x0FFF_FFFC_u32.to_le_bytes(), &[0; 64]].concat()),
        ("large event", [&0x221_u32.to_le_bytes()[..], &0x0FFF_FFFC_u32.to_le_bytes(), &[0; 64]].concat()),
    ];
    let (alone, before, after) = (folder.path().join("a"), folder.path().join("b"), folder.path().join("c"));
    for (name, lie) in lies {
        fs::write(&alone, &lie).unwrap();
        fs::write(&before, [&lie[..], &good].concat()).unwrap();
        fs::write(&after, [&good[..], &lie].concat()).unwrap();
        for file in [&alone, &before, &after] {
            let file = file.to_str().unwrap();
            for args in [&["verify", file][..], &["salvage", file, "--to", "scap"], &["info", file], &["dump", file]] {
                assert!(within_bounds(args).is_some(), "{name}: {args:?} was aborted");
            }
        }
    }
}
