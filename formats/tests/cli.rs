//! The tool `casebook` as people and scripts use it: output, messages, exit codes.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)] // a failed step fails the test

mod bytes;
mod tool;

use std::fs;
use std::path::Path;

use casebook_formats::cli::Exit;
use casebook_formats::seekable::verify::verify;
use casebook_formats::snapshot::{MachineInfo, ThreadEntry};
use casebook_formats::tables::ppme;
use casebook_formats::write::CaptureWriter;
use serde_json::Value;
use sha2::Digest as _;
use tool::{Ran, capture, casebook, path};

#[test]
fn conversions_keep_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name| path(folder.path(), name);
    let plain = capture(3000);
    fs::write(at("a.scap"), &plain).unwrap();
    let steps = [("a.scap", "b.scap.zst"), ("b.scap.zst", "c.scap.gz"), ("c.scap.gz", "d.zst"), ("d.zst", "e.scap")];
    for (from, to) in steps {
        let ran = casebook(&["convert", &at(from), "-o", &at(to), "--frame-kib", "16"]);
        assert_eq!(ran.exit, Exit::Complete, "{from} to {to}");
        let said = if to == "c.scap.gz" || to == "e.scap" { "casebook: custody entries stay behind" } else { "" };
        let said = if from == "a.scap" || from == "c.scap.gz" { "" } else { said };
        assert!(ran.err.starts_with(said) && ran.err.is_empty() == said.is_empty(), "{}", ran.err);
        assert!(ran.out.is_empty());
    }
    assert_eq!(fs::read(at("e.scap")).unwrap(), plain);
    assert!(fs::read(at("c.scap.gz")).unwrap().starts_with(&[0x1F, 0x8B]));
    assert!(fs::read_dir(folder.path()).unwrap().all(|entry| entry.unwrap().path().extension().unwrap() != "partial"));
    // Standard output, and a name that says something else than --to.
    let piped = casebook(&["convert", &at("a.scap")]);
    assert_eq!(zstd::stream::decode_all(&piped.out[..]).unwrap(), plain);
    assert_eq!(casebook(&["convert", &at("b.scap.zst"), "--to", "scap"]).out, plain);
    // Nothing is replaced unasked; in place works when asked.
    assert_eq!(casebook(&["convert", &at("a.scap"), "-o", &at("e.scap")]).exit, Exit::Output);
    let ran = casebook(&["convert", &at("e.scap"), "-o", &at("e.scap"), "--to", "scap.gz", "--force"]);
    assert_eq!(ran.exit, Exit::Complete);
    assert_eq!(bytes::read(&fs::read(at("e.scap")).unwrap()).events().len(), 3000);
}

#[test]
fn custody_is_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name| path(folder.path(), name);
    fs::write(at("a.scap"), capture(3000)).unwrap();
    let who = ["--by", "J. Doe", "--note", "case 7", "--at", "2026-11-22T09:30:00Z"];
    let run = |args: &[&str]| assert_eq!(casebook(args).exit, Exit::Complete);
    run(&[&["convert", &at("a.scap"), "-o", &at("b.zst")][..], &who].concat());
    run(&["convert", &at("b.zst"), "-o", &at("c.zst"), "--frame-kib", "16"]);
    run(&["convert", &at("b.zst"), "-o", &at("d.zst"), "--frame-kib", "16"]);
    assert_eq!(fs::read(at("c.zst")).unwrap(), fs::read(at("d.zst")).unwrap(), "no clock, no name, no host");
    let origin = casebook_formats::origin::of_file(Path::new(&at("c.zst"))).unwrap();
    let report = verify(&fs::read(at("c.zst")).unwrap()[..]).unwrap();
    assert_eq!((report.faults.as_slice(), report.custody.len()), (&[][..], 2));
    assert_eq!(report.seal.as_ref().map(|seal| seal.root), origin.parent.root);
    assert!(report.custody.iter().map(|(custody, _)| &custody.entry).eq(&origin.entries));
    let [first, second] = &origin.entries[..] else { panic!("{:?}", origin.entries) };
    let tool = concat!("casebook ", env!("CARGO_PKG_VERSION"));
    assert_eq!((first.operation.as_str(), first.tool.as_str()), ("convert", tool));
    assert_eq!((first.by.as_deref(), first.note.as_deref()), (Some("J. Doe"), Some("case 7")));
    assert_eq!((first.at, second.at, second.by.as_deref()), (Some(1_795_339_800_000_000_000), None, None));
    let sha256 = |name| <[u8; 32]>::from(sha2::Sha256::digest(fs::read(at(name)).unwrap()));
    assert_eq!((first.parents[0].sha256, first.parents[0].root), (sha256("a.scap"), None));
    assert_eq!(second.parents[0].sha256, sha256("b.zst"));
    assert!(second.parents[0].root.is_some());
}

