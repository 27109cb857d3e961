//! What reading events costs, without state or rules: framing, conversion and typed access to every parameter.
//!
//! ```text
//! cargo run --release -p casebook-formats --example decode -- CAPTURE [RUNS]
//! ```
//!
//! CPU time of this thread alone, from the scheduler; a plain capture is held in memory, so that no file is read.

use std::convert::Infallible;
use std::error::Error;
use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::ops::ControlFlow;

use casebook_formats::capture::{CaptureReader, Item, Take};
use casebook_formats::event::Event;

/// CPU nanoseconds of this thread.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// Something of every parameter, as numbers or texts, so that nothing can be left out.
fn touch(event: &Event) -> u64 {
    let mut sum = event.ts ^ event.tid as u64;
    for index in 0..event.ranges.len() {
        sum = sum
            .wrapping_add(event.u64(index).unwrap_or_else(|| event.param(index).map_or(0, |value| value.len() as u64)));
    }
    sum
}

/// Takes events as a replay does.
struct Taking {
    typed: bool,
    events: u64,
    sum: u64,
}

impl Take for Taking {
    type Break = Infallible;

    #[inline]
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<Infallible> {
        self.events += 1;
        self.sum = self.sum.wrapping_add(if self.typed { touch(event) } else { event.ts });
        ControlFlow::Continue(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let path = args.next().ok_or("usage: decode CAPTURE [RUNS]")?;
    let runs: usize = args.next().and_then(|runs| runs.to_str()?.parse().ok()).unwrap_or(5);
    let mut bytes = Vec::new();
    File::open(&path)?.read_to_end(&mut bytes)?;
    let bytes: &'static [u8] = bytes.leak();
    let mut costs = Vec::new();
    for typed in [false, true] {
        costs.clear();
        let mut taking = Taking { typed, events: 0, sum: 0 };
        for _ in 0..runs.max(1) {
            let start = cpu_ns();
            let mut reader = CaptureReader::from_reader(Box::new(Cursor::new(bytes)), "memory")?;
            taking.events = 0;
            loop {
                let ControlFlow::Continue(()) = reader.events_at_hand(&mut taking);
                match reader.next_item()? {
                    Some(Item::Event(event)) => {
                        let ControlFlow::Continue(()) = taking.event(&event);
                    }
                    Some(_) => {}
                    None => break,
                }
            }
            costs.push(cpu_ns() - start);
        }
        costs.sort_unstable();
        let Taking { events, sum, .. } = taking;
        let median = costs[costs.len() / 2];
        writeln!(
            std::io::stdout(),
            "{}: {events} events, {:.3} CPU s, {:.1} ns an event ({sum:x})",
            if typed { "with every parameter" } else { "events alone" },
            median as f64 / 1e9,
            median as f64 / events.max(1) as f64,
        )?;
    }
    Ok(())
}
