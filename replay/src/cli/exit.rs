//! Exit codes: a table for each command whose meanings differ, from which `--help` takes its text.

use std::io;
use std::process::ExitCode;

pub(super) use casebook_formats::command_line::exit_codes as help;

/// How the tool ended. The numbers are part of the interface and stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Everything was replayed.
    Complete = 0,
    /// What was asked to fail on was found: `run --fail-on-alert`, `lint --deny`.
    Alerts = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The rules did not load.
    Rules = 3,
    /// Some capture could not be read.
    Unreadable = 4,
    /// Some capture was cut off or damaged.
    Incomplete = 5,
    /// The output could not be written.
    Output = 6,
    /// Alerts did not arrive where `--deliver` sent them.
    Undelivered = 7,
    /// Whoever read the output went away: what a shell reports for a program that SIGPIPE ended.
    BrokenPipe = 141,
}

/// Rows that mean the same wherever they stand.
const NO_RULES: (Exit, &str) = (Exit::Rules, "the rules have errors and do not load");
const UNWRITTEN: (Exit, &str) = (Exit::Output, "the output could not be written");
const BROKEN_PIPE: (Exit, &str) = (Exit::BrokenPipe, "the reader of the output went away (as in `| head`)");

/// What `--help` says about each; where several apply, the first of 2, 3, 6, 4, 5, 7, 1 wins.
pub(super) const EXITS: &[(Exit, &str)] = &[
    (Exit::Complete, "every capture was replayed to its end, with or without alerts"),
    (Exit::Alerts, "--fail-on-alert was given and there were such alerts"),
    (Exit::Usage, "the command line makes no sense; nothing was replayed"),
    (Exit::Rules, "a rule file, --filter or a selection has errors; nothing was replayed"),
    (Exit::Unreadable, "a capture is missing, unreadable or no capture; all others were replayed"),
    (Exit::Incomplete, "a capture is cut off or damaged; all that can be read was replayed (see the ledger)"),
    UNWRITTEN,
    (Exit::Undelivered, "alerts did not arrive where --deliver sent them; the output is complete"),
    BROKEN_PIPE,
];

impl Exit {
    /// How a failed write to the output ends the tool.
    pub(super) fn of_output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::BrokenPipe } else { Self::Output }
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

/// The codes of `lint`.
pub(super) const LINT_EXITS: &[(Exit, &str)] = &[
    (Exit::Complete, "the rules load, and nothing was found that --deny names"),
    (Exit::Alerts, "something was found that --deny names"),
    (Exit::Usage, "the command line makes no sense, or names a rule or code that does not exist"),
    NO_RULES,
    UNWRITTEN,
    BROKEN_PIPE,
];

/// The codes of `events`.
pub(super) const EVENTS_EXITS: &[(Exit, &str)] = &[
    (Exit::Complete, "every capture was read as far as asked for"),
    (Exit::Usage, "the command line makes no sense; nothing was read"),
    (Exit::Rules, "--filter or -p has errors; nothing was read"),
    (Exit::Unreadable, "a capture is missing, unreadable or no capture; all others were read"),
    (Exit::Incomplete, "a capture is cut off or damaged; all that can be read was printed (see the ledger)"),
    UNWRITTEN,
    BROKEN_PIPE,
];

/// The codes of `ps` and `fds`.
pub(super) const STILL_EXITS: &[(Exit, &str)] = &[
    (Exit::Complete, "the capture was read up to the moment"),
    (Exit::Usage, "the command line makes no sense, or the moment or process is not there"),
    (Exit::Unreadable, "the capture is missing, unreadable or no capture"),
    (Exit::Incomplete, "the capture is cut off or damaged before the moment (see the ledger)"),
    UNWRITTEN,
    BROKEN_PIPE,
];

/// The codes of `explain`.
pub(super) const EXPLAIN_EXITS: &[(Exit, &str)] = &[
    (Exit::Complete, "the rule was explained"),
    (Exit::Usage, "the command line makes no sense, or the rule or event is not there"),
    NO_RULES,
    (Exit::Unreadable, "a capture is missing, unreadable or no capture"),
    (Exit::Incomplete, "a capture is cut off or damaged; all that can be read was looked at"),
    UNWRITTEN,
    BROKEN_PIPE,
];