#[test]
fn what_cannot_be_converted_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name| path(folder.path(), name);
    fs::write(at("text"), "hello").unwrap();
    let ran = casebook(&["convert", &at("text")]);
    assert_eq!(ran.exit, Exit::Unreadable);
    assert!(ran.err.contains("no scap capture: it begins with text"), "{}", ran.err);
    assert!(ran.out.is_empty());
    assert_eq!(casebook(&["convert", &at("missing")]).exit, Exit::Unreadable);
    fs::write(at("a.scap"), capture(10)).unwrap();
    assert_eq!(casebook(&["convert", &at("a.scap"), "-o", &at("b.txt")]).exit, Exit::Usage);
    assert_eq!(casebook(&["convert", &at("a.scap"), "-o", &at("no/b.scap")]).exit, Exit::Output);
    let cut = bytes::gzip(&capture(3000));
    fs::write(at("cut.scap.gz"), &cut[..cut.len() / 2]).unwrap();
    let ran = casebook(&["convert", &at("cut.scap.gz"), "-o", &at("cut.scap.zst")]);
    assert_eq!(ran.exit, Exit::Incomplete);
    assert!(ran.err.contains("cut off"), "{}", ran.err);
    let info = casebook(&["verify", "--json", &at("cut.scap.zst")]);
    assert_eq!(info.exit, Exit::Complete, "the file holds what there was: {}", info.text());
}

#[test]
fn verify_says_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name| path(folder.path(), name);
    fs::write(at("a.scap"), capture(3000)).unwrap();
    casebook(&["convert", &at("a.scap"), "-o", &at("a.scap.zst"), "--frame-kib", "16"]);
    let file = fs::read(at("a.scap.zst")).unwrap();
    let ran = casebook(&["verify", &at("a.scap.zst")]);
    assert_eq!(ran.exit, Exit::Complete);
    assert!(ran.text().contains(": sound: 12 frames, sealed, unsigned\n"), "{}", ran.text());
    let sha256 = casebook_formats::record::hex(&sha2::Sha256::digest(&file));
    assert!(ran.text().contains(&sha256));
    let mut damaged = file.clone();
    damaged[100] ^= 1;
    fs::write(at("b.scap.zst"), damaged).unwrap();
    let ran = casebook(&["verify", &at("b.scap.zst"), &at("a.scap.zst")]);
    assert_eq!(ran.exit, Exit::Faults);
    assert!(ran.text().contains("NOT SOUND: 11 of 12 frames intact"), "{}", ran.text());
    assert!(ran.text().contains("damaged    byte            0  the data of frame 0 is damaged"), "{}", ran.text());
    assert!(ran.text().contains("sound: 12 frames"));
    fs::write(at("c.scap.zst"), &file[..file.len() / 2]).unwrap();
    let ran = casebook(&["verify", "--json", &at("c.scap.zst")]);
    assert_eq!(ran.exit, Exit::Incomplete, "a recorder that was killed is no forger");
    assert_eq!(ran.json()["faults"][0]["kind"], "truncated");
    assert_eq!((&ran.json()["sound"], &ran.json()["state"]), (&Value::from(false), &Value::from("truncated")));
    let ran = casebook(&["verify", &at("c.scap.zst")]);
    assert!(ran.text().contains("TRUNCATED, not broken: "), "{}", ran.text());
    let ran = casebook(&["verify", &at("a.scap")]);
    assert_eq!(ran.exit, Exit::Unreadable);
    assert!(ran.text().contains("nothing in it to check against"));
    assert_eq!(casebook(&["verify", &at("missing")]).exit, Exit::Unreadable);
}

