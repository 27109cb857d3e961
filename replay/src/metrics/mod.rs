//! Metrics: what a run found, as time series for Prometheus.
//!
//! Each capture's [`Tally`] counts what the rules were shown, what they said and what was lost, by the capture's own time
//! → [`Board`] of the run → [`text`]: `OpenMetrics` with the times of the captures, for
//! `promtool tsdb create-blocks-from openmetrics`, or the totals without times, for the textfile collector of
//! `node_exporter`. Series are counters over the run's captures, host by host, sampled at a regular step while that host was
//! recorded: `rate()` and `increase()` work on them as on scraped ones.
//!
//! **Bounds.** Three things could grow with a capture, and none does: series (pods multiply them; [`Options::series`]: of
//! those beyond, alerts are counted without their pod), times ([`series::MAX_CELLS`] and [`text::MAX_SAMPLES`]: beyond, the
//! step doubles), and the length of a name ([`MAX_LABEL`]). What is left out by the first is the same whatever the order in
//! which captures and their parts are counted: the series kept are those with the smallest hashes.
//!
//! **Names** are those of the programs that people's dashboards were made for ([`NameSet`]), as their sources have them.
//! The encoder is our own: `prometheus-client` writes no times, and puts `_total` behind the names of counters, which
//! `falco_events` does not have.

pub mod series;
pub mod text;

use std::sync::{Mutex, PoisonError};

use casebook_formats::ledger::{ALL, Ledger};
use casebook_rules::priority::Priority;

use crate::audit::json::Json;
use crate::context::EventContext;
use crate::summary::CaptureReport;
use series::{Key, Series};

/// Longest value of a label, in characters; longer ones are cut.
pub const MAX_LABEL: usize = 256;
/// Series that alerts may make, unless told otherwise.
pub const DEFAULT_SERIES: usize = 10_000;
/// Time between two samples, unless told otherwise: 5 s.
pub const DEFAULT_STEP: u64 = 5_000_000_000;
/// The pod of alerts that are counted without theirs.
pub const OVERFLOW_POD: &str = "(more pods than --metrics-series)";

/// Whose names the series of alerts have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum NameSet {
    /// `falco_events`, as falco-exporter: `rule priority hostname source k8s_ns_name k8s_pod_name tags`.
    FalcoExporter,
    /// `falcosecurity_falcosidekick_falco_events_total`, as falcosidekick.
    Falcosidekick,
    /// `falcosecurity_falco_rules_matches_total` and relatives, as Falco's own endpoint.
    Falco,
}

/// What is written.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names of the series of alerts, each at most once.
    pub names: Vec<NameSet>,
    /// Nanoseconds between two samples, whole milliseconds.
    pub step: u64,
    /// Series that alerts may make: host, rule, namespace and pod.
    pub series: usize,
}

/// A rule as labels name it.
#[derive(Clone, Debug)]
pub struct RuleFacts {
    /// Its name.
    pub name: String,
    /// Its priority.
    pub priority: Priority,
    /// Its source.
    pub source: String,
    /// Its tags, sorted.
    pub tags: Vec<String>,
}

/// Where the captures of a run bring their counts.
#[derive(Debug)]
pub struct Board {
    options: Options,
    series: Mutex<Series>,
}

impl Board {
    /// An empty one.
    pub fn new(options: Options) -> Self {
        let series = Mutex::new(Series::new(options.step, options.series));
        Self { options, series }
    }

