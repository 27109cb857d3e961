//! Options `--deliver` and relatives.

use std::io::Write;
use std::time::Duration;

use clap::Args;

use super::exit::Exit;
use super::talk::say;
use crate::deliver::{DEFAULT_ATTEMPTS, DEFAULT_PATIENCE, DEFAULT_QUEUE, Delivery, Policy, Target};

/// Options of delivery.
#[derive(Args, Debug)]
pub(super) struct DeliverArgs {
    /// Send every alert there too: `http://host:port/path`, `udp://host:port`, `tcp://host:port`, `unix:/dev/log`, `file:PATH`
    ///
    /// http: a POST each, in Falco's JSON, as falcosidekick takes it. udp, tcp, unix: syslog (RFC 5424), the line in the
    /// form of --output. file: a JSON object a line, at the end of the file. Repeat for more. Without this option nothing
    /// touches the network. https: needs a build with the cargo feature `tls`.
    #[arg(long, value_name = "TARGET", help_heading = "Delivery")]
    deliver: Vec<Target>,

    /// Alerts that may wait for each target
    ///
    /// A target that is slow makes the replay wait. While a target fails, alerts that find the queue full are dropped,
    /// and counted in the summary.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_QUEUE, help_heading = "Delivery")]
    deliver_queue: usize,

    /// Attempts for each alert, with growing pauses between them
    #[arg(long, value_name = "N", default_value_t = DEFAULT_ATTEMPTS, help_heading = "Delivery")]
    deliver_attempts: u32,

    /// Seconds after the end of the replay for what still waits
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_PATIENCE, help_heading = "Delivery")]
    deliver_patience: u64,

    /// Certificates (PEM) of those who may vouch for https: targets, in place of the ones that browsers know
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", help_heading = "Delivery")]
    deliver_ca: Option<std::path::PathBuf>,
}

impl DeliverArgs {
    /// Whether alerts are to be sent anywhere.
    pub(super) fn is_wanted(&self) -> bool {
        !self.deliver.is_empty()
    }

    /// Opens the targets, if there are any; `Err` after saying why not.
    pub(super) fn start(&self, err: &mut dyn Write) -> Result<Option<Delivery>, Exit> {
        if !self.is_wanted() {
            return Ok(None);
        }
        let policy = Policy {
            queue: self.deliver_queue,
            attempts: self.deliver_attempts,
            patience: Duration::from_secs(self.deliver_patience),
        };
        self.authorities().and_then(|pem| Delivery::start(&self.deliver, policy, pem.as_deref())).map(Some).map_err(
            |error| {
                say(err, &format!("error: --deliver: {error}"));
                Exit::Output
            },
        )
    }

    #[cfg(feature = "tls")]
    fn authorities(&self) -> Result<Option<Vec<u8>>, String> {
        let read =
            |path: &std::path::PathBuf| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        self.deliver_ca.as_ref().map(read).transpose()
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)] // as its twin above
    fn authorities(&self) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }
}
