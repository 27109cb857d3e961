//! From a command line to frames: captures found, rules loaded, every capture replayed, all of them put together.
//!
//! Captures are replayed in parallel and put together in the order in which they were named; the result does not depend
//! on the number of workers. What is said about them is said in that order too.

mod args;
mod digest;

use std::sync::atomic::{AtomicU64, Ordering};

use casebook_formats::progress::Progress;
use casebook_replay::detect::Detector;
use casebook_replay::run::Source;
use polars::prelude::{Column, DataFrame, IntoColumn as _, IntoSeries as _, PlSmallStr, SortMultipleOptions};
use rayon::prelude::*;

use crate::frames::{self, Capture, Error, Frames, LIFE_BITS, Sink, Wanted};
use crate::schema::{self, COMMON, Table};

pub(crate) use args::say;
pub use args::{LoadArgs, Loaded, RuleInfo, Rules};
pub use digest::sha256;

/// Stack of a worker: conditions nest, and the depth that the rule language allows has to fit with room to spare.
const STACK: usize = 16 << 20;
/// Bytes that the rows of `events` may take unless `--limit-memory` says otherwise.
pub const DEFAULT_LIMIT: u64 = 2 << 30;

/// What is to be made of captures.
pub struct Options<'a> {
    /// Tables and columns.
    pub wanted: Wanted,
    /// Rules for `alerts`.
    pub detector: Option<&'a Detector>,
    /// Bytes that the rows of `events` of all captures may take.
    pub limit: u64,
    /// Captures replayed at the same time; 0 counts as 1.
    pub jobs: usize,
    /// Draw a progress bar on standard error.
    pub progress: bool,
}

/// How a capture was read, for notes and exit codes.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The capture as it was named.
    pub name: String,
    /// Why it could not be read, or not to its end.
    pub unreadable: Option<String>,
    /// What of it is cut off or damaged.
    pub damage: Option<String>,
    /// Rows for which there was no room.
    pub left_out: u64,
    /// Other things to say.
    pub notes: Vec<String>,
}

/// Frames of captures, and how each was read, in the order of the captures.
///
/// # Errors
///
/// When the frames could not be made. What is wrong with captures stands in their outcomes.
pub fn frames(sources: &[Source], options: &Options<'_>) -> Result<(Frames, Vec<Outcome>), Error> {
    let done = each(sources, options, |index, source, share, advance| {
        let mut sink = Memory::default();
        let digest = digest_of(source, options);
        let reading = frames::Reading {
            wanted: &options.wanted,
            detector: options.detector,
            limit: share,
            digest: digest.as_deref(),
            advance,
        };
        let capture = frames::read(source, &reading, &mut sink)?;
        let outcome = outcome(source, &capture, &sink);
        Ok((sink.stamped(index, &source.name(), capture.host.as_deref())?, outcome))
    })?;
    let mut frames = Frames::default();
    let mut outcomes = Vec::new();
    for (tables, outcome) in done {
        for (table, frame) in tables {
            frames.append(table.name, frame)?;
        }
        outcomes.push(outcome);
    }
    for table in options.wanted.names() {
        if frames.frame(table).width() == 0
            && let Some(table) = schema::table(table)
        {
            frames.append(table.name, frames::empty(table)?)?;
        }
    }
    Ok((frames, outcomes))
}

/// The rows of captures into a sink, capture by capture, without holding them: frames come with the columns of
/// [`COMMON`] and with numbers of process lives that are unique among all captures.
///
/// # Errors
///
/// When the sink takes no more.
pub fn stream(sources: &[Source], options: &Options<'_>, sink: &mut dyn Sink) -> Result<Vec<Outcome>, Error> {
    let one_by_one = Options { jobs: 1, wanted: options.wanted.clone(), ..*options };
    let mut outcomes = Vec::new();
    let shared = std::sync::Mutex::new((sink, &mut outcomes));
    each(sources, &one_by_one, |index, source, _, advance| {
        let mut shared = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (sink, outcomes) = &mut *shared;
        let digest = digest_of(source, &one_by_one);
        let host = host_of(source);
        let name = source.name();
        let mut stamp = Stamp { sink: &mut **sink, index, name: &name, host: host.as_deref(), left_out: 0 };
        let reading = frames::Reading {
            wanted: &one_by_one.wanted,
            detector: one_by_one.detector,
            limit: u64::MAX,
            digest: digest.as_deref(),
            advance,
        };
        let capture = frames::read(source, &reading, &mut stamp)?;
        let left_out = stamp.left_out;
        outcomes.push(Outcome {
            name,
            unreadable: capture.unreadable,
            damage: capture.damage,
            left_out,
            notes: Vec::new(),
        });
        Ok(())
    })?;
    Ok(outcomes)
}

/// Has `work` done for every capture, some at a time; results in the order of the captures. `work` is told the capture's
/// number, its share of the limit, and whom to tell of progress.
fn each<T: Send>(
    sources: &[Source],
    options: &Options<'_>,
    work: impl Fn(usize, &Source, u64, &(dyn Fn(u64, u64) + Sync)) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let sizes: Vec<Option<u64>> = sources.iter().map(size).collect();
    let total = sizes.iter().copied().sum::<Option<u64>>();
    let mut bar = Progress::new("", total, options.progress);
    let (bytes, events) = (AtomicU64::new(0), AtomicU64::new(0));
    let advance = |more_bytes: u64, more_events: u64| {
        let bytes = bytes.fetch_add(more_bytes, Ordering::Relaxed) + more_bytes;
        let events = events.fetch_add(more_events, Ordering::Relaxed) + more_events;
        bar.show(bytes, events);
    };
    let share = |index: usize| match (sizes.get(index).copied().flatten(), total) {
        (Some(size), Some(total)) if total > 0 => {
            (u128::from(options.limit) * u128::from(size) / u128::from(total)) as u64
        }
        _ => options.limit / sources.len().max(1) as u64,
    };
    let one = |(index, source): (usize, &Source)| work(index, source, share(index), &advance);
    let jobs = options.jobs.clamp(1, sources.len().max(1));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).stack_size(STACK).build();
    let done = match pool {
        Ok(pool) => pool.install(|| sources.par_iter().enumerate().map(one).collect()),
        // The system gives us no threads: this one has to do.
        Err(_) => sources.iter().enumerate().map(one).collect(),
    };
    bar.finish();
    done
}

