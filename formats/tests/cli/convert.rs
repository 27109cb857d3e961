//! `convert`: every byte stays, custody is handed on, what cannot be is said.

use std::fs;
use std::path::Path;

use casebook_formats::cli::Exit;
use casebook_formats::seekable::verify::verify;
use sha2::Digest as _;

use crate::bytes;
use crate::tool::{capture, casebook, path};

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
