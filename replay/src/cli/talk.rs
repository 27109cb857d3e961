//! What a run says on standard error: headings, notes, warnings, a progress bar that gets out of their way.
//!
//! Every text may quote captures and rule files, so all of it is made safe for terminals on the way.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use casebook_formats::progress::Progress;
use casebook_formats::terminal::{Safe, safe_lines};

use crate::output::Talk;

/// One bar for all captures of a run, fed by all workers.
pub(super) struct Meter {
    bar: Progress,
    bytes: AtomicU64,
    events: AtomicU64,
}

impl Meter {
    /// A bar over `total` bytes of input (`None`: not known, as with standard input); drawn only when `visible`.
    pub(super) fn new(total: Option<u64>, visible: bool) -> Self {
        Self { bar: Progress::new("", total, visible), bytes: AtomicU64::new(0), events: AtomicU64::new(0) }
    }

    /// A worker has read so many more bytes and replayed so many more events.
    pub(super) fn advance(&self, bytes: u64, events: u64) {
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let events = self.events.fetch_add(events, Ordering::Relaxed) + events;
        self.bar.show(bytes, events);
    }

    /// Takes the bar away.
    pub(super) fn finish(&mut self) {
        self.bar.finish();
    }

    /// `output` with the bar out of the way while it is written to: for a terminal that shows both.
    pub(super) fn around<'w>(&'w self, output: &'w mut (dyn Write + Send)) -> AroundBar<'w> {
        AroundBar { bar: &self.bar, output }
    }
}

/// See [`Meter::around`].
pub(super) struct AroundBar<'w> {
    bar: &'w Progress,
    output: &'w mut (dyn Write + Send),
}

impl Write for AroundBar<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { bar, output } = self;
        bar.suspend(|| output.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Standard error of a run.
pub(super) struct Voice<'e> {
    err: AroundBar<'e>,
    /// Names for headings; none are printed when it is empty.
    headings: Vec<String>,
}

impl<'e> Voice<'e> {
    /// Speaks on `err`; announces captures by `headings` unless there are none.
    pub(super) fn new(err: AroundBar<'e>, headings: Vec<String>) -> Self {
        Self { err, headings }
    }
}

impl Talk for Voice<'_> {
    fn begin(&mut self, index: usize) {
        if let Some(name) = self.headings.get(index) {
            say(&mut self.err, &format!("== {name}"));
        }
    }

    fn end(&mut self, _: usize, notes: &[String]) {
        for note in notes {
            say(&mut self.err, note);
        }
    }
}

/// One line on standard error. A standard error that cannot be written is not worth a failure.
pub(super) fn say(err: &mut dyn Write, line: &str) {
    let _ = writeln!(err, "{}", Safe(line.as_bytes()));
}

/// Several lines without colours.
pub(super) fn say_lines(err: &mut dyn Write, text: &str) {
    let _ = err.write_all(safe_lines(text).as_bytes());
}
