//! Captures divided into parts: from checkpoint to checkpoint, so that all workers have something to do on one file, and
//! so that reading begins shortly before the window that somebody asks about.
//!
//! A part that comes to the checkpoint at which the next one began compares what it knows with it. Only where they are
//! equal is the next part's output of use: what is printed therefore rests, part by part, on what was read from the start
//! (or from the first checkpoint used), however wrong the file of checkpoints may be. Where they are not equal, or the part
//! ends before (damage, the end of a span, a broken output), it drops the later parts and goes on itself.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use casebook_formats::capture::{CaptureReader, FormatError, Items, ReadAhead};
use casebook_formats::ledger::Counter;

use crate::checkpoint::fingerprint;
use crate::checkpoint::sidecar::{Entry, Sidecar, Unusable, path_of};
use crate::context::EventContext;
use crate::engine::{End, Replay, Visitor};
use crate::moment::Moment;
use crate::run::{ByTurns, Source};
use crate::window::Window;

/// Parts for each worker: some take longer than others.
const PARTS_EACH: usize = 4;
/// Captures of so many bytes are worth a thread that reads them: a smaller one is done before two threads have met.
const WORTH_A_THREAD: u64 = 64 << 10;

/// Threads besides a part's worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Helpers {
    pub(crate) threads: usize,
    /// As in [`crate::run::Jobs`].
    pub(crate) decode_plain_ahead: bool,
    /// As in [`crate::run::Jobs`].
    pub(crate) turns: ByTurns,
}

/// A capture and what may be used of its checkpoints.
pub(crate) struct Divided {
    sidecar: Option<Arc<Sidecar>>,
    /// Why there are checkpoints that are not used.
    pub(crate) unused: Option<String>,
    /// Entries at which the parts begin; `None` is the start of the capture.
    starts: Vec<Option<usize>>,
    /// A part has found that those after it are of no use.
    over: AtomicBool,
}

impl Divided {
    /// Divides a capture for so many parts at most.
    pub(crate) fn new(source: &Source, window: Window, parts: usize) -> Self {
        let whole = |unused| Self { sidecar: None, unused, starts: vec![None], over: AtomicBool::new(false) };
        let sidecar = match beside(source) {
            Ok(Some(sidecar)) => sidecar,
            Ok(None) => return whole(None),
            Err(why) => return whole(Some(why)),
        };
        let entries = &sidecar.table().entries;
        let first = entries.partition_point(|entry| before(entry, window.from));
        let end = entries.partition_point(|entry| !beyond(entry, window)).max(first);
        // `first` is the number of entries before the window; the last of them is where to begin.
        let begin = first.checked_sub(1);
        let between = end - first;
        let parts = parts.min(between + 1).max(1);
        let mut starts = vec![begin];
        starts.extend((1..parts).map(|part| Some(first + part * (between + 1) / parts - 1)));
        starts.dedup();
        Self { sidecar: Some(Arc::new(sidecar)), unused: None, starts, over: AtomicBool::new(false) }
    }

