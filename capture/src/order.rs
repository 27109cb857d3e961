//! Events in the order of their times.
//!
//! Records of several CPUs stand in the ring in the order in which they were finished, which is nearly that of their
//! times. Encoded events wait here until nothing older can be expected any more; what comes later still is written in
//! its place of arrival and counted.

/// How long events wait, ns. Longer than any CPU needs between taking the time and finishing the record, and short
/// against the time between two looks at a frame.
pub(crate) const WINDOW: u64 = 50_000_000;

/// Bytes of waiting events at which the oldest go out before their time.
const WAITING_MAX: usize = 64 << 20;

#[derive(Clone, Copy)]
struct Waiting {
    ts: u64,
    /// Arrival, which decides among equal times.
    number: u64,
    start: usize,
    len: usize,
}

/// Encoded events that wait.
#[derive(Default)]
pub(crate) struct Order {
    waiting: Vec<Waiting>,
    bytes: Vec<u8>,
    number: u64,
    newest: u64,
    /// Time of the last event that went out.
    last: u64,
    /// Events older than one that had gone out.
    pub late: u64,
}

impl Order {
    /// An encoded event and its time, ns since boot.
    pub(crate) fn push(&mut self, ts: u64, event: &[u8]) {
        if ts < self.last {
            self.late += 1;
        }
        self.waiting.push(Waiting { ts, number: self.number, start: self.bytes.len(), len: event.len() });
        self.bytes.extend_from_slice(event);
        self.number += 1;
        self.newest = self.newest.max(ts);
    }

    /// Appends to `out` what is older than `horizon` (ns since boot), in order; returns the number of events.
    pub(crate) fn release(&mut self, horizon: u64, out: &mut Vec<u8>) -> u64 {
        // Nearly sorted already: cheap.
        self.waiting.sort_by_key(|event| (event.ts, event.number));
        let horizon = if self.bytes.len() > WAITING_MAX { u64::MAX } else { horizon };
        let ready = self.waiting.partition_point(|event| event.ts <= horizon);
        for event in &self.waiting[..ready] {
            out.extend_from_slice(&self.bytes[event.start..event.start + event.len]);
            self.last = self.last.max(event.ts);
        }
        self.waiting.drain(..ready);
        self.compact();
        ready as u64
    }

    /// Moves the bytes of those that still wait to the front.
    fn compact(&mut self) {
        let mut bytes = Vec::with_capacity(self.waiting.iter().map(|event| event.len).sum());
        for event in &mut self.waiting {
            let start = bytes.len();
            bytes.extend_from_slice(&self.bytes[event.start..event.start + event.len]);
            event.start = start;
        }
        self.bytes = bytes;
    }

    /// Time of the youngest event that went out, ns since boot.
    pub(crate) fn released(&self) -> u64 {
        self.last
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Does anything wait?
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_by_time_and_late_ones_are_counted() {
        let mut order = Order::default();
        let mut out = Vec::new();
        for (ts, name) in [(10, b"b"), (5, b"a"), (20, b"d"), (10, b"c")] {
            order.push(ts, name);
        }
        assert_eq!(order.release(15, &mut out), 3);
        assert_eq!(out, b"abc");
        assert_eq!(order.late, 0);
        order.push(7, b"x");
        assert_eq!(order.release(u64::MAX, &mut out), 2);
        assert_eq!(out, b"abcxd");
        assert_eq!(order.late, 1);
        assert!(order.is_empty());
    }
}