    /// Begins a capture, or a part of one.
    pub fn tally(&self) -> Tally<'_> {
        Tally {
            board: self,
            series: Series::new(self.options.step, self.options.series),
            host: String::new(),
            run: None,
            lost: Ledger::default(),
            step: self.options.step,
        }
    }

    /// The run is over: what was counted.
    pub fn finish(self) -> (Options, Series) {
        (self.options, self.series.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The counts of one capture, or of a part of one.
pub struct Tally<'b> {
    board: &'b Board,
    series: Series,
    /// Host of the last event.
    host: String,
    /// Events that have not been entered yet: they all are of one host, source and step.
    run: Option<Run>,
    /// What was lost so far.
    lost: Ledger,
    step: u64,
}

/// Events of one source, within one step.
struct Run {
    source: &'static str,
    /// End of the step.
    until: u64,
    events: u64,
}

impl Tally<'_> {
    /// A part begins, on this host; `ledger` is what was lost before it.
    pub fn begin(&mut self, hostname: &[u8], ledger: &Ledger) {
        self.host = label(hostname);
        self.lost = ledger.clone();
    }

    /// An event of this host has come, whether or not it will be counted.
    #[inline]
    pub fn on(&mut self, hostname: &[u8]) {
        if self.host.as_bytes() != hostname {
            self.turn(hostname);
        }
    }

    #[cold]
    fn turn(&mut self, hostname: &[u8]) {
        self.flush();
        self.host = label(hostname);
    }

    /// An event that rules were asked about, of the host that was told last.
    #[inline]
    pub fn event(&mut self, context: &EventContext<'_>) {
        let Some(source) = context.source() else { return };
        let ts = context.event.ts;
        match &mut self.run {
            Some(run) if ts <= run.until && run.until - ts < self.step && run.source == source => run.events += 1,
            _ => self.step(source, ts),
        }
    }

    #[cold]
    fn step(&mut self, source: &'static str, ts: u64) {
        self.flush();
        self.run = Some(Run { source, until: ts.div_ceil(self.step).saturating_mul(self.step), events: 1 });
    }

    fn flush(&mut self) {
        if let Some(run) = self.run.take() {
            self.series.add(&self.host, Key::Events(run.source), run.until, run.events);
        }
    }

    /// An alert of a rule on an event that was counted.
    pub fn alert(&mut self, rule: u32, context: &EventContext<'_>) {
        let (namespace, pod) = place(context);
        self.series.alert(&self.host, rule, namespace, pod, context.event.ts);
    }

    /// Whether it has to hear what was lost, between an event at `previous` and one at `ts`.
    #[inline]
    pub fn is_due(&self, previous: u64, ts: u64) -> bool {
        previous.div_ceil(self.step) != ts.div_ceil(self.step)
    }

    /// What was lost since the capture began, until `ts`.
    pub fn lost(&mut self, ts: u64, ledger: &Ledger) {
        for &counter in ALL {
            let more = ledger.get(counter).saturating_sub(self.lost.get(counter));
            if more > 0 {
                self.series.add(&self.host, Key::Lost(counter), ts, more);
                self.lost.add(counter, more);
            }
        }
    }

    /// What the recorder itself lost until `ts`, on top of that.
    pub fn recorder_lost(&mut self, ts: u64, ledger: &Ledger) {
        for &counter in ALL {
            self.series.add(&self.host, Key::Lost(counter), ts, ledger.get(counter));
        }
    }

    /// Takes over what was counted of the part that follows.
    pub fn absorb(&mut self, mut next: Self) {
        self.flush();
        next.flush();
        if !next.host.is_empty() {
            self.host = next.host;
        }
        self.series.merge(next.series);
    }

    /// The capture is over: what its report has lost beyond what was heard of was lost at its end.
    pub fn end(&mut self, report: &CaptureReport) {
        self.flush();
        let heard = self.series.lost();
        for &counter in ALL {
            let more = report.ledger.get(counter).saturating_sub(heard.get(counter));
            self.series.add(&self.host, Key::Lost(counter), report.last_ts, more);
        }
        let own = std::mem::replace(&mut self.series, Series::new(self.step, 0));
        self.board.series.lock().unwrap_or_else(PoisonError::into_inner).merge(own);
    }
}

/// Namespace and pod of an event: of its container, or those that an audit event is about.
fn place(context: &EventContext<'_>) -> (String, String) {
    if let Some(document) = context.document {
        let of = |member: &str| document.json.at(&["objectRef", member]).and_then(Json::str);
        let is_pod = of("resource") == Some("pods");
        let text = |value: Option<&str>| label(value.unwrap_or_default().as_bytes());
        return (text(of("namespace")), text(of("name").filter(|_| is_pod)));
    }
    let container = context.state.event_container(context.effects);
    let text = |value: Option<&crate::state::Text>| value.map(|value| label(value)).unwrap_or_default();
    (text(container.and_then(|it| it.pod_namespace())), text(container.and_then(|it| it.pod_name())))
}

/// A text of a capture as the value of a label.
fn label(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text.get(..text.len().min(4 * MAX_LABEL)).unwrap_or_default());
    text.chars().take(MAX_LABEL).collect()
}