/// The codes of `test`.
pub(super) const TEST_EXITS: &[(Exit, &str)] = &[
    (Exit::Complete, "every case passed, or was skipped because something it requires is not there"),
    (Exit::Alerts, "a case failed, a baseline was noisy, or repeated runs differed"),
    (Exit::Usage, "the command line makes no sense, or there is no case; nothing was run"),
    (Exit::Rules, "a case or its rules have errors; nothing was run"),
    (Exit::Unreadable, "a capture of a case or baseline cannot be read; all others were run"),
    (Exit::Output, "an output could not be written"),
    BROKEN_PIPE,
];

/// The codes of `coverage`.
pub(super) const COVERAGE_EXITS: &[(Exit, &str)] = &[
    (Exit::Complete, "everything was looked at, and nothing is below what --min-score asks for"),
    (Exit::Alerts, "the mutation score is below --min-score"),
    (Exit::Usage, "the command line makes no sense, or a case is not as cases are written"),
    NO_RULES,
    (Exit::Unreadable, "a capture is missing, unreadable or no capture; all others were looked at"),
    (Exit::Incomplete, "a capture is cut off or damaged; all that can be read was looked at"),
    UNWRITTEN,
    BROKEN_PIPE,
];

/// The codes of `slice` and `minimize`.
pub(super) const EXCERPT_EXITS: &[(Exit, &str)] = &[
    (Exit::Complete, "the output was written"),
    (Exit::Usage, "the command line makes no sense, nothing is selected, or no such alert fires"),
    NO_RULES,
    (Exit::Unreadable, "the capture is missing, unreadable, no capture or several"),
    (Exit::Output, "the output could not be written, or is there already"),
];

/// The codes of `redact`.
pub(super) const REDACT_EXITS: &[(Exit, &str)] = &[
    (Exit::Complete, "the output was written, and the rules say the same of it"),
    (Exit::Alerts, "the output was written, and alerts changed (listed in the manifest)"),
    (Exit::Usage, "the command line makes no sense, or the policy or the key is none; nothing was written"),
    NO_RULES,
    (Exit::Unreadable, "the capture is missing, unreadable or no capture"),
    (Exit::Output, "an output could not be written, or is there already"),
    BROKEN_PIPE,
];

/// The codes of `index`.
pub(super) const INDEX_EXITS: &[(Exit, &str)] = &[
    (Exit::Complete, "the checkpoints of every capture were made, or are right"),
    (Exit::Alerts, "--check was given and some are not what the capture says"),
    (Exit::Usage, "the command line makes no sense"),
    (Exit::Unreadable, "a capture is missing, damaged or no sealed .scap.zst; all others were indexed"),
    (Exit::Output, "the checkpoints or the output could not be written"),
    BROKEN_PIPE,
];

/// The codes of `diff`.
pub(super) const DIFF_EXITS: &[(Exit, &str)] = &[
    (Exit::Complete, "both rulesets were compared, whether or not they differ"),
    (Exit::Alerts, "--exit-code was given, and alerts or meanings differ"),
    (Exit::Usage, "the command line makes no sense"),
    (Exit::Rules, "rules have errors and do not load"),
    (Exit::Unreadable, "a capture is missing, unreadable or no capture; all others were looked at"),
    (Exit::Incomplete, "a capture is cut off or damaged; all that can be read was looked at"),
    UNWRITTEN,
    BROKEN_PIPE,
];

/// The codes of `tune`.
pub(super) const TUNE_EXITS: &[(Exit, &str)] = &[
    (Exit::Complete, "there is a proposal"),
    (Exit::Alerts, "there is none"),
    (Exit::Usage, "the command line makes no sense, or there is no such rule"),
    NO_RULES,
    (Exit::Unreadable, "a capture is missing, unreadable or no capture; all others were looked at"),
    (Exit::Incomplete, "a capture is cut off or damaged; all that can be read was looked at"),
    UNWRITTEN,
    BROKEN_PIPE,
];
