//! Exit codes: one table, from which `--help` takes its text.

use std::io;
use std::process::ExitCode;

use crate::command_line::exit_codes;

/// How the tool ended. The numbers are part of the interface and stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done, nothing is wrong.
    Complete = 0,
    /// `verify` found something wrong.
    Faults = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Some input could not be read or is of the wrong kind.
    Unreadable = 4,
    /// Some input is cut off or damaged; what could be used was.
    Incomplete = 5,
    /// The output could not be written.
    Output = 6,
    /// Whoever read the output went away: what a shell reports for a program that SIGPIPE ended.
    BrokenPipe = 141,
}

/// What `--help` says about each.
const EXITS: &[(Exit, &str)] = &[
    (Exit::Complete, "everything was done, nothing is wrong"),
    (Exit::Faults, "verify: a file is not what was written"),
    (Exit::Usage, "the command line makes no sense; nothing was done"),
    (Exit::Unreadable, "an input is missing, unreadable or of the wrong kind; all others were used"),
    (Exit::Incomplete, "an input is cut off or damaged; what could be used was"),
    (Exit::Output, "the output could not be written, or is there already"),
    (Exit::BrokenPipe, "the reader of the output went away (as in `| head`)"),
];

impl Exit {
    /// How a failed write to the output ends the tool.
    pub(super) fn of_output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::BrokenPipe } else { Self::Output }
    }

    /// How `casebook-replay` ended, in our numbers: those that both have mean the same.
    pub(super) fn of_sibling(code: i32) -> Self {
        let all = [Self::Complete, Self::Faults, Self::Usage, Self::Incomplete, Self::Output, Self::BrokenPipe];
        all.into_iter().find(|exit| *exit as i32 == code).unwrap_or(Self::Unreadable)
    }

    /// The more important of two: what could not be written, then what could not be read, then what was found.
    pub(super) fn worst(self, other: Self) -> Self {
        let rank = |exit| match exit {
            Self::Complete => 0,
            Self::Incomplete => 1,
            Self::Faults => 2,
            Self::Unreadable => 3,
            Self::Usage => 4,
            Self::Output | Self::BrokenPipe => 5,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        exit as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// The table as help text.
pub(super) fn help() -> String {
    exit_codes(EXITS)
}
