//! Ends: killed, a full disk, a pipe; a command that cannot be started.

use std::process::{Command, Stdio};

use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::seekable::verify;

use crate::recorder::{permitted, record, recorder, skip};

/// Killed at any moment: what was written is a truncated file, not a broken one, and can be read.
#[test]
fn a_killed_recorder_leaves_a_file_that_ends_early() {
    if !permitted("a_killed_recorder_leaves_a_file_that_ends_early") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.scap.zst");
    let mut recorder = recorder();
    // It goes on for as long as the test needs, and ends with it.
    let go = folder.path().join("go");
    std::fs::write(&go, "").unwrap();
    let script = format!("while [ -e {} ]; do : > /dev/null; done", go.display());
    recorder.arg("record").arg("-w").arg(&file).args(["-q", "--until-exit", "--", "sh", "-c", &script]);
    let mut child = recorder.stdin(Stdio::null()).spawn().unwrap();
    let mut grown = 0;
    for _ in 0..1200 {
        std::thread::sleep(std::time::Duration::from_millis(100));
        grown = std::fs::metadata(&file).map_or(0, |file| file.len());
        if grown > 20_000 {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(&go).unwrap();
    assert!(grown > 20_000, "{grown} bytes after two minutes");
    let report = verify::verify(std::fs::File::open(&file).unwrap()).unwrap();
    assert!(!report.faults.is_empty());
    assert!(report.faults.iter().all(|fault| fault.wrong == verify::Wrong::Truncated), "{:?}", report.faults);
    let mut reader = CaptureReader::open(&file).unwrap();
    let mut events = 0u64;
    while let Some(item) = reader.next_item().unwrap() {
        events += u64::from(matches!(item, Item::Event(_)));
    }
    assert!(events >= report.records.iter().map(|noted| noted.events).sum::<u64>());
    assert!(events > 0);
}

/// A file that is no program, and one whose interpreter is not there: said, and nothing is left behind.
#[test]
fn a_command_that_cannot_be_started_ends_the_recording() {
    if !permitted("a_command_that_cannot_be_started_ends_the_recording") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (file, program) = (folder.path().join("x.scap.zst"), folder.path().join("program"));
    std::fs::write(&program, "#!/nonexistent\n").unwrap();
    let program_text = program.to_str().unwrap();
    for (mode, why) in [(0o600, "not executable"), (0o700, "program: ")] {
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let output = record(&file, &[], &[program_text]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(why) && said.lines().count() == 1, "{said}");
        assert!(!file.exists());
    }
}

/// Devices stay what they are, whatever is written to them, and however it ends.
#[test]
fn a_device_is_not_a_file_of_ours() {
    let test = "a_device_is_not_a_file_of_ours";
    if !permitted(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("null");
    if !Command::new("mknod").arg(&device).args(["-m", "666", "c", "1", "3"]).status().is_ok_and(|done| done.success())
    {
        return skip(&format!("{test}: devices cannot be made here"));
    }
    let mode = || std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&device).unwrap());
    let before = mode();
    let output = record(&device, &[], &["true"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let program = folder.path().join("program");
    std::fs::write(&program, "#!/nonexistent\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let output = record(&device, &[], &[program.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(mode(), before);
}

/// To a pipe as to a file.
#[test]
fn standard_output_takes_a_capture() {
    if !permitted("standard_output_takes_a_capture") {
        return;
    }
    let mut recorder = recorder();
    recorder.args(["record", "-q", "-w", "-", "--until-exit", "--", "sh", "-c", "exec >/dev/null; /bin/true"]);
    let output = recorder.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report = verify::verify(output.stdout.as_slice()).unwrap();
    assert!(report.faults.is_empty() && report.seal.is_some(), "{:?}", report.faults);
}

/// A disk that is full: what was written stays, ends at a whole frame, and the exit code says it.
#[test]
fn a_full_disk_ends_the_recording_at_a_whole_frame() {
    let test = "a_full_disk_ends_the_recording_at_a_whole_frame";
    if !permitted(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&small).status();
    if !mounted.is_ok_and(|status| status.success()) {
        skip(&format!("{test}: a file system cannot be mounted here"));
        return;
    }
    let file = small.join("x.scap.zst");
    let script = "i=0; while [ $i -lt 3000 ]; do /bin/true $i $i $i; i=$((i+1)); done";
    let output = record(&file, &["-M", "300"], &["sh", "-c", script]);
    let report = verify::verify(std::fs::File::open(&file).unwrap());
    let unmounted = Command::new("umount").arg(&small).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("No space left on device") && said.contains("events were not"), "{said}");
    let report = report.unwrap();
    assert!(
        report.intact > 0 && report.faults.iter().all(|fault| fault.wrong == verify::Wrong::Truncated),
        "{report:?}"
    );
}