    /// How many parts there are.
    pub(crate) fn parts(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is one, from the start of the capture.
    pub(crate) fn is_whole(&self) -> bool {
        self.starts == [None]
    }

    /// Whether a part of this number is of use.
    pub(crate) fn is_of_use(&self, part: usize) -> bool {
        part == 0 || !self.over.load(Ordering::Relaxed)
    }

    /// The parts that come later are of no use.
    pub(crate) fn end_here(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn entry(&self, part: usize) -> Option<(&Sidecar, usize, &Entry)> {
        let sidecar = self.sidecar.as_deref()?;
        let at = (*self.starts.get(part)?)?;
        Some((sidecar, at, sidecar.table().entries.get(at)?))
    }

    /// Reader and replay at the start of a part, and what there is to say about its checkpoint. `fresh` makes a
    /// replay that has seen nothing.
    pub(crate) fn enter(
        &self,
        source: &Source,
        part: usize,
        fresh: impl Fn() -> Replay,
    ) -> Result<(Entered, Option<String>), String> {
        let Some((sidecar, at, entry)) = self.entry(part) else {
            return Ok((Entered::at_start(source.open()?, fresh()), None));
        };
        match sidecar.enter(at, fresh()) {
            Ok((reader, replay)) => Ok((Entered { reader, replay, ended: None }, None)),
            Err(why) => {
                let note = note(sidecar.path(), &why);
                let (mut reader, mut replay) = (source.open()?, fresh());
                reader.pause_at(Some(entry.raw_offset));
                let end = replay.run_with(&mut reader, &mut Blind);
                let arrived = matches!(end, Ok(End::Finished)) && reader.stream_bytes() == entry.raw_offset;
                reader.pause_at(None);
                Ok((Entered { reader, replay, ended: (!arrived).then_some(end) }, Some(note)))
            }
        }
    }

    /// Replays a part to its end, with so many threads besides this one. `drop_rest` is told when the later parts are of
    /// no use.
    pub(crate) fn run<V: Visitor>(
        &self,
        part: usize,
        entered: Entered,
        helpers: Helpers,
        visitor: &mut V,
        drop_rest: impl Fn(),
    ) -> Ran {
        let Entered { mut reader, mut replay, ended } = entered;
        if let Some(end) = ended {
            return Ran { reader: Box::new(reader), replay, handed_on: false, end, note: None };
        }
        let Some((sidecar, _, entry)) = self.entry(part + 1) else {
            return to_its_end(reader, replay, helpers, visitor);
        };
        if helpers.threads > 0 {
            reader.unpack_ahead();
        }
        reader.pause_at(Some(entry.raw_offset));
        let end = replay.run_with(&mut reader, visitor);
        let paused = matches!(end, Ok(End::Finished)) && reader.stream_bytes() >= entry.raw_offset;
        if paused && reader.stream_bytes() == entry.raw_offset && fingerprint(&reader, &replay) == entry.digest {
            return Ran { reader: Box::new(reader), replay, handed_on: true, end, note: None };
        }
        self.end_here();
        drop_rest();
        if !paused {
            return Ran { reader: Box::new(reader), replay, handed_on: false, end, note: None };
        }
        let note = note(sidecar.path(), &Unusable::Damaged("a checkpoint that is not what the capture says"));
        reader.pause_at(None);
        let end = replay.run_with(&mut reader, visitor);
        Ran { reader: Box::new(reader), replay, handed_on: false, end, note: Some(note) }
    }
}

/// Replays a capture to its end: reading it on a thread of its own where there is a helper, and unpacking it on another one
/// where there are two.
fn to_its_end<V: Visitor>(mut reader: CaptureReader, mut replay: Replay, helpers: Helpers, visitor: &mut V) -> Ran {
    let is_worth_it = is_worth_a_thread(&reader) && (helpers.decode_plain_ahead || reader.packing() != "none");
    let (reader, end): (Box<dyn Items>, _) = if helpers.threads == 0 || !is_worth_it {
        let end = replay.run_with(&mut reader, visitor);
        (Box::new(reader), end)
    } else {
        if helpers.threads > 1 {
            reader.unpack_ahead();
        }
        match ReadAhead::new(reader) {
            Ok(mut ahead) => {
                let end = replay.run_with(&mut ahead, visitor);
                (Box::new(ahead), end)
            }
            // The system gives no thread.
            Err(mut reader) => {
                let end = replay.run_with(&mut *reader, visitor);
                (reader, end)
            }
        }
    };
    Ran { reader, replay, handed_on: false, end, note: None }
}

/// Whether a capture is large enough for several threads, as far as that is known.
pub(crate) fn is_worth_a_thread(reader: &CaptureReader) -> bool {
    reader.bytes_total().is_none_or(|bytes| bytes >= WORTH_A_THREAD)
}

/// Where a part begins.
pub(crate) struct Entered {
    pub(crate) reader: CaptureReader,
    pub(crate) replay: Replay,
    /// It ended before it began.
    ended: Option<Result<End, FormatError>>,
}

impl Entered {
    /// The start of a capture.
    pub(crate) fn at_start(reader: CaptureReader, replay: Replay) -> Self {
        Self { reader, replay, ended: None }
    }
}

/// How a part ended.
pub(crate) struct Ran {
    /// What it was read by, and what that found out until the last event.
    pub(crate) reader: Box<dyn Items>,
    pub(crate) replay: Replay,
    /// It ended where the next one began, and knew the same. Else it went on, as far as the capture goes or as the visitor
    /// wanted, and the later parts are of no use.
    pub(crate) handed_on: bool,
    pub(crate) end: Result<End, FormatError>,
    /// What there is to say about its checkpoints.
    pub(crate) note: Option<String>,
}

/// Reads on to where it gets interesting.
struct Blind;

impl Visitor for Blind {
    fn event(&mut self, _: &EventContext<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// How many parts each of so many captures is worth.
pub(crate) fn parts_each(captures: usize, jobs: usize) -> usize {
    // With enough captures for everybody dividing them only costs.
    if jobs <= 1 || captures >= jobs * PARTS_EACH { 1 } else { (jobs * PARTS_EACH).div_ceil(captures.max(1)) }
}

/// Opens a capture shortly before a moment: no event before that place is later than it. Also what there is to say
/// about its checkpoints, and whether that counts as not used.
pub(crate) fn open_before(
    source: &Source,
    moment: Option<Moment>,
    fresh: impl Fn() -> Replay,
) -> Result<(CaptureReader, Replay, Option<String>), String> {
    let (sidecar, unused) = match beside(source) {
        Ok(sidecar) => (sidecar, None),
        Err(why) => (None, Some(why)),
    };
    let reaches = |entry: &Entry| match moment {
        // The end of the capture: nothing is later.
        None => false,
        Some(moment) => entry.first_ts == 0 || entry.latest > moment.at(entry.first_ts),
    };
    let entry = sidecar.as_ref().and_then(|sidecar| {
        let before = sidecar.table().entries.partition_point(|entry| entry.first_ts == 0 || !reaches(entry));
        before.checked_sub(1)
    });
    if let (Some(sidecar), Some(entry)) = (sidecar, entry) {
        match sidecar.enter(entry, fresh()) {
            Ok((reader, replay)) => return Ok((reader, replay, None)),
            Err(why) => return Ok((source.open()?, fresh(), Some(note(sidecar.path(), &why)))),
        }
    }
    Ok((source.open()?, fresh(), unused))
}

/// The counter of checkpoints that are there and not used.
pub(crate) const UNUSED: Counter = Counter::UnusedCheckpoints;

/// The checkpoints of a source, if it can have some; `Err` tells why they are not used.
fn beside(source: &Source) -> Result<Option<Sidecar>, String> {
    let Source::File(path) = source else { return Ok(None) };
    if path.as_os_str() == "-" {
        return Ok(None);
    }
    Sidecar::beside(path).map_err(|why| note(&path_of(path), &why))
}

fn note(path: &Path, why: &Unusable) -> String {
    format!("note: {}: not used: {why}; `casebook index` makes new checkpoints", path.display())
}

/// No event before this checkpoint is in a window that begins at `from`.
fn before(entry: &Entry, from: Option<Moment>) -> bool {
    from.is_some_and(|from| entry.first_ts == 0 || entry.latest < from.at(entry.first_ts))
}

/// Nothing of the window is likely to come after this checkpoint.
fn beyond(entry: &Entry, window: Window) -> bool {
    entry.first_ts != 0 && entry.latest > window.times(entry.first_ts).1
}

/// What the parts of a capture gave, until all of them are there.
pub(crate) struct Gathering<D> {
    done: Mutex<Vec<Option<D>>>,
    missing: AtomicUsize,
}

impl<D> Gathering<D> {
    /// For so many parts.
    pub(crate) fn new(parts: usize) -> Self {
        Self { done: Mutex::new((0..parts).map(|_| None).collect()), missing: AtomicUsize::new(parts) }
    }

    /// Puts one in; all of them, in order, when it was the last that was missing.
    pub(crate) fn put(&self, part: usize, what: D) -> Option<Vec<D>> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = done.get_mut(part) {
            *place = Some(what);
        }
        let was_last = self.missing.fetch_sub(1, Ordering::AcqRel) == 1;
        was_last.then(|| std::mem::take(&mut *done).into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    // What fails in the set-up of a test is a failure of the test.
    #![allow(clippy::unwrap_used)]

    use std::fs::File;
    use std::io::{Cursor, Read, Write};
    use std::path::PathBuf;

    use casebook_formats::seekable::ends::Ends;
    use casebook_formats::seekable::{Options, SeekableWriter};

    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::checkpoint::sidecar::Writer;
    use crate::detect::{Detector, Form};
    use crate::output::{Sequencer, Talk};
    use crate::run::{ByTurns, Jobs, Plan, replay};

    #[derive(Default)]
    struct Notes(Vec<String>);

    impl Talk for Notes {
        fn begin(&mut self, _: usize) {}

        fn end(&mut self, _: usize, notes: &[String]) {
            self.0.extend_from_slice(notes);
        }
    }

    fn example(path: &Path) {
        let mut raw = Vec::new();
        let mut packed = Cursor::new(casebook_fixtures::EXAMPLE);
        if casebook_fixtures::EXAMPLE.starts_with(&[0x1f, 0x8b]) {
            flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut raw).unwrap();
        } else if casebook_fixtures::EXAMPLE.starts_with(&[0x28, 0xb5]) {
            zstd::stream::read::Decoder::new(packed).unwrap().read_to_end(&mut raw).unwrap();
        } else {
            packed.read_to_end(&mut raw).unwrap();
        }
        let options = Options { frame_bytes: 4096, level: 1 };
        let mut writer = SeekableWriter::new(File::create(path).unwrap(), options).unwrap();
        writer.write_all(&raw).unwrap();
        writer.finish().unwrap();
    }

    /// Checkpoints that are right in form and lie, from frame `liar` on, about the name of the machine.
    fn forge(path: &Path, liar: usize) {
        let ends = Ends::read(&mut File::open(path).unwrap()).unwrap();
        let mut writer = Writer::new(File::create(path_of(path)).unwrap(), ends.seal.root).unwrap();
        let mut reader = CaptureReader::open(path).unwrap();
        let mut replay = Replay::new();
        for (frame, boundary) in ends.raw_offsets().enumerate().skip(1) {
            reader.pause_at(Some(boundary));
            replay.run_with(&mut reader, &mut Blind).unwrap();
            let honest = Checkpoint::bytes(&reader, &replay);
            let bytes = if frame < liar {
                honest
            } else {
                let mut lie = Checkpoint::from_bytes(&honest).unwrap();
                lie.replay.state_mut().machine.hostname = b"elsewhere".to_vec();
                let resumed = CaptureReader::resume(path, ends.index[frame].offset, &lie.reader).unwrap();
                Checkpoint::bytes(&resumed, &lie.replay)
            };
            writer.add(frame as u64, boundary, &replay, &bytes).unwrap();
        }
        writer.finish().unwrap();
    }

    fn alerts(path: PathBuf, jobs: usize) -> (String, Vec<String>) {
        let rules = Detector::built_in().unwrap();
        let plan = Plan {
            rules,
            form: Form::Json,
            window: Window::default(),
            span: None,
            jobs: Jobs { workers: jobs, decode_plain_ahead: true, turns: ByTurns::NEVER },
            requests: Arc::default(),
            deliver: false,
            board: None,
        };
        let (mut out, mut notes) = (Vec::new(), Notes::default());
        let sequencer = Sequencer::new(&mut out, &mut notes, 1, false);
        replay(&plan, &[Source::File(path)], &sequencer, &|_, _| {});
        sequencer.into_result().unwrap();
        (String::from_utf8(out).unwrap(), notes.0)
    }

    #[test]
    fn what_lies_is_found_out_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lied.scap.zst");
        example(&path);
        let (expected, _) = alerts(path.clone(), 1);
        assert!(expected.lines().count() > 20 && !expected.contains("elsewhere"));
        for liar in [1, 5, 9, 1000] {
            forge(&path, liar);
            for jobs in [1, 2, 3, 5] {
                let (got, notes) = alerts(path.clone(), jobs);
                assert_eq!(got, expected, "{liar} {jobs}");
                let found = notes.iter().any(|note| note.contains("not what the capture says"));
                assert_eq!(found, jobs > 1 && liar < 1000, "{liar} {jobs}: {notes:?}");
            }
        }
    }

    #[test]
    fn parts_cover_what_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parts.scap.zst");
        example(&path);
        forge(&path, usize::MAX);
        let source = Source::File(path);
        let all = Divided::new(&source, Window::default(), 1000);
        assert!(all.starts.len() > 8 && all.starts[0].is_none());
        assert!(all.starts[1..].iter().zip(0..).all(|(start, entry)| *start == Some(entry)));
        for parts in 1..12 {
            let divided = Divided::new(&source, Window::default(), parts);
            assert_eq!(divided.parts(), parts.min(all.parts()));
            assert!(divided.starts.is_sorted());
        }
        let late = Window { from: Some(Moment::AfterStart(60_000_000_000)), to: None };
        let late = Divided::new(&source, late, 1000);
        assert!(late.starts[0].is_some() && late.parts() < all.parts());
        let early = Window { from: None, to: Some(Moment::AfterStart(60_000_000_000)) };
        assert!(Divided::new(&source, early, 1000).parts() < all.parts());
    }
}
