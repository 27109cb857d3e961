//! `files`: which files processes opened, read and changed.

use std::io::{self, Write};

use casebook_replay::cli::{Exit, Terminals};
use clap::{Args, ValueEnum};

use super::{Common, Question, answer};
use crate::frames::View;
use crate::load::LoadArgs;

/// Options of `files`.
#[derive(Args, Debug)]
pub struct FilesArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// A row a file, a process, or each of the files of each process
    #[arg(long, value_name = "WHAT", default_value = "file")]
    by: By,

    /// What comes first
    #[arg(long, value_name = "ORDER", default_value = "bytes")]
    sort: Sort,

    /// Only paths that contain this; repeat for more
    #[arg(long, value_name = "TEXT")]
    path: Vec<String>,

    /// Only what was created, written, renamed, removed, or changed in mode or owner
    #[arg(long)]
    changed: bool,

    #[command(flatten)]
    common: Common,
}

/// What a row of `files` is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum By {
    /// A path (of a host and container)
    File,
    /// A process life
    Process,
    /// A path and process life
    Use,
}

/// Orders of `files`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Sort {
    /// Bytes read and written
    Bytes,
    /// Bytes written
    Written,
    /// Opens
    Opens,
    /// Opens that failed
    Failed,
    /// Creations, renames, removals, changes of mode and owner
    Changes,
    /// Time of the first use
    First,
    /// Path, or name of the process
    Name,
}

/// What is counted.
const COUNTS: &str = "SUM(u.bytes_read) AS read, SUM(u.bytes_written) AS written, SUM(u.opens) AS opens, \
    SUM(u.failed_opens) AS failed, SUM(u.created + u.renames + u.unlinks + u.chmods) AS changes, \
    MIN(u.first) AS first, MAX(u.last) AS last";
impl By {
    fn question(self) -> Question {
        let (what, by) = match self {
            Self::File => (
                "u.path, MIN(u.proc_name) AS process, COUNT(DISTINCT u.upid) AS lives, u.container_id, u.host",
                "u.host, u.container_id, u.path",
            ),
            Self::Process => (
                "u.proc_name AS process, p.pid, p.user_name, COUNT(*) AS files, u.container_id, u.host",
                "u.host, u.upid, u.proc_name, u.container_id, p.pid, p.user_name",
            ),
            Self::Use => (
                "u.path, u.proc_name AS process, p.pid, p.user_name, u.container_id, u.host",
                "u.host, u.upid, u.proc_name, u.container_id, p.pid, p.user_name, u.path",
            ),
        };
        Question { what, by }
    }
}

impl Sort {
    fn order(self, by: By) -> &'static str {
        match self {
            Self::Bytes => "read + written DESC, opens DESC",
            Self::Written => "written DESC, changes DESC",
            Self::Opens => "opens DESC",
            Self::Failed => "failed DESC",
            Self::Changes => "changes DESC, written DESC",
            Self::First => "first",
            Self::Name if by == By::Process => "process",
            Self::Name => "path",
        }
    }
}

/// Runs `files`.
///
/// # Errors
///
/// The output could not be written.
pub fn run(args: &FilesArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> io::Result<Exit> {
    let Question { what, by } = args.by.question();
    let query = format!(
        "SELECT {what}, {COUNTS} FROM files u JOIN processes p ON u.upid = p.upid GROUP BY {by} ORDER BY {}",
        args.sort.order(args.by)
    );
    let keep = |table: View<'_>| {
        let paths = table.texts("path");
        let changes = ["created", "writes", "renames", "unlinks", "chmods"].map(|name| table.uints(name));
        let row = move |row: usize| {
            let alters = !args.changed || changes.iter().any(|counts| counts[row].unwrap_or(0) > 0);
            alters
                && (args.path.is_empty()
                    || args.path.iter().any(|part| paths[row].is_some_and(|path| path.contains(part.as_str()))))
        };
        (0..table.height()).map(row).collect()
    };
    answer("files", &args.load, &args.common, &query, &keep, (out, err), terminals)
}