#[test]
fn info_tells_what_a_capture_holds() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name| path(folder.path(), name);
    let plain = capture(1000);
    fs::write(at("a.scap"), &plain).unwrap();
    casebook(&["convert", &at("a.scap"), "-o", &at("a.scap.zst")]);
    let ran = casebook(&["info", "--json", &at("a.scap.zst")]);
    assert_eq!(ran.exit, Exit::Complete);
    let json = ran.json();
    let expected = [
        ("events", 1000),
        ("threads", 2),
        ("threads_at_start", 3),
        ("processes_at_start", 2),
        ("users", 2),
        ("groups", 1),
        ("stream_bytes", plain.len()),
        ("file_bytes", fs::metadata(at("a.scap.zst")).unwrap().len() as usize),
    ];
    for (key, value) in expected {
        assert_eq!(json[key], value, "{key}");
    }
    assert_eq!(json["event_types"]["fchdir"], 750);
    assert_eq!(json["hosts"][0]["hostname"], "web\u{1b}[31m-1");
    assert_eq!(json["latest_ns"].as_u64(), Some(951_782_400_999_000_000));
    assert_eq!((&json["frames"]["intact"], &json["frames"]["expected"]), (&Value::from(1), &Value::from(1)));
    let ran = casebook(&["info", &at("a.scap.zst"), &at("a.scap")]);
    let text = ran.text();
    for part in [
        "host         web\\x1b[31m-1, 8 CPUs, 16384 MiB\n",
        "events       1000 on 2 threads\n",
        "from         2000-02-29 00:00:00.000000000 UTC\n",
        "250   25.0 %  close\n",
        "frames       1 of 1 intact\n",
        "bytes, not compressed\n",
        "ledger       empty\n",
    ] {
        assert!(text.contains(part), "{part} not in {text}");
    }
    assert!(!text.contains('\u{1b}'));
    fs::write(at("cut.scap"), &plain[..plain.len() - 5]).unwrap();
    let ran = casebook(&["info", &at("cut.scap")]);
    assert_eq!(ran.exit, Exit::Incomplete);
    let row = format!("    {:>12}  {:<26}  data loss  file\n", 1, "truncated_input");
    assert!(ran.text().contains(&row), "{}", ran.text());
    let row = &casebook(&["info", "--json", &at("cut.scap")]).json()["ledger"]["truncated_input"];
    assert_eq!((&row["count"], &row["severity"], &row["source"]), (&1.into(), &"data loss".into(), &"file".into()));
}

#[test]
fn info_tells_programs_containers_and_losses() {
    use casebook_formats::ledger::Counter;
    use casebook_formats::seekable::{Options, SeekableWriter};
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let at = |name| path(folder.path(), name);
    let id = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e";
    let cgroups = format!("cpu=/docker/{id}\0").into_bytes();
    let mut plain = CaptureWriter::new(Vec::new());
    plain.section().unwrap();
    let thread = |tid| ThreadEntry {
        tid,
        pid: tid,
        comm: b"ngi\x1bnx".to_vec(),
        cgroups: cgroups.clone(),
        ..ThreadEntry::default()
    };
    plain.threads(&[thread(7), thread(8)]).unwrap();
    let json = br#"{"container":{"id":"3ad7b26ded6d","name":"web","image":"nginx:1"}}"#;
    plain.event(1_000_000_000, -1, 0, ppme::PPME_CONTAINER_JSON_2_E, &[&[&json[..], b"\0"].concat()]).unwrap();
    let zero = 0_i64.to_le_bytes();
    let mut exec: Vec<&[u8]> = vec![&[]; 15];
    (exec[0], exec[13], exec[14]) = (&zero, b"sh\0", &cgroups);
    plain.event(9_000_000_000, 7, 0, ppme::PPME_SYSCALL_EXECVE_19_X, &exec).unwrap();
    let mut writer = SeekableWriter::new(Vec::new(), Options::default()).unwrap();
    writer.write_all(&plain.into_inner().unwrap()).unwrap();
    writer.lost(Counter::KernelDrops, 5);
    fs::write(at("a.zst"), writer.finish().unwrap().0).unwrap();
    let json = casebook(&["info", "--json", &at("a.zst")]).json();
    let container = &json["containers"][0];
    assert_eq!((&container["id"], &container["image"]), (&"3ad7b26ded6d".into(), &"nginx:1".into()));
    assert_eq!((&container["threads_at_start"], &container["started"]), (&2.into(), &1.into()));
    assert_eq!((&json["programs"][0]["name"], &json["programs"][0]["started"]), (&"sh".into(), &1.into()));
    assert_eq!((&json["quiet"][0]["ns"], &json["frames"]["sealed"]), (&8_000_000_000_u64.into(), &true.into()));
    assert_eq!(json["frames"]["intervals"][0]["losses"]["kernel_drops"], 5);
    let ran = casebook(&["info", &at("a.zst")]);
    for part in [
        "           1         2  3ad7b26ded6d  web   nginx:1\n",
        "           0         2  ngi\\x1bnx\n",
        "           5  kernel_drops                    0  1970-01-01 00:00:01.000000000 UTC, 1970-01-01 00:00:09",
        "quiet        8.000 s from 1970-01-01 00:00:01",
    ] {
        assert!(ran.text().contains(part), "{part} not in {}", ran.text());
    }
    // A pipe tells the same: everything comes from one pass.
    let read = fs::read(at("a.zst")).unwrap();
    let (mut watched, watch) = casebook_formats::origin::watch(Box::new(std::io::Cursor::new(read)));
    std::io::copy(&mut watched, &mut std::io::sink()).unwrap();
    let (origin, passed) = watch.finish_all().unwrap();
    assert_eq!((passed.frames, passed.intact, passed.ended), (1, 1, true));
    assert_eq!(json["sha256"], casebook_formats::record::hex(&origin.parent.sha256));
}

