//! A `.scap.zst` opened at any place: by frame, by time, by what its frames hold.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::feed::Feed;
use super::frames::{self, Frame};
use super::select::Selection;
use super::storage::Storage;
use super::table;
use crate::capture::{CaptureReader, FormatError};
use crate::ledger::{Counter, CounterDef, Ledger, Origin, Severity};
use crate::source::Source;

/// A capture file of ours with the list of its frames. Readers that it gives are independent of each other and may
/// work on several threads.
///
/// A file without a usable index (cut off, damaged, still being written) is scanned once when it is opened; that is
/// counted in the ledger of its readers.
///
/// ```no_run
/// # fn main() -> Result<(), casebook_formats::capture::FormatError> {
/// use casebook_formats::seekable::{SeekableFile, Selection};
/// use casebook_formats::tables::ppme;
///
/// let Some(file) = SeekableFile::open("incident.scap.zst".as_ref())? else { return Ok(()) };
/// let execs = Selection::all().types([ppme::PPME_SYSCALL_EXECVE_19_X]);
/// let mut reader = file.select(&execs, 2)?;
/// while let Some(item) = reader.next_item()? {
///     // Events keep the numbers they have in the whole file.
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SeekableFile {
    name: String,
    storage: Arc<dyn Storage>,
    size: u64,
    frames: Arc<[Frame]>,
    /// What was found when the file was opened.
    ledger: Ledger,
}

/// Counted by readers of the stream as well.
const DROP_MARKERS: Counter = Counter::KernelDrops;

/// What a recorder counts of events that are not in the stream at all; others are there with less than they were.
pub const LOST_EVENTS: [Counter; 6] = [
    Counter::RingFull,
    Counter::ProgramBusy,
    Counter::UntrackedProcesses,
    Counter::UnsoundRecords,
    Counter::UnwrittenEvents,
    Counter::FileGaps,
];

impl SeekableFile {
    /// Opens a file; `None` when it is none of ours, or no file at all (a pipe, standard input).
    pub fn open(path: &Path) -> Result<Option<Self>, FormatError> {
        let name = path.display().to_string();
        let fail = |source| FormatError::Io { name: name.clone(), offset: 0, source };
        if path.as_os_str() == "-" || !path.metadata().map_err(fail)?.is_file() {
            return Ok(None);
        }
        Self::of(File::open(path).map_err(fail)?, &name)
    }

    /// Same, for anything that can be read at any place; `name` appears in errors.
    pub fn of(storage: impl Storage + 'static, name: &str) -> Result<Option<Self>, FormatError> {
        Self::list(Arc::new(storage), name).map_err(|source| FormatError::Io {
            name: name.to_owned(),
            offset: 0,
            source,
        })
    }

    fn list(storage: Arc<dyn Storage>, name: &str) -> io::Result<Option<Self>> {
        let size = storage.size()?;
        let mut ledger = Ledger::default();
        let frames = if let Some(frames) = frames::by_index(&*storage, size)? {
            frames
        } else {
            if !frames::begins_as_ours(&*storage)? && !table::ends_so(&*storage, size)? {
                return Ok(None);
            }
            let (frames, is_ours) = frames::by_scan(&*storage)?;
            if !is_ours {
                return Ok(None);
            }
            ledger.count(Counter::RebuiltIndexes);
            ledger.add(Counter::TruncatedInput, u64::from(frames.iter().any(|frame| frame.is_cut)));
            frames
        };
        Ok(Some(Self { name: name.to_owned(), storage, size, frames: frames.into(), ledger }))
    }

