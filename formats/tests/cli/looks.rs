//! `verify` and `info`: what was done to a file, and what it holds.

use std::fs;

use casebook_formats::cli::Exit;
use casebook_formats::snapshot::ThreadEntry;
use casebook_formats::tables::ppme;
use casebook_formats::write::CaptureWriter;
use serde_json::Value;
use sha2::Digest as _;

use crate::tool::{capture, casebook, path};

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