#[test]
fn the_command_line_explains_itself() {
    let ran = casebook(&["--help"]);
    assert_eq!(ran.exit, Exit::Complete);
    assert!(ran.text().contains("Exit codes:") && ran.text().contains("verify"));
    assert_eq!(casebook(&[]).exit, Exit::Usage);
    assert_eq!(casebook(&["info"]).exit, Exit::Usage);
    assert_eq!(casebook(&["convert", "a", "--level", "77"]).exit, Exit::Usage);
}

/// Events of a salvaged capture, which has to be sound.
fn salvaged(folder: &Path, file: &[u8]) -> (Ran, Vec<u64>) {
    let (from, to) = (path(folder, "broken"), path(folder, "saved.scap"));
    fs::write(&from, file).unwrap();
    let ran = casebook(&["salvage", &from, "-o", &to, "--force"]);
    let outcome = bytes::read(&fs::read(&to).unwrap());
    assert!(outcome.clean(), "{:?}", outcome.ledger);
    let times = outcome.events().iter().map(|event| event.ts).collect();
    (ran, times)
}

#[test]
fn salvage_gets_every_event_of_every_intact_frame() {
    use casebook_formats::seekable::pieces::{Pieces, What};
    let folder = tempfile::tempdir().unwrap();
    let at = |name| path(folder.path(), name);
    let plain = capture(3000);
    fs::write(at("a.scap"), &plain).unwrap();
    casebook(&["convert", &at("a.scap"), "-o", &at("a.scap.zst"), "--frame-kib", "4"]);
    let file = fs::read(at("a.scap.zst")).unwrap();
    let mut pieces = Pieces::new(&file[..]);
    let pieces: Vec<_> = std::iter::from_fn(|| pieces.next_piece().unwrap()).collect();
    let all: Vec<u64> = bytes::read(&plain).events().iter().map(|event| event.ts).collect();
    let (ran, times) = salvaged(folder.path(), &file);
    assert_eq!((ran.exit, times.len()), (Exit::Complete, 3000), "{}", ran.err);
    for data in pieces.iter().filter(|piece| piece.what == What::Data) {
        let (start, end) = (data.offset as usize, (data.offset + data.len) as usize);
        let content = zstd::stream::decode_all(&file[start..end]).unwrap();
        let section = bytes::shb();
        let section: &[u8] = if content.starts_with(&section) { &[] } else { &section };
        let inside: Vec<u64> =
            bytes::read(&[section, &content].concat()).events().iter().map(|event| event.ts).collect();
        let outside: Vec<u64> = all.iter().copied().filter(|ts| !inside.contains(ts)).collect();
        // Damaged in the magic number, in its structure, in its content; taken out; cut off there.
        for place in [start, start + 9, usize::midpoint(start, end), end - 1] {
            let mut damaged = file.clone();
            damaged[place] ^= 0x10;
            let (ran, times) = salvaged(folder.path(), &damaged);
            assert_eq!(ran.exit, Exit::Incomplete);
            assert_eq!(times, outside, "byte {place}: {}", ran.err);
            assert!(ran.err.contains("casebook: at byte"), "{}", ran.err);
        }
        let removed = [&file[..start], &file[end..]].concat();
        assert!(salvaged(folder.path(), &removed).1 == outside);
        if start > 0 {
            let (ran, times) = salvaged(folder.path(), &file[..start + 20]);
            assert_eq!(ran.exit, Exit::Incomplete);
            assert_eq!(times[..], all[..times.len()]);
            assert!(times.len() >= all.len() - outside.len() || all.starts_with(&times));
            assert!(ran.err.contains("at the end of the file"), "{}", ran.err);
        }
    }
}