    /// Its frames, in the order of the stream.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Length of the file in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What the recorder lost, as its frame records say; the stream itself does not tell. Counters that reading the
    /// stream finds anew are left out, so that nothing is counted twice.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn recorded_losses(&self) -> io::Result<Ledger> {
        let mut all = Ledger::default();
        self.losses_by_frame()?.iter().for_each(|(_, losses)| all.merge(losses));
        Ok(all)
    }

    /// The same frame by frame, of those with losses, each with the latest time of an event in it (0 without events).
    ///
    /// # Errors
    /// What the operating system says.
    pub fn losses_by_frame(&self) -> io::Result<Vec<(u64, Ledger)>> {
        Ok(self.frames_with_losses()?.into_iter().map(|(_, latest, losses)| (latest, losses)).collect())
    }

    /// Offsets of the uncompressed stream, ascending, from which on the recorder lost events: where the frames begin whose
    /// records say so.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn recorded_gaps(&self) -> io::Result<Vec<u64>> {
        let lost = |losses: &Ledger| LOST_EVENTS.iter().any(|counter| losses.get(*counter) > 0);
        let frames = self.frames_with_losses()?.into_iter();
        Ok(frames.filter(|(.., losses)| lost(losses)).map(|(offset, ..)| offset).collect())
    }

    /// Of frames with losses: place of their content in the stream, latest time, losses.
    fn frames_with_losses(&self) -> io::Result<Vec<(u64, u64, Ledger)>> {
        let is_own = |def: &CounterDef| {
            matches!(def.origin, Origin::Kernel | Origin::Recorder) && def.name != DROP_MARKERS.def().name
        };
        let mut all = Vec::new();
        for frame in self.frames.iter() {
            let Some(record) = frames::read_record(&*self.storage, frame)? else { continue };
            let losses = Ledger::from_losses(&record.losses).map(|losses| losses.only(is_own));
            all.extend(
                losses
                    .filter(|losses| losses.findings().next().is_some())
                    .map(|losses| (frame.raw_offset, record.latest, losses)),
            );
        }
        Ok(all)
    }

    /// When something was lost: time of the first and last event of each frame whose record tells of losses, and what
    /// they are. Frames without events have no time and stay out.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn loss_intervals(&self) -> io::Result<Vec<(u64, u64, Ledger)>> {
        let mut intervals = Vec::new();
        for frame in self.frames.iter().filter(|frame| frame.earliest != 0) {
            let record = frames::read_record(&*self.storage, frame)?;
            let losses = record.and_then(|record| Ledger::from_losses(&record.losses)).unwrap_or_default();
            let losses = losses.only(|def| def.severity == Severity::DataLoss);
            if losses.findings().next().is_some() {
                intervals.push((frame.earliest, frame.latest, losses));
            }
        }
        Ok(intervals)
    }

    /// What was wrong with the list of frames.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Places of the frames that [`SeekableFile::select`] reads.
    pub fn choose(&self, selection: &Selection) -> Result<Vec<usize>, FormatError> {
        selection.choose(&*self.storage, &self.frames).map_err(|source| FormatError::Io {
            name: self.name.clone(),
            offset: 0,
            source,
        })
    }

    /// A reader of the frames that can hold what is asked for, and of all snapshots. It gives whole frames: everything
    /// that is asked for, in order, with the numbers, enter halves and offsets of the whole file, and more besides.
    ///
    /// With `threads` of 2 or more, so many threads unpack ahead of the reader; what comes out is the same.
    pub fn select(&self, selection: &Selection, threads: usize) -> Result<CaptureReader, FormatError> {
        self.read(&self.choose(selection)?, None, threads)
    }

    /// A reader of these frames and nothing before them, for somebody who has the state at that place from elsewhere: a
    /// checkpoint. Events are numbered on from `events_before`, or as the file counts them. Its first item is whatever
    /// stands there, no section header.
    ///
    /// Enter halves before the place are found and read, unless [`Frame::stands_alone`] denies it of the first frame:
    /// then exits that need them count as lost halves.
    pub fn resume(
        &self,
        frames: Range<usize>,
        events_before: Option<u64>,
        threads: usize,
    ) -> Result<CaptureReader, FormatError> {
        let chosen: Vec<usize> = frames.take_while(|&at| at < self.frames.len()).collect();
        self.read(&chosen, events_before, threads)
    }

    /// A reader of the frames at these places.
    #[cfg(feature = "cli")]
    pub(crate) fn read_these(&self, places: &[usize]) -> Result<CaptureReader, FormatError> {
        self.read(places, None, 0)
    }

    /// The stream of the frames at these places, for who looks at blocks.
    #[cfg(feature = "cli")]
    pub(crate) fn source(&self, places: &[usize]) -> Source {
        Source::of_frames(Feed::new(&self.storage, &self.frames, places, None, 0), self.size)
    }

    fn read(&self, chosen: &[usize], events_before: Option<u64>, threads: usize) -> Result<CaptureReader, FormatError> {
        if self.frames.is_empty() {
            return Err(FormatError::Empty { name: self.name.clone() });
        }
        let feed = Feed::new(&self.storage, &self.frames, chosen, events_before, threads);
        CaptureReader::of_frames(Source::of_frames(feed, self.size), self.name.clone(), self.ledger.clone())
    }
}
