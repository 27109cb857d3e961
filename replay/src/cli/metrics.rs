//! Options `--metrics` and relatives: from options to a board, from the board to files.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::captures;
use super::exit::Exit;
use super::talk::say;
use crate::metrics::{Board, DEFAULT_SERIES, DEFAULT_STEP, NameSet, Options, RuleFacts, text};
use crate::moment::scaled;
use crate::run::Source;

/// Options of metrics.
#[derive(Args, Debug)]
pub(super) struct MetricsArgs {
    /// Write alerts, events and losses over time to this file, as `OpenMetrics` with the times of the captures
    ///
    /// For `promtool tsdb create-blocks-from openmetrics FILE data`. Counters of all captures of the run, host by host,
    /// sampled while the host was recorded. replay/grafana/README.md goes from there to dashboards.
    #[arg(long, value_name = "FILE", help_heading = "Metrics")]
    metrics: Option<PathBuf>,

    /// Write the totals to this file without times, for the textfile collector of `node_exporter`
    #[arg(long, value_name = "FILE", help_heading = "Metrics")]
    textfile: Option<PathBuf>,

    /// Whose names the series of alerts have; repeat for more [default: falco-exporter]
    #[arg(long = "metrics-names", value_name = "NAMES", help_heading = "Metrics")]
    names: Vec<NamesArg>,

    /// Time between two samples of --metrics, by the clock of the captures
    ///
    /// Doubled as often as it takes to keep the file below two million samples.
    #[arg(
        long = "metrics-step",
        value_name = "SECONDS",
        value_parser = step,
        default_value = "5",
        help_heading = "Metrics"
    )]
    step: u64,

    /// Series that alerts may make (host, rule, namespace and pod); what is beyond is counted without its pod
    #[arg(long = "metrics-series", value_name = "N", default_value_t = DEFAULT_SERIES, help_heading = "Metrics")]
    series: usize,
}

/// Names of the series of alerts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum NamesArg {
    /// `falco_events{rule, priority, hostname, source, k8s_ns_name, k8s_pod_name, tags}`
    FalcoExporter,
    /// `falcosecurity_falcosidekick_falco_events_total`
    Falcosidekick,
    /// `falcosecurity_falco_rules_matches_total`, `falcosecurity_scap_n_evts_total` and `…_n_drops_total`
    Falco,
    /// All of them
    All,
}

impl NamesArg {
    fn sets(self) -> &'static [NameSet] {
        match self {
            Self::FalcoExporter => &[NameSet::FalcoExporter],
            Self::Falcosidekick => &[NameSet::Falcosidekick],
            Self::Falco => &[NameSet::Falco],
            Self::All => &[NameSet::FalcoExporter, NameSet::Falcosidekick, NameSet::Falco],
        }
    }
}

/// Decimal seconds to nanoseconds; Prometheus keeps milliseconds.
fn step(text: &str) -> Result<u64, String> {
    let ms = scaled(text, 1000).filter(|ms| (1..=86_400_000).contains(ms));
    let ms = ms.ok_or_else(|| format!("'{text}' is not a number of seconds from 0.001 to 86400"))?;
    Ok(ms * (DEFAULT_STEP / 5000))
}

/// Files that metrics will be written to.
pub(super) struct Targets {
    timed: Option<Target>,
    totals: Option<Target>,
}

/// A file that appears whole or not at all: readers such as `node_exporter` may look at any time.
struct Target {
    path: PathBuf,
    beside: PathBuf,
    file: File,
}

impl MetricsArgs {
    /// Where to count, if metrics are wanted.
    pub(super) fn board(&self) -> Option<Board> {
        if self.metrics.is_none() && self.textfile.is_none() {
            return None;
        }
        let mut names: Vec<NameSet> = self.names.iter().flat_map(|names| names.sets()).copied().collect();
        if names.is_empty() {
            names.push(NameSet::FalcoExporter);
        }
        names.sort_unstable();
        names.dedup();
        Some(Board::new(Options { names, step: self.step, series: self.series }))
    }

    /// Opens the files before anything is replayed; `Err` after saying why not.
    pub(super) fn targets(&self, captures: &[Source], err: &mut dyn Write) -> Result<Targets, Exit> {
        let mut open =
            |path: &Option<PathBuf>| path.as_deref().map(|path| Target::create(path, captures, &mut *err)).transpose();
        Ok(Targets { timed: open(&self.metrics)?, totals: open(&self.textfile)? })
    }
}

impl Target {
    fn create(path: &Path, captures: &[Source], err: &mut dyn Write) -> Result<Self, Exit> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let beside = path.with_file_name(name);
        captures::refuse_input(path, captures, [], err)?;
        let file = captures::create(&beside, captures, [], err)?;
        Ok(Self { path: path.to_owned(), beside, file })
    }

    /// Writes it and gives it its name.
    fn write(self, make: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), (PathBuf, io::Error)> {
        let Self { path, beside, file } = self;
        let mut out = BufWriter::new(file);
        let written = make(&mut out).and_then(|()| out.flush()).and_then(|()| fs::rename(&beside, &path));
        written.map_err(|error| {
            // What is half written helps nobody.
            let _ = fs::remove_file(&beside);
            (path, error)
        })
    }
}

impl Targets {
    /// Writes the files; `Err` after saying why one cannot be written.
    pub(super) fn write(self, board: Board, rules: &[RuleFacts], quiet: bool, err: &mut dyn Write) -> Result<(), Exit> {
        let (options, mut series) = board.finish();
        if series.overflow() > 0 && !quiet {
            let (n, limit) = (series.overflow(), options.series);
            say(err, &format!("warning: metrics: {n} alerts are counted without their pod (--metrics-series {limit})"));
        }
        let mut failed = None;
        if let Some(target) = self.totals {
            failed = target.write(|out| text::totals(&series, &options, rules, out)).err();
        }
        if let Some(target) = self.timed {
            let mut step = options.step;
            let written = target.write(|out| {
                step = text::timed(&mut series, &options, rules, out)?;
                Ok(())
            });
            failed = failed.or(written.err());
            if step > options.step && !quiet {
                let step = step as f64 / 1e9;
                say(err, &format!("note: metrics: a sample every {step} s, to keep the file small (--metrics-step)"));
            }
        }
        let Some((path, error)) = failed else { return Ok(()) };
        say(err, &format!("error: {}: {error}", path.display()));
        Err(Exit::Output)
    }

    /// Nothing will be written.
    pub(super) fn give_up(self) {
        for target in [self.timed, self.totals].into_iter().flatten() {
            // It was ours and is empty.
            let _ = fs::remove_file(&target.beside);
        }
    }
}