#[test]
fn salvage_reports_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name| path(folder.path(), name);
    fs::write(at("a.scap"), capture(3000)).unwrap();
    casebook(&["convert", &at("a.scap"), "-o", &at("a.zst"), "--frame-kib", "16", "--by", "J. Doe"]);
    let mut file = fs::read(at("a.zst")).unwrap();
    let sha256 = casebook_formats::record::hex(&sha2::Sha256::digest(&file));
    file[100] ^= 1;
    fs::write(at("b.zst"), &file).unwrap();
    let ran = casebook(&["salvage", "--json", &at("b.zst"), "-o", &at("c.zst")]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Incomplete, ""));
    let json = ran.json();
    let gap = &json["gaps"][0];
    assert_eq!((&gap["offset"], &gap["frames"]), (&Value::from(0), &Value::from(1)));
    let lost = gap["events"].as_u64().unwrap();
    assert_eq!((&json["missing_frames"], &json["ledger"]["missing_events"]), (&Value::from(1), &Value::from(lost)));
    assert_eq!(json["events"].as_u64(), Some(3000 - lost));
    assert_eq!((&gap["earliest_ns"], &json["whole"]), (&Value::from(951_782_400_000_000_000_u64), &Value::from(false)));
    assert_ne!(json["sha256"], sha256);
    // The new file is sound, says the same in the record of the frame at that place, and has a history.
    let report = verify(&fs::read(at("c.zst")).unwrap()[..]).unwrap();
    assert!(report.faults.is_empty());
    assert_eq!(json["root"], casebook_formats::record::hex(&report.seal.as_ref().unwrap().root));
    let losses: Vec<_> = report.records[0].losses.iter().map(|loss| (loss.cause.as_str(), loss.count)).collect();
    assert_eq!(losses[..2], [("missing_frames", 1), ("missing_events", lost)]);
    let steps: Vec<_> = report.custody.iter().map(|(custody, _)| custody.entry.operation.as_str()).collect();
    assert_eq!(
        (steps.as_slice(), report.custody[0].0.entry.by.as_deref()),
        (&["convert", "salvage"][..], Some("J. Doe"))
    );
    // Where the capture goes to standard output the report goes to standard error.
    let ran = casebook(&["salvage", "--json", &at("b.zst")]);
    assert_eq!(serde_json::from_str::<Value>(&ran.err).unwrap()["events"], json["events"]);
    assert!(verify(&ran.out[..]).unwrap().faults.is_empty());
}

