//! The tool `casebook` as people and scripts use it: output, messages, exit codes, a module a group of commands.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)] // a failed step fails the test

#[path = "../bytes/mod.rs"]
mod bytes;
mod convert;
mod dump;
mod looks;
mod salvage;
#[path = "../tool/mod.rs"]
mod tool;

use casebook_formats::cli::Exit;
use tool::casebook;

#[test]
fn the_command_line_explains_itself() {
    let ran = casebook(&["--help"]);
    assert_eq!(ran.exit, Exit::Complete);
    assert!(ran.text().contains("Exit codes:") && ran.text().contains("verify"));
    assert_eq!(casebook(&[]).exit, Exit::Usage);
    assert_eq!(casebook(&["info"]).exit, Exit::Usage);
    assert_eq!(casebook(&["convert", "a", "--level", "77"]).exit, Exit::Usage);
}
