//! From a command line to frames: captures found, rules loaded, every capture replayed, all of them put together.
//!
//! Captures are replayed in parallel and put together in the order in which they were named; the result does not depend
//! on the number of workers. What is said about them is said in that order too.

mod args;
mod digest;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use casebook_formats::progress::Progress;
use casebook_replay::audit::join::{Clocks, Requests};
use casebook_replay::detect::Detector;
use casebook_replay::run::Source;
use polars::prelude::{Column, DataFrame, Expr, IntoColumn as _, IntoSeries as _, PlSmallStr, SortMultipleOptions};
use rayon::prelude::*;

use crate::cache::{Cache, Found, Keeper, Place};
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
    /// Where tables are kept from one question to the next.
    pub cache: Option<Cached>,
    /// How the times of audit logs are compared with those of captures.
    pub clocks: Clocks,
}

/// How the cache is used.
#[derive(Clone, Debug)]
pub struct Cached {
    /// Where it is.
    pub cache: Cache,
    /// Captures of fewer bytes are replayed each time: that is as quick as reading what was kept.
    pub least: u64,
    /// Digest of the rules that are asked; empty for none.
    pub rules: String,
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
    let requests = requests(sources, options.clocks);
    let done = each(sources, options, |index, source, share, advance| {
        let work = Work { index, source, limit: share, advance, requests: &requests };
        one(&work, options)
    })?;
    if let Some(Cached { cache, .. }) = &options.cache {
        cache.trim();
    }
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

/// The tables of one capture, and how it was read.
type Read = (Vec<(&'static Table, DataFrame)>, Outcome);

/// One capture to be read.
#[derive(Clone, Copy)]
struct Work<'a> {
    index: usize,
    source: &'a Source,
    limit: u64,
    advance: &'a (dyn Fn(u64, u64) + Sync),
    requests: &'a Arc<Requests>,
}

/// The requests of all audit logs among the captures. What is wrong with a log is told when it is read itself.
fn requests(sources: &[Source], clocks: Clocks) -> Arc<Requests> {
    Arc::new(Requests::read(sources, &[], clocks).map(|read| read.requests).unwrap_or_default())
}

/// What tells requests from others; empty for none.
fn about(requests: &Requests) -> String {
    if requests.is_empty() { String::new() } else { digest::sha256_of(format!("{requests:?}").as_bytes()) }
}

/// One capture: from the cache, or replayed and kept there.
fn one(work: &Work<'_>, options: &Options<'_>) -> Result<Read, Error> {
    let Work { index, source, limit, advance, requests } = *work;
    let cached = options.cache.as_ref().filter(|cached| size(source).is_some_and(|size| size >= cached.least));
    let needed = cached.is_some() || options.wanted.has_column("captures", "digest");
    let digest = if needed { sha256(source) } else { None };
    let place = match (cached, &digest) {
        (Some(Cached { cache, rules, .. }), Some(digest)) => Some(cache.place(digest, source, rules, &about(requests))),
        _ => None,
    };
    let mut notes = Vec::new();
    if let Some(place) = &place {
        match from_cache(place, &options.wanted, limit) {
            Ok(Some((memory, capture))) => {
                advance(size(source).unwrap_or(0), 0);
                return read_as(index, source, memory, capture, notes);
            }
            Ok(None) => {}
            Err(reason) => notes.push(format!("its cached tables are not used: {reason}; they are made anew")),
        }
    }
    let mut reading = frames::Reading {
        wanted: &options.wanted,
        counted: &options.wanted,
        detector: options.detector,
        limit,
        requests,
        digest: digest.as_deref(),
        advance,
    };
    let mut memory = Memory::of(&options.wanted);
    let mut keeper = None;
    if let Some(place) = &place {
        match place.keep() {
            Ok(new) => keeper = Some(new),
            Err(error) => notes.push(format!("its tables are not kept: {error}")),
        }
    }
    let (Some(place), Some(mut keeper)) = (place, keeper) else {
        let capture = frames::read(source, &reading, &mut memory)?;
        return read_as(index, source, memory, capture, notes);
    };
    let full = options.wanted.for_keeping();
    reading.wanted = &full;
    let mut both = Both { memory: &mut memory, wanted: &options.wanted, keeper: &mut keeper, refused: None };
    let read = frames::read(source, &reading, &mut both);
    let refused = both.refused.take();
    let capture = match read {
        Ok(capture) => capture,
        Err(error) => {
            keeper.discard();
            return Err(error);
        }
    };
    // Tables that lack something because of this run's options are of no use to the next one.
    if refused.is_some() || capture.unreadable.is_some() || capture.left_out > 0 {
        keeper.discard();
        notes.extend(refused.map(|error| format!("its tables are not kept: {error}")));
    } else if let Err(error) = place.publish(keeper, &capture) {
        notes.push(format!("its tables are not kept: {error}"));
    }
    read_as(index, source, memory, capture, notes)
}

fn read_as(index: usize, source: &Source, memory: Memory, capture: Capture, notes: Vec<String>) -> Result<Read, Error> {
    let Capture { host, unreadable, damage, left_out } = capture;
    let outcome = Outcome { name: source.name(), unreadable, damage, left_out, notes };
    Ok((memory.stamped(index, &source.name(), host.as_deref())?, outcome))
}

/// Tables that were kept; `None` where there are none, and why not where there is something else.
fn from_cache(place: &Place, wanted: &Wanted, mut room: u64) -> Result<Option<(Memory, Capture)>, String> {
    match place.find(wanted) {
        Found::Nothing => Ok(None),
        Found::Broken(reason) => Err(reason),
        Found::Tables(readers, capture) => {
            let mut memory = Memory::of(wanted);
            for reader in readers.values() {
                let fits = reader.read(wanted, &mut room, &mut memory).map_err(|error| error.to_string())?;
                if !fits {
                    // A replay leaves rows out, and counts them.
                    return Ok(None);
                }
            }
            Ok(Some((memory, capture)))
        }
    }
}

/// Frames into memory, as far as they are wanted, and all of them into the cache.
struct Both<'a> {
    memory: &'a mut Memory,
    wanted: &'a Wanted,
    keeper: &'a mut Keeper,
    /// Why the cache takes no more; the question is answered all the same.
    refused: Option<Error>,
}

impl Sink for Both<'_> {
    fn chunk(&mut self, table: &'static Table, frame: DataFrame) -> Result<usize, Error> {
        let mut held = 0;
        if self.wanted.has_table(table.name) {
            let wanted = |column: &&Column| self.wanted.has_column(table.name, column.name());
            let columns: Vec<Column> = frame.columns().iter().filter(wanted).cloned().collect();
            held = self.memory.chunk(table, DataFrame::new(frame.height(), columns)?)?;
        }
        if self.refused.is_none() {
            self.refused = self.keeper.chunk(table, frame).err();
        }
        Ok(held)
    }
}