#[test]
fn salvage_takes_other_zstd_files_frame_by_frame() {
    let folder = tempfile::tempdir().unwrap();
    let plain = capture(3000);
    // With checksums, as the zstd program writes: without them nothing notices a changed value.
    let frame = |part: &[u8]| {
        let mut compressor = zstd::bulk::Compressor::new(3).unwrap();
        compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true)).unwrap();
        compressor.compress(part).unwrap()
    };
    let frames: Vec<Vec<u8>> = plain.chunks(40_000).map(frame).collect();
    let (ran, times) = salvaged(folder.path(), &frames.concat());
    assert_eq!((ran.exit, times.len()), (Exit::Complete, 3000), "{}", ran.err);
    // A damaged frame in the middle costs its own events, and those whose blocks reach into it.
    let mut damaged = frames.clone();
    let middle = damaged[2].len() / 2;
    damaged[2][middle] ^= 0x40;
    fs::write(path(folder.path(), "damaged"), damaged.concat()).unwrap();
    let ran = casebook(&["salvage", &path(folder.path(), "damaged")]);
    assert_eq!(ran.exit, Exit::Incomplete);
    let whole = |frames: &[Vec<u8>]| {
        frames.iter().map(|frame| zstd::bulk::decompress(frame, 40_000).unwrap()).collect::<Vec<_>>().concat()
    };
    let (before, after) = (whole(&frames[..2]), whole(&frames[3..]));
    let saved = zstd::stream::decode_all(&ran.out[..]).unwrap();
    assert!(saved.starts_with(&before[..before.len() - 60]) && saved.ends_with(&after[60..]));
    assert!(ran.err.contains("doubtful_bytes: "), "what was unpacked of the damaged frame may be wrong: {}", ran.err);
    // One long frame: everything before the damage, as far as it can be unpacked.
    let mut long = frame(&plain);
    let end = long.len() * 9 / 10;
    long[end..].fill(0xFF);
    let (ran, times) = salvaged(folder.path(), &long);
    assert_eq!(ran.exit, Exit::Incomplete);
    assert!(times.len() > 1000, "{} of 3000: {}", times.len(), ran.err);
}

#[test]
fn salvage_repairs_other_captures_too() {
    let folder = tempfile::tempdir().unwrap();
    let plain = capture(500);
    let mut damaged = plain.clone();
    damaged[10_000..10_100].fill(0xEE);
    damaged.truncate(20_010);
    let (ran, times) = salvaged(folder.path(), &damaged);
    assert_eq!(ran.exit, Exit::Incomplete);
    assert!(ran.err.contains("damaged_blocks: 1") && ran.err.contains("truncated_input: 1"), "{}", ran.err);
    let known: Vec<u64> = bytes::read(&damaged).events().iter().map(|event| event.ts).collect();
    assert_eq!(times, known);
    // Without its section header.
    let (ran, times) = salvaged(folder.path(), &plain[28..]);
    assert_eq!((ran.exit, times.len()), (Exit::Incomplete, 500), "{}", ran.err);
    let packed = bytes::gzip(&plain);
    assert!(!salvaged(folder.path(), &packed[..packed.len() * 3 / 4]).1.is_empty());
    let text = path(folder.path(), "text");
    fs::write(&text, "no capture at all").unwrap();
    let ran = casebook(&["salvage", &text]);
    assert_eq!((ran.exit, ran.out.len()), (Exit::Unreadable, 0));
}