fn size(source: &Source) -> Option<u64> {
    match source {
        Source::File(path) => std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|file| file.len()),
        Source::Memory { bytes, .. } => Some(bytes.len() as u64),
        Source::Missing { .. } => Some(0),
    }
}

fn digest_of(source: &Source, options: &Options<'_>) -> Option<String> {
    if options.wanted.has_column("captures", "digest") { sha256(source) } else { None }
}

fn outcome(source: &Source, capture: &Capture, sink: &Memory) -> Outcome {
    let Capture { unreadable, damage, .. } = capture.clone();
    Outcome { name: source.name(), unreadable, damage, left_out: sink.left_out(), notes: Vec::new() }
}

/// The host's name, ahead of reading the whole capture.
fn host_of(source: &Source) -> Option<String> {
    use casebook_formats::capture::Item;
    if matches!(source, Source::File(path) if path.as_os_str() == "-") || source.is_log() {
        return None;
    }
    let mut reader = source.open().ok()?;
    loop {
        match reader.next_item().ok()?? {
            Item::Machine(machine) => return Some(frames::utf8(&machine.hostname).into_owned()),
            Item::Event(_) => return None,
            _ => {}
        }
    }
}

/// Frames of one capture in memory.
#[derive(Default)]
struct Memory {
    tables: Vec<(&'static Table, DataFrame)>,
}

impl Sink for Memory {
    fn chunk(&mut self, table: &'static Table, frame: DataFrame) -> Result<(), Error> {
        match self.tables.iter_mut().find(|(known, _)| known.name == table.name) {
            Some((_, all)) => {
                all.vstack_mut_owned(frame)?;
            }
            None => self.tables.push((table, frame)),
        }
        Ok(())
    }
}

impl Memory {
    /// The tables with the capture's name, host and number.
    fn stamped(self, index: usize, name: &str, host: Option<&str>) -> Result<Vec<(&'static Table, DataFrame)>, Error> {
        let stamp = |(table, frame): (&'static Table, DataFrame)| {
            // Lives become rows when they end; people expect them in the order in which they began.
            let frame = if table.name == "processes" && frame.column("upid").is_ok() {
                frame.sort(["upid"], SortMultipleOptions::default())?
            } else {
                frame
            };
            Ok((table, stamped(table, frame, index, name, host)?))
        };
        self.tables.into_iter().map(stamp).collect()
    }

    /// What the ledger says of rows that found no room.
    fn left_out(&self) -> u64 {
        let ledger = self.tables.iter().find(|(table, _)| table.name == "ledger");
        ledger.map_or(0, |(_, frame)| left_out(frame))
    }
}

fn left_out(ledger: &DataFrame) -> u64 {
    let view = frames::View::new(ledger);
    let full = casebook_formats::ledger::Counter::TablesFull.def().name;
    let rows = view.texts("counter").into_iter().zip(view.uints("count"));
    rows.filter(|(counter, _)| *counter == Some(full)).filter_map(|(_, count)| count).sum()
}

/// A sink that puts name, host and number of the capture into what it hands on.
struct Stamp<'a> {
    sink: &'a mut dyn Sink,
    index: usize,
    name: &'a str,
    host: Option<&'a str>,
    left_out: u64,
}

impl Sink for Stamp<'_> {
    fn chunk(&mut self, table: &'static Table, frame: DataFrame) -> Result<(), Error> {
        if table.name == "ledger" {
            self.left_out += left_out(&frame);
        }
        self.sink.chunk(table, stamped(table, frame, self.index, self.name, self.host)?)
    }
}

/// Puts the columns of [`COMMON`] in front, and the capture's number into numbers of process lives.
fn stamped(
    table: &'static Table,
    frame: DataFrame,
    index: usize,
    name: &str,
    host: Option<&str>,
) -> Result<DataFrame, Error> {
    let height = frame.height();
    let mut columns = Vec::with_capacity(frame.width() + COMMON.len());
    for (column, value) in
        COMMON.iter().zip([Some(frames::utf8(name.as_bytes()).into_owned()), host.map(str::to_owned)])
    {
        columns.push(frames::constant(column.name, value.as_deref(), height)?);
    }
    let first = (index as u64) << LIFE_BITS;
    for column in frame.into_columns() {
        let declared = table.column(column.name());
        if first > 0 && declared.is_some_and(|declared| frames::is_life(declared.name, declared.kind)) {
            columns.push(numbered(&column, first)?);
        } else {
            columns.push(column);
        }
    }
    Ok(DataFrame::new(height, columns)?)
}

fn numbered(column: &Column, first: u64) -> Result<Column, Error> {
    let name = PlSmallStr::clone(column.name());
    let mut numbers = column.as_materialized_series().u64()? + first;
    numbers.rename(name);
    Ok(numbers.into_series().into_column())
}
