//! Lines of several inputs in the order of time.
//!
//! All inputs are replayed at the same time, each on a thread of its own; a line goes out when every input that is not
//! over has one waiting, and it is the earliest of them (of equal times, that of the input named first). Each input
//! keeps its own order, also where its clock steps back. An input that is far ahead waits for the others: it holds at
//! most [`AHEAD_LIMIT`] bytes and one chunk.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::PoisonError;

use super::{Sequencer, Shared, Talk};

/// Inputs that can be merged: each takes a thread.
pub const MERGE_LIMIT: usize = 256;
/// Bytes of lines that an input may be ahead of the others.
const AHEAD_LIMIT: usize = 1 << 20;

/// What waits for its time.
#[derive(Default)]
pub(super) struct Merge {
    inputs: Vec<Input>,
    /// Nobody waits for the others.
    impatient: bool,
}

/// An input.
#[derive(Default)]
struct Input {
    /// Lines with the time of each.
    lines: VecDeque<(u64, Vec<u8>)>,
    /// Bytes of these lines.
    bytes: usize,
    notes: Vec<String>,
    done: bool,
}

impl<'w> Sequencer<'w> {
    /// A sequencer that orders by time, for `count` inputs that are **all** replayed at the same time, undivided.
    pub fn by_time(
        target: &'w mut (dyn Write + Send),
        talk: &'w mut dyn Talk,
        count: usize,
        interactive: bool,
    ) -> Self {
        let this = Self { by_time: true, ..Self::new(target, talk, count, interactive) };
        this.lock().merge.inputs = (0..count).map(|_| Input::default()).collect();
        this
    }

    /// Whether it orders by time.
    pub fn is_by_time(&self) -> bool {
        self.by_time
    }

    /// Not all inputs are replayed at the same time after all: nobody waits for the others, whatever memory that takes.
    pub fn wait_for_nobody(&self) {
        self.lock().merge.impatient = true;
        self.turn.notify_all();
    }

    /// Takes over `lines`; false when the output is broken and there is no use in going on.
    pub(super) fn push_timed(&self, index: usize, lines: &mut Vec<u8>, ends: &mut Vec<(u64, usize)>) -> bool {
        let mut shared = self.lock();
        while shared.failure.is_none() && shared.merge.is_ahead(index) {
            shared = self.turn.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(input) = shared.merge.inputs.get_mut(index) {
            let mut begin = 0;
            for &(ts, end) in &*ends {
                input.lines.push_back((ts, lines.get(begin..end).unwrap_or_default().to_vec()));
                begin = end;
            }
            input.bytes += lines.len();
        }
        lines.clear();
        ends.clear();
        shared.write_earliest(self.interactive);
        let well = shared.failure.is_none();
        drop(shared);
        self.turn.notify_all();
        well
    }

    /// An input is over.
    pub(super) fn finish_timed(&self, index: usize, notes: Vec<String>) {
        let mut shared = self.lock();
        if let Some(input) = shared.merge.inputs.get_mut(index) {
            (input.done, input.notes) = (true, notes);
        }
        shared.write_earliest(self.interactive);
        drop(shared);
        self.turn.notify_all();
    }
}

impl Merge {
    fn is_ahead(&self, index: usize) -> bool {
        !self.impatient && self.inputs.get(index).is_some_and(|input| input.bytes > AHEAD_LIMIT)
    }

    /// The line that is known to come next; `None` when somebody may still say something earlier, or all is said.
    fn next(&mut self) -> Option<Vec<u8>> {
        if self.inputs.iter().any(|input| !input.done && input.lines.is_empty()) {
            return None;
        }
        let heads = self.inputs.iter().enumerate().filter_map(|(at, input)| Some((input.lines.front()?.0, at)));
        let (_, earliest) = heads.min()?;
        let input = self.inputs.get_mut(earliest)?;
        let (_, line) = input.lines.pop_front()?;
        input.bytes -= line.len();
        Some(line)
    }

    fn is_over(&self) -> bool {
        self.inputs.iter().all(|input| input.done && input.lines.is_empty())
    }
}

impl Shared<'_> {
    /// Writes what is known to come next; at the end also what there is to say about the inputs.
    fn write_earliest(&mut self, flush: bool) {
        while let Some(line) = self.merge.next() {
            if self.failure.is_none() {
                let written = self.target.write_all(&line);
                let written = written.and_then(|()| if flush { self.target.flush() } else { Ok(()) });
                self.failure = written.err();
            }
        }
        if self.merge.is_over() {
            if self.failure.is_none() {
                self.failure = self.target.flush().err();
            }
            for (index, input) in std::mem::take(&mut self.merge.inputs).iter().enumerate() {
                self.talk.end(index, &input.notes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    struct Silence;

    impl Talk for Silence {
        fn begin(&mut self, _: usize) {}
        fn end(&mut self, _: usize, _: &[String]) {}
    }

    /// What comes out of inputs with lines at these times.
    fn merged(inputs: &[Vec<u64>]) -> Vec<String> {
        let (mut out, mut silence) = (Vec::new(), Silence);
        let sequencer = Sequencer::by_time(&mut out, &mut silence, inputs.len(), false);
        thread::scope(|scope| {
            for (index, times) in inputs.iter().enumerate() {
                let sequencer = &sequencer;
                scope.spawn(move || {
                    let mut output = sequencer.capture(index);
                    for ts in times {
                        assert!(output.line_at(*ts, format!("{ts}:{index}").as_bytes()));
                    }
                });
            }
        });
        assert!(sequencer.into_result().is_ok());
        String::from_utf8_lossy(&out).lines().map(str::to_owned).collect()
    }

    #[test]
    fn time_first_then_the_order_of_inputs_and_each_input_keeps_its_own() {
        let lines = merged(&[vec![1, 5, 5], vec![2, 5, 3], vec![], vec![4]]);
        assert_eq!(lines, ["1:0", "2:1", "4:3", "5:0", "5:0", "5:1", "3:1"]);
    }

    #[test]
    fn an_input_far_ahead_waits_and_nothing_is_lost() {
        let many: Vec<u64> = (0..200_000).map(|n| n * 2).collect();
        let few = vec![100_001, 399_999];
        let lines = merged(&[many.clone(), few]);
        assert_eq!(lines.len(), many.len() + 2);
        let times: Vec<u64> = lines.iter().filter_map(|line| line.split(':').next()?.parse().ok()).collect();
        assert!(times.is_sorted());
    }
}