/// Compares a page with its golden file; `CASEBOOK_BLESS=1` writes it anew: read it before it is committed.
fn assert_golden(name: &str, page: &str) {
    let golden = format!("{}/tests/{name}.golden", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("CASEBOOK_BLESS").is_some() {
        fs::write(&golden, page).unwrap();
    }
    assert_eq!(page, fs::read_to_string(golden).unwrap());
    assert!(!page.contains('\u{1b}'));
}

/// All bytes that a page shows, in its order.
fn bytes_shown(page: &str) -> Vec<u8> {
    let hex = |line: &str| {
        line[10..].char_indices().nth(24).map_or(line[10..].to_owned(), |(end, _)| line[10..10 + end].to_owned())
    };
    let lines = page.lines().filter(|line| line.len() > 10).map(hex);
    lines
        .flat_map(|hex| hex.split_whitespace().filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect::<Vec<_>>())
        .collect()
}

/// One block of each kind, with entries of every shape.
fn everything() -> Vec<u8> {
    use casebook_formats::snapshot::{FdEntry, FdInfo, FdList, Interface, UserEntry};
    let mut writer = CaptureWriter::new(Vec::new());
    writer.section().unwrap();
    let hostname = b"web\x1b[31m-1".to_vec();
    writer.machine(&MachineInfo { num_cpus: 8, memory: 1 << 34, max_pid: 9, hostname, boot_ts: 1 }).unwrap();
    let (name, v4) = (b"eth0".to_vec(), [10, 0, 0, 1].into());
    let [addr, netmask, broadcast] = [[0xFE; 16], [0xFF; 16], [0; 16]].map(Into::into);
    let v6 = Interface::V6 { name: b"lo".to_vec(), addr, netmask, broadcast, link_speed: 0 };
    writer.interfaces(&[Interface::V4 { name, addr: v4, netmask: v4, broadcast: v4, link_speed: 1000 }, v6]).unwrap();
    let user = UserEntry::User {
        uid: 33,
        gid: 33,
        name: b"www".to_vec(),
        home: b"/var/www".to_vec(),
        shell: b"/bin/sh".to_vec(),
    };
    writer.users(&[user, UserEntry::Group { gid: 33, name: b"www".to_vec() }]).unwrap();
    let (args, cgroups) = (b"-c\0id\0".to_vec(), b"cpu=/a\0memory=/b\0".to_vec());
    writer
        .threads(&[ThreadEntry { tid: 7, pid: 7, comm: b"sh".to_vec(), args, cgroups, ..ThreadEntry::default() }])
        .unwrap();
    let named = |name: &[u8]| FdInfo::Named { name: name.to_vec(), open_flags: 0, dev: 0 };
    let infos = [
        (16, FdInfo::Named { name: b"/etc/passwd".to_vec(), open_flags: 1, dev: 0xFE00 }),
        (3, FdInfo::V4 { sip: v4, dip: v4, sport: 40000, dport: 443, l4: 2 }),
        (4, FdInfo::V6 { sip: addr, dip: addr, sport: 1, dport: 53, l4: 3 }),
        (5, FdInfo::V4Server { ip: v4, port: 80, l4: 2 }),
        (6, FdInfo::V6Server { ip: addr, port: 80, l4: 2 }),
        (8, FdInfo::Unix { source: 0xFFFF_8880_0000_0000, destination: 0, path: b"/run/x".to_vec() }),
        (12, named(b"")),
        (2, named(b"/tmp")),
    ];
    let fds = infos.into_iter().zip(0..).map(|((fd_type, info), fd)| FdEntry { fd, ino: 5, fd_type, info }).collect();
    writer.fds(&FdList { tid: 7, fds }).unwrap();
    let (fd, flags) = ((-2_i64).to_le_bytes(), 4097_u32.to_le_bytes());
    let params: [&[u8]; 4] = [&fd, b"/etc/\x1bpasswd\0", &flags, &[]];
    writer.event(951_782_400_000_000_001, 7, 3, ppme::PPME_SYSCALL_OPEN_X, &params).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn dump_shows_bytes_and_meaning() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), "a.scap");
    fs::write(&file, everything()).unwrap();
    let ran = casebook(&["dump", &file]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Complete, ""));
    assert_golden("dump", ran.text());
    assert!(!ran.text().contains("does not fit") && !ran.text().contains("damaged"), "layouts and writer agree");
    let first = casebook(&["dump", "-n", "1", &file]);
    assert!(ran.text().starts_with(first.text()) && first.text().lines().count() == 8, "{}", first.text());
    let raw = casebook(&["dump", "--raw", &file]);
    assert!(raw.out.len() > ran.out.len() && !raw.text().contains("more bytes"));
    assert_eq!(bytes_shown(raw.text()), fs::read(&file).unwrap(), "every byte, in order");
    // Lists that do not fit are shown all the same.
    for at in (28..1100).step_by(3) {
        let mut damaged = everything();
        let Some(byte) = damaged.get_mut(at) else { break };
        *byte ^= 0xFF;
        fs::write(&file, &damaged).unwrap();
        let raw = casebook(&["dump", "--raw", &file]);
        assert!(matches!(raw.exit, Exit::Complete | Exit::Incomplete), "byte {at}");
        let shown = bytes_shown(raw.text());
        assert!(
            raw.exit == Exit::Incomplete || raw.text().contains("passed over") || shown == damaged,
            "byte {at}: {} {}",
            raw.err,
            raw.text()
        );
    }
}

