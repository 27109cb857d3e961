//! `casebook index`: handed on to `casebook-replay index`, which owns what checkpoints hold.
//!
//! A checkpoint is the state of a replay, and this crate knows no state: dependencies point the other way. So the
//! program beside this one does it, or else the one on the path, on the same terminal.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Command;

use super::args::IndexArgs;
use super::exit::Exit;
use super::say;

/// The program that knows states.
const SIBLING: &str = "casebook-replay";

/// Runs the subcommand.
pub(super) fn run(args: &IndexArgs, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    // What was said before stands before what the other program says.
    let _ = out.flush();
    let beside = sibling();
    let program = beside.clone().map_or_else(|| OsString::from(SIBLING), PathBuf::into_os_string);
    match Command::new(&program).arg("index").args(&args.arguments).status() {
        Ok(status) => status.code().map_or_else(
            || {
                say(err, &format!("{}: was ended by a signal", PathBuf::from(program).display()));
                Exit::Unreadable
            },
            Exit::of_sibling,
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            say(
                err,
                "index: the program casebook-replay is needed for it, and is neither beside this one nor on the path; \
                 `cargo install --path replay` installs it",
            );
            Exit::Unreadable
        }
        Err(error) => {
            say(err, &format!("{}: {error}", PathBuf::from(program).display()));
            Exit::Unreadable
        }
    }
}

/// The program in the folder of this one, where it is there.
fn sibling() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let beside = own.parent()?.join(format!("{SIBLING}{}", std::env::consts::EXE_SUFFIX));
    beside.is_file().then_some(beside)
}