/// The rows of captures into a sink, capture by capture, without holding them: frames come with the columns of
/// [`COMMON`] and with numbers of process lives that are unique among all captures.
///
/// # Errors
///
/// When the sink takes no more.
pub fn stream(sources: &[Source], options: &Options<'_>, sink: &mut dyn Sink) -> Result<Vec<Outcome>, Error> {
    let one_by_one = Options { jobs: 1, wanted: options.wanted.clone(), cache: None, ..*options };
    let requests = requests(sources, options.clocks);
    let mut outcomes = Vec::new();
    let shared = std::sync::Mutex::new((sink, &mut outcomes));
    each(sources, &one_by_one, |index, source, _, advance| {
        let mut shared = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (sink, outcomes) = &mut *shared;
        let digest = digest_of(source, &one_by_one);
        let host = host_of(source);
        let name = source.name();
        let mut stamp = Stamp { sink: &mut **sink, index, name: &name, host: host.as_deref() };
        let reading = frames::Reading {
            wanted: &one_by_one.wanted,
            counted: &one_by_one.wanted,
            detector: one_by_one.detector,
            limit: u64::MAX,
            requests: &requests,
            digest: digest.as_deref(),
            advance,
        };
        let capture = frames::read(source, &reading, &mut stamp)?;
        let Capture { unreadable, damage, left_out, .. } = capture;
        outcomes.push(Outcome { name, unreadable, damage, left_out, notes: Vec::new() });
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
        Source::Input { head, whole } => whole.then_some(head.len() as u64),
        Source::Missing { .. } => Some(0),
    }
}

fn digest_of(source: &Source, options: &Options<'_>) -> Option<String> {
    if options.wanted.has_column("captures", "digest") { sha256(source) } else { None }
}

/// The host's name, ahead of reading the whole capture.
fn host_of(source: &Source) -> Option<String> {
    use casebook_formats::capture::Item;
    let once = match source {
        Source::File(path) => path.as_os_str() == "-",
        Source::Input { whole, .. } => !whole,
        Source::Memory { .. } | Source::Missing { .. } => false,
    };
    if once || source.is_log() {
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
    /// Condition on the rows of `events`.
    only: Option<Expr>,
}

impl Memory {
    fn of(wanted: &Wanted) -> Self {
        Self { tables: Vec::new(), only: wanted.condition().cloned() }
    }
}

/// The rows on which a condition is true. Where it cannot be told, all of them: the query that it is from will say why.
fn chosen(frame: DataFrame, condition: &Expr) -> Result<DataFrame, Error> {
    let told = frames::as_text(&frame).select([condition.clone().alias("keep")]).collect();
    match told.as_ref().map(|told| told.column("keep").and_then(|keep| keep.bool())) {
        Ok(Ok(keep)) => Ok(frame.filter(keep)?),
        _ => Ok(frame),
    }
}

impl Sink for Memory {
    fn chunk(&mut self, table: &'static Table, frame: DataFrame) -> Result<usize, Error> {
        let frame = match &self.only {
            Some(condition) if table.name == "events" => chosen(frame, condition)?,
            _ => frame,
        };
        let held = frame.height();
        match self.tables.iter_mut().find(|(known, _)| known.name == table.name) {
            Some((_, all)) => {
                all.vstack_mut_owned(frame)?;
            }
            None => self.tables.push((table, frame)),
        }
        Ok(held)
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
}

/// A sink that puts name, host and number of the capture into what it hands on.
struct Stamp<'a> {
    sink: &'a mut dyn Sink,
    index: usize,
    name: &'a str,
    host: Option<&'a str>,
}

impl Sink for Stamp<'_> {
    fn chunk(&mut self, table: &'static Table, frame: DataFrame) -> Result<usize, Error> {
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