#[test]
fn dump_shows_the_pieces_of_the_file_itself() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name| path(folder.path(), name);
    fs::write(at("a.scap"), everything()).unwrap();
    casebook(&["convert", &at("a.scap"), "-o", &at("a.zst"), "--by", "J. D\x1boe", "--at", "2026-11-22T09:30:00Z"]);
    let ran = casebook(&["dump", "--pieces", &at("a.zst")]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Complete, ""));
    // Compressed bytes, and all that depends on them, may change with the version of zstd; the rest of the page may not.
    let meanings: Vec<&str> = ran.text().lines().filter_map(|line| line.get(36..)).collect();
    for meaning in [
        "data frame 0: zstd, ",
        "frame record: skippable frame",
        "events: 1",
        "types: 3",
        "custody entry: skippable frame",
        "operation: \"convert\"",
        "by: \"J. D\\x1boe\"",
        "at: 1795339800000000000 = 2026-11-22 09:30:00.000000000 UTC",
        "entry 0, stands alone: 1",
        "frames: 1",
        "entries: 5",
    ] {
        assert!(meanings.iter().any(|line| line.starts_with(meaning)), "{meaning} not in {}", ran.text());
    }
    assert!(!ran.text().contains("not in the layout") && !ran.text().contains('\u{1b}'), "{}", ran.text());
    let raw = casebook(&["dump", "--pieces", "--raw", &at("a.zst")]);
    assert_eq!(bytes_shown(raw.text()), fs::read(at("a.zst")).unwrap(), "every byte, in order");
    assert_eq!(casebook(&["dump", "--pieces", "-n", "2", &at("a.zst")]).text().matches("\n\n").count(), 2);
    // Damage in any place is shown and survived.
    let file = fs::read(at("a.zst")).unwrap();
    for place in (0..file.len()).step_by(7) {
        let mut damaged = file.clone();
        damaged[place] ^= 0xFF;
        fs::write(at("b.zst"), &damaged).unwrap();
        let raw = casebook(&["dump", "--pieces", "--raw", &at("b.zst")]);
        assert_eq!(bytes_shown(raw.text()), damaged, "byte {place}");
    }
    assert_eq!(casebook(&["dump", "--pieces", &at("a.scap")]).exit, Exit::Unreadable);
}

#[test]
fn salvage_takes_whole_frames_wherever_they_stand() {
    use casebook_formats::seekable::pieces::{Pieces, What};
    let folder = tempfile::tempdir().unwrap();
    let at = |name| path(folder.path(), name);
    let pack = |events| {
        fs::write(at("a.scap"), capture(events)).unwrap();
        casebook(&["convert", &at("a.scap"), "-o", &at("a.zst"), "--frame-kib", "4", "--force"]);
        let file = fs::read(at("a.zst")).unwrap();
        let mut pieces = Pieces::new(&file[..]);
        let pieces: Vec<_> = std::iter::from_fn(|| pieces.next_piece().unwrap()).collect();
        let part = |piece: &casebook_formats::seekable::pieces::Piece| {
            file[piece.offset as usize..(piece.offset + piece.len) as usize].to_vec()
        };
        let data = pieces.iter().filter(|piece| piece.what == What::Data).count();
        (pieces.iter().map(part).collect::<Vec<_>>(), data)
    };
    let all: Vec<u64> = bytes::read(&capture(1000)).events().iter().map(|event| event.ts).collect();
    let (pieces, data) = pack(1000);
    let check = |pieces: &[Vec<u8>], exit: Exit| {
        let (ran, mut times) = salvaged(folder.path(), &pieces.concat());
        times.sort_unstable();
        assert!(times == all, "{}", ran.err);
        assert_eq!(ran.exit, exit, "{}", ran.err);
    };
    let without = |at: usize| [&pieces[..at], &pieces[at + 1..]].concat();
    // A frame repeated with its record; frames and bare data swapped; a record, index, seal, seek table taken out.
    check(&[&pieces[..6], &pieces[4..]].concat(), Exit::Incomplete);
    let mut swapped = pieces.clone();
    swapped.swap(4, 8);
    check(&swapped, Exit::Incomplete);
    swapped.swap(5, 9);
    check(&swapped, Exit::Incomplete);
    check(&without(5), Exit::Complete);
    // Custody entry, index, seal, seek table.
    check(&without(2 * data), Exit::Complete);
    check(&without(2 * data + 1), Exit::Complete);
    check(&without(2 * data + 2), Exit::Incomplete);
    check(&without(2 * data + 3), Exit::Complete);
    // A frame of another capture.
    let (others, _) = pack(900);
    let mut foreign = pieces.clone();
    foreign[4..6].clone_from_slice(&others[4..6]);
    check(&foreign, Exit::Complete);
}
