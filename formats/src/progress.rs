//! The progress bar of a run: bytes of input, events a second, time left. On standard error, for people only.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Events between two looks at the clock.
const STRIDE: u64 = 4096;

/// A progress bar that the reading loop drives. Without a terminal on standard error, or when disabled, it does
/// nothing at all.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    /// Events at which it was moved last.
    shown: u64,
}

impl Progress {
    /// A bar for an input of `total` bytes (compressed as they are), named `name`; a spinner when the size is not
    /// known. `enabled` is the user's wish; without a terminal nothing is shown either way.
    pub fn new(name: &str, total: Option<u64>, enabled: bool) -> Self {
        let bar = (enabled && std::io::stderr().is_terminal()).then(|| Self::bar(name, total));
        Self { bar, shown: 0 }
    }

    fn bar(name: &str, total: Option<u64>) -> ProgressBar {
        let template = if total.is_some() {
            "{prefix} {wide_bar} {bytes}/{total_bytes} {msg} {eta}"
        } else {
            "{prefix} {spinner} {bytes} {msg}"
        };
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        // A template that does not parse is a mistake of ours and no reason to stop: the default shows too.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        // The name comes from a command line or a folder of evidence.
        bar.set_prefix(crate::terminal::Safe(name.as_bytes()).to_string());
        bar
    }

    /// Tells where the run is: bytes of input and events so far. Cheap enough to be called for every event.
    #[inline]
    pub fn update(&mut self, bytes: impl FnOnce() -> u64, events: u64) {
        if self.bar.is_some() && events.saturating_sub(self.shown) >= STRIDE {
            self.shown = events;
            self.show(bytes(), events);
        }
    }

    /// Same without the stride: for callers that come rarely, such as several workers under one bar.
    pub fn show(&self, bytes: u64, events: u64) {
        if let Some(bar) = &self.bar {
            let seconds = bar.elapsed().max(Duration::from_millis(1)).as_secs_f64();
            bar.set_message(format!("{:.0} events/s", events as f64 / seconds));
            bar.set_position(bytes);
        }
    }

    /// Same for runs that look at no events.
    pub fn show_bytes(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            let seconds = bar.elapsed().max(Duration::from_millis(1)).as_secs_f64();
            bar.set_message(format!("{:.0} MB/s", bytes as f64 / seconds / 1e6));
            bar.set_position(bytes);
        }
    }

    /// Prints through `print` with the bar out of the way, so that alerts and bar share a terminal.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Removes the bar.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    /// A run that ends early leaves no bar behind.
    fn drop(&mut self) {
        self.finish();
    }
}
