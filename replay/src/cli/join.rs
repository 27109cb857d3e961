//! Options `--audit`, `--audit-skew` and `--audit-offset`: audit logs that tell who is behind the processes of captures.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::exit::Exit;
use super::talk::say;
use crate::audit::join::{Clocks, Requests};
use crate::moment::scaled;
use crate::run::Source;

/// Options of the join.
#[derive(Args, Debug)]
pub(super) struct JoinArgs {
    /// Kubernetes audit log that tells which user is behind what runs in pods; repeat for more
    ///
    /// The exec, attach and debug requests in it are joined with the processes that they started: fields k8s.user.*, and
    /// the user in alerts and process tables, with a confidence. Audit logs among the captures are joined anyway, and
    /// replayed, as are captures of Falco's k8saudit plugin; this one is only joined.
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes users")]
    audit: Vec<PathBuf>,

    #[command(flatten)]
    clocks: ClockArgs,
}

/// Options about the clock of the API server, for every tool that joins its audit logs with captures.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ClockArgs {
    /// How much the clocks of API server and node may differ
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = skew,
        default_value = "2",
        help_heading = "Kubernetes users"
    )]
    audit_skew: u64,

    /// Added to the times of audit logs before they are compared with a capture's, where the API server's clock is known to be
    /// fast or slow: -90 where it was a minute and a half ahead
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = offset,
        default_value = "0",
        allow_hyphen_values = true,
        help_heading = "Kubernetes users"
    )]
    audit_offset: i64,
}

impl From<ClockArgs> for Clocks {
    fn from(args: ClockArgs) -> Self {
        Self { skew: args.audit_skew, offset: args.audit_offset }
    }
}

/// Decimal seconds to nanoseconds.
fn skew(text: &str) -> Result<u64, String> {
    scaled(text, 1_000_000_000).ok_or_else(|| format!("'{text}' is not a number of seconds like 2 or 0.5"))
}

/// Decimal seconds with a sign to nanoseconds.
fn offset(text: &str) -> Result<i64, String> {
    let (sign, amount) = match text.strip_prefix('-') {
        Some(amount) => (-1, amount),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let amount = scaled(amount, 1_000_000_000).and_then(|amount| i64::try_from(amount).ok());
    amount.map(|amount| sign * amount).ok_or_else(|| format!("'{text}' is not a number of seconds like 2 or -0.5"))
}

impl JoinArgs {
    /// Reads the requests of the logs; `Err` after saying why not. A log on standard input is held for the replay.
    pub(super) fn requests(
        &self,
        captures: &mut [Source],
        quiet: bool,
        err: &mut dyn Write,
    ) -> Result<Arc<Requests>, Exit> {
        Source::hold(captures).map_err(|error| {
            say(err, &format!("error: {error}"));
            Exit::Unreadable
        })?;
        let read = Requests::read(captures, &self.audit, self.clocks.into()).map_err(|error| {
            say(err, &format!("error: --audit: {error}"));
            Exit::Unreadable
        })?;
        if !quiet {
            read.notes.iter().for_each(|note| say(err, note));
        }
        Ok(Arc::new(read.requests))
    }
}
