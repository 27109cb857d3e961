//! Options `--audit` and `--audit-skew`: audit logs that tell who is behind the processes of captures.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::exit::Exit;
use super::talk::say;
use crate::audit::join::Requests;
use crate::moment::scaled;
use crate::run::Source;

/// Options of the join.
#[derive(Args, Debug)]
pub(super) struct JoinArgs {
    /// Kubernetes audit log that tells which user is behind what runs in pods; repeat for more
    ///
    /// The exec, attach and debug requests in it are joined with the processes that they started: fields k8s.user.*, and
    /// the user in alerts and process tables, with a confidence. Audit logs among the captures are joined anyway, and
    /// replayed; this one is only joined. A log on standard input is not joined: it can be read only once.
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes users")]
    audit: Vec<PathBuf>,

    /// How much the clocks of API server and node may differ
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = skew,
        default_value = "2",
        help_heading = "Kubernetes users"
    )]
    audit_skew: u64,
}

/// Decimal seconds to nanoseconds.
fn skew(text: &str) -> Result<u64, String> {
    scaled(text, 1_000_000_000).ok_or_else(|| format!("'{text}' is not a number of seconds like 2 or 0.5"))
}

impl JoinArgs {
    /// Reads the requests of the logs; `Err` after saying why not.
    pub(super) fn requests(
        &self,
        captures: &[Source],
        quiet: bool,
        err: &mut dyn Write,
    ) -> Result<Arc<Requests>, Exit> {
        let read = Requests::read(captures, &self.audit, self.audit_skew).map_err(|error| {
            say(err, &format!("error: --audit: {error}"));
            Exit::Unreadable
        })?;
        if !quiet {
            read.notes.iter().for_each(|note| say(err, note));
        }
        Ok(Arc::new(read.requests))
    }
}
